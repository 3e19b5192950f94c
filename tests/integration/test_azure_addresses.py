"""Answers recorded at one Azure endpoint, replayed at another or at none."""

from pathlib import Path

import pytest

from tinyllm_magic import LLMCall, errors, override

pytestmark = pytest.mark.usefixtures("transport")


@pytest.fixture
def azure(start, monkeypatch):
    """Azure's endpoint in the environment, and an answer recorded there."""
    fake = start("recorded there", "asked again", environ=False)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-key-of-azure-0123")
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.root)
    return fake


def elsewhere(monkeypatch, address):
    monkeypatch.delenv("AZURE_OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_API_VERSION")
    if address is None:
        monkeypatch.delenv("AZURE_OPENAI_ENDPOINT")
    else:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", address)


ADDRESSES = pytest.mark.parametrize(
    "address", ["https://another.openai.azure.com", "https://another.openai.azure.com/openai/v1/", None], ids=["another", "v1", "none"]
)


@ADDRESSES
@pytest.mark.parametrize("model", ["my-deployment", None], ids=["model named", "no model named"])
@pytest.mark.parametrize("api_type", ["azure", None], ids=["API_TYPE", "found by the endpoint"])
def test_a_strict_replay_finds_the_answer_wherever_it_was_asked(azure, monkeypatch, address, model, api_type):
    with override(mode="auto", api_type=api_type):
        assert LLMCall(None, "Say hi.", model=model).call() == "recorded there"
    elsewhere(monkeypatch, address)
    with override(mode="replay", api_type=api_type):
        call = LLMCall(None, "Say hi.", model=model)
        assert call.call() == "recorded there"
    assert (call.response.source, azure.n) == ("recorded", 1)


def test_a_table_with_an_address_of_its_own_asks_there_and_nowhere_else(azure, monkeypatch):
    with override(mode="auto", api_type="azure"):
        LLMCall(None, "Say hi.", model="my-deployment").call()

    Path("config.ini").write_text(
        "[models.mine]\nprovider = azure\nmodel = my-deployment\nazure_endpoint = http://127.0.0.1:9\n", encoding="utf-8"
    )
    with override(mode="replay"), pytest.raises(errors.ReplayMiss):
        LLMCall(None, "Say hi.", model="mine").call()


def test_at_another_address_the_mode_auto_asks_anew(azure, monkeypatch, start):
    with override(mode="auto", api_type="azure"):
        LLMCall(None, "Say hi.", model="my-deployment").call()
        other = start("asked there", environ=False)
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", other.root)
        assert LLMCall(None, "Say hi.", model="my-deployment").call() == "asked there"
    assert (azure.n, other.n) == (1, 1)
