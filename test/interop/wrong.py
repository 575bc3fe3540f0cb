"""Requests that are wrong, or look it: bad CIDs, options, paths, bodies, filters, times.

Both sides get each, and both must say the same of it: status, headers and body. Nothing is pinned before, and
nothing may be afterwards: the CIDs that only look wrong are taken out again.
"""
import dataclasses
import urllib.parse

from steps import ABSENT, DAG_CBOR, FOREIGN, ORIGIN, RAW, V0, Step, delete, get, post

quote = urllib.parse.quote
UPPER = RAW.upper()
RAW_BASE16 = "f01551220" + "80d7e7d8b9d7c5c2b5dfe7e5f7d7c5c2b5dfe7e5f7d7c5c2b5dfe7e5f7d7c5c2"

# As texts, not escaped yet.
CIDS = (
    "Q", "Qm", V0[:-1], V0 + "x", V0[:-1] + "0", V0[:-1] + "l", V0.lower(), V0.upper(), "1" + V0, "z" + V0,
    V0 + " ", " " + V0, V0 + "\n", V0 + "\0", "\0", "%", "%00", "é", V0 + "é", "b", "z", "f", "m", "u", "k", "B",
    "F", "bafkrei", RAW[:-2], RAW + "a", RAW + "aa", RAW[1:], "B" + RAW[1:], RAW[:8] + RAW[8:].upper(),
    RAW + "=", RAW + "======", "c" + RAW[1:], "v" + RAW[1:], "x" + RAW[1:], "\x00" + RAW, "0" + RAW, "9" + "1" * 50,
    "f0155122", "f015512", "f01551220", "f0155121f" + "00" * 31, "f01551220" + "00" * 31, "f01551220" + "00" * 33,
    "f01551220" + "0g" + "00" * 31, "f02551220" + "00" * 32, "f00551220" + "00" * 32, "f12200" + "00" * 32,
    "f1220" + "00" * 32, "f1220" + "00" * 31, "f03551220" + "00" * 32, "f018080808080808080808001220" + "00" * 32,
    "f01ffffffffffffffffff7f1220" + "00" * 32, "f01d5001220" + "00" * 32, "f0155922020" + "00" * 32,
    "f01551280" + "00" * 32, "f0155120100", "f01550001", "f0155008001" + "00" * 128, "f0155008101" + "00" * 129,
    "mAVUSIA", "uAVUSIA", "ipfs:" + V0, "/ipfs/" + V0, "cid", "{cid}", "*", "..", "...", "undefined", "null",
    "12D3KooW", "5" * 200, "b" + "a" * 1000, "Qm" + "1" * 44, "Qm" + "z" * 44, "11", "1",
)


def cids():
    steps = []
    for cid in CIDS:
        text = quote(cid, safe="")
        if "/" in cid or cid == "..":
            text = quote(cid, safe="/")
        steps += [get(f"/allocations/{text}"), post(f"/pins/{text}"), post(f"/pins/{text}/recover")]
        if "," not in cid:
            steps += [get(f"/pins?cids={text}"), get(f"/pins?cids={V0},{text}")]
        steps += [post(f"/pins/ipfs/{text}"), delete(f"/pins/ipfs/{text}"), get(f"/pins/{ABSENT}?pin-update={text}"),
                  delete(f"/pins/{text}"), get(f"/pins/{text}?local=true")]
    return steps


INTEGERS = ("x", "1.0", "1e1", "0x1", "1_000", " 1", "1 ", "+", "-", "--1", "+-1", "１", "9223372036854775808",
            "-9223372036854775809", "1,2", "NaN", "true", "\0", "")
SIZES = ("x", "-1", "+1", "1.0", "0x10", " 1", "18446744073709551616", "1_0", "1k", "")
TIMES = ("tomorrow", "2040-01-02", "2040-01-02T03:04:05", "2040-01-02 03:04:05Z", "2040-01-02T03:04Z",
         "2040-1-02T03:04:05Z", "2040-13-02T03:04:05Z", "2040-02-30T03:04:05Z", "2041-02-29T03:04:05Z",
         "2040-01-02T24:04:05Z", "2040-01-02T03:60:05Z", "2040-01-02T03:04:60Z", "2040-01-02T03:04:05",
         "2040-01-02T03:04:05+0200", "2040-01-02T03:04:05+02", "2040-01-02T03:04:05+24:00",
         "2040-01-02T03:04:05+02:60", "2040-01-02T03:04:05.Z", "2040-01-02T03:04:05,5Z", "2040-01-02T03:04:05z",
         "2040-01-02t03:04:05Z", "10000-01-02T03:04:05Z", "-001-01-02T03:04:05Z", "2040-01-02T3:04:05Z",
         "2040-01-02T03:04:05Z ", " 2040-01-02T03:04:05Z", "2040-01-02T03:04:05ZZ", "1577836800", "\"2040\"", "\0")
PASTS = ("2001-01-01T00:00:00Z", "0001-01-01T00:00:01Z", "0000-01-01T00:00:00Z", "1969-12-31T23:59:59Z",
         "1970-01-01T00:00:00.5Z", "2001-01-01T00:00:00.123456789123Z", "2001-01-01T00:00:00+23:59")
DURATIONS = ("x", "5", "5x", "1ms", "999ms", "0.5s", "-1h", "-", "+", ".", "s", "1h-1m", "1h 1m", "1hm", "1d", "1w",
             "1e3s", "0x1s", "999999999h", "9223372036854775808ns", "1µ", "1us", "1µs", "1μs", " 1h", "1h ", "\0",
             "0", "-0", "+0", "1h,1m")
ORIGINS = ("x", "/", "//", "/ip4", "/ip4/1.2.3.4", "/ip4/1.2.3.4/tcp/4001", "/ip4/1.2.3/tcp/1", "/ip4/1.2.3.4/tcp/x",
           "/ip4/1.2.3.4/tcp/65536", "/ip4/1.2.3.4/tcp/-1", "/ip4/01.2.3.4/tcp/1", "/ip6/::1", "/ip6/:::1", "/ip6/g",
           "/ip6/1.2.3.4", "/ip4/::1", "/dns4/a.example", "/dns4/", "/dns4", f"/p2p/{FOREIGN}", "/p2p/x", "/p2p/",
           "/p2p", f"/ipfs/{FOREIGN}x", f"/p2p/{FOREIGN}/x", f"/p2p/{RAW}", f"/p2p/{V0}x", "/foo/bar", "/tcp/1/foo",
           "ip4/1.2.3.4", f"{ORIGIN}/", f" {ORIGIN}", f"{ORIGIN} ", f"{ORIGIN},", f",{ORIGIN}", f"{ORIGIN},x", ",",
           "/unix/a/b", "/onion/x", "/onion3/x:1", "/quic/quic", "/ip4/1.2.3.4/udp/1/quic-v1", "/ip6zone/x",
           "/ip4/1.2.3.4/tcp/4001/ws", "/sni/x", "/memory/x", "/ip4/1.2.3.4/ipcidr/300", "/certhash/x", "/http-path/%")


def options():
    """Each on a path that executes nothing and one that would."""
    rows = [("replication-min", INTEGERS), ("replication-max", INTEGERS), ("replication", INTEGERS),
            ("shard-size", SIZES), ("expire-at", TIMES), ("expire-in", DURATIONS), ("origins", ORIGINS),
            ("pin-update", ("x", "Qm", RAW[:-1], "\0", " "))]
    steps = []
    for name, values in rows:
        for value in values:
            steps += [get(f"/allocations/{ABSENT}?{name}={quote(value, safe='')}")]
        for value in values[:3]:
            text = f"{name}={quote(value, safe='')}"
            steps += [get(f"/pins/{ABSENT}?{text}"), delete(f"/pins/{ABSENT}?{text}"),
                      delete(f"/pins/ipfs/{ABSENT}?{text}"), post(f"/pins/{ABSENT}/recover?{text}")]
    steps += [post(f"/pins/{ABSENT}?expire-at={quote(value)}") for value in PASTS]
    steps += [get(f"/allocations/{ABSENT}?{query}") for query in (
        "replication=x&replication-min=1", "replication=1&replication-min=x", "replication=&replication-min=x",
        "replication-min=x&expire-in=x", "expire-in=x&expire-at=x", "expire-in=x&expire-at=2040-01-01T00:00:00Z",
        "origins=x&pin-update=x", "REPLICATION-MIN=x", "replication-min=1&replication-min=x",
        "replication-min=x&replication-min=1", "replication%2Dmin=x", "replication-min", "replication-min=%",
        "replication-min=%zz&replication-min=x", "replication-min=x;", "&&replication-min=x", "=x", "%3D", "%00=x",
        "shard-size=x&user-allocations=x", "user-allocations=x,,y", "mode=x", "name", "meta-", "meta-=x")]
    return steps


def filters():
    """Of lists; both are empty where nothing is pinned."""
    types = ("bad-type", "bad-type,pin", "pin,,", ",x", "pin;x", "all\0", "ALL", "pin ", "Pin", "1", "pins", "é",
             "data", "shard-pin,", "pin%2Cx")
    statuses = ("bug", "undefined", "undefined,x", ",x", "error,", "pinned,", "pinned ,x", "p inned", "PINNED", "1",
                "é", "\0", "\t", "pinned\t", "pinned;x", "unpinned,pinned,x", "all", "sharded,,", "queued", "error")
    steps = [get(f"/allocations?filter={quote(text)}") for text in types]
    steps += [get(f"/pins?filter={quote(text)}") for text in statuses]
    steps += [get(f"/pins?local=true&filter={quote(text)}") for text in statuses]
    steps += [get(path) for path in (
        "/pins?filter", "/pins?filter=x&filter=pinned", "/pins?filter=pinned&filter=x", "/pins?cids", "/pins?cids=,",
        "/pins?cids=x&filter=x", f"/pins?cids={ABSENT},", f"/pins?cids=,{ABSENT}", f"/pins?cids={ABSENT},,{ABSENT}",
        f"/pins?cids={ABSENT};{ABSENT}", f"/pins?cids={ABSENT}%20", f"/pins?cids=%20{ABSENT}",
        f"/pins?cids=&cids={ABSENT}", f"/pins?cids={ABSENT}&cids=x", "/pins?local=x", "/pins?LOCAL=true",
        "/allocations?filter", "/allocations?FILTER=x", "/allocations?filter=%", "/allocations?filter=x&filter=pin")]
    return steps


def bodies():
    """POST /peers and DELETE /peers/{id}."""
    texts = (b"", b" ", b"{", b"}", b"[]", b"null", b"true", b"5", b'"x"', b"{}", b"{} x", b'{"peer_id"', b'{"peer_id":}',
             b'{"peer_id":"', b'{"peer_id":null}', b'{"peer_id":true}', b'{"peer_id":[]}', b'{"peer_id":{}}',
             b'{"peer_id":""}', b'{"peer_id":" "}', b'{"PEER_ID":"x"}', b'{"Peer_Id":5}', b'{"peer_id":"x","peer_id":5}',
             b'{"peer_id":5,"peer_id":"x"}', b'{"a":{"peer_id":5}}', b"{'peer_id':'x'}", b'{"peer_id":"x",}',
             b'{peer_id:"x"}', b'{"peer_id":"\xff"}', b'{"peer_id":"\\ud800"}', b'{"peer_id":"\\x"}', b"\xef\xbb\xbf{}",
             b'{"peer_id":"x"}{"peer_id":5}', b'{"peer_id":"x"}]', b"[" * 5000, b'{"a":' * 5000, b'{"a":1e999}',
             b'{"a":01}', b'{"a":"\x01"}', b'{"a":nul}', b"//", b"/**/{}", b'{"peer_id":"%s"}' % V0.encode(),
             b'{"peer_id":"%s"}' % RAW.encode(), b'{"peer_id":"%s "}' % FOREIGN.encode(), b"\0", b'{"peer_id":"\\u0000"}',
             b'{"PEER_ID":"%s"}' % FOREIGN.encode(), b'{"peer_id":"x"} trailing',
             b'{"peer_id":"%s","PEER_ID":5}' % FOREIGN.encode())
    ids = ("x", "1", "Qm", V0, V0[:-1], RAW, DAG_CBOR, FOREIGN[:-1], FOREIGN + "x", FOREIGN.lower(), "%20", "%00",
           "bafzaa", "k51", "12D3KooW", "é", "null", "*", "f00")
    return [post("/peers", body=text) for text in texts] + [delete(f"/peers/{quote(text, safe='%')}") for text in ids]


def paths():
    """Escapes, dots, slashes and names of the API in odd forms. As they are sent."""
    texts = ("/%", "/%2", "/%zz", "/%2x", "/pins%", "/pins/%", "/pins/%2", f"/pins/{V0}%", "/%70ins", "/pin%73",
             "/%2570ins", "/pins%2F", "/pins%2f" + V0, "/pins%252F" + V0, "/pins/%2e%2e/id", "/pins/%2E", "/%2e/id",
             "/%2e%2e", "/..", "/.", "/...", "/../../id", "/./id/.", "/id/..", "/id/../", "/pins/./", "/pins//",
             "//pins/", "///", "/pins///x", "/id//", "/id/.//", "//example.com/pins", "//example.com/pins/",
             "/\\", "/\\example.com/", "/%5Cexample.com/", "/%09/", "/%0d%0aX:%20y/", "/%0d%0aX:%20y//", "/a%20b/",
             "/a b"[:2] + "%20b", "/%00", "/pins/%00/", "/id%00", "/id%20", "/id%0a", "/id;x", "/id;", "/id,", "/ID",
             "/Id", "/id?", "/id??", "/id?%", "/id?x=%zz", "/id?#", "/id%23", "/id%3F", "/pins/recover/x",
             "/pins/recover%2F", "/pins//recover", f"/pins/{V0}//recover", f"/pins/{V0}/recover/", f"/pins/{V0}/recoverx",
             f"/pins/{V0}/RECOVER", f"/pins/{V0}/recover/x", "/pins/ipfs", "/pins/ipfs/", "/pins/ipfs//",
             "/pins/ipns/", "/pins/ipns//", "/pins/ipld", "/pins/ipld/", "/pins/IPFS/" + V0, "/pins/ipfs/%2F",
             "/pins/ipfs/..", "/pins/ipfs/%2e%2e/" + V0, f"/pins/ipfs/{V0}%2F", f"/pins/ipfs/{V0}//", f"/pins/ipfs//{V0}",
             "/pins/ipfs/ipfs/" + V0, "/pins/ipfs/%00", "/pins/ipfs/%0a", "/pins/ipfs/\"<>&", "/pins/ipfs/%22%3C%3E%26",
             "/pins/ipfs/x/y/z", "/pins/ipfs/" + "x" * 600, "/pins/ipfs/" + "%C3%A9" * 200, "/pins/" + "%C3%A9" * 200,
             "/pins/ipfs/%ff", "/pins/\u00e9", "/\u00e9/", "/id/?\u00e9", "//id?\u00e9", "/\u00e9//x", "/pins/%ff", "/allocations/%ff", "/monitor/metrics/%00", "/monitor/metrics/%ff",
             "/monitor/metrics/a%2Fb", "/monitor/metrics/", "/monitor/metrics//", "/monitor/metrics/ping/x",
             "/monitor/metrics/PING", "/peers/x/y", "/peers//", "/health/", "/health//graph", "/health/GRAPH",
             "/health/graph/x", "/health/alerts/", "/token/", "/add/", "/ipfs", "/ipfs/", "/ipfs/gc/", "/ipfs/gcx",
             "/allocations/", f"/allocations/{V0}/", f"/allocations/{V0}/x", "/allocations//" + V0, "/version/", "/peers/")
    steps = []
    for text in texts:
        steps += [get(text), post(text), delete(text)]
    steps += [Step(method, path) for path in ("/id", "/pins", "/nothing", "/pins/", f"/pins/{V0}", "/token")
              for method in ("PUT", "PATCH", "HEAD", "TRACE", "get", "Post", "BREW", "M-SEARCH", "GETX")]
    return steps


def types():
    """POST /add by what it says it brings."""
    kinds = ("", "text/plain", "multipart", "multipart/", "multipart/form-data", "multipart/form-data;",
             "multipart/form-data; boundary=", "multipart/form-data; boundary", "multipart/mixed; boundary=b",
             "application/json", "multipart/form-data, x", ";", "multipart/form-data; charset=x")
    return [post("/add", body=b"x", headers=(f"Content-Type: {kind}",)) for kind in kinds]


MAY = ("bad-option-ends", "method-405", "cid-text", "v0-in-multibase", "long-text", "redirect-at-once", "fragment",
       "bulk", "no-ipfs-add", "utf8-is-400")


def everything():
    steps = [*cids(), *options(), *filters(), *bodies(), *paths(), *types(), get("/allocations"), get("/pins")]
    return [dataclasses.replace(step, may=MAY) for step in steps]
