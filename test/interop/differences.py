"""Where zpin answers differently on purpose: the one table, for the program and for docs/interop.md.

Each entry brings two answers that differ in its way, and only in its way, to one form, and says whether it
saw what it describes. An entry that no answer of a run shows is out of date and fails the run.
"""
import dataclasses
import os.path
import re
import typing

QUEUED = "no IPFS daemon is configured on this node; the pin waits in the queue"


@dataclasses.dataclass
class Difference:
    name: str
    cluster: str  # what IPFS Cluster does
    zpin: str
    why: str
    apply: typing.Callable
    everywhere: bool = False  # else only where a step names it, and then it must be seen


TABLE = []


def difference(cluster, zpin, why, everywhere=False):
    def register(apply):
        TABLE.append(Difference(apply.__name__.replace("_", "-"), cluster, zpin, why, apply, everywhere))
        return apply

    return register


def objects(view):
    """All JSON objects of a body, the inner ones too."""
    def walk(value):
        if isinstance(value, dict):
            yield value
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from walk(item)

    return list(walk(view.body))


def same(theirs, ours, seen):
    """Where a difference was seen as it is described, the rest of that answer is not compared."""
    if seen:
        theirs.status = ours.status
        theirs.headers, theirs.trailers, theirs.body = ours.headers, ours.trailers, ours.body
    return seen


def is_error(view, status, start=""):
    return (view.status == status and len(view.body) == 1 and isinstance(view.body[0], dict)
            and view.body[0].get("code") == status and view.body[0]["message"].startswith(start))


# ---- Not there yet: no IPFS daemon, no libp2p


@difference("shows its IPFS daemon in `/id`, `/peers`, `/health/graph`, the metric `ping` and each status",
            "says that it has none", "zpin asks no IPFS daemon yet", everywhere=True)
def no_ipfs_daemon(theirs, ours):
    seen = False
    for item in objects(theirs):
        if "ipfs" in item and "rpc_protocol_version" in item:
            item["ipfs"] = {"addresses": None, "error": "no IPFS daemon is configured on this node"}
        elif "cluster_to_ipfs" in item:
            item["ipfs_links"], item["cluster_to_ipfs"] = {}, {}
        elif item.get("name") == "ping" and "value" in item:
            item["value"] = item["value"].replace("<ipfs>", "")
        elif item.get("ipfs_peer_id") == "<ipfs>":
            del item["ipfs_peer_id"]
        else:
            continue
        seen = True
    return seen


@difference("a pin becomes `pinned`", "it stays `pin_queued` and says why", "zpin asks no IPFS daemon yet",
            everywhere=True)
def status_queued(theirs, ours):
    seen = False
    for item in objects(ours):
        if item.get("status") == "pin_queued" and item.get("error") == QUEUED:
            item["status"], item["error"] = "pinned", ""
            seen = True
    return seen


@difference("`pinqueue` is how many wait at its IPFS daemon", "how many pins there are, as all of them wait",
            "zpin asks no IPFS daemon yet", everywhere=True)
def pinqueue_of_all(theirs, ours):
    seen = False
    for mine, other in zip(objects(ours), objects(theirs)):
        if mine.get("name") == other.get("name") == "pinqueue" and mine.get("value") != other.get("value"):
            mine["value"] = other["value"]
            seen = True
    return seen


@difference("`filter=pinned` finds the pins", "`filter=pin_queued` finds them", "as above")
def status_filter(theirs, ours):
    return same(theirs, ours, {theirs.status, ours.status} == {200, 204} and theirs.header("trailer") ==
                ours.header("trailer"))


@difference("resolves paths with its IPFS daemon: `/ipfs/<cid>/a`, `/ipns/name`",
            "501, and says that the CID itself is needed", "zpin asks no IPFS daemon yet")
def no_ipfs_path(theirs, ours):
    return same(theirs, ours, is_error(theirs, 500, "IPFS error (resolve") and ours.status == 501
                and "must be resolved by an IPFS daemon" in ours.body[0]["message"])


@difference("`POST /add` writes blocks to IPFS daemons", "501", "zpin asks no IPFS daemon yet")
def no_ipfs_add(theirs, ours):
    return same(theirs, ours, theirs.status in (200, 500) and is_error(ours, 501))


@difference("`POST /ipfs/gc` runs garbage collections", "501", "zpin asks no IPFS daemon yet")
def no_ipfs_gc(theirs, ours):
    return same(theirs, ours, theirs.status == 200 and is_error(ours, 501))


@difference("`freespace` is that of the IPFS daemon", "that of the disk where the node keeps its files",
            "zpin asks no IPFS daemon yet", everywhere=True)
def freespace_of_disk(theirs, ours):
    seen = False
    for item in objects(ours) + objects(theirs):
        if item.get("name") == "freespace" and item.get("value") == str(item.get("weight")):
            item["value"], item["weight"] = "<bytes>", "<bytes>"
            seen = True
    return seen


@difference("shows its libp2p addresses", "`addresses` is empty", "zpin has no libp2p", everywhere=True)
def no_libp2p(theirs, ours):
    seen = False
    for mine, other in zip(objects(ours), objects(theirs)):
        if mine.get("addresses") == [] and other.get("addresses") == "<addresses>" and "cluster_peers" in mine:
            other["addresses"] = []
            seen = True
    return seen


@difference("`rpc_protocol_version` is `/ipfscluster/1.0/rpc`", "`/zpin/1.0/rpc`",
            "the two cannot be peers of one cluster", everywhere=True)
def rpc_protocol(theirs, ours):
    seen = False
    for mine, other in zip(objects(ours), objects(theirs)):
        if mine.get("rpc_protocol_version") == "/zpin/1.0/rpc":
            seen = other.get("rpc_protocol_version") == "/ipfscluster/1.0/rpc"
            mine["rpc_protocol_version"] = other.get("rpc_protocol_version")
    return seen


# ---- What IPFS Cluster does wrong


@difference("a bad option gives 400 and the request is still carried out; the answer is two objects in a row",
            "400 and nothing else", "a refused request must not change anything")
def bad_option_ends(theirs, ours):
    seen = theirs.status == 400 and len(theirs.body) == 2 and len(ours.body) == 1
    if seen:
        del theirs.body[1:]
    return seen


@difference("after that the pin is there", "it is not", "as above")
def bad_option_pins_not(theirs, ours):
    return same(theirs, ours, theirs.status == 200 and is_error(ours, 404, "pin is not part of the pinset"))


@difference("`POST /pins/<cid>?mode=direct` answers `direct` and stores a recursive pin", "stores a direct pin",
            "what was asked for; `POST /pins/ipfs/<cid>` does it too")
def direct_is_meant(theirs, ours):
    seen = theirs.body[0].get("max_depth") == -1 and ours.body[0].get("max_depth") == 0
    ours.body[0]["max_depth"], ours.body[0]["mode"] = -1, theirs.body[0].get("mode")
    return seen and ours.body[0].get("mode") is not None


@difference("`GET /pins` shows direct pins as `unexpectedly_unpinned`", "as any other pin",
            "its loop over the types of pins ends after the first", everywhere=True)
def direct_in_lists(theirs, ours):
    seen = False
    for item in objects(theirs):
        if item.get("status") == "unexpectedly_unpinned":
            item["status"], item["error"] = "pinned", ""
            seen = True
    return seen


@difference("a text that is not UTF-8 gives 500 or is taken in part", "400", "the mistake is the client's")
def utf8_is_400(theirs, ours):
    if is_error(theirs, 400, "error decoding peer_id"):
        return same(theirs, ours, is_error(ours, 400, "error decoding request body"))
    return same(theirs, ours, is_error(theirs, 500, "string field contains invalid UTF-8") and
                is_error(ours, 400) and "UTF-8" in ours.body[0]["message"])


@difference("takes tokens with a claim or algorithm twice, in another case, with critical extensions or more behind "
            "the end, and base64 with bits to spare", "401: invalid token, or none given",
            "what decides who somebody is has one meaning")
def credentials_strict(theirs, ours):
    return same(theirs, ours, theirs.status in (200, 401) and (
        is_error(ours, 401, "unauthorized: invalid token") or is_error(ours, 401, "unauthorized: no auth provided")))


@difference("`GET /` is redirected to itself for ever", "404", "a loop helps nobody")
def root_is_404(theirs, ours):
    return same(theirs, ours, theirs.status == 307 and theirs.header("location") == "/" and
                is_error(ours, 404, "not found"))


@difference("a known path with a wrong method gives 404 where a later route has the method, else 405",
            "always 405", "its router forgets the mismatch; HTTP's answer is 405")
def method_405(theirs, ours):
    return same(theirs, ours, is_error(theirs, 404, "not found") and ours.status == 405 and not ours.body)


# ---- Finer points


@difference("lists in the order of its datastore, or in none", "in the order of its keys",
            "neither is promised", everywhere=True)
def order(theirs, ours):
    seen = False
    for view in (theirs, ours):
        lists = [item for item in view.body if isinstance(item, list)]
        if view.header("trailer"):
            lists.append(view.body)
        for items in lists:
            before = list(items)
            items.sort(key=lambda item: str(item.get("cid") or item) if isinstance(item, dict) else str(item))
            seen = seen or before != items
    return seen


@difference("the answer to a POST has `expire_at` as it was sent, with its fraction and zone",
            "whole seconds in UTC, as both store it", "the answer says what is stored")
def expiry_as_stored(theirs, ours):
    mine, other = ours.body[0], theirs.body[0]
    seen = (mine["expire_at"], other["expire_at"]) in (
        ("<now +240 h>", "<now +240 h, fraction>"), ("2040-01-02T01:04:05Z", "2040-01-02T03:04:05.678+02:00"))
    mine["expire_at"] = other["expire_at"]
    return seen


@difference("does what a page of another site asks, though it lets no such page read the answer",
            "403 for what is no `GET`, unless `api.cors_*` allows that site the method",
            "`POST /import?replace=true` is one form away from any page")
def other_sites(theirs, ours):
    return same(theirs, ours, theirs.status in (200, 204) and is_error(ours, 403))


@difference("takes request heads of 4 KiB and 4 more by default", "of 16 KiB and 4 more",
            "`GET /pins?cids=` and long metadata need them")
def longer_heads(theirs, ours):
    return same(theirs, ours, theirs.status == 431 and ours.status == 200)


@difference("a head that is too long gives 431", "414 where it is the target that is too long, else 431",
            "HTTP has a status for each")
def head_too_long(theirs, ours):
    return same(theirs, ours, theirs.status == 431 and ours.status in (414, 431))


@difference("`/monitor/metrics` has what its informers send", "also `numpin`", "it costs nothing to know")
def metric_numpin(theirs, ours):
    seen = "numpin" in ours.body[0] and "numpin" not in theirs.body[0]
    ours.body[0].remove("numpin")
    return seen


@difference("takes base32 texts with letters or bits to spare, and what is wrong is told later, with another text",
            "refuses the text", "one CID has one text in each base")
def cid_text(theirs, ours):
    return same(theirs, ours, is_error(ours, 400) and re.search(
        r"invalid cid: illegal base(32|64) data at input byte \d+$", ours.body[0]["message"]) is not None)


@difference("takes a CID of version 0 with a prefix of its base", "400", "the CID specification forbids it")
def v0_in_multibase(theirs, ours):
    return same(theirs, ours, is_error(ours, 400) and
                ours.body[0]["message"].endswith("invalid cid: a version 0 may not be multibase encoded"))


@difference("quotes the whole of a text that is wrong", "its first 100 bytes", "an answer says what is wrong in short")
def long_text(theirs, ours):
    mine, other = (view.body[0]["message"] for view in (ours, theirs))
    start = len(os.path.commonprefix([mine, other]))
    return same(theirs, ours, is_error(theirs, 400) and is_error(ours, 400) and
                len(mine[:start].encode()) > 100 and
                mine[start] == '"' and other.endswith(mine[start + 1:]))


@difference("a path with a slash too many is redirected to one with a slash less, `//host/` to another host",
            "to the right path at once, here", "one answer is enough, and nobody is led astray")
def redirect_at_once(theirs, ours):
    return same(theirs, ours, theirs.status in (301, 307) and ours.status in (301, 307) and
                ours.header("location")[1:2] != "/" and
                (theirs.header("location").startswith("//") or
                 theirs.header("location").rstrip("/") == ours.header("location").rstrip("/")))


@difference("takes `#` in the target of a request for a letter like others", "400",
            "HTTP has none there, and a proxy may cut it off")
def fragment(theirs, ours):
    return same(theirs, ours, ours.status == 400 and ours.body == [400, "text: Bad Request\n"])


@difference("a preflight may ask for headers in lower case only", "in any case",
            "names of headers have no case; browsers send lower case")
def cors_case(theirs, ours):
    return same(theirs, ours, theirs.status == ours.status == 204 and
                theirs.header("access-control-allow-headers") is None and
                ours.header("access-control-allow-headers") == "Content-Type")


# ---- More than IPFS Cluster has


@difference("has no `POST /pins`", "pins one pin or CID a line", "one request per pin is slow")
def bulk(theirs, ours):
    return same(theirs, ours, is_error(theirs, 404) and ours.status == 200)


@difference("has no `/import` and `/export`", "has them, for `zpin import` and `zpin export`",
            "state export needs a stopped daemon")
def extension(theirs, ours):
    return same(theirs, ours, is_error(theirs, 404) and ours.status in (200, 400))


BY_NAME = {item.name: item for item in TABLE}
assert len(BY_NAME) == len(TABLE)


def reconcile(theirs, ours, named=(), may=()):
    """Applies those that may be met anywhere or here, and the named ones. The names seen; those named and not
    seen."""
    seen = set()
    for item in TABLE:
        if not item.everywhere and item.name not in (*named, *may):
            continue
        try:
            if item.apply(theirs, ours):
                seen.add(item.name)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            pass  # the answer has not the shape that the difference is about
    return seen, [name for name in named if name not in seen]


def markdown():
    rows = ["| IPFS Cluster 1.1.6 | zpin | why |", "|---|---|---|"]
    return "\n".join(rows + [f"| {item.cluster} | {item.zpin} | {item.why} |" for item in TABLE]) + "\n"
