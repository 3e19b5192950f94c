"""Answers of OpenAI's Responses API, in one piece and as a stream, copied in shape from its reference.

https://developers.openai.com/api/reference/resources/responses/methods/create and …/responses/streaming-events, read in 2026-11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 12},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 123,
}


def message(text: str = "Hello, world", *, refusal: str | None = None, **part: Any) -> dict[str, Any]:
    """A message of the output."""
    said = {"type": "output_text", "text": text, "annotations": [], "logprobs": [], **part}
    content = said if refusal is None else {"type": "refusal", "refusal": refusal}
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [content]}


def reasoning(*summary: str, **more: Any) -> dict[str, Any]:
    """The model's reasoning, in the paragraphs of its summary."""
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return {"id": "rs_1", "type": "reasoning", "summary": parts, **more}


def call(name: str, arguments: Mapping[str, Any], call_id: str = "call_1") -> dict[str, Any]:
    """A call of a function."""
    text = json.dumps(arguments)
    return {"id": f"fc_{call_id}", "type": "function_call", "status": "completed", "call_id": call_id, "name": name, "arguments": text}


def whole(*output: Mapping[str, Any], status: str = "completed", model: str = "o3-2025-04-16", **more: Any) -> dict[str, Any]:
    """A response object."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741476777,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model,
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": "auto"},
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": USAGE,
        "user": None,
        "metadata": {},
        **more,
    }


def events(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The events by which a response comes as a stream."""
    started = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None, "error": None}
    ends = {"completed": "response.completed", "incomplete": "response.incomplete", "failed": "response.failed"}
    listed: list[dict[str, Any]] = [
        {"type": "response.created", "response": started},
        {"type": "response.in_progress", "response": started},
        *(event for number, item in enumerate(response["output"]) for event in _item_events(number, item)),
        {"type": ends[response["status"]], "response": dict(response)},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(listed)]


def stream(response: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A turn of a scripted server: the stream of a response, or of these events."""
    listed = events(response) if isinstance(response, Mapping) else response
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in listed)
    return {"body": body, "content_type": "text/event-stream; charset=utf-8"}


def answer(response: Mapping[str, Any]) -> Any:
    """A turn that answers as it is asked: whole, or as a stream."""
    return lambda asked: stream(response) if asked.get("stream") else {"body": dict(response)}


def _item_events(number: int, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    place = {"output_index": number}
    where = {**place, "item_id": item.get("id")}
    begun = {**item, "status": "in_progress", **{name: "" for name in ("arguments", "input") if name in item}}
    begun |= {name: [] for name in ("content", "summary") if name in item}
    yield {"type": "response.output_item.added", **place, "item": begun}
    for part, said in enumerate(item.get("summary", ())):
        at = {**where, "summary_index": part}
        yield {"type": "response.reasoning_summary_part.added", **at, "part": {"type": "summary_text", "text": ""}}
        for word in _words(said["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": word}
        yield {"type": "response.reasoning_summary_text.done", **at, "text": said["text"]}
        yield {"type": "response.reasoning_summary_part.done", **at, "part": said}
    for part, said in enumerate(item.get("content") or ()):
        yield from _part_events({**where, "content_index": part}, said)
    if "arguments" in item:
        for word in _words(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **where, "delta": word}
        yield {"type": "response.function_call_arguments.done", **where, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", **place, "item": dict(item)}


def _part_events(at: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    kind, name = {
        "output_text": ("output_text", "text"),
        "refusal": ("refusal", "refusal"),
        "reasoning_text": ("reasoning_text", "text"),
    }[part["type"]]
    yield {"type": "response.content_part.added", **at, "part": {**part, name: ""}}
    for word in _words(part[name]):
        yield {"type": f"response.{kind}.delta", **at, "delta": word}
    yield {"type": f"response.{kind}.done", **at, name: part[name]}
    yield {"type": "response.content_part.done", **at, "part": dict(part)}


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*|\s+", text)
