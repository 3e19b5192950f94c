"""What a kernel remembers: where its store lies, what it has chosen, what it gives back."""

import json
from pathlib import Path

import pytest
from fakeserver import FakeServer

from tinyllm_magic import LLMCall, Message, Request, session
from tinyllm_magic.clients.stores import default_store_path
from tinyllm_magic.errors import ConfigError, ReplayMiss, StoreError
from tinyllm_magic.models.catalog import EMBEDDED
from tinyllm_magic.responses import Answer, Record
from tinyllm_magic.settings import trust


@pytest.mark.parametrize(
    ("told", "store"),
    [
        ("analysis.ipynb", "analysis.llm.jsonl"),
        ("deep/er/analysis.ipynb", "analysis.llm.jsonl"),
        ("/nowhere/at/all/analysis.ipynb", "analysis.llm.jsonl"),
        ("console-1", "session.llm.jsonl"),
        ("", "session.llm.jsonl"),
    ],
)
def test_the_store_lies_beside_the_notebook_that_jupyter_server_names(monkeypatch, told, store):
    monkeypatch.setenv("JPY_SESSION_NAME", told)
    assert default_store_path() == Path.cwd() / store


def test_an_absolute_notebook_path_decides_the_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "study.ipynb"))
    assert default_store_path() == tmp_path / "study.llm.jsonl"


def test_vs_code_tells_the_notebook_in_the_namespace(shell, tmp_path):
    shell.user_ns["__vsc_ipynb_file__"] = str(tmp_path / "code.ipynb")
    assert default_store_path() == tmp_path / "code.llm.jsonl"


def test_where_the_name_is_unknown_the_store_is_that_of_the_session_whatever_else_lies_there():
    Path("other.llm.jsonl").touch()
    assert default_store_path().name == "session.llm.jsonl"


@pytest.fixture
def echo(monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    monkeypatch.setenv("TINYLLM_MODE", "auto")


def ask_in(notebook, monkeypatch):
    """The response of a fresh kernel that runs this notebook, or one without a name."""
    session.reset()
    if notebook:
        monkeypatch.setenv("JPY_SESSION_NAME", notebook)
    else:
        monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    call = LLMCall.from_text("Hello")
    call.call()
    return call.response


@pytest.mark.parametrize(("first", "then"), [("Untitled.ipynb", "study.ipynb"), ("", "study.ipynb"), ("study.ipynb", "")])
def test_what_was_recorded_under_another_name_or_none_is_not_asked_again(echo, monkeypatch, first, then):
    assert [ask_in(first, monkeypatch).source, ask_in(then, monkeypatch).source] == ["live", "recorded"]


def test_only_a_kernel_that_knows_its_notebook_copies_what_it_finds(echo, monkeypatch):
    ask_in("Untitled.ipynb", monkeypatch)
    ask_in("", monkeypatch)
    assert not Path("session.llm.jsonl").exists()
    ask_in("study.ipynb", monkeypatch)
    assert Path("study.llm.jsonl").exists()


def test_a_store_that_was_named_has_no_siblings(echo, monkeypatch):
    ask_in("Untitled.ipynb", monkeypatch)
    monkeypatch.setenv("TINYLLM_STORE", "mine.llm.jsonl")
    assert ask_in("study.ipynb", monkeypatch).source == "live"


def test_a_renamed_notebook_takes_its_store_along_and_records_there(echo, monkeypatch):
    ask_in("Untitled.ipynb", monkeypatch)
    Path("study.ipynb").write_text("{}")
    session.rename_notebook(Path.cwd() / "Untitled.ipynb", Path.cwd() / "study.ipynb", Path.cwd())
    assert sorted(p.name for p in Path.cwd().glob("*.llm.jsonl")) == ["study.llm.jsonl"]
    assert default_store_path().name == "study.llm.jsonl"


def test_a_store_that_was_named_stays_when_the_notebook_is_renamed(echo, monkeypatch):
    monkeypatch.setenv("TINYLLM_STORE", "Untitled.llm.jsonl")
    ask_in("Untitled.ipynb", monkeypatch)
    Path("study.ipynb").write_text("{}")
    session.rename_notebook(Path.cwd() / "Untitled.ipynb", Path.cwd() / "study.ipynb", Path.cwd())
    assert [p.name for p in Path.cwd().glob("*.llm.jsonl")] == ["Untitled.llm.jsonl"]


def test_another_notebooks_name_is_refused(echo, monkeypatch):
    ask_in("mine.ipynb", monkeypatch)
    with pytest.raises(StoreError, match="is not the notebook of this kernel"):
        session.rename_notebook(Path.cwd() / "other.ipynb", Path.cwd() / "study.ipynb", Path.cwd())


@pytest.mark.parametrize(
    ("advice", "set_up"),
    [
        ("%llm_cache mode auto", lambda _: session.choose(mode="replay")),
        ("TINYLLM_MODE=replay was set from outside", lambda m: m.setenv("TINYLLM_MODE", "replay")),
        ("without `--mode replay`", None),
        ("leave it", lambda _: session.override(mode="replay")),
        ("MODE = replay stands in config.ini", lambda _: Path("config.ini").write_text("[OpenAI]\nMODE = replay\n")),
    ],
    ids=["session", "environment", "call", "override", "file"],
)
def test_the_advice_of_a_miss_fits_who_asked_for_the_replay(monkeypatch, advice, set_up):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    if set_up is not None:
        set_up(monkeypatch)
    with pytest.raises(ReplayMiss) as caught:
        LLMCall.from_text("Hello", **({} if set_up is not None else {"mode": "replay"})).call()
    assert advice in caught.value.hint


@pytest.mark.parametrize(("own", "advice"), [("replay", "take both out"), ("refresh", "start without it")])
def test_a_call_that_itself_asks_for_a_replay_within_one_is_told_of_both(monkeypatch, own, advice):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    monkeypatch.setenv("TINYLLM_MODE", "replay")
    with pytest.raises(ReplayMiss) as caught:
        LLMCall.from_text("Hello", mode=own).call()
    assert advice in caught.value.hint


def test_a_path_that_is_set_wins():
    with session.override(cache_file_name="mine.jsonl"):
        assert session.store(session.settings()).path == Path.cwd() / "mine.jsonl"


def test_in_a_plain_script_nothing_is_recorded_unless_asked(monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    LLMCall.from_text("Hello").call()
    assert list(Path.cwd().glob("*.jsonl")) == []
    with session.override(mode="auto"):
        LLMCall.from_text("Hello").call()
    assert len(list(Path.cwd().glob("*.jsonl"))) == 1


def test_the_store_remembers_what_keys_chose_so_that_a_reader_without_them_asks_the_same(monkeypatch):
    header = {"format": "tinyllm_magic store", "version": 1, "api_type": "openai", "model": "gpt-4o-mini", "endpoint": None}
    Path("session.llm.jsonl").write_text(json.dumps(header) + "\n", "utf-8")
    with session.override(mode="auto"):
        route = session.route(None, session.settings())
    assert (route.endpoint.provider, route.model) == ("openai", "gpt-4o-mini")

    Path("session.llm.jsonl").unlink()
    assert session.route(None, session.settings()).model == EMBEDDED


@pytest.mark.parametrize("variable", ["TINYLLM_MODEL", "TINYLLM_API_TYPE"])
def test_the_store_remembers_what_settings_beyond_its_folder_chose(monkeypatch, variable):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    monkeypatch.setenv(variable, {"TINYLLM_MODEL": "parrot"}.get(variable, "echo"))
    with session.override(mode="auto"):
        made = LLMCall.from_text("Hello")
        made.call()
        for name in ("TINYLLM_API_TYPE", "TINYLLM_MODEL"):
            monkeypatch.delenv(name, raising=False)
        again = LLMCall.from_text("Hello", mode="replay")
        again.call()
    assert again.response.key == made.response.key


def test_closing_folds_the_appended_tail_in_and_twice_does_no_harm(monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    with session.override(mode="auto"):
        for word in "dcba":
            LLMCall.from_text(f"say {word}", temperature=0).call()
        store = session.store(session.settings())
        session.close()
        session.close()
    keys = [json.loads(line)["key"] for line in store.path.read_text("utf-8").splitlines()[1:]]
    assert len(keys) == 4
    assert keys == sorted(keys)


def test_an_override_ends_with_its_block_and_can_be_undone_twice():
    with session.override(temperature=0.5) as change:
        assert session.settings().temperature == 0.5
    change.undo()
    assert session.settings().temperature is None


def test_a_folders_file_names_a_store_outside_it_only_once_the_folder_is_trusted(tmp_path):
    outside = tmp_path / ".bash_profile"
    Path("config.ini").write_text(f"[OpenAI]\nCACHE_FILE_NAME={outside}\nMODE=auto\nAPI_TYPE=echo\n", "utf-8")
    with pytest.raises(ConfigError, match="outside this folder"):
        LLMCall.from_text("Hello").call()
    assert not outside.exists()
    trust.trust(Path.cwd())
    LLMCall.from_text("Hello").call()
    assert outside.exists()


def test_a_folders_file_names_a_store_inside_it_without_being_trusted():
    Path("config.ini").write_text("[OpenAI]\nCACHE_FILE_NAME=deep/mine.llm.jsonl\nMODE=auto\nAPI_TYPE=echo\n", "utf-8")
    LLMCall.from_text("Hello").call()
    assert Path("deep/mine.llm.jsonl").exists()


def test_an_answer_recorded_through_a_gateway_is_replayed_without_it_and_without_a_key(monkeypatch):
    with FakeServer(["through the gateway"]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with session.override(mode="auto", model="gpt-4o-mini"):
            LLMCall.from_text("Hello").call()
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    for mode in ("replay", "auto"):
        with session.override(mode=mode, model="gpt-4o-mini"):
            assert LLMCall.from_text("Hello").call() == "through the gateway"


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "mistral-small-latest"])
def test_so_is_that_of_a_model_whose_name_means_a_vendor_that_takes_other_parameters(monkeypatch, model):
    with FakeServer(["through the gateway"]) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with session.override(mode="auto", model=model):
            LLMCall.from_text("Hello", seed=7, logprobs=True).call()
        assert server.last["seed"] == 7
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL")
    for mode in ("replay", "auto"):
        with session.override(mode=mode, model=model):
            assert LLMCall.from_text("Hello", seed=7, logprobs=True).call() == "through the gateway"


def test_with_a_key_the_vendor_is_asked_whatever_a_gateway_has_answered(monkeypatch):
    request = Request("openai:http://gateway/v1", "gpt-4o-mini", (Message("user", "Hello"),))
    store = session.stores.open(Path.cwd() / "session.llm.jsonl")
    store.append(Record(request.key, request.canonical(), Answer(text="gateway", finish_reason="stop")))
    with session.override(mode="auto", model="gpt-4o-mini"):
        assert session.prepare("Hello").replays
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        assert not session.prepare("Hello").replays


def test_the_query_of_an_address_stands_in_no_key_and_no_header(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway/v1?tenant=private-7")
    route = session.route(None, session.settings())
    assert route.endpoint.provider == "openai:http://gateway/v1"
    assert "private-7" not in repr((route.endpoint, dict(route.memory)))
    assert "private-7" in str(route.endpoint.base_url)
