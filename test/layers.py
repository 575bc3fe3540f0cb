#!/usr/bin/env python3
"""The include rules of CONTRIBUTING.md, checked over src/.

A folder may include its own headers, the ground, and the public header of the folders named here.
Nothing includes another folder's private header.
"""
import pathlib
import re
import sys

GROUND = {"base", "pin"}
# folder: what it may include besides itself and the ground
MAY = {
    "base": set(),
    "pin": set(),
    "os": set(),
    "loop": {"os"},
    "http": {"loop", "os"},
    "store": {"os"},
    "journal": {"store", "os"},
    "engine": {"store"},
    "shard": {"journal", "engine", "store", "os"},
    "access": {"os"},
    "metric": {"os"},
    "command": {"journal", "shard", "engine", "store", "os"},
    "api": {"http", "command", "engine", "journal", "access", "metric", "loop", "os"},
    "cli": set(),
    "main": None,  # knows all
}
MANY_HEADERS = {"base", "os", "loop", "pin"}


def faults(root):
    for source in sorted(root.glob("*/*.[ch]")):
        folder = source.parent.name
        if folder not in MAY:
            yield f"{source}: folder {folder} is not in test/layers.py"
            continue
        for number, line in enumerate(source.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            target = match.group(1)
            if "/" not in target or not (root / target).exists():
                yield f"{source}:{number}: {target}: write the path from src/"
                continue
            other, name = target.split("/", 1)
            if other == folder:
                continue
            allowed = MAY[folder]
            if other not in GROUND and allowed is not None and other not in allowed:
                yield f"{source}:{number}: {folder} may not include {other}"
            if other not in MANY_HEADERS and name != f"{other}.h":
                yield f"{source}:{number}: {target} is private to {other}"


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "src"
    found = list(faults(root))
    print("\n".join(found) or "the layers hold")
    return 1 if found else 0


sys.exit(main())
