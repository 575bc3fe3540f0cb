#!/usr/bin/env python3
"""Every function named in the documents below is defined in src/."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / "data-path.md", *sorted((ROOT / "src").glob("*/README.md"))]


def main():
    source = "\n".join(path.read_text() for path in (ROOT / "src").glob("*/*.[ch]"))
    words = set(re.findall(r"\b[a-z_][a-z0-9_]*\b", source))
    faults = []
    for page in PAGES:
        for name in re.findall(r"`([a-z][a-z0-9_]*_[a-z0-9_]+)(?:\(\))?`", page.read_text()):
            if name not in words:
                faults.append(f"{page.relative_to(ROOT)}: {name} is not in src/")
    print("\n".join(faults) or "every name is there")
    return 1 if faults else 0


sys.exit(main())
