"""What the integration tests share: a scripted server that the session asks, and recording without long waits."""

import pytest
from fakeserver import FakeServer

from tinyllm_magic import override


@pytest.fixture
def server(monkeypatch):
    """A scripted server as OpenAI's address; each request is sent once."""
    with FakeServer([]) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("TINYLLM_MAX_ATTEMPTS", "1")
        yield running


@pytest.fixture
def recording():
    """Answers are recorded as in a notebook; retries hardly wait."""
    with override(mode="auto", waiting_time=0.01):
        yield
