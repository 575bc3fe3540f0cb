"""An answer as it is compared: status, the headers that mean something, and the body with what must vary
masked: times of now, the node's own id, versions, addresses, tokens. The order of members is kept, because
IPFS Cluster's is fixed."""
import datetime
import json
import re

from kubo import ID as KUBO_ID

# The others are of the connection, or follow from the body.
HEADERS = ("content-type", "trailer", "transfer-encoding", "vary", "location", "www-authenticate", "allow",
           "access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-methods",
           "access-control-allow-headers", "access-control-expose-headers", "access-control-max-age")

TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")
TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")
UNIX_NANOSECONDS = ("expire", "received_at")


class View:
    def __init__(self, answer, own_id):
        self.own_id = own_id
        self.status = answer.status
        self.headers = sorted((name, value) for name, value in answer.headers if name in HEADERS)
        self.trailers = sorted(answer.trailers)
        self.body = [self.mask(None, item) for item in objects_of(answer.body)]

    def mask(self, key, value):
        if isinstance(value, dict):
            return {self.mask_text(None, name): self.mask(name, item) for name, item in value.items()}
        if isinstance(value, list):
            return "<addresses>" if key == "addresses" and value else [self.mask(None, item) for item in value]
        if isinstance(value, str):
            return self.mask_text(key, value)
        if key in UNIX_NANOSECONDS and isinstance(value, int):
            return near_now(value / 1e9, "<{} ns>")
        return value

    def mask_text(self, key, text):
        if key == "version":
            return "<version>"
        if key == "token" and TOKEN.fullmatch(text):
            return "<token>"
        text = text.replace(self.own_id, "<self>").replace(KUBO_ID, "<ipfs>")
        return TIME.sub(mask_time, text)

    def text(self):
        lines = [f"status: {self.status}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"trailer {name}: {value}" for name, value in self.trailers]
        lines += [json.dumps(item, ensure_ascii=False) for item in self.body]
        return lines

    def header(self, name):
        return next((value for key, value in self.headers if key == name), None)


def objects_of(body):
    """The JSON values of a body, one after the other; what is no JSON comes as one text."""
    text = body.decode(errors="replace")
    decoder = json.JSONDecoder()
    items = []
    position = 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        try:
            item, position = decoder.raw_decode(text, position)
        except ValueError:
            return items + ["text: " + text[position:]]
        items.append(item)
    if text and not text.endswith("\n"):
        items.append("<no newline at the end>")
    return items


def mask_time(match):
    try:
        moment = datetime.datetime.fromisoformat(match[1] + "+00:00").timestamp()
    except ValueError:
        return match[0]  # no such day or hour: a wrong request quoted
    return near_now(moment, "<{}, fraction>" if match[2] else "<{}>", match[0])


def near_now(moment, form, otherwise=None):
    """Names a time that is whole hours from now, give or take a minute; any other stays."""
    delta = moment - datetime.datetime.now(datetime.timezone.utc).timestamp()
    hours = round(delta / 3600)
    if abs(delta - hours * 3600) > 60 or abs(hours) > 10_000:
        return moment if otherwise is None else otherwise
    return form.format("now" if hours == 0 else f"now {hours:+d} h")
