"""POST /import and GET /import: a pinset in, with progress, errors and resuming."""
import gzip
import json
import pathlib
import threading
import unittest

from node import CID_A, CID_B, CID_C, FOREIGN, NodeTest, cid_of

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
STREAM = "000102030405060708090a0b0c0d0e0f"
STREAM_TOO = "ff0102030405060708090a0b0c0d0e0f"


class Import(NodeTest):
    def imported(self, body, query=""):
        with self.node.connection(timeout=120) as connection:
            connection.send_head("POST", "/import" + query, [f"Content-Length: {len(body)}"])
            sender = threading.Thread(target=connection.send, args=(body,))
            sender.start()
            answer = connection.receive("POST")
            sender.join()
        return answer

    def test_real_exports_come_back_as_they_were(self):
        for name in ("plain", "mixed"):
            body = gzip.decompress(
                (DATA / f"ipfs-cluster-1.1.6-export-{name}.ndjson.gz").read_bytes())
            answer = self.imported(body, "?replace=true")
            self.assertEqual((answer.status, answer.header("content-type"), answer.trailers),
                             (200, "application/x-ndjson", [("x-stream-error", "")]))
            last = answer.lines()[-1]
            count = body.count(b"\n")
            self.assertEqual((last["done"], last["lines"], last["imported"], last["skipped"]),
                             (True, count, count, 0))
            exported = self.node.get("/export").body
            self.assertEqual(sorted(exported.splitlines()), sorted(body.splitlines()))

    def test_bare_cids(self):
        answer = self.imported(f"{CID_A}\n\n{CID_B}".encode())
        self.assertEqual(answer.lines()[-1]["imported"], 2)
        self.assertEqual({pin["max_depth"] for pin in self.node.get("/allocations").lines()}, {-1})

    def test_bad_line_ends_it(self):
        answer = self.imported(f"{CID_A}\n{CID_B}\nbogus\n{CID_C}\n".encode())
        last = answer.lines()[-1]
        self.assertEqual((answer.status, last["line"]), (200, 3))
        self.assertIn("invalid cid", last["error"])
        self.assertNotIn("done", last)
        pins = {pin["cid"] for pin in self.node.get("/allocations").lines()}
        self.assertEqual(pins, {CID_A, CID_B})

    def test_bad_lines_are_skipped_and_told(self):
        body = f"bogus\n{CID_A}\n{{\"cid\":5}}\n{CID_B}\n".encode()
        lines = self.imported(body, "?skip_bad=true").lines()
        self.assertEqual([line["bad_line"] for line in lines if "bad_line" in line], [1, 3])
        self.assertTrue(all(line["error"] for line in lines if "bad_line" in line))
        last = lines[-1]
        self.assertEqual((last["done"], last["lines"], last["imported"], last["skipped"]),
                         (True, 4, 2, 2))

    def test_very_many_bad_lines(self):
        body = b"x\n" * 100000 + CID_A.encode() + b"\n"
        lines = self.imported(body, "?skip_bad=1").lines()
        told = [line["bad_line"] for line in lines if "bad_line" in line]
        self.assertEqual(told, list(range(1, 100001)))
        self.assertEqual(lines[-1]["imported"], 1)

    def test_replace(self):
        for cid in (CID_A, CID_B):
            self.node.post("/pins/" + cid)
        self.imported(CID_C.encode() + b"\n", "?replace=true")
        self.assertEqual([pin["cid"] for pin in self.node.get("/allocations").lines()], [CID_C])

    def test_replacing_by_nothing_is_refused(self):
        self.node.post("/pins/" + CID_A)
        last = self.imported(b"", "?replace=true").lines()[-1]
        self.assertEqual(last["error"], "the body is empty, and replace would remove every pin")
        self.assertEqual(self.node.get("/allocations/" + CID_A).status, 200)

    def foreign_line(self):
        return json.dumps({"cid": CID_A, "max_depth": -1, "replication_factor_min": 1,
                           "replication_factor_max": 2, "allocations": [FOREIGN],
                           "type": "pin"}).encode() + b"\n"

    def test_foreign_peers_are_kept_and_explained(self):
        self.imported(self.foreign_line())
        self.assertEqual(self.node.get("/allocations/" + CID_A).json()["allocations"], [FOREIGN])
        peers = self.node.get("/pins/" + CID_A).json()["peer_map"]
        self.assertEqual({peer: peers[peer]["status"] for peer in peers},
                         {FOREIGN: "cluster_error", self.id: "remote"})
        self.assertIn("zpin peers map", peers[FOREIGN]["error"])
        self.assertEqual(list(self.node.get(f"/pins/{CID_A}?local=true").json()["peer_map"]), [self.id])
        self.assertEqual(len(self.node.get("/pins?filter=cluster_error").lines()), 1)
        self.assertEqual(self.node.get("/pins?filter=cluster_error&local=true").status, 204)

    def test_foreign_peers_are_mapped(self):
        self.imported(self.foreign_line(), f"?allocations=map&map={FOREIGN}:{self.id}")
        self.assertEqual(self.node.get("/allocations/" + CID_A).json()["allocations"], [self.id])
        self.assertEqual(self.node.get("/pins/" + CID_A).json()["peer_map"][self.id]["status"],
                         "pin_queued")

    def test_foreign_peers_are_dropped(self):
        self.imported(self.foreign_line(), "?allocations=drop")
        self.assertNotIn(FOREIGN, self.node.get("/allocations/" + CID_A).json()["allocations"])

    def test_bad_parameters(self):
        for query in ("allocations=x", f"map={FOREIGN}:{FOREIGN}", "allocations=map&map=a:b",
                      "replace=maybe", "origin=12", "origin=" + "0" * 32):
            self.assertEqual(self.node.post("/import?" + query, b"").status, 400, query)
        self.assertEqual(self.node.get("/import").status, 400)

    def test_stream_goes_on_where_it_was(self):
        self.assertEqual(self.node.get("/import?origin=" + STREAM).json(), {"lines_done": 0})
        first = b"".join(b"%s\n" % cid_of(i).encode() for i in range(500))
        whole = first + b"".join(b"%s\n" % cid_of(i).encode() for i in range(500, 800))
        self.assertEqual(self.imported(first, "?origin=" + STREAM).lines()[-1]["imported"], 500)
        self.assertEqual(self.node.get("/import?origin=" + STREAM).json(), {"lines_done": 500})
        last = self.imported(whole, "?origin=" + STREAM).lines()[-1]
        self.assertEqual((last["lines"], last["imported"]), (800, 300))
        self.assertEqual(self.node.get("/import?origin=" + STREAM).json(), {"lines_done": 800})
        self.assertEqual(len(self.node.get("/allocations").lines()), 800)

    def test_cut_stream_tells_how_far_it_came(self):
        lines = [cid_of(i).encode() + b"\n" for i in range(2000)]
        with self.node.connection() as connection:
            connection.send_head("POST", f"/import?origin={STREAM_TOO}", ["Content-Length: 1000000"])
            connection.receive_head()
            connection.send(b"".join(lines[:1500]) + b"bafkr")
        done = -1
        for _ in range(200):
            now = self.node.get("/import?origin=" + STREAM_TOO).json()["lines_done"]
            if now == done and now > 0:
                break
            done = now
        self.assertLessEqual(done, 1500)
        last = self.imported(b"".join(lines), "?origin=" + STREAM_TOO).lines()[-1]
        self.assertEqual((last["done"], last["lines"]), (True, 2000))
        self.assertEqual(len(self.node.get("/allocations").lines()), 2000)

    def test_pausing_writer(self):
        """A line in two halves, with nothing for a while; other requests go on."""
        with self.node.connection() as connection:
            connection.send_head("POST", "/import", ["Transfer-Encoding: chunked"])
            connection.receive_head()
            connection.send_chunk(CID_A[:20].encode())
            self.assertEqual(self.node.get("/health").status, 204)
            connection.send_chunk(CID_A[20:].encode() + b"\n")
            connection.send_chunk(b"")
            body = b""
            while chunk := connection.receive_chunk():
                body += chunk
        self.assertEqual(json.loads(body.splitlines()[-1])["imported"], 1)

    def test_empty(self):
        last = self.imported(b"").lines()[-1]
        self.assertEqual((last["done"], last["lines"], last["imported"]), (True, 0, 0))


if __name__ == "__main__":
    unittest.main()
