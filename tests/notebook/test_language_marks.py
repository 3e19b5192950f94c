"""Marks of prompt cells for VS Code, and the command that writes them."""

import json

import nbformat
import pytest

from tinyllm_magic.cli.command_line import main

CODE, VSCODE = nbformat.v4.new_code_cell, {"languageId": "markdown"}


@pytest.fixture
def path(tmp_path):
    """A notebook with cells of every kind, written with umlauts as they are."""
    cells = [
        nbformat.v4.new_markdown_cell("%%llm no code"),
        CODE("%%llm -m tiny\nGrüße"),
        CODE("\n  %%llm\nhi", metadata={"vscode": {"other": 1}, "tags": ["a"]}),
        CODE("%%llmx\nhi"),
        CODE("x = 1", metadata={"vscode": VSCODE}),
        CODE("%%markdown\nhi", metadata={"vscode": VSCODE}),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    return tmp_path / "a.ipynb"


def marks(path):
    return [cell.metadata.get("vscode") for cell in nbformat.read(path, 4).cells]


def test_prompt_cells_are_marked_and_cells_that_became_python_are_not(path, capsys):
    before = path.read_text("utf-8")
    assert main(["mark", str(path)]) == 0

    assert marks(path) == [None, VSCODE, {"other": 1, **VSCODE}, None, None, VSCODE]
    assert "a.ipynb: 3 cells changed" in capsys.readouterr().out
    after = path.read_text("utf-8")
    assert "Grüße" in after
    assert {**json.loads(before), "cells": None} == {**json.loads(after), "cells": None}


def test_marking_twice_changes_nothing_and_removing_brings_the_file_back(path, capsys):
    main(["mark", "--remove", str(path)])
    before = path.read_bytes()
    main(["mark", str(path.parent)])
    marked = path.read_bytes()
    main(["mark", str(path)])
    assert path.read_bytes() == marked != before
    assert "a.ipynb: nothing to change" in capsys.readouterr().out
    main(["mark", "--remove", str(path)])
    assert path.read_bytes() == before
    assert marks(path)[-1] == VSCODE


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"cells": [{}]}'])
def test_what_is_no_notebook_is_left_alone_and_told(text, tmp_path, capsys):
    path = tmp_path / "b.ipynb"
    path.write_text(text)
    assert main(["mark", str(path)]) == 2
    assert path.read_text() == text
    assert "is no notebook of format 4" in capsys.readouterr().err


def test_a_missing_notebook_is_told(tmp_path, capsys):
    assert main(["mark", str(tmp_path / "none.ipynb")]) == 2
    assert "cannot be read" in capsys.readouterr().err
