"""Reads as of a moment: `as_of=` of a snapshot, a time or the newest checkpoint, while the node goes on."""
import shutil
import threading
import time
import unittest

from node import CID_A, Connection, NodeTest, cid_of

MANY = 16000  # pins with long names: a listing that the sockets do not take while nobody reads
LINE = '{"cid":"%s","name":"%s"}\n'


class AsOf(NodeTest):
    def manage(self, method, path, headers=()):
        with Connection(self.node.management) as connection:
            connection.send_head(method, path, ["Connection: close", *headers])
            return connection.receive(method)

    def done(self, method, path):
        answer = self.manage(method, path)
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def pin(self, numbers, name):
        numbers = list(numbers)
        for first in range(0, len(numbers), 500):
            body = "".join(LINE % (cid_of(number), name) for number in numbers[first:first + 500])
            self.assertEqual([line for line in self.node.post("/pins", body.encode()).lines() if "error" in line], [])

    def unpin(self, numbers):
        for number in numbers:
            self.assertEqual(self.node.delete("/pins/" + cid_of(number)).status, 200)

    def snapshot(self, name):
        self.done("POST", "/snapshot?name=" + name)
        self.addCleanup(self.manage, "DELETE", "/snapshot?name=" + name)

    def names(self, path, meanwhile=None):
        """What the list at that path has, by CID: all pages where it has a limit. Each pin once."""
        found, cursor = {}, ""
        while cursor is not None:
            answer = self.node.get(path + cursor)
            self.assertIn(answer.status, (200, 204), answer.body)
            self.assertFalse(answer.trailer("x-stream-error"))
            for line in answer.lines():
                self.assertNotIn(line["cid"], found)
                found[line["cid"]] = line["name"]
            cursor = answer.header("x-next-cursor")
            cursor = cursor and "&cursor=" + cursor
            if meanwhile is not None:
                meanwhile()
        return found

    @staticmethod
    def expected(numbers, name):
        return {cid_of(number): name for number in numbers}

    # ---- Exactly

    def test_a_snapshot_is_listed_exactly_while_writes_and_merges_go_on(self):
        self.pin(range(300), "then")
        self.snapshot("exact")
        then = self.expected(range(300), "then")
        stop, failures = threading.Event(), []

        def write():
            number = 300
            try:
                while not stop.is_set():
                    self.unpin(range(number - 300, number - 280))
                    self.pin(range(number - 280, number + 20), "now")
                    number += 20
            except Exception as error:  # a thread's failure is nobody's otherwise
                failures.append(error)

        def upkeep():
            while not stop.is_set():
                for path in ("/checkpoint", "/settle", "/seal"):
                    self.manage("POST", path)

        threads = [threading.Thread(target=write), threading.Thread(target=upkeep)]
        for thread in threads:
            thread.start()
        try:
            for path in ("/allocations", "/pins"):
                self.assertEqual(self.names(path + "?as_of=exact&limit=7"), then)
                self.assertEqual(self.names(path + "?as_of=exact"), then)
            self.assertEqual(self.names("/export?as_of=exact"), then)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(failures, [])
        self.assertNotEqual(self.names("/allocations"), then)
        # A restart between two pages changes nothing either.
        done = []

        def restart():
            if not done:
                done.append(True)
                self.node.stop()
                self.node.start()

        self.assertEqual(self.names("/allocations?as_of=exact&limit=120", restart), then)
        self.assertEqual(self.names("/allocations?as_of=exact&limit=100&name=then"), then)
        self.assertEqual(self.names("/allocations?as_of=exact&name=now"), {})

    def test_the_newest_checkpoint_is_listed_exactly(self):
        self.pin(range(100), "then")
        self.done("POST", "/checkpoint")
        then = self.expected(range(100), "then")
        self.pin(range(100, 120), "later")
        self.unpin(range(10))
        self.pin(range(20, 30), "renamed")
        self.assertEqual(self.names("/allocations?as_of=checkpoint"), then)
        self.assertEqual(self.names("/allocations?as_of=checkpoint&limit=30"), then)
        self.assertEqual(self.node.get(f"/allocations/{cid_of(105)}?as_of=checkpoint").status, 404)
        self.assertEqual(self.node.get(f"/allocations/{cid_of(5)}?as_of=checkpoint").json()["name"], "then")
        # Pages go on in the checkpoint that they began in, whatever comes after it.
        number = [1000]

        def go_on():
            self.pin([number[0]], "more")
            self.done("POST", "/checkpoint")
            number[0] += 1
            self.assertEqual(self.node.get("/allocations?as_of=checkpoint").status, 200)  # is open then, too

        self.assertEqual(self.names("/allocations?as_of=checkpoint&limit=30", go_on).get(cid_of(1000)), None)
        self.assertIn(cid_of(1000), self.names("/allocations?as_of=checkpoint"))
        # That one is gone when it is neither open nor kept any more.
        cursor = self.node.get("/allocations?as_of=checkpoint&limit=2").header("x-next-cursor")
        go_on()
        go_on()
        self.node.stop()
        self.node.start()
        answer = self.node.get("/allocations?as_of=checkpoint&limit=2&cursor=" + cursor)
        self.assertEqual(answer.status, 400)
        self.assertIn("begin again", answer.json()["message"])

    def test_one_pin_and_its_status(self):
        self.pin([1], "then")
        self.snapshot("one")
        self.unpin([1])
        self.pin([2], "now")
        then = self.node.get(f"/allocations/{cid_of(1)}?as_of=one")
        self.assertEqual((then.status, then.json()["name"]), (200, "then"))
        self.assertRegex(then.header("x-as-of"), r"^one \d{4}-\d\d-\d\dT[\d:.]+Z$")
        self.assert_error(self.node.get(f"/allocations/{cid_of(2)}?as_of=one"), 404,
                          "pin is not part of the pinset")
        self.assertEqual(self.node.get(f"/allocations/{cid_of(1)}").status, 404)
        status = self.node.get(f"/pins/{cid_of(1)}?as_of=one").json()
        self.assertEqual((status["name"], status["peer_map"][self.id]["status"]), ("then", "pin_queued"))
        status = self.node.get(f"/pins/{cid_of(2)}?as_of=one").json()
        self.assertEqual(status["peer_map"][self.id]["status"], "unpinned")
        lines = self.node.get(f"/pins?cids={cid_of(1)},{cid_of(2)}&as_of=one&local=true").lines()
        self.assertEqual([line["peer_map"][self.id]["status"] for line in lines], ["pin_queued", "unpinned"])
        self.assertEqual(self.names("/pins?as_of=one&filter=pin_queued"), {cid_of(1): "then"})
        self.assertEqual(self.node.get("/pins?as_of=one&filter=pinned").status, 204)

    # ---- Which

    def test_by_time(self):
        self.assertEqual(self.node.get("/allocations?as_of=2001-01-01T00:00:00Z").status, 404)
        self.pin([1], "first")
        self.snapshot("zz")
        time.sleep(0.01)
        self.pin([1], "second")
        self.snapshot("aa")
        first, second = [snapshot["time"] for snapshot in self.done("GET", "/snapshots").json()]
        self.assertLess(first, second)
        for moment, name in ((first, "first"), (second, "second"), ("2999-01-01T00:00:00Z", "second"),
                             (second[:-1] + "+00:00", "second")):
            path = "/allocations?as_of=" + moment.replace("+", "%2B")
            self.assertEqual(self.names(path), {cid_of(1): name}, moment)
        self.assertEqual(self.node.get("/allocations?as_of=2001-01-01T00:00:00Z").status, 404)

    def test_what_is_no_moment(self):
        answer = self.node.get("/allocations?as_of=none")
        self.assertEqual(answer.status, 404)
        self.assertIn("GET /snapshots", answer.json()["message"])
        self.assertEqual(answer.header("x-zpin-error"), "NOT_FOUND")
        for wrong in ("", "..", "../data", ".", ".x", "a/b", "a%00b", "%2e%2e", "x" * 65, "2020-01-01T00:00",
                      "1:2", "a%20b", "x" * 5000):
            answer = self.node.get("/allocations?as_of=" + wrong)
            self.assertEqual(answer.status, 400, wrong)
            self.assertIn("as_of", answer.json()["message"])
        for method, path in (("POST", f"/pins/{CID_A}"), ("DELETE", f"/pins/{CID_A}"), ("GET", "/peers"),
                             ("POST", "/import"), ("POST", "/pins"), ("GET", "/id"),
                             ("POST", f"/pins/{CID_A}/recover")):
            self.assertEqual(self.node.request(method, path + "?as_of=none", b"").status, 400, path)
        self.assertEqual(self.node.get("/allocations").status, 204)

    def test_cursors_stay_in_their_pinset(self):
        self.pin(range(10), "then")
        self.snapshot("cursors")
        self.pin(range(10, 20), "now")
        self.snapshot("others")
        self.pin([20], "now")
        live = self.node.get("/allocations?limit=3").header("x-next-cursor")
        then = self.node.get("/allocations?limit=3&as_of=cursors").header("x-next-cursor")
        self.assertEqual(then[16:], self.node.get("/pins?limit=3&as_of=cursors").header("x-next-cursor")[16:])
        for query in (f"cursor={then}", f"as_of=cursors&cursor={live}", f"as_of=others&cursor={then}",
                      f"as_of=checkpoint&cursor={then[:-108]}{live}x", f"as_of=cursors&cursor={'0' * 16}{live}",
                      f"as_of=cursors&cursor={then[:-1]}", f"as_of=none&cursor={live}",
                      f"as_of=2999-01-01T00:00:00Z&cursor={then}"):
            for path in ("/allocations", "/pins"):
                for limit in ("", "&limit=5"):
                    answer = self.node.get(f"{path}?{query}{limit}")
                    self.assertEqual(answer.status, 400, query)
                    self.assertIn("cursor", answer.json()["message"])
        # Another name for the same moment is as good.
        self.snapshot("again")
        self.snapshot("twice")
        cursor = self.node.get("/allocations?limit=3&as_of=again").header("x-next-cursor")
        self.assertEqual(len(self.node.get("/allocations?as_of=twice&cursor=" + cursor).lines()), 18)

    # ---- Snapshots come and go

    def test_snapshots_are_listed_and_removed(self):
        self.assertEqual(self.done("GET", "/snapshots").json(), [])
        self.pin(range(5), "x")
        self.snapshot("kept")
        listed = self.done("GET", "/snapshots").json()
        self.assertEqual([(one["name"], one["pins"]) for one in listed], [("kept", 5)])
        self.assertGreater(listed[0]["bytes"], 1000)
        info = self.done("GET", "/info?as_of=kept").json()
        self.assertEqual((info["as_of"], info["pins"], info["time"]), ("kept", 5, listed[0]["time"]))
        self.assertTrue(0 < info["time_bytes"] < info["disk_bytes"])
        self.assertEqual(self.manage("GET", "/info?as_of=none").status, 404)
        self.assertEqual(self.manage("GET", "/info?as_of=").status, 400)
        self.assertEqual(self.manage("DELETE", "/snapshot?name=kept", ["Origin: http://elsewhere"]).status, 403)
        self.assertEqual(len(self.names("/allocations?as_of=kept")), 5)
        self.assertEqual(self.done("DELETE", "/snapshot?name=kept").json(), {"removed": "kept"})
        self.assertEqual(self.manage("DELETE", "/snapshot?name=kept").status, 404)
        self.assertEqual(self.node.get("/allocations?as_of=kept").status, 404)
        self.assertFalse((self.node.root / "data" / "snapshots" / "kept").exists())
        for name in ("..", "../shards", "", ".", "a/b", "x" * 1000):
            self.assertEqual(self.manage("DELETE", "/snapshot?name=" + name).status, 400, name)
        for name in ("checkpoint", "ls", "rm"):
            self.assertEqual(self.manage("POST", "/snapshot?name=" + name).status, 400, name)
        self.assertEqual(self.manage("DELETE", "/snapshots?name=x").status, 404)
        self.assertEqual(self.node.get("/snapshots").status, 404)  # the operator's alone
        self.assertEqual(len(self.names("/allocations")), 5)

    def test_one_that_is_read_is_not_removed(self):
        self.pin(range(MANY), "x" * 500)
        self.snapshot("read")
        with self.node.connection() as reader:
            reader.send_head("GET", "/allocations?as_of=read")
            self.assertEqual(reader.receive_head()[0], 200)
            answer = self.manage("DELETE", "/snapshot?name=read")
            self.assertEqual((answer.status, answer.header("x-zpin-error")), (409, "LOCKED"))
            self.assertIn("being read", answer.json()["message"])
            body = b""
            while chunk := reader.receive_chunk():
                body += chunk
        self.assertEqual(body.count(b"\n"), MANY)
        self.done("DELETE", "/snapshot?name=read")

    def test_a_node_stops_while_one_is_read(self):
        self.pin(range(MANY), "x" * 500)
        self.snapshot("stopped")
        with self.node.connection() as reader:
            reader.send_head("GET", "/allocations?as_of=stopped")
            self.assertEqual(reader.receive_head()[0], 200)
            self.node.stop()
        self.node.start()
        self.assertEqual(len(self.names("/allocations?as_of=stopped")), MANY)

    def test_a_damaged_one_says_so(self):
        self.pin(range(200), "then")
        self.snapshot("hurt")
        folder = self.node.root / "data" / "snapshots" / "hurt"
        shutil.rmtree(sorted((folder / "shards").iterdir())[0])
        answer = self.node.get("/allocations?as_of=hurt")
        self.assertEqual(answer.status, 200)
        self.assertIn("suspended", answer.trailer("x-stream-error"))
        self.assertTrue(0 < len(answer.lines()) < 200)
        there = {line["cid"] for line in answer.lines()}
        missing = next(cid_of(number) for number in range(200) if cid_of(number) not in there)
        self.assertEqual(self.node.get(f"/allocations/{missing}?as_of=hurt").status, 500)
        self.assertEqual(self.done("GET", "/info?as_of=hurt").json()["suspended_shards"], 1)
        self.assertEqual(len(self.names("/allocations")), 200)
        self.assertEqual(self.manage("GET", "/health").status, 204)  # the node is well
        self.snapshot("broken")
        for path in (self.node.root / "data" / "snapshots" / "broken" / "journal").glob("checkpoint-*"):
            data = path.read_bytes()
            path.unlink()  # it is the node's own, too
            path.write_bytes(data[:-1])
        answer = self.node.get("/allocations?as_of=broken")
        self.assertEqual((answer.status, answer.header("x-zpin-error")), (500, "CORRUPT"))
        listed = {one["name"]: one for one in self.done("GET", "/snapshots").json()}
        self.assertIn("checkpoint", listed["broken"]["error"])
        self.assertEqual(listed["hurt"]["pins"], 200)
        answer = self.node.get("/allocations?as_of=2999-01-01T00:00:00Z")
        self.assertEqual((answer.status, answer.header("x-zpin-error")), (500, "CORRUPT"))
        self.done("DELETE", "/snapshot?name=broken")
        # One that was cut short is none, and can be removed.
        (folder.parent / "half" / "shards").mkdir(parents=True)
        answer = self.node.get("/allocations?as_of=half")
        self.assertEqual(answer.status, 404)
        self.assertIn("not finished", answer.json()["message"])
        self.done("DELETE", "/snapshot?name=half")

    def test_more_than_may_be_open(self):
        for number in range(6):
            self.pin([number], "x")
            self.snapshot(f"many{number}")
        failures = []

        def read(index):
            for turn in range(10):
                number = (index + turn) % 6
                answer = self.node.get(f"/allocations?as_of=many{number}")
                if not (answer.status == 200 and len(answer.lines()) == number + 1) and \
                        (answer.status, answer.header("x-zpin-error")) != (503, "FULL"):
                    failures.append((number, answer.status, answer.body[:300]))

        threads = [threading.Thread(target=read, args=(index,)) for index in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        page = self.manage("GET", "/metrics").body.decode()
        self.assertIn("\nzpin_moments_open 4\n", page)
        self.assertIn("\nzpin_moments_held 0\n", page)


if __name__ == "__main__":
    unittest.main()
