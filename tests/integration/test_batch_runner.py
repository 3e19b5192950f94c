"""Many rows over real HTTP: retries, stops, kills, and what is recorded."""

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from tinyllm_magic import LLMCall, Store, errors, map_rows, override, session

CALL = LLMCall(None, "Number {{ n }}", model="gpt-4o-mini")


def numbers(count):
    return [{"n": n} for n in range(count)]


pytestmark = pytest.mark.usefixtures("recording")


def test_rows_share_one_client_and_one_store(start):
    server = start(*[{"echo": True}] * 30)

    table = map_rows(CALL, numbers(30))

    assert table["answer"] == [f"Number {n}" for n in range(30)]
    assert server.n == len(session.store(session.settings())) == 30


def test_a_retry_after_holds_back_the_whole_pool(start):
    times = []

    def note(answer):
        return lambda body: (times.append(threading.current_thread() and __import__("time").monotonic()), answer)[1]

    server = start(note({"status": 429, "headers": {"Retry-After": "1"}}), *[note({"text": "ok"})] * 20)

    table = map_rows(CALL, numbers(12), workers=1)

    assert not table.failed
    assert server.n == 13
    assert times[1] - times[0] >= 0.9


def test_rate_limits_and_broken_answers_leave_no_row_out_and_ask_none_twice(start):
    answered = []

    def turn(status):
        def take(body):
            if status == 200:
                answered.append(body["messages"][-1]["content"])
                return {"echo": True}
            return status

        return take

    start(*[turn(429 if n % 10 == 0 else 500 if n % 20 == 5 else 200) for n in range(400)])

    table = map_rows(CALL, numbers(200), workers=16)

    assert table["answer"] == [f"Number {n}" for n in range(200)]
    assert sorted(answered) == sorted(set(answered))


def test_an_answer_that_comes_after_the_stop_is_recorded_all_the_same(start):
    """Its tail is under way when the pool is stopped: it is paid for, and the next run need not ask again."""
    landed = threading.Event()

    def last(body):
        landed.wait(10)
        return {"text": "late"}

    def rows():
        yield {"n": 0}
        raise KeyboardInterrupt

    server = start(last)
    with pytest.raises(errors.Stopped):
        map_rows(CALL, rows(), workers=1)
    landed.set()
    for thread in threading.enumerate():
        if thread.name.startswith("tinyllm-row"):
            thread.join(10)
    path = session.store(session.settings()).path

    assert server.n == len(Store(path))


def test_a_killed_process_has_recorded_every_row_that_was_told_as_done(tmp_path):
    code = """
        import sys
        from tinyllm_magic import LLMCall, map_rows, override
        with override(api_type="echo", mode="auto", cache_file_name=sys.argv[1]):
            told = lambda table: print(table.progress.done, flush=True)
            map_rows(LLMCall(None, "Number {{ n }}"), ({"n": n} for n in range(10**7)), workers=16, progress=told)
    """
    path = tmp_path / "killed.llm.jsonl"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), path], stdout=subprocess.PIPE, text=True) as process:
        counts = map(int, process.stdout)
        first = next(n for n in counts if n)
        done = next(n for n in counts if n > first)
        process.kill()

    assert len(Store(path)) >= done


def test_a_refused_row_is_kept_as_its_error_and_asked_again_alone(start):
    server = start(200, 400, 200)

    table = map_rows(CALL, numbers(3), workers=1)

    assert [type(e).__name__ for e in table.errors] == ["NoneType", "InvalidRequestError", "NoneType"]
    assert not map_rows(CALL, table.failed).failed
    assert server.n == 4


def test_the_cap_on_calls_holds_for_rows_too(start):
    server = start(*[{"delay": 0.03}] * 20)

    with override(max_concurrent_model_calls=2):
        map_rows(CALL, numbers(20), workers=8)

    assert server.most_active == 2


def test_an_interrupt_stops_at_once_and_what_is_recorded_is_not_asked_again(start):
    server = start(*[{"echo": True}] * 20, *[{"delay": 5}] * 8)

    def interrupt():
        while server.n < 24:  # four rows wait, and no other is let through
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(errors.Stopped, match=r"rows are answered and kept") as stopped:
        map_rows(CALL, numbers(60), workers=4)

    kept = [row["n"] for row in stopped.value.table.to_dicts() if row["error"] is None]
    server.bodies.clear()
    server._script.clear()
    with override(mode="auto"):
        again = map_rows(CALL, [{"n": n} for n in kept])
    assert len(kept) >= 15
    assert again.progress.recorded == len(kept)
    assert server.bodies == []


def test_whole_answers_are_asked_for_because_nobody_watches_them_grow(start):
    server = start()

    map_rows(CALL, numbers(1))

    assert not server.last.get("stream")


def test_rows_recorded_at_another_address_keep_the_keys_of_their_records(start):
    start("first", "second")
    live = map_rows(CALL, numbers(2))
    elsewhere = start()

    again = map_rows(CALL, numbers(2), mode="replay")

    assert [entry.key for entry in again.entries] == [entry.key for entry in live.entries]
    assert elsewhere.n == 0
