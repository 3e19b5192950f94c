"""Where the store of a notebook lies."""

from pathlib import Path

from tinyllm_magic.recording.names import place_store, store_beside

BESIDE = store_beside(Path("/work/analysis.ipynb"))


def test_a_store_lies_beside_its_notebook_under_its_name_and_has_siblings():
    assert place_store(None, BESIDE) == (Path("/work/analysis.llm.jsonl"), True)


def test_a_file_that_was_named_is_the_store_and_has_none(tmp_path):
    assert place_store(tmp_path / "answers.jsonl", BESIDE) == (tmp_path / "answers.jsonl", False)


def test_a_folder_holds_the_stores_of_all_its_notebooks(tmp_path):
    assert place_store(tmp_path, BESIDE) == (tmp_path / "analysis.llm.jsonl", True)
