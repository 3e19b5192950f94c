"""What becomes of acknowledged records: kills, interrupts, many writers, cut and flipped bytes, no room, in one run.

``python tests/bench/reliability.py [KILLS]`` prints the figures; every one that should be 0 is.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tinyllm_magic import Message, Request, Store
from tinyllm_magic.recording.index import Index
from tinyllm_magic.responses import Answer, Record, Usage

WRITER = """
import sys
from reliability import record
from tinyllm_magic import Store
store = Store(sys.argv[1])
for number in range(int(sys.argv[3])):
    made = record(f"{sys.argv[2]} {number}")
    if store.append(made):
        print(made.key, flush=True)
"""


def record(text: str) -> Record:
    """A record of about 1 KB."""
    request = Request("openai", "gpt-4o-mini", (Message("user", f"{text} {'words ' * 80}"),))
    answer = Answer(text="An answer. " * 20, finish_reason="stop", usage=Usage(3, 1))
    return Record(request.key, request.canonical(), answer, "2025-11-21T09:00:00.000Z", 0.5, 0.001, "0.1.0")


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that appends, and prints each key once it is acknowledged."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name, str(count)], stdout=-1, text=True, env=environ)


def kills(folder: Path, count: int) -> str:
    """SIGKILL at random moments while records are appended back to back."""
    store, acknowledged, mended, chance = Store(folder / "kills.jsonl"), set[str](), 0, random.Random()  # moments
    for turn in range(count):
        process = writer(store.path, f"turn {turn}", 1_000_000)
        assert process.stdout is not None
        acknowledged.add(process.stdout.readline().strip())
        time.sleep(chance.uniform(0.0, 0.03))
        process.send_signal(signal.SIGKILL)
        acknowledged |= {line for line in process.communicate()[0].splitlines() if len(line) == 67}
        mended += bool(store.check())
    lost = acknowledged - {r.key for r in store.records()}
    return f"kill -9: {count} kills, {len(acknowledged):,} acknowledged, {len(lost)} lost, a torn last line after {mended} of them"


INTERRUPTED = """
import random, signal, sys
from reliability import record
from tinyllm_magic import Store

armed = False

def interrupt(*_):
    global armed
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0005, 0.004))
    if armed:
        armed = False
        signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGALRM, interrupt)
store, kept, done, interrupts = Store(sys.argv[1]), [], 0, 0
made = [record(f"interrupted {n}") for n in range(int(sys.argv[2]))]
signal.setitimer(signal.ITIMER_REAL, 0.001)
while done < len(made):
    try:
        armed = interrupts < 500
        if store.append(made[done]):
            armed = False
            kept.append(made[done].key)
            done += 1
    except KeyboardInterrupt:
        interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
store.flush()
fresh = Store(store.path)
print(interrupts, len(kept), len(set(kept) - set(fresh.keys())), len(fresh.check()))
"""


def interrupts(folder: Path, count: int = 1000) -> str:
    """A KeyboardInterrupt every 0.5 to 4 ms while records are appended; whoever was interrupted tries again."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", INTERRUPTED, str(folder / "interrupts.jsonl"), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    if done.returncode:
        return f"interrupts: not measured ({(done.stderr.strip().splitlines() or ['?'])[-1]})"
    sent, kept, lost, damaged = done.stdout.split()
    return f"{sent} interrupts: {kept} acknowledged, {lost} lost, {damaged} damaged lines"


def writers(folder: Path, processes: int = 8, count: int = 200) -> str:
    """Several processes append at once."""
    store = Store(folder / "writers.jsonl")
    running = [writer(store.path, f"process {n}", count) for n in range(processes)]
    keys = [key for process in running for key in process.communicate()[0].split()]
    lines = store.path.read_bytes().count(b"\n") - 1
    lost = set(keys) - {r.key for r in store.records()}
    return f"{processes} processes × {count} records: {len(keys):,} acknowledged, {len(lost)} lost, {lines - len(set(keys))} doubled"


def filled(path: Path, count: int) -> tuple[Store, list[Record], bytes]:
    """A store with so many records."""
    store, some = Store(path), [record(str(n)) for n in range(count)]
    assert all(store.append(r) for r in some)
    return store, some, path.read_bytes()


def truncations(folder: Path) -> str:
    """The file cut at every byte of its last record."""
    store, some, text = filled(folder / "cut.jsonl", 20)
    begin = text.rindex(b"\n", 0, len(text) - 1) + 1
    crashes = lost = 0
    for at in range(begin, len(text)):
        store.path.write_bytes(text[:at])
        try:
            fresh = Store(store.path)
            lost += sum(fresh.get(r.key) != r for r in some[:-1])
            lost += not fresh.append(some[-1]) or fresh.get(some[-1].key) != some[-1]
        except Exception as error:  # noqa: BLE001  # any is a crash
            crashes += 1
            print(f"cut at {at}: {error!r}")
    return f"truncation at each of {len(text) - begin:,} bytes: {crashes} crashes, {lost} other records lost"


def flips(folder: Path) -> str:
    """Every byte of a 20-line store flipped once."""
    store, some, text = filled(folder / "flip.jsonl", 20)
    ends = [i for i, byte in enumerate(text) if byte == 10]
    crashes = lost = 0
    chance = random.Random(3)  # sample data
    for at in range(len(text)):
        hit = sum(end < at for end in ends) - 1
        changed = bytearray(text)
        changed[at] ^= chance.choice([1, 2, 4, 8, 16, 32, 64, 128, 255])
        store.path.write_bytes(changed)
        store._index = Index()  # as a new process would begin
        try:
            lost += sum(store.get(r.key, r.request) != r for n, r in enumerate(some) if n != hit)
        except Exception as error:  # noqa: BLE001  # any is a crash
            crashes += 1
            print(f"flip at {at}: {error!r}")
    return f"flip of each of {len(text):,} bytes: {crashes} crashes, {lost} other records lost"


FULL = """
import os, subprocess, sys, warnings
from pathlib import Path
from reliability import record
from tinyllm_magic import Store
how, path = sys.argv[1], Path(sys.argv[2])
if how == "disk":
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path.parent)], check=True)
if how == "limit":
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))
store, made = Store(path), [record(str(n)) for n in range(400)]
if how == "folder":
    store.append(made[0])
    Path(store.path.parent, f".{path.name}.lock").unlink()
    path.parent.chmod(0o555)
    path.chmod(0o444)
    record("what is imported late, another user may not read"), os.geteuid() == 0 and os.setuid(65534)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    kept = [r for r in made if store.append(r)] or made[:1]
fresh = Store(path)
print(len(kept), sum(fresh.get(r.key) != r for r in kept), len(fresh.check()), len(said))
"""


def without_room(folder: Path, how: str) -> str:
    """400 records on a disk of 256 KB (a tmpfs of its own, where that may be mounted), under such a limit, or in a closed folder."""
    place = folder / how
    place.mkdir()
    for above in (place, *place.parents[:2]):
        above.chmod(0o755)
    command = [sys.executable, "-c", FULL, how, str(place / "s.jsonl")]
    command = ["unshare", "-rm", *command] if how == "disk" else command
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), str(Path(__file__).parents[2])))}
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    place.chmod(0o755)
    if done.returncode:
        return f"no room ({how}): not measured ({(done.stderr.strip().splitlines() or ['?'])[-1]})"
    kept, lost, damaged, warned = done.stdout.split()
    return f"no room ({how}): {kept} acknowledged, {lost} lost, {damaged} damaged lines, {warned} warning"


def main() -> None:
    """Run all and print."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        print(kills(place, int(sys.argv[1]) if sys.argv[1:] else 200), flush=True)
        for work in (interrupts, writers, truncations, flips):
            print(work(place), flush=True)
        for how in ("disk", "limit", "folder"):
            print(without_room(place, how), flush=True)


if __name__ == "__main__":
    main()
