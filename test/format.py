#!/usr/bin/env python3
"""Every C file looks as clang-format-14 with the tree's .clang-format makes it.

Files named in test/format-not-yet.txt are older than this rule and may differ. A file of that list that no
longer differs is named, to be taken out. Skipped where clang-format-14 is not installed.
"""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOT_YET = ROOT / "test" / "format-not-yet.txt"
PROGRAM = "clang-format-14"
SKIPPED = 77


def differs(paths):
    """Those of the files that the program would change."""
    done = subprocess.run([PROGRAM, "--dry-run", *paths], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return {line.split(":", 1)[0] for line in done.stderr.splitlines() if "[-Wclang-format-violations]" in line}


def main():
    if shutil.which(PROGRAM) is None:
        print(f"{PROGRAM} is not installed: apt-get install {PROGRAM}")
        return SKIPPED
    paths = sorted(str(path.relative_to(ROOT)) for folder in ("src", "test", "bench")
                   for path in (ROOT / folder).rglob("*.[ch]") if "node_modules" not in path.parts)
    not_yet = set(NOT_YET.read_text().split())
    differing = differs(paths)
    faults = [f"{path}: run {PROGRAM} -i on it" for path in sorted(differing - not_yet)]
    for path in sorted(not_yet - differing):
        print(f"{path}: take it out of test/format-not-yet.txt")
    print("\n".join(faults) or f"{len(paths)} files, {len(not_yet & differing)} of them not yet formatted")
    return 1 if faults else 0


sys.exit(main())
