"""Planted keys of several kinds: none of them reaches a store, a notebook's output, a report or a log."""

import json
import logging
import os
import warnings
from pathlib import Path

import nbformat
import pytest
from fakeserver import FakeServer, Turn
from IPython.utils.capture import capture_output

from tinyllm_magic import LLMCall, ModelManager, OpenAIClient, Store, redaction
from tinyllm_magic.cli.command_line import main
from tinyllm_magic.display import tables
from tinyllm_magic.recording.store import StoreWarning

pytestmark = pytest.mark.usefixtures("transport")

KEY = "sk-proj-planted_0123456789&<>"
PROMPT = "Repeat it: {{ key }}"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(redaction, "_GUARDED", {})
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
    Path(os.environ["TINYLLM_CONFIG_DIR"]).mkdir(parents=True)
    Path(os.environ["TINYLLM_CONFIG_DIR"], "config.ini").write_text(
        f"[models.mine]\nprovider=openai\nmodel=m\nbase_url={server.url}\napi_key_env=MY_CREDENTIAL\n"
    )
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


LONG = "Planted-key-0123456789-0123456789-0123456789-abcdef"  # longer than what a footer shows of a value


def outputs(shell, *cells):
    """All that a notebook file would hold of these cells' outputs, and a terminal print of them."""
    with capture_output() as told, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for cell in cells:
            shell.run_cell(cell)
    return told.stdout + told.stderr + "".join(str(w.message) for w in warned) + json.dumps([[o.data, o.metadata] for o in told.outputs])


@pytest.fixture
def long_key(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", LONG)
    return server


@pytest.mark.parametrize("options", [f"-p user={LONG}", f"--stop {LONG}", f"-m {LONG}", f'-p metadata=\'{{"a": "{LONG}"}}\''])
@pytest.mark.parametrize("dry", ["", "--dry-run --show-prompt "])
def test_a_key_as_a_parameter_is_in_no_output_and_no_metadata(shell, long_key, options, dry):
    text = outputs(shell, f"%%llm {dry}{options}\nhi\n", "%llm_history", "%llm_usage")
    assert "Planted" not in text
    assert "<OPENAI_API_KEY>" in text
    assert long_key.n == (0 if dry else 1)


def test_a_key_as_finish_reason_or_answering_model_is_in_no_output_and_no_metadata(shell, long_key):
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": LONG}
    long_key.add(Turn(body={"object": "chat.completion", "model": LONG, "choices": [choice]}))
    text = outputs(shell, "%%llm --no-stream\nhi\n", "%llm_history")
    assert "Planted" not in text
    assert "finish reason: <OPENAI_API_KEY>" in text


@pytest.mark.parametrize(
    "turn",
    [
        Turn(status=400, headers={"x-request-id": LONG}),
        Turn(body={"error": {"message": f"wrong: {LONG}"}}),
        Turn(garbage=f"<h1>{LONG}</h1>"),
        Turn(garbage=f'data: {{"error": {{"message": "{LONG}"}}}}\n\n', content_type="text/event-stream"),
    ],
    ids=["request id", "in a 200", "page", "in a stream"],
)
def test_a_key_that_a_server_echoes_is_in_no_output(shell, long_key, turn):
    long_key.add(turn)
    shell.run_line_magic("llm_config", "max_attempts=1")
    text = outputs(shell, "%%llm\nhi\n", "import tinyllm_magic; tinyllm_magic.errors.show_traceback()", "%llm_history")
    assert "Planted" not in text
    assert "<OPENAI_API_KEY>" in text or "[key]" in text


def test_a_key_among_the_settings_is_in_no_table(shell, long_key, monkeypatch):
    monkeypatch.setenv("TINYLLM_MODEL", LONG)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{long_key.url}?code=Planted-query-7")
    Path("config.ini").write_text(
        f'[OpenAI]\nEMBEDDING_MODEL = {LONG}\n[models.mine]\nextra_headers = {{"X-Api-Key": "Planted-header-7"}}\nsystem = {LONG}\n'
    )
    text = outputs(shell, "%llm_config", "%llm_models", "%%llm --dry-run\nhi\n", "session.settings()")
    assert "Planted" not in text
    assert "<OPENAI_API_KEY>" in text


@pytest.mark.parametrize(
    ("where", "name"), [("extra_headers", "X-Api-Key"), ("extra_headers", "Authorization"), ("extra_query", "api_key")]
)
def test_a_key_in_the_headers_or_the_query_of_a_named_model_is_sent_but_neither_shown_nor_recorded(shell, server, where, name):
    server.add("You sent Planted-key-7", "ok")
    table = {"model": "m", "base_url": server.url, where: {name: "Bearer Planted-key-7" if name == "Authorization" else "Planted-key-7"}}
    shell.user_ns["mine"] = ModelManager({"models": {"mine": table}}).create_client("mine")
    text = outputs(shell, "mine.prepare('hi').answer()", "%llm_history", "%llm_cache list")
    assert "Planted-key-7" in (server.path if where == "extra_query" else server.headers[name.lower()])
    assert "Planted" not in text
    assert [p for p in Path.cwd().rglob("*") if p.is_file() and b"Planted" in p.read_bytes()] == []


def test_a_key_in_a_table_is_masked_before_its_cell_is_broken_into_lines(long_key, monkeypatch):
    monkeypatch.setattr(tables, "measure_width", lambda: 40)
    text = tables.bundle_table("t", ("a", "b"), [("x", f"see {LONG}"), ("y", "z")])["text/plain"]
    assert "Planted" not in text
    assert "<OPENAI" in text


def test_a_key_is_in_no_repr(long_key):
    long_key.add(LONG)
    call = LLMCall.from_text(f"repeat {LONG}", user=LONG, model=LONG)
    call.call()
    assert LONG in call.response.text
    assert "Planted" not in repr(call) + repr(call.response)
