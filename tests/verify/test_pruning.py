"""`tinyllm-magic verify --prune`: records that no notebook of a folder asks for are moved aside."""

import pytest

from tinyllm_magic import Store

pytestmark = pytest.mark.usefixtures("echo")


def questions(path):
    return sorted(r.request["messages"][-1]["content"] for r in Store(path).records())


@pytest.fixture
def edited(make, run):
    """A notebook whose store still has the answer to what its cell asked before."""
    for text in ("Old", "New"):
        book = make(f"%%llm\n{text}", "%%llm -q\nQuiet")
        assert run("verify", "--record", book.path)[0] == 0
    assert questions(book.store) == ["New", "Old", "Quiet"]
    return book


def test_what_no_cell_asks_is_moved_aside_and_can_be_brought_back(edited, run):
    cleared = edited.store.with_name(f"{edited.store.name}.cleared")

    code, out, _ = run("verify", "--prune", edited.path)

    assert code == 0
    assert "analysis.llm.jsonl: 1 recorded answer" in out
    assert (questions(edited.store), questions(cleared)) == (["New", "Quiet"], ["Old"])
    assert run("verify", edited.path)[0] == 0
    assert run("cache", "merge", edited.store, cleared)[0] == 0
    assert questions(edited.store) == ["New", "Old", "Quiet"]


def test_where_every_record_is_asked_for_no_file_is_touched(edited, run):
    run("verify", "--prune", edited.path)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in edited.path.parent.iterdir()}
    code, out, _ = run("verify", "--prune", edited.path)
    assert (code, "every record is asked for" in out) == (0, True)
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in edited.path.parent.iterdir()} == before


@pytest.mark.parametrize(
    "change",
    [{"source": "%%llm\nEdited"}, {"source": "1/0", "execution_count": None, "outputs": []}],
    ids=["differs", "never run and fails"],
)
def test_nothing_is_pruned_unless_every_cell_passed(edited, run, change):
    edited.change(3, **change)
    before = edited.store.read_bytes()
    _, out, _ = run("verify", "--prune", edited.path)
    assert "nothing was pruned: not every cell of analysis.ipynb passed" in out
    assert edited.store.read_bytes() == before


def test_what_another_notebook_of_the_folder_asks_stays(edited, make, run):
    other = make("%%llm\nOld", name="other.ipynb")
    assert run("verify", "--record", other.path)[0] == 0
    other.store.unlink()  # its answer lies in the store of the first notebook

    code, out, _ = run("verify", "--prune", edited.path)

    assert (code, "✓ other.ipynb" in out) == (0, True)
    assert questions(edited.store) == ["New", "Old", "Quiet"]


def test_a_failing_notebook_of_the_folder_keeps_everything(edited, make, run):
    make("1/0", name="broken.ipynb").change(2, execution_count=1)
    code, out, _ = run("verify", "--prune", edited.path)
    assert (code, "nothing was pruned: not every cell of broken.ipynb passed" in out) == (1, True)
    assert questions(edited.store) == ["New", "Old", "Quiet"]


def test_rows_calls_from_python_and_processes_count_as_asked(make, run):
    python = "from tinyllm_magic import LLMCall; LLMCall.from_text('Python').call()"
    code = "from tinyllm_magic import LLMCall; LLMCall.from_text('From a child', mode='auto').call()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}], check=True)"
    book = make("%%llm -q --map [{'n':1},{'n':2}]\nRow {{ n }}", script, python)
    assert run("verify", "--record", book.path)[0] == 0
    assert questions(book.store) == ["From a child", "Python", "Row 1", "Row 2"]
    assert run("verify", "--prune", book.path)[0] == 0
    assert questions(book.store) == ["From a child", "Python", "Row 1", "Row 2"]


def test_a_store_outside_the_folder_is_left_alone(edited, run, monkeypatch, tmp_path):
    outside = edited.store.rename(tmp_path / "shared.llm.jsonl")
    monkeypatch.setenv("TINYLLM_STORE", str(outside))
    code, out, _ = run("verify", "--prune", edited.path)
    assert (code, "others may use it: it was not pruned" in out) == (0, True)
    assert questions(outside) == ["New", "Old", "Quiet"]


def test_a_notebook_of_another_language_beside_it_asks_nothing(edited, make, run):
    other = make(name="statistics.ipynb")
    notebook = other.read()
    notebook.metadata.kernelspec = {"name": "ir", "display_name": "R", "language": "R"}
    other.write(notebook)
    assert run("verify", "--prune", edited.path)[0] == 0
    assert questions(edited.store) == ["New", "Quiet"]


def test_to_record_and_to_prune_are_two_runs(edited, run):
    with pytest.raises(SystemExit) as caught:
        run("verify", "--record", "--prune", edited.path)
    assert caught.value.code == 2
