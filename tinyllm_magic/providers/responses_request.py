"""Writes a request as OpenAI's Responses API takes it (``responses_params``); the request itself speaks as chat does.

https://developers.openai.com/api/reference/responses/overview, read in 2026-11.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..messages import Message, Request

NOT_TAKEN = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "modalities",
        "n",
        "prediction",
        "presence_penalty",
        "seed",
        "stop",
        "web_search_options",
    ]
)
"""Parameters of chat that this API does not have."""
NOT_ALONE = frozenset(("previous_response_id", "conversation", "background"))
"""Parameters that make an answer depend on what the vendor keeps: a record has to stand alone."""
OWN_PARAMETERS = frozenset(
    ("include", "instructions", "max_output_tokens", "max_tool_calls", "prompt", "reasoning", "text", "truncation"),
)
"""Parameters that chat does not have."""
LIMITS = ("max_output_tokens", "max_completion_tokens", "max_tokens")  # one parameter; the first is its name here
# What every supported version of the SDK takes by name, but for what is written below; a test compares it with the SDK.
_NAMED = frozenset(
    [
        "instructions",
        "max_tool_calls",
        "metadata",
        "parallel_tool_calls",
        "prompt",
        "service_tier",
        "store",
        "temperature",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
        "extra_headers",
        "extra_query",
    ]
)
_WRITTEN = frozenset(
    (*LIMITS, "reasoning_effort", "verbosity", "reasoning", "text", "include", "tool_choice", "logprobs", "stream", "stream_options"),
)


def responses_params(request: Request, *, stream: bool, without: Collection[str] = ()) -> dict[str, Any]:
    """Keyword arguments for ``client.responses.create``, fresh copies for each call.

    The vendor is asked to keep nothing (``store``), to tell a summary of its reasoning, and where tools go along its
    reasoning encrypted, which it gets back with their results. ``without`` are of ``reasoning_summary`` and ``include`` those
    that it has refused.
    """
    given = {name: value for name, value in request.params.items() if value is not None and name != "extra_body"}
    params: dict[str, Any] = {"model": request.model, "input": [item for m in request.messages for item in _write_message(m)]}
    params |= {"store": False, **{name: value for name, value in given.items() if name in _NAMED}}
    written = {
        "max_output_tokens": next((given[name] for name in LIMITS if name in given), None),
        "reasoning": _write_reasoning(given, without),
        "text": _write_text(given, request.response_format),
        "include": _write_include(given, request, without),
        "tools": [_write_tool(tool) for tool in request.tools],
        "tool_choice": _write_choice(given.get("tool_choice")),
    }
    params |= {name: value for name, value in written.items() if value}
    if stream:
        params["stream"] = True
    extra = {name: value for name, value in given.items() if name not in _NAMED | _WRITTEN} | (request.params.get("extra_body") or {})
    if extra:
        params["extra_body"] = extra
    return copy.deepcopy(params)


def _write_reasoning(given: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    summary = {} if "reasoning_summary" in without else {"summary": "auto"}
    effort = {"effort": given["reasoning_effort"]} if "reasoning_effort" in given else {}
    return {**summary, **effort, **(given.get("reasoning") or {})}


def _write_text(given: Mapping[str, Any], response_format: Mapping[str, Any] | None) -> dict[str, Any]:
    verbosity = {"verbosity": given["verbosity"]} if "verbosity" in given else {}
    form = {} if response_format is None else {"format": _flatten(response_format, "json_schema")}
    return {**verbosity, **form, **(given.get("text") or {})}


def _write_include(given: Mapping[str, Any], request: Request, without: Collection[str]) -> list[str]:
    wanted = ["reasoning.encrypted_content"] if request.tools and "include" not in without else []
    wanted += ["message.output_text.logprobs"] if given.get("logprobs") else []
    return [*dict.fromkeys([*(given.get("include") or ()), *wanted])]


def _write_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool; a function is strict here unless it says that it is not, in chat it is the other way round."""
    flat = _flatten(tool, "function")
    return {"strict": False, **flat} if flat.get("type") == "function" else flat


def _write_choice(choice: Any) -> Any:
    return _flatten(choice, "function") if isinstance(choice, Mapping) else choice


def _flatten(value: Mapping[str, Any], inner: str) -> dict[str, Any]:
    """What chat puts into a dict within: here it stands beside the type."""
    nested = value.get(inner)
    rest = {name: v for name, v in value.items() if name != inner}
    return {**rest, **nested} if isinstance(nested, Mapping) else dict(value)


def _write_message(message: Message) -> Iterator[dict[str, Any]]:
    """The input items of a message: itself, the calls of tools that it holds, the result of one."""
    if message.role in ("tool", "function"):
        yield {"type": "function_call_output", "call_id": message.tool_call_id or message.name or "", "output": message.text}
        return
    said = [{"role": message.role, "content": _write_content(message)}] if message.content else []
    calls = [_write_call(call) for call in message.tool_calls]
    if not message.output_items:
        yield from (*said, *calls)
        return
    for item in message.output_items:  # in the order in which they were put out
        if item.get("type") == "message":
            yield from said
            said = []
        elif item.get("type") == "function_call":
            yield calls[item["index"]]
        else:
            yield dict(item)


def _write_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {"type": "function_call", "call_id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}


def _write_content(message: Message) -> str | list[dict[str, Any]]:
    if not isinstance(message.content, tuple):
        return message.content or ""
    text = "output_text" if message.role == "assistant" else "input_text"
    return [_write_part(dict(part), text) for part in message.content]


def _write_part(part: dict[str, Any], text: str) -> dict[str, Any]:
    if part.get("type") == "text":
        return {**part, "type": text}
    if part.get("type") == "image_url":
        image = part["image_url"]
        fields = dict(image) if isinstance(image, Mapping) else {"url": image}
        return {"type": "input_image", "image_url": fields.get("url"), "detail": fields.get("detail") or "auto"}
    if part.get("type") == "file":
        return {"type": "input_file", **(part.get("file") or {})}
    return part
