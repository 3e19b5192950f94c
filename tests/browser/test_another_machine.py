"""A notebook made in JupyterLab by hand, renamed, saved and copied to another folder verifies there, offline and without settings.

The front end does not say a word of the new name to the kernel here: the store follows as one of the stores beside it.
"""

import os
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from tinyllm_magic import Store

CELLS = (
    "%load_ext tinyllm_magic",
    "%%llm --temperature 0\nWrite about tea.",
    "%%llm -n 3 --temperature 1 -o names\nName a ship.",
    "rows = [{'city': 'Paris'}, {'city': 'Oslo'}]",
    "%%llm --map rows --temperature 0 -o table\nWhere is {{ city }}?",
    "print(names[2].text, len(table))",
)
LATER = "%%llm --temperature 0\nWrite about coffee."
REQUESTS = 1 + 3 + 2


@pytest.fixture(scope="module")
def renamed(author_pages, fake):
    """The notebook as its author left it: written and run by hand, renamed, run on, saved."""
    book = author_pages.open()
    for source in CELLS:
        book.write_and_run(source)
    expect(book.output(1).get_by_role("article")).to_contain_text("Answer 0 to: Write about tea.")
    assert fake.n == REQUESTS
    book.rename("analysis.ipynb")
    book.write_and_run(LATER)
    book.page.keyboard.press("Control+s")
    book.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert (book.errors, book.strangers) == ([], [])
    author_pages.end(book)
    return author_pages.server.root / "analysis.ipynb"


def verify_elsewhere(notebook, folder, *stores):
    """What ``tinyllm-magic verify`` says of copies on a machine with a fresh home and no variables."""
    (folder / "home").mkdir(parents=True)
    for file in (notebook, *stores):
        shutil.copy(file, folder)
    done = subprocess.run(
        [sys.executable, "-m", "tinyllm_magic.cli", "verify", folder / notebook.name],
        env={"HOME": str(folder / "home"), "PATH": os.environ["PATH"]},
        cwd=folder / "home",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_browser_saves_whole_numbers_without_their_point(renamed):
    assert '"temperature": 0,' in renamed.read_text("utf-8").replace("0\n", "0,\n")


def test_it_verifies_on_another_machine_beside_the_store_of_its_first_name(renamed, fake, tmp_path):
    store = renamed.with_name("Untitled.llm.jsonl")
    assert len(Store(store)) == REQUESTS + 1
    before = fake.n
    code, said = verify_elsewhere(renamed, tmp_path / "there", store)
    assert (code, "7 cells the same" in said) == (0, True), said
    assert fake.n == before


def test_a_changed_answer_is_found_there(renamed, tmp_path):
    changed = tmp_path / renamed.name
    changed.write_text(
        renamed.read_text("utf-8").replace("Answer 5 to", "Answer 7 to").replace("Answer **5** to", "Answer **7** to"), "utf-8"
    )
    code, said = verify_elsewhere(changed, tmp_path / "there", renamed.with_name("Untitled.llm.jsonl"))
    assert (code, "1 of 7 cells differs" in said) == (1, True), said


def test_opened_again_under_its_new_name_it_asks_nothing_and_gets_a_store_of_its_own(renamed, author_pages, fake, tmp_path):
    before = fake.n
    book = author_pages.open(renamed.name)
    for index in range(len(CELLS) + 1):
        book.run(index)
    expect(book.output(1).locator(".tlm-badge")).to_have_text("recorded")
    book.saved()
    author_pages.end(book)
    assert fake.n == before
    own = renamed.with_name("analysis.llm.jsonl")
    assert len(Store(own)) == REQUESTS + 1
    code, said = verify_elsewhere(renamed, tmp_path / "there", own)
    assert (code, "7 cells the same" in said) == (0, True), said
