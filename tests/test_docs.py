"""What the README says is run; what there is to say is said."""

import contextlib
import io
import re
from pathlib import Path

import pytest

import tinyllm_magic
from tinyllm_magic import errors
from tinyllm_magic.notebook.options import OPTIONS
from tinyllm_magic.settings.definitions import SETTINGS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```\n+(?:```output\n(.*?)```)?", README, re.DOTALL)


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_the_readmes_python_runs_and_says_what_it_says(code, output):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(code, "README.md", "exec"), {})
    assert said.getvalue() == output


def test_every_option_is_in_the_readme():
    assert [flag for option in OPTIONS for flag in option.flags if flag not in README] == []


def test_every_setting_is_in_the_readme():
    assert [key for key in SETTINGS if key not in README] == []


def test_every_magic_is_in_the_readme_and_has_help(shell):
    names = sorted({n for kind in shell.magics_manager.magics.values() for n in kind if n == "llm" or n.startswith("llm_")})
    assert [n for n in names if f"%{n}" not in README] == []
    assert [n for n in names if not (shell.find_line_magic(n) or shell.find_cell_magic(n)).__doc__] == []


def test_every_error_stands_in_the_drawn_tree_and_has_a_docstring():
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, BaseException) and e.__module__ == errors.__name__]
    assert [e.__name__ for e in kinds if e.__name__ not in errors.__doc__ or not e.__doc__] == []


def test_every_public_name_has_a_docstring():
    values = {n: getattr(tinyllm_magic, n) for n in tinyllm_magic.__all__}
    documented = {n: v if isinstance(v, type) or callable(v) or hasattr(v, "__spec__") else type(v) for n, v in values.items()}
    assert [n for n, v in documented.items() if not (getattr(v, "__doc__", "") or "").strip()] == []


def test_the_test_command_of_the_readme_is_the_one_that_ci_runs():
    commands = re.findall(r"```sh\n(.*?)\n```", README)
    assert len(commands) >= 2
    assert commands[1] in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_pictures_of_the_readme_exist():
    assert [p for p in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README) if not (ROOT / p).exists()] == []


def test_every_file_that_the_readme_names_exists():
    named = set(re.findall(r"`((?:tinyllm_magic|tests)/[\w./]+)`", README))
    assert len(named) > 15
    assert [p for p in sorted(named) if not (ROOT / p).exists()] == []
