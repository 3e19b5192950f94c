"""Rows 1 to 24 of the seeds' table: settings, clients, overrides, templates, ``send_message``. One test or more for each row."""

import json
import logging
import time
from pathlib import Path

import pytest

from tinyllm_magic import (
    AzureClient,
    LLMCall,
    OpenAIClient,
    client,
    config,
    default,
    errors,
    force_api_cache,
    force_api_type,
    force_default_value,
    override,
    read_config_file,
    register_client,
    session,
)
from tinyllm_magic.clients.api import api_type_to_client

pytestmark = pytest.mark.usefixtures("transport")

M = [{"role": "user", "content": "hi"}]
SEED_KEYS = {
    "model": str,
    "max_tokens": int,
    "temperature": float,
    "top_p": float,
    "frequency_penalty": float,
    "presence_penalty": float,
    "timeout": float,
    "max_attempts": int,
    "waiting_time": float,
    "exponential_backoff_factor": float,
    "embedding_model": str,
    "cache_api_calls": bool,
    "cache_file_name": str,
}


def send(messages=M, **params):
    return client().send_message(messages, **params)


def write(text, name="config.ini"):
    Path(name).write_text(f"[OpenAI]\n{text}\n", encoding="utf-8")


# -- 1 to 10: configuration -----------------------------------------------------------------------


@pytest.mark.row(1)
def test_a_partial_config_ini_keeps_all_other_defaults():
    write("MODEL=x")
    assert read_config_file(use_cache=False)["OpenAI"]["MAX_ATTEMPTS"] == "5"
    assert default["model"] == "x"
    assert config["OpenAI"]["MODEL"] == "x"


@pytest.mark.row(1)
def test_use_cache_false_reads_again():
    write("MODEL=x")
    assert read_config_file()["OpenAI"]["MODEL"] == "x"
    write("MODEL=y")
    assert read_config_file(use_cache=False)["OpenAI"]["MODEL"] == "y"


@pytest.mark.row(2)
def test_default_has_all_keys_of_the_seeds_with_their_types_or_none():
    assert len(default) >= 13
    assert type(default["max_attempts"]) is int
    for name, kind in SEED_KEYS.items():
        assert default[name] is None or type(default[name]) is kind, name
    sampling = ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty")
    assert [default[name] for name in sampling] == [None] * 5


@pytest.mark.row(2)
def test_default_holds_the_types_where_a_file_sets_the_keys():
    write("MAX_TOKENS=7\nTEMPERATURE=1\nTOP_P=1\nFREQ_PENALTY=0\nPRESENCE_PENALTY=1\nCACHE_API_CALLS=no\nCACHE_FILE_NAME=c.jsonl")
    assert {name: type(default[name]) for name in SEED_KEYS} == SEED_KEYS


@pytest.mark.row(3)
def test_sampling_parameters_reach_the_wire_and_the_call_wins(start):
    fake = start()
    write("MODEL=gpt-4o\nMAX_TOKENS=9\nTEMPERATURE=0.3\nFREQ_PENALTY=0.1\nPRESENCE_PENALTY=0.2")
    send(temperature=0.7)
    assert fake.last["temperature"] == 0.7
    assert fake.last["model"] == default["model"] == "gpt-4o"
    assert (fake.last["max_tokens"], fake.last["frequency_penalty"], fake.last["presence_penalty"]) == (9, 0.1, 0.2)


@pytest.mark.row(3)
def test_what_is_unset_is_not_sent(start):
    fake = start()
    send()
    assert fake.last["model"] == default["model"]
    assert set(fake.last) == {"model", "messages"}


@pytest.mark.row(4)
def test_top_p_is_a_float_and_unset_it_is_not_sent(start):
    fake = start()
    send()
    assert "top_p" not in fake.last
    write("TOP_P=0.9")
    send()
    assert fake.last["top_p"] == 0.9


@pytest.mark.row(5)
def test_timeout_bounds_one_call(start):
    fake = start(200, {"hang": 0})
    send()  # the SDK is imported with the first call
    began = time.monotonic()
    with pytest.raises(errors.CallTimeoutError):
        send(timeout=0.5, max_attempts=1)
    assert time.monotonic() - began < 2  # the row's own bound
    assert fake.n == 2


@pytest.mark.parametrize(
    "turn", [{"hang": 2}, {"chunk_delay": 0.1, "text": "word " * 100}, {"drip": 0.05}], ids=["falls silent", "slow", "drips"]
)
@pytest.mark.row(5)
def test_timeout_bounds_a_stream_as_a_whole(start, turn):
    fake = start(turn)
    prepared = client().prepare(M, None, {"timeout": 0.3, "max_attempts": 1})
    with pytest.raises(errors.CallTimeoutError, match=r"0\.3 s"):
        list(prepared.stream())
    assert fake.last["stream"] is True
    assert fake.n == 1


@pytest.mark.parametrize("turn", [{"drip": 0.05}, {"delay": 5}], ids=["drips", "is late"])
@pytest.mark.row(5)
def test_timeout_bounds_an_answer_in_one_piece(start, turn):
    fake = start(turn)
    with pytest.raises(errors.CallTimeoutError, match=r"0\.3 s"):
        send(timeout=0.3, max_attempts=1)
    assert fake.n <= 1  # on a busy machine the time is over before the request is read


@pytest.mark.row(5)
def test_making_the_sdks_client_does_not_count(start, monkeypatch):
    import openai

    fake, plain = start(), openai.DefaultHttpxClient

    def slow(**options):
        time.sleep(0.6)
        return plain(**options)

    monkeypatch.setattr(openai, "DefaultHttpxClient", slow)
    assert send(timeout=0.5, max_attempts=1)["content"] == "ok"
    assert fake.n == 1


@pytest.mark.row(5)
def test_timeout_is_that_of_each_attempt(start, sleeps):
    fake = start({"hang": 0}, "late but here")
    assert send(timeout=0.3)["content"] == "late but here"
    assert fake.n == 2


@pytest.mark.parametrize("value", ["0", "-1", "abc", "2.5"])
@pytest.mark.row(6)
def test_max_attempts_below_one_is_refused_by_name(value):
    write(f"MAX_ATTEMPTS={value}")
    with pytest.raises(errors.ConfigError, match="MAX_ATTEMPTS"):
        send()


@pytest.mark.row(6)
def test_without_max_attempts_one_call_does_go_out(start):
    fake = start()
    write("MODEL=gpt-4o")
    assert send()["content"] == "ok"
    assert fake.n == 1


@pytest.mark.row(7)
def test_no_sleep_before_the_first_call(start, sleeps):
    start(200)
    send(waiting_time=2)
    assert sleeps == []


@pytest.mark.row(7)
def test_waiting_time_is_the_base_of_the_backoff(start, sleeps):
    start(429, 200)
    send(waiting_time=2)
    assert sleeps == [pytest.approx(2.25, abs=0.26)]


@pytest.mark.row(8)
def test_waits_grow_by_the_factor_and_there_is_none_after_the_last_failure(start, sleeps):
    start(429, 429, 429)
    with pytest.raises(errors.RateLimitError):
        send(waiting_time=1, exponential_backoff_factor=2, max_attempts=3)
    assert sleeps == [pytest.approx(1.125, abs=0.13), pytest.approx(2.125, abs=0.13)]


@pytest.mark.row(8)
def test_waits_are_capped(start, sleeps):
    start(*[500] * 4)
    with pytest.raises(errors.ServerError):
        send(waiting_time=20, exponential_backoff_factor=5, max_attempts=4)
    assert sleeps[1:] == [60, 60]


@pytest.mark.row(9)
def test_an_embedding_of_a_text_works_on_a_fresh_client(start):
    fake = start()
    vector = OpenAIClient().get_embedding("x")
    assert vector == [1.0, float(ord("x")), 1.0]
    assert fake.last["model"] == default["embedding_model"] == "text-embedding-3-small"


@pytest.mark.row(9)
def test_a_list_of_texts_gives_a_list_of_vectors(start):
    fake = start()
    vectors = client().get_embedding(["a", "bb"])
    assert [v[0] for v in vectors] == [1.0, 2.0]
    assert fake.last["input"] == ["a", "bb"]
    assert fake.n == 1


@pytest.mark.row(9)
def test_embeddings_are_retried_and_recorded(start, sleeps):
    fake = start(429, 200)
    write("CACHE_API_CALLS=true\nEMBEDDING_MODEL=my-embedder")
    first, second = client().get_embedding("x"), client().get_embedding("x")
    assert first == second
    assert (fake.n, len(sleeps)) == (2, 1)
    assert fake.last["model"] == "my-embedder"


@pytest.mark.row(9)
def test_a_named_model_may_make_the_embeddings(start):
    chat, fake = start(), start(environ=False)
    write(f"EMBEDDING_MODEL=vectors\n[models.vectors]\nmodel=bge-m3\nbase_url={fake.url}\n[models.other]\nmodel=m")
    client().get_embedding("x")
    assert (chat.n, fake.n, fake.last["model"]) == (0, 1, "bge-m3")


@pytest.mark.row(9)
def test_the_echo_makes_embeddings_too():
    with force_api_type("echo"):
        assert client().get_embedding(["a", "bb"]) == [[1.0, 1.0], [2.0, 1.0]]


@pytest.mark.parametrize("wrong", ["", [], [""], ["a", 3], 5, None])
@pytest.mark.row(9)
def test_what_is_no_text_is_refused_before_a_request(start, wrong):
    fake = start()
    with pytest.raises(ValueError, match="text"):
        client().get_embedding(wrong)
    assert fake.n == 0


@pytest.mark.row(10)
def test_caching_off_makes_no_file(start):
    fake = start()
    write("CACHE_API_CALLS=false\nCACHE_FILE_NAME=answers.jsonl")
    send()
    send()
    assert not Path("answers.jsonl").exists()
    assert fake.n == 2


@pytest.mark.row(10)
def test_caching_on_writes_the_file_named(start):
    fake = start()
    write("CACHE_API_CALLS=true\nCACHE_FILE_NAME=sub/answers.jsonl")
    send()
    send()
    assert Path("sub/answers.jsonl").exists()
    assert fake.n == 1


@pytest.mark.row(10)
def test_a_client_with_a_file_of_its_own_is_asked_about_that_file(start):
    fake = start()
    mine = OpenAIClient(cache_api_calls=True, cache_file_name="own.jsonl")
    plan = mine.prepare(M)
    assert not plan.replays
    mine.send_message(M)
    assert plan.replays
    assert [p.name for p in Path.cwd().glob("*.jsonl")] == ["own.jsonl"]
    assert fake.n == 1


# -- 11 to 17: clients and overrides --------------------------------------------------------------


@pytest.mark.row(11)
def test_the_client_is_that_of_the_configured_type(start):
    start()
    assert type(client()) is OpenAIClient
    write("API_TYPE=azure")
    assert type(client()) is AzureClient


@pytest.mark.row(12)
def test_an_unknown_api_type_is_a_value_error_that_names_it_and_the_known_ones():
    force_api_type("zz")
    with pytest.raises(ValueError, match=r"zz.*openai"):
        client()


@pytest.mark.row(13)
def test_a_registered_client_answers_for_its_type():
    class Mine(OpenAIClient):
        def _raw_model_call(self, model, chat_api_params):
            return {"role": "assistant", "content": f"mine, {model}"}

    mine = Mine()
    register_client("mine", mine)
    force_api_type("mine")
    assert client() is mine
    assert send(model="m")["content"] == "mine, m"
    assert {"openai", "azure", "local", "echo", "mine"} <= set(api_type_to_client())


@pytest.mark.row(13)
def test_a_registered_client_also_serves_named_models():
    class Mine(OpenAIClient):
        def __init__(self, word):
            super().__init__()
            self.word = word

        def _raw_model_call(self, model, chat_api_params):
            return f"{self.word} {model} {self.endpoint.api_type}"

    register_client("mine", Mine("said by"))
    write("[models.small]\nprovider=mine\nmodel=s-1")
    assert send(model="small")["content"] == "said by s-1 mine"


@pytest.mark.row(13)
def test_what_is_no_client_is_refused():
    with pytest.raises(ValueError, match="OpenAIClient"):
        register_client("mine", object())


@pytest.mark.row(14)
def test_force_api_type_holds_to_the_end_of_its_block():
    before = client()
    with force_api_type("echo"):
        assert client() is api_type_to_client()["echo"]
    assert client() is before


@pytest.mark.row(14)
def test_force_api_type_holds_at_once_and_none_takes_it_back():
    before = client()
    force_api_type("echo")
    force_api_type("azure")
    assert client().api_type == "azure"
    force_api_type(None)
    assert client() is before


@pytest.mark.row(15)
def test_force_api_cache_holds_for_present_and_later_clients_and_leaves_other_settings():
    with override(temperature=0.5):
        force_api_cache(True, "forced.jsonl")
        later = OpenAIClient()
        register_client("later", later)
        assert client().cache_api_calls is later.cache_api_calls is True
        assert default["temperature"] == 0.5
        assert default["cache_file_name"] == "forced.jsonl"
    force_api_cache(None)
    assert later.cache_api_calls is False
    with force_api_cache(False):
        assert OpenAIClient(cache_api_calls=True).cache_api_calls is False


@pytest.mark.row(15)
def test_force_api_cache_leaves_a_stricter_mode_alone():
    session.choose(mode="replay")
    with force_api_cache(True):
        assert default["mode"] == "replay"
    assert OpenAIClient(cache_api_calls=True).prepare(M).mode == "replay"


@pytest.mark.row(16)
def test_force_default_value_changes_the_next_call(start):
    fake = start()
    force_default_value("model", "zzz")
    send()
    assert fake.last["model"] == "zzz"
    with force_default_value("temperature", 0.1):
        send()
    assert fake.last["temperature"] == 0.1
    send()
    assert "temperature" not in fake.last


@pytest.mark.row(16)
def test_an_unknown_key_is_a_value_error_with_suggestions():
    with pytest.raises(ValueError, match="'temperature'"):
        force_default_value("temprature", 0.1)


@pytest.mark.row(17)
def test_override_holds_in_its_block_and_the_inner_one_wins(start):
    fake = start()
    with override(model="outer", temperature=0):
        with override(model="inner"):
            send()
        assert (fake.last["model"], fake.last["temperature"]) == ("inner", 0)
        send()
    assert fake.last["model"] == "outer"
    send()
    assert fake.last["model"] == "gpt-4o-mini"


@pytest.mark.row(17)
def test_an_unknown_or_wrong_override_is_refused_and_changes_nothing():
    for wrong in ({"temprature": 1}, {"temperature": "hot"}, {"model": "x", "top_p": 7}):
        with pytest.raises(ValueError, match=r"temp|top_p|TOP_P|TEMP"):
            override(**wrong)
    assert not session.overrides


@pytest.mark.row(17)
def test_llm_config_changes_the_next_cell_until_reset(shell, start):
    fake = start()
    shell.run_line_magic("llm_config", "model=zzz")
    shell.run_cell_magic("llm", "-q", "hi")
    assert fake.last["model"] == "zzz"
    shell.run_line_magic("llm_config", "--reset")
    shell.run_cell_magic("llm", "-q", "hi")
    assert fake.last["model"] == "gpt-4o-mini"


# -- 18 to 23: LLMCall ----------------------------------------------------------------------------


@pytest.mark.row(18)
def test_all_attributes_exist_from_the_start():
    call = LLMCall("s.j2", "u.j2", temperature=0)
    assert (call.system_template_name, call.user_template_name, call.model_params) == ("s.j2", "u.j2", {"temperature": 0})
    assert call.messages == []
    assert call.model_output is None


def templates():
    Path("s.j2").write_text("You know {{ x }}.", encoding="utf-8")
    Path("prompts").mkdir()
    Path("prompts/u.j2").write_text("What is {{ x }}? Grüße", encoding="utf-8")


@pytest.mark.row(19)
def test_call_renders_both_templates_and_keeps_what_was_sent_and_answered(start):
    fake = start("one")
    templates()
    call = LLMCall("s.j2", "u.j2", temperature=0)
    assert call.call(x=1) == "one"
    assert [m["role"] for m in call.messages] == [m["role"] for m in fake.last["messages"]] == ["system", "user"]
    assert fake.last["messages"][1]["content"] == "What is 1? Grüße"
    assert fake.last["temperature"] == 0
    assert call.model_output == {"role": "assistant", "content": "one"}


@pytest.mark.row(20)
def test_a_system_template_alone_is_enough():
    templates()
    assert [m.role for m in LLMCall("s.j2").render(x=1)] == ["system"]


@pytest.mark.row(21)
def test_values_are_not_escaped():
    assert LLMCall("{{x}}").render(x='a<b & "c"')[0].text == 'a<b & "c"'


@pytest.mark.row(21)
def test_an_undefined_variable_is_an_error_that_names_it():
    with pytest.raises(errors.UndefinedError, match="'y'") as caught:
        LLMCall("Tell me of {{ y }}").render(x=1)
    assert caught.value.variable == "y"


@pytest.mark.row(21)
def test_a_missing_template_says_where_it_was_looked_for():
    with pytest.raises(errors.PromptError, match="prompts"):
        LLMCall("missing.j2").render()


@pytest.mark.row(22)
def test_an_answer_without_content_is_none_with_its_tool_calls(start, caplog):
    start({"text": None, "tool_calls": [("add", {"a": 1})]})
    call = LLMCall("Add {{ x }}.")
    assert call.call(x=1) is None
    assert call.response.tool_calls[0].name == "add"
    assert json.loads(call.model_output["tool_calls"][0]["function"]["arguments"]) == {"a": 1}
    assert any(r.levelno == logging.WARNING and "no text" in r.message for r in caplog.records)


@pytest.mark.row(23)
def test_repr_never_fails_and_holds_no_secret(start, monkeypatch):
    start("short")
    call = LLMCall("Say {{ x }}." + " and more" * 50)
    assert "model_params" in repr(call)
    call.call(x=1)
    assert "model_params" in repr(call)
    assert len(repr(call)) < 300
    assert "sk-" not in repr(call)
    assert repr(LLMCall("s.j2")).startswith("LLMCall('s.j2'")


@pytest.mark.row(23)
def test_repr_survives_a_parameter_that_cannot_show_itself_and_shortens_long_ones():
    class Shy:
        def __repr__(self):
            raise RuntimeError

    shown = repr(LLMCall("s.j2", metadata=Shy(), user="u" * 1000))
    assert "Shy" in shown
    assert len(shown) < 300


# -- 24: send_message -----------------------------------------------------------------------------


@pytest.mark.row(24)
def test_every_parameter_of_the_seeds_is_accepted(start):
    fake = start()
    answer = client().send_message(
        current_messages=M,
        model="gpt-4o",
        temperature=0.5,
        max_tokens=7,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        stop=["x"],
        timeout=5,
        max_attempts=2,
        waiting_time=0,
        exponential_backoff_factor=3,
        n=1,
        echo=False,
    )
    assert answer == {"role": "assistant", "content": "ok"}
    sent = {k: v for k, v in fake.last.items() if k not in ("messages", "stream", "stream_options")}
    assert sent == {
        "model": "gpt-4o",
        "temperature": 0.5,
        "max_tokens": 7,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "stop": ["x"],
    }


@pytest.mark.row(24)
def test_an_empty_stop_is_not_sent(start):
    fake = start()
    send(stop=[])
    assert "stop" not in fake.last


@pytest.mark.row(24)
def test_several_choices_are_refused_and_an_unknown_keyword_is_a_type_error(start):
    fake = start()
    with pytest.raises(ValueError, match="n=2"):
        send(n=2)
    with pytest.raises(TypeError, match="'temperature'"):
        send(temperatur=1)
    assert fake.n == 0
