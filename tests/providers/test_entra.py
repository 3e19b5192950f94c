"""Entra tokens from azure-identity: a managed identity on loopback, as Azure's App Service offers one."""

import json
import logging
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tinyllm_magic import errors, override, redaction
from tinyllm_magic.clients.api import client
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import entra, openai_client

M = [{"role": "user", "content": "hi"}]


class Identity(ThreadingHTTPServer):
    """Gives out tokens, each with its number in it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = []
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        """Nothing is printed."""

    def do_GET(self):
        self.server.asked.append(self.path)
        token = {"access_token": f"entra-token-number-{len(self.server.asked)}", "expires_on": str(int(time.time()) + 9999)}
        refused = {"statusCode": self.server.status, "message": "No identity is known here."}
        body = json.dumps({**token, "token_type": "Bearer", "resource": "r"} if self.server.status == 200 else refused).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def identity(monkeypatch):
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    server = Identity()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    entra._credential.cache_clear()
    yield server
    entra._credential.cache_clear()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["", "/openai/v1/"], ids=["deployments", "v1"])
def test_a_managed_identity_signs_calls_and_its_token_is_kept(start, monkeypatch, identity, path):
    fake = start(environ=False)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.root + path)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    with override(api_type="azure"):
        assert [client().send_message(M)["content"] for _ in range(2)] == ["ok", "ok"]
    assert fake.headers["authorization"] == "Bearer entra-token-number-1"
    assert len(identity.asked) == 1
    assert "cognitiveservices.azure.com" in identity.asked[0]
    assert "entra-token-number-1" in redaction.secrets()


def test_a_key_that_is_set_is_sent_and_nobody_is_asked_for_a_token(serve, identity):
    fake = serve()
    endpoint = Endpoint("azure", fake.root, api_version="1")
    openai_client.connect(endpoint, environ={"AZURE_OPENAI_KEY": "a-key-of-azure"}).chat.completions.create(model="m", messages=M)
    assert (fake.headers["api-key"], identity.asked) == ("a-key-of-azure", [])


def test_where_nobody_is_signed_in_the_error_says_what_to_do(start, monkeypatch, identity, capfd):
    fake = start(environ=False)
    identity.status = 400
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.root)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(sys.stderr))
    with override(api_type="azure", azure_api_version="1"), pytest.raises(errors.AuthError) as caught:
        client().send_message(M)
    assert "AZURE_OPENAI_API_KEY" in caught.value.message
    assert "az login" in caught.value.hint
    assert len(str(caught.value)) < 500
    assert fake.n == 0
    assert capfd.readouterr().err == ""


def test_signing_in_after_a_failure_counts_in_the_same_kernel(serve, monkeypatch, identity):
    fake = serve()
    monkeypatch.setenv("PATH", "")
    sdk = openai_client.connect(Endpoint("azure", fake.root, api_version="1"), environ={})
    identity.status = 400
    with pytest.raises(errors.AuthError):
        sdk.chat.completions.create(model="m", messages=M)
    identity.status = 200
    assert sdk.chat.completions.create(model="m", messages=M).choices[0].message.content == "ok"


def test_without_azure_identity_the_missing_keys_are_named(monkeypatch):
    monkeypatch.setattr(entra, "find_spec", lambda _: None)
    with pytest.raises(errors.AuthError, match="AZURE_OPENAI_API_KEY and AZURE_OPENAI_KEY and AZURE_OPENAI_AD_TOKEN are not set"):
        openai_client.connect(Endpoint("azure", "https://x.openai.azure.com", api_version="1"), environ={})


def test_an_address_that_a_strange_folder_names_gets_no_token(identity):
    with pytest.raises(errors.AuthError, match="llm_config trust"):
        openai_client.connect(Endpoint("azure", "https://x.example.org", api_version="1", trusted=False), environ={})
    assert identity.asked == []


def test_nothing_of_azure_is_imported_before_a_token_is_needed():
    import subprocess

    script = """
import sys
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import openai_client
openai_client.connect(Endpoint("azure", "http://127.0.0.1:9", api_version="1"), environ={})
print([m for m in sys.modules if m.startswith(("azure.identity", "msal"))])
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "[]"
