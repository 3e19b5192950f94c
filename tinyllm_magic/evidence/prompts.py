"""The prompts of a cell, whole: its template, and what was made of it for every question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..file_text import recorded_files_in
from .collection import Evidence, Use
from .summary import question_of

_MOST_TEXT = 200_000  # characters of one cell's prompts that a report repeats; the store has all


@dataclass(frozen=True)
class CellPrompts:
    """What one cell asked.

    The ``first`` question is whole; of those that differ from it in the last message only, that message is in ``others``; those that
    differ otherwise are whole in ``further``. ``left_out`` counts what would make the report too long.
    """

    first: str
    others: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    left_out: int = 0


def write_messages(request: Mapping[str, Any]) -> str:
    """The messages of a canonical request as text, each under its role; files in words."""
    messages: Sequence[Mapping[str, Any]] = request.get("messages") or ()
    if not messages:
        return str((request.get("params") or {}).get("input", ""))
    return "\n\n".join(f"[{m.get('role')}]\n{_write_message(m)}" for m in messages)


def _write_message(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    lines = [str(p["text"]) if isinstance(p.get("text"), str) else _name_part(p) for p in parts]
    calls = [call.get("function") or {} for call in message.get("tool_calls") or ()]
    return "\n".join([*lines, *(f"(calls {c.get('name')}({c.get('arguments')}))" for c in calls)]).strip()


def _name_part(part: Mapping[str, Any]) -> str:
    return "".join(f"[{title}]" for _, title in recorded_files_in(part)) or f"[{part.get('type', 'part')}]"


def collect_prompts(uses: Sequence[Use]) -> CellPrompts | None:
    """The prompts of the answers of one cell; ``None`` where it has none."""
    requests = list({question_of(use.record): use.record.request for use in uses if use.is_answer}.values())
    if not requests:
        return None
    first = requests[0]
    others, further, left_out, length = list[str](), list[str](), 0, 0
    for request in requests[1:]:
        if request.get("messages") == first.get("messages"):
            continue  # other parameters, or another model
        text = _differing_end(first, request)
        whole = text if text is not None else write_messages(request)
        length += len(whole)
        if length > _MOST_TEXT:
            left_out += 1
        elif text is not None:
            others.append(text)
        else:
            further.append(whole)
    return CellPrompts(write_messages(first), tuple(dict.fromkeys(others)), tuple(dict.fromkeys(further)), left_out)


def _differing_end(first: Mapping[str, Any], request: Mapping[str, Any]) -> str | None:
    """The last message of a request that has the same ones before it; ``None`` where they differ."""
    one: Sequence[Mapping[str, Any]] = first.get("messages") or ()
    other: Sequence[Mapping[str, Any]] = request.get("messages") or ()
    same = bool(other) and len(one) == len(other) and one[:-1] == other[:-1] and one[-1].get("role") == other[-1].get("role")
    return _write_message(other[-1]) if same else None


def prompts_by_cell(evidence: Evidence) -> list[tuple[int, CellPrompts]]:
    """The prompts of every cell that has answers, by its number."""
    found = ((cell.number, collect_prompts(evidence.of_cell(cell))) for cell in evidence.cells)
    return [(number, prompts) for number, prompts in found if prompts is not None]
