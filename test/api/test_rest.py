"""IPFS Cluster's endpoints, against bodies and headers that its 1.1.6 gave (captured)."""
import re
import unittest

from node import CID_A, CID_B, CID_C, FOREIGN, NOT_FOUND, Connection, NodeTest

QUEUED = "no IPFS daemon is configured on this node; the pin waits in the queue"
TIME_SHORT = r'"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"'
TIME_LONG = r'"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z"'


class Rest(NodeTest):
    def plain(self, answer):
        """The body with times as words, so that their form is told apart."""
        text = answer.body.decode()
        text = re.sub(TIME_LONG, '"<nanoseconds>"', text)
        text = re.sub(TIME_SHORT, '"<seconds>"', text)
        return text.replace(self.id, "<self>")

    # ---- Pins ----

    def test_pin_get_unpin(self):
        posted = self.node.post(f"/pins/{CID_A}?name=hello&meta-b=x&meta-a=1")
        self.assertEqual(posted.status, 200)
        self.assertEqual(
            self.plain(posted),
            '{"replication_factor_min":-1,"replication_factor_max":-1,"name":"hello",'
            '"mode":"recursive","shard_size":0,"user_allocations":null,'
            '"expire_at":"0001-01-01T00:00:00Z","metadata":{"a":"1","b":"x"},"pin_update":null,'
            f'"origins":null,"cid":"{CID_A}","type":"pin","allocations":[],"max_depth":-1,'
            '"reference":null,"timestamp":"<nanoseconds>"}\n')
        self.assertEqual(sorted(name for name, _ in posted.headers),
                         ["connection", "content-length", "content-type", "date", "vary"])
        read = (
            '{"replication_factor_min":-1,"replication_factor_max":-1,"name":"hello",'
            '"mode":"recursive","shard_size":0,"user_allocations":null,'
            '"expire_at":"0001-01-01T00:00:00Z","metadata":{"a":"1","b":"x"},"pin_update":null,'
            f'"origins":[],"cid":"{CID_A}","type":"pin","allocations":[],"max_depth":-1,'
            '"reference":null,"timestamp":"<seconds>"}\n')
        self.assertEqual(self.plain(self.node.get(f"/allocations/{CID_A}")), read)
        removed = self.node.delete(f"/pins/{CID_A}")
        self.assertEqual((removed.status, self.plain(removed)), (200, read))
        self.assertEqual(self.node.delete(f"/pins/{CID_A}").json(), NOT_FOUND)
        self.assertEqual(self.node.get(f"/allocations/{CID_A}").json(), NOT_FOUND)

    def test_no_options_are_null_and_empty(self):
        posted = self.node.post(f"/pins/ipfs/{CID_B}").body.decode()
        self.assertIn('"metadata":{},"pin_update":null,"origins":null', posted)
        read = self.node.get(f"/allocations/{CID_B}").body.decode()
        self.assertIn('"metadata":null,"pin_update":null,"origins":[]', read)

    def test_direct_is_meant_on_both_paths(self):
        for path in ("/pins/", "/pins/ipfs/", "/pins/ipld/"):
            posted = self.node.post(path + CID_A + "?mode=direct").json()
            self.assertEqual((posted["mode"], posted["max_depth"]), ("direct", 0))
            stored = self.node.get(f"/allocations/{CID_A}").json()
            self.assertEqual((stored["mode"], stored["max_depth"]), ("direct", 0))
            self.assertEqual(self.node.delete("/pins/" + CID_A).status, 200)

    def test_recursive_to_direct_is_refused(self):
        self.node.post(f"/pins/{CID_A}")
        self.assert_error(
            self.node.post(f"/pins/ipfs/{CID_A}?mode=direct"), 500,
            "cannot repin a CID which is already pinned in recursive mode (new pin is pinned as "
            "direct). Unpin it first.")

    def test_bad_option_writes_nothing(self):
        for method in ("POST", "DELETE", "GET"):
            answer = self.node.request(method, f"/pins/{CID_A}?replication-min=x")
            self.assert_error(answer, 400, "parameter replication-min invalid")
        self.assert_error(self.node.get(f"/allocations/{CID_A}?expire-in=1ms"), 400,
                          "expire-in duration too short")
        self.assertEqual(self.node.get(f"/allocations/{CID_A}").status, 404)

    def test_user_errors_behind_the_api_are_500(self):
        rows = {
            "replication-min=2&replication-max=1": "cluster.replication_factor_min is larger than max",
            "replication-min=-1&replication-max=1":
                "cluster.replication_factor_min and max must be -1 when one of them is",
            "replication=-2": "cluster.replication_factor_min is wrong",
            "replication=5":
                "not enough peers to allocate CID. Needed at least: 5. Wanted at most: 5. Available "
                "candidates: 1. See logs for more info.",
            "expire-at=2020-01-01T00:00:00Z": "pin.ExpireAt set before current time",
            "expire-at=1970-01-01T00:00:00Z": "pin.ExpireAt set before current time",
        }
        for query, message in rows.items():
            self.assert_error(self.node.post(f"/pins/{CID_A}?{query}"), 500, message)

    def test_bytes_that_are_no_text(self):
        for query in ("name=%ff%fe", "meta-a=%c3", "meta-%80=x"):
            answer = self.node.post(f"/pins/{CID_A}?{query}")
            self.assertEqual(answer.status, 400)
            answer.json()
        self.assertEqual(self.node.post(f"/pins/{CID_A}?meta-%00b=x&name=a%00").status, 200)

    def test_record_over_its_limit(self):
        # The head's limit is lower than a record's, so that it takes many names; bulk can.
        body = b'{"cid":"%s","name":"%s"}\n' % (CID_A.encode(), b"n" * 70000)
        lines = self.node.post("/pins", body).lines()
        self.assertEqual(len(lines), 1)
        self.assertEqual(lines[0]["line"], 1)
        self.assertIn("over the limit of 65536 bytes", lines[0]["error"])

    def test_user_allocations_are_echoed(self):
        posted = self.node.post(f"/pins/{CID_A}?replication=1&user-allocations=x,{FOREIGN},{self.id}")
        self.assertEqual(posted.json()["user_allocations"], [FOREIGN, self.id])
        self.assertEqual(posted.json()["allocations"], [self.id])
        self.assertIsNone(self.node.get(f"/allocations/{CID_A}").json()["user_allocations"])

    def test_update(self):
        self.node.post(f"/pins/{CID_A}?name=from&meta-a=1&expire-at=2030-01-01T00:00:00Z")
        answer = self.node.post(f"/pins/{CID_B}?pin-update={CID_A}&name=to&meta-a=2").json()
        self.assertEqual(
            [answer[key] for key in ("name", "metadata", "pin_update", "origins", "cid", "expire_at")],
            ["to", {"a": "1"}, CID_A, [], CID_B, "2030-01-01T00:00:00Z"])
        kept = self.node.post(f"/pins/{CID_C}?pin-update={CID_A}").json()
        self.assertEqual(kept["name"], "from")
        self.assertEqual(self.node.get(f"/allocations/{CID_A}").json()["name"], "from")
        self.node.delete(f"/pins/{CID_A}")
        self.assertEqual(self.node.post(f"/pins/{CID_B}?pin-update={CID_A}").json(), NOT_FOUND)

    def test_paths(self):
        self.assert_error(
            self.node.post("/pins/ipfs/abc"), 400,
            'error parsing path: invalid path "/ipfs/abc": invalid cid: selected encoding not supported')
        for path in (f"/pins/ipfs/{CID_A}/a/b", f"/pins/ipfs/{CID_A}%2Fa", "/pins/ipns/example.org"):
            for method in ("POST", "DELETE"):
                answer = self.node.request(method, path)
                self.assertEqual(answer.status, 501)
                self.assertIn("path resolution comes with the IPFS connector and is not in this release",
                              answer.json()["message"])
        self.assertEqual(self.node.post(f"/pins/ipfs/{CID_A}").status, 200)
        self.assertEqual(self.node.delete(f"/pins/ipld/{CID_A}").status, 200)

    def test_bad_cids(self):
        for path, text in (("/pins/abc", "selected encoding not supported"),
                           (f"/allocations/{CID_A}%20", "illegal base32 data at input byte 58"),
                           ("/pins?cids=x", "cid too short")):
            self.assert_error(self.node.get(path), 400, "error decoding Cid: invalid cid: " + text)

    # ---- Status ----

    def test_status(self):
        self.node.post(f"/pins/{CID_A}?name=n")
        status = ('{"cid":"%s","name":"n","allocations":[],"origins":[],"created":"<seconds>",'
                  '"metadata":null,"peer_map":{"<self>":{"peername":"tester","status":"pin_queued",'
                  '"timestamp":"<seconds>","error":"%s","attempt_count":0,"priority_pin":false}}}\n'
                  % (CID_A, QUEUED))
        for path in (f"/pins/{CID_A}", f"/pins/{CID_A}?local=true", "/pins", "/pins?local=true",
                     "/pins?local=false&filter=&cids=", f"/pins?cids={CID_A}&filter=pinned",
                     "/pins?filter=pinned,queued"):
            self.assertEqual(self.plain(self.node.get(path)), status)
        recovered = self.node.post(f"/pins/{CID_A}/recover")
        self.assertEqual((recovered.status, self.plain(recovered)), (200, status))
        for path in ("/pins?filter=pinned,error", "/pins?filter=remote"):
            self.assertEqual(self.node.get(path).status, 204)

    def test_status_of_nothing(self):
        body = self.plain(self.node.get(f"/pins/{CID_C}"))
        self.assertEqual(
            body, '{"cid":"%s","name":"","allocations":[],"origins":null,"created":"<nanoseconds>",'
            '"metadata":null,"peer_map":{"<self>":{"peername":"tester","status":"unpinned",'
            '"timestamp":"<nanoseconds>","error":"","attempt_count":0,"priority_pin":false}}}\n' % CID_C)
        self.assertEqual(self.plain(self.node.post(f"/pins/{CID_C}/recover")), body)
        recovered = self.node.post(f"/pins/{CID_C}/recover?local=true")
        self.assert_error(recovered, 404, "pin is not part of the pinset")
        answer = self.node.get(f"/pins?cids={CID_C},{CID_A},{CID_C}")
        self.assertEqual([line["cid"] for line in answer.lines()], [CID_C, CID_A, CID_C])

    def test_status_of_many_large_pins(self):
        """What a list of CIDs asks for is not gathered: 150 pins of 60 KiB are more than one answer holds."""
        body = b'{"cid":"%s","metadata":{"a":"%s"}}\n' % (CID_A.encode(), b"m" * 60000)
        self.assertEqual(self.node.post("/pins", body).lines()[0]["cid"], CID_A)
        answer = self.node.get("/pins?cids=" + ",".join([CID_A] * 150))
        self.assertEqual((len(answer.lines()), answer.trailers), (150, [("x-stream-error", "")]))
        self.assertTrue(all(len(line["metadata"]["a"]) == 60000 for line in answer.lines()))

    def test_filters_that_say_nothing(self):
        for path in ("/pins?filter=xx", "/pins?filter=undefined", "/allocations?filter=xx,yy"):
            self.assert_error(self.node.get(path), 400, "invalid filter value")

    def test_parts_of_a_sharded_pin(self):
        """They are pinned by an import only, and go with their root."""
        for kind, text in (("shard-pin", "a shard"), ("clusterdag-pin", "a Cluster DAG")):
            line = b'{"cid":"%s","type":"%s","max_depth":1}\n' % (CID_A.encode(), kind.encode())
            self.assertTrue(self.node.post("/import", line).lines()[-1]["done"])
            for path in (f"/pins/{CID_A}", f"/pins/ipfs/{CID_A}"):
                self.assert_error(self.node.delete(path), 500,
                                  f"cannot unpin {text} directly. Unpin content root CID instead")
            self.assertEqual(self.node.get(f"/allocations/{CID_A}").json()["type"], kind)

    # ---- Streams ----

    def test_stream_headers(self):
        empty = self.node.get("/allocations")
        self.assertEqual((empty.status, empty.body, empty.header("trailer")),
                         (204, b"", "X-Stream-Error"))
        self.node.post(f"/pins/{CID_A}")
        for path in ("/allocations", "/pins", "/peers", f"/pins?cids={CID_A}", "/allocations?limit=5"):
            answer = self.node.get(path)
            self.assertEqual((answer.status, answer.header("trailer"), answer.trailers),
                             (200, "X-Stream-Error", [("x-stream-error", "")]), path)
        nothing = self.node.post("/pins/recover?local=true")
        self.assertEqual((nothing.status, nothing.header("trailer")), (204, "X-Stream-Error"))

    # ---- The node ----

    def test_id_and_peers(self):
        self.assertEqual(
            self.plain(self.node.get("/id")).replace(self.node.get("/version").json()["version"], "V"),
            '{"id":"<self>","addresses":[],"cluster_peers":["<self>"],"cluster_peers_addresses":[],'
            '"version":"V","commit":"","rpc_protocol_version":"/zpin/1.0/rpc","error":"","ipfs":'
            '{"addresses":null,"error":"no IPFS daemon is configured on this node"},'
            '"peername":"tester"}\n')
        self.assertEqual(self.node.get("/peers").lines(), [self.node.get("/id").json()])

    def test_peers_cannot_change(self):
        for body in (b"", b"{", b'{"peer_id":5}', b'{"peer_id"', b"\xff\xfe"):
            self.assert_error(self.node.post("/peers", body), 400, "error decoding request body")
        for body in (b"{}", b'{"peer_id":"x"}', b'{"peer_id":null}'):
            self.assert_error(self.node.post("/peers", body), 400, "error decoding peer_id")
        for body in (b'{"peer_id":"%s"} and more', b'{"PEER_ID":"%s"}', b'{"\\u0050eer_id":"%s"}'):
            self.assert_error(self.node.post("/peers", body % FOREIGN.encode()), 500,
                              "failed to find any peer in table")
        self.assert_error(self.node.post("/peers", b"null"), 400, "error decoding peer_id")
        self.assertEqual(self.node.post("/peers", b'{"peer_id":"%s"}' % self.id.encode()).json()["id"],
                         self.id)
        self.assertEqual(self.node.post("/peers", b" " * 70000).status, 413)
        self.assert_error(self.node.delete("/peers/x"), 400,
                          "error decoding Peer ID: failed to parse peer ID: invalid cid: cid too short")
        self.assert_error(self.node.delete("/peers/" + FOREIGN), 500,
                          "crdt consensus component cannot remove peers")

    def test_health(self):
        health = self.node.get("/health")
        self.assertEqual((health.status, health.body, health.header("content-type")),
                         (204, b"", "application/json"))
        self.assertEqual(self.node.get("/health/alerts").body, b"[]\n")
        self.assertEqual(self.node.get("/health/bandwidth").body, b"{}\n")
        self.assertEqual(
            self.plain(self.node.get("/health/graph")),
            '{"cluster_id":"<self>","id_to_peername":{"<self>":"tester"},"ipfs_links":{},'
            '"cluster_links":{"<self>":[]},"cluster_trust_links":{"<self>":true},'
            '"cluster_to_ipfs":{}}\n')

    def test_metrics(self):
        names = self.node.get("/monitor/metrics").json()
        self.assertEqual(names, ["freespace", "numpin", "ping", "pinqueue", "tag:group"])
        self.node.post(f"/pins/{CID_A}")
        for name in names:
            metric, = self.node.get("/monitor/metrics/" + name).json()
            self.assertEqual(list(metric), ["name", "peer", "value", "expire", "valid", "weight",
                                            "partitionable", "received_at"])
            self.assertEqual((metric["name"], metric["peer"]), (name, self.id))
            self.assertGreater(metric["expire"], metric["received_at"])
            self.assertIsInstance(metric["value"], str)
        self.assertEqual(self.node.get("/monitor/metrics/numpin").json()[0]["value"], "1")
        self.assertGreater(self.node.get("/monitor/metrics/freespace").json()[0]["weight"], 0)
        self.assertEqual(self.node.get("/monitor/metrics/nope").body, b"[]\n")

    def test_page_for_prometheus(self):
        """IPFS Cluster's names with their kinds, so that its dashboards go on; each family once, well formed."""
        gauges = ["pins", "pins_pin_queued", "pins_pinning", "pins_pin_error", "pins_ipfs_pins", "informer_disk"]
        counters = ["pins_pin_add", "pins_pin_add_errors", "blocks_put", "blocks_added_size", "blocks_added",
                    "blocks_put_errors"]
        self.node.post("/pins/" + CID_A)
        with Connection(self.node.management) as connection:
            connection.send_head("GET", "/metrics")
            page = connection.receive()
        self.assertEqual((page.status, page.header("content-type")), (200, "text/plain; version=0.0.4"))
        kinds, values = {}, {}
        for line in page.body.decode().splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                self.assertNotIn(name, kinds)
                kinds[name] = kind
            elif not line.startswith("# HELP "):
                name, value = re.fullmatch(r'([a-z_]+(?:\{[a-z]+="[^"]*"\})?) ([0-9.e+-]+)', line).groups()
                self.assertNotIn(name, values)
                values[name] = float(value)
                self.assertIn(name.partition("{")[0], kinds)
        for kind, names in (("gauge", gauges), ("counter", counters)):
            for name in names:
                self.assertEqual(kinds["ipfscluster_" + name], kind, name)
        self.assertEqual((values["ipfscluster_pins"], values["ipfscluster_pins_pin_queued"]), (1, 1))
        self.assertEqual(values['zpin_pins{type="pin"}'], 1)
        self.assertGreater(values["ipfscluster_informer_disk"], 0)
        self.assertGreater(values["zpin_http_requests_total"], 0)
        for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"):
            self.assertGreater(values[name], 0)

    def test_what_needs_kubo(self):
        self.assert_error(self.node.post("/add", b"x"), 400,
                          "request Content-Type isn't multipart/form-data")
        for kind in ("multipart/form-data", "multipart/mixed;", "Multipart/Form-Data; a=b"):
            self.assert_error(self.node.post("/add", b"x", ["Content-Type: " + kind]), 400,
                              "no multipart boundary param in Content-Type")
        add = self.node.post("/add", b"--b--", ["Content-Type: multipart/form-data; boundary=b"])
        gc = self.node.post("/ipfs/gc?local=true")
        for answer in (add, gc):
            self.assertEqual((answer.status, answer.json()["code"]), (501, 501))

    def test_token_without_accounts(self):
        self.assert_error(self.node.post("/token"), 401, "unauthorized")

    # ---- Paths and methods ----

    def test_redirects(self):
        answer = self.node.get("/pins/?a=b&c=%20")
        self.assertEqual((answer.status, answer.header("location"), answer.header("content-type")),
                         (307, "/pins?a=b&c=%20", "text/html; charset=utf-8"))
        self.assertEqual(answer.body,
                         b'<a href="/pins?a=b&amp;c=%20">Temporary Redirect</a>.\n\n')
        answer = self.node.post(f"/pins/ipfs/{CID_A}/")
        self.assertEqual((answer.status, answer.header("location"), answer.body,
                          answer.header("content-type")),
                         (307, f"/pins/ipfs/{CID_A}", b"", None))
        for path, location in (("//pins", "/pins"), ("/pins/../id?a=b", "/id?a=b"),
                               ("//evil.example/x", "/evil.example/x")):
            answer = self.node.get(path)
            self.assertEqual((answer.status, answer.header("location"), answer.body),
                             (301, location, b""))
        for path in ("//" + "|" * 6000, "/" + "|" * 6000 + "/"):
            answer = self.node.get(path)
            self.assertEqual((answer.status, answer.header("location")), (414, None))

    def test_unknown_and_not_allowed(self):
        for path in ("/nope", "/", "/pins/foo/" + CID_A):
            self.assert_error(self.node.get(path), 404, "not found")
        for method, path in (("PUT", "/pins"), ("OPTIONS", "/pins"), ("HEAD", "/id"),
                             ("PATCH", "/id"), ("BREW", "/id")):
            answer = self.node.request(method, path)
            self.assertEqual((answer.status, answer.body, answer.header("content-type"),
                              answer.header("vary")), (405, b"", None, "Origin"))
        self.assert_error(self.node.post(f"/pins/ipfs/{CID_A}%0A"), 404, "not found")
        bad = self.node.get("/pins/%zz")
        self.assertEqual((bad.status, bad.body), (400, b"400 Bad Request"))

    def test_paths_that_want_elsewhere(self):
        """Escapes are taken off once, dots and slashes lead nowhere but here, and nothing becomes a header."""
        for path, status, location in (
                ("/%2e%2e/id", 301, "/id"), ("/pins/%2E%2E/id", 301, "/id"), ("/pins%2F..%2Fid", 301, "/id"),
                ("/..%2f..%2fid", 301, "/id"), ("/../../id", 301, "/id"), ("/%252e%252e/id", 404, None),
                ("/pins%252F..%252Fid", 404, None), ("/id%00", 404, None), ("/id;x", 404, None), ("/;/id", 404, None),
                ("/\\id", 404, None), ("/id%23", 404, None), ("/id%3Fx", 404, None), ("/%69d", 200, None),
                ("http://evil.example/id", 200, None), ("http://evil.example", 404, None),
                ("//evil.example/x/", 307, "/evil.example/x"), ("///evil.example/", 307, "/evil.example"),
                ("/\\evil.example/", 307, "/%5Cevil.example"), ("/%5Cevil.example/", 307, "/%5Cevil.example"),
                ("/%09/", 307, "/%09"), ("/%0d%0aX-Evil:%20y/", 307, "/%0D%0AX-Evil:%20y"),
                ("/a/?b=%0d%0aX-Evil:y", 307, "/a?b=%0d%0aX-Evil:y")):
            answer = self.node.get(path)
            self.assertEqual((answer.status, answer.header("location")), (status, location), path)
            self.assertIsNone(answer.header("x-evil"))

    def test_texts_of_a_request_do_not_break_its_answer(self):
        """Control characters and quotes of a request come back escaped, in the answer and in the log."""
        for path in ("/pins/ipfs/%00%22%5C%1b", "/pins/%1b%0d", "/pins?cids=%0a", "/allocations/x?expire-at=%22%0a"):
            answer = self.node.request("POST" if "/ipfs/" in path else "GET", path)
            self.assertEqual((answer.status, answer.json()["code"]), (400, 400), path)
            self.assertEqual(answer.body.count(b"\n"), 1)
        self.assertNotIn("\x1b", self.node.log.read_text())

    def test_options_of_the_server(self):
        for headers in ([], ["Origin: http://a.example", "Access-Control-Request-Method: GET"]):
            answer = self.node.request("OPTIONS", "*", headers=headers)
            self.assertEqual((answer.status, answer.body, answer.header("vary")), (200, b"", None))

    def test_bytes_above_ascii_need_no_escape(self):
        """curl sends a name as it is typed."""
        self.node.post(f"/pins/{CID_A}?name=\u00e9\U0001f600&meta-\u4e16=\u00fc")
        pin = self.node.get(f"/allocations/{CID_A}").json()
        self.assertEqual((pin["name"], pin["metadata"]), ("\u00e9\U0001f600", {"\u4e16": "\u00fc"}))
        self.assert_error(self.node.get("/\u00e9"), 404, "not found")
        for path, location in (("/id/?\u00e9", "/id?%c3%a9"), ("/\u00e9/", "/%C3%A9")):
            answer = self.node.get(path)
            self.assertEqual((answer.status, answer.header("location")), (307, location))

    # ---- CORS ----

    def test_cors(self):
        simple = self.node.get("/version", ["Origin: http://a.example"])
        self.assertEqual(
            (simple.header("access-control-allow-origin"), simple.header("vary"),
             simple.header("access-control-allow-credentials"),
             simple.header("access-control-expose-headers")),
            ("*", "Origin", "true",
             "Content-Type, X-Stream-Output, X-Chunked-Output, X-Content-Length"))
        posted = self.node.post("/token", headers=["Origin: http://a.example"])
        self.assertIsNone(posted.header("access-control-allow-origin"))

        def preflight(*headers):
            answer = self.node.request("OPTIONS", "/pins", headers=["Origin: http://a.example", *headers])
            self.assertEqual((answer.status, answer.body, answer.header("vary")), (
                204, b"", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"))
            return (answer.header("access-control-allow-methods"),
                    answer.header("access-control-allow-headers"))

        asked = "Access-Control-Request-Headers: "
        get = "Access-Control-Request-Method: GET"
        self.assertEqual(preflight(get), ("GET", None))
        self.assertEqual(preflight(get, asked + "content-type"), ("GET", "content-type"))
        self.assertEqual(preflight(get, asked + "x-foo"), (None, None))
        self.assertEqual(preflight("Access-Control-Request-Method: POST"), (None, None))


BROWSER = "Accept-Language: en-US,en;q=0.9"  # no page can take it away
EVIL = "Origin: http://evil.example:9094"


def ask(node, method, path, host, *headers):
    with node.connection() as connection:
        connection.send_head(method, path, ["Content-Length: 0", *headers], host)
        return connection.receive(method)


class Browsers(NodeTest):
    """Without accounts: pages of other sites, and those whose own name leads here."""

    environment = {"ZPIN_API_CORS_ALLOWED_ORIGINS": "*, https://app.example"}

    def test_by_a_name_that_may_be_a_page_s_own(self):
        for host in ("evil.example:9094", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9094",
                     "1.2.3", "notlocalhost"):
            for marks in ([BROWSER], [EVIL], ["Referer: http://evil.example:9094/"], ["Sec-Fetch-Site: same-origin"],
                          [BROWSER, "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin"]):
                for method, path in (("GET", "/id"), ("DELETE", f"/pins/{CID_A}"), ("POST", "/import?replace=true"),
                                     ("GET", "/nope"), ("OPTIONS", "/pins")):
                    answer = ask(self.node, method, path, host, *marks)
                    self.assertEqual((answer.status, answer.header("access-control-allow-origin")), (403, None))

    def test_by_address_or_as_localhost(self):
        for host in ("localhost:9094", "LocalHost", "zpin.localhost:9094", "127.0.0.1:9094", "10.1.2.3", "[::1]:9094",
                     "[fe80::1]"):
            self.assertEqual(ask(self.node, "GET", "/id", host, BROWSER).status, 200, host)

    def test_programs_ask_by_any_name(self):
        for headers in ([], ["User-Agent: Go-http-client/1.1", "Accept-Encoding: gzip"],
                        ["accept: */*", "accept-language: *", "sec-fetch-mode: cors", "user-agent: node"]):
            self.assertEqual(ask(self.node, "GET", "/id", "pins.example:9094", *headers).status, 200)

    def test_a_site_that_is_named(self):
        self.assertEqual(ask(self.node, "GET", "/id", "pins.example", BROWSER,
                             "Origin: https://app.example").status, 200)

    def test_other_sites_do_not_write(self):
        """A form of any site may POST; what it can do must not depend on reading the answer."""
        self.node.post(f"/pins/{CID_A}")
        for path in ("/import?replace=true", f"/pins/{CID_B}", "/pins"):
            for marks in ([EVIL], ["Origin: null"], [EVIL, "Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: same-site"]):
                self.assertEqual(ask(self.node, "POST", path, "127.0.0.1:9094", *marks).status, 403, path)
        self.assertEqual([pin["cid"] for pin in self.node.get("/allocations").lines()], [CID_A])
        for marks in (["Origin: http://127.0.0.1:9094"], ["Origin: https://a.example", "Sec-Fetch-Site: same-origin"],
                      ["Sec-Fetch-Site: none"]):
            self.assertEqual(ask(self.node, "POST", f"/pins/{CID_B}", "127.0.0.1:9094", *marks).status, 200)


class ReadOnly(NodeTest):
    def management(self, path):
        with Connection(self.node.management) as connection:
            connection.send_head("POST", path, ["Content-Length: 0"])
            return connection.receive("POST").status

    def test_writes_are_refused_and_reads_go_on(self):
        self.node.post(f"/pins/{CID_A}")
        self.assertEqual(self.management("/read-only?on=true"), 200)
        try:
            for method in ("POST", "DELETE"):
                answer = self.node.request(method, f"/pins/{CID_A}")
                self.assert_error(answer, 503, "the node is read-only")
                self.assertEqual(answer.header("retry-after"), "1")
            self.assertEqual(self.node.post("/import", b"x").status, 503)
            lines = self.node.post("/pins", f"{CID_A}\nbad\n{CID_B}".encode()).lines()
            self.assertEqual([line["line"] for line in lines], [1, 2, 3])
            self.assertEqual(lines[0]["error"], "the node is read-only")
            self.assertEqual(self.node.get(f"/allocations/{CID_A}").status, 200)
        finally:
            self.assertEqual(self.management("/read-only?on=false"), 200)


class Configured(NodeTest):
    """Own headers and own CORS rules."""

    environment = {
        "ZPIN_API_HEADERS": "{X-One: '1', X-Two: two}",
        "ZPIN_API_CORS_ALLOWED_ORIGINS": "https://*.example",
        "ZPIN_API_CORS_ALLOWED_METHODS": "GET, POST",
        "ZPIN_API_CORS_ALLOWED_HEADERS": "*",
        "ZPIN_API_CORS_ALLOW_CREDENTIALS": "false",
        "ZPIN_API_CORS_MAX_AGE": "1m",
    }

    def test_headers_are_added_where_handlers_answer(self):
        for path in ("/id", "/nope", "/allocations", f"/allocations/{CID_A}"):
            answer = self.node.get(path)
            self.assertEqual((answer.header("x-one"), answer.header("x-two")), ("1", "two"))
        self.assertIsNone(self.node.get("/pins/").header("x-one"))

    def test_cors(self):
        good = self.node.post("/token", headers=["Origin: https://a.example"])
        self.assertEqual(good.header("access-control-allow-origin"), "https://a.example")
        self.assertIsNone(good.header("access-control-allow-credentials"))
        self.assertEqual(good.status, 401)  # there are no accounts
        bad = self.node.post("/token", headers=["Origin: https://a.example.org"])
        self.assertEqual(bad.status, 403)
        bad = self.node.get("/id", ["Origin: https://a.example.org"])
        self.assertEqual((bad.header("access-control-allow-origin"), bad.header("vary")),
                         (None, "Origin"))
        asked = self.node.request("OPTIONS", "/pins", headers=[
            "Origin: https://a.example", "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: x-any"])
        self.assertEqual(
            (asked.header("access-control-allow-methods"), asked.header("access-control-max-age"),
             asked.header("access-control-allow-headers")), ("POST", "60", "x-any"))


if __name__ == "__main__":
    unittest.main()
