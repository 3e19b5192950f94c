"""What is read from a notebook's code without running it."""

import pytest

from tinyllm_magic.static_site.source_code import read_cells


@pytest.mark.parametrize(
    ("cell", "modules"),
    [
        ("import numpy as np, json\nfrom PIL.Image import open", {"numpy", "json", "PIL"}),
        ("%load_ext tinyllm_magic\nimport polars", {"polars"}),
        ("answer = %llm Say it\nif answer:\n    %llm_usage\n    import attrs", {"attrs"}),
        ("%%time\nimport pandas", {"pandas"}),
        ("%%llm\nimport tea from China", set()),
        ("from importlib.resources import files\nfiles('tzdata').joinpath('zones')", {"importlib", "tzdata"}),
        ("import pandas\nthis is no Python", {"pandas"}),
        ("from . import beside", set()),
    ],
    ids=["plain", "line magic", "magics in code", "cell magic", "a prompt", "by name", "broken", "relative"],
)
def test_imports_are_found_whatever_magics_stand_around_them(cell, modules):
    assert read_cells([cell]).modules == modules


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("open('data/rows.csv')", "data/rows.csv"),
        ("%%llm --image harbour.png\nWhat is it?", "harbour.png"),
        ('%%llm\n{% include "part.j2" %}', "part.j2"),
        ("x = %llm -t poem.prompty", "poem.prompty"),
        ("path = f'data/{name}.csv'", "data/"),
    ],
    ids=["python", "option", "template", "line", "f-string"],
)
def test_texts_that_may_name_files_are_found_in_code_options_and_templates(cell, text):
    assert text in read_cells([cell]).texts


def test_parts_that_want_an_extra_are_seen_by_how_they_are_used(tmp_path):
    assert read_cells(["%%llm --map rows --expect label\n{{ text }}"]).extras == {"stats"}
    assert read_cells(["a.against(b)", "%%llm\n{{ fig | image }}", "%%llm --file bill.pdf\nRead."]).extras == {"files", "images", "stats"}
    assert read_cells(["call_llm('small', 'Hi', config).content"]).extras == {"sdk"}
    assert read_cells(["%%llm\nWhat is --expect for?"]).extras == set()


def test_what_is_beside_the_notebook_part_of_python_or_ours_is_no_package(tmp_path):
    (tmp_path / "helpers.py").touch()
    mentions = read_cells(["import helpers, json, tinyllm_magic, zoneinfo, numpy, tkinter"])
    assert mentions.foreign(tmp_path) == {"numpy", "tzdata"}  # the browser has no data base of time zones
    assert mentions.absent == {"tkinter"}
