"""The model lists of servers on this machine: what is asked of whom, and that nothing else is."""

import socket
import threading

import pytest

from tinyllm_magic.models.catalog import read_data
from tinyllm_magic.models.vendors import vendors
from tinyllm_magic.providers import local_servers

LOCAL = ("ollama", "lmstudio", "vllm", "llamacpp")


@pytest.fixture
def place(monkeypatch):
    """``place(ollama=url)``: where the servers of this machine are; all others are at a port that nobody listens at."""
    monkeypatch.setattr(local_servers, "_found", {})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/v1"

    def put(**urls):
        for name in LOCAL:
            monkeypatch.setitem(read_data()["vendors"][name], "base_url", urls.get(name, nobody))
        vendors.cache_clear()

    put()
    yield put
    vendors.cache_clear()


class Listener:
    """A server that notes one request and answers with fixed bytes."""

    def __init__(self, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1"
        self.request = b""
        self.requests = 0
        self.answer = answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                self.request = connection.recv(65536)
                self.requests += 1
                connection.sendall(self.answer)


@pytest.fixture
def listen():
    started = []

    def begin(answer):
        started.append(Listener(answer))
        return started[-1]

    yield begin
    for server in started:
        server.socket.close()


def test_a_server_that_answers_tells_its_models(place, serve):
    server = serve()
    place(ollama=server.url)
    assert local_servers.list_served() == {"ollama": ("fake-model",)}
    assert server.paths == ["/v1/models"]
    assert local_servers.last_served() == {"ollama": ("fake-model",)}


def test_where_nobody_answers_there_is_nothing(place):
    assert local_servers.list_served() == {}
    assert local_servers.last_served() == {}


def test_neither_key_nor_proxy_is_used(place, serve, listen, monkeypatch):
    proxy = serve()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.root)
    for name in ("OPENAI_API_KEY", "VLLM_API_KEY"):
        monkeypatch.setenv(name, "my-secret-key")
    server = listen(b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"data": [{"id": "m"}]}')
    place(vllm=server.url)
    assert local_servers.list_served() == {"vllm": ("m",)}
    assert b"my-secret-key" not in server.request
    assert b"authorization" not in server.request.lower()
    assert proxy.paths == []


def test_a_redirect_is_not_followed(place, serve, listen):
    elsewhere = serve()
    server = listen(f"HTTP/1.0 302 Found\r\nLocation: {elsewhere.url}/models\r\n\r\n".encode())
    place(llamacpp=server.url)
    assert local_servers.list_served() == {}
    assert (server.requests, elsewhere.paths) == (1, [])


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"data": 3}', b'{"data": [3]}', b"\xff", b"not http at all"])
def test_another_program_at_the_port_is_no_server_of_models(place, listen, body):
    server = listen(body if body.startswith(b"not") else b"HTTP/1.0 200 OK\r\n\r\n" + body)
    place(lmstudio=server.url)
    assert not local_servers.list_served().get("lmstudio")


def test_only_this_machine_is_asked(place, monkeypatch):
    asked = []
    monkeypatch.setattr(local_servers, "_read_models", lambda url: asked.append(url) or ())
    place(ollama="http://10.0.0.9:11434/v1", vllm="http://127.0.0.1:8000/v1")
    local_servers.list_served()
    assert not any("10.0.0.9" in url for url in asked)
    assert "http://127.0.0.1:8000/v1" in asked
