"""Versions of notebooks are read from files, folders and git, their stores with them."""

import subprocess

import pytest
from recordedbook import record, write_book

from tinyllm_magic.cli.command_line import main


def git(folder, *arguments):
    name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *name, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two revisions of ``books/analysis.ipynb``: the answer ``old``, then ``new``; the working directory is its root."""
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(root)
    git(root, "init", "-q")
    for said in ("old", "new"):
        (root / "books" / "analysis.llm.jsonl").unlink(missing_ok=True)
        write_book(root / "books", [record("Why?", said)])
        git(root, "add", ".")
        git(root, "commit", "-qm", said)
    return root


def run(capsys, *arguments):
    code = main(["diff", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (("HEAD~1:books/analysis.ipynb", "HEAD:books/analysis.ipynb"), "."),
        (("HEAD~1:books/analysis.ipynb", "books/analysis.ipynb"), "."),
        (("HEAD~1:analysis.ipynb", "analysis.ipynb"), "books"),
        (("HEAD~1:./analysis.ipynb", "HEAD:books/analysis.ipynb"), "books"),
        (("HEAD~1", "books/analysis.ipynb"), "."),
        (("HEAD~1", "HEAD:books/analysis.ipynb"), "."),
        (("HEAD~1", "HEAD"), "."),
        (("HEAD~1", "HEAD"), "books"),
        (("HEAD~1", "books"), "."),
        (("HEAD~1:books", "HEAD:books"), "."),
    ],
)
def test_every_way_to_name_two_versions_reads_the_store_of_each(repository, capsys, monkeypatch, arguments, folder):
    monkeypatch.chdir(repository / folder)
    code, out, _ = run(capsys, *arguments, "--exit-code")
    assert code == 1
    assert "● cell 1: %%llm ⏎ Cell 1?  (the answer)\n  answer\n    [-old-]\n    [+new+]" in out


def test_the_other_direction_is_told_the_other_way_round(repository, capsys):
    assert "[-new-]\n    [+old+]" in run(capsys, "books/analysis.ipynb", "HEAD~1")[1]


def test_two_files_without_git(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    paths = [write_book(tmp_path / said, [record("Why?", said)]) for said in ("old", "new")]
    assert "[-old-]\n    [+new+]" in run(capsys, *paths)[1]


def test_the_exit_code_is_zero_unless_one_is_asked_for(repository, capsys):
    git(repository, "commit", "-q", "--allow-empty", "-m", "nothing")
    assert run(capsys, "HEAD~2", "HEAD")[0] == 0
    assert run(capsys, "HEAD~2", "HEAD", "--exit-code")[0] == 1
    assert run(capsys, "HEAD~1:books/analysis.ipynb", "books/analysis.ipynb", "--exit-code")[0] == 0


def test_of_two_revisions_each_notebook_that_changed_came_or_went_is_told(repository, capsys):
    write_book(repository / "more", [record("New?", "yes")])
    git(repository, "add", ".")
    git(repository, "rm", "-q", "--cached", "books/analysis.ipynb")
    git(repository, "commit", "-qm", "more")

    _, out, _ = run(capsys, "HEAD~1", "HEAD")

    assert "books/analysis.ipynb: HEAD~1 → HEAD\n  this notebook was removed" in out
    assert "more/analysis.ipynb: HEAD~1 → HEAD\n  this notebook was added" in out


def test_the_store_that_settings_name_is_read_from_each_revision_too(repository, capsys):
    books = repository / "books"
    (books / "config.ini").write_text("[OpenAI]\nCACHE_FILE_NAME = shared.jsonl\n", "utf-8")
    for said in ("first", "second"):
        write_book(books, [record("Why?", said)])
        (books / "analysis.llm.jsonl").rename(books / "shared.jsonl")
        git(repository, "add", ".")
        git(repository, "commit", "-qm", said)
    assert "[-first-]\n    [+second+]" in run(capsys, "HEAD~1", "books/analysis.ipynb")[1]


def test_answers_in_a_store_beside_it_are_found_in_a_revision_too(repository, capsys):
    (repository / "books" / "analysis.llm.jsonl").rename(repository / "books" / "untitled.llm.jsonl")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "renamed")
    assert "[-old-]\n    [+new+]" in run(capsys, "HEAD~2", "HEAD:books/analysis.ipynb")[1]


def test_forms_are_written_to_files_too(repository, capsys, tmp_path):
    assert run(capsys, "HEAD~1", "HEAD", "--html", "-o", tmp_path / "site" / "d.html")[1] == ""
    assert (tmp_path / "site" / "d.html").read_text("utf-8").startswith("<!doctype html>")
    assert run(capsys, "HEAD~1", "HEAD", "--markdown")[1].startswith("### <code>books/analysis.ipynb</code>")
    assert run(capsys, "HEAD~1", "HEAD", "--format", "md")[1].startswith("### ")


def wrong(repository, what):
    """Arguments that cannot be compared, and what is said of them."""
    books = repository / "books"
    if what == "damaged":
        (books / "analysis.ipynb").write_text("{", "utf-8")
    if what == "no store":
        (books / "analysis.llm.jsonl").unlink()
        (books / "analysis.llm.jsonl").mkdir()
    if what == "pointer":
        (books / "analysis.llm.jsonl").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "utf-8")
        git(repository, "commit", "-qam", "lfs")
    return {
        "revision": (("HEAD~99", "books/analysis.ipynb"), "git knows no revision 'HEAD~99' here"),
        "option": (("-x:books/analysis.ipynb", "HEAD"), None),
        "notebook": (("HEAD~1", "books/none.ipynb"), "there is no notebook books/none.ipynb"),
        "in revision": (("HEAD~1:books/none.ipynb", "books/analysis.ipynb"), "there is no notebook books/none.ipynb in HEAD~1"),
        "neither": (("nonsense", "books/analysis.ipynb"), "there is neither a notebook nor a folder 'nonsense', and no revision either"),
        "same file": (("books/analysis.ipynb", "./books/analysis.ipynb"), "are the same: there is nothing to compare"),
        "same revision": (("HEAD", "main"), "are the same: there is nothing to compare"),
        "folder": (("HEAD~1:books", "books/analysis.ipynb"), "HEAD~1:books is a folder and books/analysis.ipynb is none"),
        "damaged": (("HEAD", "books/analysis.ipynb"), "analysis.ipynb is no notebook: it is not JSON"),
        "no store": (("HEAD", "books/analysis.ipynb"), "analysis.llm.jsonl"),
        "pointer": (("HEAD~1", "HEAD:books/analysis.ipynb"), "analysis.llm.jsonl is kept by Git LFS"),
        "empty": (("", "HEAD"), "there is no notebook"),
    }[what]


@pytest.mark.parametrize(
    "what",
    ["revision", "notebook", "in revision", "neither", "same file", "same revision", "folder", "damaged", "no store", "pointer", "empty"],
)
def test_what_cannot_be_compared_is_one_clear_error(repository, capsys, what):
    arguments, message = wrong(repository, what)
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("tinyllm-magic: ")


def test_without_git_or_outside_a_repository_that_is_said(tmp_path, capsys, monkeypatch):
    path = write_book(tmp_path / "b", [record()])
    assert "lies in no git repository" in run(capsys, "HEAD~1", path)[2]
    monkeypatch.setenv("PATH", "")
    assert "git, which is not installed" in run(capsys, "HEAD~1", path)[2]


def test_a_damaged_line_of_a_store_is_told_and_the_rest_compared(repository, capsys):
    with (repository / "books" / "analysis.llm.jsonl").open("a") as file:
        file.write("no record\n")
    _, out, _ = run(capsys, "HEAD~1", "books/analysis.ipynb")
    assert "books/analysis.ipynb: analysis.llm.jsonl, line 3: not JSON" in out
    assert "[-old-]" in out
