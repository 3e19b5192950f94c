"""``llamacpp:`` against a real server of llama.cpp on loopback, which the embedded engine brings."""

import pytest

from tinyllm_magic.clients.sessions import session
from tinyllm_magic.errors import ContextLengthError, ProviderError
from tinyllm_magic.models.catalog import read_data
from tinyllm_magic.models.vendors import vendors
from tinyllm_magic.providers import local_servers, weights
from tinyllm_magic.providers.llamacpp_server import Engine

pytestmark = pytest.mark.model
HELLO = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Say hello."}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}


@pytest.fixture(scope="module")
def engine(weights_folder):
    running = Engine(weights.find(cache_folder=weights_folder), 512)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def _server(engine, monkeypatch):
    monkeypatch.setitem(read_data()["vendors"]["llamacpp"], "base_url", f"{engine._native.listening_address}/v1")
    monkeypatch.setenv("LLAMA_API_KEY", engine._key)
    monkeypatch.setattr(local_servers, "_found", {})
    vendors.cache_clear()
    yield
    vendors.cache_clear()


def prepare(messages=HELLO, **params):
    return session.prepare(messages, "llamacpp:tiny-on-a-server", {"max_tokens": 12, "seed": 7, "temperature": 0, **params})


def test_whole_and_streamed_answers_are_the_same_and_counted_by_the_server():
    whole, streamed = prepare().answer(), prepare().stream().finish()
    assert whole.text == streamed.text != ""
    counts = [(r.usage.prompt_tokens, r.usage.completion_tokens, r.usage.estimated) for r in (whole, streamed)]
    assert counts[0] == counts[1]
    assert counts[0][1:] == (12, False)
    assert streamed.usage.cached_tokens > whole.usage.cached_tokens  # it keeps the prompt of the last call
    assert whole.cost is None


def test_it_is_found_though_it_tells_its_models_only_with_its_key():
    assert local_servers.list_served() == {"llamacpp": ()}


def test_a_schema_binds_the_answer():
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
    assert isinstance(prepare(response_format=form, max_tokens=60).answer().json()["city"], str)


def test_a_prompt_that_is_too_long_is_said_to_be():
    with pytest.raises(ContextLengthError):
        prepare([{"role": "user", "content": "word " * 900}]).answer()


def test_a_wrong_key_is_refused(monkeypatch):
    monkeypatch.setenv("LLAMA_API_KEY", "wrong")
    with pytest.raises(ProviderError) as caught:
        prepare().answer()
    assert caught.value.status == 401
