"""A live call without its key: what is said, when it is said, and that a key set in the running kernel counts at once."""

import os
from types import SimpleNamespace

import pytest

from tinyllm_magic import client, override
from tinyllm_magic.clients import missing_keys
from tinyllm_magic.errors import AuthError, ReplayMiss

pytestmark = pytest.mark.usefixtures("transport")

MESSAGES = [{"role": "user", "content": "hi"}]


def ask(model, **params):
    return client().send_message(MESSAGES, model=model, **params)


@pytest.fixture
def front_end(monkeypatch):
    """``front_end(kernel=…)``: this code runs in a shell of IPython with that kernel."""

    def be(**parts):
        monkeypatch.setattr(missing_keys, "shell", lambda: SimpleNamespace(**parts))

    return be


@pytest.mark.parametrize(
    ("model", "variable"),
    [("claude-x", "ANTHROPIC_API_KEY"), ("groq:x", "GROQ_API_KEY"), ("gpt-4o", "OPENAI_API_KEY"), ("ft:gpt-4o:me::1", "OPENAI_API_KEY")],
)
def test_the_error_names_the_variable_and_that_recorded_cells_need_none(model, variable):
    with pytest.raises(AuthError, match=f"{variable} is not set") as caught:
        ask(model)
    assert caught.value.variable == variable
    assert "Recorded cells need no key." in caught.value.hint


def test_a_notebook_is_told_to_type_the_key_and_what_the_env_magic_would_do(front_end):
    front_end(kernel=SimpleNamespace(_allow_stdin=True))
    with pytest.raises(AuthError) as caught:
        ask("gpt-4o")
    assert 'os.environ["OPENAI_API_KEY"] = getpass.getpass()' in caught.value.hint
    assert "`%env OPENAI_API_KEY=…` would leave the key in the notebook's file" in caught.value.hint


def test_a_terminal_is_told_of_its_history(front_end):
    front_end()
    with pytest.raises(AuthError, match="would leave the key in the history"):
        ask("gpt-4o")


def test_where_nobody_can_type_the_key_is_to_be_set_before(front_end):
    front_end(kernel=SimpleNamespace(_allow_stdin=False))
    with pytest.raises(AuthError, match="Set OPENAI_API_KEY in the environment before this is started"):
        ask("gpt-4o")


def test_a_key_set_in_the_running_kernel_counts_at_once(start, monkeypatch):
    server = start(far=True)
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(AuthError):
        ask("gpt-4o")
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", "typed-just-now")
    assert ask("gpt-4o")["content"] == "ok"
    assert server.headers["authorization"] == "Bearer typed-just-now"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("gtp-4o", "gpt-4o"), ("cluade-sonnet-4-5", "claude-sonnet-4-5"), ("antropic:claude-x", "anthropic:claude-x"), ("smal", "small")],
)
def test_a_name_that_openai_does_not_have_is_told_with_near_ones(tmp_path, name, meant):
    (tmp_path / "place" / "config.ini").write_text("[models.small]\nprovider = local\n", encoding="utf-8")
    with pytest.raises(AuthError, match=f"'{name}' is no model of OpenAI's that is known here, and OPENAI_API_KEY is not set") as caught:
        ask(name)
    assert f"'{meant}'" in caught.value.hint
    assert f"`-m ollama:{name}`" in caught.value.hint


def test_with_a_key_the_vendor_says_what_it_has(start):
    server = start("ok")
    assert ask("gtp-4o")["content"] == "ok"
    assert server.last["model"] == "gtp-4o"


def test_an_unknown_name_is_looked_up_before_anything_is_said_of_it(start, monkeypatch):
    start("recorded answer")
    ask("gtp-4o", mode="auto")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name)
    assert ask("gtp-4o", mode="auto")["content"] == "recorded answer"
    with override(mode="replay"), pytest.raises(ReplayMiss):
        ask("gtp-5o")
