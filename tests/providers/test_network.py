"""What the environment says about reaching a server: it is read anew for each call, and what is wrong in it is named."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from chatcalls import KEY, fails
from fakeserver import Turn

import tinyllm_magic
from tinyllm_magic import errors, redaction
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import network, openai_client

pytestmark = pytest.mark.usefixtures("transport")

CERTIFICATE = Path(__file__).with_name("loopback.pem")  # of 127.0.0.1, signed by itself
ELSEWHERE = "http://models.invalid/v1"


@pytest.fixture(autouse=True)
def _no_network_variables(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(redaction, "_GUARDED", {})
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def serve_https(serve):
    """A scripted server that speaks HTTPS, and its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    def start(*script):
        fake = serve(*script)
        fake._http.socket = context.wrap_socket(fake._http.socket, server_side=True)
        return fake, fake.url.replace("http:", "https:")

    return start


def say(**params):
    return tinyllm_magic.client().send_message("hi", mode="off", max_attempts=1, **params)["content"]


@pytest.mark.parametrize(("name", "header"), [("OPENAI_ORG_ID", "openai-organization"), ("OPENAI_PROJECT_ID", "openai-project")])
def test_organisation_and_project_hold_from_the_next_call_on(serve, monkeypatch, name, header):
    fake = serve("1", "2", "3")
    monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
    seen = []
    for value in (" one\n", "two", " \n"):
        monkeypatch.setenv(name, value)
        say()
        seen.append(fake.headers.get(header))
    assert seen == ["one", "two", None]


@pytest.mark.parametrize("name", ["OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"])
@pytest.mark.parametrize("value", ["team-ä", "a\x1bb"])
def test_a_variable_with_what_no_header_can_hold_is_named_and_nothing_is_sent(serve, monkeypatch, name, value):
    fake = serve("x")
    monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
    monkeypatch.setenv(name, f"X-Team: {value}")
    with pytest.raises(errors.ConfigError, match=f"{name} = .* that no HTTP header can hold") as caught:
        say()
    assert (caught.value.key, fake.n) == (name, 0)


@pytest.mark.parametrize("value", ["a\nb", "team-ä", 7])
def test_a_header_of_a_named_model_that_cannot_be_sent_is_named_and_asked_for_once(serve, value):
    fake = serve("x")
    table = {"model": "m", "base_url": fake.url, "extra_headers": {"X-Team": value}}
    with pytest.raises(errors.OptionError, match="extra_headers: the value of X-Team"):
        tinyllm_magic.ModelManager({"models": {"mine": table}}).create_client("mine").send_message("hi")
    assert fake.n == 0


def test_a_name_that_is_none_of_a_header_is_named():
    with pytest.raises(errors.OptionError, match=r"'X Team' is no name of an HTTP header"):
        network.check_headers({"X Team": "a"})


def test_a_key_that_is_called_for_is_stripped_and_masked(serve):
    fake = serve(Turn(status=401, body={"error": {"message": "bad Token-of-today-7"}}))
    client = openai_client.connect(Endpoint("openai", fake.url, api_key=lambda: " Token-of-today-7\n"), environ={})
    with pytest.raises(Exception, match="401"):
        client.chat.completions.create(model="m", messages=[])
    assert fake.headers["authorization"] == "Bearer Token-of-today-7"
    assert "Token-of-today-7" not in redaction.mask("bad Token-of-today-7")


@pytest.mark.parametrize("found", [None, "", "two\nlines", "grün-12345678"])
def test_a_function_that_finds_no_key_is_told_of_and_nothing_is_sent(serve, found):
    fake = serve("x")
    table = {"model": "m", "base_url": fake.url, "api_key": lambda: found}
    with pytest.raises(errors.AuthError, match="the function that finds the key of http"):
        tinyllm_magic.ModelManager({"models": {"mine": table}}).create_client("mine").send_message("hi")
    assert fake.n == 0


def test_a_proxy_that_is_corrected_holds_from_the_next_call_on(serve, monkeypatch):
    stale, proxy = serve(), serve("through the proxy")
    stale.close()
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    monkeypatch.setenv("HTTP_PROXY", stale.root)
    with pytest.raises(errors.ConnectionFailedError):
        say()
    monkeypatch.setenv("HTTP_PROXY", proxy.root)
    assert say() == "through the proxy"


def test_an_exception_from_proxies_holds_from_the_next_call_on(serve, monkeypatch):
    fake, proxy = serve("direct"), serve("through the proxy")
    monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
    monkeypatch.setenv("HTTP_PROXY", proxy.root)
    said = [say()]
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert [*said, say()] == ["through the proxy", "direct"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_not_there_is_named_with_its_variable(serve, monkeypatch, name):
    stale = serve()
    stale.close()
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    monkeypatch.setenv(name, stale.root.replace("//", "//me:Pass-word-7@"))
    with pytest.raises(errors.ConnectionFailedError, match=rf"through the proxy http://…@{stale.root[7:]} \({name}\): .*refused") as caught:
        say()
    assert "Pass-word-7" not in str(caught.value)


@pytest.mark.parametrize("address", ["gopher://127.0.0.1:1", "http://[::1", "socks9://x"])
def test_a_proxy_that_is_none_is_named_with_its_variable(monkeypatch, address):
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(errors.ConfigError, match=r"HTTPS_PROXY = .* is no proxy that can be used") as caught:
        say()
    assert caught.value.key == "HTTPS_PROXY"


def test_a_proxy_that_says_nothing_is_named_with_its_variable(serve, monkeypatch):
    proxy = serve(Turn(hang=0))
    monkeypatch.setenv("OPENAI_BASE_URL", ELSEWHERE)
    monkeypatch.setenv("HTTP_PROXY", proxy.root)
    with pytest.raises(errors.CallTimeoutError, match=rf"no complete answer within 1 s through the proxy {proxy.root} \(HTTP_PROXY\)"):
        say(timeout=1)


def test_a_proxy_is_not_blamed_where_it_is_bypassed(serve, monkeypatch):
    fake = serve()
    fake.close()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert "proxy" not in fails(fake, errors.ConnectionFailedError).message


def test_certificates_that_are_corrected_hold_from_the_next_call_on(serve_https, monkeypatch, tmp_path):
    fake, url = serve_https("x", "y")
    path = tmp_path / "authority.pem"
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(errors.ConfigError):
        say()
    path.write_bytes(CERTIFICATE.read_bytes())  # the same path, another file
    assert say() == "x"
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))  # another path
    assert say() == "y"
    assert fake.n == 2


@pytest.mark.parametrize(
    ("name", "made"), [("SSL_CERT_FILE", ""), ("SSL_CERT_DIR", ""), ("SSL_CERT_FILE", "file"), ("SSL_CERT_FILE", "folder")]
)
def test_a_stale_path_of_certificates_is_named_with_its_variable(serve_https, monkeypatch, tmp_path, name, made):
    path = tmp_path / "authority.pem"
    if made:
        path.write_text("no certificate") if made == "file" else path.mkdir()
    fake, url = serve_https("x")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv(name, str(path))
    with pytest.raises(errors.ConfigError, match=f"{name} = '{path}' names no certificates that can be read") as caught:
        say()
    assert (caught.value.key, fake.n) == (name, 0)


def test_a_server_that_is_not_trusted_is_asked_once_and_the_variable_is_named(serve_https, monkeypatch, tmp_path):
    fake, url = serve_https("x")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(errors.InvalidRequestError, match=f"SSL_CERT_DIR = '{tmp_path}' says which certificates are trusted") as caught:
        tinyllm_magic.client().send_message("hi", mode="off")
    assert (caught.value.retryable, caught.value.attempts, fake.n) == (False, 1, 0)


def test_an_http_address_needs_no_certificates(serve, monkeypatch):
    fake = serve("x")
    monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/authority.pem")
    assert say() == "x"
