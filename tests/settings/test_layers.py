"""The order of the layers, files and environment, modes, trust in addresses."""

import warnings
from pathlib import Path

import pytest
from settingsplace import openai

from tinyllm_magic.errors import ConfigError
from tinyllm_magic.settings.definitions import SETTINGS, find
from tinyllm_magic.settings.layers import ConfigWarning, load
from tinyllm_magic.settings.origins import Origin, Source
from tinyllm_magic.settings.trust import trust


def test_packaged_values_have_their_types_and_no_sampling_parameter(place):
    found = place.load()
    sampling = ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")
    assert [found.values[name] for name in sampling] == [None] * len(sampling)
    assert (found.model, found.timeout, found.max_attempts, found.waiting_time) == ("gpt-4o-mini", 120.0, 5, 1.0)
    assert (found.exponential_backoff_factor, found.embedding_model) == (2.0, "text-embedding-3-small")
    unset = ("api_type", "mode", "cache_api_calls", "cache_file_name", "base_url", "reasoning_effort", "max_completion_tokens")
    assert [found.values[n] for n in unset] == [None] * len(unset)
    assert found.max_answer_bytes == 64 * 2**20
    assert all(isinstance(v, SETTINGS[find(n).key].type) for n, v in found.values.items() if v is not None)


def test_unknown_name_is_a_value_error_with_near_matches(place):
    with pytest.raises(ValueError, match="temprature") as caught:
        place.load().over({"temprature": 1}, Origin.SESSION)
    assert isinstance(caught.value, ConfigError)
    assert "'temperature'" in caught.value.hint


def test_a_file_overlays_and_never_replaces(place):
    place.write(openai("MODEL=x"))
    assert (place.load().model, place.load().max_attempts) == ("x", 5)


@pytest.mark.parametrize("layers", range(1, 7))
def test_later_layers_win(place, layers):
    environ = {}
    if layers >= 1:
        place.write(openai("MODEL=m1"), user=True)
    if layers >= 2:
        place.write(openai("MODEL=m2"))
    if layers >= 3:
        environ["TINYLLM_MODEL"] = "m3"
    found = place.load(**environ)
    for number, origin in ((4, Origin.SESSION), (5, Origin.OVERRIDE), (6, Origin.CALL)):
        if layers >= number:
            found = found.over({"model": f"m{number}"}, origin)
    sources = [
        Source(Origin.USER_FILE, str(place.user / "config.ini")),
        Source(Origin.FOLDER_FILE, str(place.here / "config.ini")),
        Source(Origin.ENVIRONMENT, "TINYLLM_MODEL"),
        Source(Origin.SESSION),
        Source(Origin.OVERRIDE),
        Source(Origin.CALL),
    ]
    assert (found.model, found.source("MODEL"), found.named("model")) == (f"m{layers}", sources[layers - 1], True)


def test_what_only_the_packaged_file_sets_is_not_named(place):
    found = place.load()
    assert (found.source("model").origin, found.named("model")) == (Origin.PACKAGED, False)


def test_an_empty_value_takes_back_lower_layers(place):
    place.write(openai("MODEL=x\nTEMPERATURE=1\nMAX_ATTEMPTS=9"), user=True)
    place.write(openai("MODEL=\nTEMPERATURE=\nMAX_ATTEMPTS="))
    found = place.load()
    assert (found.model, found.temperature, found.max_attempts) == ("gpt-4o-mini", None, 5)
    assert not found.named("model")


def test_none_in_code_takes_back_lower_layers(place):
    assert place.load(TINYLLM_TEMPERATURE="1").over({"temperature": None}, Origin.OVERRIDE).temperature is None


def test_an_empty_variable_counts_as_absent(place):
    place.write(openai("MODEL=x"))
    assert place.load(TINYLLM_MODEL="").model == "x"


@pytest.mark.parametrize(
    ("environ", "name", "value", "variable"),
    [
        ({"TINYLLM_STORE": "a", "TINYLLM_CACHE_FILE_NAME": "b"}, "cache_file_name", "a", "TINYLLM_STORE"),
        ({"TINYLLM_CACHE_FILE_NAME": "b"}, "cache_file_name", "b", "TINYLLM_CACHE_FILE_NAME"),
        ({"TINYLLM_FREQUENCY_PENALTY": "1"}, "frequency_penalty", 1.0, "TINYLLM_FREQUENCY_PENALTY"),
        ({"OPENAI_BASE_URL": "http://a"}, "base_url", "http://a", "OPENAI_BASE_URL"),
        ({"OPENAI_BASE_URL": "http://a", "TINYLLM_BASE_URL": "http://b"}, "base_url", "http://b", "TINYLLM_BASE_URL"),
        ({"OPENAI_API_VERSION": "2024-06-01"}, "azure_api_version", "2024-06-01", "OPENAI_API_VERSION"),
    ],
)
def test_environment_variables(place, environ, name, value, variable):
    place.write(openai("BASE_URL=http://file\nCACHE_FILE_NAME=file\nAZURE_API_VERSION=file"))
    found = place.load(**environ)
    assert (found.values[name], found.source(name)) == (value, Source(Origin.ENVIRONMENT, variable))


def test_a_bad_variable_is_named(place):
    with pytest.raises(ConfigError, match=r"TEMPERATURE = 'hot' \(environment TINYLLM_TEMPERATURE\)"):
        place.load(TINYLLM_TEMPERATURE="hot")


@pytest.mark.parametrize("layer", [{"mode": "refresh"}, {"MODE": "off"}, {"cache_api_calls": False}, {"mode": None}])
def test_replay_from_outside_beats_every_later_layer(place, layer):
    place.write(openai("MODE=refresh"))
    found = place.load(TINYLLM_MODE="replay", TINYLLM_CACHE_API_CALLS="false").over(layer, Origin.SESSION).over(layer, Origin.CALL)
    assert (found.mode, found.cache_api_calls, found.source("mode")) == ("replay", True, Source(Origin.ENVIRONMENT, "TINYLLM_MODE"))
    assert found.replay_forced


def test_forced_replay_leaves_other_settings_open(place):
    assert place.load(TINYLLM_MODE="replay").over({"mode": "off", "model": "x"}, Origin.CALL).model == "x"


def test_forced_replay_still_checks_what_it_ignores(place):
    with pytest.raises(ConfigError, match="MODE"):
        place.load(TINYLLM_MODE="replay").over({"mode": "reply"}, Origin.CALL)


def test_other_modes_from_outside_can_be_overridden(place):
    assert place.load(TINYLLM_MODE="auto").over({"mode": "off"}, Origin.CALL).mode == "off"


@pytest.mark.parametrize(
    ("lower", "upper", "mode", "recording"),
    [
        ({}, {}, None, None),
        ({}, {"cache_api_calls": False}, "off", False),
        ({}, {"cache_api_calls": True}, "auto", True),
        ({"mode": "replay"}, {"cache_api_calls": False}, "off", False),
        ({"mode": "replay"}, {"cache_api_calls": True}, "replay", True),
        ({"mode": "off"}, {"cache_api_calls": True}, "auto", True),
        ({"cache_api_calls": False}, {"mode": "auto"}, "auto", True),
        ({"cache_api_calls": True}, {"mode": "off"}, "off", False),
        ({"cache_api_calls": False}, {"cache_api_calls": None}, None, None),
        ({"mode": "off"}, {"mode": None}, None, None),
        ({}, {"cache_api_calls": False, "mode": "refresh"}, "refresh", True),
        ({}, {"cache_api_calls": True, "mode": "off"}, "off", False),
    ],
)
def test_mode_and_cache_api_calls_are_one_fact(place, lower, upper, mode, recording):
    found = place.load().over(lower, Origin.SESSION).over(upper, Origin.CALL)
    assert (found.mode, found.cache_api_calls) == (mode, recording)


def test_settings_are_frozen(place):
    found = place.load()
    with pytest.raises(AttributeError):
        found.folder = Path()
    with pytest.raises(TypeError):
        found.values["model"] = "x"


def test_over_leaves_the_settings_below_alone(place):
    below = place.load()
    below.over({"model": "x"}, Origin.SESSION)
    assert below.model == "gpt-4o-mini"


def test_an_attribute_that_is_no_setting_is_an_attribute_error(place):
    with pytest.raises(AttributeError, match="modell"):
        place.load().modell  # noqa: B018  # reading it is the test


def test_the_folder_is_resolved(place, monkeypatch):
    monkeypatch.chdir(place.here)
    assert load(environ={}, user_folder=place.user).folder == place.here.resolve()


def test_a_near_miss_in_the_environment_is_told(place):
    with pytest.warns(ConfigWarning, match="TINYLLM_TEMPRATURE.*'TINYLLM_TEMPERATURE'"):
        place.load(TINYLLM_TEMPRATURE="0")


def test_other_variables_of_the_prefix_are_silent(place):
    place.load(TINYLLM_CACHE_DIR="/x", TINYLLM_CONFIG_DIR="/y", TINYLLM_SOMETHING_ELSE="1")


def test_a_folder_that_is_both_counts_as_the_users(place):
    place.write(openai("MODEL=x"), user=True)
    found = load(place.user, {}, user_folder=place.user)
    assert found.source("model").origin is Origin.USER_FILE


def test_read_files_overlays_text(place):
    place.write(openai("MAX_ATTEMPTS=7\nMODEL=u"), user=True)
    place.write("[openai]\nMODEL=x # why\nFREQUENCY_PENALTY=1\n[Other]\nA=50%\n")
    found = place.read()
    assert (found["OpenAI"]["MODEL"], found["OpenAI"]["MAX_ATTEMPTS"], found["OpenAI"]["TIMEOUT"]) == ("x", "7", "120")
    assert (found["OpenAI"]["FREQ_PENALTY"], found["Other"]["a"]) == ("1", "50%")


def test_read_files_takes_back_what_is_empty(place):
    place.write(openai("MODEL=\nTEMPERATURE="))
    found = place.read()
    assert (found["OpenAI"]["MODEL"], "TEMPERATURE" in found["OpenAI"]) == ("gpt-4o-mini", False)


def test_read_files_keeps_no_key_of_the_openai_section(place):
    place.write(openai("OPENAI_API_KEY=sk-hidden"))
    assert "OPENAI_API_KEY" not in place.read()["OpenAI"]


def test_a_changed_environment_counts_at_once(place):
    assert [place.load(TINYLLM_SEED=s).seed for s in ("1", "2")] == [1, 2]


def test_a_models_table_overlays_key_by_key_and_keeps_origins(place):
    place.write("[models.a]\nmodel = m\nbase_url = http://user\ntimeout = 3\n[models.b]\nmodel = b\n", user=True)
    place.write("[models.c]\n[models.a]\nbase_url = http://here\ntimeout =\n")
    found = place.load()
    assert dict(found.models["a"]) == {"model": "m", "base_url": "http://here"}
    assert dict(found.model_origins) == {
        ("a", "model"): Origin.USER_FILE,
        ("a", "base_url"): Origin.FOLDER_FILE,
        ("b", "model"): Origin.USER_FILE,
    }


def test_the_working_directorys_models_come_first(place):
    place.write("[models.u]\n[models.a]\n", user=True)
    place.write("[models.c]\n[models.a]\n")
    assert list(place.load().models) == ["c", "a", "u"]


def test_a_login_in_a_url_is_not_shown(place):
    found = place.load(TINYLLM_BASE_URL="https://me:hidden@host/v1")
    assert found.base_url == "https://me:hidden@host/v1"
    assert "https://…@host/v1" in repr(found)


ADDRESSES = "[OpenAI]\nBASE_URL=http://a\n[models.m]\nbase_url=http://b\n[models.z]\nazure_endpoint=http://c\n"


def test_addresses_of_a_working_directory_are_trusted_only_with_its_folder(place):
    place.write(ADDRESSES)
    found = place.load()
    assert [found.trusts(name) for name in (None, "m", "z")] == [False] * 3
    trust(place.here)
    assert [found.trusts(name) for name in (None, "m", "z")] == [True] * 3


def test_addresses_of_the_user_and_the_environment_are_trusted(place):
    place.write(ADDRESSES, user=True)
    place.write("[models.m]\nmodel=x\n[models.plain]\n")
    found = place.load(TINYLLM_BASE_URL="http://d")
    assert all(found.trusts(name) for name in (None, "m", "z", "plain", "no such table"))


def test_an_address_of_a_working_directory_over_the_users_table_is_not_trusted(place):
    place.write("[models.m]\nbase_url=http://a\napi_key_env=MY_KEY\n", user=True)
    place.write("[models.m]\nbase_url=http://b\n")
    assert not place.load().trusts("m")


def test_a_warning_made_an_error_does_not_block_the_next_load(place):
    place.write(openai("TEMPRATURE=0\nMODEL=x"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigWarning):
            place.load()
    assert place.load().model == "x"
