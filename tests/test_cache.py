"""The store of recorded answers, and the provider that answers from it."""

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyllm_magic import Message, Request
from tinyllm_magic.answers import Answer, Chunk, Folder, Record, ToolCall, ToolPiece, Usage
from tinyllm_magic.cache import Decision, Mode, Recorded, Store, StoreWarning, decide, explain_miss, replayed
from tinyllm_magic.errors import BadResponseError, ConfigError, MessageError, RateLimitError, ReplayMiss, StoreError
from tinyllm_magic.providers.echo import EchoProvider
from tinyllm_magic.records import LONGEST_LINE, Damaged, decode, encode, leak, parse, secrets

MARKERS = [b"<<<<<<< HEAD\n", b"=======\n", b">>>>>>> branch with spaces\n"]


def ask(text="Hello", **more):
    return Request("openai", more.pop("model", "gpt-4o-mini"), (Message("system", "Be brief."), Message("user", text)), **more)


def make(text="Hello", said="Hi", created="2025-11-21T09:00:00.000Z", **more):
    request = ask(text, **more)
    return Record(
        request.key, request.canonical(), Answer(text=said, finish_reason="stop", usage=Usage(3, 1)), created, 0.5, 0.001, "0.1.0"
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "analysis.llm.jsonl")


def filled(store, *texts):
    records = [make(t) for t in texts]
    assert all(store.append(r) for r in records)
    return records


def fold(chunks):
    folder = Folder()
    chunks = list(chunks)
    for chunk in chunks:
        folder.add(chunk)
    return folder.answer(), chunks[-1]


def python(code, *arguments, wait=True):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=-1, stderr=-1, text=True)
    if not wait:
        return process
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


# ---- mode and decision


@pytest.mark.parametrize(
    ("mode", "known", "decision"),
    [
        (Mode.AUTO, True, Decision.REPLAY),
        (Mode.AUTO, False, Decision.CALL_AND_RECORD),
        (Mode.REPLAY, True, Decision.REPLAY),
        (Mode.REPLAY, False, Decision.MISS),
        (Mode.REFRESH, True, Decision.CALL_AND_RECORD),
        (Mode.REFRESH, False, Decision.CALL_AND_RECORD),
        (Mode.OFF, True, Decision.CALL),
        (Mode.OFF, False, Decision.CALL),
    ],
)
def test_decide_is_this_table(mode, known, decision):
    assert decide(mode, known) is decision


def test_a_misspelt_mode_names_near_ones():
    with pytest.raises(ConfigError, match="Did you mean 'replay'"):
        Mode.of("replya")


def test_a_mode_that_resembles_nothing_lists_all():
    with pytest.raises(ConfigError, match="auto, replay, refresh, off"):
        Mode.of("banana")


# ---- one record, one line

words = st.text(max_size=30)
maybe = st.none() | words
counts = st.integers(0, 2**53)
amounts = st.floats(0, 1e6)
usages = st.builds(Usage, counts, counts, counts, counts, st.booleans())
answers = st.builds(
    Answer,
    text=maybe,
    tool_calls=st.lists(st.builds(ToolCall, words, words, words), max_size=2).map(tuple),
    finish_reason=maybe,
    usage=st.none() | usages,
    model=maybe,
    fingerprint=maybe,
    reasoning=words,
    refusal=words,
    notes=st.lists(words, max_size=2).map(tuple),
    embeddings=st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple), max_size=2).map(tuple),
)
params = st.dictionaries(words, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words | st.lists(words, max_size=2), max_size=3)
requests = st.builds(lambda t, p: {"kind": "chat", "messages": [{"role": "user", "content": t}], "params": p}, words, params)
records = st.builds(Record, words, requests, answers, words, amounts, st.none() | amounts, words)


@given(records)
@settings(max_examples=150, deadline=None)
def test_a_record_survives_its_line_exactly(record):
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    back = decode(line)
    assert back == record
    assert repr(back.answer) == repr(record.answer)  # typed: tuples, floats, Usage, ToolCall


@given(st.lists(records.filter(lambda r: r.key), max_size=4, unique_by=lambda r: r.key))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_a_record_holds_only_what_is_not_empty():
    value = json.loads(encode(make()))
    assert list(value) == ["key", "request", "answer", "created", "duration", "cost", "version"]
    assert value["answer"] == {"text": "Hi", "finish_reason": "stop", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}


GOOD = json.loads(encode(make()))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"", "not JSON"),
        (b"\x00" * 40, "not JSON"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"[1]", "not an object"),
        (b'{"key":"a"', "not JSON"),
        (b'{"key":"a","key":"b"}', "twice"),
        (b'{"key":"a","request":{"x":{"y":1,"y":1}},"answer":{}}', "twice"),
        (b'{"key":"a","n":' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"key":"a","n":1e999}', "not finite"),
        (b'{"key":"a","n":NaN}', "not finite"),
        (b'{"key":"a","n":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b'{"key":"a","n":' + b"[" * 300 + b"]" * 300 + b"}", "nested"),
        (b'{"key":"a","n":"\\ud800"}', "surrogate"),
        (b'{"key":"a","n":"' + b"x" * LONGEST_LINE + b'"}', "longer than 32 MB"),
        (b'{"key":1}', "no 'key'"),
        (b'{"key":"a","request":[]}', "no 'request'"),
    ],
    ids=range(16),
)
def test_a_hostile_line_is_refused_by_name(line, what):
    with pytest.raises(Damaged, match=what):
        decode(line)


@pytest.mark.parametrize(
    "change",
    [
        {"answer": {"text": 1}},
        {"answer": {"tool_calls": [1]}},
        {"answer": {"tool_calls": {}}},
        {"answer": {"tool_calls": [{"id": 1}]}},
        {"answer": {"usage": {"prompt_tokens": True}}},
        {"answer": {"usage": {"prompt_tokens": -1}}},
        {"answer": {"usage": {"prompt_tokens": 1.5}}},
        {"answer": {"usage": {"estimated": 1}}},
        {"answer": {"notes": ["a", 1]}},
        {"answer": {"embeddings": [["a"]]}},
        {"answer": {"embeddings": [[True]]}},
        {"answer": {"reasoning": None}},
        {"request": {"messages": "x"}},
        {"request": {"messages": ["x"]}},
        {"request": {"messages": [{"role": "weird", "content": "x"}]}},
        {"request": {"messages": [{"content": "x"}]}},
        {"request": {"messages": [{"role": "user", "content": 5}]}},
        {"request": {"messages": [{"role": "user", "content": [5]}]}},
        {"request": {"messages": [{"role": "user", "content": "x", "tool_calls": 5}]}},
        {"request": {"model": 1}},
        {"request": {"params": []}},
        {"created": 5},
        {"duration": "1"},
        {"duration": -1},
        {"duration": None},
        {"cost": True},
        {"version": []},
    ],
    ids=str,
)
def test_a_field_of_a_wrong_type_is_refused(change):
    with pytest.raises(Damaged):
        decode(json.dumps({**GOOD, **change}).encode())


# ---- the file


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


def test_a_later_record_of_a_key_wins(store):
    store.append(make(said="old"))
    store.append(make(said="new"))
    assert store.get(make().key).answer.text == "new"
    assert len(store) == 1


def test_a_damaged_later_line_falls_back_to_the_earlier_one(store):
    old = make(said="old")
    store.append(old)
    with store.path.open("ab") as file:
        file.write(encode(make(said="new"))[:-20] + b"\n")
    assert store.get(old.key) == old
    assert store.problems == [(3, "not JSON")]


def test_records_of_another_process_are_seen_without_reopening(store):
    filled(store, "a")
    assert len(store) == 1
    other = Store(store.path)
    record = make("from elsewhere")
    other.append(record)
    assert store.get(record.key) == record


@pytest.mark.parametrize("in_place", [True, False])
def test_a_replaced_file_is_indexed_anew(store, tmp_path, in_place):
    gone, stays = filled(store, "a longer prompt than the other", "b")
    new = make("b", said="else")
    text = store.path.read_bytes().splitlines(keepends=True)[0] + encode(new) + encode(make("c")) * 5
    if in_place:
        store.path.write_bytes(text)
    else:
        (tmp_path / "new").write_bytes(text)
        (tmp_path / "new").replace(store.path)
    assert store.get(gone.key) is None
    assert store.get(stays.key) == new


def test_a_store_tidied_by_another_is_read_on(store):
    records = filled(store, *"dbacdab")
    assert store.get(records[0].key) == records[0]
    Store(store.path).tidy()
    assert [store.get(r.key) for r in records] == records
    late = make("late")
    assert store.append(late)
    assert Store(store.path).get(late.key) == late


@pytest.mark.parametrize("shape", ["bom", "crlf", "no newline at the end", "blank lines", "keys sorted", "spaced"])
def test_what_editors_do_to_a_file_is_read_and_tidied_away(store, shape):
    some = filled(store, "a", "b")
    clean = Store(store.path)
    clean.tidy()
    want = store.path.read_bytes()
    lines = want.splitlines(keepends=True)
    text = {
        "bom": b"\xef\xbb\xbf" + want,
        "crlf": want.replace(b"\n", b"\r\n"),
        "no newline at the end": want[:-1],
        "blank lines": b"\n\n".join(lines) + b"  \n",
        "keys sorted": b"".join(json.dumps(json.loads(line), sort_keys=True).encode() + b"\n" for line in lines),
        "spaced": b"".join(json.dumps(json.loads(line)).encode() + b"\n" for line in lines),
    }[shape]
    store.path.write_bytes(text)
    assert [store.get(r.key) for r in some] == some
    more = make("more")
    assert store.append(more)
    assert store.tidy().rejected == 0
    assert len(store) == 3
    assert b"\r" not in store.path.read_bytes()
    assert [json.loads(line).get("key") for line in store.path.read_bytes().splitlines()][1:] == sorted(store.keys())


def test_every_flipped_byte_costs_its_own_record_at_most(tmp_path):
    store = Store(tmp_path / "s.jsonl")
    some = filled(store, "a", "b", "c")
    text = store.path.read_bytes()
    lines, lost = text.splitlines(keepends=True), []
    for at in range(len(text)):
        hit = len(text[: at + 1].splitlines()) - 2  # which record's line the byte belongs to; -1: the header
        flipped = bytearray(text)
        flipped[at] ^= 1 << (at % 7)
        store.path.write_bytes(flipped)
        store._index = type(store._index)()
        lost += [at for n, record in enumerate(some) if n != hit and store.get(record.key, record.request) != record]
        store.check()
    assert len(lines) == 4
    assert lost == []


def test_a_line_feed_that_turned_into_something_else_costs_nothing(store):
    some = filled(store, "a", "b")
    text = store.path.read_bytes()
    for at in (i for i in range(len(text) - 1) if text[i] == 10):
        store.path.write_bytes(text[:at] + b"*" + text[at + 1 :])
        assert [Store(store.path).get(r.key) for r in some] == some


def test_every_truncation_of_the_last_record_leaves_the_others(tmp_path):
    store = Store(tmp_path / "s.jsonl")
    first, last = filled(store, "a", "b")
    text = store.path.read_bytes()
    start, new = text.rindex(b'{"key"'), make("new")
    for cut in range(start, len(text)):
        store.path.write_bytes(text[:cut])
        assert store.get(first.key) == first
        assert (store.get(last.key) == last) is (cut == len(text) - 1)
        assert store.append(new)
        again = Store(store.path)
        assert (again.get(first.key), again.get(new.key)) == (first, new)
        assert again.check() == []
    assert store.path.with_name("s.jsonl.rejected").read_bytes().count(b"\n") == len(text) - start - 2


def test_a_torn_last_line_is_reported_and_set_aside_by_tidy(store):
    (first,) = filled(store, "a")
    torn = encode(make("b"))[:40]
    with store.path.open("ab") as file:
        file.write(torn)
    assert store.check() == [(3, "the last line is torn")]
    assert store.tidy().rejected == 1
    assert store.path.with_name(store.path.name + ".rejected").read_bytes() == torn + b"\n"
    assert [store.get(first.key), store.check()] == [first, []]


def test_a_torn_header_is_a_store_that_has_just_begun(store):
    filled(store, "a")
    text = store.path.read_bytes()
    for cut in range(1, text.index(b"\n")):
        store.path.write_bytes(text[:cut])
        assert store.append(make("b"))
        assert len(Store(store.path)) == 1


def test_an_overlong_line_hides_nothing_behind_it(store):
    (first,) = filled(store, "a")
    last = make("z")
    with store.path.open("ab") as file:
        file.write(b'{"key":"big","x":"' + b"x" * (LONGEST_LINE + 5) + b'"}\n' + encode(last))
    assert [store.get(first.key), store.get(last.key)] == [first, last]
    assert store.problems == [(3, "longer than 32 MB")]


def test_conflict_markers_are_named_and_both_sides_are_read(store):
    ours, theirs = make("ours"), make("theirs")
    (base,) = filled(store, "base")
    with store.path.open("ab") as file:
        file.writelines([MARKERS[0], encode(ours), MARKERS[1], encode(theirs), MARKERS[2]])
    assert [store.get(r.key) for r in (base, ours, theirs)] == [base, ours, theirs]
    assert [(n, what[:25]) for n, what in store.problems] == [
        (n, "git conflict marker " + m) for n, m in ((3, "<<<<<"), (5, "====="), (7, ">>>>>"))
    ]
    done = store.tidy()
    assert (done.kept, done.rejected, store.problems) == (3, 0, [])
    assert not store.path.with_name(store.path.name + ".rejected").exists()


def test_in_a_conflict_the_later_answer_stays_wherever_it_stands(store):
    new = make(said="new", created="2025-12-01T00:00:00.000Z")
    old = make(said="old", created="2025-11-01T00:00:00.000Z")
    store.remember(model="x")
    filled(store, "base")
    with store.path.open("ab") as file:
        file.writelines([MARKERS[0], encode(new), b"||||||| base\n", encode(old), MARKERS[1], encode(old), MARKERS[2]])
    assert store.get(new.key) == new
    store.tidy()
    assert Store(store.path).get(new.key) == new


def test_a_conflict_in_the_header_keeps_the_facts_of_both(store):
    record = encode(make())
    one = b'{"format":"tinyllm_magic store","version":1,"model":"a"}\n'
    other = b'{"format":"tinyllm_magic store","version":1,"endpoint":"e"}\n'
    store.path.write_bytes(b"".join([MARKERS[0], one, MARKERS[1], other, MARKERS[2], record]))
    store.tidy()
    assert store.header == {"model": "a", "endpoint": "e"}
    assert store.path.read_bytes().count(b'"format"') == 1


def test_branches_merged_by_git_keep_every_record(tmp_path):
    def git(*arguments, check=True):
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
        return subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=check, capture_output=True)

    store = Store(tmp_path / "s.jsonl")
    filled(store, "base")
    git("init", "-q")
    git("add", "s.jsonl")
    git("commit", "-qm", "base")
    git("checkout", "-qb", "side")
    side = filled(store, "side 1", "both")
    git("commit", "-qam", "side")
    git("checkout", "-q", "main")
    main = filled(store, "main 1", "both")
    git("commit", "-qam", "main")
    assert git("merge", "side", check=False).returncode == 1
    assert b"<<<<<<<" in store.path.read_bytes()
    assert store.tidy().kept == 4
    assert [store.get(r.key) for r in side + main] == side + main
    assert store.check() == []


# ---- writing under difficulties

WRITER = """
import sys
from tinyllm_magic.answers import Answer, Record
from tinyllm_magic.cache import Store
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
    records, plain = [make(f"later {n}") for n in range(3)], store._appends._write

    def interrupted(lines):
        raise KeyboardInterrupt

    monkeypatch.setattr(store._appends, "_write", interrupted)
    store.append(records[0], wait=False)
    with pytest.raises(KeyboardInterrupt):
        store.append(records[1])
    monkeypatch.setattr(store._appends, "_write", plain)

    assert store.is_changed
    assert store.append(records[2])  # the lock is free
    assert [Store(store.path).get(r.key) for r in records] == records


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_an_interrupt_while_the_lock_is_taken_leaves_it_free():
    """The writer lets go of the lock, and the signal comes before the one that waits for it goes on."""
    code = """
        import os, signal, threading, time
        from tinyllm_magic.appends import Appends
        held = 0
        for _ in range(20):
            appends = Appends(lambda lines: None)
            appends.waiting["k"] = b"x"
            appends._writing.acquire()
            def writer():
                time.sleep(0.02)
                appends._writing.release()
                os.kill(os.getpid(), signal.SIGINT)
            thread = threading.Thread(target=writer)
            thread.start()
            try:
                appends.flush()
                time.sleep(1)
            except KeyboardInterrupt:
                pass
            thread.join()
            held += appends._writing.locked()
        print(held)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == "0\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_writes_with_locks_of_its_own(tmp_path):
    code = """
        import os, sys, threading
        from tinyllm_magic import session
        sys.path.insert(0, sys.argv[2])
        from test_cache import make
        store = session.store_at(__import__("pathlib").Path(sys.argv[1]))
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
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), path, Path(__file__).parent]
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
        from tinyllm_magic.answers import Answer, Record
        from tinyllm_magic.cache import Store
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


def test_a_read_only_folder_warns_once_and_is_read(tmp_path):
    folder = tmp_path / "fixed"
    folder.mkdir()
    store = Store(folder / "s.jsonl")
    (record,) = filled(store, "a")
    (folder / ".s.jsonl.lock").unlink()
    for path, mode in ((store.path, 0o444), (folder, 0o555), *((p, 0o755) for p in folder.parents[:3])):
        path.chmod(mode)
    out = python(
        """
        import os, sys, warnings, dataclasses
        from tinyllm_magic.cache import Mode, Recorded, Store
        from tinyllm_magic.messages import Message, Request
        from tinyllm_magic.providers.echo import EchoProvider
        import filelock, tinyllm_magic.errors
        assert Request("echo", "echo", (Message("user", "x"),)).key  # what it imports late, another user may not read
        if os.geteuid() == 0:
            os.setuid(65534)
        store = Store(sys.argv[1])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for text in ("new", "newer"):
                request = Request("echo", "echo", (Message("user", text),))
                *_, last = Recorded(EchoProvider(), store, Mode.AUTO).send(request)
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
        with store._lock:
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


# ---- tidy, merge, check, stats, nearest


def test_tidy_sorts_drops_doubles_and_sets_damage_aside(store):
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


def test_stats_count_what_is_there(store):
    assert (store.stats().records, store.stats().cost, store.stats().first) == (0, None, None)
    filled(store, "a")
    store.append(replace(make("b", created="2026-01-01"), cost=None))
    found = store.stats()
    assert (found.records, found.models, found.unpriced) == (2, {"gpt-4o-mini": 2}, 1)
    assert (found.first, found.last, found.cost) == ("2025-11-21T09:00:00.000Z", "2026-01-01", 0.001)
    assert found.size == store.path.stat().st_size


def test_nearest_is_the_one_with_the_fewest_differences_then_the_most_alike(store):
    report = "Summarise the report of 2025-11-21 about the harbour."
    filled(store, "Tell me a joke about cats.", report, "Translate: the quick brown fox.")
    store.append(make(report, model="gpt-5"))
    assert store.nearest(ask(report.replace("11-21", "12-24")).canonical()) == make(report)
    assert store.nearest(ask(report, model="gpt-5", params={"temperature": 0}).canonical()) == make(report, model="gpt-5")


def test_the_nearest_is_found_among_thousands(store):
    lines = [encode(make(f"Question {i} about {'harbours ships sails ' * 20}{i * 7919 % 10007}")) for i in range(2_000)]
    filled(store, "first")
    with store.path.open("ab") as file:
        file.writelines(lines)
    len(store)
    wanted = decode(lines[777])
    asked = json.loads(json.dumps(wanted.request).replace("Question 777", "Question 777 now"))
    assert store.nearest(asked) == wanted


# ---- secrets

SECRET = 'sk-"quoted"/\\slash\u00e9-1234567890'
SPELLINGS = [
    SECRET,
    json.dumps(SECRET),
    json.dumps(SECRET, ensure_ascii=False),
    json.dumps({"a": json.dumps(SECRET)}),
    json.dumps(SECRET).replace("/", "\\/"),
    "".join(f"\\u{ord(c):04X}" for c in SECRET),
]


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


@pytest.mark.parametrize("spelling", SPELLINGS, ids=range(len(SPELLINGS)))
def test_a_secret_is_found_in_every_spelling(spelling):
    assert leak(encode(make(f"Use {spelling} now")), {"X_KEY": SECRET}) == "X_KEY"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("A_KEY", "short12"),
        ("A_KEY", ""),
        ("PASSWORD", "password"),
        ("A_TOKEN", "changeme"),
        ("KEYBOARD", "qwertzuiop"),
        ("HOME", "/home/someone"),
    ],
)
def test_what_is_no_secret_blocks_nothing(name, value):
    assert leak(encode(make(f"prompt {value} end", said=value)), {name: value}) is None


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_clean_prompts_are_never_blocked(prompt, said):
    environ = {"OPENAI_API_KEY": "sk-proj-0123456789abcdef", "DB_PASSWORD": 'p"a\\ss wörd 99'}
    assert secrets(environ) == environ
    if not any(v in prompt + said for v in environ.values()):
        assert leak(encode(make(prompt, said=said)), environ) is None


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


# ---- the recording provider


def recorded(provider, store, mode=Mode.AUTO, **more):
    return Recorded(provider, store, mode, version="0.1.0", **more)


RICH = [
    Chunk(note="fell back to JSON mode"),
    Chunk(reasoning="Let me think."),
    Chunk(text="He"),
    Chunk(text="llo \ud83d"),
    Chunk(text="\ude00 \ud800!"),
    Chunk(tool_pieces=(ToolPiece(0, "c1", "add", '{"a":'), ToolPiece(1, "c2", "sub", "{}"))),
    Chunk(tool_pieces=(ToolPiece(0, "", "", "1}"),), refusal="no"),
    Chunk(finish_reason="tool_calls", model="gpt-4o-mini-2024-07-18", fingerprint="fp_1"),
    Chunk(usage=Usage(10, 20, 5, 7)),
]
ANSWERS = {
    "rich": RICH,
    "text": "Hello there",
    "empty": "",
    "tools only": [Chunk(tool_pieces=(ToolPiece(0, "c", "f", "{}"),), finish_reason="tool_calls")],
    "embedding": [Chunk(embeddings=((1.0, -0.25), (3, 1e-17)), finish_reason="stop", usage=Usage(4))],
    "restarted": [Chunk(text="void"), Chunk(restart=True), Chunk(text="valid", finish_reason="stop")],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_miss_and_a_hit_give_equal_records_and_answers(store, name):
    provider = EchoProvider([ANSWERS[name]])
    price = lambda request, answer: 0.25  # noqa: E731
    live, last = fold(recorded(provider, store, price=price).send(ask()))
    hit, last_hit = fold(recorded(lambda: pytest.fail("a hit builds nothing"), Store(store.path)).send(ask()))
    assert last.record == last_hit.record
    assert repr(last.record) == repr(last_hit.record)
    assert hit == last.record.answer
    assert (last.source, last_hit.source) == ("live", "recorded")
    assert (last.record.cost, last.record.version, last.record.key) == (0.25, "0.1.0", ask().key)
    assert len(provider.requests) == 1
    if name != "rich":  # whose lone surrogate is repaired in the record
        assert live == last.record.answer


def test_lone_surrogates_are_replaced_and_halves_joined(store):
    _, last = fold(recorded(EchoProvider([RICH]), store).send(ask()))
    assert last.record.answer.text == "Hello \U0001f600 \ufffd!"
    store.path.read_bytes().decode("utf-8")


def test_a_record_says_when_how_long_and_not_more_than_is_known(store):
    _, last = fold(recorded(EchoProvider([[Chunk(text="x", finish_reason="stop")]]), store).send(ask()))
    assert last.record.created.endswith("Z")
    assert last.record.created[:2] == "20"
    assert 0 <= last.record.duration < 5
    assert (last.record.answer.usage, last.record.cost) == (None, None)


def test_chunks_arrive_while_the_provider_still_answers(store):
    seen = []

    class Slow:
        def send(self, request):
            for word in "abc":
                seen.append(word)
                yield Chunk(text=word)
            yield Chunk(finish_reason="stop")

    stream = recorded(Slow(), store).send(ask())
    assert (next(stream).text, seen) == ("a", ["a"])
    assert (next(stream).text, seen) == ("b", ["a", "b"])
    stream.close()
    assert len(store) == 0


@given(answers.filter(lambda a: a.finish_reason and a.model != "" and a.fingerprint != "" and "" not in a.notes))
@settings(max_examples=60, deadline=None)
def test_a_replayed_record_folds_to_its_answer(answer):
    assert fold(replayed(Record("k", {}, answer)))[0] == answer


@pytest.mark.parametrize(
    ("mode", "calls", "written"),
    [(Mode.AUTO, 0, 1), (Mode.REPLAY, 0, 1), (Mode.REFRESH, 1, 2), (Mode.OFF, 1, 1)],
)
def test_each_mode_calls_and_writes_as_it_says_when_known(store, mode, calls, written):
    filled(store, "Hello")
    provider = EchoProvider(["new"])
    _, last = fold(recorded(provider, store, mode).send(ask()))
    assert len(provider.requests) == calls
    assert store.path.read_bytes().count(b'{"key"') == written
    assert last.record.answer.text == ("new" if calls else "Hi")
    assert store.get(ask().key).answer.text == ("new" if mode is Mode.REFRESH else "Hi")


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.REFRESH, Mode.OFF])
def test_without_a_store_the_record_is_built_all_the_same(mode):
    _, last = fold(recorded(EchoProvider(), None, mode).send(ask("Hi")))
    assert (last.record.answer.text, last.record.key, last.source) == ("Hi", ask("Hi").key, "live")


def test_off_neither_reads_nor_writes(store):
    store.path.write_bytes(b"no store at all")
    _, last = fold(recorded(EchoProvider(), store, Mode.OFF).send(ask("Hi")))
    assert last.record.answer.text == "Hi"


def test_a_provider_is_built_once_and_only_when_needed(store):
    built = []

    def factory():
        built.append(EchoProvider())
        return built[-1]

    provider = recorded(factory, store)
    assert built == []
    for text in ("a", "b", "a"):
        fold(provider.send(ask(text)))
    assert [len(p.requests) for p in built] == [2]


FAILURES = {
    "error": (RateLimitError("slow down"), RateLimitError),
    "cut": ([Chunk(text="half an ans")], BadResponseError),
    "nothing": ([], BadResponseError),
    "interrupt": (KeyboardInterrupt(), KeyboardInterrupt),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.REFRESH])
def test_what_is_not_finished_is_not_recorded(store, name, mode):
    turn, error = FAILURES[name]
    provider = recorded(EchoProvider([turn, "fine"]), store, mode)
    with pytest.raises(error):
        list(provider.send(ask()))
    assert not store.path.exists()
    assert store.flights == {}
    assert fold(provider.send(ask()))[0].text == "fine"


def test_an_abandoned_stream_is_not_recorded_and_blocks_nobody(store):
    provider = recorded(EchoProvider(["one two three", "again"]), store)
    stream = provider.send(ask())
    next(stream)
    del stream
    gc.collect()
    assert (len(store), store.flights) == (0, {})
    assert fold(provider.send(ask()))[0].text == "again"


def test_an_answer_that_ends_in_an_error_is_shown_but_not_recorded(store):
    _, last = fold(recorded(EchoProvider([[Chunk(text="oops", finish_reason="error")]]), store).send(ask()))
    assert last.record.answer.text == "oops"
    assert len(store) == 0


def test_an_answer_that_json_cannot_hold_returns_with_a_warning(store):
    turn = [Chunk(embeddings=((float("nan"),),), finish_reason="stop")]
    with pytest.warns(StoreWarning, match="not recorded: JSON cannot hold it"):
        _, last = fold(recorded(EchoProvider([turn]), store).send(ask()))
    assert last.record.answer.finish_reason == "stop"


def test_a_request_without_a_key_is_refused_before_the_call():
    provider = EchoProvider()
    with pytest.raises(MessageError, match="NaN"):
        list(recorded(provider, None, Mode.OFF).send(ask(params={"temperature": float("nan")})))
    assert provider.requests == []


def test_a_forged_record_is_no_answer(store):
    store.append(replace(make("something else", said="forged"), key=ask().key))
    provider = EchoProvider(["genuine"])
    _, last = fold(recorded(provider, store).send(ask()))
    assert last.record.answer.text == "genuine"
    assert store.problems == [(2, "its key belongs to another request")]


def test_one_and_one_point_zero_ask_the_same(store):
    provider = EchoProvider()
    for temperature in (1, 1.0):
        fold(recorded(provider, store).send(ask(params={"temperature": temperature})))
    assert len(provider.requests) == 1


def test_samples_are_recorded_apart(store):
    provider = recorded(EchoProvider(["one", "two"]), store)
    said = [fold(provider.send(ask().with_sample(n)))[0].text for n in (0, 1, 0, 1)]
    assert said == ["one", "two", "one", "two"]


# ---- one flight


class Gate:
    """A provider that waits in the middle of its answer until the test lets it go on."""

    def __init__(self, *endings):
        self.calls, self.begun, self.open = 0, threading.Event(), threading.Event()
        self.endings = iter(endings)
        self.lock = threading.Lock()

    def send(self, request):
        with self.lock:
            self.calls += 1
            ending = next(self.endings, None)
        yield Chunk(text="begun")
        self.begun.set()
        self.open.wait(20)
        if ending is not None:
            raise ending
        yield Chunk(text=" and ended", finish_reason="stop")


def in_threads(count, work):
    results = [None] * count

    def run(n):
        try:
            results[n] = work(n)
        except BaseException as error:  # noqa: BLE001  # what a thread raises is the result that is compared
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads, results


def finish(threads):
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.REFRESH])
def test_threads_that_ask_the_same_make_one_call(store, mode):
    gate = Gate()
    threads, results = in_threads(12, lambda n: fold(recorded(gate, store, mode).send(ask()))[1])
    gate.begun.wait(20)
    until(lambda: len(store.flights) == 1)
    time.sleep(0.05)  # most of them wait by now; the promise holds for those that come later, too
    gate.open.set()
    finish(threads)
    assert {r.record.answer.text for r in results} == {"begun and ended"}
    if mode is Mode.AUTO:
        assert gate.calls == 1
        assert sorted(r.source for r in results) == ["live"] + ["recorded"] * 11
        assert len({repr(r.record) for r in results}) == 1
    assert store.flights == {}


ASKER = """
import sys
from tinyllm_magic import LLMCall
call = LLMCall(None, "The same question.", mode="auto")
print(call.call())
"""


def test_processes_that_ask_the_same_make_one_call_each_at_most_and_all_survive(store, monkeypatch):
    from fakeserver import FakeServer

    with FakeServer([{"text": "one answer", "delay": 0.2}] * 4) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("TINYLLM_STORE", str(store.path))
        processes = [python(ASKER, wait=False) for _ in range(4)]
        told = [p.communicate(timeout=60)[0] for p in processes]
        assert [p.returncode for p in processes] == [0] * 4
        assert told == ["one answer\n"] * 4
        assert 1 <= server.n <= 4
        asked = server.n
        assert python(ASKER, wait=False).communicate(timeout=60)[0] == "one answer\n"
        assert server.n == asked
    assert (len(store), store.check()) == (1, [])


def test_different_samples_and_the_mode_off_are_not_shared(store):
    gate = Gate()
    gate.open.set()
    threads, _ = in_threads(5, lambda n: fold(recorded(gate, store).send(ask().with_sample(n))))
    finish(threads)
    assert gate.calls == 5
    threads, _ = in_threads(3, lambda n: fold(recorded(gate, store, Mode.OFF).send(ask())))
    finish(threads)
    assert gate.calls == 8


def test_a_leader_that_fails_passes_its_error_on(store):
    gate = Gate(RateLimitError("slow down"))
    leader, first = in_threads(1, lambda n: fold(recorded(gate, store).send(ask())))
    gate.begun.wait(20)
    followers, rest = in_threads(3, lambda n: fold(recorded(gate, store).send(ask())))
    time.sleep(0.1)  # long enough for the followers to wait; those that come late would make a call of their own
    gate.open.set()
    finish(leader + followers)
    assert isinstance(first[0], RateLimitError)
    assert gate.calls == 1
    assert all(isinstance(r, RateLimitError) for r in rest)


def test_an_interrupted_leader_hands_over_to_one_that_waits(store):
    gate = Gate(KeyboardInterrupt())
    leader, first = in_threads(1, lambda n: fold(recorded(gate, store).send(ask())))
    gate.begun.wait(20)
    followers, rest = in_threads(3, lambda n: fold(recorded(gate, store).send(ask()))[0].text)
    gate.open.set()
    finish(leader + followers)
    assert isinstance(first[0], KeyboardInterrupt)
    assert rest == ["begun and ended"] * 3
    assert gate.calls == 2


def test_a_thread_that_asks_twice_does_not_wait_for_itself(store):
    provider = recorded(EchoProvider(["one one", "two two"]), store)
    first = provider.send(ask())
    next(first)
    assert fold(provider.send(ask()))[0].text == "two two"
    assert fold([Chunk(text="one "), *first])[0].text == "one one"
    assert store.flights == {}


@pytest.mark.skipif(os.name == "nt", reason="signals to a process")
def test_a_follower_can_be_interrupted(store):
    gate = Gate()
    threads, _ = in_threads(1, lambda n: fold(recorded(gate, store).send(ask())))
    gate.begun.wait(20)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fold(recorded(gate, store).send(ask()))
    gate.open.set()
    finish(threads)
    assert len(store) == 1


# ---- a miss


def missed(store, request):
    with pytest.raises(ReplayMiss) as caught:
        list(recorded(lambda: pytest.fail("replay builds nothing"), store, Mode.REPLAY).send(request))
    return caught.value


def test_a_miss_shows_the_nearest_request_what_changed_and_why(store):
    text = "Please summarise, in two sentences, the report of {} about the harbour and its ships."
    filled(store, "Tell me a joke", text.format("2025-11-21T09:00:00"))
    miss = missed(store, ask(text.format("2026-01-02T03:04:05"), params={"temperature": 0.7}))
    shown = str(miss)
    assert "no recorded answer for this request in analysis.llm.jsonl (2 recorded answers, mode replay)" in shown
    assert "gpt-4o-mini: Please summarise, in two sentences, the…" in shown
    assert "messages[1].content (user): …ences, the report of 202[5-11-21T09:00:00] about the harbour and i…\n" in shown
    assert "    → …ences, the report of 202[6-01-02T03:04:05] about the harbour and i…\n" in shown
    assert "This looks like a timestamp: pass it as a variable" in shown
    assert "temperature: (not set) → 0.7\n    A new parameter." in shown
    assert "%llm_cache mode auto" in shown
    assert "%llm_cache list" in shown
    assert str(store.path.parent) not in shown
    assert miss.nearest == make(text.format("2025-11-21T09:00:00")).request
    assert miss.request.params == {"temperature": 0.7}
    assert len(miss.difference) == 5


@pytest.mark.parametrize(
    ("old", "new", "guess"),
    [
        ("run 5f2b8c1e-9a34-4d2e-8b1f-0123456789ab", "run 7a1b8c1e-1a34-4d2e-8b1f-ba9876543210", "a UUID"),
        ("<Foo at 0x7f8a1c2b3d40>", "<Foo at 0x7fffffffffff>", "a memory address"),
        ("read /tmp/abc123/x.csv please", "read /tmp/zzz/x.csv please", "a temporary path"),
        ("now 09:15:01", "now 17:00:59", "a timestamp"),
        ("on 21 November 2025", "on 2 January 2026", "a timestamp"),
        ("at 1763715600.25", "at 1763719999.5", "a timestamp"),
        ("on 2025-11-21 in /tmp/a1/b", "on 2025-11-22 in /tmp/c2/d", "a temporary path and a timestamp"),
        ("two  words", "two words", "Only white space"),
        ("about cats", "about dogs", None),
        ("on 2025-11-21 about cats", "on 2025-11-22 about dogs", None),
    ],
)
def test_a_guess_names_what_makes_a_prompt_unstable(old, new, guess):
    lines = explain_miss(ask(new), ask(old).canonical())
    assert len(lines) == (3 if guess else 2)
    assert guess is None or guess in lines[2]


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (ask(model="gpt-5"), ("model: 'gpt-4o-mini' → 'gpt-5'", "  This is another model.")),
        (replace(ask(), provider="local"), ("provider: 'openai' → 'local'", "  This is another provider.")),
        (ask().with_sample(2), ("sample: (not set) → 2", "  Another draw of the same question: this sample is not recorded.")),
        (ask(params={"stop": ["x"]}), ("stop[0]: (not set) → 'x'", "  A new parameter.")),
        (replace(ask(), messages=(*ask().messages, Message("user", "more"))), ("messages: 2 → 3 in number",)),
    ],
    ids=["model", "provider", "sample", "parameter", "messages"],
)
def test_each_kind_of_change_has_its_words(asked, lines):
    assert explain_miss(asked, ask().canonical()) == lines


def test_a_parameter_that_is_gone_is_said_so():
    assert explain_miss(ask(), ask(params={"top_p": 1}).canonical()) == ("top_p: 1 → (not set)", "  A parameter that is no longer sent.")


def test_a_long_change_is_cut(store):
    line, after = explain_miss(ask("a" * 5000 + "x" * 900 + "b" * 5000), ask("a" * 5000 + "y" * 900 + "b" * 5000).canonical())
    assert max(len(line), len(after)) < 200


def test_a_secret_is_masked_in_a_miss(store, monkeypatch):
    filled(store, "use none")
    monkeypatch.setenv("A_TOKEN", "xyzzy-plugh-42")
    shown = str(missed(store, ask("use xyzzy-plugh-42")))
    assert "xyzzy" not in shown
    assert "<A_TOKEN>" in shown


def test_a_missing_an_empty_and_no_store_have_words_of_their_own(store):
    missing = missed(store, ask())
    assert "the store analysis.llm.jsonl is missing" in str(missing)
    assert "Put analysis.llm.jsonl beside the notebook" in str(missing)
    assert str(store.path.parent) not in str(missing)
    filled(store, "a")
    store.clear()
    assert "analysis.llm.jsonl is empty" in str(missed(store, ask()))
    assert "no store is in use" in str(missed(None, ask()))


def test_a_damaged_neighbour_does_not_spoil_the_report(store):
    filled(store, "Hello you")
    with store.path.open("ab") as file:
        file.write(b'{"key":"k1:x","request":{"messages":[[[]]]},"answer":{}}\n{"key":"k1:y","request":[1]}\n{"key":"k1:z"\n')
    assert "Hello you" in str(missed(store, ask("Hello me")))


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
