#!/usr/bin/env python3
"""What a node costs, beside IPFS Cluster.

Usage: bench/node.py ZPIN [N=1000000] [CLUSTER_N=50000] [ROUNDS=3] [WORK=folder] [KEEP=yes]

Prints `name value unit` lines, each with its goal and whether it was met, and keeps them with the facts
of the machine in bench/results/ (only whole runs, N >= 1000000; KEEP=yes keeps a shorter one too).
Figures are medians of ROUNDS runs. Where ipfs-cluster-service is on PATH, the runs of both alternate,
with fewer pins for it, which its lines say; otherwise reference figures are printed as such.
docs/benchmarks.md says what each line is and how to read it.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
import machine  # noqa: E402
import server  # noqa: E402
from machine import number  # noqa: E402
from pins import Pins  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
GETS = 200_000
POSTS = 60_000
CLUSTER_REQUESTS = 15_000
CONNECTIONS = 64
IDLE_CONNECTIONS = 10_000
IDLE_SECONDS = 5

# name: unit, goal ("<=" or ">=" and a number, or none), reference figure of IPFS Cluster 1.1.6
ROWS = {
    "get_allocation.cpu_us": ("us", "<=15", "91-126"),
    "get_allocation.rate_per_s": ("/s", None, None),
    "get_allocation.p99_us": ("us", None, None),
    "get_allocation.merging_rate_per_s": ("/s", None, None),
    "get_allocation.merging_p99_us": ("us", None, None),
    "post_pin.cpu_us": ("us", "<=30", "263-1300"),
    "post_pin.rate_per_s": ("/s", None, None),
    "post_pin.p99_us": ("us", None, None),
    "post_pin.merging_rate_per_s": ("/s", None, None),
    "post_pin.merging_p99_us": ("us", None, None),
    "post_pin.checkpointed_cpu_us": ("us", None, None),
    "import.pins_per_cpu_s": ("/s", ">=500000", "6400"),
    "import_running.pins_per_cpu_s": ("/s", ">=500000", None),
    "import_running.checkpointed_pins_per_cpu_s": ("/s", None, None),
    "list_allocations.cpu_s": ("s", "<=1.5", "11.6-14.2"),
    "list_status.cpu_s": ("s", None, None),
    "list_status.first_byte_ms": ("ms", "<=20", "122000"),
    "list_status.rss_growth_mb": ("MB", "<=10", "4100"),
    "restart_s": ("s", "<=0.1", "1.4"),
    "disk_bytes_per_pin": ("bytes", "<=70", "751"),
    "disk_segments_bytes_per_pin": ("bytes", None, None),
    "idle_rss_mb": ("MB", "<=40", "110"),
    "idle_connection_bytes": ("bytes", "<=1024", None),
}


class Merging:
    """A thread that has the node merge every shard again and again: a few pins into each, a flush, a seal."""

    PINS = 256

    def __init__(self, who, pins, first):
        self.who, self.pins, self.next = who, pins, first
        self.count, self.failure = 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self.over.is_set():
                body = "".join(f'{{"cid":"{self.pins.cid(self.next + n)}"}}\n' for n in range(self.PINS))
                self.next += self.PINS
                status, answer = self.who.request("POST", "/pins?quiet=true", body=body)
                if status != 200:
                    raise RuntimeError(f"POST /pins: {status} {answer[:200]}")
                self.who.manage("/checkpoint")
                self.who.manage("/seal")
                self.count += 1
        except Exception as failure:
            self.failure = failure

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.failure is not None:
            raise self.failure


class Bench:
    def __init__(self, program, options):
        self.program = program
        self.count = int(options.get("N", 1_000_000))
        self.cluster_count = min(int(options.get("CLUSTER_N", 50_000)), self.count)
        self.rounds = int(options.get("ROUNDS", 3))
        self.pins = Pins()
        self.figures = {}  # (who, row): list of values
        self.lines = []
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="zpin-bench-", dir=options.get("WORK")))
        self.load = self.work / "load"
        self.commit = machine.commit()  # at the start: the tree may move on meanwhile
        self.cluster_program = shutil.which("ipfs-cluster-service")

    def path(self, name):
        return str(self.work / name)

    def add(self, who, row, value):
        self.figures.setdefault((who.name, row), []).append(value)

    # ---- The load

    def load_build(self):
        subprocess.run(["cc", "-O2", "-std=gnu17", "-o", self.load, HERE / "load.c"], check=True)

    def load_run(self, who, path):
        """Sends the requests of a file; the answer of load.c with the server's CPU beside it."""
        before = who.cpu_seconds()
        done = subprocess.run([self.load, "-c", str(CONNECTIONS), "127.0.0.1", str(who.port), path],
                              stdout=subprocess.PIPE, check=True)
        result = json.loads(done.stdout)
        result["cpu_us"] = (who.cpu_seconds() - before) * 1e6 / result["requests"]
        result["rate_per_s"] = result["requests"] / result["seconds"]
        return result

    # ---- Rows, each for zpin and, where it has it, for IPFS Cluster

    def measure_import(self):
        """The node of the last round is the one that all other rows are measured on."""
        for index in range(self.rounds):
            node = server.Zpin(self.program, self.path("running"))
            node.start()
            cpu = node.import_online(self.path("export"))
            self.add(node, "import_running.pins_per_cpu_s", self.count / cpu)
            before = node.cpu_seconds()
            node.settle()
            cpu += node.cpu_seconds() - before
            self.add(node, "import_running.checkpointed_pins_per_cpu_s", self.count / cpu)
            node.stop()
            node.remove()

            node = server.Zpin(self.program, self.path("zpin"))
            cpu = node.import_offline(self.path("export"))
            self.add(node, "import.pins_per_cpu_s", self.count / cpu)
            if index + 1 < self.rounds:
                node.remove()
        if self.cluster_program is None:
            return node, None
        cluster = server.Cluster(self.cluster_program, self.path("cluster"))
        cpu = cluster.import_offline(self.path("export-cluster"))
        self.add(cluster, "import.pins_per_cpu_s", self.cluster_count / cpu)
        return node, cluster

    def measure_rest(self, who, count):
        """A node at rest: disk, restart, idle memory. Zpin has two checkpoints, nothing to merge and one
        pin more and less by then."""
        if isinstance(who, server.Zpin):
            who.start()
            who.settle()
            extra = f"/pins/{self.pins.cid(1 << 40)}"
            for method in ("POST", "DELETE"):
                status, body = who.request(method, extra)
                if status != 200:
                    raise RuntimeError(f"{method} {extra}: {status} {body[:200]}")
                who.settle()
            who.stop()
        self.add(who, "disk_bytes_per_pin", who.disk_bytes() / count)
        if isinstance(who, server.Zpin):
            self.add(who, "disk_segments_bytes_per_pin", who.disk_bytes("shards") / count)
        for _ in range(max(self.rounds, 3)):
            self.add(who, "restart_s", who.start(f"/allocations/{self.pins.cid(0)}"))
            who.stop()
        who.start()
        time.sleep(IDLE_SECONDS)
        self.add(who, "idle_rss_mb", who.memory_bytes() / 1e6)

    def measure_idle_connections(self, who, count):
        self.pins.write_gets(self.path("gets-idle"), IDLE_CONNECTIONS, count, 7)
        self.load_run(who, self.path("gets-idle"))  # what the answers bring into memory is no connection's
        before = who.memory_bytes()
        held = subprocess.Popen([self.load, "-h", "-c", str(IDLE_CONNECTIONS), "127.0.0.1",
                                 str(who.port), self.path("gets-idle")], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
        line = held.stdout.readline().decode()
        if line != f"held {IDLE_CONNECTIONS}\n":
            raise RuntimeError(f"idle connections: {line!r}")
        time.sleep(1)
        self.add(who, "idle_connection_bytes", (who.memory_bytes() - before) / IDLE_CONNECTIONS)
        held.communicate()
        if held.returncode != 0:
            raise RuntimeError("idle connections: some requests failed")

    def measure_get(self, who, count, index):
        gets = GETS if isinstance(who, server.Zpin) else CLUSTER_REQUESTS
        self.pins.write_gets(self.path("gets"), gets, count, index)
        result = self.load_run(who, self.path("gets"))
        self.add(who, "get_allocation.cpu_us", result["cpu_us"])
        self.add(who, "get_allocation.rate_per_s", result["rate_per_s"])
        self.add(who, "get_allocation.p99_us", result["p99_us"])

    def measure_list(self, who, count):
        before = who.cpu_seconds()
        lines, _ = who.list_all("/allocations")
        if lines < count:
            raise RuntimeError(f"/allocations: {lines} lines of {count}")
        self.add(who, "list_allocations.cpu_s",
                 (who.cpu_seconds() - before) * self.count / count)
        if not isinstance(who, server.Zpin):
            return  # without an IPFS daemon it lists no status
        who.memory_peak_reset()
        before, memory = who.cpu_seconds(), who.memory_bytes()
        lines, first_byte_ms = who.list_all("/pins")
        if lines < count:
            raise RuntimeError(f"/pins: {lines} lines of {count}")
        self.add(who, "list_status.cpu_s", who.cpu_seconds() - before)
        self.add(who, "list_status.first_byte_ms", first_byte_ms)
        self.add(who, "list_status.rss_growth_mb", (who.memory_bytes("VmHWM") - memory) / 1e6)

    def measure_post(self, who, first, index):
        posts = POSTS if isinstance(who, server.Zpin) else CLUSTER_REQUESTS
        self.pins.write_posts(self.path("posts"), first + index * posts, posts)
        result = self.load_run(who, self.path("posts"))
        self.add(who, "post_pin.cpu_us", result["cpu_us"])
        self.add(who, "post_pin.rate_per_s", result["rate_per_s"])
        self.add(who, "post_pin.p99_us", result["p99_us"])
        if isinstance(who, server.Zpin):
            before = who.cpu_seconds()
            who.settle()
            self.add(who, "post_pin.checkpointed_cpu_us",
                     result["cpu_us"] + (who.cpu_seconds() - before) * 1e6 / posts)

    def measure_merging(self, who, first, index):
        """The same reads and writes while the node merges all that it has, over and over."""
        self.pins.write_gets(self.path("gets"), GETS, first, index)
        self.pins.write_posts(self.path("posts"), first + (self.rounds + index) * POSTS, POSTS)
        with Merging(who, self.pins, (2 << 40) + (index << 20)) as merging:
            for row, path in (("get_allocation", "gets"), ("post_pin", "posts")):
                before = merging.count
                result = self.load_run(who, self.path(path))
                if merging.count == before and merging.failure is None:
                    print(f"one merge took longer than all requests of {row}", file=sys.stderr)
                self.add(who, f"{row}.merging_rate_per_s", result["rate_per_s"])
                self.add(who, f"{row}.merging_p99_us", result["p99_us"])

    def run(self):
        self.load_build()
        self.pins.write_export(self.path("export"), self.count)
        self.pins.write_export(self.path("export-cluster"), self.cluster_count)
        node, cluster = self.measure_import()
        both = [(node, self.count)] + ([(cluster, self.cluster_count)] if cluster else [])
        try:
            for who, count in both:
                self.measure_rest(who, count)
                self.measure_idle_connections(who, count)
            for index in range(self.rounds):
                for who, count in both:
                    self.measure_get(who, count, index)
            for index in range(self.rounds):
                for who, count in both:
                    if index == 0 or who is node:
                        self.measure_list(who, count)
            for index in range(self.rounds):
                for who, count in both:
                    self.measure_post(who, count, index)
            for index in range(self.rounds):
                self.measure_merging(node, self.count, index)
            for who, _ in both:
                who.stop()
        finally:
            for who, _ in both:
                who.kill()

    # ---- What is said

    def say(self, text):
        self.lines.append(text)
        print(text, flush=True)

    def report(self):
        missed = 0
        for row, (unit, goal, reference) in ROWS.items():
            values = self.figures[("zpin", row)]
            line, is_missed = machine.row_line(f"node.{row}", values, unit, goal)
            missed += is_missed
            self.say(line)
            measured = self.figures.get(("ipfs-cluster", row))
            if measured is not None:
                scaled = ", scaled" if row.endswith("cpu_s") and row.startswith("list") else ""
                known = f"; reference {reference}" if reference else ""
                self.say(f"ipfs-cluster.{row} {number(statistics.median(measured))} {unit}"
                         f"  (with {self.cluster_count} pins{scaled}{known})")
            elif reference is not None:
                self.say(f"reference.{row} {reference} {unit}  (IPFS Cluster 1.1.6, not measured now)")
        self.say(f"# {missed} goals missed")


def main():
    arguments = [argument for argument in sys.argv[1:] if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    options = {**{key: os.environ[key] for key in ("N",) if key in os.environ}, **options}
    if len(arguments) != 1:
        sys.exit(__doc__)
    bench = Bench(os.path.abspath(arguments[0]), options)
    begin = time.monotonic()
    try:
        for fact in machine.facts(bench.work, bench.commit):
            bench.say(fact)
        bench.say(f"# {bench.count} pins, {bench.rounds} rounds, {CONNECTIONS} connections, "
                  f"ipfs-cluster-service {'measured beside' if bench.cluster_program else 'not on PATH'}")
        if machine.is_busy():
            bench.say(machine.BUSY)
        bench.run()
        bench.report()
        bench.say(f"# {time.monotonic() - begin:.0f} s in all")
    finally:
        shutil.rmtree(bench.work, ignore_errors=True)
    if bench.count >= 1_000_000 or options.get("KEEP") == "yes":
        machine.keep("node", bench.commit, bench.lines)


if __name__ == "__main__":
    main()
