"""Which record answers which cell, which nothing asks any more, and which no store holds."""

from dataclasses import replace

import pytest
from nbformat.v4 import new_output
from notebookmaker import shown
from records import ask, make

from tinyllm_magic.errors import TinyLLMError
from tinyllm_magic.recording.store import Store
from tinyllm_magic.reporting.data import to_data
from tinyllm_magic.reporting.report import build_report


def by_cell(report):
    return [(use.cell.number, use.record.key, bool(use.why)) for use in report.evidence.links]


def test_a_cell_is_answered_by_the_records_that_its_output_names(study):
    one, two = make("One"), make("Two")
    study.record(one, two)
    study.cell("%%llm\nTwo", shown(two))
    study.cell("%%llm\nOne", shown(one))
    assert by_cell(study.report()) == [(1, two.key, False), (2, one.key, False)]


def test_a_record_that_answers_two_cells_counts_once(study):
    one = make("One")
    study.record(one)
    study.cell("%%llm\nOne", shown(one))
    study.cell("%%llm\nOne", shown(one))
    report = study.report()
    assert [number for number, *_ in by_cell(report)] == [1, 2]
    assert report.found.totals.answers == 1


def test_a_line_is_answered_by_the_record_of_its_words(study):
    one = make("What is the capital of France?")
    study.record(one, make("What is the capital of Spain?"))
    study.cell("capital = %llm --temperature 0 What is the capital of France?")
    report = study.report()
    assert by_cell(report) == [(1, one.key, True)]
    assert [r.answer.text for r in report.evidence.unasked] == ["Hi"]


def test_python_is_answered_by_records_that_its_texts_fit(study):
    one = make("Name one use of a spoon, please.")
    study.record(one)
    study.cell('from tinyllm_magic import LLMCall\nLLMCall(None, "Name one use of a {{ thing }}, please.").call(thing="spoon")')
    assert by_cell(study.report()) == [(1, one.key, True)]


def test_python_that_asks_a_cells_prompt_again_is_answered_by_what_fits_it(study):
    one, other = make("Is Rome a large city?"), make("Is Ulm a large city?")
    study.record(one, other)
    study.cell("%%llm -o first\nIs {{ city }} a large city?", shown(one))
    study.cell("map_rows(first.call, rows)")
    report = study.report()
    assert by_cell(report) == [(1, one.key, False), (2, other.key, True)]
    assert "the prompt of cell 1 fits" in report.evidence.links[1].why


def test_what_an_earlier_run_asked_with_other_values_nothing_asks_any_more(study):
    now, before = make("Is Rome a large city?"), make("Is Ulm a large city?")
    study.record(now, before)
    study.cell("%%llm\nIs {{ city }} a large city?", shown(now))
    report = study.report()
    assert [r.key for r in report.evidence.unasked] == [before.key]
    assert report.found.unasked.answers == 1
    assert "Answers that nothing asks any more" in str(list(report.blocks()))


def test_a_dry_run_asks_nothing(study):
    one = make("One fine day")
    study.record(one)
    study.cell("%%llm --dry-run\nOne fine day", shown(one, about="preview"))
    report = study.report()
    assert by_cell(report) == []
    assert [r.key for r in report.evidence.unasked] == [one.key]


def test_an_answer_that_is_shown_and_in_no_store_is_missing(study):
    study.record(make("One"))
    study.cell("%%llm\nTwo", shown(make("Two")))
    report = study.report()
    assert [(cell.number, key) for cell, key in report.evidence.missing] == [(1, make("Two").key)]
    assert "answers of cell 1" in [u.what for u in report.found.unpinned]


def test_an_answer_is_found_in_the_store_of_the_notebook_beside(study, tmp_path):
    one = make("One")
    Store(tmp_path / "other.llm.jsonl").append(one)
    study.cell("%%llm\nOne", shown(one))
    report = study.report()
    assert [use.store for use in report.evidence.uses] == ["other.llm.jsonl"]
    assert [store.name for store in report.evidence.stores] == ["other.llm.jsonl"]


def test_the_results_of_tools_belong_to_the_cell_whose_answer_called_them(study):
    one = make("One")
    result = replace(
        one, key="k1:tool", request={"kind": "tool", "provider": "tool", "model": "weekday", "messages": [], "params": {"request": one.key}}
    )
    study.record(one, result)
    study.cell("%%llm --tools weekday\nOne", shown(one))
    report = study.report()
    assert by_cell(report) == [(1, one.key, False), (1, "k1:tool", False)]
    assert (report.found.totals.answers, len(report.found.tool_results)) == (1, 1)


def test_rows_beyond_those_that_an_output_lists_are_found_by_their_words(study):
    listed, unlisted = make("Is Rome a large city?"), make("Is Ulm a large city?")
    study.record(listed, unlisted)
    table = {"table": {"kind": "map", "rows": 2, "keys": [listed.key]}}
    study.cell("%%llm --map rows\nIs {{ city }} a large city?", shown(**table))
    assert by_cell(study.report()) == [(1, listed.key, False), (1, unlisted.key, True)]


def test_the_same_words_with_other_messages_around_them_are_another_prompt(study):
    plain = make("Say it in French, please")
    study.record(plain)
    study.cell("%%llm\n{% user %}Hello{% enduser %}{% assistant %}Hi{% endassistant %}\nSay it in French, please")
    assert by_cell(study.report()) == []


def test_a_record_whose_key_is_not_its_requests_digest_is_told(study):
    forged = replace(make("One"), request=ask("Two").canonical())
    study.record(forged)
    study.cell("%%llm\nOne", shown(forged))
    assert [u.count for u in study.report().found.unpinned if "their key is not" in u.why] == [1]


def test_a_notebook_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(TinyLLMError, match=r"there is no notebook .*nowhere\.ipynb"):
        build_report(tmp_path / "nowhere.ipynb")


def test_a_report_changes_neither_notebook_nor_store(study, tmp_path):
    study.record(make("One"))
    study.cell("%%llm\nOne", shown(make("One")))
    study.report()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("study*")}
    study.report()
    assert {path.name: path.read_bytes() for path in tmp_path.glob("study*")} == before


@pytest.mark.parametrize(
    "facts",
    [{"keys": 3}, {"table": 7}, {"table": {"rows": "many", "keys": {"a": 1}}}, {"answers": "k1:"}, {"scores": 5}, {"key": ["k1:"]}],
    ids=["keys", "table", "rows", "answers", "scores", "key"],
)
def test_metadata_that_somebody_else_wrote_breaks_no_report(study, facts):
    study.cell("%%llm\nOne", shown(**facts))
    assert to_data(study.report())["totals"]["answers"] == 0


def test_a_prompt_cell_that_failed_is_not_said_to_hide_its_records(study):
    study.record(make("One"))
    study.cell("%%llm\nOne", shown(make("One")))
    study.cell("%%llm --mode replay\nTwo", new_output("error", ename="ReplayMiss", evalue="not recorded", traceback=[]))
    report = study.report()
    assert report.evidence.asks_from_python == ()
    assert "ended with an error" in str(list(report.blocks()))
