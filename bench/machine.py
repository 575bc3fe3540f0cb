"""The machine and the commit of a benchmark's run, as lines for its results."""
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent


def sync_us(folder):
    """Median of 300 appends of 4 KiB, each with fdatasync: the floor of a durable write."""
    path = pathlib.Path(folder) / "sync"
    times = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(300):
            file.write(bytes(4096))
            begin = time.monotonic()
            os.fdatasync(file.fileno())
            times.append((time.monotonic() - begin) * 1e6)
    path.unlink()
    return statistics.median(times)


def first_value(path, key):
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.split(":", 1)[1].strip()
    return "unknown"


def git(*arguments):
    done = subprocess.run(["git", "-C", HERE, *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip()


def commit():
    short = git("rev-parse", "--short", "HEAD") or "unknown"
    return short + ("-changed" if git("status", "--porcelain", "--", "../src") else "")


def facts(folder, commit_measured):
    filesystem = subprocess.run(["stat", "-f", "-c", "%T", folder], stdout=subprocess.PIPE, text=True).stdout.strip()
    return [
        f"# commit {commit_measured}, {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC",
        f"# machine: {os.cpu_count()} x {first_value('/proc/cpuinfo', 'model name')}, "
        f"{first_value('/proc/meminfo', 'MemTotal')}, {platform.system()} {platform.release()}",
        f"# disk: {filesystem}, fdatasync of 4 KiB {sync_us(folder):.0f} us; load before the run "
        f"{os.getloadavg()[0]:.2f}",
    ]


def is_busy():
    return max(os.getloadavg()[0], os.getloadavg()[1]) > os.cpu_count() / 2


BUSY = "# the machine is busy with other work: rates and times on the clock mean little, and CPU times are too high"


def keep(kind, commit_measured, lines):
    kept = HERE / "results" / f"{kind}-{datetime.date.today().isoformat()}-{commit_measured}.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("\n".join(lines) + "\n")
    print(f"# kept in {kept}")


# ---- Figures and goals


def is_met(goal, value):
    limit = float(goal[2:])
    return value <= limit if goal.startswith("<=") else value >= limit


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


def row_line(name, values, unit, goal):
    """The line of a row, and whether its goal was missed."""
    value = statistics.median(values)
    missed = goal is not None and not is_met(goal, value)
    note = "" if goal is None else f"  goal {goal}{'  MISSED' if missed else ''}"
    spread = f"  ({number(min(values))} to {number(max(values))})" if len(values) > 1 else ""
    return f"{name} {number(value)} {unit}{note}{spread}", missed
