#!/usr/bin/env python3
"""Cuts the power of the real program: what it had not synced is gone, and what it said must hold.

Usage: power.py ZPIN RECORDER [--keep] [CASE…]      (all cases when none is named)

Method: the program runs with recorder.c preloaded, which copies whatever is synced at the moment it is. A
power cut is a SIGKILL, and then the tree is made anew from these copies alone: a name is there if its
directory was synced with it, a file has the bytes of its last sync, or none. That is the harshest of all
disks that are true to their syncs, so a sync that is missing anywhere on the way shows.

Unlike the simulated disk (test/sim) this sees the system calls themselves, directories being made, hard
links, and the files that do not go through src/store: config, identity, exports. It knows one kind of cut;
partial and torn writes are for test/sim.
"""
import argparse
import base64
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

WRITERS = 4
ROUNDS = 3


class Failure(Exception):
    """Something that must hold does not."""


def cid_of(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "b" + base64.b32encode(b"\x01\x55\x12\x20" + digest).decode().lower().rstrip("=")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Disk:
    """A folder whose content is only what was synced, once the power is cut."""

    def __init__(self, recorder):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="zpin-power-"))
        self.root = self.base / "disk"
        self.synced = self.base / "synced"
        self.recorder = recorder
        self.root.mkdir()
        self.synced.mkdir()

    def environment(self):
        return {"LD_PRELOAD": self.recorder, "ZPIN_POWER": str(self.synced)}

    def cut(self):
        """Call it when nothing runs any more."""
        lost = self.base / "lost"
        shutil.rmtree(lost, ignore_errors=True)
        facts = self.root.stat()
        self.root.rename(lost)
        key = next((path for path in self.synced.iterdir()
                    if path.name.startswith(f"{facts.st_ino}-") and not path.name.endswith("unfinished")), None)
        self.root.mkdir()
        if key is not None:
            self._make(key.name, self.root)
        # What the tree is made of is durable under its new keys: as if everything had been synced.
        fresh = self.base / "fresh"
        fresh.mkdir()
        shutil.rmtree(self.synced)
        fresh.rename(self.synced)
        self.sync()

    def sync(self):
        """Makes everything durable."""
        script = ("import os, sys\n"
                  "for folder, _, names in os.walk(sys.argv[1]):\n"
                  "    for path in [folder] + [os.path.join(folder, name) for name in names]:\n"
                  "        handle = os.open(path, os.O_RDONLY); os.fsync(handle); os.close(handle)\n")
        subprocess.run([sys.executable, "-c", script, str(self.root)], check=True,
                       env={**os.environ, **self.environment()})

    def _make(self, key, where):
        for line in (self.synced / key).read_text().splitlines():
            kind, child, name = line.split(" ", 2)
            known = (self.synced / child).exists()
            if kind == "d":
                (where / name).mkdir()
                if known:
                    self._make(child, where / name)
            elif known:
                shutil.copyfile(self.synced / child, where / name)
                (where / name).chmod(0o600)
            else:
                (where / name).touch(0o600)

    def remove(self):
        shutil.rmtree(self.base)


class Node:
    def __init__(self, program, disk, place="node"):
        self.program = program
        self.disk = disk
        self.data = disk.root / place
        self.config = self.data / "zpin.yaml"
        self.log = disk.base / "log"
        self.process = None
        self.port, self.management = free_port(), free_port()

    def environment(self):
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ZPIN_")}
        return {**kept, **self.disk.environment(), "ZPIN_API_LISTEN": f"127.0.0.1:{self.port}",
                "ZPIN_MANAGEMENT_LISTEN": f"127.0.0.1:{self.management}", "ZPIN_METRICS_LISTEN": "",
                "ZPIN_MANAGEMENT_SOCKET": "", "ZPIN_STORAGE_SHARDS": "4", "ZPIN_STORAGE_MEMORY": "64MiB",
                "ZPIN_API": f"http://127.0.0.1:{self.port}", "ZPIN_LOG_LEVEL": "warning",
                "ZPIN_MANAGEMENT": f"http://127.0.0.1:{self.management}"}

    def run(self, *arguments, environment=None):
        done = subprocess.run([self.program, *arguments], env={**self.environment(), **(environment or {})},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
        if done.returncode != 0:
            raise Failure(f"zpin {' '.join(arguments)}: exit {done.returncode}: {done.stderr[-800:]}")
        return done.stdout

    def init(self):
        self.run("init", "--quiet", str(self.data))

    def start(self):
        with open(self.log, "ab") as log:
            # The place is told: a config that lost its content would lead elsewhere.
            environment = {**self.environment(), "ZPIN_NODE_DATA": str(self.data)}
            self.process = subprocess.Popen([self.program, "serve", "--config", str(self.config)],
                                            env=environment, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failure(f"the node ended: {self.log.read_text()[-800:]}")
            try:
                if self.request("GET", "/health", port=self.management)[0] == 204:
                    return
            except OSError:
                time.sleep(0.01)
        self.kill()
        raise Failure("the node does not get ready")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def request(self, method, path, body=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def pin(self, text):
        status, body = self.request("POST", f"/pins/{cid_of(text)}?name={text}")
        if status != 200:
            raise Failure(f"pin {text}: {status} {body}")

    def names(self):
        status, body = self.request("GET", "/allocations")
        if status not in (200, 204):
            raise Failure(f"GET /allocations: {status} {body[:300]}")
        return {json.loads(line)["name"] for line in body.splitlines()}


def must_hold(acknowledged, got, where):
    missing = sorted(set(acknowledged) - set(got))
    if missing:
        raise Failure(f"{where}: {len(missing)} of {len(acknowledged)} acknowledged pins are gone: {missing[:5]}")


# ---- Cases


def init(program, disk):
    """A node that was made is there, with its config and identity, and all folders above it."""
    node = Node(program, disk)
    node.init()
    before = {path: path.read_bytes() for path in (node.config, node.data / "identity.json")}
    disk.cut()
    for path, bytes_before in before.items():
        if not path.exists() or path.read_bytes() != bytes_before:
            raise Failure(f"{path.relative_to(disk.root)} is lost or not whole")
    with node:
        pass


def folders(program, disk):
    """The folders above a new node are there, however many had to be made."""
    node = Node(program, disk, "some/new/folders/node")
    config = disk.base / "zpin.yaml"
    config.write_text("{}\n")
    node.run("init", "--quiet", "--config", str(config), environment={"ZPIN_NODE_DATA": str(node.data)})
    disk.cut()
    if not (node.data / "journal").is_dir():
        raise Failure("the folders of the node are gone")


def identity(program, disk):
    """An identity that the config puts elsewhere is there."""
    node = Node(program, disk)
    place = disk.root / "keys"
    place.mkdir()
    disk.sync()
    path = place / "identity.json"
    node.run("init", "--quiet", str(node.data), environment={"ZPIN_NODE_IDENTITY": str(path)})
    before = path.read_bytes()
    disk.cut()
    if not path.exists() or path.read_bytes() != before:
        raise Failure("identity.json is lost or not whole")


def writes(program, disk):
    """Under load, with checkpoints and merges: everything acknowledged is there, a few times over."""
    node = Node(program, disk)
    acknowledged = set()
    node.init()
    for number in range(ROUNDS):
        is_over = threading.Event()
        threads = [threading.Thread(target=writer, args=(node, f"{number}-{index}", acknowledged, is_over))
                   for index in range(WRITERS)]
        threads.append(threading.Thread(target=upkeep, args=(node, is_over)))
        with node:
            for thread in threads:
                thread.start()
            time.sleep(0.7)
        is_over.set()
        for thread in threads:
            thread.join()
        disk.cut()
        with node:
            must_hold(acknowledged, node.names(), f"round {number}")
        disk.cut()  # what opening did must not be needed a second time
    if len(acknowledged) < 100:
        raise Failure(f"only {len(acknowledged)} writes were acknowledged: this shows nothing")


def writer(node, prefix, acknowledged, is_over):
    number = 0
    while not is_over.is_set():
        try:
            node.pin(f"{prefix}-{number}")
        except (OSError, http.client.HTTPException):
            return
        acknowledged.add(f"{prefix}-{number}")
        number += 1


def upkeep(node, is_over):
    while not is_over.is_set():
        try:
            node.request("POST", "/checkpoint", port=node.management)
        except (OSError, http.client.HTTPException):
            return


def snapshot(program, disk):
    """A snapshot that was told to be done is whole, whatever happens next."""
    node = Node(program, disk)
    node.init()
    names = {f"pin-{number}" for number in range(200)}
    with node:
        for name in names:
            node.pin(name)
        node.run("snapshot", "kept")
    disk.cut()
    root = node.data / "snapshots" / "kept"
    if not root.is_dir():
        raise Failure("the snapshot is gone")
    shutil.copy(node.data / "identity.json", root / "identity.json")
    lines = node.run("export", "--offline", "--quiet", "--config", str(node.config),
                     environment={"ZPIN_NODE_DATA": str(root), "ZPIN_NODE_READ_ONLY": "true"})
    must_hold(names, [json.loads(line)["name"] for line in lines.splitlines()], "the snapshot")


def removal(program, disk):
    """A snapshot that was told to be removed is gone, and the node is as it was."""
    node = Node(program, disk)
    node.init()
    with node:
        node.pin("kept")
        node.run("snapshot", "gone")
        node.run("snapshot", "rm", "gone")
    disk.cut()
    if (node.data / "snapshots" / "gone").exists():
        raise Failure("the snapshot is there again")
    with node:
        must_hold({"kept"}, node.names(), "the node")


def export(program, disk):
    """An export that was told to be done is there with all its bytes."""
    node = Node(program, disk)
    node.init()
    path = disk.root / "pins.ndjson"
    with node:
        for number in range(50):
            node.pin(f"pin-{number}")
        node.run("export", "--quiet", "-o", str(path))
    before = path.read_bytes()
    disk.cut()
    if not path.exists() or path.read_bytes() != before:
        raise Failure(f"the exported file is {'not whole' if path.exists() else 'lost'}")


CASES = {case.__name__: case for case in (init, folders, identity, writes, snapshot, removal, export)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zpin")
    parser.add_argument("recorder")
    parser.add_argument("--keep", action="store_true", help="keep the files after a failure")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    options = parser.parse_args()
    failed = 0
    for name in options.cases or CASES:
        disk = Disk(os.path.abspath(options.recorder))
        try:
            CASES[name](os.path.abspath(options.zpin), disk)
            print(f"ok {name}", flush=True)
        except Failure as failure:
            failed += 1
            print(f"FAILED {name}: {failure}", flush=True)
            if options.keep:
                print(f"files are in {disk.base}")
                continue
        disk.remove()
    return 1 if failed else 0


sys.exit(main())
