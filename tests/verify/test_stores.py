"""Where the answers of a notebook are found, and the copies that a replay works on."""

import pytest

from tinyllm_magic import Store
from tinyllm_magic.errors import ConfigError
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.recording.names import place_store
from tinyllm_magic.responses import Answer, Record
from tinyllm_magic.verify.stores import find_store


def record(question, answer, created):
    request = Request("echo", "m", (Message("user", question),))
    return Record(request.key, request.canonical(), Answer(text=answer, finish_reason="stop"), created=created)


@pytest.fixture
def fill(tmp_path):
    def fill(name, *records):
        store = Store(tmp_path / name)
        for each in records:
            store.append(each)
        return store

    return fill


def files(folder):
    return {p.name: p.read_bytes() for p in folder.glob("[!.]*.jsonl")}


def test_the_copies_of_a_store_and_of_those_beside_it_lie_in_one_folder_and_are_found_there(fill, tmp_path):
    fill("n.llm.jsonl", record("one", "own", "2026-01-01T00:00:00Z"))
    fill("b.llm.jsonl", record("two", "other", "2026-02-01T00:00:00Z"))
    (tmp_path / "broken.llm.jsonl").write_bytes(b"\x80\x04}.")
    before = files(tmp_path)
    (tmp_path / "scratch").mkdir()

    copies = find_store(tmp_path / "n.ipynb").copy_to(tmp_path / "scratch")

    assert files(copies) == {name: text for name, text in before.items() if name != "broken.llm.jsonl"}
    assert place_store(copies, tmp_path / "n.llm.jsonl") == (copies / "n.llm.jsonl", True)
    assert files(tmp_path) == before


def test_of_a_store_that_was_named_that_file_alone_is_copied(fill, tmp_path, monkeypatch):
    fill("a.llm.jsonl", record("one", "own", ""))
    fill("b.llm.jsonl", record("two", "other", ""))
    monkeypatch.setenv("TINYLLM_STORE", "a.llm.jsonl")
    (tmp_path / "scratch").mkdir()
    copy = find_store(tmp_path / "n.ipynb").copy_to(tmp_path / "scratch")
    assert (copy.name, sorted(files(copy.parent))) == ("a.llm.jsonl", ["a.llm.jsonl"])


def test_the_store_is_the_one_that_settings_name_else_the_one_beside_the_notebook(tmp_path, monkeypatch):
    notebook = tmp_path / "n.ipynb"
    found = find_store(notebook)
    assert (found.store.path, found.has_siblings) == (tmp_path / "n.llm.jsonl", True)
    (tmp_path / "config.ini").write_text("[OpenAI]\nCACHE_FILE_NAME = answers.jsonl\n")
    found = find_store(notebook)
    assert (found.store.path, found.has_siblings) == (tmp_path / "answers.jsonl", False)
    monkeypatch.setenv("TINYLLM_STORE", "others.jsonl")
    assert find_store(notebook).store.path == tmp_path / "others.jsonl"
    (tmp_path / "stores").mkdir()
    monkeypatch.setenv("TINYLLM_STORE", "stores")
    found = find_store(notebook)
    assert (found.store.path, found.has_siblings) == (tmp_path / "stores" / "n.llm.jsonl", True)


def test_a_config_file_of_a_folder_that_is_not_trusted_names_no_store_outside_it(tmp_path):
    (tmp_path / "config.ini").write_text("[OpenAI]\nCACHE_FILE_NAME = ../outside.jsonl\n")
    with pytest.raises(ConfigError, match="names a file outside this folder"):
        find_store(tmp_path / "n.ipynb")
