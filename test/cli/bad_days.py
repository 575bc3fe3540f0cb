#!/usr/bin/env python3
"""The real program on bad days: data that is not there, damaged files, full disks, nodes that die, and whether
a person is told what to do.

usage: bad_days.py ZPIN [unittest's arguments]
"""
import json
import re
import shutil
import unittest

from node import CID_A, MIXED, Case


class NoNode(Case):
    """Only `zpin init` makes a node: an empty directory may be one whose file system is not mounted."""

    def serve_refused(self, code, message):
        before = sorted(self.node.folder.rglob("*"))
        self.fails(code, message, "serve", seconds=30)
        self.assertEqual(sorted(self.node.folder.rglob("*")), before, "serve changed something")

    def data_move(self):
        """As on a machine whose config and identity are elsewhere than the data."""
        config = self.path("zpin.yaml", self.node.config.read_bytes())
        config.chmod(0o600)
        shutil.move(self.node.folder / "identity.json", self.path("identity.json"))
        self.node.config = config
        self.node.set("node", "identity", str(self.path("identity.json")))
        self.node.set("management", "socket", str(self.path("zpin.sock")))
        self.node.socket = self.path("zpin.sock")
        shutil.move(self.node.folder, self.path("elsewhere"))

    def test_data_that_is_not_mounted(self):
        self.node.start()
        self.ok("pin", "add", CID_A)
        self.node.end()
        self.data_move()
        message = r"no node in \S+: if it is new, make it with `\S+ init --config \S+`.*file system mounted\?"
        self.serve_refused(3, message)
        self.assertFalse(self.node.folder.exists())
        self.node.folder.mkdir()
        self.serve_refused(3, message)
        for command in ["export", "verify"]:
            self.fails(3, message, command, "--offline")
        self.fails(3, message, "import", "--offline", MIXED)
        self.node.folder.rmdir()
        shutil.move(self.path("elsewhere"), self.node.folder)
        self.node.start()
        self.ok("pin", "get", CID_A)

    def test_the_command_that_is_told_makes_it(self):
        self.data_move()
        _, _, err = self.node.run("serve")
        command = re.search(r"`\S+ (init [^`]*)`", err).group(1)
        self.ok(*command.split())
        self.node.start()

    def test_shards_without_a_journal(self):
        shutil.rmtree(self.node.folder / "journal")
        self.serve_refused(4, r"has shards but no journal: nothing was changed; mount or restore \S+/journal")
        self.fails(4, "shards but no journal", "init", self.node.folder)

    def test_a_lost_identity(self):
        before = json.loads((self.node.folder / "identity.json").read_text())["id"]
        (self.node.folder / "identity.json").unlink()
        self.serve_refused(3, "the identity of the node in .* is gone: restore the file")
        self.assertRegex(self.ok("init"), "(?s)^made an identity for the node in .*peer id 12D3")
        self.assertNotEqual(json.loads((self.node.folder / "identity.json").read_text())["id"], before)
        self.node.start()


class Damage(Case):
    """One bit of one file, while nobody looks: all else is given, and it is never taken for all."""

    keys = {"storage__shards": "4"}

    def setUp(self):
        super().setUp()
        self.ok("import", "--offline", MIXED)
        self.before = self.exported("--offline")
        self.segment = self.node.segments()[-1]
        data = bytearray(self.segment.read_bytes())
        data[len(data) // 2] ^= 0x10
        self.segment.chmod(0o600)
        self.segment.write_bytes(data)
        self.place = rf"shard {self.segment.parent.name}: segment {re.escape(self.segment.name)}: block \d+ .*" \
                     "restore the file from a snapshot or copy"

    def readable(self):
        """The lines of the pins that can still be read, by asking for each."""
        rest = []
        for line in self.before:
            status, headers, body = self.node.request("REST API", "GET", f"/allocations/{json.loads(line)['cid']}")
            if status == 200:
                rest.append(line)
            else:
                self.assertEqual((status, headers["X-Zpin-Error"]), (500, "CORRUPT"))
                self.assertRegex(json.loads(body)["message"], self.place)
        self.assertLess(len(rest), len(self.before))
        self.assertGreater(len(rest), len(self.before) * 3 // 4)
        return rest

    def check_export(self, rest, *options):
        out = self.fails(4, f"zpin: the list lacks pins that cannot be read.*{self.place}\n$", "export", *options)
        self.assertEqual(sorted(out.encode().splitlines()), rest)
        path, partial = self.path("out"), self.path("out.partial")
        self.fails(4, rf"(?s)incomplete: what can be read is in {partial}; {path} was not written.*{self.place}",
                   "export", *options, "-o", path)
        self.assertFalse(path.exists())
        self.assertEqual(sorted(partial.read_bytes().splitlines()), rest)
        code, _, err = self.node.run("export", *options, "--skip-damaged", "-o", path)
        self.assertEqual(code, 0, err)
        self.assertRegex(err, f"zpin: warning: the list lacks pins.*{self.place}")
        self.assertEqual(sorted(path.read_bytes().splitlines()), rest)
        self.assertFalse(partial.exists())
        path.unlink()

    def test_what_can_be_read_is_given(self):
        self.node.start()
        rest = self.readable()
        self.check_export(rest)
        cids = sorted(json.loads(line)["cid"] for line in rest)
        for options in [[], ["--limit", "100000"]]:
            out = self.fails(4, f"zpin: the list lacks pins that cannot be read.*{self.place}", "pin", "ls", *options)
            self.assertEqual(sorted(line.split("\t")[0] for line in out.splitlines()), cids)
        found, cursor = [], []
        while cursor is not None:
            code, out, err = self.node.run("--json", "pin", "ls", "--limit", "1000", *cursor)
            self.assertIn(code, [0, 4])
            found += [json.loads(line)["cid"] for line in out.splitlines()]
            more = re.search(r"--cursor (\w+)", err)
            cursor = more and ["--cursor", more.group(1)]
        self.assertEqual(sorted(found), cids)
        self.node.end()
        self.check_export(rest, "--offline")

    def test_verify_finds_it(self):
        out = self.fails(4, "damage", "verify", "--offline")
        self.assertRegex(out, rf"(?m)^damaged: {self.place}$")
        self.node.start()
        out = self.fails(4, "damage", "verify")
        self.assertRegex(out, rf"(?m)^damaged: {self.place}$")
        report = json.loads(self.fails(4, "damage", "--json", "verify"))
        self.assertGreater(report["damage_count"], 0)

    def test_it_shows_once_it_is_met(self):
        self.node.start()
        self.assertEqual(self.ok("health"), "the node answers\n")
        self.assertEqual(self.node.request("metrics", "GET", "/health")[0], 204)
        self.assertIn("\nzpin_damaged_blocks_total 0\n", self.ok("metrics", "--prometheus"))
        for _ in range(2):
            self.node.run("export", "-q")
        self.assertIn("\nzpin_damaged_blocks_total 1\n", self.ok("metrics", "--prometheus"))
        status, _, body = self.node.request("metrics", "GET", "/health")
        health = json.loads(body)
        self.assertEqual((status, health["damaged_blocks"], health["damaged_segments"]), (200, 1, 0))
        self.assertRegex(health["damages"][0], self.place)
        out = self.fails(4, "1 damaged places were met", "health")
        self.assertRegex(out, f"^damaged: {self.place}\n$")
        self.assertEqual(json.loads(self.fails(4, "damaged places", "--json", "health")), health)
        self.assertEqual(len(re.findall(self.place, self.node.log.read_text())), 1)

    def test_a_file_that_cannot_be_opened(self):
        self.segment.write_bytes(self.segment.read_bytes()[:-100])
        self.node.start()
        place = rf"shard {self.segment.parent.name}: segment {re.escape(self.segment.name)}: missing or damaged"
        self.fails(4, "1 files could not be opened", "health")
        self.fails(4, place, "export", "-q")
        self.assertRegex(self.fails(4, "damaged places", "health"), f"^damaged: {place}")


class SuspendedShard(Case):
    keys = {"storage__shards": "4"}

    def test_the_others_are_given(self):
        self.ok("import", "--offline", MIXED)
        shard = self.node.segments()[-1].parent
        shutil.move(shard, self.path("elsewhere"))
        self.node.start()
        place = rf"shard {shard.name} is suspended: .*: mount or restore it, then start again"
        self.assertRegex(self.fails(4, "1 damaged places", "health"), f"^damaged: {place}\n$")
        out = self.fails(4, place, "export", "-q")
        self.assertIn(len(out.splitlines()), range(3000, 6000))
        self.node.end()
        shutil.move(self.path("elsewhere"), shard)
        self.node.start()
        self.ok("health")
        self.assertEqual(len(self.exported()), 6000)


if __name__ == "__main__":
    unittest.main()
