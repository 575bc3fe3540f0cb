"""Accounts: who is let in, what the others are told, and what knocking costs."""
import base64
import hashlib
import hmac
import json
import select
import socket
import struct
import subprocess
import threading
import time
import unittest

from node import BINARY, CID_A, Connection, NodeTest

REALM = 'realm="Restricted IPFS Cluster API"'


def basic(user, password):
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def token(claims, key, header=None):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    text = part(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode()) + b"." + \
        part(json.dumps(claims).encode())
    return "Authorization: Bearer " + \
        (text + b"." + part(hmac.new(key.encode(), text, hashlib.sha256).digest())).decode()


class Passwords(NodeTest):
    """token_key: password, as IPFS Cluster has it; the tokens are those that it gives."""

    accounts = "- {name: user, password: pass}\n- {name: other, password: 'a:b ä'}\n"
    environment = {"ZPIN_ACCESS_TOKEN_KEY": "password"}
    captured = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ1c2VyIn0."
                "QezMUPmvhZET9xHCT52dxFfGlmLRebSpplZ1p4W9KTI")

    def test_nobody(self):
        answer = self.node.get("/id")
        self.assert_error(answer, 401, "unauthorized: no auth provided")
        self.assertEqual(answer.header_all("www-authenticate"), [f"Bearer {REALM}", f"Basic {REALM}"])
        self.assertIsNone(answer.header("vary"))
        for headers in (["Authorization: "], ["Authorization: Digest x"], ["Authorization: Basic ???"],
                        ["Authorization: Basic " + base64.b64encode(b"nocolon").decode()]):
            self.assert_error(self.node.get("/nope", headers), 401, "unauthorized: no auth provided")

    def test_wrong_password(self):
        for user, password in (("user", "bad"), ("nobody", "pass"), ("user", ""), ("", "pass"),
                               ("user", "p" * 2000)):
            answer = self.node.get("/version", [basic(user, password)])
            self.assert_error(answer, 401, "unauthorized: access denied")
            self.assertEqual(answer.header_all("www-authenticate"), [f"Basic {REALM}"])

    def test_right_password(self):
        for _ in range(3):
            self.assertEqual(self.node.get("/version", [basic("user", "pass")]).status, 200)
        self.assertEqual(self.node.get("/version", [basic("other", "a:b ä")]).status, 200)
        header = basic("user", "pass").replace("Basic", "bAsIc")
        self.assertEqual(self.node.get("/version", [header]).header("vary"), "Origin")

    def test_body_after_sign_in(self):
        """The first request of a password waits for its check; its body is not lost meanwhile."""
        body = f"{CID_A}\n".encode()
        lines = self.node.post("/pins", body, [basic("other", "a:b ä")]).lines()
        self.assertEqual(lines[0]["cid"], CID_A)

    def test_open_doors(self):
        self.assertEqual(self.node.get("/health").status, 204)
        self.assertEqual(self.node.post("/health").status, 401)
        self.assertEqual(self.node.request("OPTIONS", "/pins").status, 405)
        self.assertEqual(self.node.request("OPTIONS", "/pins", headers=[
            "Origin: http://a.example", "Access-Control-Request-Method: GET"]).status, 204)

    def test_the_open_door_leads_nowhere_else(self):
        for path in ("/health/", "/health/../id", "/health/%2e%2e/id", "/health%2F..%2Fid", "//health", "/x/../health",
                     "/HEALTH", "/health%00", "/health/graph"):
            self.assert_error(self.node.get(path), 401, "unauthorized: no auth provided")
        self.assertEqual(self.node.get("/%68ealth?x=y").status, 204)
        self.assertEqual(self.node.request("OPTIONS", "*").status, 200)

    def test_unix_socket_is_guarded_by_its_mode(self):
        path = self.node.root / "zpin.sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o660)
        with Connection(path) as connection:
            connection.send_head("GET", "/id")
            self.assertEqual(connection.receive().json()["peername"], "tester")
        with Connection(self.node.management) as connection:
            connection.send_head("GET", "/id")
            self.assertEqual(connection.receive().status, 401)

    def test_tokens(self):
        minted = self.node.post("/token", headers=[basic("user", "pass")])
        self.assertEqual((minted.status, minted.json()), (200, {"token": self.captured}))
        bearer = "Authorization: bEaReR " + self.captured
        self.assertEqual(self.node.get("/version", [bearer]).status, 200)
        self.assertEqual(self.node.post("/token", headers=[bearer]).json(), {"token": self.captured})
        now = int(time.time())
        good = token({"iss": "user", "exp": now + 60, "nbf": now - 1, "iat": now - 1}, "pass")
        self.assertEqual(self.node.get("/version", [good]).status, 200)

    def test_bad_tokens(self):
        now = int(time.time())
        for header in ("Authorization: Bearer bad", "Authorization: Bearer ..",
                       "Authorization: Bearer " + self.captured[:-1],
                       token({"iss": "user"}, "Pass"), token({"iss": "nobody"}, "pass"),
                       token({"iss": "user", "exp": now - 1}, "pass"),
                       token({"iss": "user", "nbf": now + 60}, "pass"),
                       token({"iss": "user"}, "pass", {"alg": "none"}),
                       token({"iss": "user"}, "pass", {"alg": "RS256"})):
            answer = self.node.get("/version", [header])
            self.assert_error(answer, 401, "unauthorized: invalid token")
            self.assertEqual(answer.header_all("www-authenticate"),
                             [f'Bearer {REALM}, error="invalid_token"'])

    def test_log_has_id_and_user(self):
        self.node.get("/version?logged=1", [basic("user", "pass")])
        deadline = time.monotonic() + 5
        line = ""
        while time.monotonic() < deadline and "user=user" not in line:
            found = [text for text in self.node.log.read_text().splitlines() if "path=/version" in text]
            line = found[-1] if found else ""
        self.assertRegex(line, r"request=[0-9a-f]{16} .*status=200 .*user=user")


class Hashed(NodeTest):
    """Passwords as argon2id hashes with a strong cost: the check takes long, the node does not."""

    accounts = ("- name: user\n"
                "  password_hash: $argon2id$v=19$m=65536,t=2,p=1$8WcPM0VhTPbFKScoP7/Jkg$"
                "xRLGRKSJZK4vL0hkGZzYUgpDYHj6BWFEzjlfDuV/PGk\n"
                "  token_secret: 0123456789abcdef0123456789abcdef\n")

    def test_guessing_does_not_stop_others(self):
        """Many wrong passwords queue for their checks; tokens and open doors are served at once."""
        bearer = token({"iss": "user"}, "0123456789abcdef0123456789abcdef")
        statuses = []

        def guess(number):
            statuses.append(self.node.get("/id", [basic("user", f"guess{number}")]).status)

        threads = [threading.Thread(target=guess, args=(number,)) for number in range(30)]
        for thread in threads:
            thread.start()
        worst = 0
        for _ in range(20):
            start = time.monotonic()
            self.assertEqual(self.node.get("/version", [bearer]).status, 200)
            worst = max(worst, time.monotonic() - start)
        for thread in threads:
            thread.join()
        self.assertEqual(statuses, [401] * 30)
        self.assertLess(worst, 1.0)

    def test_password_signs_no_token(self):
        self.assertEqual(self.node.get("/version", [token({"iss": "user"}, "pass")]).status, 401)


class Flooded(NodeTest):
    """More guesses than may wait; the password of another address has not been seen before."""

    @classmethod
    def setUpClass(cls):
        cls.accounts = subprocess.run([BINARY, "account", "user"], input="right-password\n", text=True,
                                      capture_output=True, check=True).stdout
        super().setUpClass()

    def test_guesses_of_one_address_refuse_no_other(self):
        guessers = [self.node.connection() for _ in range(80)]
        for number, guesser in enumerate(guessers):
            guesser.send_head("GET", "/id", [basic("user", f"guess{number}")])
        readable, _, _ = select.select([guesser.socket for guesser in guessers], [], [], 30)
        self.assertTrue(readable)  # the first was told that it is wrong, or the last that there is no place
        with Connection(self.node.port, source="127.0.0.2") as connection:
            connection.send_head("GET", "/id", [basic("user", "right-password")])
            self.assertEqual(connection.receive().status, 200)
        for guesser in guessers:  # reset, or the node's end would wait for their answers
            guesser.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            guesser.close()


if __name__ == "__main__":
    unittest.main()
