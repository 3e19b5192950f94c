"""What a tool returns becomes text that a model reads."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel

from tinyllm_magic.tools.results import MOST_BYTES, write_result


@dataclass
class Point:
    x: int


class Place(BaseModel):
    city: str


class Odd:
    def __str__(self):
        return "an odd thing"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Grüße", "Grüße"),
        (3, "3"),
        (None, "null"),
        ([Point(1), Place(city="Ulm")], '[{"x": 1}, {"city": "Ulm"}]'),
        ({"day": date(2026, 5, 4), "price": Decimal("2.50")}, '{"day": "2026-05-04", "price": "2.50"}'),
        ({"mean": np.float64(0.5), "all": np.array([1, 2])}, '{"mean": 0.5, "all": [1, 2]}'),
        (Odd(), "an odd thing"),
        (float("nan"), "null"),
    ],
    ids=["text", "number", "nothing", "objects", "date", "numpy", "odd", "nan"],
)
def test_a_result_is_its_text_its_json_or_what_str_makes_of_it(value, text):
    assert write_result(value) == text


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_a_data_frame_is_a_markdown_table(make):
    assert write_result(make({"a": [1, 2], "b": ["x", None]})) == "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 |  |"


def test_a_long_data_frame_counts_the_rows_that_it_leaves_out():
    assert write_result(pd.DataFrame({"a": range(1500)})).endswith("… 500 more rows")


def test_a_result_of_more_than_100_kilobytes_is_cut_and_says_so():
    text = write_result("ä" * MOST_BYTES)

    kept, _, last = text.rpartition("\n")
    assert len(kept.encode()) == MOST_BYTES
    assert last == "… cut: these are the first 100 of 200 KB"
    assert write_result("a" * MOST_BYTES) == "a" * MOST_BYTES


def test_half_of_a_surrogate_pair_does_not_break_the_next_request():
    assert write_result("a\ud800b") == "a?b"
