"""What counts as a secret, and how it is masked."""

import dataclasses

import pytest

from tinyllm_magic import redaction
from tinyllm_magic.messages import Request
from tinyllm_magic.recording.modes import Mode
from tinyllm_magic.redaction import drop_login, guard, is_secret, mask, mask_data, secrets, without_login
from tinyllm_magic.responses import Answer, Usage
from tinyllm_magic.settings.definitions import BY_NAME


@pytest.fixture
def no_keys_in_use(monkeypatch):
    monkeypatch.setattr(redaction, "_GUARDED", {})


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "my_token", "CLIENT_SECRET", "DB_PASSWORD", "GH_PAT", "PROXY_AUTH", "AWS_CREDENTIALS"])
def test_a_name_that_says_so_makes_a_strong_value_a_secret(name):
    assert secrets({name: "Zebra-crossing-42"}) == {"Zebra-crossing-42": name}


@pytest.mark.parametrize("name", ["PATH", "COMPAT", "max_tokens", "api_key_env", "AUTHOR", "HOME"])
def test_other_names_do_not(name):
    assert not is_secret(name)
    assert secrets({name: "Zebra-crossing-42"}) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARTITION_KEY", "messages"),
        ("DB_PASSWORD", "postgres"),
        ("OPENAI_API_KEY", "lm-studio"),
        ("SORT_KEY", "internationalisation"),
        ("A_TOKEN", "short-1"),
        ("MODEL_KEY", "gpt-4o-mini-2024-07-18"),
    ],
)
def test_an_everyday_word_is_no_secret_whatever_its_variable_is_called(name, value):
    assert secrets({name: value}) == {}


def test_a_password_counts_from_eight_characters_of_two_kinds():
    assert secrets({"DB_PASSWORD": "hunter22", "DB_KEY": "hunter2"}) == {"hunter22": "DB_PASSWORD"}


def test_no_field_name_and_no_value_of_ours_is_a_secret():
    values = [f.name for kind in (Request, Answer, Usage) for f in dataclasses.fields(kind)]
    names = {f"N{i}_PASSWORD": value for i, value in enumerate([*values, *BY_NAME, *Mode])}
    assert secrets(names) == {}


def test_a_key_in_use_counts_whatever_its_look(no_keys_in_use):
    guard("MY_CREDENTIAL", "zebracrossing")
    assert mask("the zebracrossing") == "the <MY_CREDENTIAL>"


def test_a_key_in_use_hides_no_new_value_of_its_variable(no_keys_in_use, monkeypatch):
    guard("OPENAI_API_KEY", "zebracrossing")
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2-hunter2")
    assert mask("zebracrossing, hunter2-hunter2") == "<OPENAI_API_KEY>, <OPENAI_API_KEY>"


@pytest.mark.parametrize("placeholder", ["lm-studio", "ollama", "not-needed"])
def test_a_placeholder_for_a_local_server_masks_nothing_even_in_use(no_keys_in_use, placeholder):
    guard("OPENAI_API_KEY", placeholder)
    assert mask(f"start {placeholder} first") == f"start {placeholder} first"


def test_the_longer_of_two_secrets_is_masked_whole(no_keys_in_use):
    guard("SHORT", "zebracrossing")
    guard("LONG", "zebracrossing-street")
    assert mask("zebracrossing-street") == "<LONG>"


def test_data_is_masked_at_every_depth(no_keys_in_use):
    guard("K", "zebracrossing")
    data = {"a": ["b", 1, None, {"c": ("zebra",)}]}
    assert mask_data(data) is data
    assert mask_data({"zebracrossing": ["a zebracrossing", 1, None, {"stop": ("zebracrossing",)}]}) == {
        "<K>": ["a <K>", 1, None, {"stop": ("<K>",)}]
    }


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://me:pw@example.org/v1", "https://example.org/v1"),
        ("https://me:p@w@example.org", "https://example.org"),
        ("https://example.org/@me?to=a@b#c@d", "https://example.org/@me?to=a@b#c@d"),
        ("https://example.org", "https://example.org"),
        ("https://example.org/x//me:pw@y", "https://example.org/x//me:pw@y"),
        ("", ""),
    ],
)
def test_a_login_is_stripped_from_an_address_and_nothing_else_is(url, stripped):
    assert drop_login(url) == stripped


@pytest.mark.parametrize("password", ["pw", "p@w"])
def test_a_shown_address_holds_no_part_of_a_password(password):
    assert without_login(f"see https://me:{password}@example.org/v1 or mail me@x.org") == "see https://…@example.org/v1 or mail me@x.org"


def test_values_that_are_no_text_are_shown_as_they_are():
    assert without_login(5) == 5


@pytest.mark.parametrize("name", ["DATABASE_URL", "PGPASSWORD", "GH_PAT", "SENTRY_DSN", "MY_CREDENTIAL_FILE", "OPENAI_API_KEY"])
def test_a_name_that_may_hold_a_secret_is_wider_than_one_that_is_masked(name):
    assert redaction.may_be_secret(name)


@pytest.mark.parametrize("name", ["LANG", "PATH", "PASSIVE_MODE", "HOME"])
def test_everyday_names_hold_no_secret(name):
    assert not redaction.may_be_secret(name)
