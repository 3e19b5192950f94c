"""Facts about models, from the dated data and a table of the user's."""

import datetime as dt
import tomllib
from importlib.resources import files

import pytest

from tinyllm_magic.errors import ConfigError
from tinyllm_magic.models.catalog import EMBEDDED, Facts, facts

BY_HAND = {"temperature", "top_p", "frequency_penalty", "presence_penalty"}


def test_every_block_of_the_data_is_dated_and_can_be_read():
    data = tomllib.loads(files("tinyllm_magic.models").joinpath("models.toml").read_text("utf-8"))
    for block in data["facts"]:
        assert isinstance(block["as_of"], dt.date)
        assert set(block) - {"match"} <= set(vars(Facts()))
        assert all(pattern == pattern.lower() for pattern in block["match"])
        sample = block["match"][0].replace("*", "").replace("[0-9]", "1").replace("[124]", "1")
        assert facts(sample.rpartition(":")[2], whose=sample.rpartition(":")[0] or None).as_of


@pytest.mark.parametrize(
    "model", ["o1", "o3", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini-2025-08-07", "ft:o4-mini:o::1", "openai/o3", "O3-Mini"]
)
def test_reasoning_models_take_max_completion_tokens_and_no_sampling(model):
    assert facts(model).max_tokens_name == "max_completion_tokens"
    assert facts(model).refuses >= BY_HAND


@pytest.mark.parametrize("model", ["gpt-5-chat-latest", "gpt-5.1", "gpt-5.2-2025-12-11", "gpt-4o", "gpt-4.1-mini", "llama3", "o", "my-o1"])
def test_models_that_sample_take_the_sampling_parameters(model):
    assert not facts(model).refuses & BY_HAND


@pytest.mark.parametrize("model", ["gpt-4-0314", "gpt-4-32k-0314", "gpt-3.5-turbo-0301", "gpt-35-turbo-0301", "o1-mini"])
def test_models_from_before_tools_take_none(model):
    assert not facts(model).tools
    assert not facts(model).json_schema


def test_an_unknown_model_is_taken_for_a_capable_one():
    assert facts("llama3") == Facts()


def test_the_embedded_model_has_its_system_message_and_window():
    known = facts(EMBEDDED)
    assert (known.system, known.window, known.local, known.tools, known.images) == (
        "You are a helpful assistant.",
        2048,
        True,
        False,
        False,
    )


def test_whatever_runs_in_this_process_is_local_and_takes_the_samplers_parameters():
    known = facts("qwen", whose="local")
    assert known.local
    assert "top_k" in known.params
    assert "top_k" not in facts("qwen").params


def test_a_named_models_table_wins_over_the_data_also_as_text():
    table = {"refuses": "seed, n", "tools": "no", "window": "4096", "max_tokens_name": "max_tokens", "temperature": 1}
    known = facts("o3", table)
    assert (known.refuses, known.tools, known.window, known.max_tokens_name) == ({"seed", "n"}, False, 4096, "max_tokens")


@pytest.mark.parametrize("table", [{"window": "large"}, {"tools": "perhaps"}, {"refuses": 3}])
def test_a_fact_that_cannot_be_read_names_its_key(table):
    with pytest.raises(ConfigError, match=next(iter(table))):
        facts("o3", table)
