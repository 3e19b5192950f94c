"""Clients whose class has its own ``send_message``: what answers calls, cells, maps and named models."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from tinyllm_magic import LLMCall, OpenAIClient, call_llm, client, errors, force_api_type, map_rows, override, register_client, session

M = [{"role": "user", "content": "hi"}]


class Mine(OpenAIClient):
    """A whole call of its own."""

    def send_message(self, current_messages, **params):
        self.calls = [*getattr(self, "calls", []), params]
        return {"role": "assistant", "content": f"mine: {current_messages[-1]['content']}"}


class Loud(OpenAIClient):
    """The seeds' signature, and the call that it overrides."""

    def send_message(
        self,
        current_messages,
        model=None,
        temperature=None,
        max_tokens=None,
        top_p=None,
        frequency_penalty=None,
        presence_penalty=None,
        stop=None,
        timeout=None,
        max_attempts=None,
        waiting_time=None,
        exponential_backoff_factor=None,
        n=1,
        echo=False,
    ):
        arguments = (temperature, max_tokens, top_p, frequency_penalty, presence_penalty, stop, timeout, max_attempts)
        said = super().send_message(current_messages, model, *arguments, waiting_time, exponential_backoff_factor, n, echo)
        return {**said, "content": said["content"].upper()}


@pytest.fixture
def use():
    """Register an instance of a class, and let it answer."""

    def registered(kind):
        mine = kind()
        register_client("mine", mine)
        force_api_type("mine")
        return mine

    return registered


@pytest.fixture
def recording():
    path = Path("answers.llm.jsonl").absolute()
    with override(cache_api_calls=True, cache_file_name=str(path)):
        yield path


def test_it_answers_a_call_with_what_the_call_passes(use):
    mine = use(Mine)
    call = LLMCall("Be brief.", "Say {{ x }}.", temperature=0.5, timeout=7, model="some-model")
    assert call.call(x=1) == "mine: Say 1."
    assert mine.calls == [{"model": "some-model", "temperature": 0.5, "timeout": 7}]
    assert (call.model_output["content"], call.response.usage.estimated) == ("mine: Say 1.", True)


def test_it_answers_maps(use):
    use(Mine)
    assert [str(r) for r in map_rows(LLMCall(None, "Say {{ x }}."), [{"x": 1}, {"x": 2}])] == ["mine: Say 1.", "mine: Say 2."]


def test_it_answers_cells(use, shell):
    use(Mine)
    shell.run_cell_magic("llm", "-o r -q --mode off", "Hello")
    assert shell.user_ns["r"].text == "mine: Hello"


def test_it_answers_call_llm_for_its_models(use):
    use(Mine)
    assert call_llm("m1", "hi", {"models": {"m1": {"provider": "mine"}}}).content == "mine: hi"


def test_its_answers_are_recorded_and_replayed(use, recording):
    mine = use(Mine)
    answers = [LLMCall(None, "Say hi").call() for _ in range(2)]
    with override(mode="replay"):
        answers.append(LLMCall(None, "Say hi").call())
    assert (answers, len(mine.calls)) == (["mine: Say hi"] * 3, 1)


def test_a_miss_of_a_strict_replay_does_not_ask_it(use, recording):
    mine = use(Mine)
    with override(mode="replay"), pytest.raises(errors.ReplayMiss):
        LLMCall(None, "Say hi").call()
    assert not hasattr(mine, "calls")


@pytest.mark.parametrize("cap", [None, 1])
def test_what_it_asks_of_the_method_it_overrides_is_part_of_the_same_call(start, use, recording, cap):
    fake = start({"text": "quiet", "finish_reason": "length", "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    use(Loud)
    with override(max_concurrent_model_calls=cap):
        call = LLMCall(None, "Say {{ x }}.", temperature=0.5)
        assert [call.call(x=1), call.call(x=1)] == ["QUIET", "QUIET"]
    assert (fake.n, fake.last["temperature"]) == (1, 0.5)
    response = session.history[0].response
    assert (response.finish_reason, response.usage.prompt_tokens, response.usage.estimated) == ("length", 9, False)
    assert [e.response.source for e in session.history] == ["live", "recorded"]
    assert len(recording.read_bytes().splitlines()) == 2  # header and one record


def test_called_directly_it_is_asked_once_and_the_call_is_recorded(start, use, recording):
    fake = start("quiet")
    use(Loud)
    assert [client().send_message(M)["content"] for _ in range(2)] == ["QUIET", "QUIET"]
    assert fake.n == 1
    assert LLMCall(None, "Say hi").call() == "OK"  # another question: what answers it is the whole method
    assert LLMCall(None, "Say hi").call() == "OK"
    assert fake.n == 2


def test_failures_are_repeated_in_one_layer(start, use, sleeps):
    fake = start(*[500] * 9)
    use(Loud)
    with pytest.raises(errors.ServerError):
        LLMCall(None, "Say hi", max_attempts=3).call()
    assert (fake.n, len(sleeps)) == (3, 2)


def test_a_failure_that_it_raises_itself_is_repeated(use, sleeps):
    class Flaky(Mine):
        def send_message(self, current_messages, **params):
            said = super().send_message(current_messages, **params)
            if len(self.calls) < 3:
                raise errors.NonTerminalError
            return said

    mine = use(Flaky)
    assert LLMCall(None, "Say hi").call() == "mine: Say hi"
    assert len(mine.calls) == 3


def test_no_message_is_an_error_at_once(use, sleeps):
    class Silent(Mine):
        def send_message(self, current_messages, **params):
            super().send_message(current_messages, **params)

    mine = use(Silent)
    with pytest.raises(errors.InvalidRequestError, match=r"Silent\.send_message returned no message"):
        LLMCall(None, "Say hi").call()
    assert len(mine.calls) == 1


def test_a_plan_travels_to_another_process_without_the_client(use):
    use(Mine)
    plan = LLMCall(None, "Say hi").prepare().plan
    travelled = replace(plan, transport=pickle.loads(pickle.dumps(plan.transport)))
    assert session.prepare_plan(travelled).answer().text == "mine: Say hi"


class Narrow(OpenAIClient):
    """A signature without defaults, and text for an answer."""

    def send_message(self, messages, model, temperature):
        return f"{model} at {temperature}: {messages[-1]['content']}"


def test_a_signature_without_defaults_gets_what_the_request_holds(use):
    use(Narrow)
    with override(model="m1"):
        assert LLMCall(None, "Say {{ x }}", temperature=0.5).call(x=1) == "m1 at 0.5: Say 1"
        assert LLMCall(None, "Say {{ x }}").call(x=1) == "m1 at None: Say 1"
