"""What the kernel answers the extension; the comm itself is shown to work in a real notebook by ``tests/browser``."""

import json

import pytest

from tinyllm_magic import LLMCall, Store, session
from tinyllm_magic.notebook import front_end


class Comm:
    """An end of a comm, as ipykernel makes it."""

    def __init__(self, target):
        self.target_name, self.sent, self.closed = target, [], False

    def on_msg(self, answer):
        self.ask = answer

    def send(self, data):
        self.sent.append(data)

    def close(self):
        self.closed = True


class CommManager:
    """A kernel's comms, as ipykernel keeps them."""

    def __init__(self):
        self.targets, self.comms = {}, {}

    def register_target(self, name, opened):
        self.targets[name] = opened

    def unregister_target(self, name, _opened):
        return self.targets.pop(name)


def test_loading_lets_the_front_end_ask_and_unloading_takes_that_back(shell):
    shell.run_line_magic("unload_ext", "tinyllm_magic")
    manager = CommManager()
    shell.kernel = type("Kernel", (), {"comm_manager": manager})()
    shell.run_line_magic("load_ext", "tinyllm_magic")
    comm, other = manager.comms["1"], manager.comms["2"] = Comm("tinyllm_magic"), Comm("another")
    manager.targets["tinyllm_magic"](comm, {})
    shell.user_ns["topic"] = "rain"

    comm.ask({"content": {"data": {"id": 1, "type": "complete", "text": "%%llm\n{{ to"}}})
    shell.run_line_magic("unload_ext", "tinyllm_magic")

    assert comm.sent == [{"asks_nobody": False}, {"id": 1, "fragment": "to", "items": [{"text": "topic", "about": "text, 4 characters"}]}]
    assert manager.targets == {}
    assert (comm.closed, other.closed) == (True, False)


def test_strict_replay_is_told_when_the_comm_opens(shell, monkeypatch):
    shell.kernel = type("Kernel", (), {"comm_manager": CommManager()})()
    front_end.listen(shell)
    monkeypatch.setenv("TINYLLM_MODE", "replay")
    comm = Comm("tinyllm_magic")

    shell.kernel.comm_manager.targets["tinyllm_magic"](comm, {})

    assert comm.sent == [{"asks_nobody": True}]


def test_completions():
    found = front_end.answer({"id": 1, "type": "complete", "text": "%%llm\n{{ to"}, {"topic": "rain"})
    assert found == {"id": 1, "fragment": "to", "items": [{"text": "topic", "about": "text, 4 characters"}]}
    assert front_end.answer({"id": 2, "type": "complete", "text": "prose"}, {}) == {"id": 2, "fragment": "", "items": []}


def test_a_count_is_plain_json():
    found = front_end.answer({"id": 3, "type": "count", "cell": "%%llm -m gpt-4o\nhello {{ nme }}"}, {"name": "x"})
    assert json.loads(json.dumps(found)) == {**found, "id": 3, "unknown": {"nme": ["name"]}}


def test_the_setting_meter_turns_the_count_off():
    with session.override(meter="off"):
        assert front_end.answer({"id": 4, "type": "count", "cell": "%%llm\nhello"}, {}) == {"id": 4, "off": True}


@pytest.mark.parametrize(
    "message", [{}, {"type": "ask", "cell": "%%llm\nhello"}, {"type": "run"}, {"type": "read", "path": "a"}, {"type": None}]
)
def test_it_can_be_asked_for_nothing_else(message):
    assert list(front_end.answer({"id": 5, **message}, {})) == ["id", "error"]


@pytest.mark.parametrize("message", [{"type": "complete"}, {"type": "count"}, {"type": "renamed", "old": "a.ipynb"}])
def test_what_goes_wrong_is_told_and_not_raised(message):
    assert list(front_end.answer({"id": 6, **message}, {})) == ["id", "error"]


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A notebook ``deep/old.ipynb`` below the server's root, with one recorded answer."""
    folder = tmp_path / "root" / "deep"
    folder.mkdir(parents=True)
    (folder / "old.ipynb").write_text("{}")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("JPY_SESSION_NAME", str(folder / "old.ipynb"))
    with session.override(api_type="echo", mode="auto"):
        LLMCall.from_text("hello").call()
        yield folder


def rename(old, new):
    return front_end.answer({"id": 7, "type": "renamed", "old": old, "new": new}, {})


def test_the_store_moves_with_a_renamed_notebook_and_the_next_cell_uses_it(notebook):
    (notebook / "old.ipynb").rename(notebook.parent / "new.ipynb")

    assert rename("deep/old.ipynb", "new.ipynb") == {"id": 7, "moved": True}

    assert not (notebook / "old.llm.jsonl").exists()
    assert len(Store(notebook.parent / "new.llm.jsonl")) == 1
    LLMCall.from_text("another").call()
    assert len(Store(notebook.parent / "new.llm.jsonl")) == 2


def test_the_store_is_copied_where_the_notebook_was_saved_under_another_name(notebook):
    (notebook / "copy.ipynb").write_text("{}")

    assert rename("deep/old.ipynb", "deep/copy.ipynb") == {"id": 7, "moved": True}

    assert len(Store(notebook / "old.llm.jsonl")) == len(Store(notebook / "copy.llm.jsonl")) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("deep/other.ipynb", "deep/new.ipynb"),
        ("deep/old.ipynb", "../outside.ipynb"),
        ("deep/old.ipynb", "deep/new.txt"),
        ("deep/old.ipynb", "deep/missing.ipynb"),
    ],
)
def test_a_name_that_is_not_to_be_trusted_moves_nothing(notebook, old, new):
    for name in ("deep/new.ipynb", "../outside.ipynb", "deep/new.txt"):
        (notebook.parent / name).write_text("{}")

    assert list(rename(old, new)) == ["id", "error"]

    assert (notebook / "old.llm.jsonl").exists()
