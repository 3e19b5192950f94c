"""A record that is read again comes from memory while nobody touches its file; whatever is done to that is seen at once."""

import os
from dataclasses import replace

import pytest
from records import filled, make

from tinyllm_magic.errors import StoreError
from tinyllm_magic.files import open_regular
from tinyllm_magic.recording.codec import encode
from tinyllm_magic.recording.store import Store


@pytest.fixture
def opened(monkeypatch):
    """Each opening of the store's file, which counts as old."""
    found = []
    monkeypatch.setattr("tinyllm_magic.recording.store.open_regular", lambda *how: found.append(1) or open_regular(*how))
    monkeypatch.setattr("tinyllm_magic.files._COARSEST_NS", -1)
    return found


def test_a_record_that_was_read_is_given_again_without_its_file(store, opened):
    first, second = filled(store, "a", "b")
    assert [store.get(r.key, r.request) for r in (first, second)] == [first, second]
    opened.clear()
    assert [store.get(r.key, r.request) for r in (first, second)] == [first, second]
    assert not opened
    assert store.get(first.key, second.request) is None


def append_another(store, record):
    Store(store.path).append(replace(record, created="2026-01-01T00:00:00Z"))


def change_in_place(store, record):
    times = store.path.stat()
    text = store.path.read_bytes()
    store.path.write_bytes(text.replace(b'"text":"Hi"', b'"text":"Ho"'))
    os.utime(store.path, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace_it(store, record):
    other = store.path.with_name("other")
    other.write_bytes(store.path.read_bytes().replace(b'"text":"Hi"', b'"text":"Ho"'))
    other.replace(store.path)


def clear_it(store, _):
    Store(store.path).clear()


def take_it_away(store, _):
    store.path.unlink()


def damage_it(store, _):
    store.path.write_bytes(store.path.read_bytes().replace(b'"created"', b'"crea'))


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("change", [append_another, change_in_place, replace_it, clear_it, take_it_away, damage_it])
def test_what_happens_to_the_file_is_seen(store, change):
    (record,) = filled(store, "a")
    before = store.get(record.key, record.request)
    change(store, record)
    after = store.get(record.key, record.request)
    assert before == record != after
    assert after == Store(store.path).get(record.key, record.request)


@pytest.mark.usefixtures("opened")
def test_a_link_in_place_of_the_file_is_refused_as_ever(store):
    (record,) = filled(store, "a")
    assert store.get(record.key, record.request) == record
    store.path.rename(moved := store.path.with_name("moved"))
    store.path.symlink_to(moved)
    with pytest.raises(StoreError, match="cannot be read as a store"):
        store.get(record.key, record.request)


def test_a_file_that_was_just_written_is_read_each_time(store, opened, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.files._COARSEST_NS", 10**18)
    (record,) = filled(store, "a")
    store.get(record.key, record.request)
    opened.clear()
    store.get(record.key, record.request)
    assert opened


@pytest.mark.usefixtures("opened")
def test_who_changes_a_record_that_he_was_given_changes_no_other(store):
    record = make("a")
    record = replace(record, answer=replace(record.answer, logprobs={"content": [1]}, raw={"citations": []}))
    store.path.write_bytes(encode(record))
    store.get(record.key, record.request).answer.logprobs["content"].append(2)
    store.get(record.key, record.request).request["model"] = "another"
    assert store.get(record.key, record.request) == record
