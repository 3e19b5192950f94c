import datetime as dt
from collections import namedtuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tinyllm_magic.notebook import inspection


class Own:
    """A type of the user's."""


@pytest.mark.parametrize(
    "value",
    [
        "text",
        1,
        None,
        dt.date(2026, 1, 1),
        [{"a": (1, 2)}],
        {"a": {"b": {3}}},
        pd.DataFrame({"a": [1], "b": ["x"], "c": [None]}),
        pd.Series(["a"], dtype=object),
        pl.DataFrame({"a": [1]}),
        pa.table({"a": [1]}),
        np.array([1.5]),
        np.float64(1),
        np.int64(1),
        pd.Timestamp("2026-01-01"),
        [pd.NA, pd.NaT],
    ],
    ids=lambda v: type(v).__name__,
)
def test_plain_values_and_frames_may_be_rendered(value):
    assert inspection.find_unreadable(value, "x") == ""


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Own(), "x is a Own"),
        ([{"a": Own()}], "x holds a Own"),
        ({Own(): 1}, "x holds a Own"),
        (pd.DataFrame({"a": [1], "b": [Own()]}), "x holds a Own"),
        (np.array([Own()], dtype=object), "x holds a Own"),
        (iter([1]), "x is a list_iterator"),
        (len, "x is a builtin_function_or_method"),
        (lambda: 1, "x is a function"),
        (dt, "x is a module"),
        (type("Text", (str,), {})("a"), "x is a Text"),
        (type("Frame", (pd.DataFrame,), {})({"a": [1]}), "x is a Frame"),
        (pl.LazyFrame({"a": [1]}), "x is a LazyFrame"),
        ("a" * 300_000, "x is large"),
        ([0] * 300_000, "x is large"),
        (pd.DataFrame({"a": range(300_000)}), "x is large"),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 100 else type(v).__name__,
)
def test_other_values_may_not(value, why):
    assert inspection.find_unreadable(value, "x") == why


def test_a_value_that_holds_itself_is_large():
    knot = []
    knot.append(knot)
    assert inspection.find_unreadable(knot, "x") == "x is large"


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ([{"a": 1, "b c": 2}], ["a", "b c"]),
        ([namedtuple("Row", "a b")(1, 2)], ["a", "b"]),  # noqa: PYI024  # as users write it
        ({"a": [1], "b": [2]}, ["a", "b"]),
        (pd.DataFrame({"a": [1], 2: [3]}), ["a", "2"]),
        (pl.DataFrame({"a": [1]}), ["a"]),
        (pa.table({"a": [1]}), ["a"]),
    ],
    ids=lambda v: type(v).__name__,
)
def test_tables_and_their_columns(value, names):
    assert inspection.is_table(value)
    assert list(inspection.columns(value)) == names
    assert all(inspection.columns(value).values())


@pytest.mark.parametrize("value", ["a", 1, [], [1], [[1]], {}, {"a": 1}, np.array([1]), None], ids=repr)
def test_what_is_no_table(value):
    assert not inspection.is_table(value)
