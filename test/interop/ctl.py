"""ipfs-cluster-ctl asks both sides the same, and what it prints and how it ends is compared."""
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import steps
from check import unlike
from differences import reconcile
from kubo import ID as KUBO_ID
from peers import CTL
from view import View

COMMAND_SECONDS_MAX = 60

# All that the program has, but `add`, `ipfs gc` and what waits for an IPFS daemon. What fails comes second,
# and removes all pins in the end.
COMMANDS = [line for line in """
version
--timeout 30 version
--host /ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/{port} version
id
peers ls
peers rm {self}
peers rm x
peers rm
pin ls
pin add -ns {raw}
pin add -ns {raw}
pin add {raw}
pin add -ns --name two --metadata a=b --metadata c=<&> --expire-in 240h -r -1 {v0}
pin add -ns --mode direct {direct}
pin add -ns --rmin 1 --rmax 3 {spare}
pin add -ns -r 1 --allocs {self} {spare}
pin add -ns /ipfs/{spare}
pin add -ns {identity}
pin update -ns {v0} {updated}
pin update -ns --name other --expire-in 2h {v0} {updated}
pin update {v0} {updated}
pin ls
pin ls {v0}
pin ls {direct}
pin ls {updated}
pin ls --filter pin,meta-pin
pin ls --filter all
pin ls --filter meta-pin
pin ls --filter shard-pin,clusterdag-pin
status
status --local
status {raw}
status --local {raw}
status {raw} {v0}
status {absent}
status --filter error
status --filter remote,unpinned
recover {raw}
recover --local {raw}
recover {absent}
recover --local {absent}
health graph
health graph --all-ipfs-peers
health metrics
health metrics ping
health metrics pinqueue
health metrics tag:group
health metrics freespace
health metrics nothing
health alerts
health bandwidth
commands

pin ls {absent}
pin ls x
pin ls --filter x
status x
status {raw} x
status --filter x
recover x
pin add x
pin add
pin add -ns --mode sideways {spare}
pin add -ns --expire-in x {spare}
pin add -ns --expire-in -1h {spare}
pin add -ns -r x {spare}
pin add -ns --rmin 3 --rmax 2 {spare}
pin add -ns -r -2 {spare}
pin add -ns -r 5 {spare}
pin add -ns --rmin -1 --rmax 2 {spare}
pin add -ns --metadata x {spare}
pin add -ns --allocs x {spare}
pin add -ns /other/{spare}
pin add -ns {raw} --mode direct
pin add -ns --mode direct {raw}
pin update -ns {absent} {updated}
pin update -ns x {updated}
pin update -ns {v0}
pin rm x
pin rm
pin rm -ns {absent}
nothing
pin rm -ns {raw}
pin rm {v0}
pin rm -ns {direct}
pin rm -ns /ipfs/{spare}
pin rm -ns {updated}
recover
recover --local
status --filter pinned,pin_queued
pin rm -ns {identity}
pin ls
status
""".splitlines() if line]

# Given before any command, so without the pair's own; each must fail on both sides in the same way.
ACCESS = ["--force-http version", "--force-http --basic-auth user:bad version",
          "--force-http --basic-auth nobody:pass pin ls", "--force-http --basic-auth user pin ls",
          "--force-http --basic-auth user:bad pin add {raw}", "--force-http --basic-auth user:bad status"]
TLS = ["--https version", "--https pin ls", "--https --no-check-certificate --basic-auth user:bad id"]

NAMES = {"raw": steps.RAW, "v0": steps.V0, "direct": steps.DIRECT, "spare": steps.SPARE,
         "identity": steps.IDENTITY, "updated": steps.UPDATED, "absent": steps.ABSENT}

# What differs on purpose, or with the time, in the texts: brought to one form.
MASKS = [(re.compile(pattern, re.MULTILINE), form) for pattern, form in (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "<time>"),
    (r"Expires in: \d+ seconds? from now", "Expires in: <seconds>"),
    (r"12\*\w{6}", "12*<end of an id>"),
    (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"), (r"^\d+\.\d+\.\d+(-\S+)?$", "<version>"),
    # no-ipfs-daemon, status-queued, direct-in-lists
    (r"(PINNED|PINNING|PIN_QUEUED: no IPFS daemon is configured[^|]*|"
     r"UNEXPECTEDLY_UNPINNED: the item should be[^|]*) \| <time> \| Attempts: \d \| Priority: \w+",
     "<waits or is pinned>"),
    (rf"IPFS: {KUBO_ID}$", "IPFS ERROR: no IPFS daemon is configured on this node"),
    (rf"^    - /ip4/.*/p2p/({KUBO_ID}|<self>)\n", ""),
    (r"^I0 \[.*\]$", "I0 <IPFS>"), (r"^C0 -> I0.*$", "C0 -> I0"),
    (rf'"ipfs_id":"{KUBO_ID}"', '"ipfs_id":""'),
    # freespace-of-disk, pinqueue-of-all, metric-numpin
    (r"freespace: [\d.]+ \w+", "freespace: <bytes>"), (r"pinqueue: \d+", "pinqueue: <count>"),
    (r"^numpin\n", ""),
)]


class Ctl:
    """The program, asking one side."""

    def __init__(self, side, options=()):
        self.side = side
        self.host = ["--host", f"/ip4/127.0.0.1/tcp/{side.server.port}"]
        self.options = list(options)

    def run(self, command):
        arguments = command.format(self=self.side.own_id, port=self.side.server.port, **NAMES).split()
        return subprocess.run([CTL, *self.host, *self.options, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=COMMAND_SECONDS_MAX)


class Printed:
    """What a command left: its exit status as the status, and what it printed as the body."""

    def __init__(self, done, as_json):
        self.status = done.returncode
        self.headers = [("trailer", "lists come in any order")] if as_json else []
        self.trailers = []
        self.body = done.stdout if as_json else b""


def lines_of(text, own_id):
    """The masked records of a text, sorted: a line and the indented ones below it are one."""
    text = text.decode(errors="replace").replace(own_id, "<self>")
    for pattern, form in MASKS:
        text = pattern.sub(form, text)
    return sorted(re.split(r"\n(?!\s)", text.rstrip("\n")))


def printed_json(cluster, zpin, theirs, ours):
    views = [View(Printed(done, True), one.side.own_id) for one, done in ((cluster, theirs), (zpin, ours))]
    seen, _ = reconcile(*views, ("metric-numpin", "expiry-as-stored"))
    return views[0].text(), views[1].text(), seen


def compare(checks, part, cluster, zpin, commands, as_json=False):
    pool = ThreadPoolExecutor(2)
    for command in commands:
        theirs, ours = pool.map(lambda one: one.run(command), (cluster, zpin))
        lists = [[f"exit {done.returncode}", *lines_of(done.stderr, one.side.own_id)]
                 for one, done in ((cluster, theirs), (zpin, ours))]
        if as_json and theirs.returncode == ours.returncode == 0 and theirs.stdout[:1] in (b"{", b"["):
            *bodies, seen = printed_json(cluster, zpin, theirs, ours)
            checks.seen |= seen
        else:
            bodies = [lines_of(done.stdout, one.side.own_id) for one, done in ((cluster, theirs), (zpin, ours))]
        checks.result(part, f"{CTL} {command}", unlike(lists[0] + bodies[0], lists[1] + bodies[1]))
        if command.startswith(("pin", "recover")):
            cluster.side.server.settle()
    pool.shutdown()
