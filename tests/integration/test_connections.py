"""What a cell costs on the wire: live cells share one connection, and what nobody watches is asked for in one piece."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from tinyllm_magic.providers import http_connection


@pytest.fixture
def cell(shell, server, monkeypatch):
    """Runs a prompt cell; on a busy machine too, no connection grows old and the end of a stream is waited for."""
    monkeypatch.setattr(http_connection, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(http_connection, "_PATIENCE", 30.0)

    def run(options, text):
        shell.run_cell_magic("llm", options, text)
        return server.last.get("stream", False)

    return run


def test_live_cells_keep_their_connection(cell, server):
    assert [cell("", f"Question {n}") for n in range(4)] == [True] * 4
    assert (server.n, server.connections) == (4, 1)


@pytest.mark.parametrize("options", ["--no-stream", "-q", "--no-stream -n 2"])
def test_what_nobody_watches_is_asked_for_in_one_piece(cell, server, options):
    assert cell(options, "Question") is False
    assert server.connections == 1


def test_samples_that_are_watched_are_streamed(cell):
    assert cell("-n 2", "Question") is True


def test_a_first_live_cell_imports_neither_the_sdk_nor_its_http_library_nor_what_other_cells_need(server):
    code = """
import os, sys
os.environ.update(OPENAI_BASE_URL=sys.argv[1], OPENAI_API_KEY="sk-test-0123456789abcdef")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "tinyllm_magic")
shell.run_cell_magic("llm", "", "Hello")
shell.history_manager.enabled = False
foreign = ["openai", "httpx2", "httpx", "httpcore2", "urllib3", "pydantic", "jsonschema", "xllamacpp", "nh3", "jinja2"]
own = ["batch.table", "evaluation", "tools.runner", "providers.llamacpp", "providers.batch_service", "notebook.reports", "display.charts"]
print("imported", [m for m in (*foreign, *(f"tinyllm_magic.{m}" for m in own)) if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code, server.url], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported []"
