"""``config`` and ``default``: live, and assignable."""

from pathlib import Path

import pytest

from tinyllm_magic import config, default, errors, force_default_value, override, read_config_file, session


def test_config_is_read_as_by_configparser():
    Path("config.ini").write_text("[OpenAI]\nMODEL = mine\nTIMEOUT = 7.5\n[Logging]\nLOGLEVEL = DEBUG\n", encoding="utf-8")
    assert config.sections() == ["OpenAI", "Logging"]
    assert config.get("OpenAI", "MODEL") == config["OpenAI"]["model"] == config["OpenAI"].get("MODEL") == "mine"
    assert (config.has_section("Logging"), config.has_option("Logging", "LOGLEVEL"), config.has_option("OpenAI", "NOPE")) == (
        True,
        True,
        False,
    )
    assert (config.getfloat("OpenAI", "TIMEOUT"), config["OpenAI"].getfloat("TIMEOUT")) == (7.5, 7.5)
    assert config["OpenAI"].getint("MAX_ATTEMPTS") == config.getint("OpenAI", "MAX_ATTEMPTS") == default["max_attempts"]
    assert (config.get("OpenAI", "NOPE", fallback="x"), config["OpenAI"].get("NOPE", "y")) == ("x", "y")
    assert dict(config.items("Logging")) == {"loglevel": "DEBUG"}
    assert "model" in config.options("OpenAI")


def assign_item():
    config["OpenAI"]["MODEL"] = "forced"


def assign_section():
    config["OpenAI"] = {"MODEL": "forced"}


def assign_default():
    default["model"] = "forced"


@pytest.mark.parametrize(
    "assign",
    [
        assign_item,
        assign_section,
        assign_default,
        lambda: config.set("OpenAI", "MODEL", "forced"),
        lambda: default.update(model="forced"),
        lambda: force_default_value("model", "forced"),
    ],
)
def test_what_is_assigned_holds_for_the_next_call_and_is_read_back(start, assign):
    from tinyllm_magic import client

    fake = start()
    assign()
    client().send_message("hi")
    assert (fake.last["model"], default["model"], config["OpenAI"]["MODEL"]) == ("forced", "forced", "forced")
    assert read_config_file()["OpenAI"]["MODEL"] != "forced"


def test_a_deleted_default_is_that_of_the_files_again():
    default["temperature"] = 0.5
    del default["temperature"]
    assert default["temperature"] is None
    assert session.overrides == []


def test_a_wrong_value_is_refused_and_changes_nothing():
    with pytest.raises(errors.ConfigError, match="TEMPERATURE"):
        config["OpenAI"]["TEMPERATURE"] = "hot"
    with pytest.raises(errors.ConfigError, match="Did you mean 'temperature'"):
        default["temprature"] = 1
    assert default["temperature"] is None


@pytest.mark.parametrize(
    "change",
    [
        lambda: config["Logging"].update(LOGLEVEL="INFO"),
        lambda: config.set("models.small", "temperature", "0"),
        lambda: config.__setitem__("New", {"a": "1"}),
        lambda: config["OpenAI"].pop("MODEL"),
        lambda: config.pop("OpenAI"),
    ],
)
def test_what_cannot_be_assigned_says_so(change):
    Path("config.ini").write_text("[Logging]\nLOGLEVEL = DEBUG\n", encoding="utf-8")
    with pytest.raises(errors.ConfigError, match="config shows files"):
        change()


def test_methods_that_write_files_are_missing_with_a_hint():
    with pytest.raises(AttributeError, match=r"edit config\.ini"):
        config.add_section("New")


def test_an_override_that_ends_is_gone_from_config_too():
    with override(model="short"):
        assert config.get("OpenAI", "MODEL") == "short"
    assert config.get("OpenAI", "MODEL") != "short"
