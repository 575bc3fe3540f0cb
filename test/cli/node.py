"""A node of the real program in a directory of its own, and what its tests have in common.

The program's path is the first argument of the script that uses this.
"""
import base64
import ctypes
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ZPIN = os.path.abspath(sys.argv.pop(1))
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
DATA = REPOSITORY / "test/data"
PLAIN = DATA / "ipfs-cluster-1.1.6-export-plain.ndjson.gz"
MIXED = DATA / "ipfs-cluster-1.1.6-export-mixed.ndjson.gz"
HANDMADE = DATA / "handmade.ndjson"
BROKEN = DATA / "handmade-broken.ndjson"
LINES = 28033  # of the first three

CID_A = "QmNmVY8XGFNGU5wZmoqKaxVzqpGV4pL5BURyKUhWcK9Ezh"
CID_B = "QmaRGe7bVmVaLmxbrMiVNXqW4pRNNp3xq7hFtyRKA3mtJL"
CID_C = "bafkreia22brx2qsunhs3fjl32vzkkmlxo5xqnpselaxidh4r2n2eriydp4"
PEER = "12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa"
WAIT_SECONDS = 60


def cid_of(number):
    digest = hashlib.sha256(str(number).encode()).digest()
    return "b" + base64.b32encode(b"\x01\x55\x12\x20" + digest).decode().lower().rstrip("=")


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZPIN_")}
    kept.pop("NOTIFY_SOCKET", None)
    return {**kept, **more}


def hash64(data):
    """The checksum of zpin's files: XXH3, 64 bits, seed 0."""
    function = ctypes.CDLL("libxxhash.so.0").XXH3_64bits_withSeed
    function.restype = ctypes.c_uint64
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    return function(data, len(data), 0)


def lines_of(path):
    data = pathlib.Path(path).read_bytes()
    return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).splitlines()


def wait_for(what, condition):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"no {what} in {WAIT_SECONDS} s")


class Node:
    """A node in a directory of its own, with its config edited as a person would: by taking `#` away."""

    def __init__(self, folder, **keys):
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "zpin.yaml"
        self.socket = self.folder / "zpin.sock"
        self.log = self.folder.with_suffix(".log")
        made = subprocess.run([ZPIN, "init", str(folder)], env=environment(), capture_output=True,
                              text=True, check=True)
        self.init_report = made.stdout
        self.set("api", "listen", '["127.0.0.1:0"]')
        self.set("management", "listen", '["127.0.0.1:0"]')
        self.set("metrics", "listen", '["127.0.0.1:0"]')
        self.set("storage", "sync", "false")
        self.set("storage", "memory", "256MiB")
        self.set("expiry", "scan_interval", "24h")  # the data has pins that expired long ago
        for name, value in keys.items():
            self.set(*name.split("__"), value)
        self.process = None
        self.urls = {}

    def set(self, section, key, value):
        text = self.config.read_text()
        head = re.search(rf"^#?{section}:$", text, re.M)
        line = re.compile(rf"^#?  {key}:.*$", re.M).search(text, head.end())
        text = text[:line.start()] + f"  {key}: {value}" + text[line.end():]
        self.config.write_text(text[:head.start()] + f"{section}:" + text[head.end():])

    def start(self, **variables):
        self.log.write_text("")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [ZPIN, "serve", "--config", str(self.config)], env=environment(**variables),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("ready node", lambda: re.search('[ "]ready: ', self.log.read_text())
                 or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise AssertionError("the node does not start:\n" + self.log.read_text())
        found = re.findall(r"(REST API|management|metrics) on (https?://[^\s\"]+)", self.log.read_text())
        self.urls = dict(found)
        return self

    def end(self, number=signal.SIGTERM):
        if self.process is None:
            return None
        self.process.send_signal(number)
        try:
            code = self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None
        return code

    def run(self, *arguments, stdin=b"", seconds=300, **variables):
        """(exit code, stdout, stderr) of a command that asks this node."""
        variables = {"ZPIN_API": f"unix:{self.socket}", "ZPIN_CONFIG": str(self.config), **variables}
        done = subprocess.run([ZPIN, *map(str, arguments)], input=stdin, capture_output=True,
                              env=environment(**variables), timeout=seconds, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def request(self, listener, method, path, headers=None):
        """(status, headers, body) over TCP."""
        address = self.urls[listener].removeprefix("http://")
        connection = http.client.HTTPConnection(address, timeout=WAIT_SECONDS)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def files(self):
        return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
                for path in self.folder.rglob("*")}

    def segments(self):
        return sorted(self.folder.rglob("*.seg"), key=lambda path: path.stat().st_size)


class Case(unittest.TestCase):
    keys = {}

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="zpin-e2e-")
        self.node = Node(pathlib.Path(self.folder.name) / "node", **self.keys)

    def tearDown(self):
        self.node.end()
        self.folder.cleanup()

    def path(self, name, data=None):
        path = pathlib.Path(self.folder.name) / name
        if data is not None:
            path.write_bytes(data)
        return path

    def ok(self, *arguments, **more):
        code, out, err = self.node.run(*arguments, **more)
        self.assertEqual(code, 0, f"zpin {' '.join(map(str, arguments))}: {out}{err}")
        return out

    def fails(self, expected, message, *arguments, **more):
        code, out, err = self.node.run(*arguments, **more)
        self.assertEqual(code, expected, f"zpin {' '.join(map(str, arguments))}: {out}{err}")
        self.assertRegex(err, message)
        return out

    def json(self, *arguments, **more):
        return [json.loads(line) for line in self.ok("--json", *arguments, **more).splitlines()]

    def exported(self, *arguments):
        return sorted(self.ok("export", "-q", *arguments).encode().splitlines())
