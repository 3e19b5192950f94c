"""Origins of settings: their labels, what counts as explicit, and that callers ask the enum, not prose."""

import ast
from pathlib import Path

import pytest

import tinyllm_magic
from tinyllm_magic.settings import layers
from tinyllm_magic.settings.origins import Origin, Source

PACKAGE = Path(tinyllm_magic.__file__).parent


@pytest.mark.parametrize("origin", [Origin.SESSION, Origin.OVERRIDE, Origin.CLIENT, Origin.CALL])
def test_what_code_or_a_cell_sets_is_explicit(origin):
    assert layers.load().over({"temperature": 0.5}, origin).source("temperature").is_explicit


@pytest.mark.parametrize("origin", [Origin.PACKAGED, Origin.USER_FILE, Origin.FOLDER_FILE, Origin.ENVIRONMENT])
def test_files_and_the_environment_are_not_explicit(origin):
    assert not Source(origin, "place").is_explicit


@pytest.mark.parametrize(("user", "label"), [(True, "user config.ini"), (False, "config.ini")])
def test_a_label_names_the_file_without_its_folder(tmp_path, user, label):
    here, home = tmp_path / "here", tmp_path / "home"
    for folder in (here, home):
        folder.mkdir()
    (home if user else here).joinpath("config.ini").write_text("[OpenAI]\nMODEL=x\n", encoding="utf-8")
    assert layers.load(here, {}, user_folder=home).source("model").label == label


def test_a_label_names_the_variable_of_the_environment(tmp_path):
    found = layers.load(tmp_path, {"TINYLLM_MODEL": "x"}, user_folder=tmp_path)
    assert found.source("MODEL").label == "environment TINYLLM_MODEL"


def test_as_text_a_source_says_where_its_file_is():
    assert str(Source(Origin.USER_FILE, "/a/config.ini")) == "user file /a/config.ini"


def test_a_warning_names_the_users_file_below_home(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert Source(Origin.USER_FILE, str(tmp_path / "conf" / "config.ini")).where == f"user config.ini (~/{Path('conf', 'config.ini')})"


@pytest.mark.parametrize(
    ("source", "where"),
    [
        (Source(Origin.USER_FILE, "/elsewhere/config.ini"), "user config.ini (config.ini)"),
        (Source(Origin.FOLDER_FILE, "/work/config.ini"), "config.ini"),
        (Source(Origin.ENVIRONMENT, "TINYLLM_MODEL"), "environment TINYLLM_MODEL"),
    ],
)
def test_a_warning_holds_no_path_of_this_machine(source, where):
    assert source.where == where


def test_as_text_a_source_without_a_place_is_its_layer():
    assert str(Source(Origin.SESSION)) == "session"


def test_the_origin_of_a_setting_is_plain_text_for_a_reader():
    found = layers.load().over({"model": "x"}, Origin.SESSION).origin("MODEL")
    assert (type(found), found) == (str, "session")


def test_taking_a_value_back_makes_its_source_the_packaged_file():
    found = layers.load().over({"model": "x"}, Origin.SESSION).over({"model": None}, Origin.CALL)
    assert found.source("model") == Source(Origin.PACKAGED)


def test_mode_and_cache_api_calls_share_their_source():
    found = layers.load().over({"cache_api_calls": False}, Origin.CLIENT)
    assert (found.source("mode").origin, found.source("cache_api_calls").origin) == (Origin.CLIENT, Origin.CLIENT)


def _compares_an_origin_with_text(tree):
    """The lines on which a call of ``origin`` or ``source`` is compared with, or searched for, a literal text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            calls = [n for side in (node.left, *node.comparators) for n in ast.walk(side) if isinstance(n, ast.Call)]
            asks = any(isinstance(c.func, ast.Attribute) and c.func.attr in ("origin", "source") for c in calls)
            values = [c for side in node.comparators for c in ast.walk(side) if isinstance(c, ast.Constant)]
            if asks and any(isinstance(v.value, str) for v in values):
                yield node.lineno


def test_no_module_compares_an_origin_with_prose():
    found = [(p.name, line) for p in PACKAGE.rglob("*.py") for line in _compares_an_origin_with_text(ast.parse(p.read_text("utf-8")))]
    assert found == []


@pytest.mark.parametrize("line", ['s.origin("mode") == "session"', 's.origin("mode") in ("session", "call")'])
def test_a_comparison_with_prose_would_be_found(line):
    assert list(_compares_an_origin_with_text(ast.parse(line))) == [1]
