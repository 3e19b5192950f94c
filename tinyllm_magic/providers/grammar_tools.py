"""Tools for a model whose chat template knows none: where a call is demanded, they stand in its prompt, and a grammar holds it to one.

Left to choose (``tool_choice="auto"``), a model that has not learnt to call rarely does: such a request is refused, and asked without.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import NoJSONError
from ..json_schema import walk
from ..json_text import find_json
from ..messages import Message, Request
from ..responses import CUT_REASONS, Chunk, ToolCall, ToolPiece

_TOLD = 'You can call these functions:\n{tools}\n\nTo call one, write {{"name": …, "arguments": {{…}}}}.'
_AGAIN = "What is the answer to: {}"
_CONTROLS = ("tool_choice", "parallel_tool_calls")


def demands_call(request: Request) -> bool:
    """Whether a request says that a tool has to be called: any (``tool_choice="required"``) or the one that it names."""
    return bool(request.tools) and request.params.get("tool_choice") not in (None, "auto", "none")


def has_results(request: Request) -> bool:
    """Whether the results of a call stand at the end: they are answered, and nothing more is called."""
    return request.messages[-1].role == "tool"


def spell_tools(request: Request) -> Request:
    """A request without tools that asks the same of a model which knows none."""
    params = {k: v for k, v in request.params.items() if k not in _CONTROLS}
    plain = replace(request, messages=_spell_messages(request.messages), tools=(), params=params)
    if not demands_call(request) or has_results(request):
        return plain
    offered = _choose_tools(request.tools, request.params["tool_choice"])
    told = _TOLD.format(tools="\n".join(json.dumps(_get_function(tool), ensure_ascii=False) for tool in offered))
    form = {"type": "json_schema", "json_schema": {"name": "call", "schema": _make_schema(offered)}}
    return replace(plain, messages=_tell(plain.messages, told), response_format=form)


def read_call(chunks: Iterator[Chunk], number: int) -> Iterator[Chunk]:
    """The chunks of an answer that the grammar held, as a call; what was cut before its end is left as text.

    ``number`` is how many calls the conversation holds already: it tells their ids apart.
    """
    text = ""
    for chunk in chunks:
        text += chunk.text or ""
        if chunk.finish_reason is None:
            if chunk.text is None:
                yield chunk
            continue
        call = None if chunk.finish_reason in CUT_REASONS else _read(text)
        if call is None:
            yield replace(chunk, text=text)
            continue
        piece = ToolPiece(0, f"call_{number}", str(call["name"]), json.dumps(call["arguments"], ensure_ascii=False))
        yield replace(chunk, text=None, tool_pieces=(piece,), finish_reason="tool_calls")


def _read(text: str) -> dict[str, Any] | None:
    try:
        _, value = find_json(text)
    except NoJSONError:
        return None
    return value if isinstance(value, dict) and value.keys() == {"name", "arguments"} else None


def _choose_tools(tools: Sequence[Mapping[str, Any]], choice: Any) -> Sequence[Mapping[str, Any]]:
    name = _get_function(choice).get("name") if isinstance(choice, Mapping) else None
    return [tool for tool in tools if _get_function(tool).get("name") == name] or tools


def _get_function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    found = tool.get("function")
    return found if isinstance(found, Mapping) else tool


def _make_schema(tools: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The schema of a call of one of these tools; the arguments of each stand apart, with references of their own."""
    functions = {f"tool{i}": _get_function(tool) for i, tool in enumerate(tools)}
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": function.get("name")}, "arguments": {"$ref": f"#/$defs/{place}"}},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for place, function in functions.items()
    ]
    parts = {place: _move(function.get("parameters") or {"type": "object"}, place) for place, function in functions.items()}
    return {"anyOf": calls, "$defs": parts}


def _move(schema: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A schema as a part of another: what it refers to within itself is found there."""
    moved = copy.deepcopy(dict(schema))
    for node in walk(moved):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            node["$ref"] = f"#/$defs/{place}{reference[1:]}"
    return moved


def _tell(messages: tuple[Message, ...], words: str) -> tuple[Message, ...]:
    """The messages, with more words in the system message."""
    for i, message in enumerate(messages):
        if message.is_system:
            return (*messages[:i], replace(message, content=f"{message.text}\n\n{words}"), *messages[i + 1 :])
    return (Message("system", words), *messages)


def _spell_messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with calls in words; the results of one answer are one message of the user, who asks once more."""
    said: list[Message] = []
    called: dict[str | None, str] = {}
    lines: list[str] = []
    question = ""
    for i, message in enumerate(messages):
        if message.role == "tool":
            lines.append(f"{called.get(message.tool_call_id, 'result')} = {message.text}")
            if i + 1 == len(messages) or messages[i + 1].role != "tool":
                said.append(Message("user", "\n".join([*lines, "", _AGAIN.format(question)])))
                lines = []
            continue
        if message.role == "user":
            question = message.text
        if message.tool_calls:
            called = {call.get("id"): _describe(_get_function(call)) for call in message.tool_calls}
            words = f"I call {', '.join(called.values())}."
            said.append(Message(message.role, f"{message.text}\n{words}" if message.text else words))
        else:
            said.append(message)
    return tuple(said)


def _describe(function: Mapping[str, Any]) -> str:
    return ToolCall("", str(function.get("name")), str(function.get("arguments") or "")).describe()
