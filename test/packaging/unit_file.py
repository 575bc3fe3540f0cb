#!/usr/bin/env python3
"""systemd takes the unit file without a word, and the service is confined as far as it was meant to be.

Usage: unit_file.py UNIT ZPIN

`systemd-analyze verify` reads it as the service manager would: a key that is misspelt or has moved, a value
that is none, a program that is not there. `systemd-analyze security` sums up what the service could do, from
0 (nothing) to 100; a line that is lost from the unit raises it. Skipped where there is no systemd-analyze.
Nothing is started: that needs a machine that runs systemd.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
EXPOSURE_MAX = 12  # tenths, as `--threshold` takes it; what is left is the network and what comes with it


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def main():
    if shutil.which("systemd-analyze") is None:
        print("systemd-analyze is not installed (Debian package systemd)")
        return SKIPPED
    unit = pathlib.Path(sys.argv[1]).read_text()
    started = re.findall(r"^ExecStart=(\S+)", unit, re.M)
    if len(started) != 1 or not started[0].endswith("/zpin"):
        print(f"ExecStart is {started}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "zpin.service"
        # The program where it was built, so that it is found.
        path.write_text(unit.replace(started[0], str(pathlib.Path(sys.argv[2]).resolve())))
        verified = run("systemd-analyze", "verify", "--man=no", str(path))
        if verified.returncode != 0 or verified.stdout.strip():
            print(f"systemd-analyze verify: exit {verified.returncode}\n{verified.stdout}")
            return 1
        secured = run("systemd-analyze", "security", "--no-pager", "--offline=true",
                      f"--threshold={EXPOSURE_MAX}", str(path))
        print(secured.stdout.strip().splitlines()[-1])
        if secured.returncode != 0:
            print("\n".join(line for line in secured.stdout.splitlines() if "✗" in line))
            return 1
    return 0


sys.exit(main())
