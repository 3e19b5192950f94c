"""Every kind of rows is read; what holds none is refused."""

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

import attrs
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from tinyllm_magic import LLMCall, map_rows
from tinyllm_magic.batch.rows import read_rows
from tinyllm_magic.errors import MissingExtraError, OptionError

CALL = LLMCall(None, "Say {{ w }}")
ROWS = [{"w": w} for w in ("tea", "milk", "tea", "water")]
WORDS = [r["w"] for r in ROWS]


@dataclass
class Drink:
    w: str


@attrs.define
class Attrs:
    w: str


class Model(pydantic.BaseModel):
    w: str


class Bunch(dict):
    """As scikit-learn's: a dict whose keys are attributes too."""

    def __getattr__(self, name):
        return self[name]


class Named(NamedTuple):
    w: str


def database(rows=WORDS):
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE drinks (w TEXT)")
    db.executemany("INSERT INTO drinks VALUES (?)", [(w,) for w in rows])
    return db


def sqlite_rows():
    db = database()
    db.row_factory = sqlite3.Row
    rows = db.execute("SELECT w FROM drinks").fetchall()
    db.close()
    return rows


def hugging_face():
    import datasets

    return datasets.Dataset.from_dict({"w": WORDS})


ARROW = pa.table({"w": WORDS})


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(lambda: ROWS, id="list of dicts"),
        pytest.param(lambda: tuple(ROWS), id="tuple of dicts"),
        pytest.param(lambda: iter(ROWS), id="iterator"),
        pytest.param(lambda: {"w": WORDS}, id="columns"),
        pytest.param(lambda: [Drink(w) for w in WORDS], id="dataclasses"),
        pytest.param(lambda: [Model(w=w) for w in WORDS], id="pydantic"),
        pytest.param(lambda: [Named(w) for w in WORDS], id="named tuples"),
        pytest.param(sqlite_rows, id="sqlite3.Row"),
        pytest.param(lambda: pd.DataFrame(ROWS), id="pandas"),
        pytest.param(lambda: pd.DataFrame(ROWS).itertuples(), id="itertuples"),
        pytest.param(lambda: pd.Series(WORDS, name="w"), id="series"),
        pytest.param(lambda: pl.DataFrame(ROWS), id="polars"),
        pytest.param(lambda: pl.LazyFrame(ROWS), id="polars lazy"),
        pytest.param(lambda: ARROW, id="Arrow table"),
        pytest.param(lambda: ARROW.to_batches()[0], id="Arrow batch"),
        pytest.param(lambda: ARROW.to_reader(max_chunksize=3), id="Arrow reader"),
        pytest.param(lambda: duckdb.connect().execute("SELECT unnest(['tea', 'milk', 'tea', 'water']) AS w"), id="DuckDB result"),
        pytest.param(lambda: duckdb.sql("SELECT unnest(['tea', 'milk', 'tea', 'water']) AS w"), id="DuckDB relation"),
        pytest.param(hugging_face, id="Hugging Face"),
        pytest.param(lambda: hugging_face()["w"], id="Hugging Face column"),
        pytest.param(lambda: hugging_face().to_iterable_dataset(), id="Hugging Face stream"),
        pytest.param(lambda: [Attrs(w) for w in WORDS], id="attrs"),
        pytest.param(lambda: np.array([(w,) for w in WORDS], dtype=[("w", "U9")]), id="structured array"),
        pytest.param(lambda: np.rec.array([(w,) for w in WORDS], dtype=[("w", "U9")]), id="record array"),
        pytest.param(lambda: iter([pd.DataFrame(ROWS[:1]), pd.DataFrame(ROWS[1:])]), id="chunks of pandas"),
        pytest.param(lambda: [pl.DataFrame(ROWS[:3]), pl.DataFrame(ROWS[3:])], id="list of frames"),
        pytest.param(lambda: ARROW.to_batches(max_chunksize=3), id="list of Arrow batches"),
        pytest.param(lambda: Bunch(data=None, frame=pd.DataFrame(ROWS)), id="Bunch with a frame"),
    ],
)
def test_rows_of_every_kind_are_read(scripted, rows):
    table = map_rows(CALL, rows())

    assert table["w"] == WORDS
    assert table["answer"] == [f"<Say {w}>" for w in WORDS]


def test_a_cursor_is_read_row_by_row(scripted):
    db = database()

    table = map_rows(CALL, db.execute("SELECT w, length(w) AS n FROM drinks"))
    db.close()

    assert [(r["w"], r["n"]) for r in table.rows] == [("tea", 3), ("milk", 4), ("tea", 3), ("water", 5)]


def test_a_cursor_without_a_query_says_what_it_needs():
    db = database()
    with pytest.raises(OptionError, match="SELECT"):
        read_rows(db.cursor())
    db.close()


def test_the_answers_of_a_table_are_a_column_of_its_rows(scripted):
    once = map_rows(CALL, ROWS[:2])

    twice = map_rows(LLMCall(None, "Shout {{ answer }} of {{ w }}"), once)

    assert twice["answer"] == ["<Shout <Say tea> of tea>", "<Shout <Say milk> of milk>"]
    assert twice.columns == ("w", "row_answer", "answer", "error", "source", "cost")


def test_a_dataset_of_several_splits_says_which_to_choose():
    from datasets import DatasetDict

    splits = DatasetDict({"train": hugging_face(), "test": hugging_face()})

    with pytest.raises(OptionError, match=r"\['train'\] or \['test'\]"):
        read_rows(splits)


def test_a_bunch_without_a_frame_has_features_targets_and_their_names():
    matrix = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}).to_numpy()
    bunch = Bunch(data=matrix, target=pd.Series([1, 0]).to_numpy(), feature_names=["a", "b"], target_names=["no", "yes"], frame=None)

    assert list(read_rows(bunch).items) == [
        {"a": 1.0, "b": 3.0, "target": 1, "target_name": "yes"},
        {"a": 2.0, "b": 4.0, "target": 0, "target_name": "no"},
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("drinks.csv", '\ufeffw,n\ntea,1\n"mil,k",2\n'),
        ("drinks.tsv", "w\tn\ntea\t1\nmil,k\t2\n"),
        ("drinks.jsonl", '{"w": "tea", "n": "1"}\n\n{"w": "mil,k", "n": "2"}\n'),
    ],
)
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_a_path_is_read_by_its_ending(tmp_path, name, text, kind):
    path = tmp_path / name
    path.write_text(text, "utf-8")

    rows = read_rows(kind(path))

    assert rows.count == 2
    assert list(rows.items) == [{"w": "tea", "n": "1"}, {"w": "mil,k", "n": "2"}]


@pytest.mark.parametrize("library", ["pyarrow", "polars"])
def test_a_parquet_file_is_read_by_whichever_library_is_there(tmp_path, monkeypatch, library):
    import importlib.util

    pl.DataFrame(ROWS).write_parquet(tmp_path / "drinks.parquet")
    plain = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: plain(name, *more) if name in (library, "narwhals") else None)

    assert list(read_rows(tmp_path / "drinks.parquet").items) == ROWS


def test_a_parquet_file_without_a_library_names_what_to_install(tmp_path, monkeypatch):
    import importlib.util

    pl.DataFrame(ROWS).write_parquet(tmp_path / "drinks.parquet")
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)

    with pytest.raises(MissingExtraError, match="pip install pyarrow"):
        read_rows(tmp_path / "drinks.parquet")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"w,n\ntea,1\nmilk\n", "line 3: 1 cells for 2 columns"),
        ("a.csv", b"w,w\ntea,1\n", "are named 'w'"),
        ("a.csv", b"", "no header line"),
        ("a.csv", "w\nté\n".encode("latin-1"), "not UTF-8"),
        ("a.jsonl", b'{"w": 1}\n{"w": \n', "line 2: not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: list is no row"),
        ("a.parquet", b"no parquet", "cannot be read as Parquet"),
        ("a.xlsx", b"", "known by their ending"),
    ],
)
def test_a_file_that_cannot_be_read_says_where_and_why(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(OptionError, match=words):
        read_rows(path)


def test_a_path_that_is_missing_names_the_files_beside_it(tmp_path):
    (tmp_path / "drinks.csv").write_text("w\ntea\n")

    with pytest.raises(OptionError, match=r"drinks\.csv"):
        read_rows(tmp_path / "drink.csv")


@pytest.mark.parametrize(
    "rows",
    [
        lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
        lambda: pd.DataFrame([[1, 2]], columns=[1, "1"]),
        lambda: pa.table([[1], [2]], names=["a", "a"]),
        lambda: pa.table([[1], [2]], names=["a", "a"]).to_reader(),
        lambda: database().execute("SELECT w, w FROM drinks"),
        lambda: {1: [1], "1": [2]},
        lambda: [{1: 1, "1": 2}],
    ],
    ids=["pandas", "pandas, number and text", "Arrow", "Arrow reader", "cursor", "columns", "dict"],
)
def test_columns_of_the_same_name_are_an_error_of_ours(rows):
    with pytest.raises(OptionError, match="several columns"):
        read_rows(rows())


@pytest.mark.parametrize("rows", ["tea", b"tea", None, 3, [1, 2], [{"w": 1}, 2], {"a": 1}, {"a": [1], "b": [1, 2]}, Drink], ids=str)
def test_what_holds_no_rows_is_refused(scripted, rows):
    with pytest.raises(OptionError):
        map_rows(CALL, rows)

    assert scripted.prompts == []


def test_missing_values_of_a_pandas_frame_are_none_as_in_every_other_kind_of_rows(scripted):
    columns = {"text": ["a", None], "number": [1.5, None], "whole": pd.array([1, None], dtype="Int64")}
    frame = pd.DataFrame({**columns, "kind": pd.Categorical(["u", None]), "day": pd.to_datetime(["2024-01-01", None])})

    table = map_rows(LLMCall(None, "{{ row.values()|list }}{{ 'none' if text is none and not number }}"), frame)

    assert list(table.rows[1].values()) == [None] * 5
    assert [type(v).__name__ for v in table.rows[0].values()] == ["str", "float", "int", "str", "Timestamp"]
    assert table[1].text == "<[None, None, None, None, None]none>"
    assert table.to_pandas()["number"].dtype == table.to_pandas()["cost"].dtype == float


def test_rows_know_their_number_where_it_can_be_known():
    assert read_rows(ROWS).count == 4
    assert read_rows(iter(ROWS)).count is None
