"""A template file from anybody computes with the notebook's values, and reaches nothing else; a trusted one may."""

import datetime as dt
import functools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tinyllm_magic.errors import PromptError
from tinyllm_magic.prompts.template import Template


class Shell:
    """What ``get_ipython`` belongs to."""

    __module__ = "IPython.core.interactiveshell"

    def system(self, command):
        """Run anything."""
        Path(command).touch()


def own(text="x"):
    return f"own {text}"


VALUES = {
    "shell": Shell(),
    "os": os,
    "run": os.system,
    "read": open,
    "getter": getattr,
    "path": Path("secret.txt"),
    "bound": functools.partial(os.system, "touch touched"),
    "df": pd.DataFrame({"a": [1, 2]}),
    "load": np.load,
    "own": own,
    "day": dt.date(2026, 1, 2),
    "xs": [3, 1],
    "user": type("User", (), {"__module__": "__main__", "greet": lambda self: "hello"})(),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("secret.txt").write_text("secret")
    return tmp_path


def render(source, *, trusted=False):
    Path("file.j2").write_text(source)
    return Template.from_file(Path("file.j2").absolute()).render_prompt(VALUES, trusts=lambda _: trusted).messages[0].text


@pytest.mark.parametrize(
    "source",
    [
        *("{{ shell.system('touched') }}", "{{ run('touch touched') }}", "{{ os.environ }}", "{{ os|attr('getcwd') }}", "{{ bound() }}"),
        *("{{ read('secret.txt').read() }}", "{{ path.read_text() }}", "{{ path.unlink() }}", "{{ getter(shell, 'system') }}"),
        *(
            "{{ df.to_csv('touched') }}",
            "{{ df.to_markdown(buf='touched') }}",
            "{{ df.eval('a') }}",
            "{{ df.agg('sum') }}",
            "{{ load('x') }}",
        ),
        "{% macro m() %}{{ run('touch touched') }}{% endmacro %}{{ m() }}",
    ],
)
def test_a_file_reaches_neither_the_shell_nor_modules_nor_files(source):
    with pytest.raises(PromptError, match=r"a file of a trusted folder, may (call|use).*llm_config trust"):
        render(source)
    assert not Path("touched").exists()
    assert Path("secret.txt").read_text() == "secret"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ own('text') }} {{ user.greet() }}", "own text hello"),
        ("{{ day.strftime('%Y') }} {{ day.isoformat() }}", "2026 2026-01-02"),
        ("{{ 'a b'.split() | join('-') }} {{ xs | sort | join }} {{ xs.index(1) }}", "a-b 13 1"),
        ("{{ df.a.sum() }} {{ df.to_dict('records') }} {{ df.to_csv().split()[0] }}", "3 [{'a': 1}, {'a': 2}] ,a"),
        ("{{ range(2) | list }} {{ dict(a=1) }} {% set n = namespace(i=1) %}{{ n.i }} {{ strftime_now('%%') }}", "[0, 1] {'a': 1} 1 %"),
    ],
)
def test_a_file_computes_with_the_values_of_the_notebook(source, expected):
    assert render(source) == expected


def test_an_included_file_is_a_file_and_a_cell_is_not(folder):
    (folder / "style.j2").write_text("{{ path.read_text() }}")
    with pytest.raises(PromptError, match="a file of a trusted folder, may call `read_text`"):
        Template("{% include 'style.j2' %}", folders=[folder]).render(VALUES)
    assert Template("{{ path.read_text() }}").render(VALUES)[0].text == "secret"


def test_a_file_in_a_trusted_folder_calls_what_it_likes():
    assert render("{{ path.read_text() }} {{ os.sep }}", trusted=True) == f"secret {os.sep}"


def test_no_file_is_included_under_the_name_of_a_cell(folder):
    (folder / "<cell>").write_text("{{ path.read_text() }}")
    with pytest.raises(PromptError, match="<cell>"):
        Template("{% include '<cell>' %}", folders=[folder]).render(VALUES)
