"""Typed answers of many rows: columns with types of their own, rows that do not fit, what is spilled, other processes."""

import csv
import enum
import json
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from typing import Literal

import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel, TypeAdapter

from tinyllm_magic import LLMCall, compare, errors, map_rows, override, session
from tinyllm_magic.batch import table as tables


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Review(BaseModel):
    stars: int
    score: float
    again: bool
    title: str | None
    mood: Mood
    topics: list[str]
    when: date
    at: datetime


def say(n):
    """What the model says of row n, as JSON."""
    return json.dumps(
        {
            "stars": 2**60 + n,
            "score": n / 7,
            "again": n % 2 == 0,
            "title": None if n % 5 == 0 else f"title {n}",
            "mood": "good" if n % 3 else "bad",
            "topics": ["a", f"b{n}"],
            "when": f"2026-01-{n % 28 + 1:02}",
            "at": f"2026-01-01T00:00:{n % 60:02}Z",
        }
    )


@pytest.fixture(autouse=True)
def echoing():
    """A model that says its prompt back: the row's own text is its answer."""
    with override(mode="auto", api_type="echo"):
        yield


def ask(texts, schema=Review, **params):
    return map_rows(LLMCall(None, "{{ text }}{# #}", schema=schema, **params), [{"n": n, "text": t} for n, t in enumerate(texts)])


def test_a_thousand_rows_have_the_columns_that_pydantic_makes_of_them():
    texts = [say(n) for n in range(1000)]

    frame = ask(texts).to_pandas()

    own = [row.model_dump() for row in map(TypeAdapter(Review).validate_json, texts)]
    for name in Review.model_fields:
        given = [row[name].value if name == "mood" else row[name] for row in own]
        assert [None if v is pd.NA else v for v in frame[name].tolist()] == given, name
    assert frame.dtypes[list(Review.model_fields)].astype(str).to_dict() == {
        "stars": "Int64",
        "score": "float64",
        "again": "boolean",
        "title": "string",
        "mood": "category",
        "topics": "object",
        "when": "object",
        "at": "datetime64[us, UTC]" if pd.__version__ >= "3" else "datetime64[ns, UTC]",
    }


def test_polars_has_the_same_values_under_its_own_types():
    frame = ask([say(n) for n in range(20)]).to_polars()

    assert dict(zip(frame.columns, frame.dtypes, strict=True)) == {
        "n": pl.Int64,
        "text": pl.String,
        "stars": pl.Int64,
        "score": pl.Float64,
        "again": pl.Boolean,
        "title": pl.String,
        "mood": pl.Enum(["good", "bad"]),
        "topics": pl.List(pl.String),
        "when": pl.Date,
        "at": pl.Datetime("us", "UTC"),
        "answer": pl.String,
        "error": pl.String,
        "source": pl.String,
        "cost": pl.Float64,
    }
    assert frame["stars"].to_list() == [2**60 + n for n in range(20)]
    assert frame["at"][1] == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize("make", ["to_pandas", "to_polars"])
def test_types_stay_where_rows_fail_or_there_are_none(make):
    broken = ask([say(1), "nothing", '{"stars": "many"}'])
    whole, empty = (getattr(t, make)() for t in (ask([say(1)]), ask([])))

    frame = getattr(broken, make)()

    for name in ("stars", "score", "again", "title", "mood"):
        assert str(frame[name].dtype) == str(whole[name].dtype)
        assert str(empty[name].dtype) == str(whole[name].dtype)
    assert frame["stars"][0] == 2**60 + 1


def test_a_row_that_does_not_fit_keeps_its_text_and_its_error():
    table = ask([say(1), '{"stars": 1}', "nothing"])

    assert table["answer"] == [say(1), '{"stars": 1}', "nothing"]
    assert table["stars"] == [2**60 + 1, None, None]
    assert table["error"][0] is None
    assert table["error"][1].startswith("SchemaError: the answer does not fit Review: score: Field required")
    assert [type(item) for item in table][1:] == [errors.SchemaError] * 2
    assert table.errors[2].response.text == "nothing"
    assert (table.stats.failed, table.stats.calls, table.progress.failed) == (2, 3, 2)
    assert len(table.failed) == 2
    assert table["source"] == ["live"] * 3


def test_a_rows_own_columns_and_the_results_keep_their_names():
    call = LLMCall(None, '{"text": "x", "cost": 5}{# #}', schema="text, cost int")
    table = map_rows(call, [{"text": "mine"}])

    assert table.columns == ("row_text", "text", "parsed_cost", "answer", "error", "source", "cost")
    assert table.to_dicts()[0]["row_text"] == "mine"
    assert table["text"] == ["x"]
    assert table["parsed_cost"] == [5]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [(Literal["yes", "no"], "yes", "yes"), (int, "3", 3), (Mood, "bad", "bad"), (list[int], "[1, 2]", [1, 2]), (bool | None, "null", None)],
)
def test_a_value_that_is_no_object_is_one_column(schema, text, value):
    assert ask([text], schema)["value"] == [value]


def test_a_mapped_table_without_a_schema_has_no_more_columns():
    table = map_rows(LLMCall(None, "{{ text }}{# #}"), [{"text": "{}"}])
    assert table.columns == ("text", "answer", "error", "source", "cost")


def test_a_selection_of_rows_keeps_its_types():
    table = ask([say(n) for n in range(6)])

    assert table[2:4]["stars"] == [2**60 + 2, 2**60 + 3]
    assert str(table[:0].to_pandas()["stars"].dtype) == "Int64"


def test_rows_that_ask_the_same_share_a_value_and_a_fault():
    table = ask([say(1), say(1), "no", "no"])

    assert table["source"] == ["live", "recorded", "live", "recorded"]
    assert [t is None for t in table["stars"]] == [False, False, True, True]
    assert table.stats.calls == 2


def test_rows_beyond_those_in_memory_are_read_again_from_their_texts(monkeypatch):
    monkeypatch.setattr("tinyllm_magic.batch.results.KEPT_RESPONSES", 2)
    monkeypatch.setattr(tables, "KEPT_RESPONSES", 2)
    table = ask([say(n) if n % 2 else "nothing" for n in range(8)])

    assert table["stars"] == [2**60 + n if n % 2 else None for n in range(8)]
    assert table[7].parsed.stars == 2**60 + 7
    assert table.to_pandas()["mood"].tolist()[5] == "good"
    assert isinstance(table[6], errors.SchemaError)


def test_a_row_is_asked_again_and_its_tries_are_counted(start, monkeypatch):
    def answer(body):
        return '{"age": "old"}' if len(body["messages"]) == 1 else '{"age": 3}'

    fake = start(*[answer] * 40, far=True)
    call = LLMCall(None, "How old is {{ n }}?", schema="age int", tries=2)
    with override(api_type="openai", model="gpt-4o-mini", waiting_time=0.01):
        table = map_rows(call, [{"n": n} for n in range(10)])
        again = map_rows(call, [{"n": n} for n in range(10)])

    assert fake.n == 20
    assert table["age"] == again["age"] == [3] * 10
    assert [len(r.steps) for r in table.responses] == [1] * 10
    assert set(again["source"]) == {"recorded"}
    assert table.cost == pytest.approx(session.budget.spent)


def test_more_tries_ask_only_the_rows_that_failed(start):
    def answer(body):
        text = body["messages"][0]["content"]
        return '{"age": "old"}' if text.startswith("1") and len(body["messages"]) == 1 else '{"age": 3}'

    fake = start(*[answer] * 10)
    rows = [{"n": n} for n in range(3)]
    with override(api_type="openai", model="gpt-4o-mini", waiting_time=0.01):
        assert map_rows(LLMCall(None, "{{ n }} is how old?", schema="age int"), rows)["age"] == [3, None, 3]
        assert map_rows(LLMCall(None, "{{ n }} is how old?", schema="age int", tries=2), rows)["age"] == [3, 3, 3]

    assert fake.n == 4


def test_types_of_the_notebook_need_not_travel_to_other_processes(start):
    class Local(BaseModel):
        age: int

    def answer(body):
        return '{"age": "old"}' if len(body["messages"]) == 1 else '{"age": 3}'

    fake = start(*[answer] * 10)
    with override(api_type="openai", model="gpt-4o-mini", mode="auto"), ProcessPoolExecutor(1) as executor:
        table = map_rows(LLMCall(None, "How old is {{ n }}?", schema=Local, tries=2), [{"n": n} for n in range(3)], executor=executor)

    assert table["error"] == [None] * 3
    assert [r.parsed for r in table.responses] == [Local(age=3)] * 3
    assert fake.n == 6


def test_typed_columns_are_variables_of_the_next_map():
    table = ask(['{"n": 1, "w": "a"}', "nothing"], "n int, w")

    again = map_rows(LLMCall(None, "{{ w }}{{ n }}, {{ answer }}"), table[:1])

    assert again["answer"] == ['a1, {"n": 1, "w": "a"}']


def test_a_set_has_the_same_order_in_each_kernel():
    frame = ask(['["c", "a", "b"]'], set[str]).to_polars()
    assert frame["value"].to_list() == [["a", "b", "c"]]


def test_a_comparison_has_typed_columns_too():
    table = compare(LLMCall(None, "3{# #}", schema=int), models=["a", "b"])

    assert table.columns == ("model", "value", "answer", "error", "source", "cost")
    assert table["value"] == [3, 3]


def test_a_comparison_of_schemas_has_none_in_common():
    table = compare(LLMCall(None, "3{# #}"), grid={"schema": [int, str]})

    assert "value" not in table.columns
    assert [r.parsed for r in table.responses] == [3, "3"]


def test_a_csv_file_holds_lists_as_json(tmp_path):
    ask([say(1)]).to_csv(tmp_path / "t.csv")

    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert json.loads(row["topics"]) == ["a", "b1"]
    assert (row["when"], row["mood"]) == ("2026-01-02", "good")
