"""Rows 25 to 39 of the seeds' table: attempts, errors, transports of one's own, and recorded answers."""

import copy
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fakeserver import Turn

from tinyllm_magic import OpenAIClient, Store, client, errors, force_api_type, override, register_client
from tinyllm_magic.json_text import extract_json, sanitize_dict
from tinyllm_magic.recording.store import StoreWarning

pytestmark = pytest.mark.usefixtures("transport")

M = [{"role": "user", "content": "hi"}]


def send(messages=M, **params):
    return client().send_message(messages, **params)


@pytest.fixture
def recording():
    """Recording is on, as in a notebook."""
    path = Path("answers.llm.jsonl").absolute()
    with override(cache_api_calls=True, cache_file_name=str(path)):
        yield path


# -- 25 to 31: attempts and errors ----------------------------------------------------------------


@pytest.mark.row(25)
def test_the_callers_messages_stay_as_they_are(start, sleeps):
    fake = start(500, 200)
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    kept = copy.deepcopy(messages)
    send(messages, tools=[{"type": "function", "function": {"name": "f"}}])
    assert messages == kept
    assert fake.bodies[0] == fake.bodies[1]


@pytest.mark.row(25)
def test_every_attempt_sends_the_same_body(start, sleeps):
    fake = start(429, 500, 200)
    send(temperature=0.2, response_format={"type": "json_object"})
    assert fake.bodies[0] == fake.bodies[1] == fake.bodies[2]


@pytest.mark.row(26)
def test_a_rate_limit_is_retried(start, sleeps):
    fake = start(429, 200)
    assert send()["content"] == "ok"
    assert fake.n == 2


@pytest.mark.row(26)
def test_a_rate_limit_is_retried_after_the_wait_that_the_server_asks_for(start, sleeps):
    start({"status": 429, "headers": {"Retry-After": "7"}}, 200)
    send(waiting_time=1)
    assert sleeps == [7]


@pytest.mark.row(26)
def test_there_is_one_layer_of_retries(start, sleeps):
    fake = start(*[429] * 9)
    with pytest.raises(errors.RateLimitError):
        send(max_attempts=3)
    assert fake.n == 3


@pytest.mark.row(26)
def test_a_wait_beyond_five_minutes_is_not_waited_for_and_told(start, sleeps):
    fake = start({"status": 429, "headers": {"Retry-After": "3600"}}, 200)
    with pytest.raises(errors.RateLimitError, match="3600 s"):
        send()
    assert (fake.n, sleeps) == (1, [])


@pytest.mark.parametrize(
    "turn", [500, 502, 503, 529, 408, 409, {"cut": 0}, {"cut": 2}, {"garbage": "<html>busy</html>"}, {"no_choices": True}]
)
@pytest.mark.row(27)
def test_failures_that_may_pass_are_retried(start, sleeps, turn):
    fake = start(turn, 200)
    assert send()["content"] == "ok"
    assert fake.n == 2
    assert len(sleeps) == 1


@pytest.mark.row(27)
def test_a_timeout_is_retried(start, sleeps):
    fake = start({"hang": 0}, 200)
    assert send(timeout=0.3)["content"] == "ok"
    assert fake.n == 2


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthError),
        (403, errors.AuthError),
        (404, errors.NotFoundError),
        (422, errors.InvalidRequestError),
    ],
)
@pytest.mark.row(28)
def test_a_permanent_failure_is_raised_at_once_with_the_providers_words(start, sleeps, status, kind):
    fake = start(Turn(status=status, body={"error": {"message": "These are its own words.", "type": "t", "code": None}}))
    with pytest.raises(kind, match="These are its own words") as caught:
        send()
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.request_id, fake.n, sleeps) == (status, "req_1", 1, [])


def in_place_of_the_sdk(raw):
    class Mine(OpenAIClient):
        calls = 0

        def _raw_model_call(self, model, chat_api_params):
            type(self).calls += 1
            return raw(self.calls)

    register_client("mine", Mine())
    force_api_type("mine")
    return Mine


@pytest.mark.row(29)
def test_a_subclass_that_raises_non_terminal_error_is_asked_again(sleeps):
    def raw(count):
        if count < 3:
            raise errors.NonTerminalError("not yet")
        return "third"

    mine = in_place_of_the_sdk(raw)
    assert send()["content"] == "third"
    assert (mine.calls, len(sleeps)) == (3, 2)


@pytest.mark.row(29)
def test_a_subclass_that_raises_invalid_request_error_stops(sleeps):
    def raw(count):
        raise errors.InvalidRequestError("no use")

    mine = in_place_of_the_sdk(raw)
    with pytest.raises(errors.InvalidRequestError, match="no use"):
        send()
    assert (mine.calls, sleeps) == (1, [])


@pytest.mark.row(30)
def test_giving_up_tells_attempts_and_the_first_and_last_cause(start, sleeps):
    start(500, 429, Turn(status=429, body={"error": {"message": "Really too many.", "code": "rate_limit_exceeded"}}))
    with pytest.raises(errors.RateLimitError) as caught:
        send(max_attempts=3)
    error = caught.value
    assert type(error.attempts) is int
    assert error.attempts == 3
    assert isinstance(error.first, errors.ServerError)
    assert error.last is error
    assert "3 attempts" in str(error)
    assert "429" in str(error)
    assert "Really too many." in str(error)
    assert "the first failure was: The server had an error" in str(error)
    assert "MAX_ATTEMPTS" in str(error)  # what to do
    assert "'stream'" not in str(error)


@pytest.mark.row(30)
def test_the_cause_is_the_sdks_error_and_the_chain_ends(start, sleeps):
    import openai

    start(429, {"hang": 0})
    with pytest.raises(errors.CallTimeoutError) as caught:
        send(max_attempts=2, timeout=0.3)
    chain, link = [], caught.value
    while link is not None:
        assert link not in chain
        chain.append(link)
        link = link.__cause__
    assert any(isinstance(e, openai.APITimeoutError) for e in chain)
    assert isinstance(caught.value.first.__cause__, openai.RateLimitError)


@pytest.mark.row(30)
def test_the_seeds_none_is_there_for_those_who_switch_it_on(start, sleeps, caplog):
    start(429, 429, 200)
    mine = OpenAIClient()
    mine.none_on_failure = True
    assert mine.send_message(M, max_attempts=2) is None
    assert "2 attempts" in caplog.text
    assert mine.send_message(M, max_attempts=2)["content"] == "ok"


CONTEXT = {"error": {"message": "This model's maximum context length is 10 tokens.", "code": "context_length_exceeded"}}
FILTER = {"error": {"message": "The response was filtered.", "code": "content_filter"}}
QUOTA = {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}
IMAGES = {"error": {"message": "image_url is not supported by this model.", "code": "unsupported"}}


@pytest.mark.parametrize(
    ("turn", "kind", "words"),
    [
        (401, errors.AuthError, "Incorrect API key"),
        (403, errors.AuthError, "may not use this model"),
        (404, errors.NotFoundError, "does not exist"),
        (429, errors.RateLimitError, "Rate limit reached"),
        (Turn(status=429, body=QUOTA), errors.QuotaError, "current quota"),
        (Turn(status=400, body=CONTEXT), errors.ContextLengthError, "maximum context length"),
        (Turn(status=400, body=FILTER), errors.ContentFilterError, "filtered"),
        (Turn(status=400, body=IMAGES), errors.UnsupportedError, "image_url is not supported"),
        (400, errors.InvalidRequestError, "Invalid value"),
        (503, errors.ServerError, "had an error"),
        ({"hang": 0}, errors.CallTimeoutError, "no complete answer"),
        ({"cut": 0}, errors.ConnectionFailedError, "connection"),
        ({"garbage": "<html>Hello</html>"}, errors.BadResponseError, "Hello"),
        ({"garbage": '{"choices": [', "content_type": "application/json"}, errors.BadResponseError, "choices"),
        ({"garbage": '{"detail": "Not here"}', "content_type": "application/json"}, errors.BadResponseError, "Not here"),
        ({"no_choices": True}, errors.BadResponseError, "no choice"),
        ({"finish_reason": None}, errors.BadResponseError, "no finish reason"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
@pytest.mark.row(31)
def test_each_failure_has_its_class_a_hint_and_the_providers_words(start, turn, kind, words):
    fake = start(turn)
    with pytest.raises(kind, match=words) as caught:
        send(timeout=0.5 if turn == {"hang": 0} else 20, max_attempts=1)
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, errors.ProviderError)
    assert error.hint or kind is errors.InvalidRequestError
    assert error.retryable is issubclass(kind, errors.NonTerminalError)
    if error.status:
        assert error.request_id == "req_1"
    assert fake.n == 1


@pytest.mark.parametrize("turn", [{"no_choices": True}, {"finish_reason": None, "done": False}, {"cut": 2}])
@pytest.mark.row(31)
def test_a_stream_that_ends_too_early_is_no_answer(start, turn):
    fake = start(turn)
    prepared = client().prepare(M, None, {"max_attempts": 1})
    with pytest.raises((errors.BadResponseError, errors.ConnectionFailedError), match=r"before the answer was finished|connection"):
        list(prepared.stream())
    assert fake.n == 1


@pytest.mark.row(31)
def test_a_configuration_error_is_no_provider_error(start):
    fake = start()
    Path("config.ini").write_text("[OpenAI]\nTEMPERATURE = hot\n", encoding="utf-8")
    with pytest.raises(errors.ConfigError, match=r"TEMPERATURE = 'hot' .*config\.ini.* number from 0 to 2") as caught:
        send()
    assert not isinstance(caught.value, errors.ProviderError)
    assert fake.n == 0


# -- 32 to 34: a transport of one's own, JSON -----------------------------------------------------


@pytest.mark.row(32)
def test_a_function_replaces_the_transport_and_keeps_retries_and_records(start, sleeps, recording):
    fake = start()
    asked = []

    def mine(**params):
        asked.append(params)
        if len(asked) == 1:
            raise errors.NonTerminalError("busy")
        return {"role": "assistant", "content": "ok, mine"}

    assert send(M, call=mine, temperature=0)["content"] == "ok, mine"
    assert send(M, call=mine, temperature=0)["content"] == "ok, mine"
    assert [p["messages"] for p in asked] == [M, M]
    assert asked[1]["temperature"] == 0
    assert (fake.n, len(sleeps)) == (0, 1)


@pytest.mark.row(32)
def test_a_lambda_is_enough():
    assert send(M, call=lambda **k: {"role": "assistant", "content": "ok"})["content"] == "ok"


@pytest.mark.row(32)
def test_a_function_that_returns_no_answer_is_told_so():
    async def later(**_):
        pytest.fail("nobody awaits it")

    for transport, kind in ((lambda **_: None, "NoneType"), (later, "coroutine")):
        with pytest.raises(errors.BadResponseError, match=f"the transport returned {kind}"):
            send(M, call=transport, max_attempts=1)


@pytest.mark.row(33)
def test_the_extractor_alone_can_be_replaced_and_sees_the_raw_response(start):
    import openai

    start("the answer")
    seen = []

    class Mine(OpenAIClient):
        def _raw_model_response_extractor(self, response):
            seen.append(response)
            return {"role": "assistant", "content": response.choices[0].message.content.upper()}

    assert Mine().send_message(M)["content"] == "THE ANSWER"
    assert isinstance(seen[0], openai.types.chat.ChatCompletion)


@pytest.mark.row(33)
def test_the_extractor_of_one_instance_can_be_replaced(start):
    start("the answer")
    mine = OpenAIClient()
    mine._raw_model_response_extractor = lambda response: response.choices[0].message.content.upper()
    assert mine.send_message(M)["content"] == "THE ANSWER"


@pytest.mark.row(33)
def test_the_call_alone_can_be_replaced(start):
    fake = start("from the wire")
    models = []

    class Mine(OpenAIClient):
        def _raw_model_call(self, model, chat_api_params):
            models.append(model)
            return super()._raw_model_call(model, {**chat_api_params, "temperature": 0.1})

    assert Mine().send_message(M, model="gpt-4o")["content"] == "from the wire"
    assert (models, fake.last["temperature"]) == (["gpt-4o"], 0.1)


@pytest.mark.row(33)
def test_setup_from_config_may_make_the_client(start):
    import openai

    fake = start(environ=False)

    class Mine(OpenAIClient):
        def _setup_from_config(self):
            self.client = openai.OpenAI(api_key="own", base_url=fake.url, max_retries=0)

    assert Mine().send_message(M, model="m")["content"] == "ok"
    assert fake.headers["authorization"] == "Bearer own"


@pytest.mark.row(33)
def test_a_client_of_the_sdk_can_be_put_in_place(start):
    import openai

    fake = start(environ=False)
    mine = OpenAIClient()
    with openai.OpenAI(api_key="own", base_url=fake.url) as mine.client:
        assert mine.send_message(M, model="m")["content"] == "ok"
    assert fake.n == 1


@pytest.mark.row(34)
def test_sanitize_dict_gives_plain_json_data():
    assert sanitize_dict({"a": "x\ud800"}) == {"a": "x"}
    assert sanitize_dict({1: (1, None, 2.5, True)}) == {"1": [1, None, 2.5, True]}


@pytest.mark.row(34)
def test_sanitize_dict_bounds_the_depth():
    deep: list = []
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(ValueError, match="levels"):
        sanitize_dict(deep)
    with pytest.raises(ValueError, match="JSON cannot hold"):
        sanitize_dict({"a": object()})


@pytest.mark.row(34)
def test_no_json_differs_from_an_empty_object():
    assert extract_json("{}") == {}
    for text in ("none", "", "[{[}]"):
        with pytest.raises(errors.NoJSONError):
            extract_json(text)


@pytest.mark.parametrize(
    "text",
    ['```json\n{"a": [1, 2]}\n```', 'Sure: {"a": [1, 2,],} Done.', '[note] {"a": [1, 2]}', '{"b": 1}, no: {"a": [1, 2]}'],
    ids=["fenced", "trailing comma", "a note before", "two objects"],
)
@pytest.mark.row(34)
def test_json_is_found_in_an_answer(text):
    assert extract_json(text) == {"a": [1, 2]}


# -- 35 to 39: recorded answers -------------------------------------------------------------------


@pytest.mark.parametrize(
    "turn", ["words", {"text": None, "tool_calls": [("add", {"a": 1})]}, {"reasoning_content": "hm"}, {"text": None, "refusal": "no"}]
)
@pytest.mark.row(35)
def test_a_recorded_answer_has_equal_value_and_shape(start, recording, turn):
    fake = start(turn)
    first, second = send(), send()
    assert first == second
    assert list(first) == list(second)
    assert fake.n == 1


@pytest.mark.row(35)
def test_a_recorded_answer_needs_no_key_and_no_network(start, recording, monkeypatch):
    fake = start("kept")
    first = send()
    fake.close()
    monkeypatch.delenv("OPENAI_API_KEY")
    assert send() == first
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert send() == first


@pytest.mark.row(36)
def test_only_a_valid_answer_is_recorded(start, sleeps, recording):
    fake = start(500, 200)
    send()
    send()
    assert fake.n == 2


@pytest.mark.parametrize("turn", [401, {"cut": 2}, {"no_choices": True}, {"finish_reason": None}])
@pytest.mark.row(36)
def test_a_failure_is_never_recorded(start, recording, turn):
    fake = start(turn, "then this")
    with pytest.raises(errors.ProviderError):
        send(max_attempts=1)
    assert send()["content"] == "then this"
    assert len(Store(recording)) == 1
    assert fake.n == 2


@pytest.mark.row(36)
def test_a_store_that_cannot_be_written_warns_once_and_the_answer_returns(start):
    start("still here")
    with override(cache_api_calls=True, cache_file_name="/proc/no-such-folder/answers.llm.jsonl"):
        with pytest.warns(UserWarning, match="cannot be written"):
            assert send()["content"] == "still here"
        send()  # warnings are errors here: a second one would fail


EQUAL = [
    ({"temperature": 1}, {"temperature": 1.0}),
    ({"timeout": 3}, {"timeout": 4}),
    ({"max_attempts": 1, "waiting_time": 0}, {}),
    ({"logit_bias": {"1": 2, "3": 4}}, {"logit_bias": {"3": 4, "1": 2}}),
]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}
OTHER = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"b": {"type": "string"}}}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
DIFFERENT = [
    ({"model": "a"}, {"model": "b"}),
    ({"temperature": 0}, {"temperature": 1}),
    ({"tools": [TOOL]}, {}),
    ({"response_format": SCHEMA}, {"response_format": OTHER}),
    ({"sample": 0}, {"sample": 1}),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
@pytest.mark.row(37)
def test_what_does_not_decide_the_answer_is_not_in_the_key(start, recording, one, two):
    fake = start()
    send(**one)
    send(**two)
    assert fake.n == 1


@pytest.mark.row(37)
def test_the_order_of_a_messages_fields_is_not_in_the_key(start, recording):
    fake = start()
    send([{"role": "user", "content": "hi"}])
    send([{"content": "hi", "role": "user"}])
    assert fake.n == 1


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
@pytest.mark.row(37)
def test_what_decides_the_answer_is_in_the_key(start, recording, one, two):
    fake = start()
    send(**one)
    send(**two)
    assert fake.n == 2


@pytest.mark.row(37)
def test_two_endpoints_are_two_questions(start, recording):
    one, two = start(), start(environ=False)
    send(model="m")
    with override(base_url=two.url):
        send(model="m")
    assert (one.n, two.n) == (1, 1)


@pytest.mark.row(37)
def test_an_identity_lets_two_gateways_share_their_answers(start, recording):
    one, two = start(), start(environ=False)
    for fake in (one, two):
        Path("config.ini").write_text(f"[models.shared]\nbase_url={fake.url}\nidentity=our-gateway\nmodel=m\n", encoding="utf-8")
        send(model="shared")
    assert (one.n, two.n) == (1, 0)


@pytest.mark.row(38)
def test_the_store_is_json_and_a_damaged_line_costs_only_itself(start, recording):
    fake = start()
    send()
    send(temperature=1)
    lines = recording.read_bytes().splitlines(keepends=True)
    assert all(isinstance(json.loads(line), dict) for line in lines)
    recording.write_bytes(lines[0] + b"{junk\n" + b"".join(lines[2:]))
    assert send(temperature=1)["content"] == "ok"
    assert fake.n == 2
    send()
    assert fake.n == 3


@pytest.mark.row(38)
def test_a_write_that_was_interrupted_costs_only_its_own_line(start, recording):
    fake = start("one", "two", "two again", "three")
    first = send(temperature=0)
    send(temperature=1)
    with recording.open("rb+") as file:
        file.truncate(recording.stat().st_size - 20)
    assert send(temperature=0) == first
    assert send(temperature=1)["content"] == "two again"
    send(temperature=2)
    assert send(temperature=1)["content"] == "two again"
    assert (fake.n, len(Store(recording))) == (4, 3)


@pytest.mark.row(38)
def test_a_file_that_is_no_store_is_warned_of_and_never_overwritten(start):
    fake = start()
    Path("notes.txt").write_text("my notes\n", encoding="utf-8")
    Path("config.ini").write_text("[OpenAI]\nCACHE_FILE_NAME=notes.txt\nCACHE_API_CALLS=true\n", encoding="utf-8")
    with pytest.warns(StoreWarning, match=r"notes\.txt is not a store"):
        send()
    assert Path("notes.txt").read_text(encoding="utf-8") == "my notes\n"
    assert fake.n == 1


@pytest.mark.row(38)
def test_two_clients_on_one_file_lose_nothing(start):
    start()
    one, two = (OpenAIClient(cache_api_calls=True, cache_file_name="both.jsonl") for _ in range(2))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: (one, two)[i % 2].send_message(f"question {i}"), range(40)))
    assert len(Store("both.jsonl")) == 40


@pytest.mark.row(38)
def test_identical_questions_at_once_are_one_request(start, recording):
    gate = threading.Event()
    fake = start(lambda _body: gate.wait(10) and "once")
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(send) for _ in range(8)]
        gate.set()
        assert {a.result(30)["content"] for a in answers} == {"once"}
    assert fake.n == 1


@pytest.mark.row(39)
def test_recording_is_on_in_a_notebook_and_can_be_bypassed_by_a_cell(shell, start):
    fake = start()
    shell.run_cell_magic("llm", "-q", "hi")
    shell.run_cell_magic("llm", "-q", "hi")
    assert fake.n == 1
    shell.run_cell_magic("llm", "-q --mode off", "hi")
    assert fake.n == 2


@pytest.mark.row(39)
def test_the_session_cache_can_be_inspected_and_cleared(shell, start, capsys):
    from IPython.utils.capture import capture_output

    fake = start()
    shell.run_cell_magic("llm", "-q", "hi")
    with capture_output() as shown:
        shell.run_line_magic("llm_cache", "stats")
    text = shown.outputs[0].data["text/plain"]
    assert "session.llm.jsonl" in text
    assert re.search(r"records?\s+1\b", text)
    with capture_output():
        shell.run_line_magic("llm_cache", "clear")
    shell.run_cell_magic("llm", "-q", "hi")
    assert fake.n == 2
