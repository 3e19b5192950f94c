"""``map_rows`` and ``compare`` as they are called."""

import re

import pandas as pd
import pytest

from tinyllm_magic import LLMCall, compare, map_rows, session
from tinyllm_magic.errors import (
    OptionError,
    PromptError,
    UndefinedError,
)

CALL = LLMCall(None, "Say {{ w }}")
ROWS = [{"w": w} for w in ("tea", "milk", "tea", "water")]


def test_columns_are_variables_beside_the_calls_own_and_win_over_them(scripted):
    call = LLMCall.from_text("{{ greeting }} {{ name }} {{ row.name }}", namespace={"greeting": "Hello", "name": "nobody"})

    assert map_rows(call, [{"name": "Ann"}])[0].text == "<Hello Ann Ann>"


@pytest.mark.parametrize("text", ["Say {{ w", "{% include 'nowhere.txt' %} {% if %}", "nowhere.txt"])
def test_a_template_that_no_row_can_fill_is_an_error_and_not_a_table_of_errors(scripted, text):
    with pytest.raises(PromptError):
        map_rows(LLMCall(None, text), ROWS)


def test_a_text_is_no_call_and_the_error_says_how_to_make_one(scripted):
    for ask in (lambda: map_rows("Say {{ w }}", ROWS), lambda: compare("Say tea")):
        with pytest.raises(OptionError, match=r"LLMCall\("):
            ask()


def test_a_call_is_not_changed_by_a_map(scripted):
    call = LLMCall(None, "Say {{ w }}")

    map_rows(call, ROWS)

    assert (call.messages, call.response, call.model_output) == ([], None, None)


def test_compare_asks_every_combination_in_order(scripted):
    table = compare(CALL, models=["a", "b"], grid={"temperature": [0, 1], "seed": [1]}, variables={"w": "tea"})

    assert table.columns == ("model", "temperature", "seed", "answer", "error", "source", "cost")
    assert [(r["model"], r["temperature"]) for r in table.to_dicts()] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert [r.request.params["temperature"] for r in table] == [0, 1, 0, 1]


def test_compare_draws_samples_each_under_its_own_key(scripted):
    table = compare(LLMCall(None, "Say tea"), samples=3)

    assert table["sample"] == [0, 1, 2]
    assert len({r.key for r in table}) == 3


def test_compare_of_one_call_names_the_model_that_answers(scripted):
    assert compare(LLMCall(None, "Say tea", model="a"))["model"] == ["a"]


def test_a_grid_takes_models_and_single_values_too(scripted):
    table = compare(CALL, grid={"model": ["a", "b"], "temperature": 0}, variables={"w": "tea"})

    assert [(r["model"], r["temperature"]) for r in table.to_dicts()] == [("a", 0), ("b", 0)]


def test_a_prompt_that_fails_for_every_card_is_an_error(scripted):
    with pytest.raises(UndefinedError, match="'w' is not defined"):
        compare(CALL, models=["a", "b"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": []},
        {"grid": {"temperature": []}},
        {"samples": 0},
        {"samples": "3"},
        {"models": ["a"], "grid": {"model": ["b"]}},
        {"samples": 2, "grid": {"sample": [0, 1]}},
    ],
    ids=str,
)
def test_compare_of_nothing_is_refused(scripted, wrong):
    with pytest.raises(OptionError):
        compare(CALL, **wrong)


@pytest.mark.parametrize(
    ("template", "rows", "words"),
    [
        ("{{ review_text }}", [{"Review Text": "good"}], 'row["Review Text"]'),
        ("{{ reveiw }}", [{"review": "good"}], "Did you mean review?"),
        ("{{ name }}", [{"a": 1, "b": 2}], "The columns are a, b."),
        ("{{ id }}", pd.DataFrame({"w": [1]}, index=pd.Index([7], name="id")), "df.reset_index()"),
        ("{{ a }}", pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])), "row['a', 'x']"),
        ("{{ x }}", {"w": [1]}, "neither a column nor a variable"),
    ],
)
def test_a_name_that_no_row_has_fails_before_the_first_and_says_how_to_reach_what_was_meant(scripted, template, rows, words):
    with pytest.raises(UndefinedError, match=re.escape(words)):
        map_rows(LLMCall(None, f"Say {template}"), rows)

    assert scripted.prompts == []
    assert session.last_table is None


def test_a_name_that_another_row_has_fails_in_its_row_alone(scripted):
    table = map_rows(CALL, [{"v": 1}, {"w": "tea"}])

    assert [type(e) for e in table.errors] == [UndefinedError, type(None)]


def test_a_missing_name_that_a_template_allows_for_is_no_error(scripted):
    assert not map_rows(LLMCall(None, "Say {{ tone|default('') }}{{ w }}{% if x is defined %}{{ x }}{% endif %}"), ROWS).failed


@pytest.mark.parametrize(
    ("template", "frame"),
    [
        ("{{ row[1] }}", pd.DataFrame([["no", "tea"]])),
        ('{{ row["a", "y"] }}', pd.DataFrame([["no", "tea"]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))),
        ('{{ row["Review Text"] }}', pd.DataFrame({"Review Text": ["tea"]})),
        ("{{ row[1] }}", [{0: "no", 1: "tea"}]),
    ],
    ids=["number", "levels", "with a space", "dict"],
)
def test_a_column_whose_name_is_no_variable_is_reached_through_the_row(scripted, template, frame):
    assert map_rows(LLMCall(None, template), frame)["answer"] == ["<tea>"]


def test_a_map_whose_rows_all_fail_is_a_table_in_python(scripted):
    scripted.reply = lambda text: 1 / 0

    assert len(map_rows(CALL, ROWS).failed) == 4
