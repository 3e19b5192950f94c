"""Answers ``tinyllm-magic cache …``: lines about the stores of recorded answers, and an exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import StoreError
from ..messages import begins_key, last_prompt
from ..redaction import excerpt
from ..text_format import format_money, shorten
from .record_text import format_record
from .store import Store, Tidied

Report = tuple[list[str], int]
"""Lines for standard output, and the exit code."""


def open_store(path: str | Path) -> Store:
    """The store of a file; raises ``StoreError`` where there is none."""
    store = Store(path)
    if not store.path.exists():
        raise StoreError(f"there is no store {path}", path=str(store.path))
    len(store)  # a file that is no store is refused now
    return store


def stats(files: Sequence[str]) -> Report:
    """What each store holds."""
    lines: list[str] = []
    for file in files:
        store = open_store(file)
        found = store.stats()
        facts = {k: v for k, v in store.header.items() if k not in ("format", "version")}
        lines += [
            f"{file}",
            f"  records  {found.records:,} in {found.size:,} bytes",
            f"  models   {', '.join(f'{m} ({n})' for m, n in found.models.items()) or 'none'}",
            f"  dates    {found.first or 'none'} to {found.last or 'none'}",
            f"  cost     {format_money(found.cost, unpriced=found.unpriced) or 'none'}",
            *([f"  header   {', '.join(f'{k} {v}' for k, v in facts.items())}"] if facts else []),
        ]
    return lines, 0


def list_records(files: Sequence[str]) -> Report:
    """The records of each store, the newest first."""
    lines: list[str] = []
    for file in files:
        store = open_store(file)
        lines += [file] if len(files) > 1 else []
        for record in sorted(store.records(), key=lambda r: r.created, reverse=True):
            asked, said = (excerpt(text, 48) for text in (last_prompt(record.request), record.answer.text or "(no text)"))
            lines.append(f"{shorten(record.key, 16)}  {record.created[:19]}  {record.request.get('model', '')}  {asked} → {said}")
    return lines or ["no records"], 0


def show_records(files: Sequence[str]) -> Report:
    """Whole records: those whose keys begin as asked, or all."""
    store = open_store(files[0])
    wanted = files[1:]
    found = [r for r in store.records() if not wanted or any(begins_key(beginning, r.key) for beginning in wanted)]
    if wanted and not found:
        raise StoreError(f"no recorded answer in {files[0]} has a key that begins with {' or '.join(wanted)}", path=str(store.path))
    return [line for record in found for line in format_record(record)], 0


def tidy(files: Sequence[str]) -> Report:
    """Sort each store, remove duplicates, set damaged lines aside."""
    lines = []
    for file in files:
        store = open_store(file)
        lines.append(f"{file}: {describe(store.tidy())}")
        store.remove_lock()
    return lines, 0


def merge(files: Sequence[str]) -> Report:
    """Merge the records of other stores into the first."""
    if len(files) < 2:
        raise StoreError("merge takes a store and at least one other whose records are merged into it")
    store = Store(files[0])
    done = store.merge(*files[1:])
    store.remove_lock()
    return [f"{files[0]}: {describe(done)}"], 0


def describe(done: Tidied) -> str:
    """What tidying or merging did, in words."""
    parts = [f"{done.kept:,} {'record' if done.kept == 1 else 'records'} kept"]
    parts += [f"{n:,} {words}" for n, words in ((done.added, "merged"), (done.dropped, "duplicates removed")) if n]
    parts += [f"{done.rejected:,} damaged lines set aside in the file .rejected beside it"] if done.rejected else []
    return ", ".join(parts)


def clear(files: Sequence[str]) -> Report:
    """Move the records of each store to the file ``.cleared`` beside it."""
    lines = []
    for file in files:
        store = open_store(file)
        lines.append(f"{file}: {describe_cleared(store, store.clear())}")
        store.remove_lock()
    return lines, 0


def describe_cleared(store: Store, count: int) -> str:
    """What clearing did, and how to undo it."""
    if not count:
        return "there was no recorded answer to clear"
    back = f"`tinyllm-magic cache merge {store.path.name} {store.cleared.name}` brings them back"
    return f"{count:,} recorded {'answer' if count == 1 else 'answers'} moved to {store.cleared.name}; {back}"


def check(files: Sequence[str]) -> Report:
    """Everything that is wrong with each store; exit code 1 where there is something."""
    lines, code = [], 0
    for file in files:
        store = open_store(file)
        problems = store.check()
        code = max(code, int(bool(problems)))
        lines += [f"{file}, line {line}: {what}" for line, what in problems] or [f"{file}: {len(store):,} records, nothing wrong"]
    return lines, code


COMMANDS: Mapping[str, Callable[[Sequence[str]], Report]] = {
    "stats": stats,
    "list": list_records,
    "show": show_records,
    "tidy": tidy,
    "merge": merge,
    "check": check,
    "clear": clear,
}
"""What each word of ``tinyllm-magic cache`` does."""
