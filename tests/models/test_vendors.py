"""The vendors of `models.toml`, and names that say whose model they mean."""

import datetime as dt

import pytest

from tinyllm_magic.models.catalog import facts, read_data
from tinyllm_magic.models.endpoints import Endpoint, key_state
from tinyllm_magic.models.vendors import find_vendor, split_vendor, vendor_by_prefix, vendors

ON_THIS_MACHINE = {"ollama": 11434, "lmstudio": 1234, "vllm": 8000, "llamacpp": 8080}


def test_every_vendor_is_dated_and_has_an_address_and_a_key_or_runs_here():
    for name, block in read_data()["vendors"].items():
        vendor = vendors()[name]
        assert isinstance(block["as_of"], dt.date)
        assert vendor.base_url or name == "azure"
        assert vendor.keys or vendor.local
        assert vendor.local is (name in ON_THIS_MACHINE)


@pytest.mark.parametrize(("name", "port"), ON_THIS_MACHINE.items())
def test_servers_of_this_machine_are_at_their_usual_port_and_need_no_key(name, port):
    vendor = find_vendor(name)
    assert vendor.base_url == f"http://localhost:{port}/v1"
    assert key_state(Endpoint("openai", "http://10.0.0.9:1/v1", vendor=name), {}) == "not needed"


def test_the_key_of_a_vendor_is_looked_for_in_its_own_variables_only():
    endpoint = Endpoint("openai", "https://api.anthropic.com/v1", vendor="anthropic")
    assert key_state(endpoint, {"OPENAI_API_KEY": "k"}) == "ANTHROPIC_API_KEY is missing"
    assert key_state(endpoint, {"ANTHROPIC_API_KEY": "k"}) == "ANTHROPIC_API_KEY is set"


@pytest.mark.parametrize("name", ["llama3:8b", "ft:gpt-4o:me::1", "mistral:", ":x", "mistral", "meta/llama:free"])
def test_a_colon_alone_names_no_vendor(name):
    assert split_vendor(name) is None


def test_no_prefix_belongs_to_two_vendors():
    prefixes = [(p, v.name) for v in vendors().values() for p in v.prefixes]
    assert len(prefixes) > 8
    assert all(vendor_by_prefix(p + "x") == owner for p, owner in prefixes)


def test_what_a_vendor_refuses_is_a_fact_of_its_models_there_and_not_elsewhere():
    assert "seed" in facts("claude-x", whose="anthropic").refuses
    assert "seed" not in facts("claude-x", whose="openai").refuses
