"""Where the calls of a map are made."""

import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tinyllm_magic import LLMCall, map_rows, override, session
from tinyllm_magic.errors import (
    OptionError,
)

CALL = LLMCall(None, "Say {{ w }}")
ROWS = [{"w": w} for w in ("tea", "milk", "tea", "water")]


def test_at_most_so_many_workers_ask_at_a_time(scripted):
    now, most = [0], [0]

    def reply(text):
        with scripted.guard:
            now[0] += 1
            most.append(now[0])
        threading.Event().wait(0.01)
        with scripted.guard:
            now[0] -= 1
        return text

    scripted.reply = reply
    map_rows(CALL, [{"w": n} for n in range(40)], workers=3)

    assert 1 < max(most) <= 3


def test_a_worker_knows_the_context_variables_of_who_asked(scripted):
    span = contextvars.ContextVar("span")
    scripted.reply = lambda text: f"{text} in {span.get()}"
    span.set("the cell's span")

    assert map_rows(CALL, ROWS[:2], workers=2)["answer"] == ["Say tea in the cell's span", "Say milk in the cell's span"]


def test_something_without_submit_is_no_executor(scripted):
    with pytest.raises(OptionError, match="no executor"):
        map_rows(CALL, ROWS, executor=object())


def test_a_worker_reserves_nothing_anew_or_it_would_wait_for_calls_that_wait_for_a_worker(make_client, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    make_client("openai")
    session.budget.set_limit(0.001)
    reserve, threads = session.budget.reserve, []
    monkeypatch.setattr(session.budget, "reserve", lambda *a, **k: threads.append(threading.current_thread()) or reserve(*a, **k))
    with override(api_type=None), ThreadPoolExecutor(2) as executor:
        table = map_rows(
            LLMCall(None, "Say {{ n }}", model="gpt-4o-mini", max_tokens=1000), [{"n": n} for n in range(5)], executor=executor
        )

    assert not table.failed
    assert threads == [threading.current_thread()] * 5
    assert session.budget._reserved == pytest.approx(0)


def test_a_row_that_is_asked_again_is_reserved_for_by_who_hands_rows_out(start, monkeypatch):
    start(*[lambda body: '{"age": "old"}' if len(body["messages"]) == 1 else '{"age": 3}'] * 6, far=True)
    session.budget.set_limit(1)
    reserve, threads = session.budget.reserve, []
    monkeypatch.setattr(session.budget, "reserve", lambda *a, **k: threads.append(threading.current_thread()) or reserve(*a, **k))
    call = LLMCall(None, "How old is {{ n }}?", schema="age int", tries=2, max_tokens=1000)
    with override(api_type="openai", model="gpt-4o-mini"), ThreadPoolExecutor(1) as executor:
        table = map_rows(call, [{"n": n} for n in range(3)], executor=executor)

    assert table["age"] == [3, 3, 3]
    assert [len(r.steps) for r in table.responses] == [1, 1, 1]
    assert threads == [threading.current_thread()] * 6
    assert session.budget._reserved == pytest.approx(0)
