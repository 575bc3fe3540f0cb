#!/usr/bin/env python3
"""Runs the fuzz targets, keeps account of their CPU time, and measures what their inputs reach.

Usage: fuzz.py run FOLDER [NAME…]        each target for FUZZ_SECONDS (60) of wall time
       fuzz.py coverage FOLDER [NAME…]   lines and regions of each target's decoders that its inputs reach
       fuzz.py ledger [FILE…]            the sums of ledgers, as a table

FOLDER is a build folder, made when it is not there. `run` takes the kept corpus (test/fuzz/corpus) and what
earlier runs found (FUZZ_FOUND, build-fuzz/found), adds what it finds to the latter, and appends a line for
each run to the ledger (FUZZ_LEDGER, build-fuzz/ledger): CPU seconds, user and system, as the kernel counted
them. `coverage` runs the same inputs once. test/fuzz/decoders.txt says which files are a target's decoders;
FUZZ_UNREACHED=1 also names their functions that nothing reached.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "test" / "fuzz" / "corpus"
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
FOUND = pathlib.Path(os.environ.get("FUZZ_FOUND", "build-fuzz/found"))
LEDGER = pathlib.Path(os.environ.get("FUZZ_LEDGER", "build-fuzz/ledger"))


def decoders():
    lines = (ROOT / "test" / "fuzz" / "decoders.txt").read_text().splitlines()
    pairs = [line.split(":", 1) for line in lines if line and not line.startswith("#")]
    return {name: files.split() for name, files in pairs}


def call(*command, **more):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout[-4000:]}")
    return done.stdout


def build(folder, targets, *options):
    if not (folder / "build.ninja").exists():
        call("meson", "setup", folder, "--buildtype=debugoptimized", "-Db_lundef=false", *options,
             env={**os.environ, "CC": "clang-14"})
    call("ninja", "-C", folder, *targets)


# ---- Running


def run(folder, names):
    # fuzzer-no-link: the libraries are instrumented too, not the target alone.
    build(folder, [f"test/fuzz/fuzz-{name}" for name in names], "-Dfuzz=true",
          "-Db_sanitize=address,undefined", "-Dc_args=-fsanitize=fuzzer-no-link")
    failed = []
    for name in names:
        (FOUND / name).mkdir(parents=True, exist_ok=True)
        log = FOUND / f"{name}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [folder / f"test/fuzz/fuzz-{name}", f"-max_total_time={SECONDS}", "-print_final_stats=1",
                 f"-artifact_prefix={FOUND}/{name}-", FOUND / name, CORPUS / name],
                stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
        cpu = usage.ru_utime + usage.ru_stime
        with open(LEDGER, "a") as ledger:
            ledger.write(json.dumps({"name": name, "cpu": round(cpu, 2), "status": status,
                                     "at": int(time.time())}) + "\n")
        stats = dict(line[6:].split(":", 1) for line in log.read_text(errors="replace").splitlines()
                     if line.startswith("stat::") and ":" in line[6:])
        executed = stats.get("number_of_executed_units", "?").strip()
        print(f"{name:12} {executed:>10} inputs, {cpu:6.1f} s CPU" + ("" if status == 0 else "   FAILED"),
              flush=True)
        if status != 0:
            failed.append(name)
            print("\n".join(log.read_text(errors="replace").splitlines()[-40:]))
    print()
    ledger_print([LEDGER])
    return 1 if failed else 0


# ---- The ledger


def ledger_print(paths):
    sums = {name: [0.0, 0, 0] for name in decoders()}
    for path in paths:
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            total = sums.setdefault(entry["name"], [0.0, 0, 0])
            total[0] += entry["cpu"]
            total[1] += 1
            total[2] += entry["status"] != 0
    print("| target | CPU hours | runs | that failed |\n|---|---:|---:|---:|")
    for name, (cpu, runs, failed) in sums.items():
        print(f"| {name} | {cpu / 3600:.2f} | {runs} | {failed} |")
    return 0


# ---- Coverage


def coverage(folder, names):
    flags = "-fprofile-instr-generate -fcoverage-mapping"
    build(folder, [f"test/fuzz/corpus-{name}" for name in names], f"-Dc_args={flags}", f"-Dc_link_args={flags}")
    print("| target | inputs | lines | regions | functions not reached |\n|---|---:|---:|---:|---:|")
    details = []
    for name in names:
        program = folder / f"test/fuzz/corpus-{name}"
        raw, merged = folder / f"{name}.profraw", folder / f"{name}.profdata"
        inputs = call(program, CORPUS / name, FOUND / name,
                      env={**os.environ, "LLVM_PROFILE_FILE": str(raw)}).split()[0]
        call("llvm-profdata-14", "merge", "-sparse", raw, "-o", merged)
        data = json.loads(call("llvm-cov-14", "export", f"-instr-profile={merged}", program))["data"][0]
        ours = {str(ROOT / "src" / path): path for path in decoders()[name]}
        sums = {"lines": [0, 0], "regions": [0, 0]}
        for entry in data["files"]:
            path = ours.get(os.path.normpath(folder / entry["filename"]))
            if path is None:
                continue
            for what, total in sums.items():
                total[0] += entry["summary"][what]["covered"]
                total[1] += entry["summary"][what]["count"]
            details.append(f"    {path}: " + ", ".join(
                f"{what} {entry['summary'][what]['percent']:.0f} %" for what in sums))
        functions = {function["name"].split(":")[-1]: function["count"] for function in data["functions"]
                     if os.path.normpath(folder / function["filenames"][0]) in ours}
        unreached = sorted(function for function, count in functions.items() if count == 0)
        details.append(f"{name}, not reached: {' '.join(unreached)}")
        lines, regions = sums.values()
        print(f"| {name} | {inputs} | {lines[0] / lines[1]:.0%} of {lines[1]} | {regions[0] / regions[1]:.0%} | "
              f"{len(unreached)} of {len(functions)} |", flush=True)
    if os.environ.get("FUZZ_UNREACHED"):
        print("\n" + "\n".join(details))
    return 0


def main():
    what, arguments = sys.argv[1], sys.argv[2:]
    os.chdir(ROOT)
    if what == "ledger":
        return ledger_print([pathlib.Path(path) for path in arguments] or [LEDGER])
    names = arguments[1:] or list(decoders())
    return {"run": run, "coverage": coverage}[what](pathlib.Path(arguments[0]), names)


sys.exit(main())
