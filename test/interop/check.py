"""Counts what passed, failed and was skipped, and tells the failures at once."""
import sys
import threading


class Checks:
    def __init__(self):
        self.passed = {}  # part: count
        self.failed = {}
        self.skipped = []  # (what, why)
        self.seen = set()  # names of deliberate differences
        self.lock = threading.Lock()

    def result(self, part, what, problems):
        with self.lock:
            counts = self.failed if problems else self.passed
            counts[part] = counts.get(part, 0) + 1
            if problems:
                print("\n    ".join([f"FAILED {part}: {what}", *problems]), file=sys.stderr)

    def skip(self, what, why):
        self.skipped.append((what, why))

    def totals(self):
        return sum(self.passed.values()), sum(self.failed.values()), len(self.skipped)


def unlike(theirs, ours):
    """What only one of two lists of lines has."""
    problems = [f"IPFS Cluster: {line}" for line in theirs if line not in ours]
    problems += [f"zpin:         {line}" for line in ours if line not in theirs]
    return problems or ([] if theirs == ours else ["the same lines in another order"])
