"""Both sides get the same REST requests, and their answers are compared."""
import urllib.parse

import steps
from check import unlike
from differences import reconcile
from peers import Connection
from view import View


class Side:
    """One of the two."""

    def __init__(self, server, own=(), connect=Connection):
        self.server = server
        self.connect = connect
        self.own_id = self.answer(steps.get("/id", headers=tuple(own))).json()["id"]

    def answer(self, step, body=None, path=None):
        body = step.body if body is None else body
        with self.connect(self.server.port) as connection:
            headers = ["Connection: close", *step.headers]
            if body is not None or step.method in ("POST", "PUT", "PATCH"):
                headers.append(f"Content-Length: {len(body or b'')}")
            connection.send_head(step.method, path or step.path, headers)
            connection.send(body or b"")
            return connection.receive(step.method)

    def view(self, step):
        path = step.path.replace("{self}", self.own_id)
        path = path.replace(urllib.parse.quote("{self}"), self.own_id)
        body = step.body and step.body.replace(b"{self}", self.own_id.encode())
        return View(self.answer(step, body, path), self.own_id)


def compare(checks, part, cluster, zpin, sequence):
    for step in sequence:
        try:
            theirs, ours = cluster.view(step), zpin.view(step)
        except (OSError, EOFError, ValueError) as error:
            checks.result(part, step, [f"no answer: {error!r}"])
            continue
        seen, missing = reconcile(theirs, ours, step.differs, step.may)
        checks.seen |= seen
        problems = [f"not seen: the deliberate difference {name}" for name in missing]
        checks.result(part, step, problems + unlike(theirs.text(), ours.text()))
        if step.method in ("POST", "DELETE"):
            cluster.server.settle()
