"""
bad_input.py - what must be rejected is rejected, once, and the connection is closed.

Each row goes to a real server over a real socket. A row that must be rejected is followed by a good
request in the same write: an answer to that one is what request smuggling looks like.
"""

from client import Closed, Server, run

H = b"Host: a\r\n"
G = b"GET / HTTP/1.1\r\n"
P = b"POST /echo HTTP/1.1\r\n" + H
NEXT = b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

REJECTED = {
    "bare LF line ends": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "bare LF after a header": (400, G + H + b"A: b\n\r\n"),
    "bare CR in header": (400, G + H + b"A: b\rc\r\n\r\n"),
    "NUL in header": (400, G + H + b"A: b\0c\r\n\r\n"),
    "obs-fold": (400, G + H + b"A: b\r\n c\r\n\r\n"),
    "space before colon": (400, G + b"Host : a\r\n\r\n"),
    "space before first header": (400, G + b" " + H + b"\r\n"),
    "no Host": (400, G + b"\r\n"),
    "two Hosts": (400, G + H + b"Host: b\r\n\r\n"),
    "bad Host": (400, G + b"Host: a/b\r\n\r\n"),
    "duplicate Content-Length": (400, P + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "different Content-Length": (400, P + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    "list of Content-Length": (400, P + b"Content-Length: 5, 5\r\n\r\nhello"),
    "CL and TE": (400, P + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    "TE and CL": (400, P + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
    "CL with sign": (400, P + b"Content-Length: +5\r\n\r\nhello"),
    "CL negative": (400, P + b"Content-Length: -1\r\n\r\n"),
    "CL hexadecimal": (400, P + b"Content-Length: 0x5\r\n\r\nhello"),
    "CL with space": (400, P + b"Content-Length: 5 5\r\n\r\nhello"),
    "CL over 64 bits": (400, P + b"Content-Length: 18446744073709551621\r\n\r\nhello"),
    "CL empty": (400, P + b"Content-Length:\r\n\r\n"),
    "TE twice": (400, P + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n"),
    "TE chunked, chunked": (501, P + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "TE gzip": (501, P + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "TE identity": (501, P + b"Transfer-Encoding: identity\r\n\r\n"),
    "TE with vertical tab": (400, P + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    "TE in 1.0": (400, b"POST /echo HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    "chunk size 0x5": (400, P + CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size empty": (400, P + CHUNKED + b"\r\n\r\nhello\r\n0\r\n\r\n"),
    "chunk size signed": (400, P + CHUNKED + b"\r\n+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with space": (400, P + CHUNKED + b"\r\n5 \r\nhello\r\n0\r\n\r\n"),
    "chunk size over-long": (400, P + CHUNKED + b"\r\n" + b"0" * 20 + b"5\r\nhello\r\n0\r\n\r\n"),
    "chunk size over 64 bits": (400, P + CHUNKED + b"\r\nfffffffffffffffff\r\nhello"),
    "chunk with bare LF": (400, P + CHUNKED + b"\r\n5\nhello\r\n0\r\n\r\n"),
    "chunk too short": (400, P + CHUNKED + b"\r\n4\r\nhello\r\n0\r\n\r\n"),
    "chunk without end": (400, P + CHUNKED + b"\r\n5\r\nhello0\r\n\r\n"),
    "chunk extension with LF": (400, P + CHUNKED + b"\r\n5;a\nhello\r\n0\r\n\r\n"),
    "chunk extension too long": (400, P + CHUNKED + b"\r\n5;" + b"a" * 5000 + b"\r\nhello\r\n0\r\n\r\n"),
    "trailer with LF": (400, P + CHUNKED + b"\r\n0\r\nA: b\n\r\n"),
    "trailers too long": (400, P + CHUNKED + b"\r\n0\r\n" + b"A: b\r\n" * 3000 + b"\r\n"),
    "10,000 headers": (431, G + H + b"A: b\r\n" * 10000 + b"\r\n"),
    "101 headers": (431, G + b"A: b\r\n" * 100 + H + b"\r\n"),
    "1 MB header": (431, G + H + b"A: " + b"b" * 1000000 + b"\r\n\r\n"),
    "1 MB target": (414, b"GET /" + b"a" * 1000000 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    "control character in target": (400, b"GET /\x01 HTTP/1.1\r\n" + H + b"\r\n"),
    "space in target": (400, b"GET /a b HTTP/1.1\r\n" + H + b"\r\n"),
    "fragment in target": (400, b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n"),
    "authority as target": (400, b"GET a:80 HTTP/1.1\r\n" + H + b"\r\n"),
    "star with GET": (400, b"GET * HTTP/1.1\r\n" + H + b"\r\n"),
    "CONNECT": (501, b"CONNECT a:80 HTTP/1.1\r\n" + H + b"\r\n"),
    "no version": (400, b"GET /\r\n\r\n"),
    "version 1.2": (505, b"GET / HTTP/1.2\r\n" + H + b"\r\n"),
    "HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS greeting": (400, b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"),
    "two empty lines first": (400, b"\r\n\r\n" + G + H + b"\r\n"),
    "Expect of something else": (417, P + b"Content-Length: 5\r\nExpect: tea\r\n\r\nhello"),
    "TE with a parameter": (501, P + b"Transfer-Encoding: chunked;x=1\r\n\r\n0\r\n\r\n"),
    "TE empty": (501, P + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
    "TE xchunked": (501, P + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "TE quoted": (501, P + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n'),
    "TE with a no-break space": (501, P + b"Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n"),
    "TE with a comma first": (501, P + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
    "tab before colon": (400, P + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    "NUL in a name": (400, P + b"Content-Length\0: 5\r\n\r\nhello"),
    "CL with exponent": (400, P + b"Content-Length: 1e1\r\n\r\nhello"),
    "CL in wide digits": (400, P + "Content-Length: \uff15\r\n\r\nhello".encode()),
    "CL over 63 bits": (400, P + b"Content-Length: 9223372036854775808\r\n\r\nhello"),
    "CL with a comma": (400, P + b"Content-Length: 5,\r\n\r\nhello"),
    "chunk size -0": (400, P + CHUNKED + b"\r\n-0\r\n\r\n"),
    "chunk size with a NUL": (400, P + CHUNKED + b"\r\n5\0\r\nhello\r\n0\r\n\r\n"),
    "chunk size with space first": (400, P + CHUNKED + b"\r\n 5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with a tab": (400, P + CHUNKED + b"\r\n5\t\r\nhello\r\n0\r\n\r\n"),
    "chunk size with an underscore": (400, P + CHUNKED + b"\r\n0_5\r\nhello\r\n0\r\n\r\n"),
    "chunk extension with CR": (400, P + CHUNKED + b'\r\n5;a="\r"\r\nhello\r\n0\r\n\r\n'),
    "trailer folded": (400, P + CHUNKED + b"\r\n0\r\nA: b\r\n c\r\n\r\n"),
    "trailer without colon": (400, P + CHUNKED + b"\r\n0\r\nAb\r\n\r\n"),
    "trailer with a NUL": (400, P + CHUNKED + b"\r\n0\r\nA: \0\r\n\r\n"),
    "method that is no token": (400, b"GE:T / HTTP/1.1\r\n" + H + b"\r\n"),
    "method of 40 bytes": (501, 40 * b"G" + b" / HTTP/1.1\r\n" + H + b"\r\n"),
    "tabs in the first line": (400, b"GET\t/\tHTTP/1.1\r\n" + H + b"\r\n"),
    "two spaces": (400, b"GET  / HTTP/1.1\r\n" + H + b"\r\n"),
    "space at the first line's end": (400, b"GET / HTTP/1.1 \r\n" + H + b"\r\n"),
    "version in small letters": (400, b"GET / http/1.1\r\n" + H + b"\r\n"),
    "version 1.10": (400, b"GET / HTTP/1.10\r\n" + H + b"\r\n"),
    "version +1.1": (400, b"GET / HTTP/+1.1\r\n" + H + b"\r\n"),
    "version 0.9": (505, b"GET / HTTP/0.9\r\n" + H + b"\r\n"),
    "target without slash": (400, b"GET x HTTP/1.1\r\n" + H + b"\r\n"),
    "backslash as target": (400, b"GET \\ HTTP/1.1\r\n" + H + b"\r\n"),
    "absolute target with a user": (400, b"GET http://u:p@a/ HTTP/1.1\r\n" + H + b"\r\n"),
    "absolute target without host": (400, b"GET http:/// HTTP/1.1\r\n" + H + b"\r\n"),
    "absolute target of another scheme": (400, b"GET ftp://a/ HTTP/1.1\r\n" + H + b"\r\n"),
    "absolute target with a bad port": (400, b"GET http://a:b/ HTTP/1.1\r\n" + H + b"\r\n"),
    "absolute target, no Host": (400, b"GET http://a/ HTTP/1.1\r\n\r\n"),
    "two names in Host": (400, G + b"Host: a, b\r\n\r\n"),
    "user in Host": (400, G + b"Host: u@a\r\n\r\n"),
    "open bracket in Host": (400, G + b"Host: [::1\r\n\r\n"),
    "two Hosts in 1.0": (400, b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    "two Expects": (417, P + b"Content-Length: 5\r\nExpect: 100-continue\r\nExpect: x\r\n\r\nhello"),
    "vertical tab in a value": (400, G + H + b"A:\x0bb\r\n\r\n"),
    "DEL in a value": (400, G + H + b"A: \x7f\r\n\r\n"),
    "empty name": (400, G + H + b": b\r\n\r\n"),
    "name that is not ASCII": (400, G + H + b"\xc3\xa9: b\r\n\r\n"),
    "PROXY line": (400, b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + G + H + b"\r\n"),
    "body over the limit": (413, P.replace(b"echo", b"echo?max=4") + b"Content-Length: 5\r\n\r\nhello"),
    "chunks over the limit": (413, P.replace(b"echo", b"echo?max=4") + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"),
}

# These are fine and must stay so: strictness has no use if it hits clients that keep to the rules.
ACCEPTED = {
    "chunks with extension and trailer": (b"hello", P + CHUNKED + b"\r\n5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n"),
    "chunk size with zeros": (b"hello", P + CHUNKED + b"\r\n005\r\nhello\r\n0\r\n\r\n"),
    "one empty line first": (b"hello", b"\r\n" + P + b"Content-Length: 5\r\n\r\nhello"),
    "absolute target": (b"hello", b"POST http://b/echo HTTP/1.1\r\n" + H + b"Content-Length: 5\r\n\r\nhello"),
    "names in any case": (b"hello", b"POST /echo HTTP/1.1\r\nhost:a\r\ncontent-LENGTH:\t5 \r\n\r\nhello"),
    "a trailer that looks like a length": (b"hello", P + CHUNKED + b"\r\n5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n"),
    "a length's name with an underscore": (b"hello", P + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"),
    "a length named in Connection": (b"hello", P + b"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello"),
    "an offer of HTTP/2": (b"hello", P + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                           b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 5\r\n\r\nhello"),
    "trailing zeros of an empty body": (b"", P + b"Content-Length: 0\r\n\r\n"),
}


def rejects_each_once():
    """Each bad request gets its status, exactly one answer, and the connection is closed."""
    wrong = []
    with Server() as server:
        for name, (status, request) in REJECTED.items():
            client = server.connect()
            try:
                client.send(request + NEXT)
            except OSError:
                pass  # it may be answered and closed before all is sent
            try:
                got = [answer.status for answer in client.answers()]
            except (OSError, Closed) as problem:
                got = repr(problem)
            if got != [status]:
                wrong.append(f"{name}: {got}, not [{status}]")
            client.close()
        assert server.state()["open"] == 1
    assert not wrong, wrong


def rejects_byte_by_byte():
    """The same where each byte comes alone: the verdict is of the bytes, not of how they came."""
    wrong = []
    with Server() as server:
        for name, (status, request) in REJECTED.items():
            if len(request) > 300:
                continue
            client = server.connect()
            client.socket.setsockopt(6, 1, 1)  # TCP_NODELAY
            try:
                for byte in request:
                    client.send(bytes([byte]))
            except OSError:
                pass
            try:
                got = [answer.status for answer in client.answers()]
            except OSError as problem:
                got = repr(problem)
            if got != [status]:
                wrong.append(f"{name}: {got}, not [{status}]")
            client.close()
    assert not wrong, wrong


def accepts_what_is_legal():
    """Each good request gets its answer, and the connection goes on with the next request."""
    with Server() as server:
        for name, (body, request) in ACCEPTED.items():
            client = server.connect()
            client.send(request + NEXT)
            answer = client.answer()
            assert (answer.status, answer.body) == (200, body), (name, answer.status, answer.body)
            assert client.answer().status == 404, name
            client.close()


def smuggles_nothing_in_a_body():
    """What stands in a body is never taken for a request, and what follows it always is."""
    with Server() as server:
        client = server.connect()
        client.send(P + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT + NEXT)
        assert client.answer().body == NEXT
        assert client.answer().status == 404
        client.send(P + CHUNKED + b"\r\n%x\r\n" % len(NEXT) + NEXT + b"\r\n0\r\n\r\n" + NEXT)
        assert client.answer().body == NEXT
        assert client.answer().status == 404
        # A body that the handler does not ask for is skipped just as exactly.
        client.send(b"POST /none HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT + G + H + b"\r\n")
        assert client.answer().status == 404
        assert client.answer().status == 200
        client.close()


if __name__ == "__main__":
    run([rejects_each_once, rejects_byte_by_byte, accepts_what_is_legal, smuggles_nothing_in_a_body])
