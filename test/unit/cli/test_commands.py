#!/usr/bin/env python3
"""What the commands send, and what they make of answers that are wrong, cut, late or hostile.

A stand-in server, because a real node gives no such answers; with a real one the commands are tested
end to end elsewhere. usage: test_commands.py ZPIN
"""
import gzip
import http.server
import json
import os
import pty
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ZPIN = sys.argv.pop(1)
CID = "QmShXmqvCjdTRe6CG44PdpJ6SnrRGE58jmyXpgcmQB3amL"
OTHER = "bafkreic26i4svfepsuhd7e7j6fy5uyr74zrjiqf4rv7cp6t3hflt4qhoom"


def pin(cid=CID, name="", **more):
    members = {"replication_factor_min": -1, "replication_factor_max": -1, "name": name,
               "mode": "recursive", "expire_at": "0001-01-01T00:00:00Z", "metadata": None,
               "cid": cid, "type": "pin", "allocations": [], "max_depth": -1,
               "timestamp": "2026-11-23T01:16:05Z"}
    members.update(more)
    return json.dumps(members)


class Handler(http.server.BaseHTTPRequestHandler):
    """Notes each request and lets the test's function answer it."""
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "client"

    def log_message(self, *arguments):
        pass

    def body_lines(self):
        """The lines of a chunked body as they come."""
        rest = b""
        while True:
            size = int(self.rfile.readline(), 16)
            rest += self.rfile.read(size)
            self.rfile.readline()
            *lines, rest = rest.split(b"\n")
            yield from lines
            if size == 0:
                if rest:
                    yield rest
                return

    def plain(self, status, text, headers=()):
        data = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 204:
            self.wfile.write(data)

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def stream(self, lines, error="", headers=(), is_cut=False):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Stream-Error")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        for line in lines:
            self.chunk(line + "\n")
        if is_cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\nX-Stream-Error: %s\r\n\r\n" % error.encode())

    def answer(self):
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        self.server.act(self)

    do_GET = do_POST = do_DELETE = answer


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class UnixServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.servers = []
        self.server = self.start(Server(("127.0.0.1", 0), Handler))
        self.api = f"http://127.0.0.1:{self.server.server_port}"

    def tearDown(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.folder.cleanup()

    def start(self, server):
        server.seen = []
        self.servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def path(self, name, data=None):
        path = os.path.join(self.folder.name, name)
        if data is not None:
            with open(path, "wb") as file:
                file.write(data)
        return path

    def run_zpin(self, *arguments, act=None, stdin=b"", api=None, environment=None):
        """(exit code, stdout, stderr) of `zpin ARGUMENTS` against `act`."""
        self.server.act = act
        self.server.seen.clear()
        variables = {"PATH": os.environ["PATH"], "ZPIN_API": api or self.api,
                     "http_proxy": "http://127.0.0.1:1"}
        for name, value in os.environ.items():
            if name.endswith("SAN_OPTIONS"):
                variables[name] = value
        variables.update(environment or {})
        result = subprocess.run([ZPIN, *arguments], input=stdin, capture_output=True,
                                env=variables, timeout=60, check=False)
        return result.returncode, result.stdout.decode(), result.stderr.decode()

    # ---- one request ----

    def test_pin_add_sends_the_options(self):
        code, out, err = self.run_zpin(
            "pin", "add", CID, "--name", "a&b", "-m", "k=v w", "--mode", "direct", "-r", "2",
            "--expire-in", "1h", act=lambda h: h.plain(200, pin(name="a&b") + "\n"))
        self.assertEqual((code, out, err), (0, f"pinned {CID} a&b\n", ""))
        method, path, headers = self.server.seen[0]
        self.assertEqual(method, "POST")
        self.assertEqual(path, f"/pins/{CID}?name=a%26b&meta-k=v%20w&mode=direct&replication=2"
                               "&expire-in=1h")
        self.assertEqual(headers["Content-Length"], "0")
        self.assertTrue(headers["User-Agent"].startswith("zpin/"))

    def test_json_is_printed_as_it_came(self):
        _, out, _ = self.run_zpin("pin", "add", CID, "--json",
                                  act=lambda h: h.plain(200, '{"cid":"x", "odd" : [1] }\n'))
        self.assertEqual(out, '{"cid":"x", "odd" : [1] }\n')

    def test_all_are_tried_and_the_first_failure_counts(self):
        def act(handler):
            if "bad" in handler.path:
                handler.plain(404, '{"code":404,"message":"pin is not part of the pinset"}\n')
            elif "worse" in handler.path:
                handler.plain(500, '{"code":500,"message":"no"}\n')
            else:
                handler.plain(200, pin())

        code, out, err = self.run_zpin("pin", "rm", "bad", CID, "worse", act=act)
        self.assertEqual(code, 3)
        self.assertEqual(out, f"unpinned {CID}\n")
        self.assertEqual(err, "zpin: bad: pin is not part of the pinset\nzpin: worse: no\n")
        self.assertEqual([seen[0] for seen in self.server.seen], ["DELETE"] * 3)
        code, _, _ = self.run_zpin("pin", "rm", "-", act=act, stdin=b"bad\n\nworse\n")
        self.assertEqual(code, 3)

    def test_paths_and_updates(self):
        answer = lambda h: h.plain(200, pin())
        self.run_zpin("pin", "add", "/ipns/example.com/a b", act=answer)
        self.assertEqual(self.server.seen[0][1], "/pins/ipns/example.com/a%20b")
        self.run_zpin("pin", "update", "from", "to", "--name", "n", act=answer)
        self.assertEqual(self.server.seen[0][1], "/pins/to?name=n&pin-update=from")

    def test_the_nodes_own_code_goes_before_the_status(self):
        for name, expected in [("CORRUPT", 4), ("INVALID", 2), ("TIMEOUT", 62), ("IO", 1),
                               ("NEWER_THAN_THIS", 1)]:
            code, _, err = self.run_zpin("pin", "get", CID, act=lambda h: h.plain(
                500, '{"code":500,"message":"why"}', [("X-Zpin-Error", name)]))
            self.assertEqual((code, err), (expected, "zpin: why\n"), name)

    # ---- upkeep ----

    def upkeep(self, *arguments, status=200, body="{}", headers=()):
        result = self.run_zpin(*arguments, "--management", self.api,
                               act=lambda h: h.plain(status, body, headers))
        return result, [seen[:2] for seen in self.server.seen]

    def test_upkeep_asks_the_management_address(self):
        result, seen = self.upkeep("checkpoint",
                                   body='{"checkpoint_number":7,"checkpoint_batch":9}')
        self.assertEqual(result, (0, "checkpoint 7 at journal position 9\n", ""))
        self.assertEqual(seen, [("POST", "/checkpoint")])
        result, seen = self.upkeep("snapshot", "a&b", body='{"snapshot":"a\\u001bb"}')
        self.assertEqual(result, (0, "made snapshot a\ufffdb\n", ""))
        self.assertEqual(seen, [("POST", "/snapshot?name=a%26b")])
        result, seen = self.upkeep("peers", "map", "A=B=C", body='{"from":"A","to":"B=C"}')
        self.assertEqual(result, (0, "A reads as B=C\n", ""))
        self.assertEqual(seen, [("POST", "/peers/move?from=A&to=B%3DC")])
        for pair in ["A", "=B", "A="]:
            result, seen = self.upkeep("peers", "map", pair)
            self.assertEqual((result[0], seen), (2, []))
        result, _ = self.upkeep("checkpoint", "--json", body='{ "x" : 1 }\n')
        self.assertEqual(result, (0, '{ "x" : 1 }\n', ""))
        result, _ = self.upkeep("checkpoint", "--quiet")
        self.assertEqual(result, (0, "", ""))
        code, _, err = self.run_zpin("checkpoint", act=lambda h: h.plain(200, "{}"))
        self.assertEqual((code, self.server.seen), (2, []))
        self.assertIn("--management", err)

    def test_verify_lists_the_damages(self):
        good = '{"damages":[],"damage_count":0,"segments":2,"rows":3,"bytes":4096,"pins":5,"counters_set":0}'
        result, seen = self.upkeep("verify", body=good)
        self.assertEqual(result, (0, "5 pins in 2 files, 3 rows, 4.10 kB read, no damage\n", ""))
        self.assertEqual(seen, [("POST", "/verify")])
        result, _ = self.upkeep("verify", body=good.replace('set":0', 'set":2'))
        self.assertIn("3 rows, 2 counters set right, ", result[1])
        bad = '{"damages":["a \\"b\\"","c"],"damage_count":2,"code":500,"message":"2 damages"}'
        failed = [("X-Zpin-Error", "CORRUPT")]
        result, _ = self.upkeep("verify", status=500, body=bad, headers=failed)
        self.assertEqual(result, (4, 'damaged: a "b"\ndamaged: c\n', "zpin: 2 damages\n"))
        result, _ = self.upkeep("verify", "-q", status=500, body=bad, headers=failed)
        self.assertEqual(result, (4, 'damaged: a "b"\ndamaged: c\n', "zpin: 2 damages\n"))
        result, _ = self.upkeep("verify", "--json", status=500, body=bad, headers=failed)
        self.assertEqual(result, (4, bad + "\n", "zpin: 2 damages\n"))
        result, _ = self.upkeep("verify", status=503, body='{"code":503,"message":"busy"}')
        self.assertEqual(result, (1, "", "zpin: busy\n"))
        result, _ = self.upkeep("verify", status=500, body="<html>")
        self.assertEqual(result[:2], (1, ""))

    def test_long_work_is_seen_on_a_terminal(self):
        def act(handler):
            time.sleep(1.5)
            handler.plain(200, '{"checkpoint_number":7,"checkpoint_batch":9}')

        self.server.act = act
        master, slave = pty.openpty()
        process = subprocess.Popen([ZPIN, "checkpoint", "--management", self.api],
                                   stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        seen = b""
        while True:
            try:
                block = os.read(master, 4096)
            except OSError:
                break
            if not block:
                break
            seen += block
        os.close(master)
        self.assertEqual(process.wait(), 0)
        self.assertTrue(seen.startswith(b"\r\x1b[Kwriting a checkpoint, 0s"), seen)
        self.assertIn(b"\r\x1b[Kwriting a checkpoint, 1s", seen)
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen)

    def test_a_failed_import_has_the_nodes_code(self):
        for name, expected in [("CORRUPT", 4), ("READ_ONLY", 1), ("INVALID", 2)]:
            last = json.dumps({"error": "why", "error_code": name, "line": 0, "lines_done": 0})
            code, _, err = self.run_zpin("import", "-", stdin=pin().encode() + b"\n", act=lambda h: (
                list(h.body_lines()), h.stream([last])))
            self.assertEqual((code, err), (expected, "zpin: why\n"))

    def test_status_becomes_the_exit_code(self):
        for status, expected in [(400, 2), (401, 1), (403, 1), (404, 3), (409, 1), (500, 1),
                                 (501, 1), (503, 1), (504, 62), (507, 1)]:
            for body, text in [('{"code":1,"message":"the reason"}', "the reason"),
                               ("<html>", "--credentials" if status == 401 else str(status)),
                               ("", "--credentials" if status == 401 else str(status))]:
                with self.subTest(status=status, body=body):
                    code, out, err = self.run_zpin(
                        "pin", "get", CID, act=lambda h: h.plain(status, body))
                    if status == 404 and not body.startswith("{"):  # no API says so little
                        expected, text = 1, "status 404): is it a node's API?"
                    self.assertEqual((code, out), (expected, ""))
                    self.assertIn(text, err)

    def test_redirects_are_not_followed(self):
        code, _, err = self.run_zpin(
            "pin", "get", CID, act=lambda h: h.plain(307, "", [("Location", "/elsewhere")]))
        self.assertEqual(code, 2)
        self.assertIn("redirects", err)
        self.assertEqual(len(self.server.seen), 1)

    def test_garbage_is_an_error(self):
        for body in ["<html>hello</html>", "[1,2]", '{"cid":', "\x00\x01", '{"cid":"x"}}']:
            for command in [["pin", "add", CID], ["pin", "ls"], ["pin", "status"], ["peers"]]:
                with self.subTest(body=body, command=command):
                    code, out, err = self.run_zpin(*command, act=lambda h: h.plain(200, body))
                    self.assertEqual((code, out), (1, ""))
                    self.assertIn("not what was expected", err)

    def test_a_huge_answer_is_an_error(self):
        code, _, err = self.run_zpin("pin", "add", CID,
                                     act=lambda h: h.plain(200, b"x" * 2000000))
        self.assertNotEqual(code, 0)
        self.assertIn("the node's answer", err)

    def test_credentials(self):
        answer = lambda h: h.plain(200, pin())
        self.run_zpin("pin", "add", CID, act=answer, environment={"ZPIN_CREDENTIALS": "u:p:q"})
        self.assertEqual(self.server.seen[0][2]["Authorization"], "Basic dTpwOnE=")
        self.run_zpin("pin", "add", CID, act=answer)
        self.assertNotIn("Authorization", self.server.seen[0][2])
        code, _, err = self.run_zpin("pin", "add", CID, "--credentials", "nocolon", act=answer)
        self.assertEqual((code, len(self.server.seen)), (2, 0))
        self.assertIn("USER:PASSWORD", err)

    def test_no_node(self):
        code, _, err = self.run_zpin("peers", api="http://127.0.0.1:1")
        self.assertEqual(code, 1)
        self.assertIn("no node answers at http://127.0.0.1:1", err)
        self.assertEqual(self.run_zpin("peers", api="ftp://x")[0], 2)
        self.assertEqual(self.run_zpin("peers", api="http://")[0], 2)

    def test_a_node_that_hangs(self):
        def act(handler):
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b"{")
            handler.wfile.flush()
            time.sleep(8)

        begin = time.monotonic()
        code, _, err = self.run_zpin("pin", "get", CID, "--timeout", "1s", act=act)
        self.assertEqual(code, 62)
        self.assertIn("no answer in time", err)
        self.assertLess(time.monotonic() - begin, 7)

    def test_unix_socket(self):
        path = self.path("s")
        server = self.start(UnixServer(path, Handler))
        server.act = lambda h: h.stream([pin()])
        code, out, err = self.run_zpin("pin", "ls", api="unix:" + path)
        self.assertEqual((code, err), (0, ""))
        self.assertIn(CID, out)

    def test_tls(self):
        key, certificate = self.path("k.pem"), self.path("c.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        server = Server(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.start(server).act = lambda h: h.plain(200, pin())
        api = f"https://127.0.0.1:{server.server_port}"
        code, _, err = self.run_zpin("pin", "add", CID, api=api)
        self.assertEqual(code, 1)
        self.assertIn("--ca-file", err)
        self.assertEqual(self.run_zpin("pin", "add", CID, "--ca-file", certificate, api=api)[0], 0)
        self.assertEqual(self.run_zpin("pin", "add", CID, "--no-check-certificate", api=api)[0], 0)

    # ---- lists ----

    def test_a_list_for_programs(self):
        rows = [pin(name="one"), pin(OTHER, "t\two", mode="direct", replication_factor_min=2,
                                     replication_factor_max=3, expire_at="2027-01-01T00:00:00Z")]
        code, out, err = self.run_zpin("pin", "ls", "--name", "x", "--meta", "k=v", "--type",
                                       "pin,meta-pin", act=lambda h: h.stream(rows))
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(out, f"{CID}\tone\trecursive\teverywhere\tnever\t2026-11-23T01:16:05Z\n"
                              f"{OTHER}\tt\ufffdwo\tdirect\t2-3\t2027-01-01T00:00:00Z\t"
                              "2026-11-23T01:16:05Z\n")
        self.assertEqual(self.server.seen[0][1],
                         "/allocations?name=x&meta-k=v&filter=pin%2Cmeta-pin")

    def on_terminal(self, *arguments, columns):
        """What `zpin ARGUMENTS` shows on a terminal that is `columns` wide."""
        leader, follower = pty.openpty()
        process = subprocess.Popen([ZPIN, "--api", self.api, *arguments], stdin=follower,
                                   stdout=follower, stderr=follower,
                                   env={"PATH": os.environ["PATH"], "COLUMNS": str(columns)})
        os.close(follower)
        shown = b""
        try:
            while block := os.read(leader, 4096):
                shown += block
        except OSError:
            pass  # Linux says so when the last writer is gone
        os.close(leader)
        self.assertEqual(process.wait(30), 0)
        return shown.decode().replace("\r\n", "\n")

    def test_a_list_on_a_terminal(self):
        self.server.act = lambda h: h.stream([pin(name="固定" * 10), pin(OTHER, "short")])
        shown = self.on_terminal("pin", "ls", columns=200)
        header, *rows = shown.split("\n")[:-1]
        self.assertRegex(header, "^\x1b\\[1mCID +NAME +TYPE +COPIES +EXPIRES +ADDED\x1b\\[0m$")
        self.assertIn("固定" * 10, rows[0])
        self.assertIn(CID, rows[0])
        self.assertEqual(rows[0].index("recursive") + 20, rows[1].index("recursive"))
        narrow = self.on_terminal("pin", "ls", columns=130).split("\n")
        self.assertIn(CID, narrow[1])
        self.assertRegex(narrow[1], " (固定)+固?… ")
        self.assertNotIn("\t", shown)

    def test_progress_on_a_terminal(self):
        path = self.path("f", b"x\n" * 5000)
        self.server.act = self.importer([], self.done)
        shown = self.on_terminal("import", path, columns=80)
        self.assertRegex(shown, "\r\x1b\\[K *[0-9]+%  0 pins  [0-9.]+ k?B  0 pins/s")
        self.assertRegex(shown, "\r\x1b\\[Kzpin: imported 2 pins, 10.0 kB in [^\n]*\n$")
        quiet = self.on_terminal("import", "-q", path, columns=80)
        self.assertEqual(quiet, "")

    def test_an_empty_list(self):
        code, out, err = self.run_zpin("pin", "ls", act=lambda h: h.plain(204, ""))
        self.assertEqual((code, out, err), (0, "", ""))

    def test_nothing_commands_the_terminal(self):
        evil = "\x1b]0;owned\x07\x9b31m\u202etxt"
        lines = [pin(name=evil)]
        status = json.dumps({"cid": CID, "name": evil, "peer_map": {evil: {
            "peername": evil, "status": evil, "timestamp": evil, "error": evil}}})
        message = json.dumps({"code": 500, "message": evil})
        for command, act in [(["pin", "ls"], lambda h: h.stream(lines)),
                             (["pin", "get", CID], lambda h: h.plain(200, lines[0])),
                             (["pin", "add", CID], lambda h: h.plain(200, lines[0])),
                             (["pin", "status"], lambda h: h.stream([status])),
                             (["pin", "ls"], lambda h: h.plain(500, message)),
                             (["pin", "ls"], lambda h: h.stream(lines, "\x1b[31mx"))]:
            with self.subTest(command=command):
                _, out, err = self.run_zpin(*command, act=act)
                for character in "\x1b\x07\x9b\u202e":
                    self.assertNotIn(character, out + err)

    def test_pages(self):
        pages = {None: (["a", "b"], "c1"), "c1": ([], "c2"), "c2": (["c", "d"], "c3"),
                 "c3": (["e"], None)}

        def act(handler):
            query = dict(p.split("=") for p in handler.path.partition("?")[2].split("&"))
            names, cursor = pages[query.get("cursor")]
            names = names[:int(query["limit"])]
            handler.stream([pin(name) for name in names],
                           headers=[("X-Next-Cursor", cursor)] if cursor else [])

        code, out, err = self.run_zpin("pin", "ls", "--limit", "3", act=act)
        self.assertEqual(code, 0)
        self.assertEqual([row[0] for row in out.split("\n")[:-1]], ["a", "b", "c"])
        self.assertEqual(err, "zpin: more pins: --cursor c3\n")
        self.assertEqual([seen[1] for seen in self.server.seen],
                         ["/allocations?limit=3", "/allocations?limit=1&cursor=c1",
                          "/allocations?limit=1&cursor=c2"])
        code, out, err = self.run_zpin("pin", "ls", "--limit", "99", "--cursor", "c2", act=act)
        self.assertEqual((code, [row[0] for row in out.split("\n")[:-1]], err),
                         (0, ["c", "d", "e"], ""))
        code, _, err = self.run_zpin("pin", "ls", "--limit", "0", act=act)
        self.assertEqual(code, 2)

    def test_a_page_that_leads_to_itself(self):
        act = lambda h: h.stream([pin()], headers=[("X-Next-Cursor", "c")])
        code, _, err = self.run_zpin("pin", "ls", "--limit", "9", act=act)
        self.assertEqual(code, 1)
        self.assertIn("names itself", err)
        self.assertLessEqual(len(self.server.seen), 3)

    def test_a_list_that_ends_early(self):
        code, out, err = self.run_zpin(
            "pin", "ls", act=lambda h: h.stream([pin()], "disk gone"))
        self.assertEqual(code, 1)
        self.assertIn(CID, out)
        self.assertIn("the node ended the list early: disk gone", err)
        code, out, err = self.run_zpin(
            "pin", "ls", act=lambda h: h.stream([pin()], is_cut=True))
        self.assertEqual(code, 1)
        self.assertIn(CID, out)
        self.assertIn("the answer was cut", err)

    def test_a_reader_that_goes_away(self):
        def act(handler):
            try:
                handler.stream(pin() for _ in range(10**9))
            except OSError:
                pass

        self.server.act = act
        begin = time.monotonic()
        process = subprocess.Popen([ZPIN, "--api", self.api, "pin", "ls"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(process.stdout.readline().startswith(CID.encode()))
        process.stdout.close()
        err = process.stderr.read()
        process.stderr.close()
        self.assertEqual((process.wait(30), err), (-13, b""))
        self.assertLess(time.monotonic() - begin, 20)

    def test_status_and_recover(self):
        line = json.dumps({"cid": CID, "name": "n", "peer_map": {
            "12D3A": {"peername": "one", "status": "pinned", "timestamp": "t1", "error": ""},
            "12D3B": {"peername": "", "status": "pin_error", "timestamp": "t2", "error": "why"}}})
        code, out, _ = self.run_zpin("pin", "status", "--filter", "error", "--local",
                                     act=lambda h: h.stream([line]))
        self.assertEqual(code, 0)
        self.assertEqual(out, f"{CID}\tn\tone\tpinned\tt1\t\n{CID}\tn\t12D3B\tpin_error\tt2\twhy\n")
        self.assertEqual(self.server.seen[0][1], "/pins?filter=error&local=true")
        self.run_zpin("pin", "recover", CID, act=lambda h: h.plain(200, line))
        self.assertEqual(self.server.seen[0][:2], ("POST", f"/pins/{CID}/recover"))
        self.run_zpin("pin", "recover", "--all", act=lambda h: h.plain(204, ""))
        self.assertEqual(self.server.seen[0][:2], ("POST", "/pins/recover"))
        for arguments in [[], ["--all", CID]]:
            code, _, err = self.run_zpin("pin", "recover", *arguments)
            self.assertEqual((code, len(self.server.seen)), (2, 0))

    def test_what_the_node_is(self):
        answers = {
            "/id": '{"id":"12D3A","peername":"p","version":"0.1","addresses":["a","b"]}\n',
            "/info": '{"pins":12,"name":"x"}\n',
            "/version": '{"version":"9.9"}\n',
            "/peers": '{"id":"12D3A","peername":"p","version":"0.1","addresses":[],"error":""}\n',
            "/monitor/metrics": '["ping","free space"]\n',
            "/monitor/metrics/ping": '[{"name":"ping","peer":"12D3A","value":"v","valid":true}]\n',
            "/health/alerts": '[{"name":"ping","peer":"12D3A","triggered_at":"t","value":"v"}]\n',
            "/metrics": "zpin_pins 12\n",
        }

        def act(handler):
            if handler.path == "/health":
                handler.plain(204, "")
            else:
                handler.plain(200, answers[handler.path])

        manage = ["--management", self.api]
        for arguments, expected in [
                (["info", *manage], "id\t12D3A\nname\tp\nversion\t0.1\naddresses\ta,b\n"
                                    "pins\t12\nname\tx\n"),
                (["peers"], "12D3A\tp\t0.1\t\t\n"),
                (["metrics"], "ping\nfree space\n"),
                (["metrics", "ping"], "12D3A\tping\tv\ttrue\n"),
                (["metrics", "--prometheus", *manage], "zpin_pins 12\n"),
                (["health"], "the node answers\nping\t12D3A\tt\tv\n")]:
            with self.subTest(arguments=arguments):
                self.assertEqual(self.run_zpin(*arguments, act=act), (0, expected, ""))
        code, out, _ = self.run_zpin("version", act=act)
        self.assertEqual((code, out.split("\n")[1]), (0, "node\t9.9"))
        code, out, err = self.run_zpin("version", api="http://127.0.0.1:1")
        self.assertEqual((code, out.startswith("program\t")), (0, True))
        self.assertIn("no node answers", err)

    # ---- streams in ----

    def test_pins_from_standard_input(self):
        bodies = []

        def act(handler):
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for number, line in enumerate(handler.body_lines(), 1):
                if not line.strip():
                    continue
                bodies.append(json.loads(line))
                cid = bodies[-1]["cid"]
                handler.chunk(json.dumps({"line": number, "error": "no such"}) + "\n"
                              if cid == "bad" else pin(cid) + "\n")
            handler.chunk("")

        code, out, err = self.run_zpin(
            "pin", "add", "-", "--name", "n", "-m", "k=v", "--origins", "/a,/b", "-r", "2",
            "--mode", "direct", act=act,
            stdin=b'one\n\n  \nbad\r\n{"cid":"three","name":"own"}\nlast')
        self.assertEqual(code, 1)
        self.assertEqual(out, "pinned one\npinned three\npinned last\n")
        self.assertEqual(err, "zpin: line 4: no such\nzpin: 1 of 4 lines were not pinned\n")
        self.assertEqual(bodies[0], {"name": "n", "mode": "direct", "replication_factor_min": 2,
                                     "replication_factor_max": 2, "origins": ["/a", "/b"],
                                     "metadata": {"k": "v"}, "cid": "one"})
        self.assertEqual(bodies[2]["name"], "own")
        self.assertEqual(self.server.seen[0][1], "/pins")
        self.run_zpin("pin", "add", "-", act=act, stdin=b'x\n{"cid":"y"}\n')
        self.assertEqual(bodies[-2:], [{"cid": "x"}, {"cid": "y"}])
        before = int(time.time())
        self.run_zpin("pin", "add", "-", "--expire-in", "1h", act=act, stdin=b"x\n")
        expiry = time.strptime(bodies[-1]["expire_at"] + "UTC", "%Y-%m-%dT%H:%M:%SZ%Z")
        self.assertIn(int(time.mktime(expiry) - time.timezone) - before, range(3600, 3610))

    def importer(self, received, finish):
        """Answers an import: progress on the way, then what `finish` says."""
        def act(handler):
            if handler.command == "GET":
                begun = handler.path.endswith("0000")  # one import of the file
                handler.plain(200, '{"lines_done":%d}\n' % (2 if begun else 0))
                return
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            for line in handler.body_lines():
                received.append(line)
                if len(received) % 1000 == 0:
                    handler.chunk('{"lines":%d,"lines_done":0,"imported":0,"skipped":0}\n'
                                  % len(received))
            finish(handler)
            handler.chunk("")
        return act

    @staticmethod
    def done(handler):
        handler.chunk('{"done":true,"lines":2,"lines_done":2,"imported":2,"skipped":0}\n')

    def test_import_of_every_form(self):
        lines = [pin(name=str(i)).encode() for i in range(5000)]
        text = b"\n".join(lines) + b"\n"
        files = {"plain": text, "gzip": gzip.compress(text)}
        if shutil.which("zstd"):
            files["zstd"] = subprocess.run(["zstd", "-c"], input=text, check=True,
                                           capture_output=True).stdout
        for name, data in files.items():
            with self.subTest(form=name):
                received = []
                code, out, err = self.run_zpin("import", self.path(name, data),
                                               act=self.importer(received, self.done))
                self.assertEqual((code, out), (0, ""))
                self.assertEqual(received, lines)
                self.assertRegex(err, r"^zpin: imported 2 pins, [0-9.]+ MB in [0-9.]+s, \d+ pins/s\n$")
        received = []
        code, _, err = self.run_zpin("import", "-", "-q", stdin=files["gzip"],
                                     act=self.importer(received, self.done))
        self.assertEqual((code, err, received), (0, "", lines))

    def test_import_sends_its_options(self):
        path = self.path("f", pin().encode())
        code, out, err = self.run_zpin(
            "import", path, "--mode", "replace", "--allocations", "map", "--map", "A=B",
            "--map", "C=D", "--skip-bad", "--resume", "--json", act=self.importer([], self.done))
        self.assertEqual(code, 0)
        self.assertEqual(json.loads(out)["imported"], 2)
        self.assertIn("going on behind line 2", err)
        origin = self.server.seen[0][1].removeprefix("/import?origin=")
        self.assertRegex(origin, "^[0-9a-f]{32}$")
        self.assertEqual(self.server.seen[-1][1],
                         "/import?allocations=map&replace=true&skip_bad=true&map=A:B&map=C:D"
                         f"&origin={origin}&lines_done=2")
        # A new import is a stream of its own, else the node would pass over what it had once.
        self.run_zpin("import", path, act=self.importer([], self.done))
        self.assertRegex(self.server.seen[-1][1], r"&origin=[0-9a-f]{28}0001$")
        self.run_zpin("import", "-", stdin=b"x", act=self.importer([], self.done))
        self.assertEqual([seen[1] for seen in self.server.seen], ["/import?allocations=keep"])
        for arguments in [["--map", "A=B"], ["--allocations", "map"]]:
            self.assertEqual(self.run_zpin("import", path, *arguments)[0], 2)

    def test_import_refuses_what_would_hurt(self):
        empty = self.path("empty", b"\n \n")
        for arguments, text in [(["import", empty, "--mode", "replace"], "remove every pin"),
                                (["import", "-", "--resume"], "needs a file"),
                                (["import", "/nowhere/x"], "/nowhere/x"),
                                (["import", self.path("cut", gzip.compress(b"x" * 99)[:-3])],
                                 "ends too early")]:
            with self.subTest(arguments=arguments):
                code, _, err = self.run_zpin(*arguments, act=self.importer([], self.done))
                self.assertNotEqual(code, 0)
                self.assertIn(text, err)
                self.assertEqual(self.server.seen, [])

    def test_import_reports_bad_lines(self):
        path = self.path("f", b"one\ntwo \x1b[31m\nthree\n")

        def fails(handler):
            handler.chunk('{"error":"line 2: no CID","line":2,"lines_done":1}\n')

        code, _, err = self.run_zpin("import", path, act=self.importer([], fails))
        self.assertEqual(code, 2)
        self.assertEqual(err, "zpin: line 2 is: two \ufffd[31m\nzpin: line 2: no CID\n")

        def skips(handler):
            for number in range(1, 151):
                handler.chunk('{"bad_line":%d,"error":"no CID"}\n' % number)
            handler.chunk('{"done":true,"lines":150,"lines_done":150,"imported":0,"skipped":150}\n')

        code, _, err = self.run_zpin("import", path, "--skip-bad", act=self.importer([], skips))
        self.assertEqual(code, 0)
        self.assertIn("zpin: line 100: no CID\n", err)
        self.assertNotIn("line 101", err)
        self.assertIn("150 bad lines skipped", err)

    def test_import_that_the_node_does_not_finish(self):
        path = self.path("f", b"one\n")
        code, _, err = self.run_zpin("import", path, act=self.importer([], lambda h: None))
        self.assertEqual(code, 1)
        self.assertIn("did not say that the import is done", err)

        def new_stream(post):
            return lambda h: post(h) if h.command == "POST" else h.plain(200, '{"lines_done":0}\n')

        def stops(handler):
            next(handler.body_lines())
            handler.close_connection = True

        big = self.path("big", b"x" * 70 + b"\n" + b"y" * 5000000)
        code, _, err = self.run_zpin("import", big, act=new_stream(stops))
        self.assertEqual(code, 1)
        code, _, err = self.run_zpin(
            "import", big, act=new_stream(lambda h: h.plain(
                503, '{"code":503,"message":"busy"}', [("Connection", "close")])))
        self.assertEqual(code, 1)

    # ---- streams out ----

    def test_export_to_a_file_is_whole_or_absent(self):
        path = self.path("out")
        code, out, err = self.run_zpin("export", "-o", path,
                                       act=lambda h: h.stream([pin(), pin(OTHER)]))
        self.assertEqual((code, out), (0, ""))
        self.assertRegex(err, "^zpin: exported 2 pins, ")
        with open(path, encoding="utf-8") as file:
            kept = file.read()
        self.assertEqual(kept, pin() + "\n" + pin(OTHER) + "\n")
        for act in [lambda h: h.stream([pin()], is_cut=True),
                    lambda h: h.stream([pin()], "disk gone"),
                    lambda h: h.plain(500, '{"code":500,"message":"no"}'),
                    lambda h: h.plain(200, '{"half')]:
            code, _, _ = self.run_zpin("export", "-o", path, act=act)
            self.assertEqual(code, 1)
            self.assertEqual(os.listdir(self.folder.name), ["out"])
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), kept)
        code, out, _ = self.run_zpin("export", "-q", act=lambda h: h.stream([pin()]))
        self.assertEqual((code, out), (0, pin() + "\n"))
        self.assertEqual(self.run_zpin("export", "-o", "/nowhere/x", act=None)[0], 2)
        with open("/dev/full", "wb") as full:
            self.server.act = lambda h: h.stream([pin()])
            result = subprocess.run([ZPIN, "--api", self.api, "export"], stdout=full,
                                    stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"can't write the output", result.stderr)

    # ---- accounts and config ----

    def test_account(self):
        code, out, _ = self.run_zpin("account", "alice", stdin=b"a good password\n")
        self.assertEqual(code, 0)
        path = self.path("a.yaml", out.encode())
        os.chmod(path, 0o600)
        config = self.path("c.yaml", b"access: {accounts_file: %s}\napi: {listen: \"*:1\"}\n"
                           % path.encode())
        code, out, err = self.run_zpin("config", "check", "--show", "-c", config)
        self.assertEqual(code, 0)
        self.assertIn('{name: "alice", password_hash: (hidden), token_secret: (hidden)}', out)
        self.assertIn("zpin: warning: api.tls_certificate", err)
        for name, stdin in [("a:b", b"a good password\n"), ("a", b"short\n"), ("a", b""),
                            ("a", b"x" * 5000 + b"\n"), ("", b"a good password\n")]:
            self.assertEqual(self.run_zpin("account", name, stdin=stdin)[:2], (2, ""))

    def test_config_check(self):
        config = self.path("c.yaml", b"log:\n  level: loud\n")
        code, out, err = self.run_zpin("config", "check", "-c", config)
        self.assertEqual((code, out), (2, ""))
        self.assertIn("c.yaml:2:10: log.level: \"loud\" is none of", err)
        config = self.path("good.yaml", f"management:\n  socket: {config}.sock\n".encode())
        code, out, err = self.run_zpin("config", "check", "-c", config)
        self.assertEqual((code, out, err), (0, "the config is good\n", ""))


if __name__ == "__main__":
    unittest.main()
