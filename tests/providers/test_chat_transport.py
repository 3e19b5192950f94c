"""The thin transport beside the SDK: what it sends, what it leaves to the SDK, and that nobody can tell their errors apart."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from chatcalls import KEY, both, complaint, fails
from fakeserver import Turn

import tinyllm_magic
from tinyllm_magic import OpenAIClient, override
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import network
from tinyllm_magic.providers.chat_transport import open_transport

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def name_a_model(url, **table):
    """A named model ``mine`` at an address, with these lines in its table."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {"base_url": url, "model": "m", **table}.items()]
    Path("config.ini").write_text("\n".join(["[models.mine]", *(line.replace('= "', "= ").removesuffix('"') for line in lines)]))


def way(fake):
    """Which transport has sent the last request."""
    return "sdk" if "x-stainless-lang" in fake.headers else "thin"


def say(client=None, **params):
    return (client or tinyllm_magic.client()).send_message("hi", mode="off", max_attempts=1, **params)["content"]


def test_a_plain_call_imports_no_sdk(serve):
    code = """
import os, sys
os.environ.update(OPENAI_BASE_URL=sys.argv[1], OPENAI_API_KEY="sk-test-0123456789abcdef")
from tinyllm_magic import LLMCall, client
client().send_message("hi")
for chunk in LLMCall.from_text("hi").prepare().stream():
    pass
print([m for m in ("openai", "httpx2", "httpx", "httpcore2", "urllib3") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code, serve("x", "y").url], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_both_transports_send_the_same(serve, transport, monkeypatch):
    fake = serve("x")
    monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org")
    name_a_model(fake.url, extra_headers={"X-Team": "a"})
    say(model="mine", temperature=0, extra_body={"min_p": 0.1, "words": "größer"}, stop=["a"])
    assert way(fake) == transport
    assert fake.path == "/v1/chat/completions"
    assert {k: v for k, v in fake.last.items() if k != "model"} == {
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        "min_p": 0.1,
        "words": "größer",
        "stop": ["a"],
    }
    sent = {name: fake.headers.get(name) for name in ("authorization", "openai-organization", "x-team", "content-type", "accept")}
    assert sent == {
        "authorization": f"Bearer {KEY}",
        "openai-organization": "org",
        "x-team": "a",
        "content-type": "application/json",
        "accept": "application/json",
    }


@pytest.mark.parametrize("login", ["", "me:Pass%2Fword-7@"])
def test_a_header_of_ones_own_and_a_login_come_before_the_key(serve, transport, monkeypatch, login):
    fake = serve("x")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    name_a_model(fake.url.replace("//", f"//{login}"), extra_headers={"authorization": "Mine of me"})
    say(model="mine")
    assert way(fake) == transport
    assert fake.headers["authorization"] == ("Basic bWU6UGFzcy93b3JkLTc=" if login else "Mine of me")


def test_azure_is_asked_at_its_deployment_with_its_key(serve, transport, monkeypatch):
    fake = serve("x")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{fake.root}?sub=7")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    with override(api_type="azure", model="my-deployment"):
        say()
    assert way(fake) == transport
    assert fake.path == "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21&sub=7"
    assert (fake.headers["api-key"], "authorization" in fake.headers) == (KEY, False)


# -- what is left to the SDK ----------------------------------------------------------------------


class Louder(OpenAIClient):
    def _raw_model_response_extractor(self, response):
        return {"role": "assistant", "content": response.choices[0].message.content.upper()}


class Named(OpenAIClient):
    def _raw_model_call(self, model, chat_api_params):
        return super()._raw_model_call("named", chat_api_params)


@pytest.fixture
def fake(serve, monkeypatch):
    running = serve()
    monkeypatch.setenv("OPENAI_BASE_URL", running.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return running


def test_the_sessions_own_client_needs_no_sdk(fake):
    assert (say(), way(fake)) == ("ok", "thin")


def test_the_setting_decides(fake):
    with override(transport="sdk"):
        assert (say(), way(fake)) == ("ok", "sdk")


@pytest.mark.parametrize("kind", [Louder, Named])
def test_a_subclass_that_overrides_one_hook_keeps_the_sdk(fake, kind):
    tinyllm_magic.register_client("mine", kind())
    with override(api_type="mine"):
        assert say().lower() == "ok"
    assert way(fake) == "sdk"


@pytest.mark.parametrize("make", [OpenAIClient, lambda: tinyllm_magic.ModelManager({"models": {"m": {}}}).create_client("m")])
def test_a_client_of_ones_own_keeps_the_sdk(fake, make):
    assert (say(make()), way(fake)) == ("ok", "sdk")


def test_a_client_that_is_handed_in_is_asked(serve, fake):
    import openai

    other = serve("from the other")
    tinyllm_magic.client().client = openai.OpenAI(base_url=other.url, api_key="k")
    assert (say(), fake.n, way(other)) == ("from the other", 0, "sdk")


def test_call_llm_keeps_the_sdk(fake):
    assert tinyllm_magic.call_llm("m", "hi", {"models": {"m": {"base_url": fake.url}}}).content == "ok"
    assert way(fake) == "sdk"


@pytest.mark.parametrize("of", ["client", "class"])
def test_a_create_that_somebody_has_replaced_is_asked(fake, monkeypatch, of):
    from openai.resources.chat.completions import Completions

    owner = Completions if of == "class" else tinyllm_magic.client().client.chat.completions
    monkeypatch.setattr(owner, "create", lambda *_, **__: {"role": "assistant", "content": "replaced"})
    assert (say(), fake.n) == ("replaced", 0)


def test_a_hook_that_somebody_has_replaced_on_the_class_is_asked(fake, monkeypatch):
    monkeypatch.setattr(OpenAIClient, "_raw_model_call", lambda *_: {"role": "assistant", "content": "replaced"})
    assert (say(), fake.n) == ("replaced", 0)


@pytest.mark.parametrize(
    ("environ", "table"),
    [
        ({"OPENAI_CUSTOM_HEADERS": "X-Mine: 1"}, {}),
        ({"HTTPS_PROXY": "https://127.0.0.1:1"}, {}),
        ({"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "10.0.0.0/8"}, {}),
        ({}, {"extra_query": {"a": "1"}}),
        ({}, {"extra_headers": {"Content-Type": "application/json; charset=utf-8"}}),
    ],
    ids=["headers of the SDK's", "proxy over TLS", "network without proxy", "query", "header about the body"],
)
def test_what_only_the_sdk_knows_is_sent_by_it(fake, monkeypatch, environ, table):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    name_a_model(fake.url, **table)
    assert (say(model="mine"), way(fake)) == ("ok", "sdk")


@pytest.mark.parametrize(
    "endpoint",
    [Endpoint("azure", "http://127.0.0.1:1", api_key=lambda: "token", api_version="1"), Endpoint("openai", "http://bücher.example/v1")],
    ids=["a token for Azure", "letters beyond ASCII"],
)
def test_some_endpoints_have_no_thin_transport(endpoint):
    assert open_transport(endpoint, {"OPENAI_API_KEY": KEY}) is None


# -- the same errors ------------------------------------------------------------------------------

FAILURES = {
    "401": Turn(status=401, body=complaint(f"Incorrect API key provided: {KEY}.", code="invalid_api_key")),
    "429": Turn(status=429, headers={"Retry-After": "7", "x-request-id": "r-7"}),
    "400 page": Turn(status=400, body="<html><body>Bad Request</body></html>"),
    "503 nothing": Turn(status=503, body=""),
    "302": Turn(status=302, body="", headers={"Location": "http://elsewhere.example/?token=t0ken"}),
    "304": Turn(status=304, body=""),
    "204": Turn(status=204, body=""),
    "no JSON": Turn(garbage="{oops", content_type="application/json"),
    "page": Turn(garbage="<html>Welcome</html>"),
    "cut": Turn("one two three", cut=1),
    "nothing": Turn(cut=0),
}


def facts(error):
    cause = error.__cause__
    body = getattr(cause, "body", None)
    return type(error), str(error), getattr(error, "status", None), getattr(error, "request_id", None), type(cause), body, error.retryable


@both
@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_the_same_over_both_transports(serve, monkeypatch, name, stream):
    found = []
    for setting in ("auto", "sdk"):
        monkeypatch.setenv("TINYLLM_TRANSPORT", setting)
        found.append(facts(fails(serve(FAILURES[name]), stream=stream)))
    assert found[0] == found[1]


def test_a_refused_connection_has_the_sdks_error_as_its_cause(serve, transport):
    import openai

    fake = serve()
    fake.close()
    error = fails(fake)
    assert isinstance(error.__cause__, openai.APIConnectionError)
    assert str(error.__cause__.request.url) == f"{fake.url}/chat/completions"


# -- proxies --------------------------------------------------------------------------------------

ADDRESSES = [
    "http://example.org/v1",
    "https://example.org/v1",
    "http://sub.example.org:81/v1",
    "http://notexample.org/v1",
    "http://localhost/v1",
]
ADDRESSES += ["http://127.0.0.1/v1", "http://10.1.2.3/v1"]
SETS = [
    {},
    {"HTTP_PROXY": "http://a:1"},
    {"HTTPS_PROXY": "http://b:2"},
    {"ALL_PROXY": "c:3"},
    {"HTTP_PROXY": "http://a:1", "ALL_PROXY": "http://me:pw@c:3"},
]
EXCEPTIONS = ["", "*", "example.org", ".example.org", "*.example.org", "EXAMPLE.org, localhost", "127.0.0.1,10.1.2.3", "host", "other, *"]


@pytest.mark.parametrize("exceptions", EXCEPTIONS)
@pytest.mark.parametrize("proxies", SETS, ids=", ".join)
def test_a_proxy_is_found_as_the_sdks_http_library_finds_it(monkeypatch, proxies, exceptions):
    for name, value in ({**proxies, "NO_PROXY": exceptions} if exceptions else proxies).items():
        monkeypatch.setenv(name, value)
    with httpx2.Client() as library:
        theirs = [library._transport_for_url(httpx2.URL(address)) for address in ADDRESSES]
        places = [getattr(getattr(one._pool, "_proxy_url", None), "origin", None) for one in theirs]
    ours = [network.find_proxy(address) for address in ADDRESSES]
    assert [found.rpartition("@")[2].removeprefix("http://") if found else "" for found in ours] == [
        str(place).removeprefix("http://") if place else "" for place in places
    ]
