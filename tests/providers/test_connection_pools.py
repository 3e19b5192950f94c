"""Connections that are kept, shared and closed."""

from __future__ import annotations

import threading
import time

import pytest
from chatcalls import KEY, ask, fold, provider
from fakeserver import Turn

from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import openai_client

pytestmark = pytest.mark.usefixtures("transport")


def test_a_thread_keeps_its_connection_from_call_to_call(serve):
    fake = serve()
    asked = provider(fake, stream=False)

    for _ in range(5):
        fold(asked.send(ask()))

    assert fake.connections == 1


def test_64_threads_open_as_many_connections_and_no_more(serve):
    meet = threading.Barrier(64)

    def answer_all_together(_body):
        meet.wait()
        return "ok"

    fake = serve(*[answer_all_together] * 256)
    asked = provider(fake, stream=False)

    def work():
        for _ in range(4):
            fold(asked.send(ask()))

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (fake.n, fake.most_active) == (256, 64)
    assert fake.connections <= 64


def test_a_proxy_of_the_environment_is_used(serve, monkeypatch):
    proxy = serve(Turn(text="through the proxy"))
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy.root)
    client = openai_client.connect(Endpoint("openai", "http://models.invalid/v1"), environ={"OPENAI_API_KEY": KEY})

    said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])

    assert said.choices[0].message.content == "through the proxy"
    assert proxy.path == "http://models.invalid/v1/chat/completions"


def test_closing_the_client_closes_every_connection(serve):
    fake = serve()
    client = openai_client.connect(Endpoint("openai", fake.url), environ={"OPENAI_API_KEY": KEY})
    threads = [threading.Thread(target=client.models.list) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    client.close()

    end = time.monotonic() + 10
    while fake._sockets and time.monotonic() < end:
        time.sleep(0.01)
    assert not fake._sockets
