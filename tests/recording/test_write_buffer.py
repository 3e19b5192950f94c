"""Records that wait and are written together."""

import subprocess
import sys
import textwrap
import threading

import pytest
from records import filled, make

from tinyllm_magic.recording.store import Store


def test_a_record_that_need_not_wait_is_read_at_once_and_written_with_the_next(store):
    filled(store, "first")  # so that nothing is due for a moment
    waiting = make("later")

    assert store.append(waiting, wait=False)

    assert waiting.key in store
    assert store.get(waiting.key) == waiting
    assert len(Store(store.path)) == 1
    filled(store, "last")
    assert Store(store.path).keys() == store.keys()
    assert len(store) == 3


def test_a_flush_writes_what_waits(store):
    filled(store, "first")
    records = [make(f"later {n}") for n in range(5)]
    for record in records:
        store.append(record, wait=False)

    assert store.flush()

    assert [Store(store.path).get(r.key) for r in records] == records


def test_no_more_than_a_few_records_wait(store):
    filled(store, "first")
    for n in range(100):
        store.append(make(f"later {n}"), wait=False)

    assert len(Store(store.path)) > 80


def test_tidying_writes_what_waits(store):
    filled(store, "first")
    store.append(make("later"), wait=False)

    assert store.tidy().kept == 2


def test_64_threads_that_need_not_wait_lose_and_double_nothing(store):
    def work(name):
        for n in range(20):
            store.append(make(f"{name} {n}"), wait=False)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()

    assert len(store.path.read_bytes().splitlines()) == 1 + 64 * 20
    assert len(Store(store.path)) == 64 * 20
    assert store.check() == []


def test_an_interrupted_write_leaves_what_waits_to_the_next(store, monkeypatch):
    filled(store, "first")
    records, plain = [make(f"later {n}") for n in range(3)], store._buffer._write

    def interrupted(lines):
        raise KeyboardInterrupt

    monkeypatch.setattr(store._buffer, "_write", interrupted)
    store.append(records[0], wait=False)
    with pytest.raises(KeyboardInterrupt):
        store.append(records[1])
    monkeypatch.setattr(store._buffer, "_write", plain)

    assert store.is_changed
    assert store.append(records[2])  # the lock is free
    assert [Store(store.path).get(r.key) for r in records] == records


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupt_while_the_lock_is_taken_leaves_it_free():
    """The writer lets go of the lock, and the signal comes before the one that waits for it goes on."""
    code = """
        import os, signal, threading, time
        from tinyllm_magic.recording.write_buffer import WriteBuffer
        held = 0
        for _ in range(20):
            buffer = WriteBuffer(lambda lines: None)
            buffer.waiting["k"] = b"x"
            buffer._writing.acquire()
            def writer():
                time.sleep(0.02)
                buffer._writing.release()
                os.kill(os.getpid(), signal.SIGINT)
            thread = threading.Thread(target=writer)
            thread.start()
            try:
                buffer.flush()
                time.sleep(30)
            except KeyboardInterrupt:
                pass
            thread.join()
            held += buffer._writing.locked()
        print(held)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "0\n", done.stderr
