"""What a notebook takes along to a site, and what it never does."""

import nbformat
import pytest
from records import filled, make

from tinyllm_magic.recording.store import Store
from tinyllm_magic.static_site.notebooks import PublishError, read_notebooks, read_published


def write(folder, *cells, name="tour", outputs=()):
    made = [nbformat.v4.new_code_cell(c) if isinstance(c, str) else c for c in cells]
    for cell in made[:1]:
        cell["outputs"] = [nbformat.v4.new_output("display_data", {"text/plain": "…"}, metadata={"key": key}) for key in outputs]
    nbformat.write(nbformat.v4.new_notebook(cells=made), folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def read(path):
    return read_notebooks([path])[0]


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_files_that_are_named_are_taken_along_and_nothing_else(tmp_path):
    here = tmp_path / "notebooks"
    fill(
        here,
        ["a.csv", "b.jsonl", "unnamed.csv", "data/one.csv", "data/deep/two.csv", "data/.hidden", ".env", "other.ipynb", "g1.txt", "g2.txt"],
    )
    fill(tmp_path, ["outside.csv"])
    filled(Store(here / "tour.llm.jsonl"), "asked")
    path = write(
        here,
        "open('a.csv'); open('b.jsonl'); folder = 'data'; open('.env'); open('other.ipynb')",
        "glob('g*.txt')",
        "open('../outside.csv')",
    )
    found = read(path)
    expected = {"a.csv", "b.jsonl", "data/one.csv", "data/deep/two.csv", "g1.txt", "g2.txt", "tour.llm.jsonl"}
    assert set(found.files) == expected
    assert found.warnings == ("../outside.csv lies outside the notebook's folder, and is not taken along",)


def test_modules_beside_it_are_followed_to_what_they_import_and_read(tmp_path):
    fill(tmp_path, ["words.txt"])
    (tmp_path / "first.py").write_text("import second")
    (tmp_path / "second.py").write_text("import numpy\nopen('words.txt')")
    found = read(write(tmp_path, "import first"))
    assert set(found.files) == {"first.py", "second.py", "words.txt"}
    assert found.mentions.foreign(tmp_path) == {"numpy"}
    assert found.warnings == ("it has no recorded answers: a reader's prompt cells will all be refused",)


def test_of_the_stores_beside_it_only_those_are_taken_that_its_saved_answers_come_from(tmp_path):
    filled(Store(tmp_path / "tour.llm.jsonl"), "own")
    filled(Store(tmp_path / "old.llm.jsonl"), "found in the old one")
    filled(Store(tmp_path / "other.llm.jsonl"), "of another notebook")
    found = read(write(tmp_path, "%%llm\nHi", outputs=[make("own").key, make("found in the old one").key]))
    assert set(found.files) == {"tour.llm.jsonl", "old.llm.jsonl"}


def test_a_file_that_holds_a_secret_is_refused_and_keys_leave_the_configuration(tmp_path, monkeypatch):
    secret = "sk-Very-Secret-0123456789"
    kept = tmp_path / "kept.ini"
    kept.write_text("[models.lab]\nmodel = small\napi_key = abc-123\napi_key_env = LAB_KEY\n")
    path = write(tmp_path, "open('notes.txt')")
    assert read_published("config.ini", kept) == b"[models.lab]\nmodel = small\napi_key_env = LAB_KEY\n"
    (tmp_path / "notes.txt").write_text(f"call it with {secret}")
    monkeypatch.setenv("LAB_API_KEY", secret)
    with pytest.raises(PublishError, match=r"notes\.txt holds the value of LAB_API_KEY") as caught:
        read(path)
    assert secret not in str(caught.value)


def test_a_title_an_introduction_and_a_folder_are_read_from_the_notebook(tmp_path):
    prose = nbformat.v4.new_markdown_cell("# The *first* `cell`\n\nIt keeps my_name and\n[a link](https://example.org).\n\nMore.")
    found = read(write(tmp_path, "%%llm\nHi", "again = %llm Hi", "x = 1", prose, name="a b/c".replace("/", "-")))
    assert (found.title, found.introduction) == ("The first cell", "It keeps my_name and a link.")
    assert (found.folder, found.prompts) == ("a-b-c", 2)
    twice = [write(tmp_path / each, "x", name="same") for each in ("one", "two") if not (tmp_path / each).mkdir()]
    assert [n.folder for n in read_notebooks(twice)] == ["same", "same-2"]
