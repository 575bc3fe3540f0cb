"""A server under measurement: started, stopped and looked at from outside, through /proc.

CPU is utime + stime of the process, all threads, those that have ended too; memory is VmRSS. Both are
the kernel's own books, so that nothing a server says about itself enters a figure.
"""
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS_MAX = 120


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def files_raise():
    """In the child, before exec: 10,000 connections need as many descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run_counted(command, env=None):
    """Runs a program to its end; its CPU seconds."""
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    text = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}: {text[-500:]}")
    return usage.ru_utime + usage.ru_stime


class Server:
    """What both have in common; subclasses say how to make, start and fill one."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.process = None

    def start(self, ready_path="/id"):
        """Seconds from exec to the first 200."""
        with open(self.folder.with_suffix(".log"), "ab") as log:
            begin = time.monotonic()
            self.process = subprocess.Popen(self.command(), env=self.environment(), stdout=log,
                                            stderr=log, preexec_fn=files_raise)
        while time.monotonic() - begin < START_SECONDS_MAX:
            try:
                if self.request("GET", ready_path)[0] == 200:
                    return time.monotonic() - begin
            except OSError:
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.001)
        self.kill()
        raise RuntimeError(f"no answer; see {self.folder.with_suffix('.log')}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        self.process = None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def request(self, method, path, port=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=600)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def list_all(self, path):
        """Reads a whole listing; lines and milliseconds to the first byte of the body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        begin = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        lines = answer.read(1).count(b"\n")
        first_byte_ms = (time.monotonic() - begin) * 1000
        piece = bytearray(1 << 18)
        while (length := answer.readinto(piece)) > 0:
            lines += piece.count(b"\n", 0, length)
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status}")
        return lines, first_byte_ms

    # ---- What the kernel says

    def cpu_seconds(self):
        fields = self.proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_bytes(self, name="VmRSS"):
        for line in self.proc("status").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {name}")

    def memory_peak_reset(self):
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def proc(self, name):
        return pathlib.Path(f"/proc/{self.process.pid}/{name}").read_text()

    def disk_bytes(self, part="."):
        return sum(file.stat().st_blocks * 512 for file in (self.folder / part).rglob("*"))

    def environment(self):
        return None


class Zpin(Server):
    """A node with default options, but for its ports."""
    name = "zpin"

    def __init__(self, program, folder):
        super().__init__(folder)
        self.program = program
        self.management = free_port()
        config = self.folder / "zpin.yaml"
        self.config = str(config)
        subprocess.run([program, "init", "--quiet", str(folder)], check=True)
        config.write_text(
            f"node:\n  data: {self.folder}\napi:\n  listen: [\"127.0.0.1:{self.port}\"]\n"
            f"management:\n  listen: [\"127.0.0.1:{self.management}\"]\n  socket: \"\"\n"
            "metrics:\n  listen: []\n")

    def command(self):
        return [self.program, "serve", "--config", self.config]

    def import_offline(self, path):
        """CPU seconds, the checkpoint at the end included."""
        return run_counted([self.program, "import", "--offline", "--config", self.config, path])

    def import_online(self, path):
        """CPU seconds of node and client until the import is durable and answered."""
        before = self.cpu_seconds()
        client = run_counted([self.program, "import", "--api", f"http://127.0.0.1:{self.port}", path])
        return client + self.cpu_seconds() - before

    def manage(self, path):
        status, body = self.request("POST", path, self.management)
        if status != 200:
            raise RuntimeError(f"POST {path}: {status} {body[:200]}")

    def info(self):
        return json.loads(self.request("GET", "/info", self.management)[1])

    def settle(self):
        """Two checkpoints, so that the journal is cut, and every merge that is due."""
        self.manage("/checkpoint")
        self.manage("/settle")
        self.manage("/checkpoint")


class Cluster(Server):
    """A lone peer of IPFS Cluster in its fast mode (batching), without an IPFS daemon."""
    name = "ipfs-cluster"

    def __init__(self, program, folder):
        super().__init__(folder)
        self.program = program
        self.folder.mkdir(parents=True)
        subprocess.run([program, "-c", str(folder), "init", "--consensus", "crdt"], check=True,
                       env=self.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = self.folder / "service.json"
        config = json.loads(path.read_text())
        config["cluster"].update(listen_multiaddress=[f"/ip4/127.0.0.1/tcp/{free_port()}"],
                                 mdns_interval="0s")
        config["consensus"]["crdt"]["batching"].update(max_batch_size=500, max_batch_age="1s")
        config["api"] = {"restapi": config["api"]["restapi"]}
        config["api"]["restapi"]["http_listen_multiaddress"] = f"/ip4/127.0.0.1/tcp/{self.port}"
        config["ipfs_connector"]["ipfshttp"]["node_multiaddress"] = f"/ip4/127.0.0.1/tcp/{free_port()}"
        path.write_text(json.dumps(config))

    def environment(self):
        return dict(os.environ, CLUSTER_SECRET="5a" * 32)

    def command(self):
        return [self.program, "-c", str(self.folder), "daemon"]

    def import_offline(self, path):
        return run_counted([self.program, "-c", str(self.folder), "state", "import", "-f", path],
                           self.environment())
