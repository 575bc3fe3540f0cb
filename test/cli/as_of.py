#!/usr/bin/env python3
"""Snapshots and reads of the past on the command line: `snapshot ls` and `rm`, `--as-of`, with a running node, a
stopped one, a killed one, and in the place of the data directory.

usage: as_of.py ZPIN [unittest's arguments]
"""
import json
import pathlib
import re
import shutil
import signal
import unittest

from node import CID_A, CID_B, HANDMADE, Case, Node, cid_of

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"


def tree(folder):
    """Every file with its bytes, and every folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
            for path in sorted(folder.rglob("*"))}


class AsOf(Case):
    def setUp(self):
        super().setUp()
        self.node.start()

    def cids(self, *arguments, **more):
        return sorted(line.split("\t")[0] for line in self.ok("pin", "ls", *arguments, **more).splitlines())

    def then_and_now(self):
        """The lines of the snapshot "then", of which nothing is as it was now."""
        self.ok("import", "-q", HANDMADE)
        then = self.exported()
        self.ok("snapshot", "then")
        self.ok("import", "-q", "--mode", "replace", "-", stdin=f"{CID_A}\n".encode())
        return then

    def test_listing_and_removing(self):
        self.assertEqual(self.ok("snapshot", "ls"), "")
        self.assertEqual(self.json("snapshot", "ls"), [[]])
        self.then_and_now()
        self.ok("snapshot", "now")
        rows = [line.split("\t") for line in self.ok("snapshot", "ls").splitlines()]
        self.assertEqual([(row[0], row[2]) for row in rows], [("then", "49"), ("now", "1")])
        first, second = self.json("snapshot", "ls")[0]
        self.assertEqual((first["name"], first["time"], second["name"]), ("then", rows[0][1], "now"))
        self.assertEqual(self.ok("snapshot", "rm", "now"), "removed snapshot now\n")
        self.fails(3, "no snapshot now: `zpin snapshot ls`", "snapshot", "rm", "now")
        self.fails(2, "name", "snapshot", "rm", "../shards")
        self.ok("snapshot", "a")
        self.ok("snapshot", "b")
        out = self.fails(3, "no: .*no snapshot no", "snapshot", "rm", "a", "no", "b")
        self.assertEqual(out, "removed snapshot a\nremoved snapshot b\n")
        self.assertEqual([one["name"] for one in self.json("snapshot", "ls")[0]], ["then"])
        # The old way to make one stays, and what looks like a word of the group is no name.
        for name in ("ls", "rm", "checkpoint"):
            self.assertFalse((self.node.folder / "snapshots" / name).exists())
        self.fails(2, "no name for a snapshot", "snapshot", "checkpoint")
        self.fails(2, "needs NAME", "snapshot", "rm")
        self.fails(2, "needs NAME", "snapshot")
        self.fails(2, "one too many", "snapshot", "x", "y")
        self.fails(2, "unknown command `peers x`", "peers", "x")
        (self.node.folder / "snapshots" / "half" / "shards").mkdir(parents=True)
        self.assertRegex(self.ok("snapshot", "ls"), r"(?m)^half\t.*not finished")
        self.fails(1, "`zpin snapshot rm half`", "snapshot", "half")
        self.ok("snapshot", "rm", "half")
        self.ok("snapshot", "half")

    def test_of_a_running_node(self):
        then = self.then_and_now()
        self.assertEqual(self.exported("--as-of", "then"), then)
        self.assertEqual(self.exported("--as-of", "2999-01-01T00:00:00Z"), then)
        taken = self.json("snapshot", "ls")[0][0]["time"]
        self.assertEqual(self.exported("--as-of", taken), then)
        self.assertEqual(self.cids("--as-of", "then"), sorted(json.loads(line)["cid"] for line in then))
        self.assertEqual(len(self.json("pin", "status", "--as-of", "then")), 49)
        pin = json.loads(then[0])
        self.assertEqual(self.json("pin", "get", pin["cid"], "--as-of", "then")[0]["name"], pin["name"])
        self.fails(3, "not part of the pinset", "pin", "get", CID_A, "--as-of", "then")
        self.fails(3, "not part of the pinset", "pin", "get", pin["cid"])
        self.assertIn("unpinned", self.ok("pin", "status", CID_A, "--as-of", "then"))
        self.assertRegex(self.ok("info", "--as-of", "then"), r"(?m)^pins\t49$")
        self.assertEqual(self.json("info", "--as-of", "then")[0]["as_of"], "then")
        # Page by page, with the cursor that is printed.
        found, cursor = [], []
        while cursor is not None:
            code, out, err = self.node.run("pin", "ls", "--limit", "10", "--as-of", "then", *cursor)
            self.assertEqual(code, 0, err)
            found += [line.split("\t")[0] for line in out.splitlines()]
            more = re.search(r"--cursor (\w+)", err)
            cursor = more and ["--cursor", more.group(1)]
            if more:
                self.ok("pin", "add", "-q", cid_of(len(found)))
                self.fails(2, "cursor", "pin", "ls", "--limit", "10", *cursor)
        self.assertEqual(sorted(found), sorted(json.loads(line)["cid"] for line in then))
        # The newest checkpoint.
        self.ok("checkpoint")
        now = self.exported()
        self.ok("pin", "add", "-q", CID_B)
        self.assertEqual(self.exported("--as-of", "checkpoint"), now)
        self.fails(3, "there is no snapshot none", "pin", "ls", "--as-of", "none")
        self.fails(3, "of 2001-01-01T00:00:00Z or before", "export", "-q", "--as-of", "2001-01-01T00:00:00Z")
        self.fails(2, "as_of", "pin", "ls", "--as-of", "../then")
        self.fails(2, "goes with --offline", "verify", "--as-of", "then")

    def test_in_the_place_of_the_data_directory(self):
        """A snapshot's folder opens read-only by itself, also while its node runs, and nothing in it changes."""
        then = self.then_and_now()
        folder = self.node.folder / "snapshots" / "then"
        before = tree(folder)
        at = {"ZPIN_NODE_DATA": str(folder)}
        self.assertEqual(sorted(self.ok("export", "-q", "--offline", **at).encode().splitlines()), then)
        self.assertIn("no damage", self.ok("verify", "--offline", **at))
        self.assertIn("no damage", self.ok("verify", "--offline", "--deep", **at))
        self.fails(1, "is a snapshot, which is only read", "import", "-q", "--offline", HANDMADE, **at)
        self.fails(1, "is a snapshot, which is never repaired", "repair", "--accept-loss", **at)
        other = Node(pathlib.Path(self.folder.name) / "other")
        other.start(**at)
        try:
            code, out, _ = other.run("export", "-q")
            self.assertEqual((code, sorted(out.encode().splitlines())), (0, then))
            code, _, err = other.run("pin", "add", CID_B)
            self.assertEqual((code, "read-only" in err), (1, True))
            for command in ("checkpoint", "seal"):
                code, _, err = other.run(command)
                self.assertEqual((code, "read-only" in err), (1, True), command)
            self.assertEqual(other.run("snapshot", "x")[0], 1)
            self.assertEqual(other.run("verify")[0], 0)
            self.assertIn("\nzpin_read_only 1\n", other.run("metrics", "--prometheus")[1])
        finally:
            self.assertEqual(other.end(), 0)
        self.assertEqual(tree(folder), before)
        # A copy elsewhere is a node to go on with, as before.
        copy = pathlib.Path(self.folder.name) / "copy"
        shutil.copytree(folder, copy)
        shutil.copy(self.node.folder / "identity.json", copy / "identity.json")
        self.ok("import", "-q", "--offline", "-", stdin=f"{CID_B}\n".encode(), ZPIN_NODE_DATA=str(copy))
        self.assertEqual(len(self.ok("export", "-q", "--offline", ZPIN_NODE_DATA=str(copy)).splitlines()), 50)

    def test_offline(self):
        then = self.then_and_now()

        def offline(*arguments):
            return sorted(self.ok("export", "-q", "--offline", *arguments).encode().splitlines())

        # A snapshot beside its running node; the node's own checkpoint is asked of it.
        self.assertEqual(offline("--as-of", "then"), then)
        self.assertIn("49 pins", self.ok("verify", "--offline", "--as-of", "then"))
        self.assertIn("49 pins", self.ok("verify", "--offline", "--deep", "--as-of", "then"))
        self.fails(1, str(self.node.process.pid), "export", "--offline", "--as-of", "checkpoint")
        self.ok("checkpoint")
        now = self.exported()
        self.ok("pin", "add", "-q", CID_B)
        self.node.end(signal.SIGKILL)
        before = tree(self.node.folder)
        self.assertEqual(offline("--as-of", "checkpoint"), now)
        self.assertEqual(len(offline()), len(now) + 1)  # with what the journal alone has
        self.assertEqual(offline("--as-of", "2999-01-01T00:00:00Z"), then)
        self.fails(3, "there is no snapshot none", "export", "--offline", "--as-of", "none")
        self.fails(2, "as_of", "export", "--offline", "--as-of", "a/b")
        self.assertEqual(tree(self.node.folder), before)

    def test_damage_is_told(self):
        then = self.then_and_now()
        shards = sorted((self.node.folder / "snapshots" / "then" / "shards").iterdir())
        lost = next(folder for folder in shards if list(folder.glob("*.seg")))
        shutil.rmtree(lost)
        for offline in ([], ["--offline"]):
            out = self.fails(4, "lacks pins", "export", "-q", "--as-of", "then", *offline)
            there = set(out.encode().splitlines())
            self.assertTrue(there and there < set(then))
        self.fails(4, "damage", "verify", "--offline", "--as-of", "then")

    def test_one_of_the_first_version(self):
        """What the first version wrote stays readable; kept in test/golden."""
        shutil.copytree(GOLDEN / "snapshot-v1", self.node.folder / "snapshots" / "old")
        lines = sorted((GOLDEN / "snapshot-v1.ndjson").read_bytes().splitlines())
        self.assertEqual(self.exported("--as-of", "old"), lines)
        self.assertEqual(self.json("snapshot", "ls")[0][0]["pins"], 17)
        self.assertEqual(sorted(self.ok("export", "-q", "--offline", "--as-of", "old").encode().splitlines()), lines)
        self.assertIn("17 pins", self.ok("verify", "--offline", "--as-of", "old"))


if __name__ == "__main__":
    unittest.main()
