"""Conversations in cells: ``--chat``, ``--keep`` and ``%llm_chat`` through a real shell and real HTTP."""

import json
from itertools import count
from pathlib import Path

import pytest
from filemaker import picture
from IPython.utils.capture import capture_output

from tinyllm_magic import Chat, errors, session


class Notebook:
    """Runs cells by their ids, as a front end that sends them does."""

    def __init__(self, shell):
        self.shell, self._runs = shell, count()

    def __call__(self, cell, source):
        request = {"header": {"msg_id": f"run {next(self._runs)}"}, "metadata": {"cellId": cell}}
        self.shell.get_parent = lambda: request
        with capture_output() as captured:
            result = self.shell.run_cell(source)
        self.error = result.error_in_exec or result.error_before_exec
        self.outputs = [o.data["text/plain"] for o in captured.outputs]
        return self.outputs[-1] if self.outputs else ""


@pytest.fixture
def notebook(shell):
    yield Notebook(shell)
    vars(shell).pop("get_parent", None)


def texts(server, number=-1):
    return [m["content"] for m in server.bodies[number]["messages"]]


def turns(name="chat"):
    return [(t.text, t.answer) for t in Chat(name).turns]


def test_cells_of_a_conversation_are_sent_behind_one_another(start, notebook):
    server = start("4", "8")

    first = notebook("a", "%%llm --chat -s 'Be brief.'\n2 + 2?")
    second = notebook("b", "%%llm -c -o r\nTwice that?")

    assert texts(server) == ["Be brief.", "2 + 2?", "4", "Twice that?"]
    assert first.startswith("chat · turn 1\n4")
    assert second.startswith("chat · turn 2\n8")
    assert notebook.shell.user_ns["r"].text == "8"


@pytest.mark.parametrize("line", ["--chat tea", "-c tea", "-c=tea", "--chat=tea --keep 1", "-c 'tea'"])
def test_a_conversation_has_the_name_that_follows(line, start, notebook):
    start("ok")
    notebook("a", f"%%llm {line}\nHello")
    assert turns("tea") == [("Hello", "ok")]


def test_on_a_line_the_name_stands_behind_a_sign_and_the_text_follows(start, notebook):
    start("one", "two")
    notebook("a", "r = %llm -c tea time?")
    notebook("b", "r = %llm -c=tea time?")
    assert turns("chat") == [("tea time?", "one")]
    assert turns("tea") == [("time?", "two")]


def test_a_cell_run_again_replaces_its_turn_and_the_later_ones_say_that_they_are_stale(start, notebook):
    server = start("one", "two", "other", "again")
    notebook("a", "%%llm -c\nFirst")
    notebook("b", "%%llm -c -o r\nSecond")
    assert notebook("c", "display(r)").startswith("two\n-- ")
    notebook("a", "%%llm -c\nFirst, please")

    assert texts(server) == ["First, please"]
    assert turns() == [("First, please", "other"), ("Second", "two")]
    assert "note: stale: what came before turn 2 of 'chat' has changed since" in notebook("c", "display(r)")

    notebook("b", "%%llm -c -o r\nSecond")
    assert texts(server) == ["First, please", "other", "Second"]
    assert notebook("c", "display(r)").startswith("again\n-- ")


def test_keep_sends_the_last_turns(start, notebook):
    server = start("one", "two", "three")
    for cell in "ab":
        notebook(cell, f"%%llm -c -s System\n{cell}")
    notebook("c", "%%llm -c --keep 1\nc")
    assert texts(server) == ["System", "b", "two", "c"]


def test_a_dry_run_shows_the_whole_conversation_and_leaves_it_as_it_is(start, notebook):
    server = start("one")
    notebook("a", "%%llm -c -s System\nFirst")
    shown = notebook("b", "%%llm -c --dry-run\nSecond")
    assert [shown.index(text) for text in ("System", "First", "one", "Second")] == sorted(
        map(shown.index, ("System", "First", "one", "Second"))
    )
    assert server.n == 1
    assert turns() == [("First", "one")]


def test_samples_say_which_of_them_goes_on(start, notebook):
    server = start("red", "blue", "ok")
    shown = notebook("a", "%%llm -c -n 2\nA colour?")
    assert shown.count("note: the conversation goes on with sample 1") == 2
    notebook("b", "%%llm -c\nAnother?")
    assert texts(server) == ["A colour?", "red", "Another?"]


@pytest.mark.parametrize("option", ["--map rows", "--compare a,b", "--grid temperature=0,1"])
def test_what_asks_many_times_is_refused(option, start, notebook):
    server = start()
    notebook.shell.user_ns["rows"] = [{"a": 1}]
    notebook("a", f"%%llm -c {option}\nHello")
    assert isinstance(notebook.error, errors.OptionError)
    assert "--chat asks one turn after the other" in str(notebook.error)
    assert server.n == 0


def test_keep_without_a_conversation_is_refused(notebook):
    notebook("a", "%%llm --keep 2\nHello")
    assert "--keep goes with --chat" in str(notebook.error)


def test_a_failed_cell_leaves_the_conversation_as_it_was(start, notebook):
    start("one", 400)
    notebook("a", "%%llm -c\nFirst")
    notebook("b", "%%llm -c\nSecond")
    assert isinstance(notebook.error, errors.InvalidRequestError)
    assert turns() == [("First", "one")]


def test_a_stopped_cell_leaves_the_conversation_as_it_was(start, notebook, monkeypatch):
    from tinyllm_magic.display import views

    start("one", "a long answer", "three")
    notebook("a", "%%llm -c\nFirst")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(views.NotebookView, "push", stop)
        notebook("b", "%%llm -c\nSecond")
    assert isinstance(notebook.error, errors.Stopped)
    assert turns() == [("First", "one")]


def test_a_typed_turn_goes_on(start, notebook):
    server = start("none", '{"value": 7}', "ok")
    notebook("a", "%%llm -c --schema int --tries 2 -o r\nHow many?")
    assert notebook.shell.user_ns["r"].parsed == 7
    notebook("b", "%%llm -c\nSure?")
    assert texts(server) == ["How many?", '{"value": 7}', "Sure?"]


def test_a_restart_in_the_middle_replays_what_was_asked_and_goes_on(start, notebook):
    server = start("one", "two", "three")
    cells = {"a": "%%llm -c -s System\nFirst", "b": "%%llm -c\nSecond", "c": "%%llm -c\nThird"}
    for name in "ab":
        notebook(name, cells[name])
    session.reset_for_tests()

    shown = [notebook(name, source) for name, source in cells.items()]

    assert [text.rpartition(" ")[2] for text in shown] == ["recorded", "recorded", "live"]
    assert server.n == 3
    assert turns() == [("First", "one"), ("Second", "two"), ("Third", "three")]


def test_an_image_of_an_earlier_turn_is_sent_again_and_replayed(start, notebook):
    server = start("A corner.", "Red.")
    Path("photo.png").write_bytes(picture())
    cells = {"a": "%%llm -c -m gpt-4o --image photo.png\nWhat is it?", "b": "%%llm -c -o r\nIts colour?"}
    for cell, source in cells.items():
        notebook(cell, source)
    first, second = (body["messages"] for body in server.bodies)
    assert second[0] == first[0]
    assert [part["type"] for part in second[0]["content"]] == ["image_url", "text"]

    session.reset_for_tests()
    for cell, source in cells.items():
        notebook(cell, source)
    assert notebook.shell.user_ns["r"].source == "recorded"
    assert server.n == 2


def test_a_tool_run_of_an_earlier_turn_is_sent_again_and_runs_once(start, notebook):
    server = start({"text": None, "tool_calls": [("add", {"a": 3, "b": 4})]}, "Seven.", "Yes.")
    ran = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        ran.append((a, b))
        return a + b

    notebook.shell.user_ns["add"] = add
    cells = {"a": "from tinyllm_magic import Chat\nprint(Chat().ask('3 + 4?', tools=[add]))", "b": "%%llm -c -o r\nSure?"}
    for _ in range(2):
        for cell, source in cells.items():
            notebook(cell, source)
            assert notebook.error is None
        session.reset_for_tests()

    assert [m["role"] for m in server.bodies[-1]["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    assert [m["content"] for m in server.bodies[-1]["messages"]][2:] == ["7", "Seven.", "Sure?"]
    assert notebook.shell.user_ns["r"].source == "recorded"
    assert (server.n, ran) == (3, [(3, 4)])


def test_the_response_of_a_turn_asks_the_whole_conversation_again(start, notebook):
    server = start("one", "two")
    notebook("a", "%%llm -c\nFirst")
    notebook("b", "%%llm -c -o r\nSecond")
    call = notebook.shell.user_ns["r"].call
    assert call.call() == "two"
    assert [m["content"] for m in call.messages] == ["First", "one", "Second"]
    assert server.n == 2


def test_the_panels_question_is_the_whole_conversation(start, notebook):
    from tinyllm_magic.notebook.state import state

    start("one", "two")
    notebook("a", "%%llm -c\nFirst")
    notebook("b", "%%llm -c\nSecond")
    assert [m.text for m in state.last_question.messages] == ["First", "one", "Second"]


def save(path, *cells):
    made = [{"cell_type": "code", "id": name, "source": source, "metadata": {}, "outputs": []} for name, source in cells]
    Path(path).write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "utf-8")


def test_cells_in_another_order_than_the_notebooks_are_said(start, notebook, monkeypatch):
    start()
    monkeypatch.setenv("JPY_SESSION_NAME", "chat.ipynb")
    cells = {"a": "%%llm -c\nFirst", "b": "%%llm -c\nSecond", "c": "%%llm -c other\nElse", "d": "%%llm --chat -n 1\nLast"}
    save("chat.ipynb", ("plain", "x = 1"), ("bare", "%%llm\nNo conversation"), *cells.items())

    early = notebook("d", cells["d"])
    late = notebook("a", cells["a"])
    last = notebook("c", cells["c"])

    for number in (3, 4):
        assert f"code cell {number}, above this one, is a turn of 'chat' too and was not sent" in early
    assert early.count("note:") == 2
    assert "sent before this turn, but its cell stands below: turn 1; running all cells in order gives another conversation" in late
    assert "note:" not in last


def test_cells_in_the_order_of_the_notebook_say_nothing(start, notebook, monkeypatch):
    start()
    monkeypatch.setenv("JPY_SESSION_NAME", "chat.ipynb")
    cells = {"a": "%%llm -c\nFirst", "b": "%%llm -c\nSecond", "unsaved": "%%llm -c\nThird"}
    save("chat.ipynb", *list(cells.items())[:2])
    assert ["note:" in notebook(*cell) for cell in cells.items()] == [False, False, False]


def test_a_turn_that_passes_the_window_is_said_and_not_sent(start, notebook):
    server = start("ok")
    notebook.shell.user_ns["long"] = "word " * 9000
    notebook("a", "%%llm -c -m gpt-4\n{{ long }}")
    assert "the context window of gpt-4 8,192; --keep N sends the last N turns" in notebook("b", "%%llm -c --dry-run\nMore")
    notebook("b", "%%llm -c\nMore")
    assert isinstance(notebook.error, errors.ContextLengthError)
    assert server.n == 1


def test_the_turns_are_shown_with_their_cells_and_stale_ones_marked(start, notebook, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "chat.ipynb")
    save("chat.ipynb", ("x", "1"), ("a", "%%llm -c\nFirst"))
    start("one", "two", "other")
    notebook("a", "%%llm -c\nFirst")
    notebook("unsaved", "%%llm -c\nSecond")
    notebook("a", "%%llm -c\nFirst, please")

    title, head, _, *lines = notebook("z", "%llm_chat").splitlines()

    assert title == "Conversation chat"
    assert head.split() == ["turn", "cell", "asked", "answered", "model", "from"]
    assert lines[0].split()[:6] == ["1", "code", "cell", "2", "First,", "please"]
    assert lines[1].split()[:7] == ["2", "not", "in", "the", "saved", "notebook", "Second"]
    assert [line.endswith("stale") for line in lines[:2]] == [False, True]
    assert lines[2] == "stale: turn 2; run the cells again, in order"


def test_without_a_saved_notebook_a_cell_is_shown_by_its_id(start, notebook):
    start()
    notebook("0123456789abcdef", "%%llm -c\nFirst")
    assert notebook("z", "%llm_chat").splitlines()[3].split()[:4] == ["1", "id", "89abcdef", "First"]


@pytest.mark.parametrize("line", ["%%llm", "%%llm -c other", "%%llm --grid temperature=0,1"])
def test_a_cell_that_is_no_turn_any_more_takes_its_turn_out(line, start, notebook):
    server = start()
    for cell in "abc":
        notebook(cell, f"%%llm -c\n{cell}")
    notebook("b", f"{line}\nSomething else")

    assert "stale: turn 2" in notebook("z", "%llm_chat show")
    assert turns() == [("a", "ok"), ("c", "ok")]
    notebook("c", "%%llm -c\nc")
    assert texts(server) == ["a", "ok", "c"]


def test_a_cell_that_failed_as_something_else_keeps_its_turn(start, notebook):
    start("one", 400)
    notebook("a", "%%llm -c\nFirst")
    notebook("a", "%%llm\nSomething else")
    notebook("z", "%llm_chat")
    assert turns() == [("First", "one")]


def test_a_cell_that_fails_on_the_way_keeps_the_turns_that_it_did_not_come_to(start, notebook):
    start("1", "2", "3", "other", 400, "again", "5", "6")
    loop = "for text in {texts}:\n    r = %llm -c {{{{ text }}}}"
    notebook("a", loop.format(texts="'abc'"))
    notebook("a", loop.format(texts="'xyz'"))
    assert isinstance(notebook.error, errors.InvalidRequestError)
    notebook("z", "%llm_chat")
    assert [(t.text, t.stale) for t in Chat().turns] == [("x", False), ("b", True), ("c", True)]

    notebook("a", loop.format(texts="'xyz'"))
    notebook("z", "%llm_chat")
    assert [(t.text, t.stale) for t in Chat().turns] == [("x", False), ("y", False), ("z", False)]


def test_one_cell_may_ask_two_conversations(start, notebook):
    server = start()
    both = "r = %llm -c=x Hello x\nr = %llm -c=y Hello y"
    notebook("a", both)
    notebook("b", "%%llm -c x\nMore")
    notebook("a", both.replace("Hello", "Hi"))
    notebook("b", "%%llm -c x\nMore")
    assert texts(server) == ["Hi x", "ok", "More"]
    assert [turns(name)[0][0] for name in "xy"] == ["Hi x", "Hi y"]


def test_a_word_of_the_magic_is_no_name(notebook):
    notebook("a", "%%llm -c list\nFirst")
    assert "'list' is a word of %llm_chat" in str(notebook.error)


def test_conversations_are_listed(start, notebook):
    start()
    assert "Conversations" in notebook("z", "%llm_chat")
    notebook("a", "%%llm -c tea\nFirst")
    assert notebook("z", "%llm_chat list").splitlines()[3].split()[:3] == ["tea", "1", "0"]


def test_a_fork_goes_on_from_a_turn(start, notebook):
    server = start("one", "two", "three")
    notebook("a", "%%llm -c\nFirst")
    notebook("b", "%%llm -c\nSecond")
    assert "begun with 1 turn of 'chat', which stays as it is" in notebook("z", "%llm_chat fork other --at 1")
    notebook("c", "%%llm -c other\nThird")
    assert texts(server) == ["First", "one", "Third"]
    assert len(turns("chat")) == len(turns("other")) == 2


def test_undo_takes_the_last_turn_and_drop_the_conversation(start, notebook):
    start()
    for name in "ab":
        notebook(name, f"%%llm -c tea\n{name}")
    assert "turn 2 was taken away: b" in notebook("z", "%llm_chat tea undo")
    assert turns("tea") == [("a", "ok")]
    assert "'tea' is forgotten; its answers stay recorded" in notebook("z", "%llm_chat tea drop")
    assert turns("tea") == []


@pytest.mark.parametrize("suffix", ["j2", "prompty"])
def test_an_exported_template_asks_the_same(suffix, start, notebook):
    server = start("{{ braces }}\n", "two")
    notebook("a", "%%llm -c --temperature 0.5 -s 'Be brief.'\n{% raw %}{% endraw{% endraw %}")
    notebook("b", "%%llm -c -m other --temperature 0.5 -o r\nSecond")

    assert f"written to asked.{suffix}" in notebook("z", f"%llm_chat export asked.{suffix}")
    notebook("y", f"again = %llm -t asked.{suffix} {'' if suffix == 'prompty' else '-m other --temperature 0.5'}")

    again = notebook.shell.user_ns["again"]
    assert (again.source, again.key) == ("recorded", notebook.shell.user_ns["r"].key)
    assert server.n == 2


def test_a_conversation_is_exported_as_markdown(start, notebook):
    start("*one*", "two", "other")
    notebook("a", "%%llm -c -s System\nFirst")
    notebook("b", "%%llm -c\nSecond")
    notebook("a", "%%llm -c -s System\nFirst!")
    notebook("z", "%llm_chat export chat.md")
    text = Path("chat.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line]
    assert lines[:6] == ["# chat", "## Turn 1", "**system**", "System", "**user**", "First!"]
    assert lines[7:] == ["other", "## Turn 2 (stale)", "**user**", "Second", lines[11], "two"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("nothing show", "there is no conversation 'nothing' in this session"),
        ("chat shwo", "unknown word 'shwo'"),
        ("fork", "%llm_chat fork takes NEW [--at K]"),
        ("fork other --at x", "--at takes the number of a turn, not 'x'"),
        ("fork other --at 7", "cannot be forked at turn 7: it has 1 turn"),
        ("export chat.ipynb", "'chat.ipynb' does not say what to write"),
        ("export no/such/folder/chat.md", "cannot be written"),
        ("undo now", "%llm_chat undo takes no argument"),
    ],
)
def test_a_line_that_cannot_be_followed_says_why(line, words, start, notebook):
    start()
    notebook("a", "%%llm -c\nFirst")
    notebook("z", f"%llm_chat {line}")
    assert isinstance(notebook.error, errors.OptionError)
    assert words in str(notebook.error)
    assert turns() == [("First", "ok")]


def test_the_history_says_which_turns_are_stale(start, notebook):
    start("one", "two", "other")
    notebook("a", "%%llm -c\nFirst")
    notebook("b", "%%llm -c\nSecond")
    notebook("a", "%%llm -c\nFirst, please")
    with capture_output() as captured:
        notebook.shell.run_line_magic("llm_history", "")
    assert captured.outputs[0].data["text/html"].count("stale: what came before turn 2") == 1
