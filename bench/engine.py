#!/usr/bin/env python3
"""The storage engine beside RocksDB and LMDB: the same records, the same commits, in turn.

Usage: bench/engine.py BENCH_ENGINE [N=2000000] [LARGE=10000000] [HUGE=0] [DAYS=1000] [ROUNDS=3] [WORK=folder] [KEEP=yes]

N records are loaded into each store, read, and read again when zpin's are in one run. LARGE are loaded into
zpin alone, for reads of many runs, and sealed, for lookups from the disk; HUGE (0: not at all; goals speak of 1e8 for the load, of 4e8 for what is sealed) for load, sealing and opening.
DAYS are days of a shard with snapshots (bench-days, beside BENCH_ENGINE).
Prints `name value unit` lines, medians of ROUNDS; ratios are of CPU time, round by round. Whole runs
(N >= 2000000; KEEP=yes: any) are kept in bench/results/. docs/benchmarks.md says what each line is.
"""
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
import machine  # noqa: E402
from machine import number  # noqa: E402

STORES = ("zpin", "rocksdb", "lmdb")
QUESTIONS = 400_000
BATCH = 10_000
BATCH_HUGE = 65_536
MEMORY_MIB = 128
OPENINGS = 5

# name: unit, goal, what prototype or reference there is
ROWS = {
    "load.per_cpu_s": ("/s", None),
    "load.ratio_rocksdb": ("times", ">=25"),
    "load.ratio_lmdb": ("times", None),
    "hit.per_cpu_s": ("/s", None),
    "hit.ratio_rocksdb": ("times", ">=12"),
    "hit.ratio_lmdb": ("times", ">=3"),
    "miss.per_cpu_s": ("/s", None),
    "batch_hit.per_cpu_s": ("/s", ">=5000000"),
    "batch_hit.ratio_rocksdb": ("times", None),
    "batch_miss.per_cpu_s": ("/s", ">=10000000"),
    "batch_lookups_per_s": ("/s", ">=10000000"),
    "batch_misses_per_s": ("/s", None),
    "scan.per_cpu_s": ("/s", ">=67000000"),
    "scan.ratio_rocksdb": ("times", None),
    "scan_keys.per_cpu_s": ("/s", None),
    "scan_column.per_cpu_s": ("/s", None),
    "seal.per_cpu_s": ("/s", None),
    "bytes_per_pin": ("bytes", None),
    "key_over_floor_percent": ("%", "<=0.6"),
    "time_bytes_per_pin": ("bytes", "<=10"),
    "ram_bits_sealed": ("bits", "<=0.4"),
    "large.write_amplification": ("times", None),
    "large.load.per_cpu_s": ("/s", None),
    "tiered_hit.per_cpu_s": ("/s", ">=4000000"),
    "tiered_miss.per_cpu_s": ("/s", ">=12000000"),
    "tiered_scan.per_cpu_s": ("/s", None),
    "tiered_scan_keys.per_cpu_s": ("/s", None),
    "tiered_scan_column.per_cpu_s": ("/s", None),
    "ram_bits_tiered": ("bits", "<=6.5"),
    "disk_lookup.per_s": ("/s", None),
    "disk_lookup.device_share": ("times", ">=0.95"),
    "disk_lookup.single_device_share": ("times", ">=0.95"),
    "disk_lookup.hurried_device_share": ("times", ">=0.95"),
    "disk_lookup.cpu_us": ("us", None),
    "huge.load.per_cpu_s": ("/s", ">=3500000"),
    "huge.seal.per_cpu_s": ("/s", None),
    "huge.bytes_per_pin": ("bytes", "<=34.8"),
    "huge.open_cold_s": ("s", "<=0.05"),
    "write_amplification": ("times", "<=3.5"),
    "space_30_snapshots": ("times", "<=1.06"),
    "space_30_snapshots_most": ("times", None),
    "space_30_snapshots_all": ("times", None),
    "space_30_snapshots_all_most": ("times", None),
    "rewritten_twice": ("times", None),
    "runs_most": ("runs", None),
}
PINS_A_DAY = 2000


class Bench:
    def __init__(self, program, options):
        self.program = program
        self.count = int(float(options.get("N", 2_000_000)))
        self.large = int(float(options.get("LARGE", 10_000_000)))
        self.huge = int(float(options.get("HUGE", 0)))
        self.days = int(options.get("DAYS", 1000))
        self.rounds = int(options.get("ROUNDS", 3))
        self.figures = {}
        self.peers = {}
        self.lines = []
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="zpin-bench-", dir=options.get("WORK")))
        self.commit = machine.commit()

    def step(self, store, step, count, batch=BATCH):
        """The lines of one run, by name."""
        done = subprocess.run([self.program, store, step, self.work / store, str(count), str(batch),
                               str(QUESTIONS), str(MEMORY_MIB)], stdout=subprocess.PIPE, text=True, check=True)
        found = {}
        for line in done.stdout.splitlines():
            name, value, _ = line.split(" ", 2)
            found[name.split(".", 1)[1]] = float(value)
        return found

    def snapshots(self):
        program = pathlib.Path(self.program).with_name("bench-days")
        done = subprocess.run([program, self.work / "days", str(self.days), str(PINS_A_DAY)],
                              stdout=subprocess.PIPE, text=True, check=True)
        for line in done.stdout.splitlines():
            name, value, _ = line.split(" ", 2)
            self.add(name.split(".", 1)[1], float(value))

    def add(self, row, value):
        self.figures.setdefault(row, []).append(value)

    def remove(self, store):
        shutil.rmtree(self.work / store, ignore_errors=True)

    def forget(self, store):
        """What the kernel has of the files in memory goes."""
        for path in (self.work / store).rglob("*"):
            if path.is_file():
                file = os.open(path, os.O_RDONLY)
                os.fdatasync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)

    def round(self):
        loads, reads = {}, {}
        for store in STORES:
            loads[store] = self.step(store, "load", self.count)
        seal = self.step("zpin", "seal", self.count)
        for store in STORES:
            reads[store] = self.step(store, "read", self.count)
            self.remove(store)
        for name in ("load.per_cpu_s",):
            self.add(name, loads["zpin"][name])
        for name in ("hit.per_cpu_s", "miss.per_cpu_s", "batch_hit.per_cpu_s", "batch_miss.per_cpu_s",
                     "batch_lookups_per_s", "batch_misses_per_s", "scan.per_cpu_s", "scan_keys.per_cpu_s", "scan_column.per_cpu_s"):
            self.add(name, reads["zpin"][name])
        for store in STORES[1:]:
            for name, found in [("load", loads)] + [(name, reads) for name in ("hit", "batch_hit", "scan")]:
                line = f"{name}.per_cpu_s"
                self.add(f"{name}.ratio_{store}", found["zpin"][line] / found[store][line])
                self.peers.setdefault(f"{store}.{line}", []).append(found[store][line])
            self.peers.setdefault(f"{store}.bytes_per_pin", []).append(reads[store]["disk_bytes"] / self.count)
        self.add("seal.per_cpu_s", seal["seal.per_cpu_s"])
        self.add("bytes_per_pin", (seal["disk_bytes"] - seal["time_bytes"]) / self.count)
        self.add("time_bytes_per_pin", seal["time_bytes"] / self.count)
        # After the reads: what says where blocks are is in memory once it was needed.
        self.add("ram_bits_sealed", reads["zpin"]["resident_bytes"] * 8 / self.count)

    def run(self):
        for _ in range(self.rounds):
            self.round()
        self.step("zpin", "load-keys", self.count)
        keys = self.step("zpin", "seal", self.count)
        # What tells so many uniform keys of 256 bits apart, in whatever order they come.
        floor = (256 - math.log2(self.count) + math.log2(math.e)) / 8
        self.add("key_over_floor_percent",
                 ((keys["disk_bytes"] - keys["time_bytes"]) / self.count / floor - 1) * 100)
        self.remove("zpin")
        if self.large > 0:
            load = self.step("zpin", "load", self.large)
            self.add("large.load.per_cpu_s", load["load.per_cpu_s"])
            self.add("large.write_amplification", load["written_bytes"] / load["flushed_bytes"])
            read = self.step("zpin", "read", self.large)
            self.add("tiered_hit.per_cpu_s", read["batch_hit.per_cpu_s"])
            self.add("tiered_miss.per_cpu_s", read["batch_miss.per_cpu_s"])
            for name in ("scan", "scan_keys", "scan_column"):
                self.add(f"tiered_{name}.per_cpu_s", read[f"{name}.per_cpu_s"])
            self.add("ram_bits_tiered", read["resident_bytes"] * 8 / self.large)
            self.step("zpin", "seal", self.large)
            disk = self.step("zpin", "disk", self.large)
            self.add("disk_lookup.per_s", disk["disk_batch.per_s"])
            self.add("disk_lookup.device_share", disk["disk_batch.device_share"])
            self.add("disk_lookup.single_device_share", disk["disk_single.device_share"])
            self.add("disk_lookup.hurried_device_share", disk["disk_hurried.device_share"])
            self.add("disk_lookup.cpu_us", disk["disk_batch.cpu_us"])
            self.remove("zpin")
        if self.huge > 0:
            load = self.step("zpin", "load", self.huge, BATCH_HUGE)
            self.add("huge.load.per_cpu_s", load["load.per_cpu_s"])
            seal = self.step("zpin", "seal", self.huge, BATCH_HUGE)
            self.add("huge.seal.per_cpu_s", seal["seal.per_cpu_s"])
            self.add("huge.bytes_per_pin", (seal["disk_bytes"] - seal["time_bytes"]) / self.huge)
            for _ in range(OPENINGS):
                self.forget("zpin")
                again = self.step("zpin", "seal", self.huge, BATCH_HUGE)  # nothing is left to seal
                self.add("huge.open_cold_s", again["open_shard_s"])
            self.remove("zpin")
        if self.days > 0:
            self.snapshots()

    # ---- What is said

    def say(self, text):
        self.lines.append(text)
        print(text, flush=True)

    def report(self):
        missed = 0
        for row, (unit, goal) in ROWS.items():
            values = self.figures.get(row)
            if values is None:
                continue
            line, is_missed = machine.row_line(f"engine.{row}", values, unit, goal)
            missed += is_missed
            self.say(line)
        for row, values in sorted(self.peers.items()):
            unit = "bytes" if row.endswith("bytes_per_pin") else "/s"
            self.say(f"{row} {number(statistics.median(values))} {unit}")
        self.say(f"# {missed} goals missed")


def main():
    arguments = [argument for argument in sys.argv[1:] if "=" not in argument]
    options = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    known = ("N", "LARGE", "HUGE", "DAYS", "ROUNDS")
    options = {**{key: os.environ[key] for key in known if key in os.environ}, **options}
    if len(arguments) != 1:
        sys.exit(__doc__)
    bench = Bench(os.path.abspath(arguments[0]), options)
    begin = time.monotonic()
    try:
        for fact in machine.facts(bench.work, bench.commit):
            bench.say(fact)
        bench.say(f"# {bench.count} records, commits of {BATCH}, {bench.rounds} rounds; tiered: {bench.large}")
        if machine.is_busy():
            bench.say(machine.BUSY)
        bench.run()
        bench.report()
        bench.say(f"# {time.monotonic() - begin:.0f} s in all")
    finally:
        shutil.rmtree(bench.work, ignore_errors=True)
    if bench.count >= 2_000_000 or options.get("KEEP") == "yes":
        machine.keep("engine", bench.commit, bench.lines)


if __name__ == "__main__":
    main()
