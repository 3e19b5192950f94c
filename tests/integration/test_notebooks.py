"""Every notebook of the repository re-runs from its store, offline, and gives the cells that are saved."""

from pathlib import Path

import pytest

from tinyllm_magic.verdicts import told
from tinyllm_magic.verify import Terms, find, verify

FOLDER = Path(__file__).parent.parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks():
    assert {"02_templates_and_roles.ipynb", "04_replay.ipynb"} <= {p.name for p in find([FOLDER])}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[p.stem for p in NOTEBOOKS])
def test_a_notebook_gives_the_same_cells_anywhere(path):
    before = {p: p.read_bytes() for p in FOLDER.iterdir() if p.is_file()}

    (verdict,) = verify([path], Terms(workers=1, timeout=120))

    assert verdict.exit_code == 0, "\n".join(told(verdict))
    assert any(c.verdict == "same" for c in verdict.cells)
    assert path.with_name(f"{path.stem}.llm.jsonl").exists()
    assert {p: p.read_bytes() for p in FOLDER.iterdir() if p.is_file()} == before
