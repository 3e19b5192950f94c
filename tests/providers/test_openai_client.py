"""The SDK's clients: keys, addresses, Azure."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback

import pytest
from chatcalls import CALL, KEY, ask, complaint, fails, fold
from fakeserver import Turn

from tinyllm_magic import errors, redaction
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import openai, openai_client


def test_the_key_goes_where_it_belongs_and_into_no_repr(serve):
    fake = serve("x")
    client = openai_client.connect(Endpoint("openai", fake.url), environ={"OPENAI_API_KEY": f" {KEY}\n"}, timeout=5)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert fake.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(client) + repr(Endpoint("openai", fake.url, api_key=KEY))
    assert client.max_retries == 0


@pytest.mark.parametrize(
    ("endpoint", "environ", "key"),
    [
        ({}, {}, "no-key"),
        ({"api_key": "given"}, {"OPENAI_API_KEY": "env"}, "given"),
        ({"api_key": lambda: "called"}, {"OPENAI_API_KEY": "env"}, "called"),
        ({"api_key_env": "MINE"}, {"OPENAI_API_KEY": "env", "MINE": "mine"}, "mine"),
        ({"trusted": False}, {"OPENAI_API_KEY": "env"}, "env"),
    ],
    ids=["loopback needs none", "given", "callable", "named variable", "loopback is trusted"],
)
def test_keys_are_found_in_order(serve, endpoint, environ, key):
    fake = serve("x")
    client = openai_client.connect(Endpoint("openai", fake.url, **endpoint), environ=environ, timeout=5)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert fake.headers["authorization"] == f"Bearer {key}"


@pytest.mark.parametrize(
    ("endpoint", "environ", "words"),
    [
        (Endpoint("openai"), {}, "OPENAI_API_KEY is not set"),
        (Endpoint("openai"), {"OPENAI_API_KEY": "  "}, "OPENAI_API_KEY is not set"),
        (Endpoint("openai", "https://user:pw@example.org/v1"), {}, "for https://example.org/v1: OPENAI_API_KEY is not set"),
        (Endpoint("openai", "https://example.org/v1", api_key_env="MINE"), {"OPENAI_API_KEY": KEY}, "MINE is not set"),
        (Endpoint("openai", "https://example.org/v1", trusted=False), {"OPENAI_API_KEY": KEY}, "llm_config trust"),
        (Endpoint("openai"), {"OPENAI_API_KEY": "two\nlines"}, "characters"),
        (Endpoint("azure", "https://x.openai.azure.com", api_key_env="MINE", api_version="1"), {}, "MINE is not set"),
    ],
)
def test_a_missing_key_is_an_auth_error_that_says_what_to_do(endpoint, environ, words):
    with pytest.raises(errors.AuthError, match=words.replace("(", r"\(")) as caught:
        openai_client.connect(endpoint, environ=environ, timeout=5)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (Endpoint("azure", api_version="2024-10-21"), "AZURE_OPENAI_ENDPOINT"),
        (Endpoint("azure", "https://x.openai.azure.com"), "AZURE_API_VERSION"),
        (Endpoint("openai", "example.org/v1"), "BASE_URL"),
        (Endpoint("openai", "ftp://example.org/v1"), "BASE_URL"),
        (Endpoint("openai", "http:///v1"), "BASE_URL"),
        (Endpoint("openai", "http://[::1/v1"), "BASE_URL"),
        (Endpoint("openai", "http://example.org:port/v1"), "BASE_URL"),
    ],
)
def test_a_missing_address_or_version_is_a_config_error_that_names_it(endpoint, name):
    with pytest.raises(errors.ConfigError) as caught:
        openai_client.connect(endpoint, environ={"AZURE_OPENAI_API_KEY": KEY, "OPENAI_API_KEY": KEY}, timeout=5)
    assert caught.value.key == name


def say(client):
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}]).choices[0].message.content


def test_the_first_question_waits_for_no_part_of_the_sdk(serve):
    code = (
        "import sys; from tinyllm_magic.models.endpoints import Endpoint; from tinyllm_magic.providers import openai_client\n"
        "client = openai_client.connect(Endpoint('openai', sys.argv[1]), environ={}); known = set(sys.modules)\n"
        "client.chat.completions.create(model='m', messages=[])\n"
        "print(sorted(m for m in set(sys.modules) - known if m.startswith('openai')))"
    )
    done = subprocess.run([sys.executable, "-c", code, serve("x").url], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_address_in_capitals_is_one(serve):
    fake = serve("x")
    assert say(openai_client.connect(Endpoint("openai", fake.url.replace("http:", "HTTP:")), environ={})) == "x"


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("?version=2", "/v1/chat/completions?version=2"),
        ("/?a=1&a=2%2F3", "/v1/chat/completions?a=1&a=2%2F3"),
        ("?team=größe&x=a b", "/v1/chat/completions?team=gr%C3%B6%C3%9Fe&x=a%20b"),
        ("#part", "/v1/chat/completions"),
    ],
)
def test_the_query_of_an_address_stays_at_its_end(serve, query, path):
    fake = serve("x")
    say(openai_client.connect(Endpoint("openai", fake.url + query), environ={}))
    assert fake.path == path


def test_the_query_of_azures_address_joins_the_api_version(serve):
    fake = serve("x")
    say(openai_client.connect(Endpoint("azure", f"{fake.root}?sub=7", api_key=KEY, api_version="1"), environ={}))
    assert fake.path == "/openai/deployments/m/chat/completions?api-version=1&sub=7"


def test_the_query_of_an_address_passes_a_proxy(serve, monkeypatch):
    proxy = serve("x")
    monkeypatch.setenv("HTTP_PROXY", proxy.root)
    say(openai_client.connect(Endpoint("openai", "http://models.invalid/v1?team=7"), environ={"OPENAI_API_KEY": KEY}))
    assert proxy.path == "http://models.invalid/v1/chat/completions?team=7"


def test_login_and_query_of_an_address_are_in_no_log(serve, caplog):
    fake = serve("x")
    with caplog.at_level(logging.DEBUG):
        say(openai_client.connect(Endpoint("openai", fake.url.replace("//", "//me:Pass-word-7@") + "?code=Query-key-7"), environ={}))
    assert fake.path.endswith("?code=Query-key-7")
    assert "chat/completions" in caplog.text
    assert "Pass-word-7" not in caplog.text
    assert "Query-key-7" not in caplog.text


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": KEY}])
def test_a_password_and_a_key_in_an_address_are_masked_from_then_on(serve, environ):
    url = serve("x").url.replace("//", "//me:Pass%2Fword-7@") + "?api_key=Query-key-7"
    openai_client.connect(Endpoint("openai", url), environ=environ)
    said = redaction.mask("refused: Query-key-7, Pass/word-7")
    assert "Query-key-7" not in said
    assert "Pass/word-7" not in said


@pytest.mark.usefixtures("transport")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_its_address_is_named(serve, status):
    other = serve("from elsewhere")
    fake = serve(Turn(status=status, body="", headers={"Location": f"{other.url}/chat/completions?token=t0ken"}))

    error = fails(fake, errors.InvalidRequestError)

    assert (fake.n, other.paths) == (1, [])
    assert f"redirects to {other.url}/chat/completions?…, and nothing was sent there" in error.message
    assert error.status == status


@pytest.mark.parametrize("name", ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"])
def test_azure_speaks_to_the_deployment(serve, name):
    fake = serve("from azure")
    environ = {"AZURE_OPENAI_ENDPOINT": fake.root, "OPENAI_API_VERSION": "2024-10-21", name: KEY}
    client = openai_client.connect(Endpoint("azure"), environ=environ, timeout=5)
    one = openai.OpenAIProvider(lambda _model, params: client.chat.completions.create(**params), timeout=5)
    assert fold(one.send(ask())).text == "from azure"
    assert fake.path == "/openai/deployments/gpt-test/chat/completions?api-version=2024-10-21"
    assert fake.headers["api-key"] == KEY


def test_an_azure_token_comes_from_a_callable(serve):
    fake = serve("x")
    endpoint = Endpoint("azure", fake.root, api_key=lambda: "entra-token", api_version="1")
    client = openai_client.connect(endpoint, environ={}, timeout=5)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert fake.headers["authorization"] == "Bearer entra-token"


@pytest.mark.parametrize("path", ["", "/openai/v1/"], ids=["deployments", "v1"])
def test_an_entra_token_of_the_environment_is_sent_as_one(serve, path):
    fake = serve()
    environ = {"AZURE_OPENAI_ENDPOINT": fake.root + path, "AZURE_OPENAI_AD_TOKEN": KEY, "OPENAI_API_VERSION": "1"}
    say(openai_client.connect(Endpoint("azure"), environ=environ))
    assert fake.headers["authorization"] == f"Bearer {KEY}"
    assert "api-key" not in fake.headers
    assert KEY in redaction.secrets()


def test_a_key_comes_before_an_entra_token(serve):
    fake = serve()
    environ = {"AZURE_OPENAI_API_KEY": KEY, "AZURE_OPENAI_AD_TOKEN": "an-entra-token"}
    say(openai_client.connect(Endpoint("azure", fake.root, api_version="1"), environ=environ))
    assert (fake.headers["api-key"], "authorization" in fake.headers) == (KEY, False)


@pytest.mark.parametrize("path", ["/openai/v1/", "/openai/v1", "/gateway/openai/v1/"])
def test_azures_v1_address_is_asked_as_it_stands_without_deployment_and_version(serve, path):
    fake = serve("from azure")
    client = openai_client.connect(Endpoint("azure", fake.root + path, api_key=KEY), environ={})
    assert (
        client.chat.completions.create(model="my-deployment", messages=[{"role": "user", "content": "hi"}]).choices[0].message.content
        == "from azure"
    )
    assert (fake.path, fake.last["model"]) == (f"{path.rstrip('/')}/chat/completions", "my-deployment")
    assert fake.headers["authorization"] == f"Bearer {KEY}"


def test_azures_key_is_taken_out_of_errors_too(serve):
    fake = serve(Turn(status=401, body=complaint(f"Access denied for {KEY}")))
    client = openai_client.connect(Endpoint("azure", fake.root, api_key=KEY, api_version="1"), environ={}, timeout=5)
    with pytest.raises(errors.AuthError) as caught:
        fold(openai.OpenAIProvider(lambda _model, params: client.chat.completions.create(**params)).send(ask()))
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_the_mark_of_a_key_changes_with_it_and_does_not_tell_it():
    one, two = (openai_client.environment_mark(Endpoint("openai"), {"OPENAI_API_KEY": k}) for k in (KEY, "other"))
    assert one != two
    assert one == openai_client.environment_mark(Endpoint("openai"), {"OPENAI_API_KEY": KEY})
    assert KEY not in one


def test_a_message_object_is_the_sdks():
    made = openai_client.message_object({"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "hm"})
    assert (made.content, made.tool_calls[0].function.name, made.reasoning_content) == (None, "add", "hm")
