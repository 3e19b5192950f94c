"""What cells that ask in the same way have in common is resolved once, and anew once anything that it hangs on has changed."""

import os
from pathlib import Path

import pytest

from tinyllm_magic import LLMCall, Message, OpenAIClient, client, override, register_client, session
from tinyllm_magic.recording.codec import header_line
from tinyllm_magic.recording.store import Store
from tinyllm_magic.settings import trust


@pytest.fixture(autouse=True)
def _asked_of_openai(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("TINYLLM_MODE", "auto")
    monkeypatch.setenv("JPY_SESSION_NAME", "study.ipynb")


def prepare(text="Hello", **params):
    return LLMCall.from_text(text, **params).prepare()


def in_environment(monkeypatch):
    monkeypatch.setenv("TINYLLM_TEMPERATURE", "0.25")
    return lambda p: p.request.params["temperature"] == 0.25


def key_goes(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    return lambda p: p.plan.route.endpoint.api_type == "local"


def in_file(_):
    Path("config.ini").write_text("[OpenAI]\nMODEL = gpt-4.1\n", encoding="utf-8")
    return lambda p: p.request.model == "gpt-4.1"


def in_user_file(_):
    folder = Path(os.environ["TINYLLM_CONFIG_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.ini").write_text("[OpenAI]\nMAX_ATTEMPTS = 7\n", encoding="utf-8")
    return lambda p: p.plan.policy.attempts == 7


def in_session(_):
    session.choose(temperature=0.5)
    return lambda p: p.request.params["temperature"] == 0.5


def in_session_and_back(_):
    session.choose(temperature=0.5)
    prepare()
    session.reset()
    return lambda p: "temperature" not in p.request.params


def in_override(_):
    override(mode="replay")
    return lambda p: p.mode == "replay"


def in_another_override(_):
    with override(timeout=5):
        assert prepare().plan.timeout == 5
    override(timeout=6)
    return lambda p: p.plan.timeout == 6


def in_another_notebook(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "other.ipynb")
    return lambda p: p.store.path.name == "other.llm.jsonl"


def in_another_folder(monkeypatch):
    Path("deeper").mkdir()
    monkeypatch.chdir("deeper")
    return lambda p: p.store.path == Path.cwd() / "study.llm.jsonl"


def store_is_folder(monkeypatch):
    monkeypatch.setenv("TINYLLM_STORE", "stores")
    assert prepare().store.path.name == "stores"
    Path("stores").mkdir()
    return lambda p: p.store.path.name == "study.llm.jsonl"


def by_its_client(_):
    client().cache_file_name = "own.llm.jsonl"
    return lambda p: p.store.path.name == "own.llm.jsonl"


def not_recorded_by_its_client(_):
    client().cache_api_calls = False
    return lambda p: p.store is None


def over_another_client(_):
    other = OpenAIClient()
    register_client("openai", other)
    return lambda p: p.client is other


def after_a_header_was_written(_):
    other = Store(Path("study.llm.jsonl"))
    other.path.write_bytes(header_line({"api_type": "openai", "model": "gpt-4.1"}))
    return lambda p: p.request.model == other.header["model"]


@pytest.mark.parametrize(
    "change",
    [
        in_environment,
        key_goes,
        in_file,
        in_user_file,
        in_session,
        in_session_and_back,
        in_override,
        in_another_override,
        in_another_notebook,
        in_another_folder,
        store_is_folder,
        by_its_client,
        not_recorded_by_its_client,
        over_another_client,
        after_a_header_was_written,
    ],
)
def test_a_change_is_seen_by_the_next_call(monkeypatch, change):
    prepare()
    shows_it = change(monkeypatch)
    assert shows_it(prepare())


def test_a_call_like_another_has_its_own_messages_and_key_and_all_else_of_the_other():
    first, second = prepare("One {{ 1 }}"), prepare("Two")
    assert second.plan.route is first.plan.route
    assert second.lookup is first.lookup
    assert [m.text for m in second.request.messages] == ["Two"]
    assert second.request.key != first.request.key
    fresh = session.prepare(second.request.messages, settings=session.settings(), responses=True)  # nothing is kept of such calls
    assert fresh.plan == second.plan


def test_a_cell_that_is_run_again_asks_the_very_same_request():
    prepare()
    assert prepare("Two").request is prepare("Two").request


def test_a_conversation_with_calls_of_tools_is_asked_as_ever():
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    turns = [Message("assistant", "Wait.", tool_calls=(call,)), Message("tool", "3", tool_call_id="1"), Message("user", "So?")]
    prepare()
    asked = session.prepare(turns, responses=True).request.messages
    assert list(asked) == turns


@pytest.mark.parametrize(
    ("one", "other"), [({"seed": 1}, {"seed": 2}), ({"sample": 0}, {"sample": 1}), ({"logprobs": True}, {"logprobs": 1})]
)
def test_calls_with_other_parameters_are_not_alike(one, other):
    keys = {prepare(**one).request.key, prepare(**other).request.key}
    assert len(keys) == 2


def test_trust_in_a_folder_counts_from_the_moment_it_is_given():
    Path("config.ini").write_text("[OpenAI]\nBASE_URL = http://gateway.invalid/v1\n", encoding="utf-8")
    assert not prepare().plan.route.endpoint.trusted
    trust.trust(Path.cwd())
    assert prepare().plan.route.endpoint.trusted


def test_a_class_that_answers_by_itself_is_not_passed_by(monkeypatch):
    class Own(OpenAIClient):
        pass

    register_client("openai", Own())
    assert prepare().plan.transport is None
    monkeypatch.setattr(Own, "send_message", lambda *_, **__: {"role": "assistant", "content": "mine"}, raising=False)
    assert prepare().plan.transport is not None
