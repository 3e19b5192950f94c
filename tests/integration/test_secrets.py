"""Planted keys of several kinds: none of them reaches a store, a notebook's output, a report or a log."""

import json
import logging
from pathlib import Path

import nbformat
import pytest
from fakeserver import FakeServer
from IPython.utils.capture import capture_output

from tinyllm_magic import ModelManager, OpenAIClient, Store, records
from tinyllm_magic.cache import StoreWarning
from tinyllm_magic.cli import main

KEY = "sk-proj-planted_0123456789&<>"
PROMPT = "Repeat it: {{ key }}"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(records, "_GUARDED", {})
    with FakeServer() as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield fake


def saved(shell, source):
    """All that a notebook file would hold of a cell's outputs."""
    with capture_output() as told, pytest.warns(StoreWarning, match="OPENAI_API_KEY"):
        shell.run_cell(source)
    return told.stdout + told.stderr + json.dumps([[o.data, o.metadata] for o in told.outputs])


def test_a_key_in_prompt_and_answer_is_in_no_output_and_no_file(shell, server, caplog):
    caplog.set_level(logging.INFO)
    shell.user_ns["key"] = KEY
    server.add(f"You said\n\n```sh\nexport KEY={KEY}\n```\n\nand **{KEY}**.")

    text = saved(shell, f"%%llm --show-prompt -o r\n{PROMPT}\n")
    with capture_output() as told:
        shell.run_cell(f"%%llm --dry-run\n{PROMPT}\n")
        shell.run_line_magic("llm_history", "")
        shell.run_cell("r")
    text += json.dumps([[o.data, o.metadata] for o in told.outputs])

    assert server.n == 1
    assert KEY in shell.user_ns["r"].text  # the value is the user's own
    assert "planted" not in text
    assert text.count("<OPENAI_API_KEY>") >= 6
    assert "planted" not in caplog.text
    assert [p for p in Path.cwd().rglob("*") if p.is_file() and b"planted" in p.read_bytes()] == []


@pytest.mark.parametrize("given", ["code", "variable"])
def test_a_key_in_use_is_a_secret_whatever_its_variable_is_called(shell, server, monkeypatch, given):
    monkeypatch.setenv("MY_CREDENTIAL", "zebra-crossing-42")
    Path("config.ini").write_text(f"[models.mine]\nprovider=openai\nmodel=m\nbase_url={server.url}\napi_key_env=MY_CREDENTIAL\n")
    table = {"provider": "openai", "model": "m", "base_url": server.url, "api_key": "zebra-crossing-42"}
    mine = ModelManager({"models": {"x": table}}).create_client("x")
    ask = mine.send_message if given == "code" else lambda text: shell.run_line_magic("llm", f"-m mine {text}")
    server.add("clean", "It is zebra-crossing-42.", "clean")
    ask("first")
    with pytest.warns(StoreWarning, match=r"holds the value of (MY_CREDENTIAL|the key of http)"):
        ask("second")
    assert b"zebra" not in Path("session.llm.jsonl").read_bytes()


def test_a_password_in_an_address_is_sent_but_not_logged(server, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url.replace("//", "//user:planted%2F1@"))
    server.add("ok")
    assert OpenAIClient().send_message("hello")["content"] == "ok"
    assert server.headers["authorization"] == "Basic dXNlcjpwbGFudGVkLzE="
    assert "planted" not in caplog.text


def test_what_is_set_aside_holds_no_key_and_a_key_in_a_store_is_reported(monkeypatch, tmp_path):
    store = tmp_path / "s.llm.jsonl"
    whole = '{"key":"k0:a","request":{"kind":"chat"},"answer":{"text":"sk-planted-0123"}}'
    store.write_text('{"format":"tinyllm_magic store","version":1}\n{"key":"damaged sk-planted-0123\n' + f"{whole}\n")
    monkeypatch.setenv("GATEWAY_TOKEN", "sk-planted-0123")
    assert (3, "it holds the value of GATEWAY_TOKEN") in Store(store).check()
    Store(store).tidy()
    assert "<GATEWAY_TOKEN>" in (tmp_path / "s.llm.jsonl.rejected").read_text()
    assert "planted" not in (tmp_path / "s.llm.jsonl.rejected").read_text()


def test_a_key_in_a_notebook_is_not_repeated_in_the_report(monkeypatch, tmp_path, capsys):
    cells = ["%load_ext tinyllm_magic", "%%llm\nsk-planted-0123", "raise ValueError('sk-planted-0123')"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c, execution_count=1) for c in cells])
    nbformat.write(book, tmp_path / "n.ipynb")
    monkeypatch.setenv("GATEWAY_TOKEN", "sk-planted-0123")
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")

    assert main(["verify", str(tmp_path / "n.ipynb"), "--junit", str(tmp_path / "report.xml")]) == 1

    told = capsys.readouterr()
    assert "<GATEWAY_TOKEN>" in told.out
    assert "planted" not in told.out + told.err + (tmp_path / "report.xml").read_text()
