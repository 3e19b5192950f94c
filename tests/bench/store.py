"""Our store against SQLite in WAL mode, diskcache and a pickled dict, side by side in one run.

``python tests/bench/store.py [RECORDS]`` prints a table. Records are of about 2 KB; every store runs in a process of its own.
Keys are the digests of requests, made beforehand. Open is from the file to the first answer; look-ups parse what they find;
appends are single commits; memory is what Python holds once the store is open, and what the process has grown by.
diskcache is measured where it is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyllm_magic import Message, Request, Store
from tinyllm_magic.recording.codec import decode, encode, header_line, parse
from tinyllm_magic.responses import Answer, Record, Usage

PROBES = 1000


def made(count: int) -> tuple[list[str], list[bytes]]:
    """Keys and lines of so many records."""
    chance = random.Random(1)  # sample data
    words = [f"word{i}" for i in range(3000)]
    keys, lines = [], []
    for number in range(count):
        asked = f"Question {number}: {' '.join(chance.choices(words, k=110))}"
        request = Request("openai", "gpt-4o-mini", (Message("system", "Be brief."), Message("user", asked)), {"temperature": 0.7})
        answer = Answer(text="x " * 350, finish_reason="stop", usage=Usage(10, 20), model="gpt-4o-mini")
        keys.append(request.key)
        lines.append(encode(Record(request.key, request.canonical(), answer, "2025-01-01T00:00:00.000Z", 1.5, 0.001, "0.1.0")))
    return keys, lines


class Ours:
    def fill(self, path: Path, keys: list[str], lines: list[bytes]) -> None:
        del keys
        path.write_bytes(header_line({}) + b"".join(lines))

    def open(self, path: Path) -> None:
        self.store = Store(path)
        len(self.store)

    def get(self, key: str) -> Any:
        return self.store.get(key)

    def append(self, key: str, record: Record) -> None:
        assert self.store.append(replace(record, key=key))


class SQLite:
    def fill(self, path: Path, keys: list[str], lines: list[bytes]) -> None:
        self.open(path)
        with self.base:
            self.base.executemany("INSERT INTO entry VALUES (?, ?)", zip(keys, lines, strict=True))
        self.base.close()

    def open(self, path: Path) -> None:
        self.base = sqlite3.connect(path)
        self.base.execute("PRAGMA journal_mode=WAL")
        self.base.execute("PRAGMA synchronous=NORMAL")
        self.base.execute("CREATE TABLE IF NOT EXISTS entry (key TEXT PRIMARY KEY, body BLOB)")

    def get(self, key: str) -> Any:
        found = self.base.execute("SELECT body FROM entry WHERE key = ?", (key,)).fetchone()
        return decode(found[0]) if found else None

    def append(self, key: str, record: Record) -> None:
        with self.base:
            self.base.execute("INSERT OR REPLACE INTO entry VALUES (?, ?)", (key, encode(replace(record, key=key))))


class DiskCache:
    def fill(self, path: Path, keys: list[str], lines: list[bytes]) -> None:
        self.open(path)
        with self.cache.transact():
            for key, line in zip(keys, lines, strict=True):
                self.cache[key] = line
        self.cache.close()

    def open(self, path: Path) -> None:
        import diskcache

        self.cache = diskcache.Cache(str(path))

    def get(self, key: str) -> Any:
        found = self.cache.get(key)
        return decode(found) if found else None

    def append(self, key: str, record: Record) -> None:
        self.cache[key] = encode(replace(record, key=key))


class Pickled:
    def fill(self, path: Path, keys: list[str], lines: list[bytes]) -> None:
        path.write_bytes(pickle.dumps(dict(zip(keys, lines, strict=True))))

    def open(self, path: Path) -> None:
        self.path, self.known = path, pickle.loads(path.read_bytes())  # the very thing that is measured

    def get(self, key: str) -> Any:
        found = self.known.get(key)
        return decode(found) if found else None

    def append(self, key: str, record: Record) -> None:
        self.known[key] = encode(replace(record, key=key))
        self.path.write_bytes(pickle.dumps(self.known))


STORES: dict[str, type] = {"this store": Ours, "SQLite, WAL": SQLite, "diskcache": DiskCache, "pickled dict": Pickled}


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def resident() -> float:
    """What this process holds of the machine's memory, in MB; 0 where the system does not tell."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if told.exists() else 0.0


def measure(name: str, path: Path, keys: list[str]) -> dict[str, Any]:
    """The figures of a filled store, in this process."""
    before = resident()
    store = STORES[name]()
    opened = timed(lambda: (store.open(path), store.get(keys[0])))
    grown = resident() - before
    some = random.Random(2).sample(keys, min(PROBES, len(keys)))  # sample data
    hits = [timed(lambda k=k: store.get(k)) for k in some]
    misses = [timed(lambda k=k: store.get(f"{k[:-6]}000000")) for k in some]
    record = store.get(keys[0])
    new = [f"k1:{n:064x}" for n in range(20 if name == "pickled dict" else PROBES)]
    appends = [timed(lambda k=k: store.append(k, record)) for k in new]
    assert all(store.get(k) is not None for k in (*some, *new))
    tracemalloc.start()
    again = STORES[name]()
    again.open(path)
    held = tracemalloc.get_traced_memory()[0] / 2**20
    return {"open": opened, "hit": hits, "miss": misses, "append": appends, "held": held, "grown": grown}


def told(seconds: list[float]) -> str:
    """Median and the 99th percentile in microseconds."""
    ranked = sorted(seconds)
    return f"{statistics.median(ranked) * 1e6:,.0f} ({ranked[int(len(ranked) * 0.99)] * 1e6:,.0f})"


def main() -> None:
    """Fill, measure and print."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]).read_text().split())))
        return
    count = int(sys.argv[1]) if sys.argv[1:] else 100_000
    keys, lines = made(count)
    print(f"{count:,} records of {sum(map(len, lines)) // count:,} bytes; times are medians (99th percentile)\n")
    decode(lines[0])  # what it imports late
    steps = {"json.loads": json.loads, "strict parse": parse, "decode": decode}
    print(
        "one line, µs:",
        ", ".join(f"{n} {told([timed(lambda work=work, line=line: work(line)) for line in lines[:PROBES]])}" for n, work in steps.items()),
        "\n",
    )
    print("| store | open, first answer | look-up µs | miss µs | append µs | Python holds | process grew |\n|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "keys"
        listed.write_text("\n".join(keys))
        for name, kind in STORES.items():
            if name == "diskcache" and importlib.util.find_spec("diskcache") is None:
                continue
            path = Path(folder) / name.replace(" ", "-")
            kind().fill(path, keys, lines)
            command = [sys.executable, __file__, "--one", name, str(path), str(listed)]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            cells = [f"{found['open'] * 1e3:,.0f} ms", *(told(found[k]) for k in ("hit", "miss", "append"))]
            print(f"| {name} | {' | '.join(cells)} | {found['held']:,.0f} MB | {found['grown']:,.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
