"""The limits of one attempt, its time and its size, and interrupts, against servers that are slow in every way."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
from chatcalls import answer, ask, both, fails, fold, provider
from fakeserver import FakeServer, Turn

from tinyllm_magic import errors
from tinyllm_magic.messages import Request
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import deadline, openai, openai_client

pytestmark = pytest.mark.usefixtures("transport")


@pytest.fixture(scope="module", autouse=True)
def _warm_sdk():
    """What the SDK does in its first call of a process only (it asks for the platform) is no matter of these tests."""
    with FakeServer() as fake:
        answer(fake)


def times_out(fake, **options):
    """A call of a server that would go on for long: it fails for its time, and hangs up before the server is through."""
    error = fails(fake, errors.CallTimeoutError, timeout=1, **options)
    assert error.message.startswith("no complete answer within 1 s")
    assert fake.hung_up.wait(60)


@both
@pytest.mark.parametrize(
    "turn",
    [Turn(hang=0), Turn(drip=0.05), Turn("word " * 90, json_for_stream=True, drip=0.05), Turn(delay=20)],
    ids=["silent", "dripping", "dripping json", "slow"],
)
def test_the_whole_call_is_bounded(serve, stream, turn):
    fake = serve(turn)
    times_out(fake, stream=stream)
    assert fake.n == 1


@pytest.mark.parametrize("turn", [Turn("one two three", hang=2), Turn("word " * 400, chunk_delay=0.05)], ids=["stalled", "slow"])
def test_a_stream_is_bounded_as_a_whole(serve, turn):
    times_out(serve(turn))


def test_dripping_error_bodies_are_bounded(serve):
    times_out(serve(Turn(status=500, body="x" * 1000, drip=0.05)))


def test_dripping_keep_alive_comments_are_bounded(serve):
    times_out(serve(Turn(garbage=": wait\n\n" * 500, content_type="text/event-stream", drip=0.02)))


@pytest.fixture
def drip():
    """``drip(first, rest)``: the address of a server that sends ``first``, then ``rest`` over and over, a piece each 20 ms."""
    ends, listeners = threading.Event(), []

    def serve(listener, first, rest, hung_up):
        with listener.accept()[0] as connection:
            connection.recv(65536)
            try:
                connection.sendall(first)
                while not ends.wait(0.02):
                    connection.sendall(rest)
            except OSError:
                hung_up.set()

    def start(first, rest):
        listener, hung_up = socket.create_server(("127.0.0.1", 0)), threading.Event()
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, first, rest, hung_up), daemon=True).start()
        return SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1", hung_up=hung_up)

    yield start
    ends.set()
    for listener in listeners:
        listener.close()


@both
@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (b"HTTP/1.1 2", b"0"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["status line", "header", "100 Continue", "103 Early Hints"],
)
def test_what_drips_before_the_answer_is_bounded(drip, stream, first, rest):
    times_out(drip(first, rest), stream=stream)


def test_a_server_that_reads_slowly_is_bounded():
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes no byte: the buffers of the connection are soon full
        fake = SimpleNamespace(url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        fails(fake, errors.CallTimeoutError, ask("x" * 30_000_000), timeout=1)


def test_every_connection_goes_through_the_backend_that_bounds_it(serve):
    """Fails when the HTTP library keeps its network backend elsewhere, or does not ask it any more."""
    fake = serve("x")
    client = openai_client.connect(Endpoint("openai", fake.url), environ={}, timeout=5)
    with client.chat.completions.with_streaming_response.create(model="m", messages=[{"role": "user", "content": "hi"}]) as answered:
        assert isinstance(answered.http_response.extensions["network_stream"], deadline._Stream)


def test_a_connection_through_a_proxy_is_bounded(serve, monkeypatch):
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    proxy = serve(Turn("word " * 90, json_for_stream=True, drip=0.05))
    monkeypatch.setenv("HTTP_PROXY", proxy.root)
    times_out(SimpleNamespace(url="http://models.invalid/v1", hung_up=proxy.hung_up))


# -- size -----------------------------------------------------------------------------------------


@both
def test_an_answer_that_is_too_large_is_a_clear_error_and_hung_up_on(serve, stream):
    fake = serve(Turn("word " * 20_000))
    error = fails(fake, errors.AnswerTooLargeError, stream=stream, max_answer_bytes=10_000)
    assert "MAX_ANSWER_BYTES (10,000 bytes)" in str(error)
    assert not error.retryable


def test_a_body_is_measured_unpacked(serve, monkeypatch):
    packed = gzip.compress(json.dumps({"choices": [{"message": {"content": "a" * 10_000_000}, "finish_reason": "stop"}]}).encode())
    fake = serve(Turn(body=packed, headers={"Content-Encoding": "gzip"}, content_type="application/json"))
    assert len(packed) < 20_000
    fails(fake, errors.AnswerTooLargeError, stream=False, max_answer_bytes=1_000_000)


def test_an_answer_below_the_limit_is_whole(serve):
    assert answer(serve("word " * 1000), max_answer_bytes=1_000_000).text == "word " * 1000


# -- one after another ----------------------------------------------------------------------------


def test_embeddings_are_bounded_too(serve):
    times_out(serve(Turn(drip=0.2)), request=Request("openai", "e", (), {"input": ["x"]}, kind="embedding"))


def sharing_a_client(fake, *limits):
    """Providers with these limits that share their connections."""
    client = openai_client.connect(Endpoint("openai", fake.url), environ={})
    create = client.chat.completions.create
    return [openai.OpenAIProvider(lambda _model, params: create(**params), stream=False, timeout=limit) for limit in limits]


def test_a_reused_connection_is_bounded_too(serve):
    fake = serve("first", Turn(hang=0))
    free, limited = sharing_a_client(fake, None, 1)
    assert fold(free.send(ask())).text == "first"
    with pytest.raises(errors.CallTimeoutError):
        fold(limited.send(ask()))
    assert fake.hung_up.wait(60)
    assert fake.connections == 1


def test_a_slow_answer_within_the_limit_arrives(serve):
    assert answer(serve(Turn("one two", chunk_delay=0.05)), timeout=20).text == "one two"


def test_a_limit_does_not_outlive_its_call_on_the_connection(serve, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: clock.now))
    fake = serve("quick", "slow")
    limited, free = sharing_a_client(fake, 100, None)
    held = limited.send(ask())  # not closed yet, as by a reader who takes his time
    assert next(held).text == "quick"
    clock.now = 1000.0
    assert fold(free.send(ask())).text == "slow"
    assert list(held) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a signal cannot be sent to a thread there")
@pytest.mark.parametrize("turn", [Turn("one two", hang=2), Turn(hang=0), Turn(drip=1)], ids=["in a stream", "before headers", "in a body"])
def test_an_interrupt_passes_at_once_and_hangs_up(serve, turn):
    arrived = threading.Event()

    def note(_body):
        arrived.set()
        return turn

    def interrupt():
        if arrived.wait(10):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    fake = serve(note)
    one = provider(fake, timeout=25)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        fold(one.send(ask()))
    thread.join()
    assert fake.hung_up.wait(60)  # before the server was through
