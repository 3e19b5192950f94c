"""What a kernel remembers: where its store lies, what it has chosen, what it gives back."""

import json
from pathlib import Path

import pytest

from tinyllm_magic import LLMCall, session
from tinyllm_magic.models import EMBEDDED


@pytest.mark.parametrize(
    ("told", "store"),
    [
        ("analysis.ipynb", "analysis.llm.jsonl"),
        ("deep/er/analysis.ipynb", "analysis.llm.jsonl"),
        ("/nowhere/at/all/analysis.ipynb", "analysis.llm.jsonl"),
        ("console-1", "session.llm.jsonl"),
        ("", "session.llm.jsonl"),
    ],
)
def test_the_store_lies_beside_the_notebook_that_jupyter_server_names(monkeypatch, told, store):
    monkeypatch.setenv("JPY_SESSION_NAME", told)
    assert session.store_name() == Path.cwd() / store


def test_an_absolute_notebook_path_decides_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "study.ipynb"))
    assert session.store_name() == tmp_path / "study.llm.jsonl"


def test_vs_code_tells_the_notebook_in_the_namespace(shell, tmp_path):
    shell.user_ns["__vsc_ipynb_file__"] = str(tmp_path / "code.ipynb")
    assert session.store_name() == tmp_path / "code.llm.jsonl"


def test_where_the_name_is_unknown_the_only_store_of_the_folder_is_used():
    Path("other.llm.jsonl").touch()
    assert session.store_name().name == "other.llm.jsonl"
    Path("third.llm.jsonl").touch()
    assert session.store_name().name == "session.llm.jsonl"


def test_a_path_that_is_set_wins():
    with session.override(cache_file_name="mine.jsonl"):
        assert session.store(session.settings()).path == Path.cwd() / "mine.jsonl"


def test_in_a_plain_script_nothing_is_recorded_unless_asked(monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    LLMCall.from_text("Hello").call()
    assert list(Path.cwd().glob("*.jsonl")) == []
    with session.override(mode="auto"):
        LLMCall.from_text("Hello").call()
    assert len(list(Path.cwd().glob("*.jsonl"))) == 1


def test_the_store_remembers_what_keys_chose_so_that_a_reader_without_them_asks_the_same(monkeypatch):
    header = {"format": "tinyllm_magic store", "version": 1, "api_type": "openai", "model": "gpt-4o-mini", "endpoint": None}
    Path("session.llm.jsonl").write_text(json.dumps(header) + "\n", "utf-8")
    with session.override(mode="auto"):
        route = session.route(None, session.settings())
    assert (route.endpoint.provider, route.model) == ("openai", "gpt-4o-mini")

    Path("session.llm.jsonl").unlink()
    assert session.route(None, session.settings()).model == EMBEDDED


def test_closing_folds_the_appended_tail_in_and_twice_does_no_harm(monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    with session.override(mode="auto"):
        for word in "dcba":
            LLMCall.from_text(f"say {word}", temperature=0).call()
        store = session.store(session.settings())
        session.close()
        session.close()
    keys = [json.loads(line)["key"] for line in store.path.read_text("utf-8").splitlines()[1:]]
    assert len(keys) == 4
    assert keys == sorted(keys)


def test_an_override_ends_with_its_block_and_can_be_undone_twice():
    with session.override(temperature=0.5) as change:
        assert session.settings().temperature == 0.5
    change.undo()
    assert session.settings().temperature is None
