#!/usr/bin/env python3
"""Runs the tests of one or more build folders and prints the sum as 'N passed, N failed'.

Usage: check.py FOLDER[:SUITE,SUITE…] …   A test that is skipped is named, with its reason; what those that failed said is
printed last.
"""
import json
import pathlib
import subprocess
import sys


# The times of the tests are those of an idle machine: they end what hangs, and say nothing of what is slow.
PATIENCE = 5

OUTPUT_BYTES_MAX = 4000


def run(folder, suites, failures):
    command = ["meson", "test", "-C", folder, "--no-rebuild", f"--timeout-multiplier={PATIENCE}"]
    for suite in suites:
        command += ["--suite", suite]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    log = pathlib.Path(folder) / "meson-logs" / "testlog.json"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for result in results:
        if result["result"] in ("OK", "EXPECTEDFAIL"):
            counts["passed"] += 1
        elif result["result"] == "SKIP":
            counts["skipped"] += 1
            print(f"skipped: {result['name']}: {result['stdout'].strip().splitlines()[-1:]}")
        else:
            counts["failed"] += 1
            how = f"{result['result']}, exit {result['returncode']}"
            failures.append((f"{result['name']} ({folder}; {how})", result.get("stdout", "") + result.get("stderr", "")))
    if not counts["failed"] and (done.returncode != 0 or not results):
        counts["failed"] = 1
        failures.append((folder, done.stdout))
    print(f"{folder}: {counts['passed']} of {len(results)} tests passed")
    return counts


def main():
    total = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    for argument in sys.argv[1:]:
        folder, _, suites = argument.partition(":")
        for key, value in run(folder, suites.split(",") if suites else [], failures).items():
            total[key] += value
    # Last, where whoever looks at the end of a long log finds it; the end of each, for it has the reason.
    for name, output in failures:
        print(f"\nFAILED: {name}\n{output[-OUTPUT_BYTES_MAX:].rstrip()}\n")
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"{total['passed']} passed, {total['failed']} failed{skipped}")
    return 1 if total["failed"] or not total["passed"] else 0


sys.exit(main())
