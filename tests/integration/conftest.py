"""What the tests of the engine share: a scripted server with its key and address set, and sleeps that are noted, not slept."""

from types import SimpleNamespace

import pytest
from fakeserver import FakeServer

KEY = "sk-a-very-secret-key-0123456789"


class Started:
    """Starts scripted servers; the first one's address is the environment's."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        self.servers = []

    def __call__(self, *script, environ=True):
        server = FakeServer(script)
        self.servers.append(server)
        if environ:
            self._monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            self._monkeypatch.setenv("OPENAI_API_KEY", KEY)
        return server


@pytest.fixture
def start(monkeypatch):
    """``start(200, 429, …)``: a server with that script, and the environment that leads to it."""
    started = Started(monkeypatch)
    yield started
    for server in started.servers:
        server.close()


@pytest.fixture
def sleeps(monkeypatch):
    """The waits between attempts, in seconds; nobody sleeps."""
    import tenacity.nap

    noted = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=noted.append))
    return noted
