"""What a table of answers gives back: values, columns, frames, sums."""

import pandas as pd
import pytest

from tinyllm_magic import LLMCall, map_rows, override
from tinyllm_magic.batch.rows import read_rows
from tinyllm_magic.errors import MissingExtraError
from tinyllm_magic.notebook import result_table
from tinyllm_magic.row_results import RowResult, Tally

CALL = LLMCall(None, "Say {{ w }}")
ROWS = [{"w": w} for w in ("tea", "milk", "tea", "water")]


def test_a_column_with_the_name_of_a_result_is_kept_under_another(scripted):
    table = map_rows(CALL, [{"w": "tea", "answer": 42}])

    assert table.columns == ("w", "row_answer", "answer", "error", "source", "cost")
    assert (table["row_answer"], table["answer"]) == ([42], ["<Say tea>"])


def test_columns_of_a_table_that_is_mapped_again_all_have_names_of_their_own(scripted):
    once = map_rows(CALL, [{"w": "tea"}]).to_dicts()
    twice = map_rows(CALL, once).to_dicts()
    thrice = map_rows(LLMCall(None, "{{ row.row_answer }} {{ row.answer }}"), twice)

    assert len(set(thrice.columns)) == len(thrice.columns)
    assert thrice[0].text == "<<Say tea> <Say tea>>"
    assert thrice.to_pandas().shape == thrice.to_polars().shape == (1, len(thrice.columns))


def test_a_table_iterates_indexes_and_slices(scripted):
    table = map_rows(CALL, ROWS)

    assert [r.text for r in table] == table["answer"]
    assert table[-1].text == "<Say water>"
    assert [r.text for r in table[1:3].responses] == ["<Say milk>", "<Say tea>"]
    assert len(table.failed) == 0
    assert repr(table) == "Table(4 rows)"
    with pytest.raises(KeyError):
        table["nothing"]


def test_results_join_back_to_the_frame_they_came_from(scripted):
    frame = pd.DataFrame({"w": ["tea", "milk"]}, index=["x", "y"])

    joined = frame.join(map_rows(CALL, frame).to_pandas()[["answer"]])

    assert joined.loc["y", "answer"] == "<Say milk>"


@pytest.mark.parametrize(
    "index",
    [
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", "n"]),
        pd.date_range("2024-01-01", periods=3, name="day"),
        pd.Index([3, 1, 2], name="id"),
    ],
    ids=["levels", "dates", "numbers"],
)
def test_results_have_the_index_of_their_frame_whole_and_in_part(scripted, index):
    frame = pd.DataFrame({"w": ["tea", "milk", "rum"]}, index=index)
    table = map_rows(CALL, frame)

    assert frame.join(table.to_pandas()["answer"])["answer"].tolist() == table["answer"]
    assert table.to_pandas().index.equals(index)
    assert table[1:].to_pandas().index.equals(index[1:])
    assert table.failed.to_pandas().index.names == index.names


def test_a_polars_frame_has_all_columns(scripted):
    frame = map_rows(CALL, [*ROWS, {"v": 1}]).to_polars()

    assert frame.columns == ["w", "v", "answer", "error", "source", "cost"]
    assert frame["answer"].null_count() == 1


def test_a_missing_frame_library_is_one_sentence(scripted, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)

    with pytest.raises(MissingExtraError, match="pip install pandas"):
        map_rows(CALL, ROWS).to_pandas()


def test_beyond_the_first_rows_responses_are_read_from_the_store(scripted, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.batch.results.KEPT_RESPONSES", 1)

    table = map_rows(CALL, ROWS)

    assert table.entries[1].response is None
    assert table[1].text == "<Say milk>"
    assert table[1].request.messages[-1].text == "Say milk"
    assert table[1].key == table.entries[1].key


def test_a_tally_counts_what_was_paid_and_what_is_left():
    entry = RowResult({})
    entry.key, entry.source, entry.cost, entry.tokens = "k", "live", 0.5, (3, 4)

    tally = Tally()
    tally.count_end(entry)

    progress = tally.progress(3, 2.0)

    assert (progress.live, progress.done, progress.cost, progress.left) == (1, 1, 0.5, 4.0)
    assert str(progress) == "1 of 3 rows · 1 live · 3 in / 4 out tokens · $0.5000 · 2.0 s · ≈ 4 s left"


def cut_client(make_client, reason):
    """A client whose answers end for this reason."""
    client = make_client("cutting")
    plain = client._raw_model_call

    def call(model, params):
        answer = plain(model, params)
        answer["choices"][0]["finish_reason"] = reason if "milk" in params["messages"][-1]["content"] else "stop"
        return answer

    client._raw_model_call = call
    return client


@pytest.mark.parametrize(("reason", "words"), [("length", "maximum of tokens"), ("content_filter", "content filter")])
def test_an_answer_that_was_cut_stays_an_answer_and_is_marked(make_client, reason, words):
    cut_client(make_client, reason)
    with override(api_type="cutting", mode="auto"):
        table = map_rows(CALL, ROWS)

    assert table["answer"] == ["<Say tea>", "<Say milk>", "<Say tea>", "<Say water>"]
    assert [d["error"] is not None for d in table.to_dicts()] == [False, True, False, False]
    assert words in table["error"][1]
    assert not table.failed
    shown = result_table.rows_bundle(table)["text/plain"]
    assert words in shown
    assert "1 cut" in shown


def test_a_csv_file_has_every_column_and_reads_back(scripted, tmp_path):
    table = map_rows(CALL, [{"w": 'té, "a"\nb', "answer": 1}, {"v": "no w"}])

    table.to_csv(tmp_path / "out.csv")

    assert list(read_rows(tmp_path / "out.csv").items) == [
        {name: "" if value is None else str(value) for name, value in row.items()} for row in table.to_dicts()
    ]


def test_a_pandas_frame_keeps_the_types_of_the_frame_it_was_made_from(scripted):
    columns = {"w": ["tea", "milk"], "n": pd.array([1, None], dtype="Int64"), "kind": pd.Categorical(["a", "b"]), "flag": [True, False]}
    frame = pd.DataFrame({**columns, "answer": pd.array([7, None], dtype="Int64"), "day": pd.to_datetime(["2024-01-01", None])})
    table = map_rows(CALL, frame)

    for part in (table, table[1:]):
        made = part.to_pandas()
        assert {n: made[n].dtype for n in ("n", "kind", "flag", "day")} == {n: frame[n].dtype for n in ("n", "kind", "flag", "day")}
        assert str(made["row_answer"].dtype) == "Int64"
