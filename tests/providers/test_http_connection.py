"""Connections over the standard library: kept while they are good, read to the end, unpacked, through proxies."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import os
import socket
import ssl
import sys
import threading
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from chatcalls import KEY, answer, ask, both, fails, fold
from fakeserver import Turn

from tinyllm_magic import errors
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import http_connection, openai
from tinyllm_magic.providers.chat_transport import open_transport
from tinyllm_magic.providers.timed_socket import TimedSocket

CERTIFICATE = Path(__file__).with_name("loopback.pem")  # of 127.0.0.1, signed by itself
WHOLE = {"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}


@pytest.fixture(autouse=True)
def _thin(monkeypatch):
    monkeypatch.setenv("TINYLLM_TRANSPORT", "auto")


def providers(fake, *streams):
    """Providers that share their connections."""
    transport = open_transport(Endpoint("openai", fake.url), {"OPENAI_API_KEY": KEY})
    return [openai.OpenAIProvider(transport.create, stream=stream) for stream in streams]


def say(fake, one):
    return fold(one.send(ask())).text, fake.connections


@pytest.mark.usefixtures("clock")
def test_streams_and_whole_answers_keep_their_connection(serve):
    fake = serve(*["one two"] * 4)
    assert [say(fake, one) for one in providers(fake, True, False, True, True)] == [("one two", 1)] * 4


@pytest.fixture
def clock(monkeypatch):
    """The time by which connections grow old; the end of a stream is waited for, on a busy machine too."""
    time = SimpleNamespace(now=0.0)
    monkeypatch.setattr(http_connection, "_PATIENCE", 30.0)
    monkeypatch.setattr(http_connection, "time", SimpleNamespace(monotonic=lambda: time.now))
    return time


@pytest.mark.usefixtures("clock")
def test_a_refusal_keeps_the_connection(serve):
    fake = serve(429, "one")
    refused, one = providers(fake, True, True)
    with pytest.raises(errors.RateLimitError):
        fold(refused.send(ask()))
    assert say(fake, one) == ("one", 1)


def test_a_stream_that_was_left_early_is_hung_up_on(serve):
    fake = serve(Turn("one two three", hang=2), "next")
    left, one = providers(fake, True, True)
    stream = left.send(ask())
    next(stream)
    stream.close()
    assert fake.hung_up.wait(60)
    assert say(fake, one) == ("next", 2)


def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used(serve):
    fake = serve(Turn("one", headers={"Connection": "close"}), "two", "three")
    first, second, third = providers(fake, False, False, False)
    assert say(fake, first) == ("one", 1)
    assert say(fake, second) == ("two", 2)
    with fake._lock:
        (left,) = fake._sockets
        left.shutdown(socket.SHUT_RDWR)
    assert say(fake, third) == ("three", 3)


def test_a_connection_that_was_idle_for_long_is_not_used(serve, clock):
    fake = serve("one", "two", "three")
    first, second, third = providers(fake, False, False, False)
    say(fake, first)
    clock.now = 4.0
    assert say(fake, second) == ("two", 1)
    clock.now = 10.0
    assert say(fake, third) == ("three", 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
def test_a_forked_child_takes_none_of_its_parents_connections():
    pool = http_connection.ConnectionPool(http_connection.Server("http", "127.0.0.1", 1))
    ours, theirs = socket.socketpair()
    with theirs:
        pool.give_back(kept := TimedSocket(ours))
        child = os.fork()
        if child == 0:
            os._exit(0 if pool._take() is None else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert pool._take() is kept
        ours.close()


def test_the_pool_closes_its_connections_when_it_is_gone():
    pool = http_connection.ConnectionPool(http_connection.Server("http", "127.0.0.1", 1))
    ours, theirs = socket.socketpair()
    with theirs:
        pool.give_back(TimedSocket(ours))
        del pool, ours
        theirs.settimeout(10)
        assert theirs.recv(1) == b""


PACKED = {
    "gzip": gzip.compress,
    "two members of gzip": lambda body: gzip.compress(body[:20]) + gzip.compress(body[20:]),
    "deflate": zlib.compress,
    "deflate without its head": lambda body: zlib.compress(body)[2:-4],
}


@both
@pytest.mark.parametrize("name", PACKED)
def test_a_packed_body_is_unpacked(serve, name, stream):
    body = json.dumps({"choices": [{"delta" if stream else "message": {"content": "größer"}, "finish_reason": "stop"}]})
    text = f"data: {body}\n\ndata: [DONE]\n\n" if stream else body
    kind = "text/event-stream" if stream else "application/json"
    headers = {"Content-Encoding": "deflate" if "deflate" in name else "gzip"}
    fake = serve(Turn(body=PACKED[name](text.encode()), content_type=kind, headers=headers))
    assert answer(fake, stream=stream).text == "größer"


@both
def test_a_body_that_cannot_be_unpacked_is_a_failed_connection(serve, stream):
    fake = serve(Turn(body=b"no gzip at all", content_type="application/json", headers={"Content-Encoding": "gzip"}))
    assert fails(fake, errors.ConnectionFailedError, stream=stream).retryable


@pytest.fixture
def serve_raw():
    """``serve_raw(bytes)``: the address of a server that answers one request with these bytes, and hangs up."""
    listeners = []

    def serve(listener, data):
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(data)

    def start(data):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, data), daemon=True).start()
        return SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1")

    yield start
    for listener in listeners:
        listener.close()


@both
@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_interim_answers_are_passed_over(serve_raw, stream, status):
    body = json.dumps(WHOLE).encode()
    head = f"HTTP/1.1 {status}\r\nLink: </style.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    fake = serve_raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer(fake, stream=stream).text == "whole"


def test_a_body_without_a_length_ends_with_its_connection(serve_raw):
    fake = serve_raw(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + json.dumps(WHOLE).encode())
    assert answer(fake, stream=False).text == "whole"


@both
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\nContent-Type: text/event-stream\r\n\r\ndata: {",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["nothing", "no HTTP", "cut", "no chunk"],
)
def test_what_is_no_whole_answer_is_a_failed_connection(serve_raw, data, stream):
    assert fails(serve_raw(data), errors.ConnectionFailedError, stream=stream).retryable


@pytest.fixture
def tunnel():
    """A proxy that opens tunnels (CONNECT): its address, and the heads of the requests that it got."""
    heads = []

    def pump(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            head = client.recv(65536).decode()
            heads.append(head)
            host, port = head.split()[1].rsplit(":", 1)
            server = socket.create_connection((host, int(port)))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, daemon=True).start()
    yield SimpleNamespace(root=f"127.0.0.1:{listener.getsockname()[1]}", heads=heads)
    listener.close()


def test_https_goes_through_a_tunnel_of_its_proxy(serve, monkeypatch, tunnel):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    fake = serve("through the tunnel", "again")
    fake._http.socket = context.wrap_socket(fake._http.socket, server_side=True)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:Pass%2Fword@{tunnel.root}")
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    secure = SimpleNamespace(url=fake.url.replace("http:", "https:"), connections=0)
    one, two = providers(secure, True, False)
    assert [fold(one.send(ask())).text, fold(two.send(ask())).text] == ["through the tunnel", "again"]
    (head,) = tunnel.heads
    assert head.startswith(f"CONNECT {fake.root[7:]} HTTP/1.")
    assert "Proxy-Authorization: Basic bWU6UGFzcy93b3Jk" in head
    assert "proxy-authorization" not in fake.headers
    assert fake.connections == 1


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the system is asked there, by the same library")
def test_the_systems_certificates_are_those_that_the_sdk_trusts(monkeypatch):
    import httpx2

    from tinyllm_magic.providers import network

    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    ours, theirs = network.load_certificates(), httpx2.create_ssl_context()
    assert ours.cert_store_stats() == theirs.cert_store_stats()
    assert (ours.verify_mode, ours.check_hostname) == (theirs.verify_mode, theirs.check_hostname)


HEADS = [
    b"Content-Type: application/json\r\nX-Empty:\r\nx-twice: 1\r\nX-Twice: 2\r\nDate:  Sat, 28 Nov 2026  \r\n\r\n",
    b"A: 1\nB: 2\n\n",
    b"A: 1\r\nB: folded\r\n  over two lines\r\nC: 3\r\n\r\n",
    b"A: 1\rB: 2\r\nC: 3\r\n\r\n",
    b"A : 1\r\nB: 2\r\n\r\n",
    b"no colon at all\r\nB: 2\r\n\r\n",
    b": no name\r\nB: 2\r\n\r\n",
    "Ä: 1\r\nB: ü \x85 \u00a0\r\n\r\n".encode("latin-1"),
    b"A: 1\x0b2\x0c3\x1c4\r\n\r\n",
    b"\r\n",
    b"A: 1\r\nB: cut",
]


@pytest.mark.parametrize("head", HEADS, ids=range(len(HEADS)))
def test_headers_are_read_as_by_http_client(head):
    ours, theirs = http_connection.read_headers(io.BytesIO(head)), http.client.parse_headers(io.BytesIO(head))
    assert ours.items() == theirs.items()
    assert ours.get("b") == theirs.get("b", "")


@pytest.mark.parametrize("head", [b"A: %s\r\n\r\n" % (b"x" * 70_000), b"A: 1\r\n" * 200], ids=["a long line", "many"])
def test_headers_without_end_are_refused_as_by_http_client(head):
    for read in (http_connection.read_headers, http.client.parse_headers):
        with pytest.raises(http.client.HTTPException):
            read(io.BytesIO(head))


STATUS_LINES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 404\r\n",
    b"HTTP/1.1 503 \n",
    "HTTP/1.1 200 Très bien\r\n".encode("latin-1"),
    b"HTTP/1.1  200   OK \r\n",
    b"HTTP/1.1 099 Low\r\n",
    b"HTTP/1.1 2000 High\r\n",
    b"HTTP/1.1 20x\r\n",
    b"HTTP/2 200 OK\r\n",
    b"garbage\r\n",
    b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n",
    b"HTTP/1.1 200 cut",
    b"",
]


@pytest.mark.parametrize("line", STATUS_LINES, ids=range(len(STATUS_LINES)))
def test_the_status_is_read_as_by_http_client(line):
    def read(kind):
        answered = kind(SimpleNamespace(makefile=lambda _mode: io.BufferedReader(io.BytesIO(line + b"\r\n"[: 2 * bool(line)]))))
        try:
            answered.begin()
        except http.client.HTTPException as error:
            return type(error)
        return answered.status, answered.reason, answered.version

    assert read(http_connection._Response) == read(http.client.HTTPResponse)
