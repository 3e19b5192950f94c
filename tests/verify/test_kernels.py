"""Notebooks through nbclient and a real kernel, with the embedded model."""

import asyncio

import nbformat
import pytest
from notebookmaker import printed

from tinyllm_magic.verify import kernels
from tinyllm_magic.verify.compare import difference
from tinyllm_magic.verify.kernels import NotebookError

pytestmark = pytest.mark.model


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])


@pytest.fixture
def execute(tmp_path, weights_folder):
    def run(book, **environ):
        return kernels.execute(book, tmp_path, {"TINYLLM_CACHE_DIR": str(weights_folder), **environ}, timeout=120)

    return run


def outputs(book, index):
    return [o for o in book.cells[index].outputs if o.output_type != "stream"]


def test_a_notebook_answers_live_and_leaves_one_readable_output_for_each_cell(execute, tmp_path):
    book = execute(
        notebook(
            "%load_ext tinyllm_magic", "%%llm --temperature 0\nWhat is the capital of France?", "%%llm -q -o r\nSay hi.", "print(r.source)"
        ),
        TINYLLM_STORE=str(tmp_path / "s.llm.jsonl"),
    )

    assert book.cells[0].outputs == []
    (card,) = outputs(book, 1)
    assert set(card.data) == {"text/html", "text/plain"}
    assert "Paris" in card.data["text/plain"]
    assert card.metadata["tinyllm_magic"]["source"] == "live"
    assert card.metadata["tinyllm_magic"]["key"].startswith("k1:")
    assert book.cells[2].outputs == []
    assert printed(book.cells[3]) == "live\n"
    assert "widgets" not in book.metadata


def test_the_same_notebook_again_is_answered_from_its_store_without_weights(execute, tmp_path):
    cells = ("%load_ext tinyllm_magic", "%%llm --temperature 0\nWhat is the capital of France?")
    store = str(tmp_path / "s.llm.jsonl")
    first = execute(notebook(*cells), TINYLLM_STORE=store)
    again = execute(notebook(*cells), TINYLLM_STORE=store, TINYLLM_MODE="replay", TINYLLM_CACHE_DIR=str(tmp_path / "empty"))

    assert outputs(again, 1)[0].metadata["tinyllm_magic"]["source"] == "recorded"
    ours, theirs = (outputs(b, 1)[0].data["text/plain"].rsplit("·", 1)[0] for b in (first, again))
    assert ours == theirs


def test_a_failed_cell_fails_the_run_and_later_cells_do_not_run(execute):
    book = notebook("%load_ext tinyllm_magic", "%%llm\n{{ nope }}", "print('later')")

    with pytest.raises(NotebookError, match="'nope' is not defined"):
        execute(book)

    assert book.cells[1].outputs[-1].ename == "UndefinedError"
    assert book.cells[2].outputs == []


def test_a_kernel_that_ends_leaves_its_store_sorted(execute, tmp_path):
    store = tmp_path / "s.llm.jsonl"
    cells = (f"%llm -p temperature=0 Say {n}" for n in "dcba")
    execute(notebook("%load_ext tinyllm_magic", *cells), TINYLLM_STORE=str(store), TINYLLM_API_TYPE="echo")

    keys = [line.split('"')[3] for line in store.read_text("utf-8").splitlines()[1:]]
    assert len(keys) == 4
    assert keys == sorted(keys)


def test_what_a_dry_run_and_a_count_show_is_the_same_but_for_how_exactly_it_is_counted(execute, tmp_path):
    cells = ("%load_ext tinyllm_magic", "%%llm --dry-run\nHow long is this?", "%llm_count How long is this?", "%%llm --dry-run\nAnd this?")
    exact = execute(notebook(*cells))
    estimated = execute(notebook(*cells), TINYLLM_CACHE_DIR=str(tmp_path / "empty"))

    assert "≈" not in outputs(exact, 1)[0].data["text/plain"]
    assert "[user · ≈ " in outputs(estimated, 1)[0].data["text/plain"]
    assert outputs(estimated, 2)[0].data["text/plain"].startswith("≈ ")
    assert [difference(outputs(exact, n), outputs(estimated, n)) for n in (1, 2)] == [(), ()]
    assert difference(outputs(exact, 1), outputs(exact, 3)) != ()


def test_a_notebook_runs_where_a_loop_runs_already(execute):
    async def inside():
        return execute(notebook("6 * 7"))

    assert outputs(asyncio.run(inside()), 0)[0].data["text/plain"] == "42"
