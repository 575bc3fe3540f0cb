#!/usr/bin/env python3
"""The real program on bad days: data that is not there, damaged files, full disks, nodes that die, and whether
a person is told what to do.

usage: bad_days.py ZPIN [unittest's arguments]
"""
import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import unittest

from node import CID_A, CID_B, MIXED, WAIT_SECONDS, ZPIN, Case, cid_of, environment, hash64, wait_for


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


class Addresses(Case):
    def test_what_another_program_has(self):
        with socket.socket() as taken, socket.socket(socket.AF_UNIX) as file:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            file.bind(str(self.path("taken")))
            file.listen()
            port = taken.getsockname()[1]
            self.fails(1, rf"zpin: api.listen: listen on 127.0.0.1 port {port}: another program has this address: stop it",
                       "serve", ZPIN_API_LISTEN=f"127.0.0.1:{port}")
            self.fails(1, r"zpin: management.socket \(.*\): listen on \S+/taken: another program has this address: stop it",
                       "serve", ZPIN_MANAGEMENT_SOCKET=str(self.path("taken")))


class Damage(Case):
    """One bit of one file, while nobody looks: all else is given, and it is never taken for all."""

    keys = {"storage__shards": "4", "scrub__rate": "0"}  # nobody looks but who is asked to

    def setUp(self):
        super().setUp()
        self.ok("import", "--offline", MIXED)
        self.before = self.exported("--offline")
        self.segment = self.node.segments()[-1]
        self.whole = self.segment.read_bytes()
        data = bytearray(self.whole)
        data[len(data) // 2] ^= 0x10
        self.segment.chmod(0o600)
        self.segment.write_bytes(data)
        self.place = rf"shard {self.segment.parent.name}: segment {re.escape(self.segment.name)}: block \d+ .*" \
                     "restore the file from a snapshot or copy"

    def test_a_page_says_so_twice(self):
        """Clients of streams look at the trailer, those of pages at the headers."""
        self.node.start()
        address = self.node.urls["REST API"].removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=WAIT_SECONDS) as raw:
            raw.sendall(b"GET /allocations?limit=10000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: raw.recv(65536), b"")).decode()
        head, _, rest = answer.partition("\r\n\r\n")
        told = re.findall("(?m)^X-Stream-Error: (.*)\r$", head + "\r\n") + re.findall("(?m)^X-Stream-Error: (.*)\r$", rest)
        self.assertEqual(len(told), 2)
        self.assertEqual(told[0], told[1])
        self.assertRegex(told[0], self.place)

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
        out = self.fails(4, "1 damaged places are known, of these 0 shards .* and 0 files", "health")
        self.assertRegex(out, f"^damaged: {self.place}\n$")
        self.assertEqual(json.loads(self.fails(4, "damaged places", "--json", "health")), health)
        self.assertEqual(len(re.findall(self.place, self.node.log.read_text())), 1)

    def scrub(self):
        """A whole one; what `zpin scrub` says then."""
        self.node.run("scrub", "start", "--rate", "1GiB")
        while True:
            code, out, err = self.node.run("--json", "scrub")
            answer = json.loads(out)
            if answer["state"] == "off":
                return code, answer, err

    def test_a_scrub_finds_it_and_forgets_it(self):
        self.node.start()
        self.assertEqual(self.ok("health"), "the node answers\n")
        self.fails(2, "scrub.rate is 0", "scrub", "start")
        self.fails(2, "not a number of bytes a second", "scrub", "start", "--rate", "fast")
        self.fails(2, "no scrub is under way", "scrub", "pause")
        self.assertIn("not all files have been read yet", self.ok("scrub"))
        code, answer, err = self.scrub()
        self.assertEqual((code, answer["damaged_blocks"]), (4, 1))
        self.assertRegex(answer["damages"][0], self.place)
        self.assertIn("the scrub: 1 damaged places are known", err)
        self.fails(4, "1 damaged places are known", "health")
        new = self.path("new")
        new.write_bytes(self.whole)
        new.replace(self.segment)
        code, answer, err = self.scrub()
        self.assertEqual((code, answer["damaged_blocks"], err), (0, 0, ""))
        self.assertEqual(self.ok("health"), "the node answers\n")
        self.assertEqual(self.exported(), self.before)
        self.assertRegex(self.ok("verify", "--deep"), r"[1-9]\d* entries of times recounted, .* no damage")
        metrics = self.ok("metrics", "--prometheus")
        for line in ["zpin_damaged_blocks_total 1", "zpin_damaged_places 0", "zpin_scrub_passes_total 2"]:
            self.assertIn(f"\n{line}\n", metrics)
        self.assertRegex(metrics, r"\nzpin_scrub_last_timestamp_seconds [1-9]")
        self.assertIn("all files were read last by", self.ok("scrub"))
        for query in ["", "?do=sing", "?do=start&rate=0", "?do=start&rate=1x", "?do=start&rate=9999999999999999999999"]:
            self.assertEqual(self.node.request("management", "POST", f"/scrub{query}")[0], 400)
        self.assertIn("scrub running", self.ok("scrub", "start", "--rate", "1"))
        self.assertIn("scrub paused: ", self.ok("scrub", "pause"))
        self.ok("scrub", "stop")

    def test_a_file_that_cannot_be_opened(self):
        self.segment.write_bytes(self.segment.read_bytes()[:-100])
        self.node.start()
        place = rf"shard {self.segment.parent.name}: segment {re.escape(self.segment.name)} [^:]*: missing or damaged"
        for _ in range(2):
            out = self.fails(4, "1 damaged places are known, of these 0 shards .* and 1 files that could not", "health")
            self.assertRegex(out, f"^damaged: {place}.*\n$")
            self.fails(4, place, "export", "-q")
        self.assertNotIn(f"{self.segment.name}: segment", self.node.log.read_text())

    def test_one_fault_is_one(self):
        """Whatever it makes wrong besides: the block is in a file, and the file has a name of its content."""
        for options in [[], ["--deep"]]:
            out = self.fails(4, "1 damages", "verify", "--offline", *options)
            self.assertEqual(len(out.splitlines()), 1)

    def test_a_snapshot_has_it_and_says_so(self):
        self.node.start()
        self.ok("snapshot", "unknowing")
        self.node.run("export", "-q")
        out = self.fails(4, "the snapshot is made, and has what is damaged here: 1 damaged places", "snapshot", "s1")
        self.assertRegex(out, rf"^made snapshot s1\ndamaged: {self.place}\n$")
        self.assertTrue((self.node.folder / "snapshots" / "s1" / "shards" / self.segment.parent.name /
                         self.segment.name).exists())
        answer = json.loads(self.fails(4, "is made", "--json", "snapshot", "s2"))
        self.assertEqual((answer["snapshot"], answer["damaged_blocks"]), ("s2", 1))


class Removed(Case):
    """Somebody removes files under a running node, which has in memory what they say."""

    def test_no_other_file_goes_and_they_come_back(self):
        self.ok("import", "--offline", MIXED)
        before = self.exported("--offline")
        for pattern, command in [("shards/*/manifest-*", ["verify", "--deep"]), ("shards/*/manifest-*", ["checkpoint"]),
                                 ("journal/*map-*", ["checkpoint"]), ("journal/checkpoint-*", []), ("journal/*map-*", [])]:
            self.node.start()
            for path in list(self.node.folder.glob(pattern)):
                path.unlink()
            if command:
                self.node.run(*command)
            self.assertEqual(self.exported(), before)
            self.node.end()
            self.assertRegex(self.ok("verify", "--offline", "--deep"), "^6000 pins .* no damage")
            self.assertEqual(self.exported("--offline"), before)


class SuspendedShard(Case):
    keys = {"storage__shards": "4"}

    def test_the_others_are_given(self):
        self.ok("import", "--offline", MIXED)
        shard = self.node.segments()[-1].parent
        shutil.move(shard, self.path("elsewhere"))
        self.node.start()
        command = f"zpin repair --give-up-shard {shard.name}"
        place = rf"shard {shard.name} is suspended: .*: mount or restore it, then start again; without any copy: {command}"
        out = self.fails(4, "1 damaged places are known, of these 1 shards .* and 0 files", "health")
        self.assertRegex(out, f"^damaged: {place}\n$")
        self.assertNotRegex(self.node.log.read_text(), rf"{shard.name} is suspended: shard {shard.name}")
        code, out, err = self.node.run("info")
        self.assertEqual(code, 0)
        self.assertIn("\nsuspended_shards\t1\n", out)
        self.assertIn("1 shards are suspended, and their pins not among those counted", err)
        self.assertEqual(len(re.findall("(?m)^version\t", out)), 1)
        out = self.fails(4, "1 damages", "verify")
        self.assertRegex(out, f"^damaged: {place}\n$")
        out = self.fails(4, place, "export", "-q")
        self.assertIn(len(out.splitlines()), range(3000, 6000))
        self.node.end()
        shutil.move(self.path("elsewhere"), shard)
        self.node.start()
        self.ok("health")
        self.assertEqual(len(self.exported()), 6000)

    def test_one_manifest_of_two(self):
        """What is used instead is told, and what it lacks comes from the journal."""
        self.ok("import", "--offline", MIXED)
        shard = self.node.segments()[-1].parent
        newest = max(shard.glob("manifest-*"))
        newest.chmod(0o600)
        newest.write_bytes(newest.read_bytes()[:-1] + b"x")
        self.node.start()
        number = int(newest.name[-16:], 16)
        self.assertRegex(self.node.log.read_text(), rf"(?s){shard.name}: {newest.name}: .*; looking for an older one.*"
                         rf"{shard.name}: manifest {number - 1} is whole and used instead; what it lacks comes from")
        self.ok("health")
        self.assertEqual(len(self.exported()), 6000)

    def test_all_are_gone(self):
        self.ok("import", "--offline", MIXED)
        shutil.move(self.node.folder / "shards", self.path("elsewhere"))
        code, out, err = self.node.run("serve", seconds=30)
        self.assertEqual((code, out), (3, ""))
        self.assertRegex(err, r"\Azpin: \S+: no shard is there: is the file system mounted\? \(first of \d+: shard .*\n\Z")

    def test_it_is_given_up(self):
        self.ok("import", "--offline", MIXED)
        for _ in range(2):  # the journal is trimmed
            self.node.start()
            self.ok("checkpoint")
            self.node.end()
        segment = self.node.segments()[-1]
        shard = segment.parent
        count = len(self.exported("--offline"))
        self.fails(2, "is not suspended", "repair", "--give-up-shard", shard.name, "--accept-loss")
        self.fails(2, "16 hex digits", "repair", "--give-up-shard", "x", "--accept-loss")
        for manifest in shard.glob("manifest-*"):
            manifest.unlink()
        out = self.fails(4, "1 shards are suspended", "repair")
        self.assertIn(f"zpin repair --give-up-shard {shard.name}", out)
        out = self.fails(4, "nothing was changed: .*--accept-loss", "repair", "--give-up-shard", shard.name)
        lost = int(re.search(r"begins with \S+ to before \S+: (\d+) at the last|or higher: (\d+)", out).group(1) or
                   re.search(r"or higher: (\d+)", out).group(1))
        self.assertTrue(segment.exists())
        shown = json.loads(self.fails(4, "nothing was changed", "--json", "repair", "--give-up-shard", shard.name))
        self.assertEqual((shown["shards"][0]["pins"], shown["given_up"]), (lost, False))
        out = self.ok("repair", "--give-up-shard", shard.name, "--accept-loss")
        self.assertIn("given up: 0 pins came back", out)
        self.assertFalse(segment.exists())
        self.assertTrue(segment.with_name(segment.name + ".given-up-1").exists())
        self.node.start()
        self.ok("health")
        self.assertEqual(len(self.exported()), count - lost)
        self.ok("import", MIXED)
        self.assertEqual(len(self.exported()), count)
        self.ok("verify")


class Newer(Case):
    """Files of a later format, whole and with right checksums."""

    def newer(self, path, begin=0, end=None):
        """Sets the format version to 2, as a zpin would that has one."""
        data = bytearray(path.read_bytes())
        part = data[begin:end]
        struct.pack_into("<I", part, 16, 2)
        struct.pack_into("<Q", part, 8, hash64(bytes(part[16:])))
        data[begin:end] = part
        path.write_bytes(data)

    def test_each_file_is_refused_and_none_is_changed(self):
        self.node.start()
        self.ok("import", MIXED)
        self.ok("checkpoint")
        self.node.end()
        kept = self.path("kept")
        shutil.copytree(self.node.folder, kept)
        for pattern, span in [("journal/map-*", (0, None)), ("journal/checkpoint-*", (0, None)),
                              ("journal/journal-*", (0, 64)), ("shards/*/manifest-*", (0, None)),
                              ("shards/*/*.seg", (-384, None))]:
            newest = sorted(self.node.folder.glob(pattern))[-1]
            self.newer(newest, *span)
            before = self.node.files()
            for command in [["serve"], ["verify", "--offline"], ["export", "--offline"], ["import", "--offline", MIXED],
                            ["repair"], ["repair", "--accept-loss"]]:
                self.fails(4, f"^zpin: {self.node.folder}: it was written by a newer zpin: run that one, or a newer one: .*2",
                           *command, seconds=30)
            changed = [path for path, facts in self.node.files().items() if before.get(path) != facts]
            self.assertEqual([path.name for path in changed], ["lock"])  # has the process's id
            self.assertEqual(before.keys(), self.node.files().keys())
            shutil.copy(kept / newest.relative_to(self.node.folder), newest)
        self.assertRegex(self.ok("verify", "--offline"), "^6000 pins .* no damage")


class Killed(Case):
    def test_reading_it_changes_no_file(self):
        """What is to be looked at after a crash stays as it was, until a start."""
        self.node.start()
        self.ok("import", MIXED)
        self.node.end(signal.SIGKILL)
        before = self.node.files()
        self.assertEqual(len(self.exported("--offline")), 6000)
        self.assertRegex(self.ok("verify", "--offline"), "^0 pins in 0 files, 6000 writes in the journal alone, ")
        self.assertEqual(self.node.files(), before)

    def test_its_map_is_gone(self):
        self.node.start()
        self.ok("import", MIXED)
        self.ok("snapshot", "s1")
        self.node.end(signal.SIGKILL)
        journal = self.node.folder / "journal"
        for path in journal.glob("*map*"):
            path.unlink()
        for command in [["serve"], ["verify", "--offline"]]:
            self.fails(3, r"journal/map-\* and journal/copy-of-map-\* are gone: restore one of them from a snapshot",
                       *command, seconds=30)
        saved = self.node.folder / "snapshots" / "s1" / "journal"
        self.assertEqual(sorted(path.name[:-17] for path in saved.iterdir()), ["checkpoint", "copy-of-map", "map"])
        shutil.copy(next(saved.glob("copy-of-map-*")), journal)
        self.node.start()
        self.assertEqual(len(self.exported()), 6000)

    def test_its_journal_is_gone(self):
        self.node.set("storage", "sync", "true")
        self.node.start()
        self.ok("import", MIXED)
        self.node.end(signal.SIGKILL)
        for path in (self.node.folder / "journal").glob("journal-*"):
            path.unlink()
        self.fails(4, "was acknowledged: its newest file was lost or cut off; restore it from a copy, or see `zpin repair",
                   "serve", seconds=30)


class CutImport(Case):
    """An import that ends before its time says how to go on, and that works as it stands."""

    COUNT = 400000

    def setUp(self):
        super().setUp()
        self.node.start()
        self.input = self.path("it's cids", "".join(cid_of(i) + "\n" for i in range(self.COUNT)).encode())
        self.client = subprocess.Popen(
            [ZPIN, "import", "--skip-bad", str(self.input)], stderr=subprocess.PIPE, text=True,
            env=environment(ZPIN_API=f"unix:{self.node.socket}"))
        self.addCleanup(self.client.stderr.close)
        wait_for("pin", lambda: self.json("info")[1]["pins"] > 1000)

    def goes_on(self, err):
        command = re.search(r"go on with: zpin (.*)$", err, re.I | re.M).group(1)
        code, _, err = self.node.run(*shlex.split(command))
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"going on behind line [1-9]")
        self.assertEqual(self.json("info")[1]["pins"], self.COUNT)

    def test_interrupted(self):
        self.client.send_signal(signal.SIGINT)
        _, err = self.client.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(self.client.returncode, -signal.SIGINT)
        self.goes_on(err)

    def test_the_node_dies(self):
        self.node.end(signal.SIGKILL)
        _, err = self.client.communicate(timeout=WAIT_SECONDS)
        self.assertEqual(self.client.returncode, 1)
        self.node.start()
        self.goes_on(err)


class Mounts(Case):
    """File systems that are full or can't be written; needs the right to mount."""

    def mount(self, *arguments):
        done = subprocess.run(["mount", *arguments, str(self.node.folder)], capture_output=True, check=False)
        if done.returncode != 0:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", str(self.node.folder)], check=True)

    def tearDown(self):
        self.node.end()
        self.doCleanups()
        super().tearDown()

    def test_a_full_disk_is_named(self):
        kept = self.path("kept")
        shutil.copytree(self.node.folder, kept)
        self.mount("-t", "tmpfs", "-o", "size=6m", "zpin-test")
        shutil.copytree(kept, self.node.folder, dirs_exist_ok=True)
        self.node.start()
        code, _, err = self.node.run("import", self.path("cids", "".join(cid_of(i) + "\n" for i in range(400000)).encode()))
        self.assertEqual(code, 1, err)
        self.assertRegex(err, "(?m)^zpin: .*(the disk is full|No space left|no space)")
        self.assertNotRegex(err, "(?m)^zpin: .*line [0-9]")
        self.assertRegex(err, "go on with: zpin import --resume ")

    def test_reading_where_nothing_can_be_written(self):
        self.ok("import", "--offline", MIXED)
        before = self.exported("--offline")
        self.mount("--bind", str(self.node.folder))
        subprocess.run(["mount", "-o", "remount,ro,bind", str(self.node.folder)], check=True)
        self.assertEqual(self.exported("--offline"), before)
        self.assertRegex(self.ok("verify", "--offline"), "^6000 pins .* no damage")
        code, _, err = self.node.run("import", "--offline", MIXED)
        self.assertEqual(code, 1)
        self.assertIn("Read-only file system", err)

    @unittest.skipUnless(os.geteuid() == 0, "only root may write what others cannot read")
    def test_root_writes_no_files_into_another_users_node(self):
        stranger = 64321
        for path in [self.node.folder, *self.node.folder.rglob("*")]:
            os.chown(path, stranger, stranger)
        before = sorted(self.node.folder.rglob("*"))
        self.fails(1, f"belongs to user id {stranger}.* run this as that user", "import", "--offline", MIXED)
        self.fails(1, "run this as that user", "repair")
        self.fails(1, "run this as that user", "init", self.node.folder)
        self.assertEqual(sorted(self.node.folder.rglob("*")), before)
        empty = self.path("empty")
        empty.mkdir()
        os.chown(empty, stranger, stranger)
        self.fails(1, "run this as that user", "init", empty)
        self.assertEqual(list(empty.iterdir()), [])
        self.ok("verify", "--offline")

    def test_a_node_elsewhere_on_it_is_seen(self):
        other = self.path("other")
        other.mkdir()
        if subprocess.run(["mount", "--bind", str(self.node.folder), str(other)], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("may not mount")
        self.addCleanup(subprocess.run, ["umount", str(other)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(other)], check=True)
        self.node.start()
        self.fails(1, f"held by process {self.node.process.pid}", "export", "--offline", ZPIN_NODE_DATA=str(other))


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class Tls(Case):
    """Certificates that can't serve, and http where https is spoken."""

    CA = "[ca]\ndefault_ca = x\n[x]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n" \
         "default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n"

    def expired(self, key):
        """A certificate of a day long ago; `openssl req` makes none."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], cwd=self.folder.name, capture_output=True, check=True)

        self.path("ca.cnf", self.CA.encode())
        self.path("index", b"")
        self.path("serial", b"01\n")
        openssl("req", "-new", "-key", key, "-subj", "/CN=localhost", "-out", "csr")
        openssl("ca", "-batch", "-selfsign", "-config", "ca.cnf", "-keyfile", key, "-in", "csr", "-out", "expired.pem",
                "-startdate", "20200101000000Z", "-enddate", "20200102000000Z")
        return str(self.path("expired.pem"))

    def certificate(self, name):
        cert, key = self.path(name + ".pem"), self.path(name + ".key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=IP:127.0.0.1"], capture_output=True, check=True)
        return str(cert), str(key)

    def use(self, cert, key):
        self.node.set("api", "tls_certificate", cert)
        self.node.set("api", "tls_key", key)

    def test_config_check_tries_them(self):
        one, other = self.certificate("one"), self.certificate("other")
        self.use(*one)
        self.assertEqual(self.ok("config", "check"), "the config is good\n")
        for cert, key, message in [(one[0], other[1], "use private key .*other.key"),
                                   (self.expired(one[1]), one[1], "certificate .*expired.pem has expired"),
                                   ("/nowhere.pem", one[1], "read certificate /nowhere.pem.*No such file"),
                                   (one[1], one[1], "read certificate .*one.key")]:
            self.use(cert, key)
            self.fails(2, f"zpin: api.tls_certificate, api.tls_key: {message}", "config", "check")

    def test_certificates_change_under_load(self):
        """No request fails, new connections see the new one, and one that is no good changes nothing."""
        pairs = [self.certificate("one"), self.certificate("other")]
        known = [self.path(name).read_text() for name in ("one.pem", "other.pem")]
        cert, key = self.path("cert.pem"), self.path("key.pem")

        def put(pair):
            for source, place in zip(pair, (cert, key)):
                shutil.copy(source, f"{place}.new")
                os.rename(f"{place}.new", place)

        def reload_until(text):
            count = self.node.log.read_text().count(text)
            self.node.process.send_signal(signal.SIGHUP)
            wait_for("reload", lambda: self.node.log.read_text().count(text) > count)

        def seen():
            return known.index(ssl.get_server_certificate(("127.0.0.1", port)))

        put(pairs[0])
        self.use(str(cert), str(key))
        self.node.start()
        port = int(self.node.urls["REST API"].rsplit(":", 1)[1])
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        answers, over = [], threading.Event()

        def work(number):
            while not over.is_set():
                try:
                    with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", port, context=context,
                                                                        timeout=WAIT_SECONDS)) as client:
                        for _ in range(5):
                            client.request("POST", "/pins/" + cid_of(number * 100000 + len(answers)))
                            answer = client.getresponse()
                            answer.read()
                            answers.append(answer.status)
                except OSError as error:
                    answers.append(error)

        workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        try:
            for turn in range(1, 7):
                put(pairs[turn % 2])
                reload_until("reloaded: log, node.read_only, certificate;")
                self.assertEqual(seen(), turn % 2)
            cert.write_text("no certificate")
            reload_until("no start line; the old certificate stays")
            self.assertIn("reloaded: log, node.read_only; other keys", self.node.log.read_text())
            self.assertEqual(seen(), 0)
        finally:
            over.set()
            for worker in workers:
                worker.join()
        self.assertEqual(set(answers), {200})

    def test_mixed_up(self):
        self.node.start()
        url = self.node.urls["REST API"].replace("http:", "https:")
        self.fails(1, "no TLS there .*say http://", "pin", "ls", ZPIN_API=url)
        self.node.end()
        cert, key = self.certificate("one")
        self.use(cert, key)
        self.node.start()
        port = re.search(r"REST API on https://\S+:(\d+)", self.node.log.read_text()).group(1)
        self.fails(1, "if it speaks TLS, say https://", "pin", "ls", ZPIN_API=f"http://127.0.0.1:{port}")
        self.fails(2, "^zpin: --ca-file /nowhere.pem: No such file", "pin", "ls", "--ca-file", "/nowhere.pem")
        self.ok("pin", "ls", "--ca-file", cert, ZPIN_API=f"https://127.0.0.1:{port}")


class Output(Case):
    """Where the answer goes may be full, closed, or no file at all."""

    def setUp(self):
        super().setUp()
        self.node.start()
        self.ok("pin", "add", CID_A)

    def shell(self, command):
        done = subprocess.run(["sh", "-c", command, ZPIN], text=True, capture_output=True, check=False,
                              env=environment(ZPIN_API=f"unix:{self.node.socket}"))
        return done.returncode, done.stderr

    def test_export_replaces_no_device(self):
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        self.fails(2, "fifo is no regular file, and would be replaced by one", "export", "-o", fifo)
        self.assertTrue(fifo.is_fifo())
        self.fails(2, "is a directory: name a file in it", "export", "-o", self.folder.name)

    def test_full_and_closed(self):
        for command in ["export", "pin ls", "info", "help", "--json pin ls"]:
            code, err = self.shell(f'"$0" {command} > /dev/full')
            self.assertEqual(code, 1, command)
            self.assertIn("can't write the output", err)
            code, err = self.shell(f'"$0" {command} >&-')
            self.assertEqual(code, 1, command)
            self.assertIn("can't write the output", err)

    def test_a_node_with_closed_files_writes_no_log_into_its_data(self):
        self.node.end()
        with subprocess.Popen(["sh", "-c", f'exec "$0" serve --config {self.node.config} <&- >&- 2>&-', ZPIN],
                              env=environment()) as node:
            try:
                wait_for("node", lambda: self.node.run("health")[0] == 0)
                for file in range(3):
                    self.assertEqual(os.readlink(f"/proc/{node.pid}/fd/{file}"), "/dev/null")
            finally:
                node.terminate()
        self.assertEqual(node.returncode, 0)
        self.assertRegex(self.ok("verify", "--offline"), "^1 pins .* no damage")


class Words(Case):
    def test_what_people_try(self):
        self.node.start()
        self.assertRegex(self.ok("--version"), r"^program\t\S+\n")
        self.fails(2, '"/ipfs/x" is a path; this takes CIDs', "pin", "get", "/ipfs/x")
        self.fails(2, f'"ipfs://{CID_A}" is no CID: write it as /ipfs/{CID_A}\n', "pin", "add", f"ipfs://{CID_A}")
        self.fails(2, '"a/b" is no CID, and no path', "pin", "rm", "a/b")
        self.ok("pin", "add", f"/ipfs/{CID_A}")

    def test_wrong_input_is_2(self):
        self.node.start()
        self.fails(2, "^zpin pin add: --replication-min 3 is larger than --replication-max 2", "pin", "add", CID_A,
                   "--replication-min", "3", "--replication-max", "2")
        self.fails(2, "^zpin pin add: needs CID", "pin", "add")
        self.fails(3, 'no peer has a metric "nope"', "metrics", "nope")

    def test_options_are_read_before_a_node_is_asked(self):
        """There is none, and what standard input has is not read."""
        add = ["pin", "add", "-"]
        update = ["pin", "update", CID_A, CID_B]
        for command in [add, ["pin", "add", CID_A], update]:
            self.fails(2, '--expire-at: "never" is not a time such as 2026-01-31T12:00:00Z', *command, "--expire-at",
                       "never")
            self.fails(2, f"^zpin {command[0]} {command[1]}: --expire-at 2020-01-01T00:00:00Z is past", *command,
                       "--expire-at", "2020-01-01T00:00:00Z")
        for option in ["--before", "--after"]:
            self.fails(2, f'^zpin pin ls: {option}: "yesterday" is not a time such as 2', "pin", "ls", option, "yesterday")
        self.fails(2, r'--type: "pins" is none of all\|pin', "pin", "ls", "--type", "pin,pins")
        self.fails(2, r'--filter: "pin" is none of pinned\|', "pin", "status", "--filter", "pinned,pin,error")

    def test_every_word_of_a_filter_is_one(self):
        self.node.start()
        for command, option, count in [(["pin", "ls"], "--type", 5), (["pin", "status"], "--filter", 14)]:
            about = re.search(rf"{option} [^:]*:([^.]*?)\n +-", self.ok(*command, "--help")).group(1)
            words = re.findall(r"[a-z_-]+", about)
            self.assertEqual(len(words), count, words)
            for word in words:
                self.ok(*command, option, word)
            self.ok(*command, option, ",".join(words))

    def test_another_address_of_the_node(self):
        self.node.start()
        for command in [["pin", "ls"], ["pin", "get", CID_A]]:
            self.fails(1, "answers, but not to this .*is it a node's API", "--api", self.node.urls["metrics"], *command)


class Config(Case):
    def test_all_that_is_wrong_is_told(self):
        self.node.set("log", "level", "loud")
        self.node.set("api", "max_connections", "many")
        code, out, err = self.node.run("config", "check")
        self.assertEqual((code, out), (2, ""))
        path = re.escape(str(self.node.config))
        self.assertRegex(err, rf"^zpin: {path}:\d+:\d+: api.max_connections: .*\nzpin: {path}:\d+:\d+: log.level: .*\n$")
        answer = json.loads(self.fails(2, "^$", "--json", "config", "check"))
        self.assertEqual([f"zpin: {error}" for error in answer["errors"]], err.splitlines())
        self.fails(2, rf"^zpin: {path}.*max_connections.* \(and 1 more: `zpin config check` names them\)$", "serve")
        self.node.set("log", "level", "info")
        self.node.set("api", "max_connections", "100")
        self.node.set("api", "listen", '"*:0"')
        self.fails(2, rf"^zpin: {path}:\d+:3: api.listen: other machines can reach ", "config", "check")
        self.fails(2, "^zpin: environment variable ZPIN_METRICS_LISTEN: metrics.listen: other", "config", "check",
                   ZPIN_API_LISTEN="127.0.0.1:0", ZPIN_METRICS_LISTEN="*:0")

    def test_check_in_json(self):
        self.node.set("storage", "sync", "false")
        answer = json.loads(self.ok("--json", "config", "check"))
        self.assertEqual(answer, {"warnings": ["storage.sync: false, so a crash may lose acknowledged writes"]})

    def test_the_sockets_folder_is_looked_at(self):
        self.node.set("management", "socket", "/nowhere/at/all.sock")
        code, out, err = self.node.run("config", "check")
        self.assertEqual((code, out), (0, "the config is good\n"))
        self.assertRegex(err, "warning: management.socket: /nowhere/at does not exist")
        if os.geteuid() != 0:
            self.node.set("management", "socket", "/proc/x.sock")
            self.assertRegex(self.node.run("config", "check")[2], "no file can be made in /proc")

    def test_commands_ask_the_node_of_the_config(self):
        """--config goes before ZPIN_API; --api before both."""
        self.node.start()
        nowhere = "unix:/nowhere.sock"
        self.ok("verify", "--config", self.node.config, ZPIN_API=nowhere, ZPIN_CONFIG="")
        out = self.ok("info", "--config", self.node.config, ZPIN_API=nowhere, ZPIN_CONFIG="")
        self.assertIn(f"root\t{self.node.folder}\n", out)
        self.ok("health", ZPIN_API="", ZPIN_CONFIG=str(self.node.config))
        for command in ["health", "info"]:  # who names management wants to hear of it
            self.fails(1, "management: no node answers at unix:/nowhere.sock", command, "--management", nowhere)
            self.fails(1, "management: no node answers", command, "--api", self.node.urls["REST API"],
                       ZPIN_MANAGEMENT=nowhere)
            self.ok(command, "--api", self.node.urls["REST API"])  # where it is then, nobody said
        self.fails(1, "no node answers at unix:/nowhere.sock", "info", ZPIN_API=nowhere)
        self.fails(1, "no node answers at unix:/nowhere.sock", "info", "--config", self.node.config, "--api", nowhere)
        self.fails(2, "/nowhere/zpin.yaml", "info", "--config", "/nowhere/zpin.yaml")
        self.node.end()
        self.node.set("management", "socket", '""')
        self.node.start()
        self.fails(2, "no address that can be asked", "info", "--config", self.node.config)  # the kernel chose ports
        for section, listener in [("api", "REST API"), ("management", "management")]:
            address = self.node.urls[listener].removeprefix("http://")
            self.node.set(section, "listen", f'["{address}"]')
        out = self.ok("info", "--config", self.node.config, ZPIN_API="")
        self.assertIn(f"root\t{self.node.folder}\n", out)


if __name__ == "__main__":
    unittest.main()
