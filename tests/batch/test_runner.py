"""The order of answers, duplicates, failures, stops and budgets of a map under way."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from tinyllm_magic import LLMCall, map_rows, override, session
from tinyllm_magic.batch.table import Table
from tinyllm_magic.errors import (
    BudgetError,
    NotAsked,
    OptionError,
    ProviderError,
    RateLimitError,
    ReplayMiss,
    ServerError,
    Stopped,
)
from tinyllm_magic.notebook import result_table
from tinyllm_magic.recording.store import Store

CALL = LLMCall(None, "Say {{ w }}")
ROWS = [{"w": w} for w in ("tea", "milk", "tea", "water")]


def test_answers_stand_in_the_order_of_the_rows(scripted):
    scripted.reply = lambda text: (threading.Event().wait(0.05 if text == "Say 0" else 0), text)[1]

    table = map_rows(CALL, [{"w": n} for n in range(30)])

    assert table["answer"] == [f"Say {n}" for n in range(30)]


@pytest.mark.parametrize("mode", ["auto", "off", "refresh"])
def test_rows_that_ask_the_same_make_one_call_in_every_mode(scripted, mode):
    table = map_rows(CALL, ROWS, mode=mode)

    assert sorted(scripted.prompts) == ["Say milk", "Say tea", "Say water"]
    assert table["source"] == ["live", "live", "recorded", "live"]
    assert table[2].text == "<Say tea>"


def test_what_the_rows_of_each_model_have_in_common_is_prepared_once(scripted, monkeypatch):
    prepared, plain = [], type(session).prepare
    monkeypatch.setattr(type(session), "prepare", lambda *args, **how: prepared.append(1) or plain(*args, **how))

    table = map_rows(CALL, ROWS, grid={"temperature": [0, 0.5]}, samples=2)

    assert len(table) == 16
    assert set(table["answer"]) == {"<Say tea>", "<Say milk>", "<Say water>"}
    assert len(prepared) == 4


def test_what_is_recorded_is_not_asked_again(scripted):
    map_rows(CALL, ROWS)
    scripted.prompts.clear()

    table = map_rows(CALL, [*ROWS, {"w": "rum"}])

    assert scripted.prompts == ["Say rum"]
    assert table.progress.recorded == 4


def test_a_failed_row_is_a_value_and_can_be_asked_again(scripted):
    scripted.reply = lambda text: 1 / 0 if text == "Say milk" else text

    table = map_rows(CALL, [*ROWS, {"v": "no such variable"}])

    assert [e is None for e in table.errors] == [True, False, True, True, False]
    assert table.to_dicts()[4]["error"].startswith("UndefinedError: 'w' is not defined")
    assert table["answer"][1] is None
    assert isinstance(table[1], ProviderError)
    scripted.reply = lambda text: text
    again = map_rows(CALL, table.failed)
    assert [r["w"] for r in again.to_dicts()] == ["milk", None]
    assert again[0].text == "Say milk"


def test_on_error_raise_stops_at_the_first_failure_and_keeps_what_came_before(scripted):
    scripted.reply = lambda text: 1 / 0 if text == "Say 3" else text

    with pytest.raises(ProviderError) as failed:
        map_rows(CALL, [{"w": n} for n in range(500)], workers=1, on_error="raise")

    assert len(scripted.prompts) < 100
    assert failed.value.table["answer"][:3] == ["Say 0", "Say 1", "Say 2"]
    assert session.last_table is failed.value.table


def test_a_call_that_is_wrong_is_an_error_and_not_a_table_of_errors(scripted):
    with pytest.raises(OptionError, match="unknown parameter"):
        map_rows(LLMCall(None, "Say {{ w }}", temprature=1), ROWS)

    assert scripted.prompts == []


@pytest.mark.parametrize("workers", [0, -1, "8", 2.5, None])
def test_workers_that_are_no_number_above_zero_are_refused(scripted, workers):
    for executor in (None, ThreadPoolExecutor(1)):
        with pytest.raises(OptionError, match="workers="):
            map_rows(CALL, ROWS, workers=workers, executor=executor)


def test_an_unknown_way_with_errors_is_refused(scripted):
    with pytest.raises(OptionError, match="on_error"):
        map_rows(CALL, ROWS, on_error="ignore")


def test_rows_are_read_no_further_than_the_window(scripted):
    taken, gate, read_before = [], threading.Event(), []
    scripted.reply = lambda text: (gate.wait(30), text)[1]

    def progress(table):
        read_before.append(len(taken))
        gate.set()

    map_rows(CALL, ({"w": taken.append(n) or n} for n in range(200)), workers=2, progress=progress)

    assert read_before[0] == 2 * 4
    assert len(taken) == 200


def test_an_interrupt_keeps_what_is_finished_and_the_same_map_goes_on(scripted):
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
    asked = list(scripted.prompts)
    scripted.prompts.clear()
    assert not map_rows(CALL, [{"w": n} for n in range(20)]).failed
    assert set(asked) & set(scripted.prompts) == set()


def stopped_early(scripted):
    """The table of 200 rows whose map was stopped at its first sign of progress."""
    told = []

    def progress(table):
        told.append(table)
        if len(told) == 1:
            raise KeyboardInterrupt

    scripted.reply = lambda text: (threading.Event().wait(0.02), text)[1]
    with pytest.raises(Stopped) as stopped:
        map_rows(CALL, [{"w": n} for n in range(200)], workers=2, progress=progress)
    return stopped.value.table


def test_rows_that_a_stop_did_not_reach_are_failed_ones(scripted):
    table = stopped_early(scripted)

    assert len(table) == 200
    assert 0 < len(table.failed) < 200
    assert not map_rows(CALL, table.failed).failed


@pytest.mark.parametrize(("mode", "words"), [("auto", "Run the same again"), ("off", "To go on, map its .failed")])
def test_a_stop_says_how_to_go_on_in_the_mode_that_holds(scripted, mode, words):
    def rows():
        yield {"w": 1}
        raise KeyboardInterrupt

    with pytest.raises(Stopped, match=words):
        map_rows(CALL, rows(), mode=mode)


def test_rows_that_ask_the_same_as_a_finished_one_are_kept_at_a_stop(scripted):
    asked = threading.Event()

    def rows():
        yield from ({"w": "tea"}, {"w": "tea"})
        asked.wait(5)
        raise KeyboardInterrupt

    scripted.reply = lambda text: (threading.Timer(0.2, asked.set).start(), text)[1]
    with pytest.raises(Stopped) as stopped:
        map_rows(CALL, rows())

    assert stopped.value.table["answer"] == ["Say tea", "Say tea"]


def test_a_failing_iterator_is_its_own_error_and_what_is_finished_is_kept(scripted):
    def rows():
        yield {"w": 1}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        map_rows(CALL, rows())

    assert session.last_table["answer"] == ["<Say 1>"]


def test_a_budget_refuses_rows_one_by_one_and_keeps_the_others(scripted, make_client, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    make_client("openai")
    call = LLMCall(None, "Say {{ w }}", model="gpt-4o-mini", max_tokens=100)
    with override(api_type=None):
        map_rows(call, [{"w": "known"}])
        session.budget.set_limit(session.budget.spent)
        table = map_rows(call, [{"w": "known"}, {"w": "new"}])

    assert table["answer"][0] == "<Say known>"
    assert isinstance(table[1], BudgetError)


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=["own threads", "an executor's"])
def test_a_row_that_fits_but_for_what_others_may_cost_waits_for_them(scripted, make_client, monkeypatch, executor):
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    make_client("openai")
    call = LLMCall(None, "Say {{ w }}", model="gpt-4o-mini", max_tokens=1000)  # each may cost a hundred times what it does
    session.budget.set_limit(0.001)
    with override(api_type=None):
        table = map_rows(call, [{"w": n} for n in range(40)], executor=executor and executor(4))

    assert not table.failed
    assert session.budget.spent < 0.001
    assert session.budget._reserved == pytest.approx(0)


def test_strict_replay_explains_the_first_miss_only(scripted):
    map_rows(CALL, ROWS[:1])

    table = map_rows(CALL, ROWS, mode="replay")

    first, second = table[1], table[3]
    assert isinstance(first, ReplayMiss)
    assert first.nearest is not None
    assert isinstance(second, ReplayMiss)
    assert second.nearest is None


def test_progress_is_told_of_the_growing_table_and_of_its_end(scripted):
    scripted.reply = lambda text: (threading.Event().wait(0.05), text)[1]
    seen = []

    table = map_rows(CALL, [{"w": n} for n in range(20)], workers=2, progress=lambda t: seen.append(t.progress))

    assert seen[-1].done == seen[-1].total == 20
    assert [t.done for t in seen] == sorted(t.done for t in seen)
    assert 0 < seen[0].done < 20
    assert seen[0].left > 0
    assert table.progress.tokens_in == 200


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_a_map_whose_rows_are_all_put_away_is_as_any_other(scripted, monkeypatch, mode):
    def rows():
        yield from ({"w": n % 40, **({"late": n} if n > 60 else {})} for n in range(100))

    scripted.reply = lambda text: {}["no"] if text == "Say 7" else f"<{text}>"
    near = map_rows(CALL, rows(), mode="off")
    monkeypatch.setattr("tinyllm_magic.batch.results.KEPT_RESPONSES", 0)

    far = map_rows(CALL, rows(), mode=mode)

    assert not list(far.entries.unsettled())
    assert far.to_dicts() == near.to_dicts()
    assert str(far.progress).rpartition(" · ")[0] == str(near.progress).rpartition(" · ")[0]
    assert far.stats == near.stats == Table(far.entries).stats
    assert result_table.rows_bundle(far) == result_table.rows_bundle(near)
    assert result_table.table_metadata(far) == result_table.table_metadata(near)
    assert [r and r.text for r in far.responses] == [r and r.text for r in near.responses]
    assert far[99].call.user_template_name == near[99].call.user_template_name == "Say {{ w }}"
    scripted.reply = lambda text: f"<{text}>"
    assert map_rows(CALL, far.failed, mode="off")["answer"] == ["<Say 7>"] * 3


def test_an_interrupt_while_records_are_written_loses_no_answer(scripted, monkeypatch):
    plain, times = Store.flush, []

    def flush(self, *, wait=True):
        times.append(threading.current_thread() is threading.main_thread())  # a worker flushes too, where one has waited for long
        if times[-1] and sum(times) == 3:
            raise KeyboardInterrupt
        return plain(self, wait=wait)

    monkeypatch.setattr(Store, "flush", flush)
    with pytest.raises(Stopped) as stopped:
        map_rows(CALL, [{"w": n} for n in range(100)], workers=2)
    for thread in threading.enumerate():
        if thread.name.startswith("tinyllm-row"):
            thread.join(5)
    asked = list(scripted.prompts)
    scripted.prompts.clear()

    assert stopped.value.table.stats.calls == len(stopped.value.table) - len(stopped.value.table.failed) > 0
    assert not map_rows(CALL, [{"w": n} for n in range(100)]).failed
    assert set(asked) & set(scripted.prompts) == set()


def test_a_clients_own_store_has_every_row_and_is_asked(make_client, tmp_path):
    path = tmp_path / "own.llm.jsonl"
    own = make_client("own")
    own.cache_file_name = str(path)
    with override(api_type="own", mode="auto"):
        map_rows(CALL, [{"w": n} for n in range(40)])
        assert len(Store(path)) == 40
        again = map_rows(CALL, [{"w": n} for n in range(-1, 40)], mode="replay")

    assert [type(e) for e in again.errors] == [ReplayMiss, *[type(None)] * 40]


@pytest.mark.parametrize("mode", ["auto", "refresh"])
def test_every_row_is_in_the_file_when_the_map_is_over(scripted, mode):
    for count in (1, 7, 40):
        map_rows(LLMCall(None, f"{count} {{{{ w }}}}"), [{"w": n} for n in range(count)], mode=mode)

        path = session.store(session.settings()).path
        assert sum(r.request["messages"][0]["content"].startswith(f"{count} ") for r in Store(path).records()) == count


def test_an_interrupt_puts_the_rows_away_that_it_did_not_reach(scripted, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.batch.results.KEPT_RESPONSES", 5)

    table = stopped_early(scripted)

    assert len(table) == 200
    assert len(list(table.entries.unsettled())) == 5
    assert table.stats == Table(table.entries).stats
    assert table.failed["w"] == [n for n in range(200) if table["answer"][n] is None]
    assert set(map(type, table.failed.errors)) == {NotAsked}


def test_without_a_store_every_response_is_kept(scripted, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.batch.results.KEPT_RESPONSES", 1)

    assert map_rows(CALL, ROWS, mode="off")[1].text == "<Say milk>"


def test_rate_limits_and_passing_failures_leave_no_row_without_an_answer(scripted):
    count, fails = [0], {}

    def reply(text):
        with scripted.guard:
            count[0] += 1
            turn = count[0] % 10
        if turn == 3:
            raise RateLimitError("slow down", retry_after=0.001)
        if turn == 7:
            raise ServerError("it broke")
        fails[text] = fails.get(text, 0) + 1
        return text

    scripted.reply = reply
    table = map_rows(CALL, [{"w": n} for n in range(200)], workers=16)

    assert not table.failed
    assert set(fails.values()) == {1}


def test_warnings_stay_out_of_a_map(scripted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        map_rows(CALL, ROWS * 5)
