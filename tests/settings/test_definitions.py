"""What may be set: names, spellings, ranges."""

import json
import re
from enum import StrEnum
from fractions import Fraction
from importlib.resources import files
from pathlib import Path

import pytest

from tinyllm_magic.display.panel_widget import PARAMETERS
from tinyllm_magic.errors import ConfigError
from tinyllm_magic.recording.modes import Mode
from tinyllm_magic.settings.config_files import PACKAGED_FILE
from tinyllm_magic.settings.definitions import SAMPLING, SETTINGS, find, parse


def test_every_setting_is_written_down_in_the_packaged_file():
    text = PACKAGED_FILE.read_text(encoding="utf-8")
    assert [key for key in SETTINGS if f"\n{key} = " not in text and f"\n# {key} =" not in text] == []


@pytest.mark.parametrize("spelling", ["FREQ_PENALTY", "freq_penalty", "frequency_penalty", "Frequency_Penalty", " freq_penalty "])
def test_a_setting_is_found_by_key_or_name_in_any_case(spelling):
    assert find(spelling) is SETTINGS["FREQ_PENALTY"]


def test_store_is_a_spelling_of_cache_file_name():
    assert find("store").name == "cache_file_name"


def test_unknown_name_without_likeness_lists_all_names():
    with pytest.raises(ConfigError) as caught:
        find("zzzz")
    assert "max_attempts" in caught.value.hint


BAD = [("MAX_ATTEMPTS", bad, "a whole number, at least 1") for bad in ("0", "-1", "abc", "1.5", "inf", "nan", "true", "5 # x", "1,5")] + [
    ("MAX_TOKENS", "0", "a whole number, at least 1"),
    ("MAX_COMPLETION_TOKENS", "0", "a whole number, at least 1"),
    ("MAX_ANSWER_BYTES", "64 MB", "a whole number, at least 1"),
    ("MAX_TOKENS", "1e400", "a whole number, at least 1"),
    ("TEMPERATURE", "hot", "a number from 0 to 2"),
    ("TEMPERATURE", "2.1", "a number from 0 to 2"),
    ("TEMPERATURE", "-0.1", "a number from 0 to 2"),
    ("TEMPERATURE", "nan", "a number from 0 to 2"),
    ("TOP_P", "1.01", "a number from 0 to 1"),
    ("FREQ_PENALTY", "-2.5", "a number from -2 to 2"),
    ("PRESENCE_PENALTY", "3", "a number from -2 to 2"),
    ("TIMEOUT", "0", "a number above 0"),
    ("TIMEOUT", "inf", "a number above 0"),
    ("WAITING_TIME", "-1", "a number, at least 0"),
    ("EXPONENTIAL_BACKOFF_FACTOR", "0.5", "a number, at least 1"),
    ("MAX_CONCURRENT_MODEL_CALLS", "-1", "a whole number, at least 1"),
    ("SEED", "1.5", "a whole number"),
    ("MODE", "reply", "one of auto, replay, refresh, off"),
    ("CACHE_API_CALLS", "maybe", "true or false"),
    ("MODEL", "a\nb", "text on one line"),
]


@pytest.mark.parametrize(("key", "text", "allowed"), BAD)
def test_bad_text_is_refused_naming_key_source_and_range(key, text, allowed):
    with pytest.raises(ConfigError) as caught:
        parse(key, text, "session")
    assert caught.value.message.startswith(f"{key} = ")
    assert caught.value.message.endswith(f"(session) is not usable: it must be {allowed}")
    assert (caught.value.key, caught.value.source) == (key, "session")


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_attempts", True), ("max_attempts", [3]), ("temperature", {}), ("model", 5), ("model", b"x"), ("seed", 10**400), ("timeout", 1j)],
)
def test_bad_values_of_python_are_refused(name, value):
    with pytest.raises(ConfigError, match=find(name).key):
        parse(name, value, "override")


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("max_attempts", "1", 1),
        ("max_attempts", "5.0", 5),
        ("max_attempts", 5.0, 5),
        ("temperature", "0", 0.0),
        ("temperature", 2, 2.0),
        ("top_p", ".9", 0.9),
        ("frequency_penalty", "-2", -2.0),
        ("seed", str(2**60 + 1), 2**60 + 1),
        ("seed", 2**60 + 1, 2**60 + 1),
        ("waiting_time", "0", 0.0),
        ("max_concurrent_model_calls", "0", None),
        ("max_concurrent_model_calls", "OFF", None),
        ("cache_api_calls", "No", False),
        ("cache_api_calls", "on", True),
        ("cache_api_calls", 1, True),
        ("max_attempts", Fraction(4), 4),
        ("mode", "Replay", "replay"),
        ("mode", StrEnum("Mode", ["OFF"]).OFF, "off"),
        ("api_type", "Mine", "Mine"),
        ("model", '"gpt-4o"', "gpt-4o"),
        ("model", "None", None),
        ("temperature", "", None),
        ("base_url", "  ", None),
        ("store", Path("a") / "b.jsonl", str(Path("a") / "b.jsonl")),
    ],
)
def test_good_values_are_read(name, given, value):
    found = parse(name, given, "session")[1]
    assert (found, type(found)) == (value, type(value))


def test_a_misspelt_mode_has_a_hint():
    with pytest.raises(ConfigError) as caught:
        parse("mode", "reply", "cell")
    assert "'replay'" in caught.value.hint


def test_the_modes_of_the_setting_are_those_of_recording():
    assert SETTINGS["MODE"].choices == tuple(Mode)


def test_the_panel_moves_the_sampling_settings_in_its_own_order():
    assert sorted(PARAMETERS) == sorted(SAMPLING)


@pytest.mark.parametrize(("constant", "names"), [("PARAMETERS", PARAMETERS), ("MODES", tuple(Mode))])
def test_the_panels_page_names_them_in_the_same_order(constant, names):
    page = files("tinyllm_magic.display").joinpath("static", "panel.js").read_text("utf-8")
    listed = re.search(rf"^const {constant} = (\[.*\]);$", page, re.MULTILINE)
    assert json.loads(listed[1]) == list(names)
