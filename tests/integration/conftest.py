"""What the integration tests share: a scripted server that the session asks, and recording without long waits."""

import pytest
from fakeserver import FakeServer
from IPython.utils.capture import capture_output

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


@pytest.fixture
def run(shell):
    """Runs a cell; gives its result and error, and as text and HTML the last state of what it shows."""

    def run_cell(cell):
        with capture_output() as captured:
            captured.result = shell.run_cell(cell)
        captured.error = captured.result.error_in_exec or captured.result.error_before_exec
        last = captured.outputs[-1].data if captured.outputs else {}
        captured.text, captured.html = (last.get(f"text/{kind}", "") for kind in ("plain", "html"))
        return captured

    return run_cell
