#!/usr/bin/env python3
"""zpin against the real ipfs-cluster-ctl and ipfs-cluster-service 1.1.6, which must be on PATH.

    interop.py ZPIN [--report]

Three parts: the same REST requests to an IPFS Cluster peer and to a zpin node, answers compared; the same
commands of ipfs-cluster-ctl, what it prints and how it ends compared; pinsets carried from one to the
other and back. All on 127.0.0.1, free ports, temporary folders. The report is docs/interop.md.
"""
import argparse
import datetime
import pathlib
import sys
import tempfile
import time

import ctl
import differences
import rest
import state
import steps
import wrong
from check import Checks
from peers import (CTL, SERVICE, VERSION, Connection, Node, Peer, TlsConnection, certificate_make,
                   program_version)

USER = {"user": "pass"}
ACCOUNTS = "- {name: user, password: pass}\n"
SIGNED = steps.basic("user:pass")

SKIPPED = [
    ("ipfs-cluster-ctl add", "zpin asks no IPFS daemon yet; that POST /add is refused is checked"),
    ("ipfs-cluster-ctl ipfs gc", "zpin asks no IPFS daemon yet; that POST /ipfs/gc is refused is checked"),
    ("ipfs-cluster-ctl pin add, rm, update --wait", "a pin that waits for ever is not pinned"),
    ("ipfs-cluster-ctl --secret", "zpin has no libp2p"),
    ("plain HTTP to a port of HTTPS", "zpin closes the connection, Go's server answers 400 in clear text"),
    ("the Pinning Service API and the IPFS proxy", "not in this release"),
]


MANUAL = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "interop.md"


class Pair:
    """An IPFS Cluster peer and a zpin node that are set up alike."""

    def __init__(self, credentials=None, environment=None, certificate=None):
        own = SIGNED if credentials else ()
        environment = dict(environment or {}, ZPIN_ACCESS_TOKEN_KEY="password") if credentials else environment
        connect = TlsConnection if certificate else Connection
        self.servers = [Peer(credentials, own, certificate),
                        Node(ACCOUNTS if credentials else None, environment)]
        self.sides = []
        try:
            for server in self.servers:
                server.start()
            self.sides = [rest.Side(server, own, connect) for server in self.servers]
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            if server.process is not None:
                server.__exit__()

    def ctl(self, *options):
        return [ctl.Ctl(side, options) for side in self.sides]


def run_plain(checks):
    with Pair() as pair:
        rest.compare(checks, "REST, wrong requests", *pair.sides, wrong.everything())
        rest.compare(checks, "REST", *pair.sides, steps.everything())
    with Pair() as pair:
        ctl.compare(checks, "ctl, text", *pair.ctl(), ctl.COMMANDS)
        ctl.compare(checks, "ctl, JSON", *pair.ctl("--enc", "json"), ctl.COMMANDS, as_json=True)


def run_accounts(checks):
    with Pair(USER) as pair:
        rest.compare(checks, "REST with accounts", *pair.sides, steps.access())
        signed = ("--force-http", "--basic-auth", "user:pass")
        ctl.compare(checks, "ctl with accounts", *pair.ctl(*signed), ctl.COMMANDS)
        ctl.compare(checks, "ctl with accounts, JSON", *pair.ctl(*signed, "--enc", "json"), ctl.COMMANDS,
                    as_json=True)
        ctl.compare(checks, "ctl without access", *pair.ctl(), ctl.ACCESS)


def run_tls(checks):
    with tempfile.TemporaryDirectory(prefix="zpin-test-interop-") as folder:
        certificate = certificate_make(pathlib.Path(folder))
        environment = {"ZPIN_API_TLS_CERTIFICATE": certificate[0], "ZPIN_API_TLS_KEY": certificate[1]}
        with Pair(USER, environment, certificate) as pair:
            options = ("--https", "--no-check-certificate", "--basic-auth", "user:pass")
            ctl.compare(checks, "ctl over https", *pair.ctl(*options), ctl.COMMANDS)
            ctl.compare(checks, "ctl, bad https", *pair.ctl(), ctl.TLS)


def check_table(checks, reporting):
    """Each deliberate difference was seen, and docs/interop.md has this table or is about to."""
    is_new = reporting or differences.markdown() in MANUAL.read_text()
    checks.result("differences", "docs/interop.md", [] if is_new else ["has an old table; --report writes it"])
    for item in differences.TABLE:
        is_seen = item.name in checks.seen
        checks.result("differences", item.name, [] if is_seen else ["no answer shows it any more"])


def zpin_version():
    with Node() as server:
        return server.get("/version").json()["version"]


def report(checks, counts, seconds):
    """docs/interop.md of this run."""
    passed, failed, skipped = checks.totals()
    parts = sorted(set(checks.passed) | set(checks.failed))
    rows = "\n".join(f"| {part} | {checks.passed.get(part, 0)} | {checks.failed.get(part, 0)} |"
                     for part in parts)
    pins = "\n".join(f"* {name}: {count:,} pins" for name, count in counts.items())
    skips = "\n".join(f"* {what}: {why}" for what, why in checks.skipped)
    return TEMPLATE.format(date=datetime.date.today().isoformat(), rows=rows, pins=pins, skips=skips,
                           table=differences.markdown(), passed=passed, failed=failed, skipped=skipped,
                           seconds=round(seconds), zpin=zpin_version(), version=VERSION)


TEMPLATE = """# With the real programs of IPFS Cluster

<!-- Made by `test/interop/run.sh build/zpin --report`; the table is in test/interop/differences.py. -->

`make check-interop` runs the real `ipfs-cluster-service` and `ipfs-cluster-ctl` {version}, which must be on
PATH, beside zpin: on 127.0.0.1, with free ports and temporary folders. It fails when they are not there.

* **REST**: a lone IPFS Cluster peer (CRDT) and a zpin node get the same requests, one after the other: every
  endpoint, every option with its errors, streams, empty answers, redirects, wrong paths and methods, CORS;
  with accounts also every way to sign in or fail to. Status, headers, trailers and the body, member by member
  and in their order, must be alike. Masked are times of now (but not whether they have a fraction), the
  node's own id, versions and addresses.
* **REST, wrong requests**: hundreds of bad CIDs, options, paths, filters and bodies get the same status and
  the same text from both, and change nothing.
* **ctl**: `ipfs-cluster-ctl` asks both the same, as text and as JSON, with `--basic-auth` and over https; what
  it prints to both outputs and its exit status must be alike.
* **state**: `state export` → `zpin import` → `zpin export` → `state import` into a fresh peer →
  `state export`; every pin must come through with every field.

IPFS Cluster's peer is not ready before it has an IPFS daemon; it gets a stand-in that holds what it is told
to pin (`test/interop/kubo.py`). zpin never meets that.

## Last run

{date}, Debian 12, x86-64; zpin {zpin}, IPFS Cluster {version}; {seconds} s.
**{passed} passed, {failed} failed, {skipped} skipped.**

| part | passed | failed |
|---|---|---|
{rows}

Carried through both and back:

{pins}

Skipped:

{skips}

## Where zpin differs on purpose

Anything that is not in this table is a failure, and so is an entry that no answer shows any more.

{table}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", action="store_true", help="write docs/interop.md")
    arguments = parser.parse_args()
    for program in (SERVICE, CTL):
        version = program_version(program)
        if version != VERSION:
            found = "it is not" if version is None else f"this is {version}"
            sys.exit(f"{program} {VERSION} must be on PATH; {found}")
    checks = Checks()
    begin = time.monotonic()
    for what, why in SKIPPED:
        checks.skip(what, why)
    run_plain(checks)
    run_accounts(checks)
    run_tls(checks)
    counts = state.compare(checks)
    check_table(checks, arguments.report)
    passed, failed, skipped = checks.totals()
    if arguments.report:
        MANUAL.write_text(report(checks, counts, time.monotonic() - begin))
    for what, why in checks.skipped:
        print(f"skipped: {what}: {why}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
