"""Listings: pages, cursors and filters beyond IPFS Cluster's, and constant memory."""
import time
import unittest

from node import CID_A, NodeTest, cid_of


class Lists(NodeTest):
    def fill(self, count, line='{"cid":"%s","name":"n%d","metadata":{"odd":"%d"}}'):
        # In requests whose answers fit the sockets' buffers: this client sends all before it reads, and
        # the answers of a bulk request come while it is still sending.
        for first in range(0, count, 500):
            part = range(first, min(first + 500, count))
            body = "".join(line % (cid_of(i), i, i % 2) + "\n" for i in part).encode()
            answer = self.node.post("/pins", body)
            self.assertEqual([line for line in answer.lines() if "error" in line], [])
        return {cid_of(i) for i in range(count)}

    def pages(self, path):
        """All lines of all pages, and the length of each page."""
        lines, lengths, cursor = [], [], ""
        while cursor is not None:
            answer = self.node.get(path + cursor)
            self.assertIn(answer.status, (200, 204))
            lines += answer.lines()
            lengths.append(len(answer.lines()))
            cursor = answer.header("x-next-cursor")
            cursor = cursor and "&cursor=" + cursor
        return lines, lengths

    def test_pages_hold_everything_once(self):
        cids = self.fill(250)
        streamed = self.node.get("/allocations").lines()
        self.assertEqual({pin["cid"] for pin in streamed}, cids)
        for path in ("/allocations", "/pins"):
            lines, lengths = self.pages(path + "?limit=100")
            self.assertEqual(lengths, [100, 100, 50])
            self.assertEqual([line["cid"] for line in lines], [pin["cid"] for pin in streamed])
        lines, lengths = self.pages("/allocations?limit=125")
        self.assertEqual(lengths, [125, 125])  # nothing is behind the last: no cursor to an empty page
        self.assertEqual(self.pages("/allocations?limit=10000")[1], [250])

    def test_the_newest_first(self):
        times = {cid_of(i): "20%02d-%02d-01T00:00:0%dZ" % (10 + i % 10, 1 + i % 12, i % 3) for i in range(300)}
        body = "".join('{"cid":"%s","timestamp":"%s"}\n' % pin for pin in times.items())
        self.assertEqual(self.node.post("/import", body.encode()).status, 200)
        self.assertEqual(self.node.delete("/pins/" + cid_of(7)).status, 200)
        del times[cid_of(7)]
        newest = sorted(times.values(), reverse=True)
        by_key = [pin["cid"] for pin in self.node.get("/allocations").lines()]
        for path in ("/allocations", "/pins"):
            streamed = [pin["cid"] for pin in self.node.get(path + "?order=newest").lines()]
            self.assertEqual([times[cid] for cid in streamed], newest)
            self.assertEqual(sorted(streamed, key=lambda cid: (times[cid], -by_key.index(cid)), reverse=True), streamed)
            lines, lengths = self.pages(path + "?order=newest&limit=100")
            self.assertEqual(([line["cid"] for line in lines], lengths), (streamed, [100, 100, 99]))
        bounds = "after=2012-01-01T00:00:00Z&before=2015-06-01T00:00:00Z"
        lines, _ = self.pages("/allocations?order=newest&limit=7&" + bounds)
        self.assertEqual([times[line["cid"]] for line in lines],
                         [time for time in newest if "2012-01-01T00:00:00Z" < time < "2015-06-01T00:00:00Z"])
        cursor = self.node.get("/allocations?limit=4&order=newest").header("x-next-cursor")
        self.assertEqual(self.node.get("/allocations?cursor=" + cursor).status, 400)
        self.assertEqual(self.node.get("/allocations?order=oldest").status, 400)

    def test_stream_from_cursor(self):
        self.fill(10)
        page = self.node.get("/allocations?limit=4")
        rest = self.node.get("/allocations?cursor=" + page.header("x-next-cursor"))
        self.assertEqual([pin["cid"] for pin in page.lines() + rest.lines()],
                         [pin["cid"] for pin in self.node.get("/allocations").lines()])

    def test_filters(self):
        self.fill(40)
        for path in ("/allocations", "/pins"):
            named = self.node.get(path + "?name=n7").lines()
            self.assertEqual([line["cid"] for line in named], [cid_of(7)])
            odd = {line["cid"] for line in self.node.get(path + "?meta-odd=1").lines()}
            self.assertEqual(odd, {cid_of(i) for i in range(1, 40, 2)})
            self.assertEqual(self.node.get(path + "?meta-odd=1&name=n8").status, 204)
            lines, lengths = self.pages(path + "?meta-odd=0&limit=8")
            self.assertEqual((lengths, {line["cid"] for line in lines}),
                             ([8, 8, 4], {cid_of(i) for i in range(0, 40, 2)}))
            self.assertEqual(self.node.get(path + "?before=2020-01-01T00:00:00Z").status, 204)
            self.assertEqual(len(self.node.get(path + "?after=2020-01-01T00:00:00Z").lines()), 40)

    def test_last_filter_of_pages_may_find_nothing(self):
        self.fill(5)
        self.assertEqual(self.pages("/allocations?limit=2&name=none"), ([], [0]))

    def test_bad_parameters(self):
        for query in ("limit=0", "limit=10001", "limit=x", "cursor=1", "cursor=" + "0" * 107,
                      "cursor=" + "g" * 108, "before=x", "after=1"):
            for path in ("/allocations", "/pins"):
                self.assertEqual(self.node.get(f"{path}?{query}").status, 400, query)

    def test_export_is_the_listing_as_a_file(self):
        empty = self.node.get("/export")
        self.assertEqual((empty.status, empty.body, empty.trailers),
                         (200, b"", [("x-stream-error", "")]))
        self.fill(30)
        answer = self.node.get("/export")
        self.assertEqual(answer.header("content-type"), "application/x-ndjson")
        self.assertEqual(answer.body, self.node.get("/allocations").body)

    def test_slow_reader_holds_no_memory(self):
        """Many readers who stop reading cost a piece of the answer each, not the listing."""
        count = 20000
        self.fill(count, '{"cid":"%s","name":"' + "x" * 200 + '%d%d"}')
        before = self.node.resident_kilobytes()
        readers = [self.node.connection() for _ in range(50)]
        for reader in readers:
            reader.send_head("GET", "/export")
        heads = [reader.receive_head()[0] for reader in readers]
        time.sleep(0.5)
        grown = self.node.resident_kilobytes() - before
        self.assertEqual(heads, [200] * 50)
        # ThreadSanitizer adds as much as what is touched.
        self.assertLess(grown, 300 * 1024, "50 readers of 12 MB each")
        # The first of them reads on after all, slowly at first, and gets all of it.
        time.sleep(2.2)
        body = b""
        while chunk := readers[0].receive_chunk():
            body += chunk
        self.assertEqual(body.count(b"\n"), count)
        for reader in readers:
            reader.close()

    def test_first_line_comes_at_once(self):
        self.fill(20000, '{"cid":"%s","name":"%d%d"}')
        with self.node.connection() as connection:
            start = time.monotonic()
            connection.send_head("GET", "/allocations")
            connection.receive_head()
            self.assertIn(b"\n", connection.receive_chunk())
            self.assertLess(time.monotonic() - start, 1)
        self.assertEqual(self.node.get("/health").status, 204)

    def test_cut_reader_leaves_nothing_behind(self):
        self.fill(5000, '{"cid":"%s","name":"%d%d"}')
        for _ in range(200):
            with self.node.connection() as connection:
                connection.send_head("GET", "/pins")
                connection.receive_head()
        self.assertEqual(len(self.node.get("/allocations").lines()), 5000)
        self.assertEqual(self.node.post(f"/pins/{CID_A}").status, 200)


if __name__ == "__main__":
    unittest.main()
