"""
behaviour.py - what a well-behaved and a slow, vanishing or impatient client sees.

Only orders and outcomes are checked. Where a deadline matters the server's is short and the test
waits for what must come of it.
"""

import os
import signal
import socket
import ssl
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time

from client import WAIT, Client, Closed, Server, run

H = b"Host: a\r\n"


def get(path, more=b""):
    return b"GET " + path + b" HTTP/1.1\r\n" + H + more + b"\r\n"


def post(path, body, more=b""):
    return b"POST " + path + b" HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n" % len(body) + more + b"\r\n" + body


def pipelined_answers_keep_their_order():
    """Requests of one write, some answered by another thread or streamed, are answered in order."""
    kinds = [
        (get(b"/q/%d"), None),
        (get(b"/later?%d"), b"later\n"),
        (post(b"/echo?%d", b"body NUM"), None),
        (get(b"/stream?count=2&wait=1&%d"), b"ccccccc\nbbbbbbb\n"),
        (post(b"/sink?pause=1&%d", b"12345678"), None),
    ]
    with Server() as server:
        client = server.connect()
        client.send(b"".join(kinds[i % 5][0].replace(b"%d", b"%d" % i).replace(b"NUM", b"%03d" % i) for i in range(500)))
        for i in range(500):
            answer = client.answer()
            assert answer.status == 200
            if i % 5 == 0:
                assert answer.body == b"/q/%d" % i, answer.body
            elif i % 5 == 2:
                assert answer.body == b"body %03d" % i
            elif i % 5 == 4:
                assert answer.body.startswith(b"8 ")
            else:
                assert answer.body == kinds[i % 5][1], answer.body
        client.close()


def a_read_is_answered_with_one_write():
    """Answers to requests that came together leave together: they are all there after one receive."""
    with Server(workers=1) as server:
        client = server.connect()
        client.send(get(b"/q/x") * 16)
        client.more()
        assert client.bytes.count(b"HTTP/1.1 200 OK") == 16
        client.close()


def head_gets_no_body():
    """HEAD tells the length of a body that does not come; the connection goes on."""
    with Server() as server:
        client = server.connect()
        client.send(b"HEAD / HTTP/1.1\r\n" + H + b"\r\n" + b"HEAD /stream HTTP/1.1\r\n" + H + b"\r\n" + get(b"/empty"))
        answer = client.answer(is_head=True)
        assert dict(answer.headers)["Content-Length"] == "300"
        assert client.answer(is_head=True).status == 200
        answer = client.answer()
        assert answer.status == 204 and "Content-Length" not in dict(answer.headers)
        client.close()


def versions_decide_on_keeping_alive():
    """1.1 stays unless told; 1.0 closes unless told; a stream to 1.0 ends with the connection."""
    with Server() as server:
        client = server.connect()
        client.send(get(b"/", b"Connection: close\r\n") + get(b"/"))
        answer = client.answer()
        assert dict(answer.headers)["Connection"] == "close" and client.is_closed()
        client = server.connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.answer().status == 200 and client.is_closed()
        client = server.connect()
        client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert dict(client.answer().headers)["Connection"] == "keep-alive"
        client.send(b"GET /stream?count=3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = client.answer()
        assert answer.body == b"ddddddd\nccccccc\nbbbbbbb\n" and "Transfer-Encoding" not in dict(answer.headers)
        # The client half closes: it still gets its answer.
        client = server.connect()
        client.send(get(b"/later"))
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer().body == b"later\n" and client.is_closed()


def answers_have_date_and_no_server():
    """Each answer has one Date in the form of RFC 9110, and none says what serves."""
    with Server() as server:
        client = server.connect()
        client.send(get(b"/") + get(b"/stream") + b"bad\r\n")
        for answer in client.answers():
            names = [name.lower() for name, _ in answer.headers]
            assert names.count("date") == 1 and "server" not in names
            time.strptime(dict(answer.headers)["Date"], "%a, %d %b %Y %H:%M:%S GMT")


def trailers_end_a_stream():
    """Trailers come in order, several of one name, with an empty value too; none can split a line."""
    with Server() as server:
        client = server.connect()
        client.send(get(b"/stream?error=1") + get(b"/stream?error=0") + get(b"/stream?count=0"))
        answer = client.answer()
        assert dict(answer.headers)["Trailer"] == "X-Stream-Error"
        assert answer.trailers == [("X-Stream-Error", "first  X-Evil: 1"), ("X-Stream-Error", "second")]
        assert client.answer().trailers == [("X-Stream-Error", "")]
        answer = client.answer()
        assert answer.body == b"" and answer.trailers == [("X-Stream-Error", "")]
        client.close()


def an_aborted_stream_is_seen_as_broken():
    """No last chunk for 1.1, a reset for 1.0: no client can take it for the whole."""
    with Server() as server:
        client = server.connect()
        client.send(get(b"/stream?abort=1"))
        try:
            client.answer()
            assert False, "a complete answer"
        except Closed:
            pass
        client = server.connect()
        client.send(b"GET /stream?abort=1 HTTP/1.0\r\n\r\n")
        try:
            client.answer()
            assert False, "a complete answer"
        except ConnectionResetError:
            pass
        server.wait_for(lambda state: state["cut"] == 2)


def expect_continue_is_answered_when_the_body_is_wanted():
    """100 before the body is read; no 100 and a close where the handler does not want it."""
    with Server() as server:
        client = server.connect()
        expect = b"Expect: 100-continue\r\n"
        request = post(b"/echo", b"hello", expect)
        client.send(request[:-5])
        assert client.answer().status == 100
        client.send(request[-5:])
        assert client.answer().body == b"hello"
        client.send(post(b"/none", b"hello", expect)[:-5])
        answer = client.answer()
        assert answer.status == 404 and dict(answer.headers)["Connection"] == "close" and client.is_closed()
        client = server.connect()
        client.send(post(b"/echo?max=4", b"hello", expect)[:-5])
        assert client.answer().status == 413 and client.is_closed()


def large_bodies_stream_both_ways():
    """8 MiB go up and come down again at once, through a server that holds a fraction of it."""
    data = os.urandom(1 << 20) * 8
    with Server() as server:
        client = server.connect()
        client.send(b"POST /duplex HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % len(data))
        if os.fork() == 0:
            client.send(data)
            os._exit(0)
        assert client.answer().body == data
        os.wait()
        # Chunks of odd sizes, paused after each piece until another thread resumes.
        client.send(b"POST /sink?pause=1 HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n")
        for at in range(0, 1 << 20, 77777):
            piece = data[at:min(at + 77777, 1 << 20)]
            client.send(b"%X\r\n" % len(piece) + piece + b"\r\n")
        client.send(b"0\r\n\r\n")
        total = 0
        for byte in data[:1 << 20]:
            total = (total * 31 + byte) & 0xFFFFFFFFFFFFFFFF
        assert client.answer().body == b"%d %d\n" % (1 << 20, total)
        client.close()


def a_slow_head_is_cut():
    """A byte now and then does not keep a head open: its deadline counts from its first byte."""
    with Server(head_ms=300) as server:
        client = server.connect()
        client.socket.settimeout(0.05)
        request = get(b"/", b"A: " + b"b" * 100000)
        sent = 0
        while True:
            try:
                client.send(request[sent:sent + 1])
                sent += 1
                client.more()
                break
            except TimeoutError:
                assert sent < 1000, "still open"
        client.socket.settimeout(WAIT)
        assert [answer.status for answer in client.answers()] == [408]
        assert server.state()["timeouts"] == 1


def each_head_has_its_own_deadline():
    """A client that is always within some head, but finishes each in time, is served on."""
    with Server(head_ms=3000) as server:
        client = server.connect()
        request = get(b"/q/x")
        client.send(request[:10])
        for _ in range(90):
            client.send(request[10:] + request[:10])
            assert client.answer().status == 200
            time.sleep(0.05)
        client.close()


def a_slow_body_is_cut():
    """A body that makes no progress ends with an error for the handler, which answers 408."""
    with Server(body_ms=200) as server:
        for path in (b"/echo", b"/sink"):
            client = server.connect()
            client.send(post(path, b"hello")[:-2])
            assert [answer.status for answer in client.answers()] == [408]
        assert server.state()["bodies_failed"] == 2


def a_slow_reader_is_cut():
    """Who asks for much and reads nothing is cut, at once and streamed; the producers are ended."""
    with Server(write_ms=300) as server:
        clients = [server.connect() for _ in range(2)]
        clients[0].send(get(b"/stream?count=100000000&bytes=100"))
        clients[1].send(get(b"/big?bytes=60000000") * 3)
        server.wait_for(lambda state: state["timeouts"] == 2 and state["open"] == 1 and state["cut"] == 1)
        for client in clients:
            client.close()


def a_steady_slow_reader_is_served():
    """Who reads slowly but steadily gets all of it, though it takes longer than the deadline."""
    with Server(write_ms=400) as server:
        client = server.connect()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.send(get(b"/big?bytes=12000000"))
        body = b""
        start = time.monotonic()
        while time.monotonic() - start < 1.0:
            body += client.socket.recv(200000)
            time.sleep(0.05)
        body += client.take(12000000 - len(body))
        assert body.endswith(b"b" * 1000) and server.state()["timeouts"] == 0
        client.close()


def a_full_socket_leaves_nobody_without_a_waker():
    """However many sends in a row find no room, streams and answers go on when there is some: whatever the
    pump has sent last, somebody still calls it."""
    for full in range(1, 7):
        with Server(full=full, workers=1) as server:
            client = server.connect()
            client.send(get(b"/stream?count=20000&bytes=100") + get(b"/big?bytes=300000") + get(b"/later") +
                        get(b"/stream?count=3&wait=1") + post(b"/echo", b"hello") + get(b"/q/x") * 20)
            assert len(client.answer().body) == 2000000
            assert len(client.answer().body) == 300000
            assert client.answer().body == b"later\n"
            assert len(client.answer().body) == 24
            assert client.answer().body == b"hello"
            assert [client.answer().body for _ in range(20)] == [b"/q/x"] * 20
            client.close()
            client = server.connect()
            client.send(b"POST /duplex HTTP/1.1\r\n" + H + b"Content-Length: 1000000\r\n\r\n")
            sender = threading.Thread(target=client.send, args=(b"d" * 1000000,))
            sender.start()
            assert client.answer().body == b"d" * 1000000
            sender.join()
            client.close()


def an_idle_connection_is_closed():
    """Without a request, before the first or after one, a connection ends quietly."""
    with Server(idle_ms=200) as server:
        client = server.connect()
        other = server.connect()
        other.send(get(b"/"))
        assert other.answer().status == 200
        assert client.is_closed() and other.is_closed()
        assert server.state()["timeouts"] == 0


def clients_may_vanish_at_any_point():
    """Gone with half a head, half a body, a deferred or a streamed answer: nothing stays behind."""
    with Server() as server:
        requests = [
            get(b"/")[:-2],
            post(b"/echo", b"hello")[:-1],
            post(b"/sink?pause=1", b"hello" * 1000)[:-1],
            get(b"/later"),
            get(b"/stream?count=1000&wait=1"),
            get(b"/stream?count=100000000&bytes=100"),
            post(b"/duplex", b"hello" * 1000)[:-1],
        ]
        for _ in range(20):
            for request in requests:
                client = server.connect()
                client.send(request)
                # Closed with unread bytes or not: a reset for some, an orderly end for others.
                client.close()
        server.wait_for(lambda state: state["open"] == 1 and state["ended"] + state["cut"] == 60)
        assert server.state()["class2"] > 0


def a_body_may_be_asked_for_when_the_client_is_gone():
    """A handler that asks for the body after a reset is told that it failed, as one that asked before."""
    with Server() as server:
        for number in range(1, 6):
            client = server.connect()
            client.send(post(b"/later-echo", b"x" * 100)[:-50])
            # Under way: this one and the question itself.
            server.wait_for(lambda state: state["requests"] - state["class2"] - state["unsent"] == 2)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            server.wait_for(lambda state: state["bodies_failed"] == number)
        client = server.connect()
        client.send(post(b"/later-echo", b"x" * 100))
        assert client.answer().body == b"x" * 100
        client.close()


def pipelined_heads_wait_unread():
    """While answers are large and taken at once, the requests behind them stay in the socket: what is
    read ahead has a limit."""
    with Server(workers=1) as server:
        client = server.connect()
        sender = threading.Thread(target=send_until_closed, args=(client, get(b"/big?bytes=262144") * 40000))
        sender.start()
        for _ in range(200):
            assert len(client.answer().body) == 262144
        client.socket.shutdown(socket.SHUT_RDWR)
        sender.join()
        client.close()


def send_until_closed(client, data):
    try:
        client.send(data)
    except OSError:
        pass


def connections_are_limited():
    """Over the limit there is a 503 and a close; when one leaves there is room again."""
    with Server(connections=3) as server:
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.send(get(b"/"))
            assert client.answer().status == 200
        assert [answer.status for answer in server.connect().answers()] == [503]
        clients.pop().close()
        end = time.monotonic() + WAIT
        while True:
            client = server.connect()
            try:
                client.send(get(b"/state"))
                if client.answer().status == 200:
                    break
            except (OSError, Closed):
                pass
            assert time.monotonic() < end
        for client in clients:
            client.send(get(b"/"))
            assert client.answer().status == 200


def a_stop_finishes_what_is_under_way():
    """Idle connections close, a running answer is finished and says close, nobody new gets in."""
    server = Server(stop_ms=20000)
    with server:
        idle, busy = server.connect(), server.connect()
        idle.send(get(b"/"))
        assert idle.answer().status == 200
        busy.send(get(b"/stream?count=200&wait=1") + get(b"/"))
        while b"\r\n\r\n" not in busy.bytes:
            busy.more()
        server.process.send_signal(signal.SIGTERM)
        assert idle.is_closed()
        # The other worker may hear of it a moment later.
        end = time.monotonic() + WAIT
        while True:
            try:
                server.connect().close()
                assert time.monotonic() < end, "somebody new gets in"
            except ConnectionError:
                break
        answers = busy.answers()
        assert len(answers[0].body) == 200 * 8
        assert [dict(answer.headers).get("Connection") for answer in answers] == [None, "close"]
    assert server.stopped == "stopped cut=0", server.stopped


def a_stop_cuts_what_does_not_finish():
    """At the deadline what is left is cut, counted, and its producer ended."""
    server = Server(stop_ms=100)
    with server:
        client = server.connect()
        client.send(get(b"/stream?count=100000000&bytes=100"))
        client.more()
    assert server.stopped == "stopped cut=1", server.stopped
    client.close()


def ipv6_and_unix_sockets_serve_too():
    """An IPv6 address, and a socket file with exactly the mode asked for, gone after the end."""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/s"
        with Server(host="::1", unix=path) as server:
            client = Client(socket.create_connection(("::1", server.port), timeout=WAIT))
            client.send(get(b"/state"))
            assert b'"peer":"[::1]:' in client.answer().body
            client.close()
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o620
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            client = Client(sock)
            client.send(get(b"/state"))
            assert b'"peer":"unix"' in client.answer().body
            client.close()
            server.connect = lambda: Client(socket.create_connection(("::1", server.port)))
        assert not os.path.exists(path)
        # A file left by a crash is replaced, one that is served is not.
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        with Server(unix=path):
            second = subprocess.run([sys.argv[1], "unix=" + path], capture_output=True, text=True)
            assert second.returncode == 1 and "another program has this address" in second.stderr, second.stderr


def a_taken_port_is_an_error():
    """SO_REUSEPORT shares a port among our workers, not with another server."""
    with Server() as server:
        second = subprocess.run([sys.argv[1], f"port={server.port}"], capture_output=True, text=True)
        assert second.returncode == 1 and "another program has this address" in second.stderr, second.stderr


def make_certificate(folder, name):
    cert, key = f"{folder}/{name}.pem", f"{folder}/{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:" + name, "-keyout", key, "-out", cert],
        check=True, capture_output=True)
    return cert, key


def tls_connect(server, cafile, name):
    context = ssl.create_default_context(cafile=cafile)
    sock = socket.create_connection(("127.0.0.1", server.tls_port), timeout=WAIT)
    return Client(context.wrap_socket(sock, server_hostname=name))


def tls_serves_and_reloads():
    """A verified handshake, large bodies both ways, another certificate without a restart."""
    data = os.urandom(1 << 20)
    with tempfile.TemporaryDirectory() as folder:
        cert, key = make_certificate(folder, "one.test")
        with Server(cert=cert, key=key) as server:
            first = tls_connect(server, cert, "one.test")
            assert first.socket.version() == "TLSv1.3"
            first.send(get(b"/state"))
            assert b'"tls":1' in first.answer().body
            first.send(post(b"/echo", data) + get(b"/later") + get(b"/stream?count=100000&wait=0"))
            assert first.answer().body == data
            assert first.answer().body == b"later\n"
            assert len(first.answer().body) == 800000
            two_cert, two_key = make_certificate(folder, "two.test")
            os.replace(two_cert, cert)
            os.replace(two_key, key)
            server.process.send_signal(signal.SIGHUP)
            end = time.monotonic() + WAIT
            while True:
                try:
                    second = tls_connect(server, cert, "two.test")
                    break
                except ssl.SSLError:
                    assert time.monotonic() < end
            second.send(get(b"/"))
            assert second.answer().status == 200
            # A broken certificate changes nothing.
            with open(cert, "w", encoding="ascii") as file:
                file.write("nonsense")
            server.process.send_signal(signal.SIGHUP)
            first.send(get(b"/"))
            assert first.answer().status == 200
            second.send(get(b"/", b"Connection: close\r\n"))
            assert second.answer().status == 200 and second.is_closed()
            first.close()


def tls_nonsense_harms_nobody():
    """Plain text to a TLS port, a handshake that stops half way, and one that vanishes."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = make_certificate(folder, "one.test")
        with Server(cert=cert, key=key, head_ms=2000) as server:
            plain = Client(socket.create_connection(("127.0.0.1", server.tls_port), timeout=WAIT))
            plain.send(get(b"/"))
            try:
                plain.rest()
            except ConnectionResetError:
                pass
            silent = Client(socket.create_connection(("127.0.0.1", server.tls_port), timeout=WAIT))
            silent.send(b"\x16\x03\x01\x02\x00")
            assert silent.is_closed()
            socket.create_connection(("127.0.0.1", server.tls_port), timeout=WAIT).close()
            server.wait_for(lambda state: state["open"] == 1 and state["tls_failures"] == 1 and state["timeouts"] == 1)
            good = tls_connect(server, cert, "one.test")
            good.send(get(b"/"))
            assert good.answer().status == 200
            good.close()


def s_client(server, *options):
    """What openssl's client gets for one request, and its complaints."""
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-quiet", *options],
                          input=get(b"/q/x", b"Connection: close\r\n"), capture_output=True, timeout=WAIT)
    return done.stdout, done.stderr


def tls_speaks_only_what_is_safe():
    """Old versions, no cipher and other protocols are refused with an alert; any name is served; a session is
    taken up again; a client that wants to renegotiate is not heard."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = make_certificate(folder, "one.test")
        with Server(cert=cert, key=key) as server:
            for options, alert in ((("-tls1",), b"protocol version"), (("-tls1_1",), b"protocol version"),
                                   (("-tls1_2", "-cipher", "NULL:@SECLEVEL=0"), b"handshake failure"),
                                   (("-alpn", "h2"), b"no application protocol")):
                answer, complaint = s_client(server, *options)
                assert answer == b"" and alert in complaint, (options, answer, complaint)
            for options in (("-tls1_2",), ("-alpn", "h2,http/1.1"), ("-servername", "other.test"),
                            ("-servername", "x" * 255)):
                answer, complaint = s_client(server, *options)
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), (options, complaint)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = ssl.create_default_context(cafile=cert)
                context.maximum_version = version
                session = None
                for _ in range(2):
                    sock = socket.create_connection(("127.0.0.1", server.tls_port), timeout=WAIT)
                    client = Client(context.wrap_socket(sock, server_hostname="one.test", session=session))
                    client.send(get(b"/q/x"))
                    assert client.answer().body == b"/q/x"
                    assert client.socket.session_reused == (session is not None)
                    session = client.socket.session
                    client.close()
            again = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{server.tls_port}", "-tls1_2"],
                                     stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            again.stdin.write(b"R\n")  # its word for: renegotiate
            again.stdin.flush()
            complaint = again.communicate(timeout=WAIT)[1]
            assert b"RENEGOTIATING" in complaint and b"no renegotiation" in complaint, complaint


def tls_garbage_ends_its_connection_alone():
    """Bytes that are no record after a good handshake, a huge first record, an alert first, an end in the
    midst of a body: each ends its own connection; half a handshake each on 200 others holds nobody up."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = make_certificate(folder, "one.test")
        with Server(cert=cert, key=key, head_ms=5000, workers=1) as server:
            def plain(data):
                sock = socket.create_connection(("127.0.0.1", server.tls_port), timeout=WAIT)
                sock.sendall(data)
                return Client(sock)

            for data in (b"\x16\x03\x01\xff\xff" + bytes(65535), b"\x15\x03\x03\x00\x02\x02\x28", b"\x80\x2e\x01"):
                client = plain(data)
                try:
                    assert len(client.rest()) < 50  # at most an alert
                except ConnectionResetError:
                    pass
            for data in (b"\x17\x03\x03\x00\x05junk!", b""):
                client = tls_connect(server, cert, "one.test")
                # The server's tickets are read by this: an end with something unread is a reset, which
                # may overtake the body.
                client.send(get(b"/q/x"))
                assert client.answer().body == b"/q/x"
                client.send(b"POST /echo HTTP/1.1\r\n" + H + b"Content-Length: 100\r\n\r\nhalf")
                sock = socket.socket(fileno=client.socket.detach())
                sock.settimeout(WAIT)
                sock.sendall(data)
                if data:  # else it goes without a word of TLS
                    while sock.recv(1000):
                        pass
                sock.close()
            server.wait_for(lambda state: state["open"] == 1 and state["bodies_failed"] == 2)
            half = [plain(b"\x16\x03\x01\x02") for _ in range(200)]
            good = tls_connect(server, cert, "one.test")
            good.send(get(b"/q/x"))
            assert good.answer().body == b"/q/x"
            good.close()
            server.wait_for(lambda state: state["open"] == 1 and state["timeouts"] >= 200)
            for client in half:
                client.close()


def queries_reach_the_handler_decoded():
    """Path and query as the handler sees them; a bad escape in the path is the handler's 400."""
    with Server() as server:
        client = server.connect()
        client.send(get(b"/q/a%2Fb//c?k=x+y&bad=%zz&semi=a;b&k=%26"))
        assert client.answer().body == b"/q/a/b//c\nk=x y\nk=&"
        client.send(get(b"/q/%zz"))
        assert client.answer().status == 400
        client.close()


if __name__ == "__main__":
    run([
        pipelined_answers_keep_their_order,
        a_read_is_answered_with_one_write,
        head_gets_no_body,
        versions_decide_on_keeping_alive,
        answers_have_date_and_no_server,
        trailers_end_a_stream,
        an_aborted_stream_is_seen_as_broken,
        expect_continue_is_answered_when_the_body_is_wanted,
        large_bodies_stream_both_ways,
        a_slow_head_is_cut,
        each_head_has_its_own_deadline,
        a_slow_body_is_cut,
        a_slow_reader_is_cut,
        a_steady_slow_reader_is_served,
        a_full_socket_leaves_nobody_without_a_waker,
        an_idle_connection_is_closed,
        clients_may_vanish_at_any_point,
        a_body_may_be_asked_for_when_the_client_is_gone,
        pipelined_heads_wait_unread,
        connections_are_limited,
        a_stop_finishes_what_is_under_way,
        a_stop_cuts_what_does_not_finish,
        ipv6_and_unix_sockets_serve_too,
        a_taken_port_is_an_error,
        tls_serves_and_reloads,
        tls_nonsense_harms_nobody,
        tls_speaks_only_what_is_safe,
        tls_garbage_ends_its_connection_alone,
        queries_reach_the_handler_decoded,
    ])
