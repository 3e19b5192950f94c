"""Files of recorded answers in, lines about them out: ``tinyllm-magic cache …``.

Knows what a shell's user asks of a store.
Does not know sessions, modes, notebooks or HTML.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .answers import Record
from .errors import StoreError
from .messages import Message
from .store import Store, Tidied

Told = tuple[list[str], int]
"""Lines for standard output, and the exit code."""


def opened(path: str | Path) -> Store:
    """The store of a file; raises ``StoreError`` where there is none."""
    store = Store(path)
    if not store.path.exists():
        raise StoreError(f"there is no store {path}", path=str(store.path))
    len(store)  # a file that is no store is refused now
    return store


def stats(files: Sequence[str]) -> Told:
    """What each store holds."""
    lines: list[str] = []
    for file in files:
        store = opened(file)
        found = store.stats()
        facts = {k: v for k, v in store.header.items() if k not in ("format", "version")}
        lines += [
            f"{file}",
            f"  records  {found.records:,} in {found.size:,} bytes",
            f"  models   {', '.join(f'{m} ({n})' for m, n in found.models.items()) or 'none'}",
            f"  dates    {found.first or 'none'} to {found.last or 'none'}",
            f"  cost     {_cost(found.cost, found.unpriced)}",
            *([f"  header   {', '.join(f'{k} {v}' for k, v in facts.items())}"] if facts else []),
        ]
    return lines, 0


def _cost(cost: float | None, unpriced: int) -> str:
    if cost is None:
        return "unknown" if unpriced else "none"
    return f"${cost:.4f}" + (f" + {unpriced} of unknown price" if unpriced else "")


def listed(files: Sequence[str]) -> Told:
    """The records of each store, the newest first."""
    lines: list[str] = []
    for file in files:
        store = opened(file)
        lines += [file] if len(files) > 1 else []
        for record in sorted(store.records(), key=lambda r: r.created, reverse=True):
            asked, said = (_brief(text) for text in (_prompt(record), record.answer.text or "(no text)"))
            lines.append(f"{record.key[:15]}  {record.created[:19]}  {record.request.get('model', '')}  {asked} → {said}")
    return lines or ["no records"], 0


def _prompt(record: Record) -> str:
    messages = [m for m in record.request.get("messages", ()) if m.get("role") != "system"]
    content = messages[-1].get("content") if messages else record.request.get("params", {}).get("input", "")
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)


def _brief(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 48 else f"{text[:47]}…"


def shown(files: Sequence[str]) -> Told:
    """Whole records: those whose keys begin as asked, or all."""
    store = opened(files[0])
    wanted = [key.removeprefix("k1:") for key in files[1:]]
    found = [r for r in store.records() if not wanted or any(r.key.removeprefix("k1:").startswith(w) for w in wanted)]
    if wanted and not found:
        raise StoreError(f"no recorded answer in {files[0]} has a key that begins with {' or '.join(files[1:])}", path=str(store.path))
    return [line for record in found for line in _whole(record)], 0


def _whole(record: Record) -> list[str]:
    answer, request = record.answer, record.request
    facts = {
        "key": record.key,
        "model": f"{request.get('model', '')} → {answer.model or ''} ({request.get('provider', '')})",
        "params": json.dumps(request.get("params", {}), ensure_ascii=False),
        "sample": str(request.get("sample", 0)),
        "recorded": f"{record.created}, {record.duration:.2f} s, version {record.version}",
        "tokens": f"{answer.usage.prompt_tokens} in / {answer.usage.completion_tokens} out" if answer.usage else "",
        "finish": answer.finish_reason or "",
    }
    lines = [f"{name:<9}{value}" for name, value in facts.items() if value]
    for message in map(Message.of, request.get("messages", ())):
        lines += [f"[{message.role}]", *message.text.splitlines()]
    calls = [f"tool call: {c.name}({c.arguments})" for c in answer.tool_calls]
    return [*lines, "[answer]", *(answer.text or "").splitlines(), *calls, ""]


def tidy(files: Sequence[str]) -> Told:
    """Sort each store, drop doubles, set damaged lines aside."""
    lines = []
    for file in files:
        store = opened(file)
        lines.append(f"{file}: {said(store.tidy())}")
        store.remove_lock()
    return lines, 0


def merge(files: Sequence[str]) -> Told:
    """Take the records of other stores into the first."""
    if len(files) < 2:
        raise StoreError("merge takes a store and at least one other whose records it takes in")
    store = Store(files[0])
    done = store.merge(*files[1:])
    store.remove_lock()
    return [f"{files[0]}: {said(done)}"], 0


def said(done: Tidied) -> str:
    """What tidying or merging did, in words."""
    parts = [f"{done.kept:,} {'record' if done.kept == 1 else 'records'} kept"]
    parts += [f"{n:,} {words}" for n, words in ((done.added, "taken in"), (done.dropped, "older doubles dropped")) if n]
    parts += [f"{done.rejected:,} damaged lines set aside in the file .rejected beside it"] if done.rejected else []
    return ", ".join(parts)


def check(files: Sequence[str]) -> Told:
    """Everything that is wrong with each store; exit code 1 where there is something."""
    lines, code = [], 0
    for file in files:
        store = opened(file)
        problems = store.check()
        code = max(code, int(bool(problems)))
        lines += [f"{file}, line {line}: {what}" for line, what in problems] or [f"{file}: {len(store):,} records, nothing wrong"]
    return lines, code


DOES: Mapping[str, Callable[[Sequence[str]], Told]] = {
    "stats": stats,
    "list": listed,
    "show": shown,
    "tidy": tidy,
    "merge": merge,
    "check": check,
}
"""What each word of ``tinyllm-magic cache`` does."""
