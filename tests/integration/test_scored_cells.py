"""Rows with right answers, and rows that are asked of several models: in cells, in Python, shown and saved."""

import re

import pytest

from tinyllm_magic import LLMCall, errors, map_rows, session
from tinyllm_magic.batch.table import Table
from tinyllm_magic.notebook import score_views
from tinyllm_magic.row_results import RowResult

pytestmark = pytest.mark.usefixtures("recording")
SETUP = """
rows = [{"w": w, "label": label} for w, label in [("good", "good"), ("bad", "bad"), ("bad", "good"), ("good", "good"), ("bad", "bad")]]
"""


@pytest.fixture
def run(run, monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    run(SETUP)
    return run


def shown(done):
    return done.outputs[-1].data


def test_a_map_with_right_answers_says_its_accuracy_confusions_and_what_failed(run, shell):
    done = run("%%llm --map rows --expect label -o judged\n{{ w }}")
    text, html = shown(done)["text/plain"], shown(done)["text/html"]

    assert done.result.success
    assert text.startswith("accuracy 80.0 %, 95 % 37.6 to 96.4, n 5")
    assert text.index("Wrong answers: 1") < text.index("w     label")
    assert "expected ↓ answered →" in html
    assert "<svg" in html
    assert html.index("Wrong answers: 1") < html.index("all rows")
    assert shell.user_ns["judged"].score().value == 0.8
    assert shell.user_ns["judged"][:2].score().value == 1


def test_what_a_score_shows_is_compared_by_its_figures(run):
    facts = run("%%llm --map rows --expect label\n{{ w }}").outputs[-1].metadata["tinyllm_magic"]

    assert facts["table"]["rows"] == 5
    (score,) = facts["scores"]
    assert (score["name"], score["value"], score["n"]) == ("accuracy", 0.8, 5)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%%llm --map rows --expect lable\n{{ w }}", "Did you mean 'label'"),
        ("%%llm --expect label\nHello", "--expect goes with --map"),
        ("%%llm --compare a,b --expect label\nHello", "--expect goes with --map"),
    ],
    ids=["misspelt", "one prompt", "no rows"],
)
def test_right_answers_that_are_not_there_are_refused_before_anything_is_asked(run, cell, said):
    before = len(session.history)
    done = run(cell)

    assert isinstance(done.result.error_in_exec, errors.OptionError)
    assert said in str(done.result.error_in_exec)
    assert len(session.history) == before


def test_rows_are_asked_of_several_models_and_compared(run, shell):
    done = run("%%llm --map rows --compare small,large --grid temperature=0,1 --expect label -o table\n{{ w }}")
    table = shell.user_ns["table"]

    assert len(table) == 20
    assert table.columns[:4] == ("model", "temperature", "w", "label")
    assert list(table.parts) == [f"{m} · temperature {t}" for m in ("small", "large") for t in (0, 1)]
    assert "no difference shown between" in shown(done)["text/plain"]
    assert "n 5" in shown(done)["text/plain"]
    assert shown(done)["text/html"].count("tlm-mark") == 4
    assert len(done.outputs[-1].metadata["tinyllm_magic"]["scores"]) == 4 + 6


def test_samples_of_rows_stand_in_the_table_and_agree(run, shell):
    run("%%llm --map rows -n 3 -o table\n{{ w }}")
    text = shell.display_formatter.format(shell.user_ns["table"].agreement())[0]["text/plain"]

    assert shell.user_ns["table"]["sample"] == [0, 1, 2] * 5
    assert "Fleiss' κ" in text
    assert "sample 1, sample 2, sample 3" in text
    assert "0 rows of 5 disputed" in text


def test_a_column_of_a_row_that_is_named_as_an_axis_is_kept_under_another_name(run, monkeypatch):
    table = map_rows(LLMCall(None, "{{ model }}"), [{"model": "T"}], models=["small", "large"])

    assert table["model"] == ["small", "large"]
    assert table["row_model"] == ["T", "T"]
    assert table["answer"] == ["T", "T"]


def test_a_frame_of_rows_keeps_its_index_for_each_model(run):
    import pandas as pd

    frame = pd.DataFrame({"w": ["good", "bad"]}, index=["x", "y"])
    table = map_rows(LLMCall(None, "{{ w }}"), frame, samples=2)

    assert list(table.to_pandas().index) == ["x", "x", "y", "y"]
    assert list(table["sample"]) == [0, 1, 0, 1]


def test_a_map_that_asks_each_row_of_two_models_is_recorded_row_by_row(run):
    call = LLMCall(None, "{{ w }}", mode="auto")
    rows = [{"w": str(n)} for n in range(4)]
    map_rows(call, rows, models=["small", "large"])
    again = map_rows(call, rows[::-1], models=["large", "small", "third"])

    assert [again["source"].count(s) for s in ("recorded", "live")] == [8, 4]


def test_a_score_a_verdict_and_an_agreement_show_themselves(run, shell):
    run("%%llm --map rows -o table -q\n{{ w }}")
    for cell, words in (
        ("table.score('label', 'f1')", "F1 of each class"),
        ("table.against(table, expected='label')", "no difference shown between"),
        ("table.agreement('label')", "Cohen"),
    ):
        data, metadata = shell.display_formatter.format(run(cell).result.result)
        html = data["text/html"]
        assert words in html
        assert metadata["tinyllm_magic"]["scores"]
        assert not re.search(r"<script|\son\w+=|https?:", html)


def test_a_text_in_a_score_is_escaped(run, shell):
    run("rows = [{'w': '<b>x</b>', 'label': n} for n in ('<i>a</i>', '<i>a</i>', 'c', 'c')]")
    html = shown(run("%%llm --map rows --expect label\n{{ w }}"))["text/html"]

    assert "<b>x" not in html
    assert "<i>a" not in html
    assert "&lt;i&gt;a&lt;/i&gt;" in html


def test_a_stopped_map_is_not_scored(run, shell):
    run("%%llm --map rows --expect label -o table\n{{ w }}")
    table = shell.user_ns["table"]
    assert score_views.expected_parts(table)

    unreached = RowResult({"w": "good", "label": "good"})
    unreached.error = errors.NotAsked("stopped before this row was answered")
    stopped = Table([*table.entries, unreached], expect="label")

    assert score_views.expected_parts(stopped) == []
    assert score_views.expected_facts(stopped) == []


def test_the_words_of_the_picture_need_no_colour(run):
    html = shown(run("%%llm --map rows --compare small,large --expect label\n{{ w }}"))["text/html"]

    assert "80.0 % (37.6 to 96.4), n 5" in re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL)
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', html)) == {"currentColor"}
