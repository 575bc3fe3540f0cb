"""client.py - what the black-box tests of src/http share: the server's process and raw sockets."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import traceback

WAIT = 20  # seconds; only for outcomes that must come, so a slow machine fails no test


class Server:
    """The test server with the options given; stopped at the end of a with block."""

    def __init__(self, **options):
        arguments = [f"{key}={value}" for key, value in options.items()]
        self.process = subprocess.Popen([sys.argv[1], *arguments], stdout=subprocess.PIPE, text=True)
        ready = re.match(r"ready port=(\d+) tls_port=(\d+)", self.process.stdout.readline())
        self.port, self.tls_port = int(ready[1]), int(ready[2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=WAIT)
        self.stopped = output.strip()
        # A sanitizer's finding or a failed assertion is a failed test too.
        assert self.process.returncode == 0, f"server ended with {self.process.returncode}"

    def connect(self, **options):
        return Client(socket.create_connection(("127.0.0.1", self.port), timeout=WAIT), **options)

    def state(self):
        """The server's counters, over a connection of its own."""
        client = self.connect()
        client.send(b"GET /state HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return json.loads(client.answer().body)

    def wait_for(self, condition):
        """Waits until the counters fulfil the condition."""
        end = time.monotonic() + WAIT
        while not condition(self.state()):
            assert time.monotonic() < end, f"never came true: {self.state()}"
            time.sleep(0.02)


class Answer:
    def __init__(self, status, headers, body, trailers):
        self.status, self.headers, self.body, self.trailers = status, headers, body, trailers


class Closed(Exception):
    """The server closed where an answer was expected."""


class Client:
    """A socket that reads answers strictly: anything odd in one raises."""

    def __init__(self, sock):
        self.socket = sock
        self.bytes = b""

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Closed()
        self.bytes += data

    def take(self, count):
        while len(self.bytes) < count:
            self.more()
        data, self.bytes = self.bytes[:count], self.bytes[count:]
        return data

    def line(self):
        while b"\r\n" not in self.bytes:
            self.more()
        line, self.bytes = self.bytes.split(b"\r\n", 1)
        return line.decode("latin-1")

    def fields(self):
        fields = []
        while line := self.line():
            name, value = line.split(": ", 1)
            fields.append((name, value))
        return fields

    def chunks(self):
        body = b""
        while size := int(self.line(), 16):
            body += self.take(size)
            assert self.take(2) == b"\r\n"
        return body, self.fields()

    def answer(self, is_head=False):
        version, status, _ = self.line().split(" ", 2)
        assert version == "HTTP/1.1", version
        headers = self.fields()
        status, trailers, names = int(status), [], dict(headers)
        if is_head or status in (100, 204, 304):
            body = b""
        elif "Transfer-Encoding" in names:
            body, trailers = self.chunks()
        elif "Content-Length" in names:
            body = self.take(int(names["Content-Length"]))
        else:
            body = self.rest()
        return Answer(status, headers, body, trailers)

    def rest(self):
        """All until the server closes."""
        try:
            while True:
                self.more()
        except Closed:
            data, self.bytes = self.bytes, b""
            return data

    def answers(self):
        """All answers until the server closes."""
        found = []
        while True:
            try:
                found.append(self.answer())
            except Closed:
                assert self.bytes == b"", self.bytes
                return found

    def is_closed(self):
        return self.rest() == b""

    def close(self):
        self.socket.close()


def run(tests):
    """Runs functions; each is told by its docstring."""
    failed = 0
    for test in tests:
        start = time.monotonic()
        try:
            test()
            print(f"ok    {test.__name__} ({time.monotonic() - start:.1f} s)")
        except Exception:  # one broken test must not hide the others
            failed += 1
            print(f"FAIL  {test.__name__}: {test.__doc__}")
            traceback.print_exc(file=sys.stdout)
    sys.stdout.flush()
    os._exit(1 if failed else 0)
