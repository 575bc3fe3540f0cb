#!/usr/bin/env python3
"""Every function named in the documents below is in src/, and every test named in docs/testing.md is there."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / "data-path.md", *sorted((ROOT / "src").glob("*/README.md"))]


def words_of(paths):
    return set(re.findall(r"\b[a-z_][a-z0-9_]*\b", "\n".join(path.read_text() for path in paths)))


def main():
    source = words_of((ROOT / "src").glob("*/*.[ch]"))
    tests = source | words_of((ROOT / "test" / "unit").glob("*/*.c")) | words_of((ROOT / "test").glob("*/*.py"))
    faults = []
    for page, words in [*((page, source) for page in PAGES), (ROOT / "docs" / "testing.md", tests)]:
        for name in re.findall(r"`([a-z][a-z0-9_]*_[a-z0-9_]+)(?:\(\))?`", page.read_text()):
            if name not in words:
                faults.append(f"{page.relative_to(ROOT)}: {name} is not defined")
    print("\n".join(faults) or "every name is there")
    return 1 if faults else 0


sys.exit(main())
