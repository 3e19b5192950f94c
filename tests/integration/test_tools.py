"""Functions as tools over real HTTP: the loop, its records, replays that run nothing, approval, limits."""

import asyncio
import builtins
import json
from pathlib import Path

import pytest
from fakeserver import Turn

from tinyllm_magic import LLMCall, Store, call_llm, client, errors, override, session

ASKS = {"tool_calls": [("weather", {"city": "Ulm"})]}
BOTH = {"tool_calls": [("weather", {"city": "Ulm"}), ("weather", {"city": "Bonn", "days": 2})]}


@pytest.fixture(autouse=True)
def recording():
    with override(mode="auto", waiting_time=0.01, model="gpt-4o-mini"):
        yield


@pytest.fixture
def ran():
    """What the tool was called with."""
    return []


@pytest.fixture
def weather(ran):
    def weather(city: str, days: int = 1) -> str:
        """Look up the weather.

        Args:
            city: Where.
        """
        ran.append((city, days))
        return f"sunny in {city}"

    return weather


@pytest.fixture
def answers(monkeypatch):
    """``answers("y", "no")``: what the user types at the next questions; the list of the questions."""
    asked = []

    def prepare(*typed):
        rest = iter(typed)

        def answer(question=""):
            asked.append(question)
            return next(rest)

        monkeypatch.setattr(builtins, "input", answer)
        return asked

    return prepare


def ask(*tools, prompt="How is it?", **params):
    call = LLMCall(None, prompt, tools=list(tools), **params)
    call.call()
    return call.response


# -- the loop


def test_a_tool_runs_and_its_result_goes_back_until_there_is_an_answer(start, weather, ran):
    fake = start(BOTH, "Fine in both.")

    response = ask(weather)

    assert response.text == "Fine in both."
    assert ran == [("Ulm", 1), ("Bonn", 2)]
    assert [t["function"]["name"] for t in fake.bodies[0]["tools"]] == ["weather"]
    _, assistant, first, second = fake.bodies[1]["messages"]
    assert [c["function"]["name"] for c in assistant["tool_calls"]] == ["weather", "weather"]
    assert (first["role"], first["content"], first["tool_call_id"]) == ("tool", "sunny in Ulm", assistant["tool_calls"][0]["id"])
    assert second["content"] == "sunny in Bonn"


def test_steps_list_the_calls_with_their_results_and_usage_counts_all_requests(start, weather):
    start(
        {**ASKS, "usage": {"prompt_tokens": 10, "completion_tokens": 5}},
        {"text": "Fine.", "usage": {"prompt_tokens": 20, "completion_tokens": 1}},
    )

    response = ask(weather)

    (step,) = response.steps
    (result,) = step.results
    assert (result.name, result.arguments, result.text, result.error) == ("weather", {"city": "Ulm"}, "sunny in Ulm", "")
    assert result.duration >= 0
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (30, 6)
    assert len(session.history) == 2


def test_calls_without_ids_get_one_each(start, weather, ran):
    calls = [{"type": "function", "function": {"name": "weather", "arguments": f'{{"city": "{city}"}}'}} for city in ("Ulm", "Bonn")]
    fake = start({"tool_calls": calls}, "Fine.")

    ask(weather)

    _, assistant, *results = fake.bodies[1]["messages"]
    ids = [c["id"] for c in assistant["tool_calls"]]
    assert ids == [r["tool_call_id"] for r in results] == ["call_0_0", "call_0_1"]
    assert ran == [("Ulm", 1), ("Bonn", 1)]


def test_what_a_vendor_sends_beside_a_call_goes_back_with_it(start, weather):
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
    fake = start({"tool_calls": [{**call, "extra_content": {"google": {"thought_signature": "abc"}}}]}, "Fine.")

    ask(weather)

    assert fake.bodies[1]["messages"][1]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "abc"}}


def test_an_exception_goes_back_to_the_model_as_text(start):
    def fail(city: str):
        raise LookupError(f"no {city}")

    fake = start({"tool_calls": [("fail", {"city": "Ulm"})]}, "Sorry.")

    response = ask(fail)

    assert fake.last["messages"][-1]["content"] == "Error: LookupError: no Ulm"
    assert response.steps[0].results[0].error == "LookupError: no Ulm"


def test_async_functions_run_within_a_running_loop(start):
    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return n + 1

    fake = start({"tool_calls": [("later", {"n": 1})]}, "Two.")

    async def notebook():
        return ask(later)

    assert asyncio.run(notebook()).text == "Two."
    assert fake.last["messages"][-1]["content"] == "2"


def test_the_run_ends_at_max_steps_with_the_steps_kept(start, weather, ran):
    fake = start(*[{"tool_calls": [("weather", {"city": f"town {i}"})]} for i in range(9)])

    with pytest.raises(errors.ToolError, match="no answer after 3 requests") as caught:
        ask(weather, max_steps=3)

    assert (fake.n, len(ran)) == (3, 2)
    assert len(caught.value.response.steps) == 2
    assert [c.name for c in caught.value.response.tool_calls] == ["weather"]


def test_eight_requests_are_the_most_by_default(start, weather):
    fake = start(*[{"tool_calls": [("weather", {"city": f"town {i}"})]} for i in range(9)])

    with pytest.raises(errors.ToolError):
        ask(weather)

    assert fake.n == 8


def test_a_model_without_tools_answers_without_them(start, weather):
    fake = start(400, "I cannot know.")

    response = ask(weather)

    assert response.text == "I cannot know."
    assert "tools" in response.notes[0]
    assert "tools" not in fake.last


def test_an_answer_that_was_cut_runs_nothing(start, weather, ran):
    start({**ASKS, "finish_reason": "length"})

    response = ask(weather)

    assert (response.finish_reason, ran) == ("length", [])


def test_an_interrupted_tool_is_not_recorded_and_ends_the_run(start):
    def stop():
        raise KeyboardInterrupt

    fake = start({"tool_calls": [("stop", {})]}, "never")

    with pytest.raises(KeyboardInterrupt):
        ask(stop)

    assert fake.n == 1
    assert [r.request["kind"] for r in Store(session.store(session.settings()).path).records()] == ["chat"]


def test_the_budget_counts_every_step(start, weather):
    many = {"prompt_tokens": 1_000_000, "completion_tokens": 1}
    fake = start({**ASKS, "usage": many}, "never", far=True)
    session.budget.limit = 0.1

    with pytest.raises(errors.BudgetError):
        ask(weather, max_tokens=10)

    assert fake.n == 1


def test_an_answer_after_tools_is_checked_against_its_schema(start, weather):
    start({**ASKS, "text": "let me see"}, "sunny", '{"value": "sunny"}')

    response = ask(weather, schema=str, tries=2)

    assert response.parsed == "sunny"


# -- records


def test_a_replay_runs_nothing_and_gives_the_same_response(start, weather, ran):
    fake = start(BOTH, "Fine in both.")
    live = ask(weather)

    for mode in ("auto", "replay"):
        again = ask(weather, mode=mode)
        assert (again.text, again.source) == (live.text, "recorded")
        assert [r.record for s in again.steps for r in s.results] == [r.record for s in live.steps for r in s.results]
    assert (fake.n, len(ran)) == (2, 2)


def test_a_tool_that_deletes_a_file_leaves_it_alone_in_ten_replays(start):
    victim = Path("victim.txt")
    victim.write_text("here")

    def delete_file(path: str) -> str:
        """Delete a file."""
        Path(path).unlink()
        return "deleted"

    start({"tool_calls": [("delete_file", {"path": "victim.txt"})]}, "Done.")
    assert ask(delete_file).text == "Done."
    assert not victim.exists()

    victim.write_text("back")
    for _ in range(10):
        assert ask(delete_file).text == "Done."
        session.reset_for_tests()
        session.choose(mode="auto", model="gpt-4o-mini")
    assert victim.read_text() == "back"


def test_fresh_runs_tools_again(start, weather, ran):
    fake = start(ASKS, "one", ASKS, "two")
    ask(weather)

    assert ask(weather, mode="refresh").text == "two"
    assert (fake.n, len(ran)) == (4, 2)
    assert ask(weather).text == "two"


def test_a_result_is_a_record_of_its_own(start, weather):
    start(ASKS, "Fine.")

    response = ask(weather)

    store = session.store(session.settings())
    (record,) = [r for r in store.records() if r.request["kind"] == "tool"]
    assert record == response.steps[0].results[0].record
    assert record.request["params"] == {"request": response.steps[0].response.key, "index": 0, "arguments": {"city": "Ulm"}}
    assert (record.answer.text, record.request["model"]) == ("sunny in Ulm", "weather")
    assert store.check() == []


def test_a_function_whose_source_changed_is_noted_and_not_run(start, ran):
    def first(city: str) -> str:
        return "one"

    def other(city: str) -> str:
        ran.append(city)
        return "other"

    first.__name__ = other.__name__ = "look"
    start({"tool_calls": [("look", {"city": "Ulm"})]}, "Fine.")
    ask(first)

    response = ask(other)

    assert ran == []
    assert response.text == "Fine."
    assert any("the source of look has changed" in note for note in response.notes)
    assert not any("changed" in note for note in ask(first).notes)


def without_results():
    """A store from elsewhere: the model's answers, but no result of a tool."""
    store = session.store(session.settings())
    store.clear([r.key for r in store.records() if r.request["kind"] == "tool"])
    session.reset_for_tests()
    session.choose(mode="auto", model="gpt-4o-mini")


def test_a_recorded_call_without_a_result_does_not_run_where_nobody_can_be_asked(start, weather, ran):
    fake = start(ASKS, "Fine.")
    ask(weather)
    without_results()

    with pytest.raises(errors.ToolError, match=r"weather\(city='Ulm'\) was not run: the model's call comes from a record"):
        ask(weather)

    assert (fake.n, len(ran)) == (2, 1)


def test_a_recorded_call_without_a_result_runs_once_it_is_allowed(start, weather, ran, answers):
    start(ASKS, "Fine.")
    ask(weather)
    without_results()
    asked = answers("y")

    assert ask(weather).text == "Fine."
    assert ask(weather).text == "Fine."
    assert (len(asked), len(ran)) == (1, 2)


def test_strict_replay_of_a_call_without_a_result_is_a_miss(start, weather, ran, answers):
    start(ASKS, "Fine.")
    ask(weather)
    without_results()
    answers("y")

    with pytest.raises(errors.ReplayMiss, match=r"no recorded result of weather\(city='Ulm'\)"):
        ask(weather, mode="replay")

    assert len(ran) == 1


def test_a_run_that_was_broken_off_goes_on_with_what_is_recorded(start, ran, answers):
    def note(n: int) -> str:
        ran.append(n)
        if n == 2 and len(ran) == 2:
            raise KeyboardInterrupt
        return f"noted {n}"

    fake = start({"tool_calls": [("note", {"n": 1}), ("note", {"n": 2})]}, "Both.")
    with pytest.raises(KeyboardInterrupt):
        ask(note)
    session.reset_for_tests()
    session.choose(mode="auto", model="gpt-4o-mini")
    answers("yes")

    assert ask(note).text == "Both."
    assert ran == [1, 2, 2]
    assert fake.n == 2


def test_samples_have_results_of_their_own(start, weather, ran):
    start(ASKS, "one", ASKS, "two")

    assert [ask(weather, sample=k).text for k in (0, 1)] == ["one", "two"]
    assert len(ran) == 2


# -- approval


def test_approval_asks_before_each_call_and_a_refusal_is_an_answer_to_the_model(start, weather, ran, answers):
    fake = start(BOTH, "I see.")
    asked = answers("y", "too far")

    response = ask(weather, approve=True)

    assert ran == [("Ulm", 1)]
    assert [q.startswith("Run weather(city=") for q in asked] == [True, True]
    assert fake.last["messages"][-1]["content"] == "Refused: the user did not allow this call: too far"
    assert [r.refusal for r in response.steps[0].results] == ["", "the user did not allow this call: too far"]


def test_a_replay_asks_for_nothing(start, weather, answers):
    start(ASKS, "I see.")
    asked = answers("n")
    ask(weather, approve=True)

    assert ask(weather, approve=True).text == "I see."
    assert len(asked) == 1


def test_approval_where_nobody_can_be_asked_is_an_error(start, weather, ran):
    start(ASKS, "never")

    with pytest.raises(errors.ToolError, match="nobody can be asked"):
        ask(weather, approve=True)

    assert ran == []


# -- the other ways to ask


def test_call_llm_and_send_message_run_functions(start, weather, ran):
    fake = start(ASKS, "Fine.", ASKS, "Good.")
    config = {"models": {"m": {"provider": "openai", "model": "gpt-4o-mini", "base_url": fake.url, "api_key_env": "OPENAI_API_KEY"}}}

    assert call_llm("m", "How is it?", config, tools=[weather]).content == "Fine."
    assert client().send_message("And now?", tools=[weather])["content"] == "Good."
    assert len(ran) == 2


def test_tools_that_are_dicts_are_the_callers_business(start, weather, ran):
    plain = {"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}}
    start({"tool_calls": [("book", {})]}, {"tool_calls": [("weather", {"city": "Ulm"}), ("book", {})]})

    alone = client().send_message("Book it.", tools=[plain])
    mixed = client().send_message("Look and book it.", tools=[plain, weather])

    assert alone["tool_calls"][0]["function"]["name"] == "book"
    assert [c["function"]["name"] for c in mixed["tool_calls"]] == ["weather", "book"]
    assert ran == []


def test_a_clients_own_send_message_gets_tools_as_dicts(start, weather, ran):
    from tinyllm_magic import OpenAIClient, force_api_type, register_client

    given = []

    class Own(OpenAIClient):
        def send_message(self, messages, **params):
            given.append(params)
            if len(given) > 1:
                return {"role": "assistant", "content": "Fine."}
            call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
            return {"role": "assistant", "content": None, "tool_calls": [call]}

    register_client("own", Own())
    with force_api_type("own"):
        assert ask(weather, max_steps=4).text == "Fine."
    assert given[0]["tools"][0]["function"]["name"] == "weather"
    assert "max_steps" not in given[0]
    assert ran == [("Ulm", 1)]


@pytest.mark.parametrize(
    ("params", "option"),
    [
        ({"tools": ["weather"]}, "tools"),
        ({"tools": 3}, "tools"),
        ({"max_steps": 3}, "max_steps"),
        ({"approve": True}, "approve"),
        ({"tools": [print], "max_steps": 0}, "max_steps"),
        ({"tools": [json.loads, json.loads]}, "tools"),
    ],
    ids=["a name", "a number", "steps alone", "approval alone", "no step", "twice"],
)
def test_tools_that_cannot_be_used_are_refused_before_anything_is_sent(start, params, option):
    fake = start("never")

    with pytest.raises(errors.OptionError) as caught:
        LLMCall(None, "Hello you", **params).call()

    assert (caught.value.option, fake.n) == (option, 0)


def test_a_prompty_file_brings_no_function_and_no_steps(start, ran):
    Path("odd.prompty").write_text("---\nmodel:\n  parameters:\n    max_steps: 3\n---\nuser:\nHello\n")

    with pytest.raises(errors.PromptError, match="max_steps"):
        LLMCall("odd.prompty")


@pytest.mark.parametrize("stream", [True, False])
def test_streamed_and_whole_answers_give_the_same_run(start, weather, stream):
    start(ASKS, "Fine.")
    prepared = LLMCall(None, "How is it?", tools=[weather]).prepare()

    response = prepared.stream().finish() if stream else prepared.answer()

    assert (response.text, response.steps[0].results[0].text) == ("Fine.", "sunny in Ulm")


def test_an_answer_of_nothing_but_a_refusal_ends_the_run(start, weather):
    start(ASKS, Turn(text=None, refusal="I cannot say."))

    response = ask(weather)

    assert response.to_dict()["refusal"] == "I cannot say."
    assert len(response.steps) == 1
