"""One config.ini: our sections, other programs' sections, named models, keys."""

from pathlib import Path

import pytest
from settingsplace import openai

from tinyllm_magic.errors import ConfigError
from tinyllm_magic.settings.layers import ConfigWarning, load

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


@pytest.mark.parametrize(
    "data",
    [b"[mysqld]\nskip-networking\n", b"MODEL=x\n", b"[a]\nb=1\nb=2\n", b"[a]\n[a]\n", "[a]\nb=ä\n".encode("cp1252"), b"a:\n  - b\n"],
    ids=["mysqld", "no section", "doubled key", "doubled section", "cp1252", "YAML"],
)
def test_another_programs_file_is_left_alone_with_one_warning(place, data):
    (place.here / "config.ini").write_bytes(data)
    with pytest.warns(ConfigWarning, match="config.ini is left alone") as told:
        found = [place.load(), place.load(TINYLLM_SEED="1")]
    assert [s.model for s in found] == ["gpt-4o-mini"] * 2
    assert len(told) == 1


@pytest.mark.parametrize("section", ["[ OpenAI ]", "[openai]", "[OpenAI ]"])
def test_the_name_of_our_section_may_have_spaces(place, section):
    place.write(f"{section}\nMODEL=x\n")
    assert place.load().model == "x"


def test_a_bad_value_names_key_file_and_range(place):
    path = place.write(openai("MAX_ATTEMPTS=0"))
    with pytest.raises(ConfigError, match="MAX_ATTEMPTS") as caught:
        place.load()
    assert str(path) in str(caught.value)
    assert "at least 1" in str(caught.value)


def test_a_tinytroupe_file_is_read_in_silence(place):
    place.write(TINYTROUPE)
    found = place.load()  # warnings are errors here
    assert (found.model, found.max_attempts, found.mode, found.max_concurrent_model_calls) == ("gpt-5-mini", 5, "off", None)
    assert (found.max_tokens, found.max_completion_tokens, found.reasoning_effort) == (4000, 128000, "high")


def test_the_default_section_does_not_leak(place):
    place.write("[DEFAULT]\nMODEL=x\nzzz=1\n[models.a]\nmodel=y\n")
    found = place.load()
    assert (found.model, dict(found.models["a"])) == ("gpt-4o-mini", {"model": "y"})


def test_a_near_miss_is_told_once(place):
    path = place.write(openai("TEMPRATURE=0"))
    with pytest.warns(ConfigWarning, match="TEMPRATURE.*'TEMPERATURE'") as told:
        assert load(place.here, {}, user_folder=place.user).temperature is None
    assert str(path) not in str(told[0].message)
    assert Path(told[0].filename) == Path(__file__)
    path.write_text(openai("TEMPRATURE=0\nMODEL=x"), encoding="utf-8")
    assert place.load().model == "x"  # a second warning would be an error


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


def test_an_empty_base_url_is_the_default(place):
    place.write("[models.a]\nbase_url =\n")
    assert "base_url" not in place.load().models["a"]


def test_a_near_miss_in_a_models_table_is_told_and_kept(place):
    place.write("[models.a]\ntemprature = 0\ntop_k = 4\n")
    with pytest.warns(ConfigWarning, match="'temperature'") as told:
        assert dict(place.load().models["a"]) == {"temprature": 0, "top_k": 4}
    assert len(told) == 1


@pytest.mark.parametrize("key", ["OPENAI_API_KEY", "API_KEY", "AZURE_OPENAI_KEY"])
def test_a_key_in_the_openai_section_is_told_and_not_used(place, key):
    place.write(openai(f"{key}=sk-hidden"))
    with pytest.warns(ConfigWarning, match=key) as told:
        found = place.load()
    assert "hidden" not in repr(found) + repr(found.values) + str(told[0].message)


def test_a_key_of_a_model_is_used_with_a_warning_and_never_shown(place):
    place.write("[models.a]\napi_key = sk-hidden\napi_key_env = MY_KEY\n", user=True)
    with pytest.warns(ConfigWarning, match=r"models\.a.*api_key_env") as told:
        found = place.load()
    assert found.models["a"]["api_key"] == "sk-hidden"
    assert found.models["a"]["api_key_env"] == "MY_KEY"
    assert "hidden" not in repr(found) + repr(found.models) + str(told[0].message)


FOREIGN = b"[mysqld]\nskip-networking\nport = 1\nport = 2\nnote = \xe4\n[client]\n[client]\n"


@pytest.mark.parametrize("data", [FOREIGN + b"[OpenAI]\nMODEL=x\n", b"[OpenAI]\nMODEL=x\n" + FOREIGN], ids=["above", "below"])
def test_faults_of_another_programs_section_stop_nothing(place, data):
    (place.here / "config.ini").write_bytes(data)
    assert place.load().model == "x"
    assert (place.read()["mysqld"]["port"], place.read()["mysqld"]["note"]) == ("1", "ä")


def test_a_key_above_our_section_is_an_error(place):
    place.write("MODEL=x\n[OpenAI]\n")
    with pytest.raises(ConfigError, match=r"line 1: a section such as \[OpenAI\] must come first"):
        place.load()


PROSE = """[models.a]
system = Answer in C# ; use # for headings.
  # Style

    - short ; plain
      - nested
  ; end
temperature = 0
"""


def test_nothing_of_a_system_message_is_cut(place):
    place.write(PROSE)
    table = place.load().models["a"]
    assert table["system"] == "Answer in C# ; use # for headings.\n# Style\n\n  - short ; plain\n    - nested\n; end"
    assert table["temperature"] == 0


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[OpenAI]\nCACHE_FILE_NAME = my #1 answers.jsonl\n", "CACHE_FILE_NAME"),
        ("[models.a]\npath = models ; new/a.gguf\n", "PATH"),
        ("[models.a]\nnote = first # second\n", "NOTE"),
    ],
)
def test_what_a_comment_cuts_off_a_free_text_is_said(place, text, key):
    place.write(text)
    with pytest.warns(ConfigWarning, match=f"in {key}, what follows # or ; is read as a comment"):
        place.load()


@pytest.mark.parametrize("text", ["[OpenAI]\nMODEL = x # why\n", '[models.a]\nstop = ["#"] # why\nnote = "a # b" # why\ntop_k = 4 # why\n'])
def test_a_comment_that_cannot_be_part_of_the_value_is_cut_in_silence(place, text):
    place.write(text)
    place.load()  # warnings are errors here


def test_a_comment_below_a_value_is_no_part_of_it(place):
    place.write("[OpenAI]\nMODEL = x\n  # indented\nSEED = 3\n")
    assert (place.load().model, place.load().seed) == ("x", 3)


def test_a_file_in_the_utf16_of_windows_is_read(place):
    place.write(openai("MODEL=größe"), encoding="utf-16")
    assert place.load().model == "größe"
