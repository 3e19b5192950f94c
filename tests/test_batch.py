"""Rows in, a table out: order, identity, failures, stops, and what a table is."""

import io
import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import polars as pl
import pytest

from tinyllm_magic import LLMCall, OpenAIClient, compare, grids, map_rows, override, register_client, session
from tinyllm_magic.batch import Run
from tinyllm_magic.errors import (
    BudgetError,
    MissingExtraError,
    NotAsked,
    OptionError,
    PromptError,
    ProviderError,
    RateLimitError,
    ReplayMiss,
    ServerError,
    Stopped,
    UndefinedError,
)
from tinyllm_magic.estimates import outlook
from tinyllm_magic.pacing import Pacer
from tinyllm_magic.relays import Policy
from tinyllm_magic.rows import Rows, read_rows
from tinyllm_magic.store import Store
from tinyllm_magic.tables import Entry, Table, Tally
from tinyllm_magic.tasks import row_tasks
from tinyllm_magic.ticker import Ticker


class Said(OpenAIClient):
    """Answers with what a function makes of the last message, and counts what it is asked."""

    def __init__(self, say=lambda text: f"<{text}>"):
        super().__init__()
        self.say, self.asked, self.guard = say, [], threading.Lock()

    def _raw_model_call(self, model, params):
        text = params["messages"][-1]["content"]
        with self.guard:
            self.asked.append(text)
        return {"choices": [{"message": {"role": "assistant", "content": self.say(text)}, "finish_reason": "stop"}], "model": model,
                "usage": {"prompt_tokens": 10, "completion_tokens": 2}}  # fmt: skip


@pytest.fixture
def said():
    client = Said()
    register_client("said", client)
    with override(api_type="said", mode="auto", waiting_time=0.001):
        yield client


CALL = LLMCall(None, "Say {{ w }}")
ROWS = [{"w": w} for w in ("tea", "milk", "tea", "water")]


def test_answers_stand_in_the_order_of_the_rows(said):
    said.say = lambda text: (threading.Event().wait(0.05 if text == "Say 0" else 0), text)[1]

    table = map_rows(CALL, [{"w": n} for n in range(30)])

    assert table["answer"] == [f"Say {n}" for n in range(30)]


@pytest.mark.parametrize("mode", ["auto", "off", "refresh"])
def test_rows_that_ask_the_same_make_one_call_in_every_mode(said, mode):
    table = map_rows(CALL, ROWS, mode=mode)

    assert sorted(said.asked) == ["Say milk", "Say tea", "Say water"]
    assert table["source"] == ["live", "live", "recorded", "live"]
    assert table[2].text == "<Say tea>"


def test_what_is_recorded_is_not_asked_again(said):
    map_rows(CALL, ROWS)
    said.asked.clear()

    table = map_rows(CALL, [*ROWS, {"w": "rum"}])

    assert said.asked == ["Say rum"]
    assert table.tally.recorded == 4


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        tuple(ROWS),
        iter(ROWS),
        pd.DataFrame(ROWS),
        pl.DataFrame(ROWS),
        pl.LazyFrame(ROWS),
        {"w": [r["w"] for r in ROWS]},
        pd.Series([r["w"] for r in ROWS], name="w"),
    ],
    ids=["list", "tuple", "iterator", "pandas", "polars", "lazy", "columns", "series"],
)
def test_rows_of_every_kind_are_read(said, rows):
    table = map_rows(CALL, rows)

    assert table["w"] == ["tea", "milk", "tea", "water"]
    assert table["answer"][0] == "<Say tea>"


@pytest.mark.parametrize("rows", ["tea", b"tea", None, 3, [1, 2], [{"w": 1}, 2], {"a": 1}, {"a": [1], "b": [1, 2]}], ids=str)
def test_what_holds_no_rows_is_refused(said, rows):
    with pytest.raises(OptionError):
        map_rows(CALL, rows)

    assert said.asked == []


def test_columns_are_variables_beside_the_calls_own_and_win_over_them(said):
    call = LLMCall.from_text("{{ greeting }} {{ name }} {{ row.name }}", namespace={"greeting": "Hello", "name": "nobody"})

    assert map_rows(call, [{"name": "Ann"}])[0].text == "<Hello Ann Ann>"


def test_a_failed_row_is_a_value_and_can_be_asked_again(said):
    said.say = lambda text: 1 / 0 if text == "Say milk" else text

    table = map_rows(CALL, [*ROWS, {"v": "no such variable"}])

    assert [e is None for e in table.errors] == [True, False, True, True, False]
    assert table.to_dicts()[4]["error"].startswith("UndefinedError: 'w' is not defined")
    assert table["answer"][1] is None
    assert isinstance(table[1], ProviderError)
    said.say = lambda text: text
    again = map_rows(CALL, table.failed)
    assert [r["w"] for r in again.to_dicts()] == ["milk", None]
    assert again[0].text == "Say milk"


def test_on_error_raise_stops_at_the_first_failure_and_keeps_what_came_before(said):
    said.say = lambda text: 1 / 0 if text == "Say 3" else text

    with pytest.raises(ProviderError) as failed:
        map_rows(CALL, [{"w": n} for n in range(500)], workers=1, on_error="raise")

    assert len(said.asked) < 100
    assert failed.value.table["answer"][:3] == ["Say 0", "Say 1", "Say 2"]
    assert session.last_table is failed.value.table


def test_a_call_that_is_wrong_is_an_error_and_not_a_table_of_errors(said):
    with pytest.raises(OptionError, match="unknown parameter"):
        map_rows(LLMCall(None, "Say {{ w }}", temprature=1), ROWS)

    assert said.asked == []


@pytest.mark.parametrize("text", ["Say {{ w", "{% include 'nowhere.txt' %} {% if %}", "nowhere.txt"])
def test_a_template_that_no_row_can_fill_is_an_error_and_not_a_table_of_errors(said, text):
    with pytest.raises(PromptError):
        map_rows(LLMCall(None, text), ROWS)


def test_a_text_is_no_call_and_the_error_says_how_to_make_one(said):
    for ask in (lambda: map_rows("Say {{ w }}", ROWS), lambda: compare("Say tea")):
        with pytest.raises(OptionError, match=r"LLMCall\("):
            ask()


@pytest.mark.parametrize("workers", [0, -1, "8", 2.5, None])
def test_workers_that_are_no_number_above_zero_are_refused(said, workers):
    for executor in (None, ThreadPoolExecutor(1)):
        with pytest.raises(OptionError, match="workers="):
            map_rows(CALL, ROWS, workers=workers, executor=executor)


def test_an_unknown_way_with_errors_is_refused(said):
    with pytest.raises(OptionError, match="on_error"):
        map_rows(CALL, ROWS, on_error="ignore")


def test_rows_are_read_no_further_than_the_window(said):
    taken, gate, read_before = [], threading.Event(), []
    said.say = lambda text: (gate.wait(30), text)[1]

    def progress(table):
        read_before.append(len(taken))
        gate.set()

    map_rows(CALL, ({"w": taken.append(n) or n} for n in range(1000)), workers=2, progress=progress)

    assert read_before[0] == 2 * 4
    assert len(taken) == 1000


def test_an_interrupt_keeps_what_is_finished_and_the_same_map_goes_on(said):
    def rows():
        for n in range(20):
            if n == 15:
                raise KeyboardInterrupt
            yield {"w": n}

    with pytest.raises(Stopped, match=r"kept in session\.last_table") as stopped:
        map_rows(CALL, rows(), workers=1)

    kept = [e for e in stopped.value.table.entries if e.answered]
    assert 0 < len(kept) <= 15
    assert session.last_table is stopped.value.table
    for thread in threading.enumerate():
        if thread.name.startswith("tinyllm-row"):
            thread.join(5)
    asked = list(said.asked)
    said.asked.clear()
    assert not map_rows(CALL, [{"w": n} for n in range(20)]).failed
    assert set(asked) & set(said.asked) == set()


def stopped_early(said):
    """The table of 200 rows whose map was stopped at its first sign of progress."""
    told = []

    def progress(table):
        told.append(table)
        if len(told) == 1:
            raise KeyboardInterrupt

    said.say = lambda text: (threading.Event().wait(0.02), text)[1]
    with pytest.raises(Stopped) as stopped:
        map_rows(CALL, [{"w": n} for n in range(200)], workers=2, progress=progress)
    return stopped.value.table


def test_rows_that_a_stop_did_not_reach_are_failed_ones(said):
    table = stopped_early(said)

    assert len(table) == 200
    assert 0 < len(table.failed) < 200
    assert not map_rows(CALL, table.failed).failed


@pytest.mark.parametrize(("mode", "words"), [("auto", "Run the same again"), ("off", "To go on, map its .failed")])
def test_a_stop_says_how_to_go_on_in_the_mode_that_holds(said, mode, words):
    def rows():
        yield {"w": 1}
        raise KeyboardInterrupt

    with pytest.raises(Stopped, match=words):
        map_rows(CALL, rows(), mode=mode)


def test_rows_that_ask_the_same_as_a_finished_one_are_kept_at_a_stop(said):
    asked = threading.Event()

    def rows():
        yield from ({"w": "tea"}, {"w": "tea"})
        asked.wait(5)
        raise KeyboardInterrupt

    said.say = lambda text: (threading.Timer(0.2, asked.set).start(), text)[1]
    with pytest.raises(Stopped) as stopped:
        map_rows(CALL, rows())

    assert stopped.value.table["answer"] == ["Say tea", "Say tea"]


def test_a_failing_iterator_is_its_own_error_and_what_is_finished_is_kept(said):
    def rows():
        yield {"w": 1}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        map_rows(CALL, rows())

    assert len(session.last_table) == 1


def test_a_budget_refuses_rows_one_by_one_and_keeps_the_others(said, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    client = Said()
    register_client("openai", client)
    call = LLMCall(None, "Say {{ w }}", model="gpt-4o-mini", max_tokens=100)
    with override(api_type=None):
        map_rows(call, [{"w": "known"}])
        session.ledger.set_budget(session.ledger.spent)
        table = map_rows(call, [{"w": "known"}, {"w": "new"}])

    assert table["answer"][0] == "<Say known>"
    assert isinstance(table[1], BudgetError)


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=["own threads", "an executor's"])
def test_a_row_that_fits_but_for_what_others_may_cost_waits_for_them(said, monkeypatch, executor):
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    client = Said()
    register_client("openai", client)
    call = LLMCall(None, "Say {{ w }}", model="gpt-4o-mini", max_tokens=1000)  # each may cost a hundred times what it does
    session.ledger.set_budget(0.001)
    with override(api_type=None):
        table = map_rows(call, [{"w": n} for n in range(40)], executor=executor and executor(4))

    assert not table.failed
    assert session.ledger.spent < 0.001
    assert session.ledger._reserved == pytest.approx(0)


def test_strict_replay_explains_the_first_miss_only(said):
    map_rows(CALL, ROWS[:1])

    table = map_rows(CALL, ROWS, mode="replay")

    first, second = table[1], table[3]
    assert isinstance(first, ReplayMiss)
    assert first.nearest is not None
    assert isinstance(second, ReplayMiss)
    assert second.nearest is None


def test_a_call_is_not_changed_by_a_map(said):
    call = LLMCall(None, "Say {{ w }}")

    map_rows(call, ROWS)

    assert (call.messages, call.response, call.model_output) == ([], None, None)


def test_at_most_so_many_workers_ask_at_a_time(said):
    now, most = [0], [0]

    def say(text):
        with said.guard:
            now[0] += 1
            most.append(now[0])
        threading.Event().wait(0.01)
        with said.guard:
            now[0] -= 1
        return text

    said.say = say
    map_rows(CALL, [{"w": n} for n in range(40)], workers=3)

    assert 1 < max(most) <= 3


def test_progress_is_told_of_the_growing_table_and_of_its_end(said):
    said.say = lambda text: (threading.Event().wait(0.05), text)[1]
    seen = []

    table = map_rows(CALL, [{"w": n} for n in range(20)], workers=2, progress=lambda t: seen.append(t.tally))

    assert seen[-1].done == seen[-1].total == 20
    assert [t.done for t in seen] == sorted(t.done for t in seen)
    assert 0 < seen[0].done < 20
    assert seen[0].left > 0
    assert table.tally.tokens_in == 200


# -- comparing ------------------------------------------------------------------------------------------------------


def test_compare_asks_every_combination_in_order(said):
    table = compare(CALL, models=["a", "b"], grid={"temperature": [0, 1], "seed": [1]}, variables={"w": "tea"})

    assert table.columns == ("model", "temperature", "seed", "answer", "error", "source", "cost")
    assert [(r["model"], r["temperature"]) for r in table.to_dicts()] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert [r.request.params["temperature"] for r in table] == [0, 1, 0, 1]


def test_compare_draws_samples_each_under_its_own_key(said):
    table = compare(LLMCall(None, "Say tea"), samples=3)

    assert table["sample"] == [0, 1, 2]
    assert len({r.key for r in table}) == 3


def test_compare_of_one_call_names_the_model_that_answers(said):
    assert compare(LLMCall(None, "Say tea", model="a"))["model"] == ["a"]


def test_a_grid_takes_models_and_single_values_too(said):
    table = compare(CALL, grid={"model": ["a", "b"], "temperature": 0}, variables={"w": "tea"})

    assert [(r["model"], r["temperature"]) for r in table.to_dicts()] == [("a", 0), ("b", 0)]


def test_a_prompt_that_fails_for_every_card_is_an_error(said):
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
def test_compare_of_nothing_is_refused(said, wrong):
    with pytest.raises(OptionError):
        compare(CALL, **wrong)


# -- the table ------------------------------------------------------------------------------------------------------


def test_a_column_with_the_name_of_a_result_is_kept_under_another(said):
    table = map_rows(CALL, [{"w": "tea", "answer": 42}])

    assert table.columns == ("w", "row_answer", "answer", "error", "source", "cost")
    assert (table["row_answer"], table["answer"]) == ([42], ["<Say tea>"])


def test_columns_of_a_table_that_is_mapped_again_all_have_names_of_their_own(said):
    once = map_rows(CALL, [{"w": "tea"}]).to_dicts()
    twice = map_rows(CALL, once).to_dicts()
    thrice = map_rows(LLMCall(None, "{{ row.row_answer }} {{ row.answer }}"), twice)

    assert len(set(thrice.columns)) == len(thrice.columns)
    assert thrice[0].text == "<<Say tea> <Say tea>>"
    assert thrice.to_pandas().shape == thrice.to_polars().shape == (1, len(thrice.columns))


def test_a_table_iterates_indexes_and_slices(said):
    table = map_rows(CALL, ROWS)

    assert [r.text for r in table] == table["answer"]
    assert table[-1].text == "<Say water>"
    assert [r.text for r in table[1:3].responses] == ["<Say milk>", "<Say tea>"]
    assert len(table.failed) == 0
    assert repr(table) == "Table(4 rows)"
    with pytest.raises(KeyError):
        table["nothing"]


def test_results_join_back_to_the_frame_they_came_from(said):
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
def test_results_have_the_index_of_their_frame_whole_and_in_part(said, index):
    frame = pd.DataFrame({"w": ["tea", "milk", "rum"]}, index=index)
    table = map_rows(CALL, frame)

    assert frame.join(table.to_pandas()["answer"])["answer"].tolist() == table["answer"]
    assert table.to_pandas().index.equals(index)
    assert table[1:].to_pandas().index.equals(index[1:])
    assert table.failed.to_pandas().index.names == index.names


def test_missing_values_of_a_pandas_frame_are_none_as_in_every_other_kind_of_rows(said):
    columns = {"text": ["a", None], "number": [1.5, None], "whole": pd.array([1, None], dtype="Int64")}
    frame = pd.DataFrame({**columns, "kind": pd.Categorical(["u", None]), "day": pd.to_datetime(["2024-01-01", None])})

    table = map_rows(LLMCall(None, "{{ row.values()|list }}{{ 'none' if text is none and not number }}"), frame)

    assert list(table.rows[1].values()) == [None] * 5
    assert [type(v).__name__ for v in table.rows[0].values()] == ["str", "float", "int", "str", "Timestamp"]
    assert table[1].text == "<[None, None, None, None, None]none>"
    assert table.to_pandas()["number"].dtype == table.to_pandas()["cost"].dtype == float


def test_a_polars_frame_has_all_columns(said):
    frame = map_rows(CALL, [*ROWS, {"v": 1}]).to_polars()

    assert frame.columns == ["w", "v", "answer", "error", "source", "cost"]
    assert frame["answer"].null_count() == 1


def test_a_missing_frame_library_is_one_sentence(said, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)

    with pytest.raises(MissingExtraError, match="pip install pandas"):
        map_rows(CALL, ROWS).to_pandas()


def test_beyond_the_first_rows_responses_are_read_from_the_store(said, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.batch.WHOLE", 1)

    table = map_rows(CALL, ROWS)

    assert table.entries[1].whole is None
    assert table[1].text == "<Say milk>"
    assert table[1].request.messages[-1].text == "Say milk"
    assert table[1].key == table.entries[1].key


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_a_map_whose_rows_are_all_put_away_is_as_any_other(said, monkeypatch, mode):
    def rows():
        yield from ({"w": n % 40, **({"late": n} if n > 60 else {})} for n in range(100))

    said.say = lambda text: {}["no"] if text == "Say 7" else f"<{text}>"
    near = map_rows(CALL, rows(), mode="off")
    monkeypatch.setattr("tinyllm_magic.batch.WHOLE", 0)

    far = map_rows(CALL, rows(), mode=mode)

    assert not list(far.entries.unsettled())
    assert far.to_dicts() == near.to_dicts()
    assert str(far.tally).rpartition(" · ")[0] == str(near.tally).rpartition(" · ")[0]
    assert far.sums == near.sums == Table(far.entries).sums
    assert grids.rows_bundle(far) == grids.rows_bundle(near)
    assert grids.facts_of(far) == grids.facts_of(near)
    assert [r and r.text for r in far.responses] == [r and r.text for r in near.responses]
    assert far[99].call.user_template_name == near[99].call.user_template_name == "Say {{ w }}"
    said.say = lambda text: f"<{text}>"
    assert map_rows(CALL, far.failed, mode="off")["answer"] == ["<Say 7>"] * 3


def test_an_interrupt_while_records_are_written_loses_no_answer(said, monkeypatch):
    plain, times = Store.flush, []

    def flush(self, *, wait=True):
        times.append(1)
        if len(times) == 3:
            raise KeyboardInterrupt
        return plain(self, wait=wait)

    monkeypatch.setattr(Store, "flush", flush)
    with pytest.raises(Stopped) as stopped:
        map_rows(CALL, [{"w": n} for n in range(100)], workers=2)
    for thread in threading.enumerate():
        if thread.name.startswith("tinyllm-row"):
            thread.join(5)
    asked = list(said.asked)
    said.asked.clear()

    assert stopped.value.table.sums.calls == len(stopped.value.table) - len(stopped.value.table.failed) > 0
    assert not map_rows(CALL, [{"w": n} for n in range(100)]).failed
    assert set(asked) & set(said.asked) == set()


def test_a_clients_own_store_has_every_row_and_is_asked(tmp_path):
    path = tmp_path / "own.llm.jsonl"
    own = Said()
    own._cache_file_name = str(path)
    register_client("own", own)
    with override(api_type="own", mode="auto"):
        map_rows(CALL, [{"w": n} for n in range(40)])
        assert len(Store(path)) == 40
        again = map_rows(CALL, [{"w": n} for n in range(-1, 40)], mode="replay")

    assert [type(e) for e in again.errors] == [ReplayMiss, *[type(None)] * 40]


@pytest.mark.parametrize("mode", ["auto", "refresh"])
def test_every_row_is_in_the_file_when_the_map_is_over(said, mode):
    for count in (1, 7, 40):
        map_rows(LLMCall(None, f"{count} {{{{ w }}}}"), [{"w": n} for n in range(count)], mode=mode)

        path = session.store(session.settings()).path
        assert sum(r.request["messages"][0]["content"].startswith(f"{count} ") for r in Store(path).records()) == count


def test_rows_are_rendered_once_though_an_outlook_is_given(said):
    class Looks:
        def look_ahead(self, tasks, count, planner):
            words, tasks = outlook(tasks, count, planner)
            assert "30 to be asked" in words
            return tasks

        def __call__(self, table):
            """Nothing to show."""

    table = map_rows(LLMCall(None, "Say {{ w|join }}"), [{"w": iter(f"{n}ab")} for n in range(30)], progress=Looks())

    assert table["answer"] == [f"<Say {n}ab>" for n in range(30)]


class _Breaks(list):
    def __iter__(self):
        yield from super().__iter__()
        raise OSError("the file has ended")


def test_rows_that_break_off_under_an_outlook_keep_the_answers_before(said):
    class Looks:
        def look_ahead(self, tasks, count, planner):
            return outlook(tasks, count, planner)[1]

        def __call__(self, table):
            """Nothing to show."""

    rows = Rows(iter(_Breaks({"w": n} for n in range(100))), 120)
    with pytest.raises(OSError, match="the file has ended"):
        Run(row_tasks(CALL, rows), rows.count, watch=Looks()).table()

    assert len(session.last_table) == 100
    assert session.last_table.sums.calls >= 68  # no more than a window of 32 was under way


def test_an_interrupt_puts_the_rows_away_that_it_did_not_reach(said, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.batch.WHOLE", 5)

    table = stopped_early(said)

    assert len(table) == 200
    assert len(list(table.entries.unsettled())) == 5
    assert table.sums == Table(table.entries).sums
    assert table.failed["w"] == [n for n in range(200) if table["answer"][n] is None]
    assert set(map(type, table.failed.errors)) == {NotAsked}


def test_without_a_store_every_response_is_kept(said, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.batch.WHOLE", 1)

    assert map_rows(CALL, ROWS, mode="off")[1].text == "<Say milk>"


def test_a_tally_counts_what_was_paid_and_what_is_left():
    entry = Entry({})
    entry.key, entry.source, entry.cost, entry.tokens = "k", "live", 0.5, (3, 4)

    tally = Tally(total=3).plus(entry, 2.0)

    assert (tally.live, tally.done, tally.cost, tally.left) == (1, 1, 0.5, 4.0)
    assert str(tally) == "1 of 3 rows · 1 live · 3 in / 4 out tokens · $0.5000 · 2.0 s · ≈ 4 s left"


def test_a_log_gets_a_line_every_tenth(capsys):
    tick = Ticker()
    for done in range(100):
        tick(Table([], Tally(total=100, live=done, seconds=1.0)))
    tick.close(Table([], Tally(total=100, live=100, seconds=1.0)))

    assert len(capsys.readouterr().err.splitlines()) == 11


def test_a_terminal_has_one_line_that_never_wraps(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "40")
    tick = Ticker(Terminal())
    states = [Table([], Tally(total=100_000, live=done, tokens_in=10**6, cost=1.5, seconds=9.0)) for done in (1, 50_000, 100_000)]
    tick(states[0])
    tick(states[1])
    tick.close(states[2])

    lines = tick._out.getvalue().removesuffix("\n").split("\r")[1:]
    assert len(lines) == 3
    assert max(map(len, lines)) < 40


def test_rows_know_their_number_where_it_can_be_known():
    assert read_rows(ROWS).count == 4
    assert read_rows(iter(ROWS)).count is None


# -- the pace -------------------------------------------------------------------------------------------------------


def limited(after=None):
    return RateLimitError("slow down", retry_after=after)


def test_a_burst_of_rate_limits_is_one_pause():
    now = [0.0]
    pacer = Pacer(4, clock=lambda: now[0])
    tickets = [pacer.enter() for _ in range(4)]

    assert all(pacer.slow_down(t, limited(5), Policy()) for t in tickets)

    assert pacer._open_at == 5
    assert pacer._pauses == 1


def test_the_whole_pool_waits_and_is_let_through_again():
    pacer = Pacer(2)
    ticket = pacer.enter()
    pacer.slow_down(ticket, limited(0.05), Policy())
    pacer.leave(answered=False)
    began = pacer._clock()

    pacer.enter()

    assert pacer._clock() >= began + 0.04


def test_a_pool_without_any_success_gives_up():
    pacer, policy = Pacer(1), Policy(attempts=2, waiting_time=0)

    assert pacer.slow_down(pacer.enter(), limited(), policy)
    pacer.leave(answered=False)
    assert not pacer.slow_down(pacer.enter(), limited(), policy)


def test_a_wait_that_is_too_long_is_not_waited_for():
    pacer = Pacer(1)

    assert not pacer.slow_down(pacer.enter(), limited(3600), Policy())


def test_rate_limits_and_passing_failures_leave_no_row_without_an_answer(said):
    count, fails = [0], {}

    def say(text):
        with said.guard:
            count[0] += 1
            turn = count[0] % 10
        if turn == 3:
            raise limited(0.001)
        if turn == 7:
            raise ServerError("it broke")
        fails[text] = fails.get(text, 0) + 1
        return text

    said.say = say
    table = map_rows(CALL, [{"w": n} for n in range(200)], workers=16)

    assert not table.failed
    assert set(fails.values()) == {1}


# -- to another process ---------------------------------------------------------------------------------------------


def test_a_call_travels_with_the_variables_that_it_names_alone():
    call = LLMCall.from_text("{{ a }} {{ w }}", namespace={"a": 1, "module": threading, "open": (n for n in ())})

    other = pickle.loads(pickle.dumps(call))

    assert other.namespace == {"a": 1}
    assert other.render(w=2)[0].text == "1 2"


def test_varied_leaves_the_original_as_it_is():
    call = LLMCall(None, "Say tea", temperature=0)

    assert call.varied(temperature=1).model_params == {"temperature": 1}
    assert call.model_params == {"temperature": 0}


def test_something_without_submit_is_no_executor(said):
    with pytest.raises(OptionError, match="no executor"):
        map_rows(CALL, ROWS, executor=object())


def test_warnings_stay_out_of_a_map(said):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        map_rows(CALL, ROWS * 5)
