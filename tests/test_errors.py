"""The error tree: evidence, words, and what a notebook shows of it."""

import pickle

import pytest

from tinyllm_magic import errors


def test_evidence_is_kept_as_attributes():
    error = errors.RateLimitError("slow down", status=429, retry_after=2.0, attempts=3)
    assert (error.status, error.retry_after, error.attempts, error.first) == (429, 2.0, 3, None)


def test_evidence_that_a_class_does_not_declare_is_refused():
    with pytest.raises(TypeError, match="AuthError keeps no evidence named 'retry_after'"):
        errors.AuthError("no", retry_after=2.0)


@pytest.mark.parametrize("kind", [errors.NonTerminalError, errors.InvalidRequestError, errors.BudgetError])
def test_an_error_raised_without_arguments_says_what_it_stands_for(kind):
    with pytest.raises(kind) as caught:
        raise kind
    assert len(caught.value.message) > 20
    assert caught.value.message in str(caught.value)


def test_an_error_survives_pickling_with_its_evidence():
    error = pickle.loads(pickle.dumps(errors.StoreError("damaged", hint="Tidy it.", path="a.jsonl", line=3)))
    assert (error.message, error.hint, error.path, error.line) == ("damaged", "Tidy it.", "a.jsonl", 3)


HOSTILE = "a\x1b]0;title\x07\x1b[2J\x9b31m\u202etxt.exe\r\x7f"


def test_message_and_hint_hold_no_control_character_and_no_direction_override():
    error = errors.StoreError(f"there is no store {HOSTILE}\nsecond\tline", hint=f"Did you mean {HOSTILE}?")
    assert error.message == "there is no store a]0;title[2J31mtxt.exe\nsecond\tline"
    assert error.hint == "Did you mean a]0;title[2J31mtxt.exe?"


def test_message_and_hint_hold_no_secret(monkeypatch):
    monkeypatch.setenv("GATEWAY_TOKEN", "Zebra-crossing-42")
    error = errors.ConfigError("model = Zebra-crossing-42", hint="Not Zebra-crossing-42.")
    assert str(error) == "model = <GATEWAY_TOKEN>\nNot <GATEWAY_TOKEN>."


def test_a_message_has_an_end():
    assert len(errors.ProviderError("x" * 1_000_000).message) < 5000


def test_a_full_traceback_is_printed_without_control_characters_and_secrets(monkeypatch, capsys):
    monkeypatch.setenv("GATEWAY_TOKEN", "Zebra-crossing-42")
    monkeypatch.setattr(errors.sys, "last_value", ValueError(f"Zebra-crossing-42 {HOSTILE}"), raising=False)
    errors.show_traceback()
    assert "ValueError: <GATEWAY_TOKEN> a]0;title[2J31mtxt.exe" in capsys.readouterr().err


def test_the_tree_in_the_docstring_names_every_class():
    def walk(kind):
        yield kind.__name__
        for child in kind.__subclasses__():
            yield from walk(child)

    drawn = set(errors.__doc__.replace("├", " ").replace("─", " ").replace("└", " ").replace("│", " ").split())
    assert {n for n in walk(errors.TinyLLMError) if hasattr(errors, n)} <= drawn


@pytest.mark.parametrize("kind", [errors.NonTerminalError, errors.InvalidRequestError])
def test_an_error_may_be_raised_with_what_any_exception_takes(kind):
    assert str(kind("busy", 503)) == "busy: 503"
    assert str(kind(OSError("no route"))) == "no route"
