"""Each vendor's API against a server that answers as its documentation says; none of the services was asked itself."""

from pathlib import Path

import pytest
from vendorextras import ARGUMENTS, CALLS, REASONING, answer, call
from vendorformats import FORMATS, events

from tinyllm_magic import Chat, client, override
from tinyllm_magic.clients.sessions import session
from tinyllm_magic.display.cards import Card, write_card
from tinyllm_magic.errors import (
    AuthError,
    ConnectionFailedError,
    ContextLengthError,
    InvalidRequestError,
    NotFoundError,
    ProviderError,
    QuotaError,
)
from tinyllm_magic.messages import Message
from tinyllm_magic.models.catalog import read_data
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.models.pricing import price
from tinyllm_magic.models.vendors import vendors
from tinyllm_magic.responses import Usage

pytestmark = pytest.mark.usefixtures("transport")

CLASSES = {401: AuthError, 402: QuotaError, 404: NotFoundError}
each = pytest.mark.parametrize("name", FORMATS)


@pytest.fixture
def reach(start, monkeypatch):
    """``reach("mistral", …)``: a scripted server in the place of that vendor's own, with its key set where it needs one."""

    def begin(name, *turns):
        vendor = vendors()[name]
        server = start(*turns, environ=False, far=not vendor.local)
        url = server.url if vendor.local else vendor.base_url.replace("https:", "http:")
        monkeypatch.setitem(read_data()["vendors"][name], "base_url", url)
        vendors.cache_clear()
        if not vendor.local:
            monkeypatch.setenv(vendor.keys[0], "the-key-of-this-vendor")
        monkeypatch.setenv("OPENAI_API_KEY", "the-key-of-another")
        return server

    yield begin
    vendors.cache_clear()


def prepare(name, messages="hi", **params):
    return session.prepare(messages, f"{name}:{FORMATS[name].model}", params)


def ask(name, messages="hi", **params):
    return prepare(name, messages, **params).stream().finish()


def counts(response):
    usage = response.usage
    return usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens


@each
def test_an_answer_in_one_piece_is_read_with_its_usage(reach, name):
    server = reach(name, {"body": FORMATS[name].whole})
    response = prepare(name).answer()
    assert (response.text, counts(response)) == ("Hello, world", FORMATS[name].usage)
    assert not response.usage.estimated
    assert server.last["model"] == FORMATS[name].model


@each
def test_a_stream_is_read_with_its_usage(reach, name):
    server = reach(name, {"body": FORMATS[name].stream, "content_type": "text/event-stream"})
    response = ask(name)
    assert (response.text, counts(response)) == ("Hello, world", FORMATS[name].usage)
    assert server.last["stream"] is True
    assert ("stream_options" in server.last) is (name != "mistral")


@each
def test_the_vendor_is_asked_at_its_address_with_its_own_key(reach, name):
    server = reach(name, "ok")
    ask(name)
    assert server.path.endswith("/chat/completions")
    vendor = vendors()[name]
    if vendor.local:
        assert server.headers["authorization"] == "Bearer no-key"
    else:
        assert server.path == f"{vendor.base_url}/chat/completions"
        assert server.headers["authorization"] == "Bearer the-key-of-this-vendor"


@each
def test_an_error_says_what_the_vendor_says(reach, name):
    found = FORMATS[name]
    reach(name, {"status": found.status, "body": found.error})
    with pytest.raises(ProviderError, match=found.words) as caught:
        ask(name)
    expected = ContextLengthError if "context" in found.words else CLASSES.get(found.status, InvalidRequestError)
    assert isinstance(caught.value, expected)
    assert not caught.value.retryable


@pytest.mark.parametrize(("name", "param"), [(n, p) for n, f in FORMATS.items() for p in f.refused])
def test_what_a_vendor_does_not_take_is_left_out_and_said(reach, name, param):
    server = reach(name, "ok")
    prepared = prepare(name, **{param: FORMATS[name].refused[param]})
    prepared.answer()
    assert param not in server.last
    assert f"takes no {param}" in " ".join(prepared.notes)


@pytest.mark.parametrize(("name", "param"), [(n, p) for n, f in FORMATS.items() for p in f.renamed])
def test_what_a_vendor_calls_otherwise_is_sent_under_its_name(reach, name, param):
    server = reach(name, "ok")
    ask(name, **{param: 7})
    assert server.last[FORMATS[name].renamed[param]] == 7
    assert param not in server.last


def test_a_developers_message_is_the_systems_where_the_vendor_knows_no_developer(reach):
    server = reach("mistral", "ok")
    ask("mistral", messages=[Message("developer", "Be brief."), Message("user", "hi")])
    assert [m["role"] for m in server.last["messages"]] == ["system", "user"]


def test_a_schema_stands_in_the_prompt_where_the_vendor_passes_it_over(reach):
    server = reach("anthropic", '{"a": 1}')
    ask("anthropic", response_format=FORM)
    assert "response_format" not in server.last
    assert '"properties"' in server.last["messages"][-1]["content"]


FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ways = pytest.mark.parametrize("streams", [True, False], ids=["stream", "whole"])


def finish(prepared, streams):
    return prepared.stream().finish() if streams else prepared.answer()


def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


@ways
@each
def test_a_tool_is_called_and_its_result_goes_back(reach, name, streams):
    server = reach(name, call(name), answer(name, {"content": "It is sunny."}))
    response = finish(prepare(name, "How is it in Ulm?", tools=[weather]), streams)
    assert server.bodies[0]["tools"][0]["function"]["name"] == "weather"
    assert (response.text, response.steps[0].results[0].text) == ("It is sunny.", "sunny in Ulm")
    _, said, result = server.last["messages"]
    back = said["tool_calls"][0]
    assert (back["id"], back["function"]) == (CALLS[name]["id"], {"name": "weather", "arguments": ARGUMENTS})
    assert back.get("extra_content") == CALLS[name].get("extra_content")
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", CALLS[name]["id"], "sunny in Ulm")


@each
def test_a_schema_is_asked_for_and_checked(reach, name):
    server = reach(name, answer(name, {"content": '{"a": 1}'}))
    response = prepare(name, schema={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}).answer()
    assert response.parsed == {"a": 1}
    assert ("response_format" in server.last) is (name != "anthropic")


@each
def test_an_image_is_sent_as_it_is(reach, name):
    server = reach(name, "A dot.")
    parts = ({"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": DOT}})
    ask(name, [Message("user", parts)])
    assert server.last["messages"][-1]["content"] == list(parts)


@ways
@pytest.mark.parametrize("name", REASONING)
def test_reasoning_is_kept_apart_and_a_record_gives_the_same(reach, name, streams):
    server = reach(name, answer(name, REASONING[name]), "next")
    with override(mode="auto"):
        live = finish(prepare(name), streams)
        hit = finish(prepare(name), streams)
        assert (live.text, live.reasoning) == ("Hello, world", "It is sunny.")
        assert (hit.source, hit.record) == ("recorded", live.record)
        chat = Chat(name)
        chat.ask("hi", model=f"{name}:{FORMATS[name].model}")
        chat.ask("again")
    assert server.last["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Hello, world"},
        {"role": "user", "content": "again"},
    ]
    assert "It is sunny." not in write_card(Card.of(live))


def test_deepseek_gets_its_reasoning_back_with_the_results_of_tools_in_later_turns_too(reach):
    server = reach("deepseek", call("deepseek", reasoning_content="I must look."), answer("deepseek", REASONING["deepseek"]), "next")
    with override(mode="auto"):
        chat = Chat("weather")
        chat.ask("How is it?", model=f"deepseek:{FORMATS['deepseek'].model}", tools=[weather])
        assert server.last["messages"][1]["reasoning_content"] == "I must look."
        chat.ask("And now?")
    roles = [(m["role"], m.get("reasoning_content")) for m in server.last["messages"]]
    assert roles == [("user", None), ("assistant", "I must look."), ("tool", None), ("assistant", None), ("user", None)]


@ways
@pytest.mark.parametrize("name", ["groq", "vllm", "openrouter"])
def test_no_other_vendor_gets_reasoning_back(reach, name, streams):
    server = reach(name, call(name, reasoning="I must look."), answer(name, {"content": "It is sunny."}))
    response = finish(prepare(name, tools=[weather]), streams)
    assert response.steps[0].response.reasoning == "I must look."
    assert server.last["messages"][1].keys() == {"role", "content", "tool_calls"}


def test_an_error_inside_a_stream_is_an_error(reach):
    error = {"code": 502, "message": "Provider disconnected unexpectedly"}
    reach("openrouter", {"body": events("m", [], finish="error", error=error), "content_type": "text/event-stream"})
    with pytest.raises(ProviderError, match="Provider disconnected"):
        ask("openrouter", max_attempts=1)


def test_a_bare_name_reaches_its_vendor_without_any_other_setting(reach):
    server = reach("mistral", "ok")
    assert session.prepare("hi", "mistral-small-latest").answer().text == "ok"
    assert server.path == "http://api.mistral.ai/v1/chat/completions"


def test_a_server_that_is_not_running_is_named_with_what_to_do(reach):
    reach("ollama").close()
    with pytest.raises(ConnectionFailedError, match=r"Ollama does not answer at http://127\.0\.0\.1:") as caught:
        ask("ollama", max_attempts=1)
    assert "Start Ollama" in caught.value.hint
    assert caught.value.retryable


def test_embeddings_are_asked_of_the_vendor_that_is_named(reach):
    server = reach("ollama", 200)
    assert len(client().get_embedding("hi", model="ollama:nomic-embed-text")) == 3
    assert (server.last["model"], server.path) == ("nomic-embed-text", "/v1/embeddings")
    assert server.headers["authorization"] == "Bearer no-key"


def test_a_configuration_of_the_seeds_for_ollama_asks_it_without_a_key(start, monkeypatch):
    server = start("ok", environ=False)
    monkeypatch.setenv("OPENAI_API_KEY", "the-key-of-another")
    Path("config.ini").write_text(
        f"[OpenAI]\nAPI_TYPE=ollama\nBASE_URL={server.url}\n# a comment\nMODEL=gemma3:1b-32k\n#gemma3:4b-32k\n"
        "TEMPERATURE=1.0\nFREQ_PENALTY=0.1\nPRESENCE_PENALTY=0.1\nMAX_TOKENS=8192\n\n[Logging]\nLOGLEVEL=DEBUG\n# ERROR\n"
    )
    assert client().send_message([{"role": "user", "content": "hi"}])["content"] == "ok"
    sent = {k: server.last.get(k) for k in ("model", "temperature", "frequency_penalty", "presence_penalty", "max_tokens")}
    assert sent == {"model": "gemma3:1b-32k", "temperature": 1.0, "frequency_penalty": 0.1, "presence_penalty": 0.1, "max_tokens": 8192}
    assert server.headers["authorization"] == "Bearer no-key"


def test_that_configuration_leads_to_ollamas_usual_address_where_it_names_none():
    Path("config.ini").write_text("[OpenAI]\nAPI_TYPE=ollama\nMODEL=gemma3:1b-32k\n")
    route = session.route(None, session.settings())
    assert (route.endpoint.base_url, route.model) == ("http://localhost:11434/v1", "gemma3:1b-32k")


def test_cached_tokens_cost_less_and_stand_on_the_card(reach):
    reach("deepseek", {"body": {**FORMATS["deepseek"].whole, "model": "deepseek-chat"}})
    response = session.prepare("hi", "deepseek:deepseek-chat").answer()
    assert response.usage.cached_tokens == 4
    assert response.cost < price("deepseek-chat", Usage(9, 3), Endpoint("openai", "https://api.deepseek.com", vendor="deepseek"))
    assert "(4 cached)" in write_card(Card.of(response))
