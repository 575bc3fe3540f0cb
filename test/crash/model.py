"""What the clients of the crash test have asked for, and what the node has acknowledged of it.

A key's state is None (absent) or a dict of the fields that were asked for. `certain` is what was
acknowledged last; `maybe` are the states asked for since without an answer. After a crash the node must
show `certain` or one of `maybe`; what it shows is then certain.
"""
import base64
import hashlib
import http.client
import json
import random
import urllib.parse

CID_HEAD = bytes([0x01, 0x55, 0x12, 0x20])  # version 1, raw, sha2-256, 32 bytes
BULK_LINES = (1, 600)
IMPORT_LINES = (1, 1500)
HEAVY_LINES = (1, 700)
HEAVY_BYTES = 8000  # of metadata, so that the journal's files (64 MiB) fill within a few rounds
ORIGIN = "/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWCBLfmFek5rWCXTBDEKL19SxyyTuVVvekKzdAvTvSUgGm"
PIECE_BYTES = 8192


def cid_of(text):
    digest = hashlib.sha256(text.encode()).digest()
    return "b" + base64.b32encode(CID_HEAD + digest).decode().rstrip("=").lower()


class Key:
    def __init__(self, cid):
        self.cid = cid
        self.certain = None
        self.maybe = []

    def ask(self, state):
        self.maybe.append(state)

    def acknowledge(self, state):
        self.certain = state
        self.maybe.clear()

    def refuse(self):
        """Answered with a failure that changes nothing."""
        self.maybe.clear()

    def settle(self, pin):
        """Takes what the node shows; says what is wrong with it, or None."""
        allowed = [self.certain] + self.maybe
        state = next((state for state in reversed(allowed) if matches(state, pin)), self)
        if state is self:
            return f"shown {pin}, allowed {allowed}"
        self.acknowledge(state if pin is None else dict(state, timestamp=pin["timestamp"]))
        return None


def matches(state, pin):
    if state is None or pin is None:
        return state is None and pin is None
    return all(pin.get(name) == value for name, value in state.items())


class Client:
    """One thread with keys of its own. `wrong` is set when an answer contradicts what it knows."""

    def __init__(self, index, seed, keys_count):
        self.choose = random.Random(f"{seed}/{index}")
        self.keys = [Key(cid_of(f"{seed}/{index}/{number}")) for number in range(keys_count)]
        self.made = 0
        self.acknowledged = 0
        self.wrong = None
        self.connection = None

    def run(self, port, is_over):
        actions = [self.pin] * 16 + [self.unpin] * 10 + [self.bulk] * 4 + [self.load] * 2
        actions += [self.load_heavy]
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not is_over.is_set() and self.wrong is None:
            try:
                self.choose.choice(actions)()
            except (OSError, http.client.HTTPException):
                break  # killed: what was under way stays in `maybe`
        self.connection.close()

    # ---- States

    def state_make(self):
        """Fields of a pin, in the form in which it is read. The name is never the same twice, so that an old
        state can't pass for a new one."""
        choose = self.choose
        self.made += 1
        name = f"{self.made}-" + "n" * choose.choice([0, 5, 40, 200])
        metadata = {f"key{at}": "v" * choose.randrange(80) for at in range(choose.choice([0, 0, 1, 4]))}
        expire_at = choose.choice(["0001-01-01T00:00:00Z", f"{choose.randrange(2100, 2400)}-06-01T12:00:00Z"])
        return {"name": name, "metadata": metadata or None, "expire_at": expire_at,
                "origins": choose.choice([[], [], [ORIGIN]]),
                "replication_factor_min": -1, "replication_factor_max": -1, "type": "pin",
                "mode": "recursive", "max_depth": -1}

    @staticmethod
    def query_of(state):
        query = [("name", state["name"])]
        query += [("meta-" + key, value) for key, value in (state["metadata"] or {}).items()]
        if not state["expire_at"].startswith("0001"):
            query.append(("expire-at", state["expire_at"]))
        if state["origins"]:
            query.append(("origins", ",".join(state["origins"])))
        return urllib.parse.urlencode(query)

    def answered(self, key, state, pin):
        """An answer with the stored pin, in the form that IPFS Cluster gives it while it is new: it must be
        what was asked for."""
        stored = dict(pin, metadata=pin["metadata"] or None, origins=pin["origins"] or [])
        if pin["cid"] != key.cid or not matches(state, stored):
            self.wrong = f"{key.cid}: asked for {state}, answered {pin}"
            return
        seconds = pin["timestamp"].split(".")[0].rstrip("Z") + "Z"
        key.acknowledge(dict(state, timestamp=seconds))
        self.acknowledged += 1

    # ---- What clients do

    def request(self, method, path, body=None):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def pin(self):
        key, state = self.choose.choice(self.keys), self.state_make()
        key.ask(state)
        status, body = self.request("POST", f"/pins/{key.cid}?{self.query_of(state)}")
        if status == 200:
            self.answered(key, state, json.loads(body))
        else:
            self.refused(key, f"POST: {status} {body}", status)

    def unpin(self):
        """Of a key that is known, one time in ten of any: the refusal of an absent pin must be right too."""
        there = [key for key in self.choose.sample(self.keys, 50) if key.certain is not None]
        key = self.choose.choice(there if there and self.choose.random() < 0.9 else self.keys)
        was = key.certain
        key.ask(None)
        status, body = self.request("DELETE", f"/pins/{key.cid}")
        if status == 404 and was is None:
            key.acknowledge(None)
        elif status == 200 and was is not None:
            if not matches({"name": was["name"]}, json.loads(body)):
                self.wrong = f"{key.cid}: removed {body}, was {was}"
            key.acknowledge(None)
            self.acknowledged += 1
        elif status in (200, 404):
            self.wrong = f"{key.cid}: DELETE answers {status}, was {was}"
        else:
            self.refused(key, f"DELETE: {status} {body}", status)

    def refused(self, key, text, status):
        """503 is "not now"; anything else was not to be expected."""
        if status == 503:
            key.refuse()
        else:
            self.wrong = f"{key.cid}: {text}"

    def bulk(self):
        """POST /pins: an answer a line, in order, each acknowledged by itself."""
        keys = self.choose.sample(self.keys, self.choose.randint(*BULK_LINES))
        states = [self.state_make() for _ in keys]
        for key, state in zip(keys, states):
            key.ask(state)
        lines = [json.dumps(dict(state, cid=key.cid)) + "\n" for key, state in zip(keys, states)]
        answer = self.stream("/pins", lines)
        for key, state in zip(keys, states):
            line = answer.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("cut off")
            self.answered(key, state, json.loads(line))
            if self.wrong is not None:
                return
        answer.read()

    def load(self):
        keys = self.choose.sample(self.keys, self.choose.randint(*IMPORT_LINES))
        self.load_states(keys, [self.state_make() for _ in keys])

    def load_heavy(self):
        keys = self.choose.sample(self.keys, self.choose.randint(*HEAVY_LINES))
        metadata = {"heavy": str(self.made) + "h" * HEAVY_BYTES}
        self.load_states(keys, [dict(self.state_make(), metadata=metadata) for _ in keys])

    def load_states(self, keys, states):
        """POST /import: acknowledged up to the last `lines_done` that was read."""
        states = [dict(state, timestamp="2026-01-02T03:04:05Z") for state in states]
        for key, state in zip(keys, states):
            key.ask(state)
        lines = [json.dumps(dict(state, cid=key.cid, allocations=[])) + "\n"
                 for key, state in zip(keys, states)]
        answer = self.stream("/import", lines)
        done = 0
        while (line := answer.readline()).endswith(b"\n"):
            progress = json.loads(line)
            if "error" in progress or "bad_line" in progress or "bad" in progress:
                self.wrong = f"import: {line}"
                return
            for key, state in zip(keys[done:progress["lines_done"]], states[done:]):
                key.acknowledge(state)
                self.acknowledged += 1
            done = progress["lines_done"]
            if progress.get("done") and done != len(keys):
                self.wrong = f"import: done with {done} of {len(keys)} lines"
        answer.read()

    def stream(self, path, lines):
        """Sends a body in pieces, so that a kill finds it half sent."""
        body = "".join(lines).encode()
        pieces = (body[at:at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES))
        self.connection.request("POST", path, pieces, {"Content-Type": "application/x-ndjson"},
                                encode_chunked=True)
        answer = self.connection.getresponse()
        if answer.status != 200:
            self.wrong = f"POST {path}: {answer.status} {answer.read()[:300]}"
            raise ConnectionError(self.wrong)
        return answer
