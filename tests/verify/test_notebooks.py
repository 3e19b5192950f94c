"""Every notebook of the repository re-runs from its store, offline, and gives the cells that are saved."""

from pathlib import Path

import pytest

from tinyllm_magic.verify.report import describe
from tinyllm_magic.verify.runner import VerifyOptions, find, verify

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
SAVED_EARLIER = Path(__file__).parent / "saved_notebooks"  # as an earlier version saved them: each later one must verify them
NOTEBOOKS = [*sorted(FOLDER.glob("*.ipynb")), *sorted(SAVED_EARLIER.glob("*.ipynb"))]


def test_there_are_notebooks():
    assert {"02_templates_and_roles.ipynb", "04_replay.ipynb"} <= {p.name for p in find([FOLDER])}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[f"{p.parent.name}/{p.stem}" for p in NOTEBOOKS])
def test_a_notebook_gives_the_same_cells_anywhere(path):
    before = {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}

    (verdict,) = verify([path], VerifyOptions(workers=1, timeout=120))

    assert verdict.exit_code == 0, "\n".join(describe(verdict))
    assert any(c.verdict == "same" for c in verdict.cells)
    assert path.with_name(f"{path.stem}.llm.jsonl").exists()
    assert {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()} == before
