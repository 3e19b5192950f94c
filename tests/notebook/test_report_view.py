"""`%llm_report` shows the report of the notebook that runs, folded, and is no answer that `verify` compares."""

import pytest
from htmlaudit import Page
from IPython.utils.capture import capture_output
from notebookmaker import Study, shown
from records import make

from tinyllm_magic import errors


@pytest.fixture
def study(tmp_path):
    study = Study(tmp_path)
    one = make("Is </pre><script>alert(1)</script> `large`?")
    study.record(one)
    study.cell("%%llm\nIs {{ x }} large?", shown(one))
    study.report()
    return study


def show(shell, line):
    with capture_output() as captured:
        result = shell.run_cell(line)
    captured.error = result.error_in_exec or result.error_before_exec
    return captured


def test_the_report_of_this_notebook_is_shown_folded_and_runs_nothing(shell, study, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(study.path))
    captured = show(shell, "%llm_report")
    output = captured.outputs[-1]
    page = Page(output.data["text/html"])
    assert page.wrong == []
    assert "<script>" not in output.data["text/html"]
    assert len(page.all("details")) >= 9
    assert [sum("open" in attributes for attributes in page.all("details"))] == [1]
    assert "1 answer of 1 model" in page.text
    assert output.data["text/plain"].startswith("# Report: A study\n")
    assert output.metadata["tinyllm_magic"] == {"version": 1, "about": "session"}


def test_another_notebooks_report_is_shown_by_its_name(shell, study):
    assert "Report: A study" in show(shell, f"%llm_report {study.path}").outputs[-1].data["text/plain"]


def test_where_the_notebooks_name_is_not_known_one_line_says_what_to_write(shell, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    error = show(shell, "%llm_report").error
    assert isinstance(error, errors.OptionError)
    assert "%llm_report NOTEBOOK.ipynb" in str(error)


def test_the_name_of_a_notebook_completes(shell, study, monkeypatch):
    from tinyllm_magic.notebook.completions import complete

    monkeypatch.chdir(study.path.parent)
    line = "%llm_report st"
    found = complete(line, {})
    assert "study.ipynb" in str(found)
