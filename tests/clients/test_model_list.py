"""What ``-m`` may name: what can be asked here and now first, a model that failed not as if it worked."""

import os
from pathlib import Path

import pytest

from tinyllm_magic import client, errors
from tinyllm_magic.clients.model_list import answered_models, list_offers
from tinyllm_magic.clients.sessions import session
from tinyllm_magic.models.catalog import EMBEDDED

MESSAGES = [{"role": "user", "content": "hi"}]


def offers(served=None):
    return list_offers(session, session.settings(), os.environ, served)


def names(served=None, *, ready):
    return [o.name for o in offers(served) if o.ready is ready]


def offer(name, served=None):
    return next(o for o in offers(served) if o.name == name)


def test_tiny_is_at_the_top_and_answers_where_nothing_is_set():
    first = offers()[0]
    assert (first.name, first.route.model, first.ready, first.is_default) == ("tiny", EMBEDDED, True, True)


def test_without_its_engine_tiny_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert (offer("tiny").ready, 'pip install "tinyllm-magic[local]"' in offer("tiny").state) == (False, True)


def test_where_an_address_takes_every_name_the_embedded_model_has_its_long_one(start):
    start()
    assert offers()[0].name == EMBEDDED


def test_a_vendor_stands_among_what_can_be_asked_once_its_key_is_there(monkeypatch):
    assert offer("groq:").state == "GROQ_API_KEY is missing"
    assert "groq:" in names(ready=False)
    monkeypatch.setenv("GROQ_API_KEY", "k")
    assert offer("groq:").state == "GROQ_API_KEY is set"
    assert "groq:" in names(ready=True)


def test_azure_wants_its_endpoint_first():
    assert offer("azure:").state == "AZURE_OPENAI_ENDPOINT is missing"


def test_models_of_a_server_on_this_machine_are_named_as_they_are_asked():
    served = {"ollama": ("llama3:8b", "gemma3:1b")}
    ready = names(served, ready=True)
    assert ready[0] == "tiny"
    assert {"ollama:", "ollama:llama3:8b", "ollama:gemma3:1b"} <= set(ready)
    assert offer("ollama:llama3:8b", served).route.model == "llama3:8b"
    assert offer("vllm:", served).state == "no server answers at localhost:8000"
    assert offer("ollama:").state == "was not looked for"


def test_tables_are_listed_by_their_names_with_what_they_want():
    Path("config.ini").write_text("[models.far]\nprovider = groq\nmodel = llama\n[models.near]\nbase_url = http://127.0.0.1:9/v1\n")
    assert (offer("far").ready, offer("far").state) == (False, "GROQ_API_KEY is missing")
    assert (offer("near").ready, offer("near").state) == (True, "not needed")


def test_a_model_that_failed_is_not_offered_as_if_it_worked_until_it_answers(start):
    start(404, "ok")
    with pytest.raises(errors.NotFoundError):
        client().send_message(MESSAGES, model="gpt-9")
    assert answered_models(session) == []
    assert "gpt-9" not in [o.name for o in offers()]
    client().send_message(MESSAGES, model="gpt-9")
    assert answered_models(session) == ["gpt-9"]
    assert "gpt-9" in names(ready=True)


def test_a_table_whose_model_failed_stays_listed_and_says_so(start):
    server = start(404)
    Path("config.ini").write_text(f"[models.mine]\nbase_url = {server.url}\nmodel = gone\n")
    with pytest.raises(errors.NotFoundError):
        client().send_message(MESSAGES, model="mine")
    assert (offer("mine").ready, offer("mine").state) == (False, "failed at its last call (NotFoundError)")


def test_a_vendors_model_that_answered_is_named_with_its_vendor(start):
    server = start("ok", environ=False)
    Path("config.ini").write_text(f"[OpenAI]\nAPI_TYPE = ollama\nBASE_URL = {server.url}\nMODEL = llama3:8b\n")
    client().send_message(MESSAGES)
    assert answered_models(session) == ["ollama:llama3:8b"]
