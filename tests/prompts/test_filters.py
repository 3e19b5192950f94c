"""The filters for prompts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from uuid import UUID

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from prompting import ROWS, fails, text
from pydantic import BaseModel

from tinyllm_magic.prompts.template import Template

TABLE = "| name | age |\n| --- | --- |\n| Ada | 36 |\n| Alan | 41 |"


@pytest.mark.parametrize(
    "value",
    [
        ROWS,
        {"name": ["Ada", "Alan"], "age": (36, 41)},
        pd.DataFrame(ROWS),
        pl.DataFrame(ROWS),
        pl.LazyFrame(ROWS),
        pd.DataFrame(ROWS)[::-1][::-1],
    ],
    ids=["dicts", "lists", "pandas", "polars", "lazy", "pandas-sliced"],
)
def test_table_reads_frames_dicts_and_lists(value):
    assert text("{{ v|table }}", v=value) == TABLE


@pytest.mark.parametrize(
    "value", [ROWS * 50, pd.DataFrame(ROWS * 50), pl.DataFrame(ROWS * 50), {"name": ["Ada", "Alan"] * 50, "age": [36, 41] * 50}]
)
def test_table_says_how_many_rows_it_leaves_out(value):
    assert text("{{ v|table(2) }}", v=value) == f"{TABLE}\n\n… 98 more rows"


def test_table_says_nothing_where_all_rows_are_shown():
    assert text("{{ v|table(2) }}", v=ROWS) == TABLE


def test_table_counts_one_row_in_the_singular():
    assert text("{{ v|table(1) }}", v=ROWS).endswith("\n\n… 1 more row")


def test_table_escapes_pipes_and_line_breaks():
    assert text("{{ v|table }}", v=[{"a|b": "x|y\nz\r\nw"}]) == "| a\\|b |\n| --- |\n| x\\|y<br>z<br>w |"


def test_table_leaves_missing_values_empty():
    assert text("{{ v|table }}", v=[{"a": 1}, {"b": None}]) == "| a | b |\n| --- | --- |\n| 1 |  |\n|  |  |"


def test_table_keeps_an_index_that_says_something():
    frame = pd.DataFrame(ROWS).groupby("name")[["age"]].mean()
    assert text("{{ v|table }}", v=frame) == "| name | age |\n| --- | --- |\n| Ada | 36.0 |\n| Alan | 41.0 |"


def test_table_reads_a_series():
    assert text("{{ v|table }}", v=pl.Series("n", [1, 2])) == "| n |\n| --- |\n| 1 |\n| 2 |"


@pytest.mark.parametrize("value", ["text", 3, None, [1, 2], {"a": 1}, {"a": [1], "b": [1, 2]}, object()])
def test_table_of_no_table_says_what_it_takes(value):
    error = fails("\n{{ v|table }}", v=value)
    assert error.line == 2
    assert "data frame" in str(error)


@pytest.mark.parametrize("rows", [-1, "x", True, 1.5])
def test_table_wants_a_number_of_rows(rows):
    assert "number of rows" in str(fails("{{ v|table(n) }}", v=ROWS, n=rows))


def test_an_empty_list_is_an_empty_table():
    assert text("{{ v|table }}", v=[]) == "(empty table)"


@given(st.text(alphabet=st.sampled_from("`~a\n")))
def test_a_fence_is_longer_than_any_in_the_code(value):
    block = text("{{ v|code('py') }}", v=value)
    first, last = block.split("\n")[0], block.split("\n")[-1]
    assert first == last + "py"
    assert last not in value
    assert len(last) >= 3
    assert block == f"{first}\n{value}{'' if value.endswith(chr(10)) or not value else chr(10)}{last}"


def test_dedent_takes_common_indentation_away():
    assert text("{{ v|dedent }}", v="    a\n      b") == "a\n  b"


def test_tokens_cuts_by_what_render_is_given():
    template = Template("{{ v|tokens(2) }}")
    assert template.render({"v": "one two three"}, cut=lambda t, n: " ".join(t.split()[:n]))[0].content == "one two"


def test_tokens_estimates_four_characters_without_a_counter():
    assert text("{{ v|tokens(2) }}", v="123456789") == "12345678"


def test_tokens_wants_a_number():
    assert "number of tokens" in str(fails("{{ v|tokens('a') }}", v="x"))


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.float32("nan")], ids=str)
def test_missing_values_are_empty_in_a_table_and_null_in_json(missing):
    assert text("{{ v | table }}", v=[{"a": missing, "b": 1}]) == "| a | b |\n| --- | --- |\n|  | 1 |"
    assert text("{{ v | tojson }}", v=[{"a": missing, "b": 1}]) == '[{"a": null, "b": 1}]'


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": ["x", None]}),
        pd.DataFrame({"a": [1, pd.NA], "b": ["x", float("nan")]}),
        pl.DataFrame({"a": [1, None], "b": ["x", None]}),
    ],
    ids=["nullable", "object", "polars"],
)
def test_missing_cells_of_frames_are_empty_in_a_table_and_null_in_json(frame):
    assert text("{{ v | table }}", v=frame) == "| a | b |\n| --- | --- |\n| 1 | x |\n|  |  |"
    assert text("{{ v | tojson }}", v=frame) == '[{"a": 1, "b": "x"}, {"a": null, "b": null}]'


def test_json_takes_the_arguments_of_chat_templates():
    value = {"b": [1, 2], "a": "é"}
    assert text("{{ v | tojson(sort_keys=true, separators=(',', ':')) }}", v=value) == '{"a":"é","b":[1,2]}'
    assert text("{{ v | tojson(ensure_ascii=true) }}", v="é") == '"\\u00e9"'
    assert text("{{ v | tojson(indent=2) }}", v=[1]) == "[\n  1\n]"


def test_json_writes_numpy_dates_and_series():
    value = {"n": np.int64(3), "a": np.array([1.5]), "d": datetime(2026, 1, 2, tzinfo=UTC), "s": pd.Series([1, None])}
    assert text("{{ v | tojson }}", v=value) == '{"n": 3, "a": [1.5], "d": "2026-01-02T00:00:00+00:00", "s": [1.0, null]}'


@dataclass
class Item:
    name: str
    price: Decimal


class Order(BaseModel):
    item: str
    day: date


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("1.5"), "1.5"),
        (Item("tea", Decimal(2)), '{"name": "tea", "price": 2}'),
        ([Order(item="tea", day=date(2026, 1, 2))], '[{"item": "tea", "day": "2026-01-02"}]'),
        (Colour.RED, '"red"'),
        (time(9, 30), '"09:30:00"'),
        (timedelta(hours=2), '"2:00:00"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (PurePosixPath("a/b.txt"), '"a/b.txt"'),
    ],
)
def test_json_writes_records_and_plain_values(value, written):
    assert text("{{ v | tojson }}", v=value) == written


def test_json_says_what_it_cannot_write():
    assert "set is no JSON value" in str(fails("{{ v | tojson }}", v={1}))


@pytest.mark.parametrize("name", ["table", "tojson"])
def test_columns_of_the_same_name_are_told_in_our_words(name):
    error = fails("{{ df | " + name + " }}", df=pd.DataFrame([[1, 2]], columns=["a", "a"]))
    assert error.message == "several columns of this DataFrame have the same name (line 1)"
    assert "Rename" in error.hint
