"""Pinsets go from IPFS Cluster to zpin and back: `state export`, zpin import, zpin export, `state import`
into a fresh peer, `state export`. Every pin must come through all of it with every field."""
import collections
import gzip
import json
import pathlib
import subprocess

import rest
import steps
from peers import BINARY, Node, Peer

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"


def pins_of(text):
    """The pins of an export as a multiset: objects without regard to the order of lines."""
    return collections.Counter(json.dumps(json.loads(line), sort_keys=True) for line in text.splitlines())


def zpin_run(server, *arguments):
    done = subprocess.run([BINARY, *arguments, "--quiet", "--api", f"http://127.0.0.1:{server.port}"],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"zpin {arguments[0]}: exit {done.returncode}: {done.stderr.decode()[-2000:]}")
    return done.stdout


def peer_export(peer):
    """Of a stopped peer; to a file, as people do it."""
    path = peer.root / "export.ndjson"
    peer.command("state", "export", "--file", str(path))
    return path.read_text()


def made_by_api():
    """An export of pins of every kind that the API takes."""
    peer = Peer()
    try:
        peer.start()
        try:
            side = rest.Side(peer)
            for step in (*steps.pins(), *steps.modes(), *steps.updates(), *kept()):
                side.view(step)
            peer.settle()
        finally:
            peer.stop()
        return peer_export(peer)
    finally:
        peer.remove()


def kept():
    return [*steps.pin(steps.SPARE, replication=1, name="allocated"),
            *steps.pin(steps.UPDATED, pin_update=steps.FULL),
            steps.post(f"/pins/ipfs/{steps.DIRECT}?mode=direct&name=direct"),
            *steps.pin(steps.ABSENT, expire_in="240h", meta_k="v")]


def through_zpin(text):
    """Imported into a running node and exported from it."""
    with Node() as server:
        path = server.root / "import.ndjson"
        path.write_text(text)
        zpin_run(server, "import", str(path))
        return zpin_run(server, "export").decode()


def through_peer(text):
    """Imported into a fresh peer and exported from it."""
    peer = Peer()
    try:
        path = peer.root / "import.ndjson"
        path.write_text(text)
        peer.command("state", "import", "--force", str(path))
        return peer_export(peer)
    finally:
        peer.remove()


def unlike(before, after):
    lost, new = pins_of(before) - pins_of(after), pins_of(after) - pins_of(before)
    return [f"lost: {line}" for line in list(lost)[:5]] + [f"new:  {line}" for line in list(new)[:5]]


def compare(checks):
    exports = [("pins made by IPFS Cluster's API", made_by_api)]
    exports += [(path.name, lambda path=path: gzip.decompress(path.read_bytes()).decode())
                for path in sorted(DATA.glob("ipfs-cluster-*-export-*.ndjson.gz"))]
    counts = {}
    for name, make in exports:
        text = make()
        count = len(text.splitlines())
        out = through_zpin(text)
        checks.result("state", f"{name}: {count} pins through zpin", unlike(text, out) if count else ["no pins"])
        checks.result("state", f"{name}: the same back into IPFS Cluster", unlike(text, through_peer(out)))
        counts[name] = count
    handmade_compare(checks, counts)
    return counts


def handmade_compare(checks, counts):
    """Lines with what zpin alone keeps, and edges that IPFS Cluster changes: it must make the same of them
    whether they came through zpin or not."""
    text = (DATA / "handmade.ndjson").read_text()
    out = through_zpin(text)
    checks.result("state", "handmade.ndjson through zpin", unlike(text, out))
    checks.result("state", "handmade.ndjson: IPFS Cluster reads the same with and without zpin between",
                  unlike(through_peer(text), through_peer(out)))
    counts["handmade.ndjson, which IPFS Cluster changes in the same way with and without zpin between"] = \
        len(text.splitlines())
