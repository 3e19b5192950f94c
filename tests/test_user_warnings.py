"""A warning points at the user's line, never into this package."""

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

import tinyllm_magic
from tinyllm_magic.user_warnings import warn

PACKAGE = str(Path(tinyllm_magic.__file__).parent)
CELLS = {
    "repeated": "for _ in range(5):\n    get_ipython().run_cell_magic('llm', '--temperature 1', 'same')",
    "unpriced": "from tinyllm_magic import session\nsession.budget._warn_unpriced('nobody-knows-this')",
    "configured": "%llm_config",
}


def caught(shell, source):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        shell.run_cell(source)
    return found


def test_a_warning_points_at_the_line_that_called():
    with pytest.warns(UserWarning, match="hello") as found:
        warn("hello")
    assert found[0].filename == __file__


def test_a_warning_quotes_no_control_character_and_no_secret(monkeypatch):
    monkeypatch.setenv("GATEWAY_TOKEN", "Zebra-crossing-42")
    with pytest.warns(UserWarning, match=r"^no store <GATEWAY_TOKEN>\]0;a$"):
        warn("no store Zebra-crossing-42\x1b]0;a\x07\u202e")


def test_a_warning_passes_over_what_lies_between():
    @contextmanager
    def between():
        warn("inside")
        yield

    with pytest.warns(UserWarning, match="inside") as found, between():
        pass
    assert found[0].filename == __file__


@pytest.mark.parametrize("name", CELLS)
def test_what_a_cell_is_warned_of_says_nothing_of_where_this_package_is(shell, monkeypatch, name):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    if name == "configured":
        Path("config.ini").write_text("[OpenAI]\nMODLE=x\n", "utf-8")

    found = caught(shell, CELLS[name])

    assert found
    assert [w.filename for w in found if w.filename.startswith((PACKAGE, sys.prefix, sys.base_prefix))] == []
