"""The names of the seeds' ``openai_utils`` in one module, and the later keywords of its functions."""

import json
from pathlib import Path

import pytest

import tinyllm_magic
from tinyllm_magic import InvalidRequestError, NonTerminalError, OpenAIClient, call_llm, client, errors, force_api_type
from tinyllm_magic import seeds_compat as openai_utils
from tinyllm_magic.seeds_compat import _api_type_to_client, _count_tokens, compose_initial_LLM_messages_with_templates

M = [{"role": "user", "content": "hi"}]


def test_every_name_of_the_module_is_the_packages():
    assert openai_utils.client is tinyllm_magic.client
    assert {n for n in openai_utils.__all__ if getattr(tinyllm_magic, n, None) is not getattr(openai_utils, n)} == {
        "compose_initial_LLM_messages_with_templates",
        "logger",
    }


def test_templates_become_messages():
    Path("sys.j2").write_text("You are {{ who }}.", encoding="utf-8")
    got = compose_initial_LLM_messages_with_templates("sys.j2", "Say {{ what }} <b>.", {"who": "brief & blunt", "what": '"x"'})
    assert got == [{"role": "system", "content": "You are brief & blunt."}, {"role": "user", "content": 'Say "x" <b>.'}]
    with pytest.raises(errors.UndefinedError, match="who"):
        compose_initial_LLM_messages_with_templates("sys.j2")


def test_tokens_are_counted_by_the_function_and_the_method():
    assert _count_tokens(M, "gpt-4-0613") == client()._count_tokens(M, "gpt-4-0613") == tinyllm_magic.count_tokens(M, "gpt-4-0613")


def test_the_registry_is_live_and_registers_what_is_assigned(start):
    class Mine(OpenAIClient):
        def _raw_model_call(self, model, chat_api_params):
            return "mine"

    _api_type_to_client["mine"] = Mine()
    assert _api_type_to_client is tinyllm_magic.api_type_to_client
    assert _api_type_to_client() == dict(_api_type_to_client) == tinyllm_magic.session.registered
    with force_api_type("mine"):
        assert client().send_message(M)["content"] == "mine"
    with pytest.raises(errors.ConfigError, match="takes an instance of OpenAIClient"):
        _api_type_to_client["odd"] = object()


@pytest.mark.parametrize(("error", "calls"), [(NonTerminalError, 3), (InvalidRequestError, 1)])
def test_the_seeds_errors_are_raised_without_arguments(error, calls):
    seen = []

    class Mine(OpenAIClient):
        def _raw_model_call(self, model, chat_api_params):
            seen.append(model)
            raise error

    with pytest.raises(error) as caught:
        Mine().send_message(M, waiting_time=0, max_attempts=3)
    assert len(seen) == calls
    assert str(caught.value)


# -- send_message's later keywords ------------------------------------------------------------------


def test_messages_are_dedented_where_that_is_wanted(start):
    fake = start()
    messages = [{"role": "user", "content": "\n    a\n      b"}, {"role": "user", "content": [{"type": "text", "text": "  x"}]}]
    client().send_message(messages, dedent_messages=True)
    assert [m["content"] for m in fake.last["messages"]] == ["\na\n  b", [{"type": "text", "text": "  x"}]]
    assert messages[0]["content"] == "\n    a\n      b"


def test_stream_false_is_accepted_and_true_is_refused_by_name(start):
    fake = start()
    assert client().send_message(M, stream=False)["content"] == "ok"
    with pytest.raises(TypeError, match="stream=True"):
        client().send_message(M, stream=True)
    assert fake.n == 1


def test_an_unknown_keyword_is_refused_by_name(start):
    fake = start()
    with pytest.raises(TypeError, match="max_content_length"):
        client().send_message(M, max_content_length=5)
    assert fake.n == 0


def person():
    import pydantic

    class Person(pydantic.BaseModel):
        name: str
        age: int = 3
        friends: list["Person"] = []

    Person.model_rebuild(_types_namespace={"Person": Person})
    return Person


def bare(value):
    """A schema without the words that decide nothing."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in value.items() if not (k in ("title", "default") and isinstance(v, (str, int, list)))}
    return value


def test_a_pydantic_class_as_response_format_is_sent_as_the_sdk_sends_it(start):
    from openai.lib._parsing._completions import type_to_response_format_param

    fake = start()
    Person = person()  # noqa: N806
    client().send_message(M, response_format=Person)
    assert bare(fake.last["response_format"]) == bare(json.loads(json.dumps(type_to_response_format_param(Person))))


def test_the_answer_comes_as_the_pydantic_class_where_that_is_wanted(start):
    start('{"name": "Ada", "age": 36, "friends": []}')
    Person = person()  # noqa: N806
    got = client().send_message(M, response_format=Person, enable_pydantic_model_return=True)
    assert got == Person(name="Ada", age=36)


def test_a_pydantic_answer_without_a_response_format_is_refused(start):
    fake = start()
    with pytest.raises(TypeError, match="response_format"):
        client().send_message(M, enable_pydantic_model_return=True)
    assert fake.n == 0


# -- call_llm ------------------------------------------------------------------------------------------


def test_call_llm_takes_its_arguments_in_both_orders_and_messages_by_name(start):
    fake = start(environ=False)
    config = {"models": {"m1": {"base_url": fake.url, "api_key": "sk-a-key-of-one-model", "model": "gpt-x"}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    call_llm("m1", "hi", config, tools)
    call_llm("m1", config, "hi", tools)
    call_llm("m1", config, tools=tools, messages=M)
    call_llm("m1", messages=iter(M), config=config, tools=tools)
    call_llm(model="m1", usr_prompt="hi", config=config, tools=tools)
    call_llm("m1", M, config, tools)
    assert fake.n == 6
    assert all(body == fake.bodies[0] for body in fake.bodies)


@pytest.mark.parametrize("prompt", [{}, {"usr_prompt": "a", "messages": M}], ids=["none", "two"])
def test_call_llm_wants_one_prompt(prompt):
    with pytest.raises(TypeError, match="either usr_prompt or messages"):
        call_llm("m1", config={"models": {"m1": {"provider": "echo"}}}, **prompt)


def test_call_llm_without_a_configuration_says_so():
    with pytest.raises(ValueError, match="needs a config"):
        call_llm("m1", "hi")
