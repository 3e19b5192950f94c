"""A large store is opened through an index in the user's cache folder, which is never trusted over the file."""

import os
import sqlite3
from contextlib import suppress

import pytest
from records import filled, make

from tinyllm_magic.recording import index, saved_index
from tinyllm_magic.recording.store import Store


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The user's cache folder; every store is a large one, and few lines are kept in memory."""
    monkeypatch.setattr(saved_index, "find_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(saved_index, "LARGE", 1)
    monkeypatch.setattr(saved_index, "MOST", 4)
    return tmp_path / "cache" / "indexes"


@pytest.fixture
def scanned(monkeypatch):
    """The offsets from which files were read on."""
    offsets, plain = [], index.Index._read_on

    def read_on(self, file, most=None):
        offsets.append(self.end)
        return plain(self, file, most)

    monkeypatch.setattr(index.Index, "_read_on", read_on)
    return offsets


@pytest.fixture
def some(store, folder, monkeypatch):
    """A store with ten records, whose index is saved."""
    with monkeypatch.context() as small:
        small.setattr(saved_index, "LARGE", 2**40)
        made = filled(store, *map(str, range(10, 20)))
    assert len(Store(store.path)) == 10
    assert len(list(folder.glob("*.sqlite"))) == 1
    return made


def all_found(store, records):
    return [Store(store.path).get(r.key, r.request) for r in records] == records


def test_a_store_is_opened_without_reading_what_the_index_knows(store, some, scanned):
    fresh = Store(store.path)
    assert [fresh.get(r.key) for r in some] == some
    assert (len(fresh), fresh.keys(), fresh.get("k1:0"), "k1:0" in fresh) == (10, [r.key for r in some], None, False)
    assert scanned == [store.path.stat().st_size]


def test_what_was_appended_since_is_read(store, some, scanned):
    size = store.path.stat().st_size
    more = filled(store, "more", "13")
    assert all_found(store, [*some, more[0]])
    assert min(scanned) >= size
    fresh = Store(store.path)
    assert (len(fresh), fresh.keys()) == (11, [*(r.key for r in some), more[0].key])


def test_many_appended_lines_are_saved_too_whoever_appends_them(store, some, scanned):
    other = Store(store.path)
    assert len(other) == 10
    more = filled(other, *map(str, range(20, 30)))
    more += filled(store, *map(str, range(30, 40)))
    assert all_found(store, [*some, *more])
    scanned.clear()
    fresh = Store(store.path)
    assert len(fresh) == 30
    assert min(scanned) > store.path.stat().st_size * 0.8
    assert [other.get(r.key) for r in more] == more


def lines_of(records, tmp_path):
    other = Store(tmp_path / "lines.jsonl")
    assert all(other.append(r) for r in records)
    return other.path.read_bytes().splitlines(keepends=True)[1:]


def test_a_store_that_was_tidied_cleared_or_moved_is_read_anew(store, some, tmp_path):
    left, right = some[:5], some[5:]
    Store(store.path).tidy()
    assert all_found(store, some)
    assert Store(store.path).clear([r.key for r in left]) == 5
    assert [Store(store.path).get(r.key) for r in some] == [None] * 5 + right
    store.path.rename(tmp_path / "elsewhere.llm.jsonl")
    assert all_found(Store(tmp_path / "elsewhere.llm.jsonl"), right)
    assert Store(store.path).get(right[0].key) is None


def test_a_file_that_was_shortened_is_read_anew(store, some):
    lines = store.path.read_bytes().splitlines(keepends=True)
    os.truncate(store.path, len(b"".join(lines[:6])))
    assert [Store(store.path).get(r.key) for r in some] == some[:5] + [None] * 5


def test_lines_that_stand_in_the_place_of_others_are_found_and_those_are_not(store, some, tmp_path):
    size, new = store.path.stat().st_size, [make(str(n)) for n in range(90, 100)]
    header = store.path.read_bytes().splitlines(keepends=True)[0]
    with store.path.open("r+b") as file:
        file.write(b"".join([header, *lines_of(new, tmp_path)]))
    assert store.path.stat().st_size == size
    assert all_found(store, new)
    assert [Store(store.path).get(r.key) for r in some] == [None] * 10


def test_a_line_that_was_put_between_others_is_found(store, some, tmp_path):
    lines, new = store.path.read_bytes().splitlines(keepends=True), make("new")
    with store.path.open("r+b") as file:
        file.write(b"".join([*lines[:3], *lines_of([new], tmp_path), *lines[3:]]))
    assert all_found(store, [new, *some])


DAMAGE = {
    "wrong places": "UPDATE lines SET offset = offset + 1",
    "another's places": "UPDATE lines SET offset = (SELECT MIN(offset) FROM lines AS other)",
    "lines are missing": "DELETE FROM lines WHERE offset > (SELECT MIN(offset) FROM lines AS other)",
    "no facts": "DELETE FROM facts",
    "no table": "DROP TABLE lines",
}


@pytest.mark.parametrize("damage", [*DAMAGE, "no database"])
def test_an_index_that_is_wrong_is_made_anew(store, some, folder, damage):
    (place,) = folder.glob("*.sqlite")
    if damage in DAMAGE:
        connection = sqlite3.connect(place)
        with suppress(sqlite3.IntegrityError), connection:
            connection.execute(DAMAGE[damage])
        connection.close()
    else:
        place.write_bytes(b"no database" * 1000)
    assert all_found(store, some)
    fresh = Store(store.path)
    assert [fresh.get(r.key) for r in some] == some
    assert fresh.problems == []


def test_without_a_place_for_it_a_store_is_read_as_ever(store, tmp_path, monkeypatch):
    monkeypatch.setattr(saved_index, "LARGE", 1)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(saved_index, "find_folder", lambda: tmp_path / "file")
    made = filled(store, *map(str, range(10)))
    assert all_found(store, made)


def test_a_store_about_which_there_is_more_to_say_is_read_whole(store, some, folder):
    with store.path.open("ab") as file:
        file.write(b"no record\n")
    os.utime(store.path, (1, 1))
    for place in folder.iterdir():
        place.unlink()
    assert all_found(store, some)
    assert [line for line, _ in Store(store.path).problems] == [12]
    assert list(folder.iterdir()) == []
