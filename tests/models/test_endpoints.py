"""Identity of an endpoint, loopback addresses, whether the key is there."""

import pytest
from modelmaker import GATEWAY, KEY, choose

from tinyllm_magic.models.endpoints import Endpoint, is_loopback, key_state


@pytest.mark.parametrize(
    ("endpoint", "identity"),
    [
        (Endpoint("openai"), "openai"),
        (Endpoint("openai", "https://api.openai.com/v1/"), "openai"),
        (Endpoint("openai", f"{GATEWAY}/"), f"openai:{GATEWAY}"),
        (Endpoint("openai", "https://me:secret@gateway.example/v1"), f"openai:{GATEWAY}"),
        (Endpoint("openai", "https://me:se@cret@gateway.example/v1?tag=a@b"), f"openai:{GATEWAY}"),
        (Endpoint("openai", GATEWAY, identity="shared"), "shared"),
        (Endpoint("azure", "https://res.openai.azure.com/"), "azure:https://res.openai.azure.com"),
        (Endpoint("azure"), "azure"),
        (Endpoint("local", path="/x/y.gguf"), "local"),
        (Endpoint("echo"), "echo"),
        (Endpoint("mine"), "mine"),
    ],
)
def test_the_identity_of_an_endpoint_decides_keys_and_holds_none(endpoint, identity):
    assert endpoint.provider == identity


def test_no_key_appears_in_the_repr_of_an_endpoint_or_its_route():
    route = choose(model="a", models={"a": {"api_key": "sk-hidden", "base_url": "https://u:sk-hidden@gateway.example/v1"}})
    assert route.endpoint.api_key == "sk-hidden"
    assert "sk-hidden" not in repr(route)


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://127.0.0.2", "http://[::1]:8000"])
def test_addresses_of_this_machine_are_loopback(url):
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url",
    ["https://localhost@example.org", "http://127.0.0.1.example.org", "http://10.0.0.1", "", "http://[", "localhost", "http://a.localhost"],
)
def test_other_addresses_are_not_loopback(url):
    assert not is_loopback(url)


@pytest.mark.parametrize(
    ("endpoint", "environ", "state"),
    [
        (Endpoint("openai"), KEY, "OPENAI_API_KEY is set"),
        (Endpoint("openai"), {}, "OPENAI_API_KEY is missing"),
        (Endpoint("azure"), {"AZURE_OPENAI_KEY": "k"}, "AZURE_OPENAI_KEY is set"),
        (Endpoint("openai", api_key_env="MINE"), KEY, "MINE is missing"),
        (Endpoint("openai", api_key="k"), {}, "given"),
        (Endpoint("openai", GATEWAY, trusted=False), KEY, "not sent: this folder is not trusted"),
        (Endpoint("openai", "http://localhost:1/v1"), {}, "not needed"),
        (Endpoint("local"), KEY, "not needed"),
        (Endpoint("registered"), {}, "the client's own affair"),
        (Endpoint("registered"), KEY, "OPENAI_API_KEY is set"),
        (Endpoint("registered", api_key_env="MINE"), KEY, "MINE is missing"),
    ],
)
def test_the_state_of_a_key_is_said_without_showing_it(endpoint, environ, state):
    assert key_state(endpoint, environ) == state
