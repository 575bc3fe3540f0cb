#!/usr/bin/env python3
"""A node whose data directory is a ZFS dataset, by zfs-fuse, on a pool in a file.

Usage: zfs_fuse.py ZPIN        exit 77 and a reason where zfs-fuse can't run

Four things are done to it under load, and each time every acknowledged pin must be there, and nothing that
nobody asked for:
  * the node is killed;
  * the file system is killed (SIGKILL to zfs-fuse), so that the node's calls fail; then the pool is imported
    anew, which replays ZFS's own log;
  * the file system hangs (SIGSTOP to zfs-fuse), so that no call returns, as with failmode=wait; then it goes
    on; and it hangs once more while the node is to stop;
  * the pool is filled until writes are refused; when there is space again, writes go on.

All of it happens in a mount namespace of its own with an empty /etc/zfs and /run, so that no other pool is
seen or touched. Needs root, /dev/fuse and Debian's package zfs-fuse. It shows nothing about the ZFS of
OpenZFS, which needs a kernel module.
"""
import base64
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SKIPPED = 77
POOL = "zpintest"
POOL_BYTES = 160 << 20
BALLAST_BYTES = 40 << 20
WRITERS = 4
SECONDS = 1.5
INSIDE = "ZPIN_TEST_ZFS_INSIDE"


class Failure(Exception):
    pass


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def possible():
    if os.geteuid() != 0:
        skip("needs root, to mount")
    if not os.path.exists("/dev/fuse"):
        skip("there is no /dev/fuse")
    for program in ("zfs-fuse", "zpool", "zfs", "unshare", "umount"):
        if shutil.which(program) is None:
            skip(f"{program} is not installed (Debian package zfs-fuse)")
    if pathlib.Path("/sys/module/zfs").exists():
        skip("this kernel has OpenZFS, whose tools are not those of zfs-fuse")
    if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        skip("no mount namespace may be made here")


def tool(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: {done.stdout}")
    return done.stdout


class Pool:
    def __init__(self, base):
        self.mount = base / "mount"
        self.images = base / "images"
        self.images.mkdir()
        self.process = None
        with open(self.images / "pool.img", "wb") as image:
            image.truncate(POOL_BYTES)

    def daemon_start(self):
        log = open("/run/zfs-fuse.log", "ab")
        self.process = subprocess.Popen(["zfs-fuse", "--no-daemon", "--no-kstat-mount"], stdout=log, stderr=log)
        for _ in range(200):
            if self.process.poll() is not None:
                skip(f"zfs-fuse does not start: {pathlib.Path('/run/zfs-fuse.log').read_text()[-300:]!r}")
            if subprocess.run(["zpool", "list"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.05)
        raise Failure("zfs-fuse does not answer")

    def create(self):
        self.daemon_start()
        tool("zpool", "create", "-o", "cachefile=none", "-m", self.mount, POOL, self.images / "pool.img")
        tool("zfs", "create", f"{POOL}/node")
        return self.mount / "node"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def again(self):
        for path in (self.mount / "node", self.mount):
            subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL)
        self.daemon_start()
        tool("zpool", "import", "-o", "cachefile=none", "-f", "-d", self.images, POOL)

    def hang(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def destroy(self):
        self.go_on()
        subprocess.run(["zpool", "destroy", "-f", POOL], stderr=subprocess.DEVNULL)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


def cid_of(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "b" + base64.b32encode(b"\x01\x55\x12\x20" + digest).decode().lower().rstrip("=")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    def __init__(self, program, data, base):
        self.program, self.data = program, data
        self.log = base / "log"
        self.config = base / "zpin.yaml"
        self.config.write_text("{}\n")
        self.port, self.management = free_port(), free_port()
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ZPIN_")}
        self.environment = {**kept, "ZPIN_NODE_DATA": str(data), "ZPIN_API_LISTEN": f"127.0.0.1:{self.port}",
                            "ZPIN_MANAGEMENT_LISTEN": f"127.0.0.1:{self.management}",
                            "ZPIN_METRICS_LISTEN": "", "ZPIN_MANAGEMENT_SOCKET": "", "ZPIN_STORAGE_SHARDS": "4",
                            "ZPIN_STORAGE_MEMORY": "64MiB", "ZPIN_LOG_LEVEL": "warning",
                            "ZPIN_CHECKPOINT_INTERVAL": "1s", "ZPIN_CONFIG": str(self.config)}
        self.process = None

    def command(self, *arguments):
        return subprocess.run([self.program, *arguments], env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "serve"], env=self.environment, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failure("the node ended by itself")
            try:
                if self.request("GET", "/allocations?limit=1")[0] in (200, 204):
                    return
            except OSError:
                time.sleep(0.01)
        raise Failure("the node does not get ready")

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            raise Failure("the node does not stop well")

    def request(self, method, path, body=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def names(self):
        status, body = self.request("GET", "/allocations")
        if status not in (200, 204):
            raise Failure(f"GET /allocations: {status} {body[:200]}")
        return {json.loads(line)["name"] for line in body.splitlines()}


class Load:
    """Threads that pin, each a connection of its own."""

    def __init__(self, node):
        self.node = node
        self.asked, self.acknowledged = set(), set()
        self.round = 0

    def run(self, end):
        """Writes, and ends it all with `end()`."""
        self.round += 1
        before, is_over = len(self.acknowledged), threading.Event()
        threads = [threading.Thread(target=self._write, args=(f"{self.round}-{index}", is_over))
                   for index in range(WRITERS)]
        for thread in threads:
            thread.start()
        time.sleep(SECONDS)
        end()
        is_over.set()
        for thread in threads:
            thread.join()
        return len(self.acknowledged) - before

    def _write(self, prefix, is_over):
        number = 0
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=60)
        while not is_over.is_set():
            name = f"{prefix}-{number}"
            number += 1
            self.asked.add(name)
            try:
                connection.request("POST", f"/pins/{cid_of(name)}?name={name}")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status == 200:
                self.acknowledged.add(name)

    def fill(self):
        """Large pins, one at a time, until one is refused; returns its answer."""
        for number in range(100000):
            name = f"fill-{number}-" + "f" * 200
            body = json.dumps({"cid": cid_of(name), "name": name, "metadata": {"m": os.urandom(20000).hex()}})
            self.asked.add(name)
            status, answer = self.node.request("POST", "/pins", body + "\n")
            line = json.loads(answer.splitlines()[0]) if answer else {}
            if status != 200 or "error" in line or line.get("name") != name:
                return status, answer
            self.acknowledged.add(name)
        raise Failure("the pool does not get full")

    def check(self, what):
        there = self.node.names()
        lost, strange = self.acknowledged - there, there - self.asked
        if lost or strange:
            raise Failure(f"{what}: {len(lost)} of {len(self.acknowledged)} acknowledged pins are gone, "
                          f"{len(strange)} are there that nobody asked for: {sorted(lost | strange)[:3]}")
        print(f"{what}: all {len(self.acknowledged)} acknowledged pins are there", flush=True)


def until(what, true):
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            raise Failure(f"waited in vain for {what}")
        time.sleep(0.05)


def expect(what, answer, status, *texts):
    if answer[0] != status or not all(text.encode() in answer[1] for text in texts):
        raise Failure(f"{what}: {answer[0]} {answer[1][:500]}, not {status} {texts}")


def hanging_pool(node, load, pool):
    """No call returns: who waits is told, reads from memory go on, and all is well afterwards."""
    node.stop()
    node.environment["ZPIN_STORAGE_HANG_AFTER"] = "2s"
    node.start()
    in_memory = "just-before"
    load.asked.add(in_memory)
    expect("a write", node.request("POST", f"/pins/{cid_of(in_memory)}?name={in_memory}"), 200)
    load.acknowledged.add(in_memory)
    pool.hang()
    late = "in-between"
    load.asked.add(late)
    expect("a write that hangs", node.request("POST", f"/pins/{cid_of(late)}?name={late}"), 503,
           "outcome not known", "/journal")
    refused = "refused"
    expect("the next write", node.request("POST", f"/pins/{cid_of(refused)}?name={refused}"), 503,
           "nothing was written", "/journal")
    expect("health", node.request("GET", "/health", port=node.management), 503, "does not answer", "/journal")
    expect("metrics", node.request("GET", "/metrics", port=node.management), 200, "zpin_writes_hang 1")
    expect("what is in memory", node.request("GET", f"/allocations/{cid_of(in_memory)}"), 200, in_memory)
    for name in sorted(load.acknowledged)[:50]:  # in files: there, or an answer all the same
        status, answer = node.request("GET", f"/allocations/{cid_of(name)}")
        if status not in (200, 503):
            raise Failure(f"a read while the disk hangs: {status} {answer[:300]}")
    pool.go_on()
    until("health", lambda: node.request("GET", "/health", port=node.management)[0] == 204)
    if late not in node.names():
        raise Failure("the write that hung and then succeeded is not there")
    load.check("file system hung, and went on")
    pool.hang()
    load.asked.add("at-the-end")
    expect("a write that hangs", node.request("POST", f"/pins/{cid_of('at-the-end')}?name=at-the-end"), 503)
    node.process.send_signal(signal.SIGTERM)
    until("the stop", lambda: "stopped without waiting for the disk" in node.log.read_text(errors="replace"))
    pool.go_on()  # the system keeps the process until its last call has returned
    if node.process.wait(60) != 1:
        raise Failure("a stop while the disk hangs is told as a good one")
    del node.environment["ZPIN_STORAGE_HANG_AFTER"]
    node.start()
    load.check("stopped while the file system hung")


def full_pool(node, load, data):
    ballast = data.parent / "ballast"
    with open(ballast, "wb") as file:
        for _ in range(BALLAST_BYTES >> 20):
            file.write(os.urandom(1 << 20))
        os.fsync(file.fileno())
    status, answer = load.fill()
    if status not in (200, 503, 507):
        raise Failure(f"a full pool is told as {status} {answer[:200]}")
    print(f"full: {status} {answer[:160]}", flush=True)
    load.check("full, still serving")
    ballast.unlink()
    end = time.monotonic() + 30  # ZFS gives the space back when its transaction groups are through
    how = "without a restart"
    while time.monotonic() < end:
        name = f"after-{time.monotonic()}"
        load.asked.add(name)
        if node.request("POST", f"/pins/{cid_of(name)}?name={name}")[0] == 200:
            load.acknowledged.add(name)
            break
        if time.monotonic() > end - 15 and how == "without a restart":
            how = "after a restart"
            node.kill()
            node.start()
        time.sleep(0.2)
    else:
        raise Failure("writes do not go on when there is space again")
    print(f"space again: writes go on {how}", flush=True)
    load.check("after the full pool")


def inside(program, base):
    tool("mount", "-t", "tmpfs", "none", "/etc/zfs")
    tool("mount", "-t", "tmpfs", "none", "/run")
    for folder in ("/run/zfs", "/run/lock"):
        os.mkdir(folder)
    pool = Pool(base)
    node = None
    try:
        data = pool.create() / "zpin"
        node = Node(program, data, base)
        made = node.command("init", "--quiet")
        if made.returncode != 0:
            raise Failure(f"init: {made.stdout}")
        load = Load(node)
        node.start()
        count = load.run(node.kill)
        if count < 20:
            raise Failure(f"only {count} writes were acknowledged: this shows nothing")
        node.start()
        load.check("node killed")
        load.run(pool.kill)
        node.kill()
        pool.again()
        node.start()
        load.check("file system killed")
        hanging_pool(node, load, pool)
        full_pool(node, load, data)
        node.stop()
        verified = node.command("verify", "--offline")
        if verified.returncode != 0:
            raise Failure(f"verify: {verified.stdout[-500:]}")
    finally:
        if node is not None:
            node.kill()
        pool.destroy()


def main():
    program = os.path.abspath(sys.argv[1])
    if INSIDE not in os.environ:
        possible()
        base = tempfile.mkdtemp(prefix="zpin-zfs-")
        try:
            code = subprocess.run(["unshare", "-m", sys.executable, __file__, program],
                                  env={**os.environ, INSIDE: base}).returncode
        finally:
            shutil.rmtree(base, ignore_errors=True)
        return code
    base = pathlib.Path(os.environ[INSIDE])
    try:
        inside(program, base)
    except Failure as failure:
        log = (base / "log").read_text(errors="replace")[-2000:] if (base / "log").exists() else ""
        print(f"FAILED: {failure}\nthe node's log:\n{log}")
        return 1
    return 0


sys.exit(main())
