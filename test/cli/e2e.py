#!/usr/bin/env python3
"""The real program from end to end: a node made by `zpin init`, and every command against it.

usage: e2e.py ZPIN [unittest's arguments]
"""
import base64
import gzip
import json
import os
import pathlib
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import unittest

from node import (BROKEN, CID_A, CID_B, CID_C, HANDMADE, LINES, MIXED, PEER, PLAIN, REPOSITORY, WAIT_SECONDS, ZPIN,
                  Case, cid_of, environment, lines_of, wait_for)


class Commands(Case):
    """Each command in text and in JSON against a running node."""

    def setUp(self):
        super().setUp()
        self.node.start()

    def test_pins(self):
        self.assertEqual(self.ok("pin", "add", CID_A, "--name", "first", "-m", "k=v"),
                         f"pinned {CID_A} first\n")
        self.assertEqual(self.json("pin", "add", CID_B, "--mode", "direct")[0]["max_depth"], 0)
        out = self.ok("pin", "add", "-", stdin=f"{CID_C}\n{json.dumps({'cid': cid_of(1)})}\n".encode())
        self.assertEqual(sorted(out.splitlines()), sorted([f"pinned {CID_C}", f"pinned {cid_of(1)}"]))

        self.assertRegex(self.ok("pin", "get", CID_A), r"(?m)^name\s+first$")
        got = self.json("pin", "get", CID_A)[0]
        self.assertEqual((got["cid"], got["name"], got["metadata"]), (CID_A, "first", {"k": "v"}))
        rows = [line.split("\t") for line in self.ok("pin", "ls").splitlines()]
        self.assertEqual(sorted(row[0] for row in rows), sorted([CID_A, CID_B, CID_C, cid_of(1)]))
        self.assertEqual([pin["cid"] for pin in self.json("pin", "ls", "--meta", "k=v")], [CID_A])
        code, out, err = self.node.run("pin", "ls", "--limit", "3")
        self.assertEqual((code, len(out.splitlines())), (0, 3))
        cursor = re.search(r"--cursor (\w+)", err).group(1)
        self.assertEqual(len(self.ok("pin", "ls", "--cursor", cursor).splitlines()), 1)

        self.assertIn(CID_A, self.ok("pin", "status", CID_A))
        status = self.json("pin", "status", CID_A)[0]
        self.assertEqual((status["cid"], status["name"]), (CID_A, "first"))
        self.assertEqual(len(self.json("pin", "status")), 4)
        self.assertIn(CID_A, self.ok("pin", "recover", CID_A))
        self.assertEqual(self.json("pin", "recover", CID_A)[0]["cid"], CID_A)
        self.ok("pin", "recover", "--all")

        self.assertEqual(self.ok("pin", "update", CID_A, cid_of(2)), f"pinned {cid_of(2)} first\n")
        self.assertEqual(self.json("pin", "update", CID_A, cid_of(3), "-n", "x")[0]["name"], "x")
        self.assertEqual(self.ok("pin", "rm", CID_A), f"unpinned {CID_A} first\n")
        self.assertEqual(self.json("pin", "rm", CID_B)[0]["cid"], CID_B)
        # Lines are those of the input, also of empty ones and of what goes in several requests.
        self.fails(1, "line 4: ", "pin", "add", "-", stdin=f"{CID_C}\n\n\nbad\n".encode())
        self.fails(1, "line 3000001: ", "pin", "add", "-", stdin=b"\n" * 3000000 + b"bad\n")
        out = self.ok("pin", "rm", "-", stdin=f"{cid_of(2)}\n{cid_of(3)}\n".encode())
        self.assertEqual(len(out.splitlines()), 2)
        self.assertEqual(len(self.ok("pin", "ls").splitlines()), 2)

    def test_the_node(self):
        self.ok("pin", "add", CID_A)
        identity = json.loads((self.node.folder / "identity.json").read_text())["id"]
        self.assertRegex(self.ok("info"), rf"(?m)^id\t{identity}$")
        self.assertRegex(self.ok("info"), r"(?m)^pins\t1$")
        who, facts = self.json("info")
        self.assertEqual((who["id"], facts["pins"], facts["root"]), (identity, 1, str(self.node.folder)))
        self.assertTrue(self.ok("peers").startswith(identity))
        self.assertEqual(self.json("peers")[0]["id"], identity)
        self.assertIn("freespace", self.ok("metrics").split())
        self.assertIn("freespace", self.json("metrics")[0])
        self.assertIn(identity, self.ok("metrics", "freespace"))
        self.assertEqual(self.json("metrics", "freespace")[0][0]["peer"], identity)
        self.assertIn('zpin_pins{type="pin"} 1\n', self.ok("metrics", "--prometheus"))
        self.assertEqual(self.ok("health"), "the node answers\n")
        self.assertEqual(self.json("health"), [[]])
        versions = self.json("version")[0]
        self.assertEqual(versions["program"], versions["node"]["version"])
        self.assertRegex(self.ok("version"), r"^program\t\S+\nnode\t\S+\n$")

    def test_the_page_of_the_api_names_every_member(self):
        """What management answers, also where there is damage, stands in docs/rest-api.md."""
        page = (REPOSITORY / "docs/rest-api.md").read_text()
        self.ok("import", "-q", HANDMADE)
        for command in ["info", "checkpoint", "verify", "seal"]:
            for member in self.json(command)[-1]:
                self.assertIn(f"`{member}`", page, command)
        self.ok("snapshot", "paged")
        for member in [*self.json("snapshot", "ls")[0][0], *self.json("info", "--as-of", "paged")[0]]:
            self.assertIn(f"`{member}`", page)
        self.assertEqual(self.json("snapshot", "rm", "paged"), [{"removed": "paged"}])
        damaged = self.node.segments()[-1]
        with open(damaged, "r+b") as file:
            file.truncate(100)
        self.node.end()
        self.node.start()
        for command in [["snapshot", "kept"], ["health"]]:
            answer = [json.loads(line) for line in self.fails(4, "damage", "--json", *command).splitlines()]
            members = [member for part in answer if isinstance(part, dict) for member in part]
            self.assertIn("damages", members, command)
            for member in members:
                self.assertIn(f"`{member}`", page, command)

    def test_upkeep(self):
        self.ok("import", "-q", HANDMADE)
        self.assertRegex(self.ok("checkpoint"), r"^checkpoint \d+ at journal position \d+\n$")
        self.assertGreater(self.json("checkpoint")[0]["checkpoint_batch"], 0)
        self.assertRegex(self.ok("verify"), r"^49 pins in \d+ files, \d+ rows, .* no damage\n$")
        report = self.json("verify")[0]
        self.assertEqual((report["pins"], report["damage_count"], report["damages"]), (49, 0, []))
        before = self.exported()
        for pin in [json.loads(line) for line in before if b'"type":1' in line or b'"type":"pin"' in line][:5]:
            self.ok("pin", "rm", pin["cid"])
        self.ok("checkpoint")
        self.ok("import", "-q", HANDMADE)
        self.ok("checkpoint")
        runs = self.json("info")[1]["runs"]
        sealed = self.json("seal")[0]
        self.assertLess(sealed["runs"], runs)
        self.assertLessEqual(sealed["runs"], 16)
        self.assertEqual(self.exported(), before)
        self.assertRegex(self.ok("seal"), r"^runs \d+, bytes of memory \d+\n$")
        self.assertEqual(self.ok("snapshot", "kept"), "made snapshot kept\n")
        self.assertEqual(self.json("snapshot", "kept2"), [{"snapshot": "kept2"}])
        self.fails(1, "exists", "snapshot", "kept")
        self.fails(2, "name", "snapshot", "../out")
        self.fails(2, "invalid", "snapshot", "n" * 5000)
        self.ok("pin", "add", CID_A, "--name", "after the snapshot")
        self.assertTrue((self.node.folder / "snapshots" / "kept").is_dir())
        self.assertEqual(len(self.exported()), len(before) + 1)

    def test_peers_map(self):
        self.ok("import", "-q", HANDMADE)
        own = self.json("info")[0]["id"]
        listed = [peer for pin in self.json("pin", "ls") for peer in pin["allocations"]]
        old = next(peer for peer in listed if peer != own)
        self.assertEqual(self.ok("peers", "map", f"{old}={own}"), f"{old} reads as {own}\n")
        moved = [peer for pin in self.json("pin", "ls") for peer in pin["allocations"]]
        self.assertEqual([own if peer == old else peer for peer in listed], moved)
        self.ok("peers", "map", f"{old}={own}")  # again
        self.fails(2, "the new peer reads as the old one already", "peers", "map", f"{own}={old}")
        self.fails(2, "a peer cannot be moved to itself", "peers", "map", f"{own}={own}")
        self.fails(2, "peer ID", "peers", "map", f"{old}=nobody")
        self.fails(3, "no allocation list has this peer", "peers", "map", f"{PEER}={own}")
        self.assertEqual([peer for pin in self.json("pin", "ls") for peer in pin["allocations"]], moved)
        self.fails(2, "peer", "peers", "map", f"{PEER}=no")
        self.fails(2, "OLD=NEW", "peers", "map", PEER)

    def test_without_a_node(self):
        self.assertIn("zpin pin add", self.ok("help", "pin", "add"))
        self.assertIn("Commands:", self.ok("--help"))
        self.assertIn("_zpin", self.ok("completion", "bash"))
        self.assertEqual(self.ok("config", "check"), "the config is good\n")
        self.assertIn("scan_interval: 24h", self.ok("config", "check", "--show"))
        self.assertIn("#  listen:", self.ok("config", "example"))
        self.assertIn("### node.data", self.ok("config", "reference"))
        self.assertIn("argon2id", self.ok("account", "alice", stdin=b"secret words\n"))

    def test_exit_codes(self):
        self.fails(3, "not part of the pinset", "pin", "get", CID_A)
        self.fails(3, "not part of the pinset", "pin", "rm", CID_A)
        self.fails(2, "Cid", "pin", "get", "no-cid")
        self.fails(2, "Cid", "pin", "add", "no-cid")
        self.fails(2, "[Ee]xpir", "pin", "add", CID_A, "--expire-at", "never")
        for cids in [CID_A, "-"]:
            self.fails(2, "one of them", "pin", "add", cids, "--expire-at", "2999-01-01T00:00:00Z", "--expire-in", "1h")
        self.fails(2, "unknown command", "pins")
        self.fails(2, "unknown option", "pin", "ls", "--no-such")
        self.fails(2, "needs", "pin", "get")
        for command in [["import", "/nowhere/file"], ["export", "-o", "/nowhere/file"]]:
            self.fails(2, "/nowhere/file", *command)
        for command in [["serve"], ["init"], ["config", "check"], ["verify", "--offline"], ["pin", "ls"]]:
            self.fails(2, "^zpin: read /nowhere/file: No such file", *command, "--config", "/nowhere/file")
        self.fails(1, "no node answers", "pin", "ls", ZPIN_API="unix:/nowhere.sock")
        self.fails(1, "no node answers", "verify", ZPIN_API="unix:/nowhere.sock")
        self.fails(1, "no node answers", "info", ZPIN_API="http://127.0.0.1:1")
        self.fails(1, str(self.node.process.pid), "export", "--offline")
        self.fails(1, str(self.node.process.pid), "verify", "--offline")
        with socket.socket() as deaf:
            deaf.bind(("127.0.0.1", 0))
            deaf.listen()
            self.fails(62, "no answer in time", "--timeout", "1s", "pin", "ls",
                       ZPIN_API=f"http://127.0.0.1:{deaf.getsockname()[1]}")


class Accesses(Case):
    """What is told of reads, and where it is shown."""

    def test_told_and_shown(self):
        self.node.set("storage", "accesses", "exact")
        self.node.start()
        self.ok("pin", "add", CID_A, CID_B)
        self.assertEqual(self.ok("access", "note", CID_A, CID_A), "noted 2\n")
        self.assertEqual(self.ok("access", "note", "--count", "40", "--last", "2020-01-02T03:04:05Z", CID_B), "noted 40\n")
        code, out, err = self.node.run("access", "note", CID_C)
        self.assertEqual((code, out), (0, "noted 0\n"))
        self.assertIn("1 were of CIDs that are not pinned", err)
        self.assertEqual(self.json("access", "note", CID_A), [{"noted": 1, "unknown": 0}])
        rows = {row[0]: row[1:] for row in (line.split("\t") for line in self.ok("pin", "ls", "--access").splitlines())}
        self.assertEqual(rows[CID_A][-2], "3")
        self.assertEqual(rows[CID_B][-2:], ["40", "2020-01-02T03:04:05Z"])
        self.assertEqual({len(row.split("\t")) for row in self.ok("pin", "ls").splitlines()}, {6})
        self.assertEqual(self.ok("pin", "ls", CID_B, "--access").split("\t")[-2], "40")
        self.assertRegex(self.ok("pin", "get", CID_B, "--access"), r"(?m)^access_count\s+40$")
        self.assertNotIn("access_count", self.ok("pin", "get", CID_B))
        # An export takes them along to whoever is told them.
        exported = self.ok("export", "--access")
        self.assertEqual({json.loads(line)["access_count"] for line in exported.splitlines()}, {3, 40})
        self.assertNotIn("access_count", self.ok("export"))
        self.assertEqual(self.ok("access", "note", "-", stdin=exported.encode()), "noted 43\n")
        many = "".join(f"{CID_A}\n" for _ in range(2500))
        self.assertEqual(self.ok("access", "note", "-", stdin=many.encode()), "noted 2500\n")
        self.assertEqual(self.json("pin", "get", CID_A, "--access")[0]["access_count"], 2506)
        unknown = "".join(f"{cid_of(9)}\n" for _ in range(2500))
        self.fails(2, "line 2503: ", "access", "note", "-", stdin=f"\n\n{unknown}nonsense\n".encode())
        self.fails(2, "line 1: invalid cid", "access", "note", "nonsense")
        self.node.end()
        self.fails(2, "not with --offline", "export", "--offline", "--access")
        self.assertEqual(self.node.run("verify", "--offline", "--deep")[0], 0)
        self.node.set("storage", "accesses", '"off"')
        self.node.start()
        self.fails(1, "storage.accesses", "access", "note", CID_A)
        self.assertEqual(self.json("pin", "get", CID_A, "--access")[0]["access_count"], 2506)
        self.ok("pin", "rm", CID_A)
        self.ok("pin", "add", CID_A)
        self.assertEqual(self.json("pin", "get", CID_A, "--access")[0]["access_count"], 0)
        self.assertIn("never", self.ok("pin", "ls", CID_A, "--access"))

class Imports(Case):
    """Pinsets in and out again, into a running node and into a stopped one."""

    def all_lines(self):
        lines = sorted(lines_of(PLAIN) + lines_of(MIXED) + lines_of(HANDMADE))
        self.assertEqual(len(lines), LINES)
        return lines

    def assert_same_pins(self, left, right):
        """Field by field; the lines' order and the order of members are free."""
        def pins(lines):
            return {(pin["cid"], pin["type"]): pin for pin in map(json.loads, lines)}

        self.assertEqual(len(left), len(right))
        left, right = pins(left), pins(right)
        self.assertEqual(len(left), len(right))
        for key, pin in left.items():
            self.assertEqual(right.get(key), pin)

    def import_all(self, *options):
        for path, count in [(PLAIN, 21984), (MIXED, 6000), (HANDMADE, 49)]:
            code, out, err = self.node.run("import", *options, path)
            self.assertEqual((code, out), (0, ""), err)
            self.assertRegex(err, rf"^zpin: imported {count} pins, [1-9]\S* [kM]B in [0-9.]+s, .* pins/s\n$")

    def test_running_node_gives_back_what_it_took(self):
        self.node.start()
        self.import_all()
        lines = self.all_lines()
        exported = self.exported()
        self.assert_same_pins(exported, lines)
        path = self.path("out.ndjson")
        code, out, err = self.node.run("export", "-o", path)
        self.assertEqual((code, out), (0, ""))
        self.assertRegex(err, rf"^zpin: exported {LINES} pins, [0-9.]+ MB in [0-9.]+s\n$")
        self.assertEqual(sorted(lines_of(path)), exported)
        self.assertEqual(self.node.end(), 0)
        self.assertEqual(self.exported("--offline"), exported)
        self.node.start()
        self.assertEqual(self.exported(), exported)
        self.ok("verify")

    def test_stopped_node_gives_back_what_it_took(self):
        self.import_all("--offline")
        exported = self.exported("--offline")
        self.assert_same_pins(exported, self.all_lines())
        self.assertRegex(self.ok("verify", "--offline"), rf"^{LINES} pins in \d+ files")
        report = self.json("verify", "--offline")[0]
        self.assertEqual((report["pins"], report["damages"]), (LINES, []))
        self.node.start()
        self.assertEqual(self.exported(), exported)

    def check_modes(self, *options):
        first = self.path("first", f"{CID_A}\n{CID_B}\n".encode())
        second = self.path("second", f'{{"cid":"{CID_B}","name":"new"}}\n{{"cid":"{CID_C}"}}\n'.encode())

        def pins():
            return {pin["cid"]: pin["name"] for pin in map(json.loads, self.exported(*options))}

        self.ok("import", *options, first)
        self.ok("import", *options, first)  # what is there already is taken again
        self.ok("import", *options, "--mode", "merge", second)
        self.assertEqual(pins(), {CID_A: "", CID_B: "new", CID_C: ""})
        self.ok("import", *options, "--mode", "replace", first)
        self.assertEqual(pins(), {CID_A: "", CID_B: ""})
        self.fails(2, "empty", "import", *options, "--mode", "replace", self.path("none", b""))
        self.assertEqual(len(pins()), 2)
        self.fails(2, "--mode replace removes every pin before the first line", "import", *options, "--mode", "replace",
                   self.path("bad", f"{CID_C}\nno-cid\n{CID_A}\n".encode()))
        self.assertEqual(set(pins()), {CID_C})

    def test_merge_and_replace(self):
        self.check_modes("--offline")
        self.node.start()
        self.check_modes()

    def test_an_import_is_not_known_from_an_earlier_one(self):
        """A file whose pins were removed meanwhile comes back whole, every time."""
        self.node.start()
        path = self.path("two", f"{CID_A}\n{CID_B}\n".encode())
        for _ in range(6):
            self.ok("import", path)
            self.assertEqual(len(self.exported()), 2)
            self.ok("pin", "rm", CID_A, CID_B)
        self.assertEqual(self.node.end(), 0)
        self.ok("import", "--offline", path)
        self.assertEqual(len(self.exported("--offline")), 2)
        code, _, err = self.node.run("import", "--offline", "--resume", "--mode", "replace", path)
        self.assertEqual(code, 0)
        self.assertIn("from line 1 on", err)

    def check_maps(self, *options):
        lines = [json.loads(line) for line in lines_of(HANDMADE)]
        old = next(pin["allocations"][0] for pin in lines if pin["allocations"])
        expected = {(pin["cid"], pin["type"]): [PEER if peer == old else peer
                                                for peer in pin["allocations"]] for pin in lines}

        def allocations():
            return {(pin["cid"], pin["type"]): pin["allocations"]
                    for pin in map(json.loads, self.exported(*options))}

        self.ok("import", *options, "--allocations", "map", "--map", f"{old}={PEER}", HANDMADE)
        self.assertEqual(allocations(), expected)
        self.ok("import", *options, "--allocations", "drop", HANDMADE)
        self.assertEqual(set(map(tuple, allocations().values())), {()})
        self.fails(2, "go together", "import", *options, "--map", f"{old}={PEER}", HANDMADE)
        self.fails(2, "peer", "import", *options, "--allocations", "map", "--map", "a=b", HANDMADE)

    def test_maps(self):
        self.check_maps("--offline")
        self.node.start()
        self.check_maps()

    def test_killed_import_goes_on_where_it_was(self):
        count = 400000
        path = self.path("cids", "".join(cid_of(i) + "\n" for i in range(count)).encode())
        self.node.start()
        client = subprocess.Popen([ZPIN, "import", "-q", str(path)],
                                  env=environment(ZPIN_API=f"unix:{self.node.socket}"))
        try:
            wait_for("pin", lambda: self.json("info")[1]["pins"] > 1000)
        finally:
            client.kill()
        self.assertEqual(client.wait(), -signal.SIGKILL)
        self.assertLess(self.json("info")[1]["pins"], count, "the import was over before it was killed")
        code, _, err = self.node.run("import", "--resume", path)
        self.assertEqual(code, 0, err)
        behind = int(re.search(r"^zpin: going on behind line (\d+)$", err, re.M).group(1))
        self.assertGreater(behind, 0)
        self.assertLess(behind, count)
        pins = [json.loads(line)["cid"] for line in self.ok("export", "-q").splitlines()]
        self.assertEqual(sorted(pins), sorted(cid_of(i) for i in range(count)))
        code, _, err = self.node.run("import", "--resume", path)
        self.assertEqual(code, 0)
        self.assertRegex(err, f"behind line {count}\n(.*\n)*zpin: nothing was left of that import")
        self.fails(2, "needs a file", "import", "--resume", "-", stdin=b"x")

    def test_how_to_go_on_is_told_whole_and_without_passwords(self):
        self.node.start()
        folder = self.path("d" * 200)
        for _ in range(12):
            folder = folder / ("d" * 200)
        folder.mkdir(parents=True)
        path = folder / "file"
        path.write_text("".join(cid_of(i) + "\n" for i in range(400000)))
        url = self.node.urls["REST API"].replace("http://", "http://alice:hush@")
        client = subprocess.Popen([ZPIN, "import", "--api", url, "--credentials", "bob:quiet", str(path)],
                                  env=environment(), stderr=subprocess.PIPE, text=True)
        wait_for("pin", lambda: self.json("info")[1]["pins"] > 1000)
        self.assertEqual(self.node.end(signal.SIGKILL), -signal.SIGKILL)
        _, err = client.communicate()
        self.assertEqual(client.returncode, 1)
        self.assertIn(f"go on with: zpin import --resume --api {url.replace('alice:hush', 'USER:PASSWORD')} "
                      f"--credentials USER:PASSWORD {path}\n", err)
        for address in ("http://alice:hu/sh@127.0.0.1:1", "http://alice:hush@127.0.0.1:1", "alice:hush@127.0.0.1:1"):
            code, _, more = self.node.run("import", "--api", address, path)
            self.assertIn(code, (1, 2))  # 2: curl takes it for no address
            err += more
        self.assertNotRegex(err, "hush|quiet|alice|bob")

    def test_damaged_journal_is_repaired(self):
        lines = lines_of(MIXED)
        thirds = [lines[:2000], lines[2000:4000], lines[4000:]]
        self.node.start()
        for third in thirds:  # no batch has pins of two imports, so the middle one's are hit
            self.ok("import", "-", stdin=b"\n".join(third))
        self.node.end(signal.SIGKILL)
        log = next((self.node.folder / "journal").glob("journal-*.log"))
        damaged = bytearray(log.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        log.write_bytes(damaged)
        code, _, err = self.node.run("export", "--offline")
        self.assertEqual(code, 4)
        self.assertIn("zpin repair", err)
        code, out, err = self.node.run("repair", "--json")
        self.assertEqual((code, json.loads(out)["missing_batches"]), (4, 1))
        self.assertIn("--accept-loss", err)
        self.assertIn("a new journal begins", self.ok("repair", "--accept-loss"))
        self.assertEqual(self.ok("repair"), "the journal is fine, nothing was done\n")
        left = {json.loads(line)["cid"] for line in self.ok("export", "--offline").splitlines()}
        self.assertLess(len(left), 6000)
        self.assertLessEqual({json.loads(line)["cid"] for line in thirds[0] + thirds[2]}, left)
        self.node.start()
        self.ok("import", str(MIXED))
        self.assertEqual(len(self.ok("export").splitlines()), 6000)

    @unittest.skipUnless(shutil.which("zstd"), "zstd is not installed")
    def test_zstd_and_pipes(self):
        self.node.start()
        raw = HANDMADE.read_bytes()
        packed = subprocess.run(["zstd", "-q", "-c"], input=raw, capture_output=True, check=True).stdout
        for form in [raw, packed, gzip.compress(raw)]:
            self.ok("import", "--mode", "replace", "-", stdin=form)
            self.assert_same_pins(self.exported(), sorted(raw.splitlines()))
            self.ok("import", "--mode", "replace", self.path("cid", CID_A.encode()))
            self.ok("import", self.path("form", form))
            self.assertEqual(len(self.exported()), 50)
        self.fails(4, ".", "import", self.path("cut", packed[:-20]))
        self.fails(4, ".", "import", "-", stdin=gzip.compress(raw)[:-20])

    def test_cids_alone(self):
        self.node.start()
        text = f"{CID_A}\n\n{CID_B}\r\n{CID_C}".encode()
        self.assertEqual(self.json("import", "-", stdin=text)[-1]["imported"], 3)
        pins = [json.loads(line) for line in self.exported()]
        self.assertEqual(sorted(pin["cid"] for pin in pins), sorted([CID_A, CID_B, CID_C]))
        self.assertTrue(all(pin["timestamp"] > "2020" for pin in pins))

    def check_broken(self, *options):
        good = f'{{"cid":"{CID_A}"}}\n'.encode()
        broken = lines_of(BROKEN)
        path = self.path("broken", good + broken[1] + b"\n" + f'{{"cid":"{CID_B}"}}\n'.encode())
        code, out, err = self.node.run("import", *options, path)
        self.assertEqual((code, out), (2, ""))
        self.assertRegex(err, r"(?m)^zpin: (.*: )?line 2: ")
        code, out, err = self.node.run("import", *options, "--skip-bad", path)
        self.assertEqual((code, out), (0, ""), err)
        self.assertRegex(err, r"(?m)^zpin: line 2: \S")
        self.assertRegex(err, r"(?m)^zpin: imported 2 pins, .*, 1 bad lines skipped$")
        self.assertEqual(sorted(json.loads(line)["cid"] for line in self.exported(*options)),
                         sorted([CID_A, CID_B]))
        done = self.json("import", *options, "--skip-bad", BROKEN)[-1]
        self.assertEqual((done["imported"], done["skipped"]), (0, sum(bool(b) for b in broken)))

    def test_broken_lines(self):
        self.check_broken("--offline")
        self.node.start()
        self.check_broken()


class Daemon(Case):
    """`zpin serve` as a process: signals, readiness, the lock, read-only."""

    def test_init(self):
        self.assertRegex(self.node.init_report, r"(?s)^made a node in .*\npeer id 12D3\w+\nstart it: ")
        sections = re.findall(r"(?m)^#?([a-z]+):$", self.node.config.read_text())
        self.assertEqual(len(sections), len(set(sections)))
        done = subprocess.run([ZPIN, "init", str(self.node.folder)], env=environment(),
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is a node in", done.stderr)

    def test_what_is_made_is_told_to_programs(self):
        made, = self.json("init", self.path("made"))
        folder = self.path("made").resolve()
        self.assertEqual((made["made"], made["data"]), ("node", str(folder)))
        self.assertEqual(json.loads((folder / "identity.json").read_text())["id"], made["peer_id"])
        self.assertEqual(os.path.realpath(made["config"]), str(folder / "zpin.yaml"))
        account, = self.json("account", "alice", stdin=b"secret words\n")
        self.assertEqual(account["name"], "alice")
        self.path("accounts", json.dumps([account]).encode()).chmod(0o600)
        self.ok("config", "check", ZPIN_ACCESS_ACCOUNTS_FILE=str(self.path("accounts")))
        self.node.start()
        self.ok("import", HANDMADE)
        told, = self.json("export", "-o", self.path("exported"))
        self.assertEqual(told, {"done": True, "exported": 49, "bytes": self.path("exported").stat().st_size})

    def test_a_killed_init_leaves_no_half_config(self):
        """The limit's signal ends the process at its first byte in a file, which is the config's."""
        folder = self.path("killed")
        done = subprocess.run([ZPIN, "init", str(folder)], env=environment(), capture_output=True, preexec_fn=lambda:
                              resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)))
        self.assertEqual(done.returncode, -signal.SIGXFSZ)
        self.assertFalse((folder / "zpin.yaml").exists())
        done = subprocess.run([ZPIN, "init", str(folder)], env=environment(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(str(folder), (folder / "zpin.yaml").read_text())

    def test_init_without_room_leaves_no_config(self):
        """A config that was cut would be a good one with other paths: the next init writes it anew."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

        folder = self.node.folder.parent / "full"
        for prepare, status in ((limit, 1), (None, 0)):
            done = subprocess.run([ZPIN, "init", str(folder)], env=environment(), preexec_fn=prepare,
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertEqual((folder / "zpin.yaml").exists(), status == 0)
        written = (folder / "zpin.yaml").read_text().replace(str(folder), str(self.node.folder))
        self.assertEqual(written.count("\n"), self.node.config.read_text().count("\n"))

    def test_interrupt_ends_well(self):
        for number in [signal.SIGINT, signal.SIGTERM]:
            self.node.start()
            self.ok("pin", "add", CID_A)
            self.assertEqual(self.node.end(number), 0)
            self.assertRegex(self.node.log.read_text(), r"stopping\n(.*\n)*.* stopped\n$")
        self.node.start()
        self.assertEqual(self.json("pin", "get", CID_A)[0]["cid"], CID_A)

    def test_a_second_signal_ends_it_at_once(self):
        """While it waits for a client that does not end its request."""
        self.node.start()
        self.ok("pin", "add", CID_A)
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(self.node.socket))
            slow.sendall(b"POST /pins HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + CID_B.encode() + b"\n")
            answer = slow.makefile("rb")
            while CID_B.encode() not in answer.readline():
                pass
            self.node.process.send_signal(signal.SIGTERM)
            wait_for("stop", lambda: "stopping" in self.node.log.read_text())
            self.assertIsNone(self.node.process.poll())
            self.assertEqual(self.node.end(), -signal.SIGTERM)
        self.assertNotIn("stopped", self.node.log.read_text())
        self.node.start()
        self.assertEqual(len(self.json("pin", "get", CID_A) + self.json("pin", "get", CID_B)), 2)

    def test_lines_of_the_log_begin_alike(self):
        self.node.start()
        self.node.end()
        for line in self.node.log.read_text().splitlines():
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [a-z]")

    def test_the_log_can_be_read_by_programs(self):
        """Also where a request has what would end a text."""
        self.node.set("log", "format", "json")
        self.node.set("log", "level", "debug")
        self.node.start()
        self.ok("pin", "add", CID_A)
        self.node.request("REST API", "GET", '/nowhere"x')
        self.node.end()
        lines = [json.loads(line) for line in self.node.log.read_text().splitlines()]
        for line in lines:
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ["debug", "info", "warning", "error"])
        requests = {line["path"]: line for line in lines if "request" in line}
        self.assertEqual(len({line["request"] for line in lines if "request" in line}), len(requests))
        wrong, = [line for path, line in requests.items() if path.startswith("/nowhere")]
        self.assertEqual((wrong["status"], wrong["method"]), (404, "GET"))
        self.assertRegex(wrong["request"], "^[0-9a-f]{16}$")

    def reload(self):
        before = self.node.log.read_text().count("reloaded")
        self.node.process.send_signal(signal.SIGHUP)
        wait_for("reload", lambda: self.node.log.read_text().count("reloaded") > before)

    def test_reload(self):
        self.node.start()
        self.ok("pin", "add", CID_A)
        self.node.set("node", "read_only", "true")
        self.node.process.send_signal(signal.SIGHUP)
        wait_for("reload", lambda: "reloaded" in self.node.log.read_text())
        self.fails(1, "read-only", "pin", "add", CID_B)
        self.fails(1, "read-only", "import", HANDMADE)
        self.assertEqual(self.json("info")[1]["read_only"], True)
        self.ok("pin", "get", CID_A)
        # What was said to the running node is not undone by a reload that is not about it.
        for on in ("false", "true"):
            self.assertEqual(self.node.request("management", "POST", f"/read-only?on={on}")[0], 200)
            if on == "true":
                self.node.set("node", "read_only", "false")
                self.reload()
                self.assertEqual(self.json("info")[1]["read_only"], False)
                self.assertEqual(self.node.request("management", "POST", "/read-only?on=true")[0], 200)
            self.reload()
            self.assertEqual(self.json("info")[1]["read_only"], on == "true")
        self.node.config.write_text(self.node.config.read_text() + "\nnonsense: 1\n")
        self.node.process.send_signal(signal.SIGHUP)
        wait_for("refusal", lambda: "the old config stays" in self.node.log.read_text())
        self.fails(1, "read-only", "pin", "add", CID_B)

    def test_read_only_from_the_start(self):
        self.node.start()
        self.ok("pin", "add", CID_A)
        self.node.end()
        self.node.set("node", "read_only", "true")
        self.node.start()
        self.fails(1, "read-only", "pin", "add", CID_B)
        self.fails(1, "read-only", "pin", "rm", CID_A)
        self.assertEqual(self.json("pin", "get", CID_A)[0]["cid"], CID_A)

    def check_greeting(self):
        """On a terminal it shows commands; each works as it stands, in a shell anywhere."""
        master, slave = pty.openpty()
        self.node.process = subprocess.Popen(
            [ZPIN, "serve", "--config", str(self.node.config)], env=environment(),
            stdin=subprocess.DEVNULL, stdout=slave, stderr=slave)
        os.close(slave)
        seen = b""
        while b"Ctrl-C stops" not in seen:
            seen += os.read(master, 4096)
        commands = re.findall(r"(?m)^  (\S.*?)\r?$", seen.decode())
        self.assertEqual(len(commands), 3)
        outputs = [subprocess.run(command, shell=True, env=environment(), cwd="/", text=True,
                                  capture_output=True, check=True).stdout for command in commands]
        self.assertEqual(self.node.end(signal.SIGINT), 0)
        os.close(master)
        for output in outputs:
            self.assertIn("first", output)

    def test_make_run(self):
        """The README's first command, from this build: a node where there was none, and Ctrl-C ends it."""
        build = pathlib.Path(ZPIN).parents[2]
        folder = self.path("data")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execvpe("make", ["make", "--no-print-directory", "-C", str(REPOSITORY), "run", f"BUILD={build}",
                                f"DATA={folder}"],
                       environment(**{f"ZPIN_{name}_LISTEN": "127.0.0.1:0" for name in ("API", "MANAGEMENT", "METRICS")}))
        seen = b""
        while b"Ctrl-C stops" not in seen:
            seen += os.read(terminal, 4096)
        os.write(terminal, b"\x03")
        try:
            while True:
                seen += os.read(terminal, 4096)
        except OSError:  # the last to have the terminal has ended
            pass
        os.close(terminal)
        # make ends by what it got, too; where its child is quicker it has nobody to wait for, and says so.
        ended = os.waitpid(pid, 0)[1]
        expected = (2 << 8,) if b"make: *** wait: No child processes" in seen else (0, signal.SIGINT)
        self.assertIn(ended, expected, seen)
        text = seen.decode()
        self.assertRegex(text, r"REST API on http://127\.0\.0\.1:\d+")
        self.assertIn(f"data in {folder}", text)
        self.assertRegex(text, r"stopped\r\n$")
        self.assertTrue((folder / "journal").is_dir())

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_greeting_can_be_pasted(self):
        self.check_greeting()
        accounts = self.path("accounts.yaml", self.ok("account", "a", stdin=b"secret words\n").encode())
        accounts.chmod(0o600)
        self.node.set("access", "accounts_file", str(accounts))
        self.check_greeting()

    def test_one_node_to_a_directory(self):
        self.node.start()
        code, out, err = self.node.run("serve")
        self.assertEqual((code, out), (1, ""))
        self.assertIn(str(self.node.process.pid), err)
        self.ok("pin", "add", CID_A)

    def test_service_manager_is_told(self):
        path = self.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            manager.settimeout(WAIT_SECONDS)
            self.node.start(NOTIFY_SOCKET=str(path))
            self.assertEqual(manager.recv(4096).decode().strip(), "READY=1")
            self.node.process.send_signal(signal.SIGHUP)
            self.assertIn("RELOADING=1", manager.recv(4096).decode())
            self.assertEqual(manager.recv(4096).decode().strip(), "READY=1")
            self.assertEqual(self.node.end(), 0)
            self.assertEqual(manager.recv(4096).decode().strip(), "STOPPING=1")

    def test_a_bad_config_is_named(self):
        self.node.set("node", "read_only", "perhaps")
        code, _, err = self.node.run("serve")
        self.assertEqual(code, 2)
        self.assertRegex(err, r"zpin\.yaml:\d+:\d+: node\.read_only: ")


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class Curl(Case):
    """What curl sees, and that the calls of it which the documents show work as they stand."""

    def setUp(self):
        super().setUp()
        self.node.start()
        self.url = self.node.urls["REST API"]

    def curl(self, *arguments, stdin=b""):
        done = subprocess.run(["curl", "-sS", "--max-time", str(WAIT_SECONDS), *arguments], input=stdin,
                              capture_output=True, check=True)
        return done.stdout.decode()

    def test_calls_of_the_documents(self):
        os.symlink(ZPIN, self.path("zpin"))
        self.ok("pin", "add", CID_A, "-m", "app=web")
        self.ok("snapshot", "before-upgrade")
        lines = [line.lstrip(" $").partition("#")[0] for name in ("README.md", "docs/rest-api.md")
                 for line in (REPOSITORY / name).read_text().splitlines() if line.startswith("    ") and "curl" in line]
        self.assertGreaterEqual(len(lines), 3)
        outputs = [subprocess.run(line.replace("127.0.0.1:9094", self.url.removeprefix("http://")), shell=True,
                                  check=True, capture_output=True, text=True,
                                  env=environment(PATH=f"{self.folder.name}:/usr/bin:/bin", ZPIN_API=self.url)).stdout
                   for line in lines]
        for line, output in zip(lines, outputs):
            self.assertIn('{"pinned":1,"failed":0}' if "quiet" in line else CID_A, output, line)

    def test_each_method(self):
        self.assertEqual(json.loads(self.curl("-X", "POST", f"{self.url}/pins/{CID_A}?name=a%20b"))["name"], "a b")
        self.assertEqual(json.loads(self.curl(f"{self.url}/allocations/{CID_A}"))["cid"], CID_A)
        head = self.curl("-i", "-H", "TE: trailers", f"{self.url}/allocations")
        self.assertRegex(head, r"(?is)^HTTP/1.1 200 .*\r\n\r\n\{.*\}\n.*X-Stream-Error: *\r\n")
        many = "".join(cid_of(number) + "\n" for number in range(5000)).encode()
        for option in (["-T", "-", "-X", "POST"], ["--data-binary", "@-", "-H", "Expect: 100-continue"]):
            answer = self.curl(*option, f"{self.url}/pins?quiet=true", stdin=many)
            self.assertEqual(json.loads(answer), {"pinned": 5000, "failed": 0})
        self.assertEqual(json.loads(self.curl("-X", "DELETE", f"{self.url}/pins/{CID_A}"))["cid"], CID_A)
        self.assertEqual(self.curl("-o", "/dev/null", "-w", "%{http_code}", f"{self.url}/allocations/{CID_A}"), "404")
        self.assertEqual(self.curl("--unix-socket", str(self.node.socket), "-o", "/dev/null", "-w", "%{http_code}",
                                   "http://localhost/health"), "204")


class Accounts(Case):
    """With accounts, TCP asks who is there, on the management address as on the API's; the socket does
    not, and the metrics address never."""

    WORK = ["/checkpoint", "/settle", "/seal", "/verify", "/snapshot?name=x", f"/peers/move?from={PEER}&to={PEER}",
            "/read-only?on=true"]

    def setUp(self):
        super().setUp()
        account = self.ok("account", "alice", stdin=b"secret words\n")
        accounts = self.path("accounts.yaml", account.encode())
        accounts.chmod(0o600)
        self.node.set("access", "accounts_file", str(accounts))
        self.node.start()

    def basic(self, name, password):
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}

    def test_management_asks_who_it_is(self):
        like = self.node.request("REST API", "GET", "/id")
        self.assertEqual(like[0], 401)
        wrong = self.node.request("REST API", "GET", "/id", self.basic("alice", "wrong"))
        self.assertEqual(wrong[0], 401)
        calls = [("GET", path) for path in ["/info", "/metrics", "/id", "/nothing", "/snapshots", "/info?as_of=x"]]
        calls += [("HEAD", "/info"), ("DELETE", "/snapshot?name=x")] + [("POST", path) for path in self.WORK]
        for method, path in calls:
            for headers, expected in [(None, like), (self.basic("alice", "wrong"), wrong)]:
                status, answer, body = self.node.request("management", method, path, headers)
                self.assertEqual(status, 401, path)
                self.assertEqual(answer.get_all("Www-Authenticate"),
                                 expected[1].get_all("Www-Authenticate"))
                if method != "HEAD":
                    self.assertEqual(body, expected[2])
        self.assertFalse(self.json("info")[1]["read_only"])

    def test_management_opens_to_who_signs_in(self):
        alice = self.basic("alice", "secret words")
        for _ in range(2):  # checked by the slow hash, then remembered
            self.assertEqual(self.node.request("management", "GET", "/info", alice)[0], 200)
        for path in ["/checkpoint", "/settle", "/seal", "/verify", "/snapshot?name=x", "/read-only?on=false"]:
            self.assertEqual(self.node.request("management", "POST", path, alice)[0], 200, path)
        token = json.loads(self.node.request("REST API", "POST", "/token", alice)[2])["token"]
        bearer = {"Authorization": "Bearer " + token}
        self.assertEqual(self.node.request("management", "GET", "/info", bearer)[0], 200)
        self.assertEqual(self.node.request("management", "GET", "/id", bearer)[0], 200)
        self.assertEqual(self.node.request("management", "GET", "/health")[0], 204)
        code, out, _ = self.node.run("checkpoint", "--management", self.node.urls["management"],
                                     ZPIN_CREDENTIALS="alice:secret words")
        self.assertEqual((code, out[:11]), (0, "checkpoint "))
        self.assertEqual(self.node.request("management", "POST", "/verify?deep=yes", alice)[0], 400)
        self.assertEqual(self.node.request("management", "POST", "/verify?deep=false", alice)[0], 200)
        self.fails(1, "unauthorized.*ZPIN_CREDENTIALS", "verify", "--management", self.node.urls["management"])

    def test_what_stays_open(self):
        self.assertEqual(self.node.request("metrics", "GET", "/metrics")[0], 200)
        self.assertEqual(self.node.request("metrics", "GET", "/health")[0], 204)
        self.assertEqual(self.node.request("metrics", "GET", "/info")[0], 404)
        self.assertEqual(self.node.request("metrics", "POST", "/checkpoint")[0], 405)
        self.assertEqual(self.node.socket.stat().st_mode & 0o777, 0o660)
        self.ok("pin", "add", CID_A)
        self.ok("checkpoint")
        self.ok("info")


class WithoutAccounts(Case):
    def test_pages_of_other_sites_may_not_post(self):
        self.node.start()
        url = self.node.urls["management"]
        for origin, status in [("http://evil.example", 403), ("null", 403), (url + ".evil.example", 403),
                               ("http://evil" + url.removeprefix("http://"), 403), (url, 200)]:
            answer = self.node.request("management", "POST", "/read-only?on=false", {"Origin": origin})
            self.assertEqual(answer[0], status, origin)
        headers = {"Host": "evil.example", "Accept-Language": "en"}
        for method, path in (("GET", "/info"), ("POST", "/checkpoint")):
            self.assertEqual(self.node.request("management", method, path, headers)[0], 403)

    def test_one_long_work_at_a_time(self):
        """Whoever comes second is told so at once, and the first is not disturbed."""
        self.node.start()
        self.ok("import", "-q", PLAIN)
        self.ok("checkpoint")
        results = []
        threads = [threading.Thread(target=lambda: results.append(
            self.node.request("management", "POST", "/verify"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = [status for status, _, _ in results]
        self.assertIn(200, statuses)
        self.assertLessEqual(set(statuses), {200, 503})
        for status, headers, body in results:
            if status == 503:
                self.assertEqual((headers["X-Zpin-Error"], headers["Retry-After"]), ("FULL", "1"))
                self.assertIn("other long work", json.loads(body)["message"])


if __name__ == "__main__":
    unittest.main()
