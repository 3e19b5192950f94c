"""Entries that are put away come back as they were, and what is not under way takes no memory."""

import gc
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping

import pytest

from tinyllm_magic.batch.spill import SpilledEntries
from tinyllm_magic.batch.table import Table
from tinyllm_magic.errors import RateLimitError
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.responses import Answer, Record, Response
from tinyllm_magic.row_results import BatchStats

REQUEST = Request("openai", "gpt-4o-mini", (Message("user", "Say tea"),), {"temperature": 0.5})


def response(text="tea"):
    return Response(REQUEST, Record(REQUEST.key, REQUEST.canonical(), Answer(text=text, finish_reason="stop")), "live", call=object())


def put_away(spool, place, key=None):
    spool.settle(place, key)
    spool.put_away()


def spooled(rows, *, in_memory=False, keep=0):
    spool = SpilledEntries(in_memory=in_memory, keep=keep)
    for n, row in enumerate(rows):
        place = spool.append(row)
        spool[place].set_outcome(response(f"answer {n}"))
        put_away(spool, place, f"key {n}")
    return spool


def in_memory(spool):
    return [place for place, _ in spool.unsettled()]


def test_an_entry_comes_back_as_it_was():
    spool = SpilledEntries(keep=0)
    place = spool.append({"w": "tea", "n": [1, 2]})
    spool[place].set_outcome(response())
    spool[place].cost, spool[place].tokens = 0.25, (3, 4)
    put_away(spool, place, "k")

    entry = spool[0]

    assert in_memory(spool) == []
    assert entry.row == {"w": "tea", "n": [1, 2]}
    assert (entry.text, entry.source, entry.key) == ("tea", "live", REQUEST.key)
    assert (entry.cost, entry.tokens) == (0.25, (3, 4))
    assert entry.response == response()


def test_an_error_comes_back_with_its_words_and_evidence():
    spool = SpilledEntries(keep=0)
    place = spool.append({"w": "tea"})
    spool[place].set_outcome(RateLimitError("slow down", hint="Wait.", retry_after=3.0))
    put_away(spool, place)

    error = spool[0].error

    assert in_memory(spool) == []
    assert type(error) is RateLimitError
    assert (error.message, error.hint, error.retry_after) == ("slow down", "Wait.", 3.0)


class _Unreadable:
    """Can be written, but not read."""

    def __reduce__(self):
        return int, ("no number",)


@pytest.mark.parametrize("odd", [lambda: None, _Unreadable()], ids=["cannot be written", "written but not read"])
@pytest.mark.parametrize("where", ["row", "error"])
def test_what_cannot_be_put_away_stays_in_memory_as_it_is(where, odd):
    spool = SpilledEntries(keep=0)
    place = spool.append({"w": odd if where == "row" else "tea"})
    spool[place].set_outcome(response() if where == "row" else RuntimeError(odd))
    assert spool.first("k", place) == place
    put_away(spool, place, "k")

    assert in_memory(spool) == [0]
    assert spool.first("k", 5) == 0
    assert odd in (spool[0].row["w"], *(spool[0].error or RuntimeError()).args)


def test_the_first_rows_and_those_under_way_are_in_memory():
    spool = spooled([{"n": n} for n in range(10)], keep=3)
    under_way = spool.append({"n": 10})

    assert in_memory(spool) == [0, 1, 2, under_way]
    assert [e.row["n"] for e in spool] == list(range(11))
    assert spool[-1].row == {"n": 10}
    assert [e.text for e in spool[2:5]] == ["answer 2", "answer 3", "answer 4"]
    with pytest.raises(IndexError):
        spool[11]


def test_entries_are_written_many_at_a_time_and_found_meanwhile():
    spool = SpilledEntries(keep=0)
    most = 0
    for n in range(2000):
        place = spool.append({"n": n})
        assert spool.first(f"key {n}", place) == place
        spool.settle(place, f"key {n}")
        most = max(most, len(in_memory(spool)))

    assert 1 < most < 1000
    assert len(in_memory(spool)) < most
    assert [e.row["n"] for e in spool] == list(range(2000))
    assert [spool.first(f"key {n}", 9999) for n in range(2000)] == list(range(2000))


def test_rows_that_somebody_holds_are_not_copied():
    rows = [{"n": n} for n in range(5)]

    spool = spooled(rows, in_memory=True, keep=1)

    assert in_memory(spool) == [0]
    assert all(entry.row is row for entry, row in zip(spool, rows, strict=True))


@pytest.mark.parametrize("keep", [0, 1, 5])
def test_the_first_to_ask_is_known_under_way_and_put_away(keep):
    spool = SpilledEntries(keep=keep)
    for n in range(3):
        place = spool.append({"n": n})
        assert spool.first(f"key {n}", place) == place
        put_away(spool, place, f"key {n}")
    waiting = spool.append({"n": 3})

    assert spool.first("key 3", waiting) == waiting
    assert [spool.first(f"key {n}", 9) for n in range(5)] == [0, 1, 2, 3, 9]


def test_each_entry_has_the_call_that_asked_for_it():
    spool, calls = SpilledEntries(keep=0), [object() for _ in range(3)]
    for n in range(9):
        place = spool.append({"n": n}, calls[n // 4])
        spool[place].set_outcome(response())
        put_away(spool, place)

    assert [spool[n].call for n in range(9)] == [calls[n // 4] for n in range(9)]
    assert [Table(spool)[n].call for n in range(9)] == [calls[n // 4] for n in range(9)]


def test_without_sqlite_all_stays_in_memory(monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlite3", None)

    spool = spooled([{"n": n} for n in range(4)])

    assert in_memory(spool) == [0, 1, 2, 3]
    assert [e.text for e in spool] == [f"answer {n}" for n in range(4)]


def test_a_table_reads_the_same_from_memory_and_from_disk():
    rows = [{"n": n} if n % 3 else {"n": n, "late": "x"} for n in range(200)]
    near, far = Table(spooled(rows, keep=1000)), Table(spooled(rows))

    assert far.to_dicts() == near.to_dicts()
    assert far.columns == near.columns == ("n", "late", "answer", "error", "source", "cost")
    assert far[5:9].to_dicts() == near[5:9].to_dicts()
    assert far[7] == near[7]
    assert far.stats == near.stats
    assert len(far) == 200


def test_rows_that_repeat_others_made_no_call():
    entries = spooled([{"n": n} for n in range(4)], keep=9)
    for entry, cost, key in zip(entries, (0.5, None, 0.5, 0.5), "abaa", strict=True):
        entry.tokens, entry.cost, entry.key = (10, 1), cost, key

    assert Table(entries).stats == BatchStats(sources=frozenset({"live"}), calls=2, tokens_in=20, tokens_out=2, cost=0.5, unpriced=1)
    assert Table(entries)[2:].stats == BatchStats(sources=frozenset({"live"}), calls=1, tokens_in=10, tokens_out=1, cost=0.5)


def test_what_rows_share_is_kept_once():
    document, frame = "x" * 100_000, [object()]  # the second cannot even be pickled alike
    spool = spooled([{"n": n, "document": document, "frame": frame} for n in range(50)])

    assert in_memory(spool) == []
    assert all(e.row["document"] is document and e.row["frame"] is frame for e in spool[1:])
    assert spool[0].row["document"] == document
    assert sum(len(spool._file.get(n)) for n in range(1, 50)) < 50_000


class _Odd(Mapping):
    """A row whose class cannot be read back, for it asks for what is not there yet."""

    def __init__(self, data):
        self._data = data

    def __getattr__(self, name):
        return getattr(self._data, name)

    def __getitem__(self, name):
        return self._data[name]

    def __iter__(self):
        return iter(self._data)

    def __len__(self):
        return len(self._data)


def test_a_row_of_an_odd_class_stays_in_memory():
    spool = spooled([_Odd({"n": 1}), {"n": 2}])

    assert [e.row["n"] for e in spool] == [1, 2]
    assert in_memory(spool) == [0]


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of file sizes")
def test_a_full_disk_leaves_the_rest_in_memory_and_damages_nothing(tmp_path):
    code = """
        import resource, signal
        from tinyllm_magic.batch.spill import SpilledEntries
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        spool = SpilledEntries(keep=0)
        for n in range(2000):
            place = spool.append({"n": n, "text": str(n) * 100})
            assert spool.first(f"key {n}", place) == place
            spool[place].text, spool[place].key = f"answer {n}", f"key {n}"
            spool.settle(place, f"key {n}")
        near = len(list(spool.unsettled()))
        assert [e.text for e in spool] == [f"answer {n}" for n in range(2000)]
        assert all(e.row["text"] == str(n) * 100 for n, e in enumerate(spool))
        print(0 < near < 2000)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout == "True\n"


def test_a_table_is_read_by_many_threads():
    table, wrong = Table(spooled([{"n": n} for n in range(300)])), []

    def read():
        wrong.extend(n for n, e in enumerate(table.entries) if e.row["n"] != n or e.text != f"answer {n}")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_file_is_closed_with_the_table(monkeypatch):
    import sqlite3

    closed = []
    plain = sqlite3.connect

    class Connection(sqlite3.Connection):
        def close(self):
            closed.append(1)
            super().close()

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: plain(*args, factory=Connection, **options))
    spool = spooled([{"n": 1}])
    assert spool[0].row == {"n": 1}

    del spool
    gc.collect()

    assert closed == [1]
