#!/usr/bin/env python3
"""Kills a node at random instants and holds it to everything it has acknowledged.

Usage: crash.py ZPIN [--rounds N | --forever] [--seed N] [--keep]

What holds: a node that was ended by SIGKILL starts again, and then
  * every acknowledged pin is there with equal fields, every acknowledged unpin is gone;
  * what was not acknowledged is either as it was or as it was asked to be, never a mixture, and nothing is
    there that nobody asked for;
  * the counter (`pins` of /info) equals the list, and single reads equal the list;
  * `zpin verify`, on some rounds before the node's own recovery and on the others after it, finds nothing.

Method: each round starts the node, lets CLIENTS threads write to it (single pins and unpins, bulk, import)
while another forces checkpoints and merges, kills it after a random time, and checks. Now and then it is
killed while it starts or while it stops. Each client has keys of its own, so what was acknowledged last is
known for each key without any order between clients. The journal may have 16 MiB, a checkpoint is due
each second: all of them, their merges and the journal's new files happen in most rounds.

What it can't show: SIGKILL leaves the kernel's page cache, so a write that was never synced survives it.
That syncs are there and in the right order is shown by the store that loses what was not synced
(test/sim, and the tests that run on it). This test shows what those can't: the whole program, its
real files, threads and answers.
"""
import argparse
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
import model  # noqa: E402

CLIENTS = 6
KEYS_PER_CLIENT = 4000
WRITING_SECONDS = (0.05, 2.5)
READY_SECONDS_MAX = 120
SINGLE_READS = 200
CONFIG = """\
node:
  data: {root}
api:
  listen: ["127.0.0.1:{port}"]
  workers: 2
management:
  listen: ["127.0.0.1:{management}"]
  socket: ""
metrics:
  listen: []
storage:
  shards: 4
  memory: 64MiB
journal:
  size_max: 16MiB
checkpoint:
  interval: 1s
log:
  level: warning
"""


class Failure(Exception):
    """Something that must hold does not."""


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Node:
    """The real program on its real files."""

    def __init__(self, program, work):
        self.program = program
        self.root = work / "node"
        self.config = str(work / "zpin.yaml")
        self.log = work / "log"
        self.port, self.management = free_ports(2)
        pathlib.Path(self.config).write_text(CONFIG.format(
            root=self.root, port=self.port, management=self.management))
        self.process = None
        subprocess.run([program, "init", "--quiet", "--config", self.config], check=True)

    def spawn(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "serve", "--config", self.config],
                                            stdout=log, stderr=log)

    def wait_ready(self):
        end = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failure(f"the node ended by itself with {self.process.returncode}")
            try:
                if self.request("GET", "/health", port=self.management)[0] == 204:
                    return
            except OSError:
                time.sleep(0.005)
        raise Failure("the node does not get ready")

    def kill(self):
        """False: it had ended before, which nobody asked for."""
        was_running = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        return was_running

    def stop_and_kill(self, seconds):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return
        if code != 0:
            raise Failure(f"the node stopped with {code}")

    def request(self, method, path, body=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def list(self):
        status, body = self.request("GET", "/allocations")
        if status == 204:
            return {}
        if status != 200:
            raise Failure(f"GET /allocations: {status} {body[:300]}")
        pins = {}
        for line in body.splitlines():
            pin = json.loads(line)
            if pin["cid"] in pins:
                raise Failure(f"{pin['cid']} is listed twice")
            pins[pin["cid"]] = pin
        return pins

    def verify(self):
        done = subprocess.run([self.program, "verify", "--offline", "--deep", "--config", self.config],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout


# ---- Load


def upkeep(node, choose, is_over):
    """Checkpoints and merges at random moments, beside those that come by themselves."""
    while not is_over.is_set():
        is_over.wait(choose.uniform(0.0, 0.3))
        try:
            node.request("POST", choose.choice(["/checkpoint", "/checkpoint", "/settle"]),
                         port=node.management)
        except (OSError, http.client.HTTPException):
            return


def write_until_killed(node, clients, seed, end):
    """Lets all write; ends the node with `end()`; returns what a client found wrong meanwhile."""
    is_over = threading.Event()
    threads = [threading.Thread(target=client.run, args=(node.port, is_over)) for client in clients]
    threads.append(threading.Thread(target=upkeep, args=(node, random.Random(seed), is_over)))
    for thread in threads:
        thread.start()
    try:
        end()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    for client in clients:
        if client.wrong is not None:
            raise Failure(client.wrong)


# ---- Checks


def check_pins(node, clients, choose):
    pins = node.list()
    left = dict(pins)
    for client in clients:
        for key in client.keys:
            wrong = key.settle(left.pop(key.cid, None))
            if wrong is not None:
                raise Failure(f"{key.cid}: {wrong}")
    if left:
        raise Failure(f"{len(left)} pins that nobody asked for: {list(left)[:3]}")
    counted = json.loads(node.request("GET", "/info", port=node.management)[1])["pins"]
    if counted != len(pins):
        raise Failure(f"/info counts {counted} pins, the list has {len(pins)}")
    keys = [key for client in clients for key in client.keys]
    for key in choose.sample(keys, min(SINGLE_READS, len(keys))):
        status, body = node.request("GET", f"/allocations/{key.cid}")
        single = json.loads(body) if status == 200 else None
        if single != pins.get(key.cid) or status not in (200, 404):
            raise Failure(f"{key.cid}: read alone {status} {single}, listed {pins.get(key.cid)}")
    return len(pins)


def check_files(node):
    code, text = node.verify()
    if code != 0:
        raise Failure(f"zpin verify: exit {code}: {text}")


def check_files_unreplayed(node):
    """Straight after a kill. Where the journal has writes that are not in the shards' files yet, verify, as
    it changes nothing, has to leave them to the node and says so; anything else is a failure."""
    code, text = node.verify()
    if code != 0 and "open the node for writing once" not in text:
        raise Failure(f"zpin verify after a kill: exit {code}: {text}")


# ---- Rounds


def one_round(node, clients, choose):
    """Start, write, end, start, check. Returns a sentence."""
    node.spawn()
    if choose.random() < 0.2:
        time.sleep(choose.uniform(0, 0.15))
        node.kill()
        node.spawn()
    node.wait_ready()
    seconds = choose.uniform(*WRITING_SECONDS)
    is_stopped = choose.random() < 0.15

    def end():
        time.sleep(seconds)
        if is_stopped:
            node.stop_and_kill(choose.uniform(0, 0.2))
        elif not node.kill():
            raise Failure("the node ended by itself under load")

    before = sum(client.acknowledged for client in clients)
    write_until_killed(node, clients, choose.getrandbits(64), end)
    acknowledged = sum(client.acknowledged for client in clients) - before
    if choose.random() < 0.5:
        check_files_unreplayed(node)
    node.spawn()
    node.wait_ready()
    count = check_pins(node, clients, choose)
    if choose.random() < 0.5:
        node.stop_and_kill(60)
        check_files(node)
    else:
        node.kill()
    how = "stopped and killed" if is_stopped else "killed"
    return f"{how} after {seconds:.2f} s, {acknowledged} writes acknowledged, {count} pins, all there"


def run(program, seed, rounds, work):
    choose = random.Random(seed)
    node = Node(program, work)
    clients = [model.Client(index, seed, KEYS_PER_CLIENT) for index in range(CLIENTS)]
    number = 0
    try:
        while rounds is None or number < rounds:
            number += 1
            print(f"round {number}: {one_round(node, clients, choose)}", flush=True)
    finally:
        if node.process is not None:
            node.kill()
    if not any(client.acknowledged for client in clients):
        raise Failure("nothing was ever acknowledged: this run shows nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zpin")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forever", action="store_true")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--keep", action="store_true", help="keep the node's files after a failure")
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="zpin-crash-"))
    print(f"seed {options.seed} (what is asked is the same again, the instants of the kills are not)",
          flush=True)
    try:
        run(os.path.abspath(options.zpin), options.seed,
            None if options.forever else options.rounds, work)
    except Failure as failure:
        log = (work / "log").read_text(errors="replace")[-3000:]
        print(f"FAILED, seed {options.seed}: {failure}\nthe node's log:\n{log}")
        if options.keep:
            print(f"files are in {work}")
            return 1
        shutil.rmtree(work)
        return 1
    except KeyboardInterrupt:
        pass
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
