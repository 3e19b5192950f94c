"""Reads calls of tools that a prompt spells out as Python would write them: the script that the echo plays."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..messages import Message, Request
from ..responses import ToolCall


def next_calls(request: Request) -> tuple[ToolCall, ...]:
    """The calls of the next line that spells any; none where all such lines of the last question have been played.

    >>> tool = {"type": "function", "function": {"name": "weather", "parameters": {"properties": {"city": {}}}}}
    >>> request = Request("echo", "echo", (Message("user", "First weather('Ulm'), please."),), tools=(tool,))
    >>> [call.describe() for call in next_calls(request)]
    ["weather(city='Ulm')"]
    """
    played = _read_run(request.messages)
    lines = [calls for line in _find_question(request.messages).splitlines() if (calls := _read_line(line, request.tools))]
    number = sum(bool(message.tool_calls) for message in played)
    if number >= len(lines):
        return ()
    return tuple(ToolCall(f"call_{number}_{i}", name, arguments) for i, (name, arguments) in enumerate(lines[number]))


def write_results(messages: Sequence[Message]) -> str:
    """The calls that were played since the last question, each with its result; empty where none was."""
    played = _read_run(messages)
    calls = {str(call.get("id")): call.get("function") or {} for message in played for call in message.tool_calls}
    said = {i: ToolCall(i, str(f.get("name")), str(f.get("arguments") or "")).describe() for i, f in calls.items()}
    return "\n".join(f"{said.get(str(m.tool_call_id), 'result')} = {m.text}" for m in played if m.role == "tool")


def _find_question(messages: Sequence[Message]) -> str:
    return next((m.text for m in reversed(messages) if m.role == "user"), "")


def _read_run(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages after the last question."""
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
    return messages[last + 1 :]


def _read_line(line: str, tools: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The calls that a line of text spells: names of tools, and arguments as JSON."""
    known = {str(f.get("name")): list((f.get("parameters") or {}).get("properties") or {}) for f in map(_get_function, tools)}
    names = "|".join(map(re.escape, known))
    starts = re.finditer(rf"(?<![\w.])({names})\(", line) if names else ()
    found = ((start[1], _read_arguments(line[start.start() :], known[start[1]])) for start in starts)
    return [(name, json.dumps(arguments, ensure_ascii=False)) for name, arguments in found if arguments is not None]


def _get_function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    found = tool.get("function")
    return found if isinstance(found, Mapping) else tool


def _read_arguments(text: str, parameters: Sequence[str]) -> dict[str, Any] | None:
    """The arguments of the call at the beginning of a text; ``None`` where it is none, or they are no plain values."""
    for call in _parse_calls(text):
        if any(keyword.arg is None for keyword in call.keywords):
            return None
        try:
            given = dict(zip(parameters, map(ast.literal_eval, call.args), strict=False))
            named = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
            json.dumps(named | given, allow_nan=False)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            return None
        return given | named
    return None


def _parse_calls(text: str) -> Iterator[ast.Call]:
    for end in (i for i, sign in enumerate(text, 1) if sign == ")"):
        try:
            parsed = ast.parse(text[:end], mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if isinstance(parsed, ast.Call):
            yield parsed
