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
    """One bit of one file, while nobody looks."""

    keys = {"storage__shards": "1"}

    def test_a_flipped_bit_is_found(self):
        self.ok("import", "--offline", MIXED)
        before = self.exported("--offline")
        segment = self.node.segments()[-1]
        data = bytearray(segment.read_bytes())
        data[len(data) // 2] ^= 0x10
        segment.chmod(0o600)
        segment.write_bytes(data)

        out = self.fails(4, "damage", "verify", "--offline")
        self.assertRegex(out, r"(?m)^damaged: \S")
        out = self.path("out")
        self.fails(4, ".", "export", "--offline", "-o", out)
        self.assertFalse(out.exists())

        self.node.start()
        out = self.fails(4, "damage", "verify")
        self.assertRegex(out, rf"(?m)^damaged: .*{re.escape(segment.name)}")
        report = json.loads(self.fails(4, "damage", "--json", "verify"))
        self.assertGreater(report["damage_count"], 0)
        lost = []
        for line in before:
            cid = json.loads(line)["cid"]
            status, headers, _ = self.node.request("REST API", "GET", f"/allocations/{cid}")
            if status != 200:
                self.assertEqual((status, headers["X-Zpin-Error"]), (500, "CORRUPT"))
                lost.append(cid)
        self.assertTrue(lost)
        self.assertLess(len(lost), len(before))
        self.fails(4, ".", "pin", "get", lost[0])
        self.assertEqual(self.node.run("export", "-o", self.path("out"))[0], 1)
        self.assertFalse(self.path("out").exists())


if __name__ == "__main__":
    unittest.main()
