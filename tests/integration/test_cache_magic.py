"""`%llm_cache` says what it did."""

import pytest
from IPython.utils.capture import capture_output

from tinyllm_magic import session

pytestmark = pytest.mark.usefixtures("server")


def run(shell, source):
    with capture_output() as captured:
        result = shell.run_cell(source)
    return result.error_in_exec or result.error_before_exec, captured.outputs


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("tidy", "tidied: 2 records kept"),
        ("clear", "2 recorded answers moved to "),
        ("mode replay", "the mode is now replay"),
        ("use other.llm.jsonl", "answers are now read from and recorded in other.llm.jsonl"),
    ],
)
def test_the_store_magic_says_what_it_did(shell, line, said):
    run(shell, "%%llm -n 2\nName a colour.")
    error, outputs = run(shell, f"%llm_cache {line}")
    assert error is None
    assert said in outputs[-1].data["text/plain"]
    assert said in outputs[-1].data["text/html"]


@pytest.mark.parametrize("line", ["clear k1:abc", "tidy other.llm.jsonl", "stats x", "list x"])
def test_a_word_too_many_changes_nothing(shell, line):
    run(shell, "%%llm\nName a colour.")
    error, _ = run(shell, f"%llm_cache {line}")
    assert "takes no argument" in str(error)
    assert len(session.store(session.settings())) == 1


def test_outside_replay_beats_the_store_magics_mode(shell, monkeypatch):
    monkeypatch.setenv("TINYLLM_MODE", "replay")
    _, outputs = run(shell, "%llm_cache mode refresh")
    assert "the mode is now replay" in outputs[-1].data["text/plain"]
