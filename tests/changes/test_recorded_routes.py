"""Which way leads to the model of a recorded request, and why none does."""

from pathlib import Path

import pytest

from tinyllm_magic import Message, Request
from tinyllm_magic.changes.recorded_routes import find_route
from tinyllm_magic.clients.sessions import Session
from tinyllm_magic.errors import ConfigError
from tinyllm_magic.models.catalog import EMBEDDED
from tinyllm_magic.settings import layers

TABLES = """
[models.writer]
identity = team
model = team-writer
base_url = https://gateway.example/v1
[models.own]
provider = local
path = /models/mine.gguf
"""


def find(provider, model):
    session = Session()
    return find_route(Request(provider, model, (Message("user", "?"),)), session, layers.load(Path.cwd()))


@pytest.mark.parametrize(
    ("provider", "model", "environ", "name"),
    [
        ("openai", "gpt-4o-mini", {}, None),
        ("openai", "gpt-4o-mini", {"TINYLLM_API_TYPE": "local"}, None),
        ("openai:https://api.groq.com/openai/v1", "llama-3.3-70b", {}, None),
        ("openai:http://localhost:11434/v1", "llama3:8b", {}, None),
        ("openai:http://127.0.0.1:9/v1", "any", {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, None),
        ("azure:https://res.openai.azure.com", "prod", {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com"}, None),
        ("local", EMBEDDED, {"OPENAI_API_KEY": "sk-1"}, None),
        ("local", "mine", {}, "own"),
        ("echo", "echo", {}, None),
        ("team", "team-writer", {}, "writer"),
    ],
)
def test_the_way_leads_to_the_same_provider_and_model(monkeypatch, provider, model, environ, name):
    Path("config.ini").write_text(TABLES, "utf-8")
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)

    route = find(provider, model)

    assert (route.endpoint.provider, route.model, route.name) == (provider, model, name)


@pytest.mark.parametrize(
    ("provider", "model", "environ", "why"),
    [
        ("openai:https://elsewhere.example/v1", "gpt-4o", {}, "it was asked at https://elsewhere.example/v1, where no setting leads now"),
        (
            "openai",
            "gpt-4o",
            {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
            "own address of openai, and these settings lead elsewhere",
        ),
        ("local", "gone", {}, "a model file gone.gguf, which no named model of these settings leads to"),
        ("call:ask_me", "m", {}, r"through a function of the notebook's own \(ask_me\)"),
        ("looker", "stand-in", {}, "'looker' is no API type, vendor or identity"),
    ],
)
def test_no_address_that_only_a_record_names_is_asked(monkeypatch, provider, model, environ, why):
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=why):
        find(provider, model)
