"""The seeds' table of named models."""

import configparser
from types import SimpleNamespace

import pytest
from modelmaker import KEY

from tinyllm_magic.models.named import ModelTable


def _ini(text):
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


CONFIGS = {
    "dict": {"models": {"a": {"temperature": 0}, "b": {}}},
    "flat mapping": {"models.a": {"temperature": 0}, "models.b": {}},
    "attributes": SimpleNamespace(models=SimpleNamespace(a=SimpleNamespace(temperature=0), b=SimpleNamespace())),
    "attribute with a mapping": SimpleNamespace(models={"a": {"temperature": 0}, "b": None}),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_may_have_several_shapes(config):
    table = ModelTable(config)
    assert table.config is config
    assert list(table.models) == ["a", "b"]
    assert table.get_model_config() == table.get_model_config("a") == {"temperature": 0}
    assert table.get_model_config("b") == {}


def test_an_ini_file_has_a_section_for_each_model_and_percent_signs_are_text():
    table = ModelTable(_ini("[OpenAI]\nMODEL = x\n[models.a]\nmodel = m\ntemperature = 0.5\napi_key = 100%s\n"))
    assert table.get_model_config() == {"model": "m", "temperature": "0.5", "api_key": "100%s"}


@pytest.mark.parametrize("config", [{}, {"models": {}}, {"models": None}, SimpleNamespace(), _ini("[OpenAI]\n")])
def test_no_model_at_all_is_said_in_the_seeds_words(config):
    with pytest.raises(ValueError, match=r"^No models found in configuration\.$"):
        ModelTable(config).get_model_config()


def test_an_unknown_model_is_said_in_the_seeds_words():
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared below
        ModelTable({"models": {"a": {}, "b": {}}}).get_model_config("x")
    assert str(caught.value) == "Model 'x' not found in configuration. Available models: ['a', 'b']"


def test_the_returned_table_is_a_copy_in_depth():
    config = {"models": {"a": {"extra_body": {"k": [1]}}}}
    ModelTable(config).get_model_config()["extra_body"]["k"].append(2)
    assert config == {"models": {"a": {"extra_body": {"k": [1]}}}}


def test_a_named_model_leads_to_its_route_with_timeout_and_retries_of_its_own_then_of_the_top_level():
    table = ModelTable({"models": {"a": {"timeout": 5}, "b": {}}, "timeout": 60, "max_retries": 1})
    a, b = table.route(environ=KEY), table.route("b", environ=KEY)
    assert (a.name, a.endpoint.timeout, a.endpoint.max_retries) == ("a", 5.0, 1)
    assert (b.name, b.endpoint.timeout, b.endpoint.max_retries) == ("b", 60.0, 1)


def test_an_ini_file_has_its_general_timeout_in_its_first_section():
    table = ModelTable(_ini("[OpenAI]\nTIMEOUT = 7\n[models.a]\n"))
    assert table.route(environ={}).endpoint.timeout == 7.0


def test_a_timeout_that_nothing_sets_is_two_minutes_and_retries_stay_open():
    endpoint = ModelTable({"models": {"a": {"base_url": None, "max_retries": None}}}).route(environ={}).endpoint
    assert (endpoint.timeout, endpoint.max_retries, endpoint.base_url) == (120.0, None, None)
