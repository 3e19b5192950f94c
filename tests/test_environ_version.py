"""A change of the environment is noticed, whatever it is."""

import os

import pytest

from tinyllm_magic import redaction
from tinyllm_magic.environ_version import environ_version
from tinyllm_magic.settings import layers

NAME = "TINYLLM_TEMPERATURE"


def test_the_number_stays_while_nothing_changes():
    assert environ_version() == environ_version()


@pytest.mark.parametrize("change", [{NAME: "1"}, {NAME: "2", "OTHER": ""}, {"http_proxy": "x"}])
def test_every_change_gives_another_number(monkeypatch, change):
    monkeypatch.setenv(NAME, "2")
    before = environ_version()
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    changed = environ_version()
    monkeypatch.delenv(NAME)
    assert len({before, changed, environ_version()}) == 3


def test_what_is_remembered_of_the_environment_follows_it(monkeypatch):
    for value in ("0.1", "0.2", None):
        monkeypatch.delenv(NAME) if value is None else monkeypatch.setenv(NAME, value)
        assert layers.load().values["temperature"] == (None if value is None else float(value))
    monkeypatch.setenv("MY_API_KEY", "A-secret-of-mine-1")
    assert redaction.mask("A-secret-of-mine-1, A-secret-of-mine-2") == "<MY_API_KEY>, A-secret-of-mine-2"
    os.environ["MY_API_KEY"] = "A-secret-of-mine-2"
    assert redaction.mask("A-secret-of-mine-1, A-secret-of-mine-2") == "A-secret-of-mine-1, <MY_API_KEY>"


def test_a_key_in_use_is_a_secret_from_then_on(monkeypatch):
    monkeypatch.setattr(redaction, "_GUARDED", {})
    assert redaction.mask("Token-of-today-7") == "Token-of-today-7"
    redaction.guard("the key", "Token-of-today-7")
    assert redaction.mask("Token-of-today-7") == "<the key>"
