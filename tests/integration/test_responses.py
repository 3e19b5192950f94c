"""Cells and calls that are asked through the Responses API: who is, what is sent, and that a record gives the same as a live answer."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from IPython.core.interactiveshell import InteractiveShell
from responsesformat import answer, call, events, message, reasoning, stream, whole

from tinyllm_magic import Chat, LLMCall, OpenAIClient, client, compare, override, register_client
from tinyllm_magic.clients.sessions import session
from tinyllm_magic.errors import BadResponseError, InvalidRequestError, OptionError, RateLimitError, ServerError, UnsupportedError
from tinyllm_magic.messages import Message, read_request
from tinyllm_magic.models import endpoints
from tinyllm_magic.notebook import panel_answers
from tinyllm_magic.providers import addresses
from tinyllm_magic.responses import Usage

THOUGHT = whole(reasoning("First this."), message("Four."))
KEY = "sk-a-very-secret-key-0123456789"


@pytest.fixture
def own(start, monkeypatch):
    """``own(…)``: a scripted server in the place of OpenAI's own address."""

    def begin(*turns):
        server = start(*turns, environ=False)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        for module in (endpoints, addresses):
            monkeypatch.setattr(module, "VENDOR_URL", server.url)
        return server

    return begin


def ask(text="2 + 2?", model="o3", **params):
    return LLMCall.from_text(text, model=model, **params).prepare().stream().finish()


def test_a_model_that_reasons_is_asked_there_and_shows_its_reasoning(own):
    server = own(answer(THOUGHT))
    response = ask()
    assert server.path == "/v1/responses"
    assert server.headers["authorization"] == f"Bearer {KEY}"
    assert (response.text, response.reasoning, response.finish_reason) == ("Four.", "First this.", "stop")
    assert response.usage == Usage(36, 87, 12, 64)
    assert response.cost > 0
    assert response.request.provider == "openai"
    assert {"previous_response_id", "conversation"}.isdisjoint(server.last)
    assert server.last["store"] is False


@pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])
def test_a_record_gives_the_same_as_the_live_answer(own, recording, streams):
    own(answer(whole(reasoning("First this."), message("Four.", annotations=[{"type": "url_citation", "url": "u"}]))))
    prepared = LLMCall.from_text("2 + 2?", model="o3").prepare()
    live = (prepared.stream().finish if streams else prepared.answer)()
    hit = ask()
    assert (live.source, hit.source) == ("live", "recorded")
    assert hit.record == live.record
    assert (hit.text, hit.reasoning, hit.raw, hit.usage) == (live.text, live.reasoning, live.raw, live.usage)


def test_send_message_stays_with_chat(own):
    server = own("ok", {"text": "ok"})
    assert client().send_message("hi", model="o3")["content"] == "ok"
    assert server.path == "/v1/chat/completions"


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5-chat-latest", "o1-mini"])
def test_other_models_stay_with_chat(own, model):
    server = own("ok")
    ask(model=model)
    assert server.path == "/v1/chat/completions"


def test_a_gateway_stays_with_chat(start):
    server = start("ok")
    ask()
    assert server.path == "/v1/chat/completions"


def test_azure_stays_with_chat(start, monkeypatch):
    server = start("ok", environ=False)
    for name, value in {"ENDPOINT": server.root, "API_KEY": KEY}.items():
        monkeypatch.setenv(f"AZURE_OPENAI_{name}", value)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    ask(model="azure:o3")
    assert "/chat/completions" in server.path


def test_a_subclass_and_a_client_that_was_handed_in_stay_with_chat(own):
    class Mine(OpenAIClient):
        pass

    server = own("ok", "ok")
    with override(mode="off"):
        register_client("openai", Mine())
        ask()
        assert server.path == "/v1/chat/completions"
        plain = OpenAIClient()
        create = SimpleNamespace(create=lambda **_: {"role": "assistant", "content": "handed in"})
        plain.client = SimpleNamespace(chat=SimpleNamespace(completions=create))
        register_client("openai", plain)
        assert LLMCall.from_text("hi", model="o3").prepare().answer().text == "handed in"


def test_a_table_may_ask_any_server_through_it(start):
    server = start(answer(whole(message("hi"), model="gpt-oss:20b")), environ=False)
    Path("config.ini").write_text(f"[models.lab]\nbase_url = {server.url}\nmodel = gpt-oss:20b\napi = responses\n")
    response = ask(model="lab")
    assert (server.path, server.last["model"], response.text) == ("/v1/responses", "gpt-oss:20b", "hi")
    assert "api" not in server.last


def test_a_table_may_stay_with_chat(own):
    server = own("ok")
    Path("config.ini").write_text("[models.slow]\nprovider = openai\nmodel = o3\napi = chat\n")
    assert ask(model="slow").text == "ok"
    assert server.path == "/v1/chat/completions"


def test_a_table_names_an_api_that_there_is():
    Path("config.ini").write_text("[models.lab]\nbase_url = http://127.0.0.1:1/v1\napi = answers\n")
    with pytest.raises(ValueError, match="api = 'answers' of a named model is none of chat, responses"):
        ask(model="lab")


def test_a_schema_is_sent_as_the_format_of_the_text(own):
    server = own(answer(whole(message('{"value": 4}'))))
    assert ask(schema=int).parsed == 4
    assert server.last["text"]["format"]["type"] == "json_schema"
    assert "value" in server.last["text"]["format"]["schema"]["properties"]


def test_a_schema_that_is_refused_stands_in_the_prompt(own):
    error = {"message": "Invalid parameter: 'text.format' of type 'json_schema' is not supported with this model.", "param": "text.format"}
    server = own({"status": 400, "body": {"error": {**error, "code": None}}}, answer(whole(message('{"value": 4}'))))
    response = ask(schema=int)
    assert response.parsed == 4
    assert "text" not in server.last
    assert "its schema stands in the prompt" in " ".join(response.notes)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    ADDED.append((a, b))
    return a + b


ADDED: list[tuple[int, int]] = []


def test_tools_run_and_the_reasoning_goes_back_with_their_results(own, recording):
    ADDED.clear()
    first = whole(reasoning("I must add.", encrypted_content="gAAA"), call("add", {"a": 2, "b": 2}))
    server = own(answer(first), answer(whole(message("Four."))))
    live = ask(tools=[add])
    assert (live.text, ADDED) == ("Four.", [(2, 2)])
    assert server.bodies[0]["tools"][0]["name"] == "add"
    assert server.last["input"][1:] == [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "I must add."}], "encrypted_content": "gAAA"},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a": 2, "b": 2}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "4"},
    ]
    hit = ask(tools=[add])
    assert (hit.text, hit.source, server.n, ADDED) == ("Four.", "recorded", 2, [(2, 2)])
    assert hit.record == live.record
    assert [step.results[0].text for step in hit.steps] == ["4"]
    assert live.steps[0].response.reasoning == "I must add."


def test_reasoning_goes_into_no_later_turn(own, recording):
    first = whole(reasoning("I must add.", encrypted_content="gAAA"), call("add", {"a": 2, "b": 2}))
    server = own(answer(first), answer(whole(reasoning("done"), message("Four."))), answer(whole(message("Five."))))
    chat = Chat("sums")
    chat.ask("2 + 2?", model="o3", tools=[add])
    chat.ask("And one more?")
    assert [item.get("type", item.get("role")) for item in server.last["input"]] == [
        "user", "function_call", "function_call_output", "assistant", "user",
    ]  # fmt: skip


def test_another_vendor_gets_no_items_of_this_one():
    items = ({"type": "reasoning", "encrypted_content": "gAAA"},)
    calls = ({"id": "c", "type": "function", "function": {"name": "add", "arguments": "{}"}},)
    said = [Message("user", "hi"), Message("assistant", None, tool_calls=calls, output_items=items, reasoning_content="hm")]
    request = session.prepare(said, "mistral:mistral-small-latest").request
    assert request.messages[1].to_dict().keys() == {"role", "content", "tool_calls"}


def test_an_image_is_a_part_of_the_input(own):
    server = own(answer(whole(message("A dot."))))
    url = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    said = [Message("user", ({"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}))]
    session.prepare(said, "o3", responses=True).answer()
    assert server.last["input"][0]["content"][1] == {"type": "input_image", "image_url": url, "detail": "auto"}


def test_the_effort_is_sent(own):
    server = own(answer(THOUGHT))
    response = ask(effort="low", max_tokens=50)
    assert server.last["reasoning"] == {"summary": "auto", "effort": "low"}
    assert server.last["max_output_tokens"] == 50
    assert response.request.params == {"reasoning_effort": "low", "max_completion_tokens": 50}


@pytest.mark.parametrize("model", ["gpt-4o", "tiny", "anthropic:claude-sonnet-4-5"])
def test_an_effort_is_refused_before_the_call_where_the_model_does_not_reason(own, model):
    own()
    with pytest.raises(OptionError, match="takes no effort"):
        LLMCall.from_text("hi", model=model, effort="low").prepare()


def test_the_effort_of_a_setting_is_left_out_with_a_note_where_the_model_does_not_reason(own):
    server = own("ok")
    with override(reasoning_effort="low"):
        prepared = LLMCall.from_text("hi", model="gpt-4o").prepare()
    prepared.answer()
    assert "reasoning_effort" not in server.last
    assert "gpt-4o takes no reasoning_effort; it was left out" in prepared.notes


def test_an_effort_is_one_of_three():
    with pytest.raises(OptionError, match="none of low, medium, high"):
        LLMCall.from_text("hi", model="o3", effort="huge").prepare()
    with pytest.raises(OptionError, match="say the same thing"):
        LLMCall.from_text("hi", model="o3", effort="low", reasoning_effort="low").prepare()


def test_the_effort_is_an_option_of_a_cell(own, recording):
    server = own(answer(THOUGHT))
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "tinyllm_magic")
    try:
        shell.run_cell_magic("llm", "-m o3 --effort high -q -o r", "2 + 2?")
        assert server.last["reasoning"]["effort"] == "high"
        assert shell.user_ns["r"].reasoning == "First this."
    finally:
        shell.run_line_magic("unload_ext", "tinyllm_magic")
        InteractiveShell.clear_instance()


def test_parameters_that_the_api_has_not_are_left_out_with_a_note(own):
    server = own(answer(whole(message())))
    prepared = LLMCall.from_text("hi", model="o3", seed=1, temperature=0.5, n=1).prepare()
    prepared.answer()
    assert {"seed", "temperature", "n"}.isdisjoint(server.last)
    assert [note.split(";")[0] for note in prepared.notes] == ["o3 takes no temperature", "o3 takes no seed", "o3 takes no n"]


def test_its_own_parameters_are_taken(own):
    server = own(answer(whole(message())))
    ask(reasoning={"summary": "detailed"}, max_output_tokens=9, truncation="auto")
    assert (server.last["reasoning"], server.last["max_output_tokens"]) == ({"summary": "detailed"}, 9)
    assert server.last["truncation"] == "auto"


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "background"])
def test_what_the_vendor_would_have_to_keep_is_refused(own, name):
    own()
    with pytest.raises(OptionError, match=f"{name} is not sent"):
        LLMCall.from_text("hi", model="o3", **{name: "x"}).prepare()


UNVERIFIED = {
    "message": "Your organization must be verified to generate reasoning summaries. Please go to: https://platform.openai.com/settings",
    "type": "invalid_request_error",
    "param": "reasoning.summary",
    "code": "unsupported_value",
}


def test_a_summary_that_the_vendor_does_not_show_is_not_asked_for_again(own):
    server = own({"status": 400, "body": {"error": UNVERIFIED}}, answer(whole(message("one"))), answer(whole(message("two"))))
    first, second = ask("1?"), ask("2?")
    assert (first.text, second.text, server.n) == ("one", "two", 3)
    assert "reasoning" not in server.last
    assert all("shows no summary" in response.notes[0] for response in (first, second))


def test_an_answer_in_one_piece_leaves_later_ones_to_be_streamed(own):
    server = own(answer(THOUGHT), answer(THOUGHT))
    LLMCall.from_text("1?", model="o3").prepare().answer()
    ask("2?")
    assert [bool(body.get("stream")) for body in server.bodies] == [False, True]


INVALID = {"message": "Invalid 'input'.", "type": "invalid_request_error", "param": "input"}


@pytest.mark.parametrize(
    ("turn", "kind", "words"),
    [
        (429, RateLimitError, "Rate limit reached"),
        (500, ServerError, "server had an error"),
        ({"status": 400, "body": {"error": INVALID}}, InvalidRequestError, "Invalid 'input'"),
        (stream(events(THOUGHT)[:-1]), BadResponseError, "before the answer was finished"),
        (stream(whole(status="failed", error={"code": "server_error", "message": "It broke."})), ServerError, "It broke"),
        (stream([{"type": "error", "code": "rate_limit_exceeded", "message": "Slow down."}]), RateLimitError, "Slow down"),
        ({"body": "<html>busy</html>"}, BadResponseError, "busy"),
        ({"body": {"id": "chatcmpl", "choices": []}}, BadResponseError, "chat API"),
    ],
    ids=["rate limit", "server", "refused", "stream without end", "failed", "error event", "a page", "another API"],
)  # fmt: skip
def test_errors_are_told_as_those_of_chat_and_are_not_recorded(own, recording, turn, kind, words):
    own(turn, answer(THOUGHT))
    with pytest.raises(kind, match=words):
        ask(max_attempts=1)
    assert ask().source == "live"


def test_what_fails_for_a_moment_is_asked_again(own):
    server = own(429, stream(events(THOUGHT)[:5]), answer(THOUGHT))
    with override(waiting_time=0.01, max_attempts=3):
        response = ask()
    assert (response.text, response.reasoning, server.n) == ("Four.", "First this.", 3)


def test_a_stream_asked_for_that_comes_whole_is_read(own):
    own({"body": THOUGHT})
    assert ask().reasoning == "First this."


def test_an_answer_of_a_gateway_is_found_where_openai_itself_would_be_asked(start, own, recording, monkeypatch):
    gateway = start("from the gateway")
    ask(temperature=0.5, seed=1)
    assert gateway.path == "/v1/chat/completions"
    monkeypatch.delenv("OPENAI_BASE_URL")
    server = own()
    with override(mode="replay"):
        hit = ask(temperature=0.5, seed=1)
    assert (hit.text, hit.source, server.n) == ("from the gateway", "recorded", 0)


def test_an_answer_of_openai_itself_is_found_where_a_gateway_would_be_asked(start, own, recording):
    own(answer(THOUGHT))
    ask(seed=1)
    gateway = start("other")
    with override(mode="replay"):
        hit = ask(seed=1)
    assert (hit.text, hit.reasoning, gateway.n) == ("Four.", "First this.", 0)


def test_a_comparison_asks_each_model_as_it_wants(own):
    def turn(asked):
        return answer(THOUGHT)(asked) if "input" in asked else "Of chat."

    server = own(turn, turn)
    compared = compare(LLMCall.from_text("2 + 2?"), models=["o3", "gpt-4o"])
    assert sorted(path.rpartition("/")[2] for path in server.paths) == ["completions", "responses"]
    assert [row["answer"] for row in compared.to_dicts()] == ["Four.", "Of chat."]


def test_an_image_is_refused_where_the_model_takes_none(own):
    server = own()
    said = [Message("user", ({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}))]
    with pytest.raises(UnsupportedError, match="takes no images"):
        session.prepare(said, "o3-mini", responses=True).answer()
    assert server.n == 0


def test_the_panel_finds_what_a_cell_has_recorded(own, recording):
    own(answer(THOUGHT))
    call_of_cell = LLMCall.from_text("2 + 2?", model="o3")
    call_of_cell.prepare().answer()
    question = panel_answers.make_question(call_of_cell, call_of_cell.render())
    assert panel_answers.prepare_question(question, session.settings()).recorded().text == "Four."


def test_a_row_read_back_from_disk_knows_its_request(own, recording):
    first = whole(reasoning("I must add.", encrypted_content="gAAA"), call("add", {"a": 2, "b": 2}))
    own(answer(first), answer(THOUGHT))
    request = ask(tools=[add]).request
    assert request.messages[1].output_items
    assert read_request(request.canonical()) == request


def test_a_prompt_file_may_ask_through_it(start, monkeypatch):
    server = start(answer(THOUGHT), environ=False)
    connection = f"kind: key\n    endpoint: {server.url}\n    apiKey: sk-of-the-file-0123456789"
    Path("p.prompty").write_text(
        f"---\nname: p\nmodel:\n  id: gpt-oss\n  apiType: responses\n  connection:\n    {connection}\n---\nuser:\n2 + 2?\n"
    )
    monkeypatch.setattr("tinyllm_magic.clients.call._trusts", lambda _folder: True)
    assert LLMCall("p.prompty").call() == "Four."
    assert server.path == "/v1/responses"
