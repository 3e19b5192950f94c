"""What the tests of ``verify`` share: notebooks, and the command line with what it prints."""

import pytest
from notebookmaker import Book

from tinyllm_magic.cli.command_line import main


@pytest.fixture
def echo(monkeypatch):
    """Every answer is the last message again."""
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")


@pytest.fixture
def make(tmp_path):
    """``make(*sources, name=…)``: a notebook in the folder ``book``."""
    return lambda *sources, name="analysis.ipynb", folder="book": Book(tmp_path / folder, *sources, name=name)


@pytest.fixture
def run(capsys):
    """Runs the command line; gives exit code, standard output and standard error."""

    def run(*arguments):
        code = main([str(a) for a in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
