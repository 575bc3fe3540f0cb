#!/usr/bin/env python3
"""Every C file looks as clang-format-14 with the tree's .clang-format makes it.

Skipped where clang-format-14 is not installed.
"""
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
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
    faults = [f"{path}: run {PROGRAM} -i on it" for path in sorted(differs(paths))]
    print("\n".join(faults) or f"{len(paths)} files")
    return 1 if faults else 0


sys.exit(main())
