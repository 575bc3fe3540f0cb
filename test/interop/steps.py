"""The sequence of REST requests that both sides get, one after the other, each on its own connection.

A step is method, path and what else the request has. {self} in a path or a body is the id of the peer that
is asked. The order matters: later steps see what earlier ones pinned.
"""
import base64
import dataclasses
import hmac
import json
import time
import urllib.parse


@dataclasses.dataclass
class Step:
    method: str
    path: str
    body: bytes = None
    headers: tuple = ()
    differs: tuple = ()  # names in differences.py that must be seen here
    may: tuple = ()  # and that may be

    def __str__(self):
        text = f"{self.method} {self.path if len(self.path) < 150 else self.path[:150] + '…'}"
        if self.body is not None:
            text += f" {self.body.decode(errors='replace')[:60]}"
        return text + "".join(f" [{header[:100]}]" for header in self.headers)


RAW = "bafkreia22brx2qsunhs3fjl32vzkkmlxo5xqnpselaxidh4r2n2eriydp4"
V0 = "QmNmVY8XGFNGU5wZmoqKaxVzqpGV4pL5BURyKUhWcK9Ezh"
V0_AS_V1 = "bafybeiaghzrhsxazhdcc5inhj7vvnyw53mkvpjvdpa6aht4sktxcvg4sga"
DIRECT = "QmaRGe7bVmVaLmxbrMiVNXqW4pRNNp3xq7hFtyRKA3mtJL"
FULL = "bafkreihsdntw2yjgtazto4gvhfevjnrot6ci5xacu64gnrotppnmyvimdu"
UPDATED = "bafkreihcldjer7njjrrxknqh67cestxa7s7jf4nhnp62y6k4twcbahvtc4"
SPARE = "bafkreiew6vvcnbuogyj4ziezwbcxqqhj4uzlsfve32cxffdo3sslcks2cu"
DAG_CBOR = "bafyreihltcnuuyqp2jm24aqydpnlj7b6w3ogwrplomrjtg5rifv44mmjey"
ABSENT = "bafkreic2yoe2gdb3anrqbyhpvxm2kzf524gtewpe4hfwgnrwsxx3aukwty"
IDENTITY = "bafkqaaa"
BASE58_V1 = "zb2rhoDQYpMcqvhyR8mKZJeVQGfYTMM2j24iwM2yVbgZsG3KV"
FOREIGN = "12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa"
ORIGIN = f"/ip4/1.2.3.4/tcp/4001/p2p/{FOREIGN}"
BAD_CIDS = ("x", "Qm", RAW[:-1], V0 + "x", "bafkreia22brx2qsunhs3fjl32vzkkmlxo5xqnpselaxidh4r2n2eriydp!",
            FOREIGN)


def get(path, *differs, headers=()):
    return Step("GET", path, None, headers, differs)


def post(path, *differs, body=None, headers=()):
    return Step("POST", path, body, headers, differs)


def delete(path, *differs):
    return Step("DELETE", path, None, (), differs)


def pin(cid, *differs, **options):
    """POST and what is stored then."""
    query = "&".join(f"{name.replace('_', '-')}={urllib.parse.quote(str(value))}"
                     for name, value in options.items())
    return [post(f"/pins/{cid}" + (f"?{query}" if query else ""), *differs), get(f"/allocations/{cid}"),
            get(f"/pins/{cid}")]


def the_peer():
    return [
        get("/id"), get("/version"), get("/peers"),
        get("/health"), get("/health/alerts"), get("/health/bandwidth"), get("/health/graph"),
        get("/monitor/metrics", "metric-numpin"), get("/monitor/metrics/ping"),
        get("/monitor/metrics/freespace"), get("/monitor/metrics/pinqueue"), get("/monitor/metrics/tag:group"),
        get("/monitor/metrics/nothing"), post("/token"),
        post("/peers", body=b"{}"), post("/peers", body=b""), post("/peers", body=b"{"),
        post("/peers", body=b'{"peer_id":"x"}'), post("/peers", body=b'{"peer_id":5}'),
        post("/peers", body=b'{"peer_id":"%s"}' % FOREIGN.encode()),
        post("/peers", body=b'{"peer_id":"{self}"}'),
        delete("/peers/x"), delete(f"/peers/{FOREIGN}"),
    ]


def empty_lists():
    return [get(path) for path in ("/allocations", "/pins", "/pins?local=true", "/pins?filter=pinned",
                                   "/allocations?filter=pin")] + [
        post("/pins/recover"), post("/pins/recover?local=true"),
        get(f"/allocations/{ABSENT}"), get(f"/pins/{ABSENT}"), get(f"/pins/{ABSENT}?local=true"),
        get(f"/pins?cids={ABSENT}"), delete(f"/pins/{ABSENT}"), delete(f"/pins/ipfs/{ABSENT}"),
        post(f"/pins/{ABSENT}/recover"), post(f"/pins/{ABSENT}/recover?local=true"),
    ]


def pins():
    steps = pin(RAW) + pin(V0, name="hello") + pin(V0_AS_V1, name="the same digest") + pin(DAG_CBOR, name="")
    steps += pin(IDENTITY, name="identity") + pin(BASE58_V1)
    steps += pin(FULL, name="a <b> & \u00e9\u4e16\U0001f600 \"q\" \\ \t\u2028\u007f", meta_b="x", meta_a="1",
                 meta_="no key", meta_html="<&>", origins=ORIGIN, expire_at="2040-01-02T03:04:05Z",
                 shard_size=104857601, replication_min=-1, replication_max=-1, mode="recursive")
    steps += pin(FULL)  # all options reset
    steps += pin(SPARE, "expiry-as-stored", expire_in="240h")
    steps += pin(SPARE, "expiry-as-stored", expire_at="2040-01-02T03:04:05.678+02:00")
    steps += pin(SPARE, expire_in="1h", expire_at="2040-01-02T03:04:05Z")
    steps += pin(SPARE, replication=1) + pin(SPARE, replication_min=1, replication_max=3)
    steps += pin(SPARE, replication=1, user_allocations="{self}")
    steps += pin(SPARE, replication=1, user_allocations="bad,{self}," + FOREIGN)
    steps += pin(SPARE, replication=-1, replication_min=1, replication_max=1)
    steps += pin(SPARE, replication=0) + pin(SPARE, mode="sideways") + pin(SPARE, pin_update=SPARE)
    steps += pin(SPARE, origins=ORIGIN + "," + ORIGIN.replace("1.2.3.4", "5.6.7.8"))
    steps += [post(f"/pins/{SPARE}?meta-k=first&meta-k=second&name=one&name=two"), get(f"/allocations/{SPARE}"),
              post(f"/pins/{SPARE}?name=a+b%20c%2Bd"), get(f"/allocations/{SPARE}"),
              post(f"/pins/{SPARE}?name=\u00e9\U0001f600&meta-\u4e16=\u00fc"), get(f"/allocations/{SPARE}"),
              post(f"/pins/{SPARE}?name=a;b=c"), get(f"/allocations/{SPARE}"),
              post(f"/pins/{SPARE}?name=%zz"), get(f"/allocations/{SPARE}"),
              post(f"/pins/{SPARE}?name=%ff", "utf8-is-400"), get(f"/allocations/{SPARE}"),
              delete(f"/pins/{SPARE}"), get(f"/allocations/{SPARE}"), get(f"/pins/{SPARE}")]
    return steps


def modes():
    return [
        post(f"/pins/{DIRECT}?mode=direct", "direct-is-meant"),
        get(f"/allocations/{DIRECT}", "direct-is-meant"),
        get(f"/pins/{DIRECT}"), delete(f"/pins/{DIRECT}", "direct-is-meant"),
        post(f"/pins/ipfs/{DIRECT}?mode=direct"), get(f"/allocations/{DIRECT}"), get(f"/pins/{DIRECT}"),
        get(f"/pins?cids={DIRECT}"), get("/pins", "direct-in-lists"),
        get("/pins?local=true", "direct-in-lists"),
        *pin(DIRECT, name="now recursive"),
        post(f"/pins/ipfs/{DIRECT}?mode=direct"), get(f"/allocations/{DIRECT}"),
        delete(f"/pins/ipfs/{DIRECT}"),
    ]


def paths():
    return [
        post(f"/pins/ipfs/{V0}"), post(f"/pins/ipld/{DAG_CBOR}"),
        post(f"/pins/ipfs/{V0}/a/b.txt", "no-ipfs-path"), post("/pins/ipns/example.com", "no-ipfs-path"),
        post("/pins/ipfs/x"), post("/pins/ipfs/"), post("/pins/ipns"), post(f"/pins/other/{V0}"),
        post(f"/pins/ipfs/{V0}/"), delete(f"/pins/ipfs/{V0}/a", "no-ipfs-path"),
        delete(f"/pins/ipfs/{V0}"), delete(f"/pins/ipfs/{V0}"), *pin(V0, name="hello"),
    ]


def bad_options():
    """Each is followed by what is stored then."""
    wrong = ["replication-min=x", "replication-max=1.5", "replication=abc",
             "replication-min=99999999999999999999",
             "shard-size=-1", "shard-size=x", "expire-at=tomorrow", "expire-at=2040-01-02",
             "expire-in=abc", "expire-in=5", "expire-in=1ms", "expire-in=-1h",
             "pin-update=x", "origins=x", "origins=/ip4/1.2.3.4/tcp/4001", "origins=/ip4/1.2.3/tcp/1",
             f"origins={ORIGIN},"]
    steps = []
    for query in wrong:
        steps += [post(f"/pins/{ABSENT}?{query}", "bad-option-ends"),
                  get(f"/allocations/{ABSENT}", "bad-option-pins-not"),
                  Step("DELETE", f"/pins/{ABSENT}", differs=("bad-option-pins-not",))]
    steps += [get(f"/allocations/{RAW}?replication-min=x", "bad-option-ends"),
              get(f"/pins/{RAW}?expire-in=x", "bad-option-ends"),
              delete(f"/pins/{ABSENT}?shard-size=x", "bad-option-ends")]
    refused = ["replication-min=3&replication-max=2", "replication-min=-1&replication-max=2",
               "replication-min=2&replication-max=-1", "replication=-2", "replication-min=-5&replication-max=3",
               "replication=5", "replication-min=2&replication-max=3", "expire-at=2001-01-01T00:00:00Z",
               f"pin-update={SPARE}"]
    for query in refused:
        steps += [post(f"/pins/{ABSENT}?{query}"), get(f"/allocations/{ABSENT}")]
    return steps


def bad_cids():
    steps = []
    for cid in BAD_CIDS:
        worded = ("cid-text",) if cid == RAW[:-1] else ()
        steps += [get(f"/allocations/{cid}", *worded), get(f"/pins/{cid}", *worded),
                  post(f"/pins/{cid}", *worded), delete(f"/pins/{cid}", *worded), post(f"/pins/{cid}/recover", *worded),
                  post(f"/pins/ipfs/{cid}", *worded), get(f"/pins?cids={cid}", *worded)]
    return steps


def updates():
    return [
        *pin(FULL, name="from", meta_k="v", origins=ORIGIN, expire_at="2040-01-02T03:04:05Z"),
        post(f"/pins/{UPDATED}?pin-update={FULL}"),
        get(f"/allocations/{UPDATED}"), get(f"/pins/{UPDATED}"),
        post(f"/pins/{UPDATED}?pin-update={FULL}&name=own&expire-at=2041-01-02T03:04:05Z&meta-k=other"),
        get(f"/allocations/{UPDATED}"),
        post(f"/pins/{UPDATED}?pin-update={FULL}&expire-at=2001-01-02T03:04:05Z"),
        get(f"/allocations/{UPDATED}"),
        post(f"/pins/{UPDATED}?pin-update={ABSENT}"), get(f"/allocations/{FULL}"),
        post(f"/pins/ipfs/{UPDATED}?pin-update={FULL}&mode=direct"),
        get(f"/allocations/{UPDATED}"),
        delete(f"/pins/{UPDATED}"),
    ]


def lists():
    types = ("", "all", "pin", "meta-pin", "clusterdag-pin", "shard-pin", "pin,meta-pin", "x", "pin,x", "x,pin",
             "bad-type", ",", "all,x", " pin", "PIN")
    statuses = ("", "pinned", "pin_queued", "queued", "pinned,queued,pin_queued", "error", "remote", "unpinned",
                "sharded", "cluster_error", "undefined", "undefined,pinned", "x", "x,queued,pinned",
                "pinned, queued",
                " ", ",", "PINNED")
    steps = [get(f"/allocations?filter={urllib.parse.quote(text)}") for text in types]
    steps += [get("/monitor/metrics/pinqueue", "pinqueue-of-all")]
    steps += [get("/allocations"), get("/allocations?filter=all&filter=x"), get("/allocations?other=1")]
    steps += [get(f"/pins?filter={urllib.parse.quote(text)}", *status_filter(text)) for text in statuses]
    steps += [get(path) for path in (
        "/pins", "/pins?local=true", "/pins?local=TRUE", "/pins?local=1", "/pins?local=false&filter=&cids=",
        f"/pins?cids={RAW},{V0}", f"/pins?cids={RAW},{RAW}", f"/pins?cids={RAW},{ABSENT}",
        f"/pins?cids={RAW}&filter=error", f"/pins?cids={RAW}&filter=x", f"/pins?cids={RAW},x",
        f"/pins?cids={RAW},",
        f"/pins?cids={RAW}&local=true", f"/pins/{RAW}?local=true", f"/pins/{RAW}?filter=x")]
    steps += [post(f"/pins/{RAW}/recover"), post(f"/pins/{RAW}/recover?local=true"), post("/pins/recover"),
              post("/pins/recover?local=true")]
    return steps


def status_filter(text):
    """IPFS Cluster's pins are pinned, zpin's wait; a filter for one of the two tells them apart."""
    names = text.replace(" ", "").split(",")
    return ("status-filter",) if ("pinned" in names) != bool({"pin_queued", "queued"} & set(names)) else ()


def routes():
    steps = [get("/nothing"), get("/", "root-is-404"), get("/pins/"), get("/allocations/?filter=x"),
             post("/pins/recover/"), get("//pins"), get("/pins//x"), get("/./version"), get("/a/../version"),
             get("/version/../id/"), get("/%76ersion"), get(f"/pins/{RAW[:10]}%2F{RAW[10:]}"), get("/version%2F"),
             get("/VERSION"), get("/version?x=%"), get("/id/x"), get("/health/nothing"), get("/health/repostat"),
             get("/monitor"), get("/pins/a/b/c"), get("/pins/ipfs"), get(f"/pins?cids={RAW}&x=" + 3000 * "x"),
             get("/version?x=" + 12_000 * "x", "longer-heads"),
             get("/version", "longer-heads", headers=("X-Long: " + 12_000 * "x",)),
             get("/version?x=" + 200_000 * "x", "head-too-long"),
             get("/version", "head-too-long", headers=("X-Long: " + 200_000 * "x",))]
    steps += [Step(method, path) for method, path in (
        ("HEAD", "/id"), ("HEAD", "/health"), ("HEAD", "/nothing"), ("PATCH", "/id"), ("PUT", f"/pins/{RAW}"),
        ("PUT", "/token"), ("POST", "/health"))]
    steps += [Step(method, path, differs=("method-405",)) for method, path in (
        ("GET", "/ipfs/gc"), ("GET", "/add"), ("GET", f"/pins/{RAW}/recover"), ("GET", "/token"),
        ("DELETE", "/pins"), ("DELETE", "/allocations"), ("DELETE", "/peers"), ("POST", "/allocations"),
        ("POST", "/id"), ("POST", "/version"), ("POST", "/health/graph"), ("POST", "/monitor/metrics"),
        ("POST", "/peers/x"))]
    return steps + [post("/ipfs/gc", "no-ipfs-gc"), post("/add"), file_added("no-ipfs-add"),
                    post("/pins", "bulk"),
                    get("/import", "extension"), get("/export", "extension")]


def file_added(*differs):
    body = (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\nhello\r\n--b--\r\n")
    return post("/add", *differs, body=body, headers=("Content-Type: multipart/form-data; boundary=b",))


def cors():
    def origin(*more):
        return ("Origin: http://example.com", *more)

    def asking(method, *more):
        return origin(f"Access-Control-Request-Method: {method}", *more)

    return [get("/version", headers=origin()), get("/nothing", headers=origin()),
            Step("PUT", "/version", headers=origin()),
            get("/allocations", headers=origin()), get("/pins/", headers=origin()),
            get("/allocations/x", headers=origin()), get("/health", headers=origin()),
            post("/pins/recover", "other-sites", headers=origin()),
            *(Step("OPTIONS", path, headers=asking(method)) for path in ("/pins", "/nothing", "/pins/", "/health")
              for method in ("GET", "POST", "get", "DELETE", "OPTIONS")),
            Step("OPTIONS", "/pins", headers=asking("GET", "Access-Control-Request-Headers: X-A, x-b")),
            Step("OPTIONS", "/pins", headers=asking("GET", "Access-Control-Request-Headers: content-type")),
            Step("OPTIONS", "/pins", headers=asking("GET", "Access-Control-Request-Headers: content-type,x-a")),
            Step("OPTIONS", "/pins", headers=asking("GET", "Access-Control-Request-Headers: Content-Type"),
                 differs=("cors-case",)),
            Step("OPTIONS", "/pins", headers=("Access-Control-Request-Method: GET",)),
            Step("OPTIONS", "/pins", headers=origin()), Step("OPTIONS", "/pins"), Step("OPTIONS", "/nothing"),
            Step("OPTIONS", "*")]


def everything():
    return [*the_peer(), *empty_lists(), *pins(), *modes(), *paths(), *bad_options(), *bad_cids(), *updates(),
            *lists(), *routes(), *cors()]


# ---- With accounts: user "user", password "pass"; both sides sign and check tokens with the password

def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(claims, key=b"pass", algorithm="HS256"):
    head = json.dumps({"alg": algorithm, "typ": "JWT"}).encode()
    text = encoded(head) + b"." + encoded(json.dumps(claims).encode())
    if algorithm == "none":
        return (text + b".").decode()
    digest = hmac.new(key, text, "sha" + algorithm[2:]).digest()
    return (text + b"." + encoded(digest)).decode()


def bearer(*arguments, scheme="Bearer", **options):
    return (f"Authorization: {scheme} {token(*arguments, **options)}",)


def basic(text, scheme="Basic"):
    return (f"Authorization: {scheme} {base64.b64encode(text.encode()).decode()}",)


def token_of(head, claims, key=b"pass", end=b""):
    """From bytes as they are, signed with HS256."""
    text = encoded(head) + b"." + encoded(claims)
    return (b"Authorization: Bearer " + text + b"." + encoded(hmac.new(key, text, "sha256").digest()) + end).decode(),


def odd_credentials():
    """(headers, what differs on purpose)."""
    head, user, now = b'{"alg":"HS256","typ":"JWT"}', b'{"iss":"user"}', int(time.time())
    good = token_of(head, user)[0]
    heads = (b'{"alg":"None"}', b'{"alg":"NONE"}', b'{"alg":"hs256"}', b'{"typ":"JWT"}', b'{"alg":null}', b'{"alg":256}',
             b'{"alg":["HS256"]}', b'{"alg":"HS384"}', b'{"alg":"RS256"}', b'{"alg":"ES256"}', b'{"alg":"EdDSA"}',
             b'{"alg":"PS256"}', b'{"alg":"HS256","alg":"none"}', b'{"alg":"HS256","kid":"../x","zip":"DEF","b64":false}',
             b'{"alg":"HS256","typ":5}', b'{"alg":"HS256"} x', b'["HS256"]', b"null", b"", b"x")
    claims = (b"", b"null", b"[]", b"x", b'{"iss":"user","iss":"nobody"}', b'{"iss":"\\u0075ser"}', b'{"iss":null}',
              b'{"iss":"user\\u0000"}', b'{"iss":"user\xff"}', b'{"iss":"user","x":{"y":[1]}}',
              *(b'{"iss":"user",%s}' % more for more in (
                  b'"aud":5', b'"aud":["a","b"]', b'"aud":[5]', b'"aud":null', b'"sub":5', b'"jti":5', b'"sub":null',
                  b'"exp":%d' % now, b'"exp":%d' % (now + 1000), b'"exp":"%d"' % (now + 1000), b'"exp":%d.5' % (now + 1000),
                  b'"exp":0', b'"exp":-1', b'"exp":null', b'"exp":1e30', b'"exp":1e400', b'"exp":true', b'"exp":"x"',
                  b'"exp":9300000000000000000', b'"nbf":%d' % (now - 1), b'"nbf":%d' % (now + 1000), b'"nbf":-5',
                  b'"nbf":null', b'"iat":%d' % (now + 1000), b'"iat":-5', b'"iat":0')),
              b'{"iss":"user","x":"%s"}' % (1500 * b"a"), b'{"iss":"user","x":"%s"}' % (3500 * b"a"))
    strict = (token_of(b'{"alg":"none","alg":"HS256"}', user), token_of(b'{"alg":"HS256","crit":["exp"]}', user),
              token_of(head, user + b" x"), token_of(head, b'{"iss":"nobody","iss":"user"}'),
              token_of(head, b'{"ISS":"user"}'), token_of(head, b'{"iss":"user","exp":1,"exp":99999999999}'),
              token_of(head, b'{"iss":"user","nbf":1e30}'), (good[:-1] + chr(ord(good[-1]) + 1),),
              ("Authorization: Basic dXNlcjpiYWR=",), ("Authorization: Basic dXNlcjpwYXNzeB==",))
    others = (token_of(head, user, end=b"="), token_of(head, user, end=b"A"), token_of(head, user, end=b".x"),
              (good.rsplit(".", 1)[0],), (good.rsplit(".", 1)[0] + ".",), (good.replace(".", ". "),),
              (good.replace("Bearer ", "Bearer  "),), (good + " ",), (good.replace("Bearer ", "Bearer\t"),),
              (good, "Authorization: Bearer bad"), ("Authorization: Bearer bad", good),
              (good.replace("Authorization", "Proxy-Authorization"),), basic("user:pa:ss"), basic(":pass"),
              basic("user\0:pass"), basic("user:pass\0"), basic("us\u00e9r:pass"), basic("user:" + 3000 * "p"),
              *((f"Authorization: Basic {text}",) for text in (
                  "dXNlcjpwYXNz==", "dXNlcjpwYXN_", " dXNlcjpwYXNz", "dXNl cjpwYXNz", "dXNlcjpwYXNz junk")))
    return [(headers, ()) for headers in (*(token_of(text, user) for text in heads),
                                          *(token_of(head, text) for text in claims), *others)] + \
        [(headers, ("credentials-strict",)) for headers in strict]


def access():
    future, past = 4102444800, 1000000000
    given = [
        (), basic("user:pass"), basic("user:bad"), basic("nobody:pass"), basic("user:"), basic(":"), basic(""),
        basic("user"), basic("user:pass", scheme="basic"), ("Authorization: Basic !!!",),
        ("Authorization: Basic",),
        ("Authorization: Other x",), ("Authorization: Bearer bad",), ("Authorization: Bearer a.b.c",),
        ("Authorization: Bearer",), bearer({"iss": "user"}), bearer({"iss": "user"}, scheme="bearer"),
        bearer({"iss": "user"}, algorithm="HS384"), bearer({"iss": "user"}, algorithm="HS512"),
        bearer({"iss": "user"}, algorithm="none"), bearer({"iss": "user"}, key=b"bad"), bearer({"iss": "nobody"}),
        bearer({}), bearer({"iss": 5}), bearer({"iss": ""}, key=b""), bearer({"iss": "user", "exp": past}),
        bearer({"iss": "user", "exp": future}), bearer({"iss": "user", "nbf": future}),
        bearer({"iss": "user", "nbf": past}), bearer({"iss": "user", "iat": future}),
        bearer({"iss": "user", "exp": "x"}), bearer({"iss": "user", "aud": "other", "sub": "x"}),
    ]
    steps = [get("/version", headers=headers) for headers in given]
    steps += [get("/version", *differs, headers=headers) for headers, differs in odd_credentials()]
    for headers in ((), basic("user:pass"), basic("user:bad"), bearer({"iss": "user"})):
        steps += [Step(method, path, headers=headers) for method, path in (
            ("GET", "/health"), ("HEAD", "/health"), ("POST", "/health"), ("POST", "/token"), ("GET", "/nothing"),
            ("GET", "/pins/"), ("GET", "/health/"), ("PUT", "/id"), ("OPTIONS", "/pins"), ("GET", "/allocations"),
            ("POST", f"/pins/{RAW}"), ("DELETE", f"/pins/{RAW}"))]
        steps += [get(path, headers=(*headers, "Origin: http://example.com")) for path in ("/id", "/health")]
        steps.append(Step("OPTIONS", "/pins", headers=(*headers, "Origin: http://example.com",
                                                       "Access-Control-Request-Method: GET")))
    return steps
