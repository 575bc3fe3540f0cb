"""POST /accesses: what those tell who serve content, off, relative and exact; and access=true of reads."""
import json
import time
import unittest

from node import CID_A, CID_B, CID_C, Connection, Node, NodeTest, cid_of

LAST = "2026-01-02T03:04:05Z"


def line(cid, count=None, last=None):
    members = {"cid": cid, "access_count": count, "last_accessed": last}
    return json.dumps({name: value for name, value in members.items() if value is not None})


class Told(NodeTest):
    def tell(self, *lines, query=""):
        return self.node.post("/accesses" + query, "\n".join(lines).encode())

    def told(self, *lines, query=""):
        answer = self.tell(*lines, query=query)
        self.assertEqual((answer.status, answer.header("content-type")), (200, "application/json"), answer.body)
        return answer.json()

    def known(self, cid, query=""):
        pin = self.node.get(f"/allocations/{cid}?access=true{query}").json()
        return pin["access_count"], pin["last_accessed"]

    def pin(self, *cids):
        for cid in cids:
            self.assertEqual(self.node.post("/pins/" + cid).status, 200)


class Exact(Told):
    environment = {"ZPIN_STORAGE_ACCESSES": "exact"}

    def test_lines(self):
        self.pin(CID_A, CID_B)
        self.assertEqual(self.known(CID_A), (0, None))
        before = time.time() - 1
        self.assertEqual(self.told(CID_A, "", "  " + line(CID_B, 41, LAST) + "\r", CID_C, line(CID_B), line(CID_A, 0)),
                         {"noted": 43, "unknown": 1})
        count, last = self.known(CID_A)
        self.assertEqual(count, 1)
        self.assertGreaterEqual(time.time() + 1, time.mktime(time.strptime(last, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone)
        self.assertLessEqual(before - 1, time.mktime(time.strptime(last, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone)
        self.assertEqual(self.known(CID_B)[0], 42)
        self.assertEqual(self.told(line(CID_B, 1, LAST)), {"noted": 1, "unknown": 0})
        self.assertNotEqual(self.known(CID_B)[1], LAST)  # an older one changes nothing
        self.assertEqual(self.told(), {"noted": 0, "unknown": 0})

    def test_nothing_is_shown_unasked(self):
        self.pin(CID_A)
        plain = self.node.get("/allocations/" + CID_A).body
        lists = self.node.get("/allocations").body
        self.told(CID_A)
        self.assertEqual(self.node.get("/allocations/" + CID_A).body, plain)
        self.assertEqual(self.node.get("/allocations").body, lists)
        self.assertEqual(self.node.get("/export").body, lists)
        shown = self.node.get("/allocations/" + CID_A + "?access=true").body
        self.assertTrue(shown.startswith(plain.rstrip()[:-1] + b',"access_count":1,"last_accessed":"'), shown)
        self.assertEqual(json.loads(self.node.get("/allocations?access=true").body), json.loads(shown))

    def test_a_wrong_line_refuses_all(self):
        self.pin(CID_A)
        for wrong, why in ((b"xyz", "line 2: invalid cid"), (b'{"access_count":1}', "line 2: cid is missing"),
                           (b'{"cid":"%s","access_count":4294967296}' % CID_A.encode(), "line 2: access_count: at most"),
                           (b'{"cid":"%s","access_count":-1}' % CID_A.encode(), "line 2"),
                           (b'{"cid":"%s","last_accessed":"soon"}' % CID_A.encode(), "line 2"),
                           (b'{"cid":"%s","last_accessed":"1969-12-31T23:59:59Z"}' % CID_A.encode(), "line 2: last_accessed is before 1970"),
                           (b'{"cid":"%s"' % CID_A.encode(), "line 2"), (b"\x00", "line 2"), (b'{"cid":5}', "line 2"),
                           (b'{"cid":"%s"} x' % CID_A.encode(), "line 2")):
            answer = self.node.post("/accesses", CID_A.encode() + b"\n" + wrong)
            self.assertEqual(answer.status, 400, wrong)
            self.assertTrue(answer.json()["message"].startswith(why), answer.body)
        self.assertEqual(self.known(CID_A)[0], 0)

    def test_limits(self):
        self.pin(CID_A)
        self.assertEqual(self.told(*[CID_A] * 1000)["noted"], 1000)
        self.assertEqual(self.tell(*[CID_A] * 1001).status, 400)
        self.assertEqual(self.known(CID_A)[0], 1000)
        self.assertEqual(self.node.post("/accesses", b"\n" * ((1 << 20) + 1)).status, 413)
        self.assertEqual(self.node.get("/accesses").status, 405)
        self.assertEqual(self.node.post("/accesses").json(), {"noted": 0, "unknown": 0})

    def test_what_was_answered_is_there_after_a_crash_and_counts_once(self):
        self.pin(CID_A)
        query = "?origin=0123456789abcdef0123456789abcdef&sequence="
        for sequence in (1, 2, 2, 1, 3):  # the answer to some was lost
            self.told(line(CID_A, 10 ** sequence), query=query + str(sequence))
        self.assertEqual(self.known(CID_A)[0], 1110)
        for _ in range(2):
            self.node.kill()
            self.node.start()
            self.assertEqual(self.known(CID_A)[0], 1110)
            self.told(line(CID_A, 1), query=query + "3")
        self.assertEqual(self.known(CID_A)[0], 1110)
        for wrong in ("?origin=1&sequence=1", query, query + "0", query + "x", "?sequence=4"):
            self.assertEqual(self.tell(CID_A, query=wrong).status, 400, wrong)

    def test_a_pin_takes_its_accesses_along(self):
        self.pin(CID_A)
        self.told(CID_A)
        self.assertEqual(self.node.delete("/pins/" + CID_A).status, 200)
        self.assertEqual(self.told(CID_A), {"noted": 0, "unknown": 1})
        self.pin(CID_A)
        self.assertEqual(self.known(CID_A), (0, None))

    def test_lists_pages_and_exports_show_them(self):
        cids = [cid_of(number) for number in range(700)]
        self.node.post("/pins?quiet=true", "\n".join(cids).encode())
        self.told(*[line(cid, number + 1, LAST) for number, cid in enumerate(cids)])
        expected = {cid: (number + 1, LAST) for number, cid in enumerate(cids)}

        def shown(lines):
            return {pin["cid"]: (pin["access_count"], pin["last_accessed"]) for pin in lines}

        self.assertEqual(shown(self.node.get("/allocations?access=true").lines()), expected)
        exported = self.node.get("/export?access=true")
        self.assertEqual(shown(exported.lines()), expected)
        pages, cursor = {}, ""
        while cursor is not None:
            answer = self.node.get("/allocations?access=true&limit=99" + cursor)
            pages.update(shown(answer.lines()))
            cursor = answer.header("x-next-cursor")
            cursor = cursor and "&cursor=" + cursor
        self.assertEqual(pages, expected)
        # What an export has can be imported, and then told.
        self.node.post("/import?replace=true", exported.body)
        self.assertEqual(self.known(cids[9]), (0, None))
        self.assertEqual(self.node.post("/accesses", exported.body).status, 200)
        self.assertEqual(shown(self.node.get("/allocations?access=true").lines()), expected)

    def test_as_of(self):
        self.pin(CID_A)
        self.told(line(CID_A, 7, LAST))
        with Connection(self.node.management) as connection:
            connection.send_head("POST", "/snapshot?name=then", ["Connection: close"])
            self.assertEqual(connection.receive("POST").status, 200)
        self.told(CID_A)
        self.assertEqual(self.known(CID_A)[0], 8)
        self.assertEqual(self.known(CID_A, "&as_of=then"), (7, LAST))
        pin, = self.node.get("/allocations?access=true&as_of=then").lines()
        self.assertEqual(pin["access_count"], 7)
        self.assertEqual(self.tell(CID_A, query="?as_of=then").status, 400)


class Relative(Told):
    environment = {"ZPIN_STORAGE_ACCESSES": "relative", "ZPIN_STORAGE_ACCESSES_INTERVAL": "1h"}

    def test_the_first_is_written_soon_and_the_rest_at_a_stop(self):
        self.pin(CID_A)
        self.assertEqual(self.told(line(CID_A, 1, LAST), CID_B), {"noted": 2})
        deadline = time.monotonic() + 60
        while self.known(CID_A)[0] == 0:
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(self.known(CID_A), (1, LAST))
        self.told(line(CID_A, 5))
        self.assertEqual(self.known(CID_A), (1, LAST))
        self.assertEqual(self.tell(CID_A, query="?origin=0123456789abcdef0123456789abcdef&sequence=1").status, 400)
        self.node.stop()
        self.node.start()
        self.assertEqual(self.known(CID_A)[0], 6)


class Off(Told):
    def test_off_says_what_to_do(self):
        self.pin(CID_A)
        self.assert_error(self.tell(CID_A), 501, "accesses are not kept: set storage.accesses to relative or exact")
        self.assertEqual(self.known(CID_A), (0, None))

    def test_what_was_kept_stays(self):
        with Node(environment={"ZPIN_STORAGE_ACCESSES": "exact"}) as node:
            node.post("/pins/" + CID_A)
            node.post("/accesses", CID_A.encode())
            node.stop()
            del node.environment["ZPIN_STORAGE_ACCESSES"]
            node.start()
            self.assertEqual(node.get("/allocations/" + CID_A + "?access=true").json()["access_count"], 1)
            self.assertEqual(node.post("/accesses", CID_A.encode()).status, 501)


if __name__ == "__main__":
    unittest.main()
