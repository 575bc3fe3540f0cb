"""A stand-in for the IPFS daemon of the IPFS Cluster peer, which is not ready before it has one.

It holds the CIDs it was told to pin and nothing else: enough for the peer to start, to allocate and to
answer. zpin never meets it.
"""
import http.server
import json
import threading
import urllib.parse

ID = "12D3KooWJgrJda94V87zcsns9VwoUVSUjjKQg1nxFL7a9WEZV358"


class Kubo(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pins = {}  # CID: recursive or direct
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def stop(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """A caller that went away is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        call = getattr(self, "on_" + url.path.removeprefix("/api/v0/").replace("/", "_"), None)
        if call is None:
            self.fail("not in this stand-in")
        else:
            call(query.get("arg", [""])[0].removeprefix("/ipfs/"), query)

    def answer(self, *objects, status=200):
        body = "".join(json.dumps(item) + "\n" for item in objects).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fail(self, message):
        self.answer({"Message": message, "Code": 0, "Type": "error"}, status=500)

    def on_id(self, *_):
        self.answer({"ID": ID, "Addresses": [f"/ip4/127.0.0.1/tcp/4001/p2p/{ID}"]})

    def on_repo_stat(self, *_):
        self.answer({"RepoSize": 0, "StorageMax": 10_000_000_000})

    def on_swarm_peers(self, *_):
        self.answer({"Peers": None})

    def on_swarm_connect(self, *_):
        self.answer({"Strings": []})

    def on_pin_add(self, cid, query):
        self.server.pins[cid] = "direct" if query.get("recursive") == ["false"] else "recursive"
        self.answer({"Progress": 1}, {"Pins": [cid]})

    def on_pin_update(self, _, query):
        self.server.pins[query["arg"][1].removeprefix("/ipfs/")] = "recursive"
        self.answer({"Pins": query["arg"]})

    def on_pin_rm(self, cid, _):
        if self.server.pins.pop(cid, None) is None:
            self.fail("not pinned or pinned indirectly")
        else:
            self.answer({"Pins": [cid]})

    def on_pin_ls(self, cid, query):
        wanted = query.get("type", ["all"])[0]
        held = [{"Cid": key, "Type": mode} for key, mode in list(self.server.pins.items())
                if cid in ("", key) and wanted in ("all", mode)]
        if cid and not held:
            self.fail(f"path '{cid}' is not pinned")
        else:
            self.answer(*held)
