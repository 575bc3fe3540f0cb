"""The two sides: a zpin node and a lone IPFS Cluster peer, each on 127.0.0.1 with free ports.

The zpin node is the one of the API tests. The IPFS Cluster peer has a temporary folder, a stand-in for its
IPFS daemon (kubo.py) and no other peers.
"""
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
from kubo import Kubo  # noqa: E402
from node import BINARY, Connection, Node, free_port  # noqa: E402, F401

SERVICE = "ipfs-cluster-service"
CTL = "ipfs-cluster-ctl"
VERSION = "1.1.6"
PEER_NAME = "tester"  # as the zpin node is called
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60
COMMAND_TRIES_MAX = 5


def program_version(program):
    """The version a program of IPFS Cluster says it has; None when it is not on PATH."""
    if shutil.which(program) is None:
        return None
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return text.split()[2]


class TlsConnection(Connection):
    """As curl --insecure makes it."""

    def __init__(self, port, timeout=30):
        super().__init__(port, timeout)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.file.close()
        self.socket = context.wrap_socket(self.socket)
        self.file = self.socket.makefile("rb")


def certificate_make(folder):
    """A self-signed certificate and its key, as paths."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(certificate)],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key.chmod(0o600)
    return str(certificate), str(key)


class Peer:
    """A lone IPFS Cluster peer in CRDT mode."""

    def __init__(self, credentials=None, headers=(), certificate=None):
        self.headers = headers
        self.connect = TlsConnection if certificate else Connection
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="zpin-test-interop-"))
        self.folder = self.root / "peer"
        self.log = self.root / "log"
        self.port = free_port()
        self.process = None
        self.kubo = Kubo()
        self.environment = {**{key: value for key, value in os.environ.items()
                               if not key.startswith(("CLUSTER_", "IPFS_"))},
                            "CLUSTER_SECRET": secrets.token_hex(32)}
        self.command("init", "--consensus", "crdt")
        self.configure(credentials, certificate)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.remove()

    def remove(self):
        self.kubo.stop()
        shutil.rmtree(self.root)

    def configure(self, credentials, certificate):
        path = self.folder / "service.json"
        config = json.loads(path.read_text())
        config["cluster"].update(peername=PEER_NAME, mdns_interval="0s",
                                 listen_multiaddress=[f"/ip4/127.0.0.1/tcp/{free_port()}"])
        rest = config["api"]["restapi"]
        rest["http_listen_multiaddress"] = f"/ip4/127.0.0.1/tcp/{self.port}"
        rest["basic_auth_credentials"] = credentials
        if certificate:
            rest["ssl_cert_file"], rest["ssl_key_file"] = certificate
        config["api"] = {"restapi": rest}
        config["ipfs_connector"]["ipfshttp"]["node_multiaddress"] = f"/ip4/127.0.0.1/tcp/{self.kubo.port}"
        config["datastore"]["pebble"]["pebble_options"]["cache_size_bytes"] = 32 << 20
        path.write_text(json.dumps(config, indent=2))

    def command(self, *arguments):
        """A subcommand of the service, such as `state export`; the daemon must be stopped.

        A short one may close its datastore while a filter is still being built from it, and panics then;
        that is its own race, so it is called again.
        """
        for _ in range(COMMAND_TRIES_MAX):
            done = subprocess.run([SERVICE, "--config", str(self.folder), *arguments], env=self.environment,
                                  stdin=subprocess.DEVNULL, capture_output=True)
            if done.returncode == 0:
                return
            if b"panic: pebble: closed" not in done.stderr:
                break
        raise RuntimeError(f"{SERVICE} {' '.join(arguments)}: exit {done.returncode}:\n"
                           + done.stderr.decode(errors="replace")[-4000:])

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([SERVICE, "--config", str(self.folder), "daemon"],
                                            env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if b"is READY" in self.log.read_bytes():
                    return
            except OSError:
                pass
            time.sleep(0.05)
        text = self.log.read_text(errors="replace")[-4000:]
        self.kill()
        raise RuntimeError(f"{SERVICE} does not start:\n{text}")

    def settle(self):
        """Waits until the tracker has nothing under way: then each status is what it stays."""
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while time.monotonic() < deadline:
            with self.connect(self.port) as connection:
                connection.send_head("GET", "/pins?local=true&filter=queued,pinning,unpinning",
                                     ["Connection: close", *self.headers])
                if connection.receive().status == 204:
                    return
        raise RuntimeError("the IPFS Cluster peer does not settle")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
