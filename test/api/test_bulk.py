"""POST /pins: many pins in one request, answered line by line while it is sent."""
import json
import threading
import time
import unittest

from node import CID_A, CID_B, CID_C, Connection, FOREIGN, NodeTest, cid_of


class Bulk(NodeTest):
    def bulk(self, *lines):
        return self.node.post("/pins", "\n".join(lines).encode() + b"\n")

    def test_forms_of_a_line(self):
        answer = self.bulk(
            CID_A,
            '{"cid":"%s","name":"n","mode":"direct","metadata":{"a":"1"}}' % CID_B,
            '  {"cid":"%s","max_depth":-1,"mode":"direct"}\r' % CID_C)
        self.assertEqual((answer.status, answer.header("content-type"), answer.trailers),
                         (200, "application/json", [("x-stream-error", "")]))
        lines = answer.lines()
        self.assertEqual([line["cid"] for line in lines], [CID_A, CID_B, CID_C])
        self.assertEqual([line["max_depth"] for line in lines], [-1, 0, -1])
        self.assertEqual([line["metadata"] for line in lines], [{}, {"a": "1"}, {}])
        self.assertRegex(lines[0]["timestamp"], r"\.\d+Z$")  # as POST /pins/{cid} answers
        self.assertEqual(self.node.get("/allocations/" + CID_B).json()["name"], "n")

    def test_what_a_listing_gives_is_taken(self):
        self.node.post(f"/pins/{CID_A}?name=a&mode=direct&meta-k=v&expire-at=2030-01-01T00:00:00Z"
                       f"&origins=/ip4/1.2.3.4/tcp/1/p2p/{FOREIGN}&replication=1")
        listed = self.node.get("/allocations").body
        self.node.delete("/pins/" + CID_A)
        self.assertEqual(self.node.post("/pins", listed).status, 200)
        again = self.node.get("/allocations").lines()[0]
        was = json.loads(listed)
        del was["timestamp"], again["timestamp"]
        self.assertEqual(again, was)

    def test_errors_stand_in_their_places(self):
        answer = self.bulk(
            CID_A, "xyz", "", '{"cid":"%s"' % CID_B, '{"cid":"%s","replication_factor_min":-2}' % CID_B,
            '{"name":"x"}', '{"cid":"%s","type":"meta-pin"}' % CID_B, '{"cid":"%s","max_depth":1}' % CID_B,
            '{"cid":"%s","mode":"direct"}' % CID_A, '{"cid":"%s","pin_update":"%s"}' % (CID_C, CID_B), CID_B)
        lines = answer.lines()
        self.assertEqual([line.get("line") for line in lines],
                         [None, 2, 4, 5, 6, 7, 8, 9, 10, None])
        self.assertEqual(lines[1]["error"], "invalid cid: selected encoding not supported")
        self.assertEqual(lines[3]["error"], "cluster.replication_factor_min is wrong")
        self.assertIn("already pinned in recursive mode", lines[7]["error"])
        self.assertEqual(lines[8]["error"], "pin is not part of the pinset")
        self.assertEqual({pin["cid"] for pin in self.node.get("/allocations").lines()}, {CID_A, CID_B})

    def test_empty_body(self):
        for body in (b"", b"\n\n \n"):
            answer = self.node.post("/pins", body)
            self.assertEqual((answer.status, answer.body), (200, b""))

    def test_last_line_without_newline(self):
        self.assertEqual(len(self.node.post("/pins", f"{CID_A}\n{CID_B}".encode()).lines()), 2)

    def test_too_long_line(self):
        long = b'{"cid":"%s","name":"%s"}\n' % (CID_A.encode(), b"x" * (3 << 20))
        answer = self.node.post("/pins", CID_B.encode() + b"\n" + long + CID_C.encode() + b"\n" + long)
        lines = answer.lines()
        self.assertEqual([line.get("line") for line in lines], [None, 2, None, 4])
        self.assertEqual(lines[1]["error"], "the line is longer than 524288 bytes")

    def test_the_longest_line(self):
        """512 KiB are a line, a byte more is none; with a newline behind it or the body's end."""
        def line(cid, length):
            return b'{"cid":"%s"%s}' % (cid.encode(), b" " * (length - len(cid) - 10))

        longest = 512 << 10
        body = b"\n".join((line(CID_A, longest), line(CID_B, longest + 1), line(CID_C, longest), line(CID_A, longest + 1)))
        lines = self.node.post("/pins", body).lines()
        self.assertEqual([line.get("cid") or line["line"] for line in lines], [CID_A, 2, CID_C, 4])

    def test_many_lines_in_order(self):
        count = 30000
        body = "".join(f"{cid_of(i)}\n" if i % 100 else "bad\n" for i in range(count)).encode()
        with self.node.connection() as connection:
            connection.send_head("POST", "/pins", [f"Content-Length: {len(body)}"])
            sender = threading.Thread(target=connection.send, args=(body,))
            sender.start()
            lines = connection.receive("POST").lines()
            sender.join()
        self.assertEqual(len(lines), count)
        for i, line in enumerate(lines):
            self.assertEqual(line.get("cid") or line["line"], cid_of(i) if i % 100 else i + 1)

    def test_answers_come_while_the_body_is_sent(self):
        with self.node.connection() as connection:
            connection.send_head("POST", "/pins", ["Transfer-Encoding: chunked"])
            status, _ = connection.receive_head()
            self.assertEqual(status, 200)
            for number in range(3):
                line = cid_of(number)
                connection.send_chunk(line[:10].encode())
                connection.send_chunk(line[10:].encode() + b"\n")
                self.assertEqual(json.loads(connection.receive_chunk())["cid"], line)
            connection.send_chunk(b"")
            self.assertEqual(connection.receive_chunk(), b"")

    def test_reader_who_does_not_read_stops_the_writer(self):
        """Nothing grows: the node stops taking the body when its answers are not taken."""
        before = self.node.resident_kilobytes()
        body = b"".join(b"%s\n" % cid_of(i).encode() for i in range(200000))
        with self.node.connection(timeout=3) as connection:
            connection.send_head("POST", "/pins", [f"Content-Length: {len(body)}"])
            with self.assertRaises(TimeoutError):
                connection.send(body)
            self.assertLess(self.node.resident_kilobytes() - before, 40 * 1024)
        self.assertEqual(self.node.get("/health").status, 204)

    def test_so_many_at_a_time(self):
        """64 requests with open ends: one more is told so, and goes when another has ended."""
        head = ["Transfer-Encoding: chunked"]
        uploads = [Connection(self.node.port) for _ in range(65)]
        for number, upload in enumerate(uploads[:64]):
            upload.send_head("POST", "/pins" if number % 2 else "/import", head)
            upload.send_chunk(cid_of(number).encode() + b"\n")
        for upload in uploads[:64]:
            self.assertEqual(upload.receive_head()[0], 200)
        uploads[64].send_head("POST", "/pins", head)
        uploads[64].send_chunk(CID_A.encode() + b"\n")
        answer = uploads[64].receive("POST")
        self.assert_error(answer, 503, "64 uploads are under way, which is all there may be")
        uploads[1].send_chunk(b"")
        self.assertIn(cid_of(1).encode(), uploads[1].file.read(400))
        for _ in range(500):  # until the node has noticed the end
            answer = self.node.post("/pins", CID_A.encode())
            if answer.status == 200:
                break
            time.sleep(0.02)
        self.assertEqual(answer.status, 200)
        for upload in uploads:
            upload.close()

    def test_quiet(self):
        """What went well is only counted, so a client may send all before it reads."""
        count = 60000
        body = b"".join(b"%s\n" % cid_of(i).encode() if i % 15000 else b"bad\n" for i in range(count))
        with self.node.connection(timeout=120) as connection:
            connection.send_head("POST", "/pins?quiet=true", [f"Content-Length: {len(body)}"])
            connection.send(body)
            answer = connection.receive("POST")
        self.assertEqual((answer.status, answer.trailers), (200, [("x-stream-error", "")]))
        lines = answer.lines()
        self.assertEqual([line.get("line") for line in lines], [1, 15001, 30001, 45001, None])
        self.assertEqual(lines[-1], {"pinned": count - 4, "failed": 4})
        self.assertEqual(self.node.post("/pins?quiet=true", b"").lines(), [{"pinned": 0, "failed": 0}])

    def test_cut_body(self):
        with self.node.connection() as connection:
            connection.send_head("POST", "/pins", ["Content-Length: 1000"])
            connection.send(f"{CID_A}\n{CID_B}".encode())
            connection.receive_head()
            connection.receive_chunk()
        pins = [pin["cid"] for pin in self.node.get("/allocations").lines()]
        self.assertEqual(pins, [CID_A])


if __name__ == "__main__":
    unittest.main()
