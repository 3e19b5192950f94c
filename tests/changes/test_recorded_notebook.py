"""A notebook and its store are read without running anything."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from records import filled

from tinyllm_magic import Store
from tinyllm_magic.changes.recorded_notebook import read_recorded
from tinyllm_magic.errors import StoreError
from tinyllm_magic.verify.kernels import NotebookError


def shown(facts):
    return new_output("display_data", {"text/plain": "answer"}, metadata={"tinyllm_magic": facts})


def write(folder, *cells):
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Title"), *cells]), folder / "analysis.ipynb")
    return folder / "analysis.ipynb"


def test_records_are_found_by_the_keys_that_outputs_name_steps_and_tables_included(tmp_path):
    one, two, three, other = filled(Store(tmp_path / "analysis.llm.jsonl"), "1", "2", "3", "other")
    path = write(
        tmp_path,
        new_code_cell("%%llm\nOne?", outputs=[shown({"key": two.key, "steps": [one.key]})]),
        new_code_cell("%llm_usage", outputs=[shown({"about": "session", "key": other.key})]),
        new_code_cell("table", outputs=[shown({"table": {"keys": [three.key, None]}}), shown({"answers": [{"key": two.key}, None]})]),
    )

    found = read_recorded(path)

    assert [c.keys for c in found.cells] == [(one.key, two.key), (), (three.key, two.key)]
    assert (found.cells[0].number, found.cells[0].title, found.cells[0].is_prompt) == (1, "%%llm ⏎ One?", True)
    assert {key: cell.number for key, cell in found.cell_of.items()} == {one.key: 1, two.key: 1, three.key: 3}
    assert (set(found.records), found.problems) == ({r.key for r in (one, two, three, other)}, ())


def test_what_the_store_lacks_is_looked_for_in_the_stores_beside_it(tmp_path):
    (record, unasked) = filled(Store(tmp_path / "untitled.llm.jsonl"), "1", "2")
    path = write(tmp_path, new_code_cell("%%llm\nOne?", outputs=[shown({"key": record.key})]))

    found = read_recorded(path)

    assert list(found.records) == [record.key]
    assert not found.store.exists()
    assert unasked.key not in found.records


def test_a_damaged_line_is_a_problem_that_is_told_and_loses_no_other(tmp_path):
    filled(Store(tmp_path / "analysis.llm.jsonl"), "1", "2")
    with (tmp_path / "analysis.llm.jsonl").open("a") as file:
        file.write("no record\n")

    found = read_recorded(write(tmp_path))

    assert len(found.records) == 2
    assert found.problems == ("analysis.llm.jsonl, line 4: not JSON",)


@pytest.mark.parametrize("what", ["nothing", "a folder", "no notebook"])
def test_what_is_no_notebook_is_one_error(tmp_path, what):
    path = tmp_path / "a.ipynb"
    if what == "a folder":
        path.mkdir()
    elif what == "no notebook":
        path.write_text("[1]")
    with pytest.raises(NotebookError, match=r"a\.ipynb"):
        read_recorded(path)


def test_a_file_that_is_no_store_is_an_error(tmp_path):
    path = write(tmp_path)
    (tmp_path / "analysis.llm.jsonl").mkdir()
    with pytest.raises(StoreError):
        read_recorded(path)
