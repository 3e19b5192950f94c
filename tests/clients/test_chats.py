"""``Chat``: what is sent for a turn, in whose place it stands, when it is stale; over real HTTP."""

from types import SimpleNamespace

import pytest

from tinyllm_magic import Chat, LLMCall, errors, override, session
from tinyllm_magic.clients import environment
from tinyllm_magic.clients.chats import describe_stale


@pytest.fixture
def cell(monkeypatch):
    """``cell("a")``: from now on the kernel runs the cell ``a``, again each time it is said."""
    runs = []

    def run(name):
        runs.append(name)
        request = {"header": {"msg_id": f"run {len(runs)}"}, "metadata": {"cellId": name}}
        monkeypatch.setattr(environment, "shell", lambda: SimpleNamespace(get_parent=lambda: request, user_ns={}))

    return run


def sent(server, number=-1):
    return [(m["role"], m["content"]) for m in server.bodies[number]["messages"]]


def answers(chat):
    return [t.answer for t in chat.turns]


def stale(chat):
    return [t.stale for t in chat.turns]


def test_a_turn_is_sent_behind_those_before_it(start):
    server, chat = start("4", "8"), Chat()

    assert chat.ask("2 + 2?", system="Be brief.").text == "4"
    assert chat.ask("Twice that?").text == "8"

    assert sent(server) == [("system", "Be brief."), ("user", "2 + 2?"), ("assistant", "4"), ("user", "Twice that?")]
    assert [(t.text, t.answer) for t in Chat("chat").turns] == [("2 + 2?", "4"), ("Twice that?", "8")]


def test_text_is_sent_as_it_is(start):
    server = start("ok")
    Chat().ask("{{ not_a_name }} {% raw %} {")
    assert sent(server) == [("user", "{{ not_a_name }} {% raw %} {")]


def test_a_turns_own_system_message_holds_for_that_turn_alone(start):
    server, chat = start(), Chat()
    chat.ask("1", system="Be brief.")
    chat.ask("2", system="Be long.")
    chat.ask("3")
    assert [m[1] for m in sent(server, 1)] == ["Be long.", "1", "ok", "2"]
    assert [m[1] for m in sent(server, 2)] == ["Be brief.", "1", "ok", "2", "ok", "3"]


def test_the_first_turns_model_holds_unless_another_is_named(start):
    server, chat = start(), Chat()
    chat.ask("1", model="first")
    chat.ask("2")
    chat.ask("3", model="other")
    chat.ask("4")
    assert [body["model"] for body in server.bodies] == ["first", "first", "other", "first"]


def test_the_first_turns_model_holds_where_the_sessions_is_another_by_now(start):
    server, chat = start(), Chat()
    with override(model="first"):
        chat.ask("1")
    with override(model="second"):
        chat.ask("2")
    assert [body["model"] for body in server.bodies] == ["first", "first"]


def test_keep_sends_the_system_message_and_the_last_turns(start):
    server, chat = start(), Chat()
    for number in "123":
        chat.ask(number, system="Be brief." if number == "1" else None)
    chat.ask("4", keep=1)
    assert [m[1] for m in sent(server)] == ["Be brief.", "3", "ok", "4"]
    with pytest.raises(errors.OptionError, match="keep=0 is not a whole number above 0"):
        chat.ask("5", keep=0)


@pytest.mark.parametrize("failure", [400, {"text": "no json"}])
def test_a_turn_that_fails_leaves_the_conversation_as_it_was(failure, start):
    start("ok", failure)
    chat = Chat()
    chat.ask("1")
    with pytest.raises(errors.TinyLLMError):
        chat.ask("2", schema=int)
    assert [t.text for t in chat.turns] == ["1"]


def test_a_stopped_turn_leaves_the_conversation_as_it_was(start, monkeypatch):
    start("ok")
    chat = Chat()
    chat.ask("1")

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chat.ask("2", call=stop)
    assert [t.text for t in chat.turns] == ["1"]


def test_tries_that_did_not_fit_are_not_part_of_the_conversation(start):
    server, chat = start("nothing", "7", "ok"), Chat()
    assert chat.ask("How many?", schema=int, tries=2).parsed == 7
    chat.ask("Sure?")
    assert [m[1] for m in sent(server)] == ["How many?", "7", "Sure?"]


def test_an_answer_that_only_calls_tools_is_no_turn(start):
    start({"text": None, "tool_calls": [("add", {"a": 1})]})
    chat = Chat()
    with pytest.warns(UserWarning, match="the conversation 'chat' stays as it was"):
        chat.ask("1")
    assert chat.turns == ()


def test_a_cell_that_runs_again_asks_its_turn_in_its_old_place(start, cell):
    server, chat = start("one", "two", "three", "other"), Chat()
    for name in "abc":
        cell(name)
        chat.ask(name)
    cell("b")
    chat.ask("b, please")

    assert [m[1] for m in sent(server)] == ["a", "one", "b, please"]
    assert answers(chat) == ["one", "other", "three"]
    assert stale(chat) == [False, False, True]


def test_a_cell_that_gives_the_same_answer_again_makes_nothing_stale(start, cell):
    server, chat = start("one", "two"), Chat()
    with override(mode="auto"):
        for name in "aba":
            cell(name)
            chat.ask(name)
    assert stale(chat) == [False, False]
    assert server.n == 2


def test_a_stale_turn_is_said_before_it_is_sent_and_on_its_response(start, cell):
    start("one", "two", "three", "other")
    chat, asked = Chat(), {}
    for name in "abca":
        cell(name)
        asked[name] = chat.ask(name)
    cell("d")

    notes = chat.prepare(LLMCall(None, "Go on.")).prepared.notes

    assert notes == ("stale before this turn, and sent as asked: turn 2, 3; run the cells of these first",)
    assert describe_stale(asked["b"]) == ("stale: what came before turn 2 of 'chat' has changed since",)
    assert describe_stale(asked["a"]) == ()


def test_keep_makes_a_turn_independent_of_what_was_not_sent(start, cell):
    start("one", "two", "three", "other")
    chat = Chat()
    for name in "abca":
        cell(name)
        chat.ask(name, keep=1)
    assert stale(chat) == [False, True, False]


def test_a_cell_may_ask_several_turns_and_fewer_the_next_time(start, cell):
    start("1", "2", "3", "z", "4", "5", "y")
    chat = Chat()
    cell("loop")
    for text in ("a", "b", "c"):
        chat.ask(text)
    cell("next")
    chat.ask("z")
    cell("loop")
    for text in ("d", "e"):
        chat.ask(text)
    cell("next")
    chat.ask("y")
    assert [t.text for t in chat.turns] == ["d", "e", "y"]


def test_a_cell_that_asks_more_turns_the_next_time_keeps_them_together(start, cell):
    start()
    chat = Chat()
    for name, texts in (("loop", "a"), ("next", "z"), ("loop", "bc")):
        cell(name)
        for text in texts:
            chat.ask(text)
    assert [t.text for t in chat.turns] == ["b", "c", "z"]


def test_without_cell_ids_each_turn_is_the_next(start):
    start()
    chat = Chat()
    for _ in range(2):
        chat.ask("Go on.")
    assert len(chat.turns) == 2


def test_a_fork_keeps_both(start):
    server, chat = start("1", "2", "3", "4"), Chat()
    chat.ask("a")
    chat.ask("b")
    other = chat.fork("other", at=1)
    chat.ask("c")
    other.ask("d")
    assert [t.text for t in chat.turns] == ["a", "b", "c"]
    assert [m[1] for m in sent(server)] == ["a", "1", "d"]


def test_a_fork_made_again_takes_the_turns_as_they_are_and_keeps_its_own(start, cell):
    start("1", "2", "3")
    chat = Chat()
    cell("a")
    chat.ask("a")
    fork = chat.fork("other")
    cell("b")
    fork.ask("b")
    cell("a")
    chat.ask("a, please")
    chat.fork("other")
    assert [(t.text, t.stale) for t in fork.turns] == [("a, please", False), ("b", True)]


def test_a_fork_never_overwrites_another_conversation(start):
    start()
    Chat("a").ask("1")
    Chat("b").ask("2")
    for name in ("a", "b"):
        with pytest.raises(errors.OptionError, match=f"there is a conversation '{name}' already"):
            Chat("a").fork(name)
    with pytest.raises(errors.OptionError, match="cannot be forked at turn 2: it has 1 turn"):
        Chat("a").fork("c", at=2)


def test_undo_takes_the_last_turn_away(start):
    start()
    chat = Chat()
    chat.ask("1")
    assert chat.undo().text == "1"
    assert chat.turns == ()
    with pytest.raises(errors.OptionError, match="has no turn"):
        chat.undo()


def test_a_restart_gives_the_same_conversation_from_the_store(start):
    server = start("one", "two")

    def run_all():
        chat = Chat()
        return [chat.ask("a", system="Be brief."), chat.ask("b")]

    with override(mode="auto"):
        before = run_all()
    session.reset_for_tests()
    with override(mode="replay"):
        after = run_all()
    assert [r.record for r in before] == [r.record for r in after]
    assert [r.source for r in after] == ["recorded", "recorded"]
    assert server.n == 2


def test_a_conversation_that_passes_the_window_is_not_sent(start, monkeypatch):
    server, chat = start("ok"), Chat()
    chat.ask("word " * 9000, model="gpt-4")  # a window of 8,192 tokens
    with pytest.raises(errors.ContextLengthError, match=r"the context window of gpt-4 8,192") as caught:
        chat.ask("Go on.", model="gpt-4")
    assert "--keep N" in caught.value.hint
    assert server.n == 1
    assert len(chat.turns) == 1


@pytest.mark.parametrize("name", ["", " ", "--keep", 3])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(errors.OptionError, match="is no name of a conversation"):
        Chat(name)


def test_the_prompt_of_a_turn_is_not_written_to_a_file_without_its_conversation(start):
    start()
    chat = Chat()
    chat.ask("1")
    with pytest.raises(errors.OptionError, match="a turn of a conversation"):
        chat.ask("2").call.to_prompty("turn.prompty")


def test_a_template_of_a_turn_is_rendered_once(start):
    server, chat = start(), Chat()
    chat.ask("1", model="first")
    words = iter(["once", "twice"])
    chat.prepare(LLMCall.from_text("{{ next() }}", namespace={"next": lambda: next(words)})).prepared.answer()
    assert sent(server)[-1] == ("user", "once")


def test_every_turn_is_counted_and_remembered(start):
    start()
    chat = Chat()
    chat.ask("1", model="gpt-4o")
    chat.ask("2")
    assert session.budget.totals["gpt-4o"].live == 2
    assert [len(e.request.messages) for e in session.history] == [1, 3]


def test_the_record_of_a_turn_shows_the_conversation(start):
    from tinyllm_magic.notebook import reports

    start("one", "two")
    chat = Chat()
    with override(mode="auto"):
        chat.ask("First")
        key = chat.ask("Second").key
        shown = reports.store_record(key)["text/plain"]
    assert [shown.index(text) for text in ("First", "one", "Second")] == sorted(map(shown.index, ("First", "one", "Second")))


def test_a_turn_keeps_its_tool_calls_and_their_results(start):
    from dataclasses import replace

    from tinyllm_magic import Message

    server, chat = start({"text": "7"}, "ok"), Chat()
    turn = chat.prepare(LLMCall(None, "3 + 4?"))
    response = turn.prepared.answer()
    called = Message("assistant", None, tool_calls=({"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}},))
    way = (*response.request.messages, called, Message("tool", "7", tool_call_id="c"))

    turn.finish(replace(response, request=replace(response.request, messages=way)))
    chat.ask("Sure?")

    assert [m["role"] for m in server.bodies[-1]["messages"]] == ["user", "assistant", "tool", "assistant", "user"]


def test_another_provider_is_said_before_it_is_sent_what_it_has_not_seen(start):
    start()
    chat = Chat()
    chat.ask("1", model="first")
    with override(api_type="echo"):
        notes = chat.prepare(LLMCall(None, "Go on.")).prepared.notes
    assert notes == ("this turn goes to another provider than those before it, with all that is sent of them",)


def test_where_tokens_are_estimated_a_full_window_is_said_and_the_turn_is_sent(start, monkeypatch):
    from tinyllm_magic.models import pricing

    server, chat = start(), Chat()
    chat.ask("1", model="unknown")
    monkeypatch.setattr(pricing, "window", lambda _model: 2)
    (note,) = chat.prepare(LLMCall(None, "Go on.")).prepared.notes
    assert note.startswith("the conversation has ≈ ")
    assert note.endswith("tokens, the context window of unknown 2; --keep N sends the last N turns")
    assert chat.ask("Go on.").text == "ok"
    assert server.n == 2


def test_what_is_no_text_is_refused():
    with pytest.raises(errors.MessageError, match="a turn is asked as text, not list"):
        Chat().ask([])
