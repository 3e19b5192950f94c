"""Writes recorded answers as text that people read: whole records, and a store as ``git diff`` shows it (``write_store``)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..file_text import recorded_files_in
from ..messages import last_prompt
from ..responses import Record
from ..text_format import printable, shorten_line
from .store import Store

_LONGEST_TITLE = 100  # characters


def format_record(record: Record) -> list[str]:
    """A whole record: what was asked, with what, and what was answered."""
    answer, request = record.answer, record.request
    usage = answer.usage
    facts = {
        "key": record.key,
        "model": f"{_name_models(record)} ({request.get('provider', '')})",
        "fingerprint": answer.fingerprint or "",
        "params": _dump(request.get("params", {})),
        "tools": ", ".join(map(_name_tool, request.get("tools") or ())),
        "format": _dump(request["response_format"]) if request.get("response_format") is not None else "",
        "sample": str(request.get("sample", 0) + 1),
        "recorded": f"{record.created}, {record.duration:.2f} s, version {record.version}",
        "tokens": f"{usage.prompt_tokens} in / {usage.completion_tokens} out" if usage else "",
        "cost": "" if record.cost is None else f"${record.cost:.10f}".rstrip("0").rstrip("."),
        "finish": answer.finish_reason or "",
    }
    lines = [f"{name:<12}{value}" for name, value in facts.items() if value]
    for message in request.get("messages", ()):
        lines += [f"[{message.get('role', '')}]", *_write_message(message)]
    calls = [f"tool call: {c.name}({c.arguments})" for c in answer.tool_calls]
    thought = ["[reasoning]", *answer.reasoning.splitlines()] if answer.reasoning else []
    refused = ["[refusal]", *answer.refusal.splitlines()] if answer.refusal else []
    return [*lines, *thought, *refused, "[answer]", *(answer.text or "").splitlines(), *calls, ""]


def _name_models(record: Record) -> str:
    """The model that was asked, and the one that answered where it says another name."""
    asked, answered = str(record.request.get("model", "")), record.answer.model
    return f"{asked} → {answered}" if answered and answered != asked else asked


def _write_message(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content")
    for part in content if isinstance(content, list) else [{"text": content or ""}]:
        files = recorded_files_in(part)
        yield from (f"[{part.get('type', 'file')}: {title}, sha256:{digest}]" for digest, title in files)
        if not files:
            text = part.get("text")
            yield from text.splitlines() if isinstance(text, str) else [_dump(part)]
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield f"tool call: {function.get('name', '')}({function.get('arguments', '')})"


def _name_tool(tool: Mapping[str, Any]) -> str:
    return str((tool.get("function") or tool).get("name", "?"))


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def write_store(path: Path) -> Iterator[str]:
    """A store as lines for ``git diff``: one block a record, in an order that re-asking, adding or tidying does not change.

    Blocks of alike questions stand together, so that a changed parameter or prompt shows as a changed block. What is wrong with
    the file stands first. A file that is no store is given as it is, for git gives up where its helper fails. Raises ``StoreError``
    where there is no file.
    """
    if not path.exists():
        raise StoreError(f"there is no file {path}", path=str(path))
    store = Store(path)
    try:
        problems, records = store.check(), sorted(store.records(), key=_place)
    except StoreError:
        yield from path.read_text("utf-8", "replace").splitlines()
        return
    yield from (f"line {line}: {what}" for line, what in problems)
    header = {name: value for name, value in store.header.items() if name not in ("format", "version")}
    yield from (f"{name:<12}{value}" for name, value in sorted(header.items()))
    yield ""
    for record in records:
        title = f"== {shorten_line(last_prompt(record.request), _LONGEST_TITLE)} ({record.request.get('model', '')})"
        yield from map(printable, (title, *format_record(record)))


def _place(record: Record) -> tuple[str, ...]:
    request = record.request
    rest = (request.get("messages"), request.get("model"), request.get("params"), request.get("sample", 0), request.get("provider"))
    return (str(request.get("kind", "")), last_prompt(request), *map(_dump, rest), record.key)
