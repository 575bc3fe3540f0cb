"""A real node for a test, and an HTTP client that shows everything, trailers included.

    with Node(binary) as node:
        answer = node.get("/id")

The node has a temporary directory and free ports, and is ended with SIGTERM; a test fails when it does
not end well.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

CID_A = "bafkreia22brx2qsunhs3fjl32vzkkmlxo5xqnpselaxidh4r2n2eriydp4"
CID_B = "QmNmVY8XGFNGU5wZmoqKaxVzqpGV4pL5BURyKUhWcK9Ezh"
CID_C = "QmaRGe7bVmVaLmxbrMiVNXqW4pRNNp3xq7hFtyRKA3mtJL"
FOREIGN = "12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa"
NOT_FOUND = {"code": 404, "message": "pin is not part of the pinset"}

# zpin itself; the rest of the command line is unittest's.
BINARY = os.path.abspath(sys.argv.pop(1)) if __name__ != "__main__" and len(sys.argv) > 1 else None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cid_of(number):
    """The version 1 raw CID of the number's text."""
    import base64
    import hashlib

    digest = hashlib.sha256(str(number).encode()).digest()
    return "b" + base64.b32encode(b"\x01\x55\x12\x20" + digest).decode().lower().rstrip("=")


class Answer:
    def __init__(self, status, headers, body, trailers):
        self.status = status
        self.headers = headers  # (name in lower case, value), in order
        self.body = body
        self.trailers = trailers

    def header(self, name):
        values = [value for key, value in self.headers if key == name.lower()]
        return values[0] if values else None

    def header_all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    def trailer(self, name):
        values = [value for key, value in self.trailers if key == name.lower()]
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]


class Connection:
    """One connection; requests are written as told, so that they may be wrong or slow. To a port or to
    a Unix socket's path."""

    def __init__(self, address, timeout=30, source=None):
        if isinstance(address, int):
            self.socket = socket.create_connection(("127.0.0.1", address), timeout, source and (source, 0))
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(str(address))
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_head(self, method, path, headers=(), host="127.0.0.1"):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
        self.send("\r\n".join(lines).encode())

    def send_chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def _fields(self):
        fields = []
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError("the connection ended in the headers")
            if line == b"\r\n":
                return fields
            name, _, value = line.decode().rstrip("\r\n").partition(":")
            fields.append((name.lower(), value.strip()))

    def receive_head(self):
        status = self.file.readline()
        if not status:
            raise EOFError("no answer")
        return int(status.split()[1]), self._fields()

    def receive_chunk(self):
        size = int(self.file.readline().split(b";")[0], 16)
        data = self.file.read(size)
        if len(data) != size:
            raise EOFError("the connection ended in a chunk")
        if size > 0:
            self.file.readline()
        return data

    def receive(self, method="GET"):
        status, headers = self.receive_head()
        fields = dict(headers)
        body, trailers = b"", []
        if method == "HEAD" or status in (204, 304):
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while True:
                chunk = self.receive_chunk()
                if not chunk:
                    break
                body += chunk
            trailers = self._fields()
        elif "content-length" in fields:
            body = self.file.read(int(fields["content-length"]))
        else:
            body = self.file.read()
        return Answer(status, headers, body, trailers)


class Node:
    def __init__(self, accounts=None, environment=None):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="zpin-test-api-"))
        self.port = free_port()
        self.management = free_port()
        self.log = self.root / "log"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("ZPIN_")},
            "ZPIN_NODE_NAME": "tester",
            "ZPIN_NODE_DATA": str(self.root / "data"),
            "ZPIN_API_LISTEN": f"127.0.0.1:{self.port}",
            "ZPIN_MANAGEMENT_LISTEN": f"127.0.0.1:{self.management}",
            "ZPIN_MANAGEMENT_SOCKET": str(self.root / "zpin.sock"),
            "ZPIN_METRICS_LISTEN": "",
            "ZPIN_STORAGE_SHARDS": "4",
            "ZPIN_STORAGE_SYNC": "false",
            "ZPIN_STORAGE_MEMORY": "256MiB",
            "ZPIN_LOG_LEVEL": "debug",
            **(environment or {}),
        }
        config = self.root / "zpin.yaml"
        config.write_text("{}\n")
        config.chmod(0o600)
        self.environment["ZPIN_CONFIG"] = str(config)
        if accounts is not None:
            path = self.root / "accounts.yaml"
            path.write_text(accounts)
            path.chmod(0o600)
            self.environment["ZPIN_ACCESS_ACCOUNTS_FILE"] = str(path)
        self.process = None

        subprocess.run([BINARY, "init", "--quiet"], env=self.environment, check=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.root)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve"], env=self.environment, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if b"ready" in self.log.read_bytes():
                    return
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise RuntimeError("the node does not start:\n" + self.log.read_text())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("the node does not end:\n" + self.log.read_text()[-4000:])
        if code != 0:
            raise RuntimeError(f"the node ended with {code}:\n" + self.log.read_text()[-8000:])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def connection(self, timeout=30):
        return Connection(self.port, timeout)

    def request(self, method, path, body=None, headers=()):
        with self.connection() as connection:
            headers = ["Connection: close", *headers]
            if body is not None:
                headers.append(f"Content-Length: {len(body)}")
            connection.send_head(method, path, headers)
            if body is not None:
                connection.send(body)
            return connection.receive(method)

    def get(self, path, headers=()):
        return self.request("GET", path, headers=headers)

    def post(self, path, body=None, headers=()):
        return self.request("POST", path, body, headers)

    def delete(self, path):
        return self.request("DELETE", path)

    def resident_kilobytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


class NodeTest(unittest.TestCase):
    """One node for all tests of a class, emptied before each."""

    accounts = None
    environment = None

    @classmethod
    def setUpClass(cls):
        cls.node = Node(cls.accounts, cls.environment)
        cls.node.start()
        cls.id = None

    @classmethod
    def tearDownClass(cls):
        cls.node.__exit__()

    def setUp(self):
        if self.accounts is None:
            self.assertTrue(self.node.post("/import?replace=true", b"\n").lines()[-1]["done"])
            self.assertEqual(self.node.get("/allocations").status, 204)
            type(self).id = self.node.get("/id").json()["id"]

    def assert_error(self, answer, status, message):
        self.assertEqual((answer.status, answer.json()), (status, {"code": status, "message": message}))
        self.assertTrue(answer.body.endswith(b"}\n"))
        self.assertEqual(answer.header("content-type"), "application/json")
