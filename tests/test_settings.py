"""Settings: what may be set, the order of the layers, files, named models and trust."""

import configparser
import os
import subprocess
import sys
import time
import warnings
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

import pytest

from tinyllm_magic import files, settings
from tinyllm_magic.errors import ConfigError
from tinyllm_magic.settings import (
    SETTINGS,
    ConfigWarning,
    Settings,
    cache_folder,
    find,
    load,
    parse,
    read_files,
    trust,
    trusted,
    user_folder,
)

# keys that TinyTroupe 0.6 puts into [OpenAI] of its own config.ini
TINYTROUPE = """[OpenAI]
API_TYPE=openai
AZURE_API_VERSION=2023-05-15
MODEL=gpt-5-mini
REASONING_MODEL=o3-mini
REASONING_EFFORT=high
MAX_TOKENS=4000
MAX_COMPLETION_TOKENS=128000
NUM_CTX=32000
TIMEOUT=480
MAX_ATTEMPTS=5.0
WAITING_TIME=1
EXPONENTIAL_BACKOFF_FACTOR=5
EMBEDDING_MODEL=text-embedding-3-small
AZURE_EMBEDDING_MODEL_API_VERSION=2023-05-15
CACHE_API_CALLS=False
CACHE_FILE_NAME=openai_api_cache.pickle
MAX_CONTENT_DISPLAY_LENGTH=1024
MAX_CONCURRENT_MODEL_CALLS=OFF

[Simulation]
RAI_HARMFUL_CONTENT_PREVENTION=True
[Logging]
LOGLEVEL=ERROR
"""


class Place:
    """A working directory and a user's configuration directory of its own."""

    def __init__(self, root: Path) -> None:
        self.here, self.user = root / "work", root / "user"
        self.here.mkdir()
        self.user.mkdir()

    def write(self, text: str, *, user: bool = False, encoding: str = "utf-8") -> Path:
        path = (self.user if user else self.here) / "config.ini"
        path.write_text(text, encoding=encoding)
        return path

    def load(self, **environ: str) -> Settings:
        return load(self.here, environ, user_folder=self.user)

    def read(self) -> configparser.ConfigParser:
        return read_files(self.here, user_folder=self.user)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "_told", set())
    return Place(tmp_path)


def openai(line):
    return f"[OpenAI]\n{line}\n"


# ── what may be set ──────────────────────────────────────────────────────────────────────────────


def test_packaged_values_have_their_types_and_no_sampling_parameter(place):
    found = place.load()
    sampling = ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")
    assert [found.values[name] for name in sampling] == [None] * len(sampling)
    assert (found.model, found.timeout, found.max_attempts, found.waiting_time) == ("gpt-4o-mini", 120.0, 5, 1.0)
    assert (found.exponential_backoff_factor, found.embedding_model) == (2.0, "text-embedding-3-small")
    assert [found.values[n] for n in ("api_type", "mode", "cache_api_calls", "cache_file_name", "base_url")] == [None] * 5
    assert all(isinstance(v, SETTINGS[find(n).key].type) for n, v in found.values.items() if v is not None)


def test_every_setting_is_written_down_in_the_packaged_file():
    text = settings.PACKAGED_FILE.read_text(encoding="utf-8")
    assert [key for key in SETTINGS if f"\n{key} = " not in text and f"\n# {key} =" not in text] == []


@pytest.mark.parametrize("spelling", ["FREQ_PENALTY", "freq_penalty", "frequency_penalty", "Frequency_Penalty", " freq_penalty "])
def test_a_setting_is_found_by_key_or_name_in_any_case(spelling):
    assert find(spelling) is SETTINGS["FREQ_PENALTY"]


def test_store_is_a_spelling_of_cache_file_name():
    assert find("store").name == "cache_file_name"


def test_unknown_name_is_a_value_error_with_near_matches(place):
    with pytest.raises(ValueError, match="temprature") as caught:
        place.load().over({"temprature": 1}, "session")
    assert isinstance(caught.value, ConfigError)
    assert "'temperature'" in caught.value.hint


def test_unknown_name_without_likeness_lists_all_names():
    with pytest.raises(ConfigError) as caught:
        find("zzzz")
    assert "max_attempts" in caught.value.hint


BAD = [("MAX_ATTEMPTS", bad, "a whole number, at least 1") for bad in ("0", "-1", "abc", "1.5", "inf", "nan", "true", "5 # x", "1,5")] + [
    ("MAX_TOKENS", "0", "a whole number, at least 1"),
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


# ── layers ───────────────────────────────────────────────────────────────────────────────────────


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
    for number, origin in ((4, "session"), (5, "override"), (6, "cell")):
        if layers >= number:
            found = found.over({"model": f"m{number}"}, origin)
    origins = [
        f"user file {place.user / 'config.ini'}",
        f"config.ini {place.here / 'config.ini'}",
        "environment TINYLLM_MODEL",
        "session",
        "override",
        "cell",
    ]
    assert (found.model, found.origin("MODEL"), found.named("model")) == (f"m{layers}", origins[layers - 1], True)


def test_what_only_the_packaged_file_sets_is_not_named(place):
    found = place.load()
    assert (found.origin("model"), found.named("model")) == ("packaged", False)


def test_an_empty_value_takes_back_lower_layers(place):
    place.write(openai("MODEL=x\nTEMPERATURE=1\nMAX_ATTEMPTS=9"), user=True)
    place.write(openai("MODEL=\nTEMPERATURE=\nMAX_ATTEMPTS="))
    found = place.load()
    assert (found.model, found.temperature, found.max_attempts) == ("gpt-4o-mini", None, 5)
    assert not found.named("model")


def test_none_in_code_takes_back_lower_layers(place):
    assert place.load(TINYLLM_TEMPERATURE="1").over({"temperature": None}, "override").temperature is None


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
    assert (found.values[name], found.origin(name)) == (value, f"environment {variable}")


def test_a_bad_variable_is_named(place):
    with pytest.raises(ConfigError, match=r"TEMPERATURE = 'hot' \(environment TINYLLM_TEMPERATURE\)"):
        place.load(TINYLLM_TEMPERATURE="hot")


@pytest.mark.parametrize("layer", [{"mode": "refresh"}, {"MODE": "off"}, {"cache_api_calls": False}, {"mode": None}])
def test_replay_from_outside_beats_every_later_layer(place, layer):
    place.write(openai("MODE=refresh"))
    found = place.load(TINYLLM_MODE="replay", TINYLLM_CACHE_API_CALLS="false").over(layer, "session").over(layer, "cell")
    assert (found.mode, found.cache_api_calls, found.origin("mode")) == ("replay", True, "environment TINYLLM_MODE")
    assert found.replay_forced


def test_forced_replay_leaves_other_settings_open(place):
    assert place.load(TINYLLM_MODE="replay").over({"mode": "off", "model": "x"}, "cell").model == "x"


def test_forced_replay_still_checks_what_it_ignores(place):
    with pytest.raises(ConfigError, match="MODE"):
        place.load(TINYLLM_MODE="replay").over({"mode": "reply"}, "cell")


def test_other_modes_from_outside_can_be_overridden(place):
    assert place.load(TINYLLM_MODE="auto").over({"mode": "off"}, "cell").mode == "off"


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
    found = place.load().over(lower, "session").over(upper, "cell")
    assert (found.mode, found.cache_api_calls) == (mode, recording)


def test_settings_are_frozen(place):
    found = place.load()
    with pytest.raises(AttributeError):
        found.folder = Path()
    with pytest.raises(TypeError):
        found.values["model"] = "x"


def test_over_leaves_the_settings_below_alone(place):
    below = place.load()
    below.over({"model": "x"}, "session")
    assert below.model == "gpt-4o-mini"


def test_an_attribute_that_is_no_setting_is_an_attribute_error(place):
    with pytest.raises(AttributeError, match="modell"):
        place.load().modell  # noqa: B018  # reading it is the test


def test_the_folder_is_resolved(place, monkeypatch):
    monkeypatch.chdir(place.here)
    assert load(environ={}, user_folder=place.user).folder == place.here.resolve()


# ── files ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("MODEL=gpt-4 # fast", "model", "gpt-4"),
        ("MODEL=gpt-4 ; fast", "model", "gpt-4"),
        ("MODEL=gpt-4\t#fast", "model", "gpt-4"),
        ("MODEL = # nothing", "model", "gpt-4o-mini"),
        ("TEMPERATURE=0.5 # warm", "temperature", 0.5),
        ("BASE_URL=http://a/b#c;d", "base_url", "http://a/b#c;d"),
        ("BASE_URL=http://a/b%20c%(x)s", "base_url", "http://a/b%20c%(x)s"),
        ('CACHE_FILE_NAME="a # b.jsonl" # why', "cache_file_name", "a # b.jsonl"),
        ("CACHE_FILE_NAME='a ; b'", "cache_file_name", "a ; b"),
        (r"CACHE_FILE_NAME=C:\new\table", "cache_file_name", r"C:\new\table"),
        ("model: x", "model", "x"),
        ("Frequency_Penalty=1", "frequency_penalty", 1.0),
    ],
)
def test_lines_of_a_file(place, line, name, value):
    place.write(openai(line))
    assert place.load().values[name] == value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf8_with_or_without_a_mark(place, encoding):
    place.write(openai("MODEL=größe-ß"), encoding=encoding)
    assert place.load().model == "größe-ß"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end(place, end):
    (place.here / "config.ini").write_bytes(f"[OpenAI]{end}MODEL=x{end}MAX_ATTEMPTS=2{end}".encode())
    assert (place.load().model, place.load().max_attempts) == ("x", 2)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("MODEL=sk-hidden\n", 1, "must come first"),
        ("[OpenAI]\n# c\nMODEL=a\nmodel=sk-hidden\n", 4, "MODEL is set a second time"),
        ("[OpenAI]\nMODEL=a\n[OpenAI]\nMODEL=sk-hidden\n", 3, "a second section"),
        ("[OpenAI]\nMODEL=a\nsk-hidden\n", 3, "neither KEY = VALUE"),
        ("[OpenAI]\nMODEL=\xe4\n".encode("latin-1"), 2, "not UTF-8"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_not_quoted(place, text, line, what):
    path = place.here / "config.ini"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=what) as caught:
        place.load()
    assert f"{path}, line {line}: " in str(caught.value)
    assert "hidden" not in "".join(map(str, (caught.value, caught.value.__cause__, caught.value.__context__)))


def test_a_bad_value_names_key_file_and_range(place):
    path = place.write(openai("MAX_ATTEMPTS=0"))
    with pytest.raises(ConfigError, match="MAX_ATTEMPTS") as caught:
        place.load()
    assert str(path) in str(caught.value)
    assert "at least 1" in str(caught.value)


def test_an_indented_key_does_not_vanish_in_the_line_above(place):
    place.write(openai("MODEL=x\n  TEMPERATURE=0"))
    with pytest.raises(ConfigError, match="MODEL"):
        place.load()


def test_a_tinytroupe_file_is_read_in_silence(place):
    place.write(TINYTROUPE)
    found = place.load()  # warnings are errors here
    assert (found.model, found.max_attempts, found.mode, found.max_concurrent_model_calls) == ("gpt-5-mini", 5, "off", None)


def test_the_default_section_does_not_leak(place):
    place.write("[DEFAULT]\nMODEL=x\nzzz=1\n[models.a]\nmodel=y\n")
    found = place.load()
    assert (found.model, dict(found.models["a"])) == ("gpt-4o-mini", {"model": "y"})


def test_a_near_miss_is_told_once(place):
    path = place.write(openai("TEMPRATURE=0"))
    with pytest.warns(ConfigWarning, match="TEMPRATURE.*'TEMPERATURE'") as told:
        assert place.load().temperature is None
    assert str(path) in str(told[0].message)
    assert Path(told[0].filename).name == "test_settings.py"
    path.write_text(openai("TEMPRATURE=0\nMODEL=x"), encoding="utf-8")
    assert place.load().model == "x"  # a second warning would be an error


def test_a_near_miss_in_the_environment_is_told(place):
    with pytest.warns(ConfigWarning, match="TINYLLM_TEMPRATURE.*'TINYLLM_TEMPERATURE'"):
        place.load(TINYLLM_TEMPRATURE="0")


def test_other_variables_of_the_prefix_are_silent(place):
    place.load(TINYLLM_CACHE_DIR="/x", TINYLLM_CONFIG_DIR="/y", TINYLLM_SOMETHING_ELSE="1")


def test_a_missing_or_odd_config_ini_is_no_file(place):
    (place.here / "config.ini").mkdir()
    assert place.load().model == "gpt-4o-mini"


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a file that may not be read")
def test_an_unreadable_file_is_named(place):
    path = place.write(openai("MODEL=x"))
    path.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read"):
        place.load()


def test_a_folder_that_is_both_counts_as_the_users(place):
    place.write(openai("MODEL=x"), user=True)
    found = load(place.user, {}, user_folder=place.user)
    assert found.origin("model").startswith("user file ")


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


# ── cheap when repeated ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def reads(monkeypatch):
    seen = []
    plain = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: seen.append(self.name) or plain(self))
    return seen


def age(path, seconds=60):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_unchanged_files_are_read_once(place, reads):
    age(place.write(openai("MODEL=x")))
    age(place.write(openai("MODEL=y"), user=True))
    first = place.load()
    assert reads.count("config.ini") >= 2
    reads.clear()
    assert place.load() is first
    assert reads == []


def test_a_changed_file_is_read_again(place, reads):
    path = place.write(openai("MODEL=x"))
    age(path)
    assert place.load().model == "x"
    path.write_text(openai("MODEL=y"), encoding="utf-8")
    age(path, 30)
    assert place.load().model == "y"


def test_a_fresh_file_of_equal_size_and_time_is_not_missed(place):
    path = place.write(openai("MODEL=x"))
    now = path.stat().st_mtime_ns
    assert place.load().model == "x"
    path.write_text(openai("MODEL=y"), encoding="utf-8")
    os.utime(path, ns=(now, now))
    assert place.load().model == "y"


def test_forget_reads_a_file_of_equal_size_and_time_anew(place):
    path = place.write(openai("MODEL=x"))
    age(path)
    then = path.stat().st_mtime_ns
    assert place.load().model == "x"
    path.write_text(openai("MODEL=y"), encoding="utf-8")
    os.utime(path, ns=(then, then))
    settings.forget()
    assert (place.load().model, place.read()["OpenAI"]["MODEL"]) == ("y", "y")


def test_a_removed_file_no_longer_counts(place):
    path = place.write(openai("MODEL=x"))
    age(path)
    assert place.load().model == "x"
    path.unlink()
    assert place.load().model == "gpt-4o-mini"


def test_a_changed_environment_counts_at_once(place):
    assert [place.load(TINYLLM_SEED=s).seed for s in ("1", "2")] == [1, 2]


# ── named models ─────────────────────────────────────────────────────────────────────────────────


def test_a_models_table_is_typed_and_other_keys_are_json_or_text(place):
    place.write(
        "[models.small.v1]\nprovider = openai\nbase_url = http://localhost:11434/v1 # mine\ntemperature = 0\n"
        'max_tokens = 50\nmax_retries = 0\ntimeout = 9\ntools = false\nstop = ["#", " ; "] # two\nnote = plain %text\nodd = NaN\n'
        'system = "Use # for headings."\n'
    )
    assert dict(place.load().models["small.v1"]) == {
        "provider": "openai",
        "base_url": "http://localhost:11434/v1",
        "temperature": 0.0,
        "max_tokens": 50,
        "max_retries": 0,
        "timeout": 9.0,
        "tools": False,
        "stop": ["#", " ; "],
        "note": "plain %text",
        "odd": "NaN",
        "system": "Use # for headings.",
    }


def test_a_system_message_may_have_several_lines(place):
    place.write("[models.a]\nsystem = Be brief.\n  Be kind.\n")
    assert place.load().models["a"]["system"] == "Be brief.\nBe kind."


def test_a_bad_value_of_a_model_names_key_table_and_file(place):
    path = place.write("[models.a]\nmax_retries = -1\n")
    with pytest.raises(ConfigError, match="max_retries") as caught:
        place.load()
    assert f"[models.a] in config.ini {path}" in str(caught.value)


def test_a_models_table_overlays_key_by_key_and_keeps_origins(place):
    place.write("[models.a]\nmodel = m\nbase_url = http://user\ntimeout = 3\n[models.b]\nmodel = b\n", user=True)
    place.write("[models.c]\n[models.a]\nbase_url = http://here\ntimeout =\n")
    found = place.load()
    assert dict(found.models["a"]) == {"model": "m", "base_url": "http://here"}
    assert dict(found.model_origins) == {("a", "model"): "user file", ("a", "base_url"): "config.ini", ("b", "model"): "user file"}


def test_the_working_directorys_models_come_first(place):
    place.write("[models.u]\n[models.a]\n", user=True)
    place.write("[models.c]\n[models.a]\n")
    assert list(place.load().models) == ["c", "a", "u"]


def test_an_empty_base_url_is_the_default(place):
    place.write("[models.a]\nbase_url =\n")
    assert "base_url" not in place.load().models["a"]


def test_a_near_miss_in_a_models_table_is_told_and_kept(place):
    place.write("[models.a]\ntemprature = 0\ntop_k = 4\n")
    with pytest.warns(ConfigWarning, match="'temperature'") as told:
        assert dict(place.load().models["a"]) == {"temprature": 0, "top_k": 4}
    assert len(told) == 1


# ── keys in files ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["OPENAI_API_KEY", "API_KEY", "AZURE_OPENAI_KEY"])
def test_a_key_in_the_openai_section_is_told_and_not_used(place, key):
    path = place.write(openai(f"{key}=sk-hidden"))
    with pytest.warns(ConfigWarning, match=key) as told:
        found = place.load()
    assert str(path) in str(told[0].message)
    assert "hidden" not in repr(found) + repr(found.values) + str(told[0].message)


def test_a_key_of_a_model_is_used_with_a_warning_and_never_shown(place):
    place.write("[models.a]\napi_key = sk-hidden\napi_key_env = MY_KEY\n")
    with pytest.warns(ConfigWarning, match=r"models\.a.*api_key_env") as told:
        found = place.load()
    assert found.models["a"]["api_key"] == "sk-hidden"
    assert found.models["a"]["api_key_env"] == "MY_KEY"
    assert "hidden" not in repr(found) + repr(found.models) + str(told[0].message)


def test_a_login_in_a_url_is_not_shown(place):
    found = place.load(TINYLLM_BASE_URL="https://me:hidden@host/v1")
    assert found.base_url == "https://me:hidden@host/v1"
    assert "https://…@host/v1" in repr(found)


# ── folders and trust ────────────────────────────────────────────────────────────────────────────


def test_folders_can_be_set_from_outside(tmp_path):
    assert user_folder({"TINYLLM_CONFIG_DIR": str(tmp_path / "a")}) == tmp_path / "a"
    assert cache_folder({"TINYLLM_CACHE_DIR": str(tmp_path / "b")}) == tmp_path / "b"


def test_folders_are_the_platforms_own_by_default():
    assert "tinyllm_magic" in user_folder({}).parts
    assert "tinyllm_magic" in cache_folder({}).parts


def test_the_config_dir_of_the_environment_is_read(place):
    place.write(openai("MODEL=x"), user=True)
    assert load(place.here, {"TINYLLM_CONFIG_DIR": str(place.user)}).model == "x"


def test_a_folder_is_trusted_after_trust_and_no_other(place):
    assert not trusted(place.here, user_folder=place.user)
    assert trust(place.here, user_folder=place.user) == place.here.resolve()
    assert trusted(place.here, user_folder=place.user)
    assert not trusted(place.here / "sub", user_folder=place.user)
    assert not trusted(place.here.parent, user_folder=place.user)


def test_trust_follows_the_resolved_folder(place, monkeypatch):
    monkeypatch.chdir(place.here)
    trust(".", user_folder=place.user)
    assert trusted(place.here / ".." / "work", user_folder=place.user)


def test_trust_adds_to_the_list_and_leaves_no_other_file(place):
    trust(place.here, user_folder=place.user / "new")
    trust(place.user, user_folder=place.user / "new")
    assert trusted(place.here, user_folder=place.user / "new")
    assert [p.name for p in (place.user / "new").iterdir()] == ["trusted.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"a": 1}', b"[1, null]", b"[" * 100_000, b'"/"'])
def test_a_damaged_list_trusts_nothing_and_can_be_written_anew(place, damage):
    (place.user / "trusted.json").write_bytes(damage)
    assert not trusted(place.here, user_folder=place.user)
    trust(place.here, user_folder=place.user)
    assert trusted(place.here, user_folder=place.user)


def test_trust_that_cannot_be_remembered_is_an_error(place):
    (place.user / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be remembered"):
        trust(place.here, user_folder=place.user / "file")


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


def test_importing_settings_loads_no_platformdirs():
    code = "import sys, tinyllm_magic.settings; print('platformdirs' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_warning_made_an_error_does_not_block_the_next_load(place):
    place.write(openai("TEMPRATURE=0\nMODEL=x"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigWarning):
            place.load()
    assert place.load().model == "x"


def test_settings_and_files_share_their_doors():
    assert settings.trust is files.trust
