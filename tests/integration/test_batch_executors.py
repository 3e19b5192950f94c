"""Rows answered by other processes: one store, one budget, errors that travel."""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from tinyllm_magic import LLMCall, Store, errors, map_rows, session

CALL = LLMCall(None, "Number {{ n }}", model="gpt-4o-mini")


def numbers(count):
    return [{"n": n} for n in range(count)]


pytestmark = pytest.mark.usefixtures("recording")


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A store and an echo that other processes see too."""
    path = tmp_path / "shared.llm.jsonl"
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    monkeypatch.setenv("TINYLLM_STORE", str(path))
    return Store(path)


def check(table, store, count):
    assert table["answer"] == [f"Number {n}" for n in range(count)]
    assert len(store) == count
    assert store.check() == []


def test_processes_write_one_store_without_loss(shared):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        table = map_rows(LLMCall(None, "Number {{ n }}"), numbers(80), executor=executor)
        again = map_rows(LLMCall(None, "Number {{ n }}"), numbers(80), executor=executor)

    check(table, shared, 80)
    assert again.progress.recorded == 80
    assert sum(t.live for t in session.budget.totals.values()) == 80


def test_an_executor_of_threads_counts_every_call_once(shared):
    with ThreadPoolExecutor(4) as executor:
        table = map_rows(LLMCall(None, "Number {{ n }}"), numbers(40), executor=executor)

    check(table, shared, 40)
    assert sum(t.live for t in session.budget.totals.values()) == 40


def test_an_error_comes_home_from_another_process(start, monkeypatch):
    start(*[401] * 4)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        table = map_rows(CALL, numbers(2), executor=executor)

    assert [type(e).__name__ for e in table.errors] == ["AuthError", "AuthError"]


def test_a_budget_holds_for_calls_of_other_processes(start):
    server = start(far=True)
    call = LLMCall(None, "Number {{ n }}", model="gpt-4o-mini", max_tokens=10, waiting_time=0.01)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        map_rows(call, [{"n": -1}], executor=executor)
        one = session.budget.spent
        session.budget.set_limit(20 * one)
        table = map_rows(call, numbers(60), executor=executor)

    answered = len(table) - len(table.failed)
    assert 0 < answered < 20
    assert {type(e) for e in table.failed.errors} == {errors.BudgetError}
    assert server.n == answered + 1
    assert 0 < one < session.budget.spent <= 20 * one


def test_a_dask_cluster_of_two_processes_writes_one_store_and_asks_without_the_sdk(shared, start, monkeypatch):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 2, "processes": True, "dashboard_address": "127.0.0.1:0"}
    server = start(*["An answer"] * 40)

    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        table = map_rows(LLMCall(None, "Number {{ n }}"), numbers(80), executor=client)
        check(table, shared, 80)
        monkeypatch.delenv("TINYLLM_API_TYPE")
        asked = map_rows(CALL, numbers(40), executor=client)
        sdk = client.run(lambda: "openai" in sys.modules)

    assert asked["answer"] == ["An answer"] * 40
    assert server.n == 40
    assert list(sdk.values()) == [False, False]
    assert len(shared) == 120
