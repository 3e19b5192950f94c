"""The store: appended, shared by threads and processes, tidied, merged, cleared, checked."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import ask, filled, finish, in_threads, make, python, records

from tinyllm_magic.errors import StoreError
from tinyllm_magic.files import open_regular
from tinyllm_magic.recording.codec import encode, parse
from tinyllm_magic.recording.store import Store, StoreWarning
from tinyllm_magic.responses import Answer, ToolCall


@given(st.lists(records.filter(lambda r: r.key), max_size=4, unique_by=lambda r: r.key))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_records_survive_a_store_and_its_tidying(tmp_path_factory, some):
    store = Store(tmp_path_factory.mktemp("any") / "s.jsonl")
    assert all(store.append(r) for r in some)
    assert [Store(store.path).get(r.key) for r in some] == some
    store.tidy()
    assert sorted(store.keys()) == sorted(r.key for r in some)
    assert [store.get(r.key) for r in some] == some


def test_line_separators_of_unicode_do_not_split_a_record(store):
    (record,) = filled(store, "a\u2028b\u2029c\x85d\x0b\x0ce\r\nf\x00\x1c")
    assert Store(store.path).get(record.key) == record


def test_a_missing_file_is_an_empty_store_and_reading_makes_nothing(store, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert (len(store), store.get("x"), "x" in store, store.keys(), list(store.records()), store.check()) == (0, None, False, [], [], [])
    assert store.tidy().kept == 0
    assert [p for p in sorted(tmp_path.iterdir()) if not p.name.endswith(".lock")] == before


def test_the_first_record_writes_the_header_with_what_was_remembered(store):
    store.remember(api_type="openai", model="gpt-4o-mini", endpoint=None)
    filled(store, "a")
    header, record = store.path.read_bytes().splitlines()
    assert header == b'{"format":"tinyllm_magic store","version":1,"api_type":"openai","model":"gpt-4o-mini"}'
    assert record.startswith(b'{"key":"k1:')
    assert dict(Store(store.path).header) == {"api_type": "openai", "model": "gpt-4o-mini"}


def test_later_facts_reach_the_header_with_tidy(store):
    filled(store, "a")
    store.remember(model="m2")
    store.tidy()
    assert Store(store.path).header == {"model": "m2"}


WRITER = """
import sys
from tinyllm_magic.responses import Answer, Record
from tinyllm_magic.recording.store import Store
from tinyllm_magic.messages import Message, Request
store, name, count = Store(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for i in range(count):
    request = Request("echo", "echo", (Message("user", f"{name} {i} " + "x" * 500),))
    assert store.append(Record(request.key, request.canonical(), Answer(text=f"{name} {i}", finish_reason="stop")))
    print(request.key, flush=True)
"""


def test_processes_that_write_at_once_lose_and_double_nothing(store):
    writers = [python(WRITER, store.path, name, 100, wait=False) for name in "abc"]
    keys = [key for w in writers for key in w.communicate(timeout=60)[0].split()]
    assert [w.returncode for w in writers] == [0, 0, 0]
    assert len(keys) == 300
    assert sorted(store.keys()) == sorted(keys)
    assert store.path.read_bytes().count(b"\n") == 301
    assert store.check() == []


def test_a_killed_writer_loses_nothing_it_has_acknowledged(store):
    acknowledged = []
    for turn in range(4):
        writer = python(WRITER, store.path, f"turn {turn}", 100_000, wait=False)
        acknowledged += [writer.stdout.readline().strip() for _ in range(3 + 40 * turn)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in writer.communicate()[0].splitlines() if len(line) == 67]
    assert len(acknowledged) > 200
    assert set(acknowledged) <= {r.key for r in store.records()}
    assert store.append(make())
    assert store.check() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_writes_with_locks_of_its_own(tmp_path):
    code = """
        import os, sys, threading
        from tinyllm_magic import session
        sys.path.insert(0, sys.argv[2])
        from records import make
        store = session.stores.open(__import__("pathlib").Path(sys.argv[1]))
        store.append(make("before"))
        held = threading.Thread(target=lambda: (store._guard.acquire(), threading.Event().wait(5)), daemon=True)
        held.start()
        while store._guard.acquire(blocking=False):
            store._guard.release()
        if os.fork() == 0:
            os._exit(not store.append(make("in the child")))
        print(os.wait()[1], flush=True)
        os._exit(0)
    """
    path = tmp_path / "forked.jsonl"
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), path, Path(__file__).parent.parent]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "0\n", done.stderr
    assert len(Store(path)) == 2


def test_records_that_cannot_be_written_warn_once_and_are_not_kept_waiting(tmp_path):
    store = Store(tmp_path / "folder")
    store.append(make("a"))
    store.path.unlink()
    store.path.mkdir()
    records = [make(f"b {n}") for n in range(40)]
    with pytest.warns(StoreWarning, match="cannot be written") as said:
        assert not all([*(store.append(r, wait=False) for r in records), store.flush()])
    assert len(said) == 1
    assert store.flush()  # nothing waits


def test_a_full_disk_warns_once_and_leaves_no_half_line(store):
    out = python(
        """
        import resource, sys, warnings
        from tinyllm_magic.responses import Answer, Record
        from tinyllm_magic.recording.store import Store
        from tinyllm_magic.messages import Message, Request
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        store, done = Store(sys.argv[1]), []
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for i in range(20):
                request = Request("echo", "echo", (Message("user", f"{i} " + "x" * 600),))
                done.append(store.append(Record(request.key, request.canonical(), Answer(text="a", finish_reason="stop"))))
        print(sum(done), [w.category.__name__ for w in said], len(store), said[0].message)
        """,
        store.path,
    )
    assert out.startswith("5 ['StoreWarning'] 5 ")
    assert "cannot be written" in out
    assert len(store) == 5
    assert store.check() == []
    assert store.path.read_bytes().endswith(b"\n")


@pytest.fixture
def readable_folder():
    """A folder that other users may enter; those of ``tmp_path`` are the tests' user's alone."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_a_read_only_folder_warns_once_and_is_read(readable_folder):
    folder = readable_folder
    store = Store(folder / "s.jsonl")
    (record,) = filled(store, "a")
    (folder / ".s.jsonl.lock").unlink()
    for path, mode in ((store.path, 0o444), (folder, 0o555)):
        path.chmod(mode)
    out = python(
        """
        import os, sys, warnings, dataclasses
        from tinyllm_magic.recording.modes import Mode
        from tinyllm_magic.recording.recorder import RecordingProvider
        from tinyllm_magic.recording.store import Store
        from tinyllm_magic.messages import Message, Request
        from tinyllm_magic.providers.echo import EchoProvider
        import filelock, msgspec, tinyllm_magic.errors
        assert Request("echo", "echo", (Message("user", "x"),)).key  # what it imports late, another user may not read
        if os.geteuid() == 0:
            os.setuid(65534)
        store = Store(sys.argv[1])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for text in ("new", "newer"):
                request = Request("echo", "echo", (Message("user", text),))
                *_, last = RecordingProvider(EchoProvider(), store, Mode.AUTO).send(request)
                print(last.record.answer.text, last.source)
        print(len(store), store.get(sys.argv[2]).answer.text, [w.category.__name__ for w in said])
        """,
        store.path,
        record.key,
    )
    folder.chmod(0o755)
    assert out.split("\n")[:3] == ["new live", "newer live", "1 Hi ['StoreWarning']"]


def test_a_lock_that_is_never_free_warns_once(store):
    (kept,) = filled(store, "a")
    other = Store(store.path, lock_timeout=0.05)
    release = threading.Event()
    held = threading.Event()

    def hold():
        with store._lock.held():
            held.set()
            release.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    try:
        with pytest.warns(StoreWarning, match="cannot be written") as said:
            assert [other.append(make("b")), other.append(make("c"))] == [False, False]
        assert len(said) == 1
        with pytest.raises(StoreError, match="cannot be written"):
            other.tidy()
    finally:
        release.set()
        thread.join()
    assert store.keys() == [kept.key]


def test_a_missing_folder_is_made_by_the_first_record(tmp_path):
    store = Store(tmp_path / "deep" / "er" / "s.jsonl")
    filled(store, "a")
    assert len(Store(store.path)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b'{\n "cells": [],\n "nbformat": 4\n}\n',
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9,
        b"hello",
        b'{"key":"a","value":1}\n',
        b"\x00" * 5000,
    ],
    ids=["notebook", "binary", "text", "other JSON lines", "zeros"],
)
def test_a_file_that_is_no_store_is_never_changed(store, content):
    store.path.write_bytes(content)
    with pytest.raises(StoreError, match=r"analysis\.llm\.jsonl is not a store"):
        store.get("x")
    with pytest.warns(StoreWarning, match="is not a store") as said:
        assert [store.append(make()), store.append(make("b"))] == [False, False]
    assert len(said) == 1
    for change in (store.tidy, store.clear, lambda: store.merge(store.path)):
        with pytest.raises(StoreError, match="is not a store"):
            change()
    assert store.path.read_bytes() == content


def test_a_folder_is_no_store(tmp_path):
    with pytest.raises(StoreError, match="place cannot be read as a store"):
        len(Store(tmp_path / "place"))


def test_a_newer_format_is_read_but_not_changed(store):
    record = make()
    text = b'{"format":"tinyllm_magic store","version":2}\n' + encode(record)
    store.path.write_bytes(text)
    assert store.get(record.key) == record
    assert store.problems == [(1, "format version 2 is newer than 1: read, but not changed")]
    with pytest.warns(StoreWarning, match="format version 2"):
        assert not store.append(make("b"))
    for change in (store.tidy, store.clear):
        with pytest.raises(StoreError, match="Upgrade"):
            change()
    assert store.path.read_bytes() == text


def test_tidy_sorts_removes_duplicates_and_sets_damage_aside(store):
    filled(store, "b", "a", "b", "c")
    with store.path.open("ab") as file:
        file.write(b"garbage\n")
    mode = store.path.stat().st_mode
    done = store.tidy()
    assert (done.kept, done.dropped, done.rejected, done.added) == (3, 1, 1, 0)
    assert store.keys() == sorted(store.keys())
    assert store.path.with_name(store.path.name + ".rejected").read_bytes() == b"garbage\n"
    assert store.path.stat().st_mode == mode
    assert sorted(p.name for p in store.path.parent.iterdir() if p.is_file()) == [
        ".analysis.llm.jsonl.lock",
        "analysis.llm.jsonl",
        "analysis.llm.jsonl.rejected",
    ]


def test_tidying_a_tidy_store_does_not_touch_it(store):
    filled(store, "a", "b")
    store.tidy()
    before = store.path.stat()
    store.tidy()
    assert store.path.stat().st_mtime_ns == before.st_mtime_ns
    assert store.path.stat().st_ino == before.st_ino


def test_a_store_behind_a_link_stays_behind_it(store, tmp_path):
    filled(store, "b", "a")
    link = tmp_path / "place" / "link.jsonl"
    link.symlink_to(store.path)
    Store(link).tidy()
    assert link.is_symlink()
    assert store.keys() == sorted(store.keys())


def test_merge_takes_the_later_answer_of_a_key(store, tmp_path):
    other = Store(tmp_path / "other.jsonl")
    other.remember(endpoint="e")
    later = make("both", said="later", created="2026-01-01T00:00:00.000Z")
    filled(store, "ours", "both")
    for record in (later, make("theirs")):
        other.append(record)
    done = store.merge(other.path)
    assert (done.kept, done.added) == (3, 2)
    assert store.get(later.key) == later
    assert store.header == {"endpoint": "e"}
    assert other.merge(store.path).kept == 3
    assert store.path.read_bytes() == other.path.read_bytes()


def test_merge_of_a_missing_store_is_an_error(store, tmp_path):
    with pytest.raises(StoreError, match=r"no store other\.jsonl"):
        store.merge(tmp_path / "other.jsonl")


def test_clear_keeps_the_header_alone(store):
    store.remember(model="m")
    filled(store, "a", "b")
    assert store.clear() == 2
    assert (len(store), store.header, store.path.read_bytes().count(b"\n")) == (0, {"model": "m"}, 1)


def test_what_was_cleared_comes_back_by_merging(store):
    records = filled(store, "a", "b")
    store.clear()
    (later,) = filled(store, "c")
    store.clear()
    store.merge(store.cleared)
    assert [store.get(r.key) for r in (*records, later)] == [*records, later]


def test_only_the_keys_that_are_named_are_cleared(store):
    gone, kept = filled(store, "a", "b")
    assert store.clear([gone.key, "k1:unknown"]) == 1
    assert (store.keys(), Store(store.cleared).keys()) == ([kept.key], [gone.key])


def test_clearing_sets_damaged_lines_aside(store):
    filled(store, "a")
    with store.path.open("ab") as file:
        file.write(b"garbage\n")
    store.clear()
    assert store.path.with_name(f"{store.path.name}.rejected").read_bytes() == b"garbage\n"


def test_a_file_that_is_no_store_at_the_place_for_cleared_records_loses_nothing(store):
    filled(store, "a")
    store.cleared.write_bytes(b"hello")
    with pytest.raises(StoreError, match="is not a store"):
        store.clear()
    assert (len(store), store.cleared.read_bytes()) == (1, b"hello")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x80\x04\x95}.", "a Python pickle"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b'{"cells": []}\n', "other JSON"),
        (b"\0\1\2\n", "binary data"),
        (b"hello\n", "other text"),
    ],
)
def test_a_file_that_is_no_store_is_called_what_it_is(store, content, kind):
    store.path.write_bytes(content)
    with pytest.raises(StoreError, match=f"is not a store of recorded answers but {kind}"):
        store.get("x")


def test_check_finds_a_key_that_is_not_the_digest_of_its_request(store):
    filled(store, "a")
    store.append(replace(make("b"), key="k1:" + "0" * 64))
    assert store.check() == [(3, "its key is not the digest of its request")]


def test_a_forged_record_does_not_push_out_the_genuine_one(store):
    (genuine,) = filled(store, "a")
    store.append(replace(make("b", said="forged"), key=genuine.key))
    request = ask("a")
    assert store.get(genuine.key, request.canonical()) == genuine
    assert store.problems == [(3, "its key belongs to another request")]
    assert store.tidy().rejected == 1
    assert store.get(genuine.key) == genuine


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "my_token", "CLIENT_SECRET", "DB_PASSWORD"])
@pytest.mark.parametrize("place", ["prompt", "answer", "tool"])
def test_a_secret_is_never_written(store, monkeypatch, name, place):
    monkeypatch.setenv(name, "hunter2-hunter2")
    said = "It is hunter2-hunter2."
    record = make(said if place == "prompt" else "x", said=said if place == "answer" else "x")
    if place == "tool":
        record = replace(record, answer=Answer(tool_calls=(ToolCall("1", "f", json.dumps({"a": said})),)))
    with pytest.warns(StoreWarning, match=name) as warned:
        assert not store.append(record)
    assert "hunter2" not in str(warned[0].message)
    assert not store.path.exists()


def test_a_secret_in_the_header_leaves_the_header_empty(store, monkeypatch):
    monkeypatch.setenv("GATEWAY_TOKEN", "abcdef-0123456789")
    store.remember(endpoint="https://host/abcdef-0123456789/v1")
    with pytest.warns(StoreWarning, match="GATEWAY_TOKEN"):
        assert store.append(make())
    assert b"abcdef" not in store.path.read_bytes()


def test_merge_takes_no_secret_in(store, tmp_path, monkeypatch):
    other = Store(tmp_path / "other.jsonl")
    filled(other, "my secret is zebra-crossing-42", "clean")
    monkeypatch.setenv("A_SECRET", "zebra-crossing-42")
    with pytest.warns(StoreWarning, match="A_SECRET"):
        assert store.merge(other.path).kept == 1
    assert b"zebra" not in store.path.read_bytes()


def test_one_store_serves_many_threads(store):
    def work(n):
        made = [make(f"{n} {i}") for i in range(20)]
        return all(store.append(r) and store.get(r.key) == r for r in made)

    threads, results = in_threads(6, work)
    finish(threads)
    assert results == [True] * 6
    assert len(store) == 120
    assert store.check() == []


def test_writing_says_nothing_when_all_is_well(store):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filled(store, "a")
    assert parse(store.path.read_bytes().splitlines()[0])["version"] == 1


def test_facts_that_are_remembered_later_stand_in_the_file_with_the_next_record_and_once(store):
    filled(store, "a")
    store.remember(api_type="openai", model="m")
    filled(store, "b", "c")
    assert Store(store.path).header == {"api_type": "openai", "model": "m"}
    assert store.path.read_bytes().count(b'{"format"') == 2
    assert Store(store.path).check() == []
    store.tidy()
    assert store.path.read_bytes().count(b'{"format"') == 1
    assert Store(store.path).header == {"api_type": "openai", "model": "m"}


def test_facts_that_hold_a_secret_add_no_header_to_a_file(store, monkeypatch):
    filled(store, "a")
    monkeypatch.setenv("A_TOKEN", "xyzzy-PLUGH-42")
    store.remember(endpoint="http://gateway/xyzzy-PLUGH-42")
    filled(store, "b")
    assert store.path.read_bytes().count(b'{"format"') == 1


def test_among_many_reads_what_another_process_does_meanwhile_is_seen(store):
    other = Store(store.path)
    first, second = filled(other, "a", "b")
    with store.reading_many():
        assert store.get(first.key) == first
        (third,) = filled(other, "c")
        assert store.get(third.key) == third
        other.tidy()
        assert [store.get(r.key) for r in (first, second, third)] == [first, second, third]
        store.append(fourth := make("d"))
        assert store.get(fourth.key) == fourth
        store.clear([first.key])
        assert (store.get(first.key), store.get(second.key), first.key in store) == (None, second, False)
        store.path.unlink()
        assert "x" not in store
    assert store.get(second.key) is None


def test_many_reads_open_the_file_once(store, monkeypatch):
    some = filled(store, *map(str, range(50)))
    opened = []
    monkeypatch.setattr("tinyllm_magic.recording.store.open_regular", lambda *how: opened.append(1) or open_regular(*how))
    monkeypatch.setattr("tinyllm_magic.recording.store._MOMENT", 600.0)
    with store.reading_many():
        assert [store.get(r.key) for r in some] == some
        assert all(r.key in store for r in some)
    assert len(opened) == 1

    assert store.get(some[0].key) == some[0]
    assert len(opened) == 2
