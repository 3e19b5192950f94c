"""Where records stand in a file: growth, replacement, damage, conflicts."""

import json
import subprocess

import pytest
from records import filled, make

from tinyllm_magic.recording.codec import LONGEST_LINE, encode
from tinyllm_magic.recording.store import Store

MARKERS = [b"<<<<<<< HEAD\n", b"=======\n", b">>>>>>> branch with spaces\n"]


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
