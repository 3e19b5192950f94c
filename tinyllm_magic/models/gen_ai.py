"""What OpenTelemetry's conventions for generative AI call the facts of a call: one table for spans and for reports.

The names are those of https://opentelemetry.io/docs/specs/semconv/gen-ai/ (status: development), read in version 1.38. This module
imports nothing of OpenTelemetry's: names are text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..file_text import recorded_files_in
from ..redaction import bare_address
from ..responses import Answer, Usage
from .vendors import find_vendor, vendors

_PROVIDERS = {  # what the conventions call a vendor; one that they do not name keeps its own name
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "encoding_format": "gen_ai.request.encoding_formats",
    "service_tier": "openai.request.service_tier",
}
_OUTPUT_TYPES = {"json_object": "json", "json_schema": "json", "text": "text"}


def find_vendor_name(identity: str) -> str:
    """The vendor behind a provider's identity (``Request.provider``), by its address; else the API type itself.

    >>> find_vendor_name("openai:https://api.anthropic.com/v1"), find_vendor_name("openai:http://localhost:9/v1"), find_vendor_name("local")
    ('anthropic', 'openai', 'local')
    """
    kind, _, address = identity.partition(":")
    if not address:
        return kind
    own = next((v.name for v in vendors().values() if v.base_url and bare_address(v.base_url) == bare_address(address)), None)
    return own or kind


def name_provider(identity: str) -> str:
    """The value of ``gen_ai.provider.name``.

    >>> name_provider("azure:https://mine.openai.azure.com"), name_provider("groq:https://api.groq.com/openai/v1")
    ('azure.ai.openai', 'groq')
    """
    vendor = find_vendor_name(identity)
    return _PROVIDERS.get(vendor, vendor)


def title_provider(identity: str) -> str:
    """Who answered, for a reader: the vendor, this machine, or the address where that is no vendor's own.

    >>> title_provider("openai"), title_provider("local"), title_provider("openai:https://gate.example.org/v1")
    ('OpenAI', 'this machine (llama.cpp)', "https://gate.example.org/v1 (OpenAI's API)")
    """
    kind, _, address = identity.partition(":")
    name = find_vendor_name(identity)
    vendor = find_vendor(name)
    if kind in _ON_THIS_MACHINE:
        return _ON_THIS_MACHINE[kind]
    title = vendor.title if vendor is not None else kind
    if not address or (vendor is not None and vendor.base_url and bare_address(vendor.base_url) == bare_address(address)):
        return title if vendor is not None else f"{kind} (as the notebook calls it)"
    return f"{bare_address(address)} ({title}'s API)"


_ON_THIS_MACHINE = {"local": "this machine (llama.cpp)", "echo": "this machine (the echo, no model)"}


def describe_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a canonical request: what was asked of whom, with which parameters; no content."""
    kind = str(request.get("kind", "chat"))
    if kind == "tool":
        return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": str(request.get("model", ""))}
    if kind == "file":
        return {}  # what stands at a web address: no model has to do with it
    found: dict[str, Any] = {
        "gen_ai.operation.name": "embeddings" if kind == "embedding" else "chat",
        "gen_ai.provider.name": name_provider(str(request.get("provider", ""))),
        "gen_ai.request.model": str(request.get("model", "")),
    }
    params = request.get("params") or {}
    found |= {_PARAMETERS[name]: value for name, value in params.items() if name in _PARAMETERS and _is_scalar(value)}
    if isinstance(found.get("gen_ai.request.encoding_formats"), str):
        found["gen_ai.request.encoding_formats"] = [found["gen_ai.request.encoding_formats"]]
    if "stop" in params:
        stop = params["stop"]
        found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else [str(s) for s in stop or ()]
    form = request.get("response_format")
    if isinstance(form, Mapping) and form.get("type") in _OUTPUT_TYPES:
        found["gen_ai.output.type"] = _OUTPUT_TYPES[form["type"]]
    return found


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def describe_answer(answer: Answer) -> dict[str, Any]:
    """The attributes of an answer: the model that answered, why it ended, tokens; no content."""
    found: dict[str, Any] = {"gen_ai.response.model": answer.model, "openai.response.system_fingerprint": answer.fingerprint}
    identity = (answer.raw or {}).get("id")
    found["gen_ai.response.id"] = identity if isinstance(identity, str) else None
    found["gen_ai.response.finish_reasons"] = [answer.finish_reason] if answer.finish_reason else None
    found |= describe_usage(answer.usage) if answer.usage is not None else {}
    return {name: value for name, value in found.items() if value is not None}


def describe_usage(usage: Usage) -> dict[str, Any]:
    """Tokens, under the conventions' names; those that vendors report apart only where there are any."""
    parts = {
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
    }
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        **{name: count for name, count in parts.items() if count},
    }


def describe_question(request: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a canonical request: system instructions, messages, tools, in the conventions' JSON."""
    if request.get("kind") == "tool":
        return {"gen_ai.tool.call.arguments": (request.get("params") or {}).get("arguments")}
    messages = [m for m in request.get("messages", ()) if isinstance(m, Mapping)]
    system = [part for m in messages if m.get("role") in ("system", "developer") for part in _parts(m)]
    said = [{"role": str(m.get("role")), "parts": list(_parts(m))} for m in messages if m.get("role") not in ("system", "developer")]
    found = {"gen_ai.system_instructions": system, "gen_ai.input.messages": said, "gen_ai.tool.definitions": request.get("tools")}
    return {name: value for name, value in found.items() if value}


def describe_said(answer: Answer, kind: str = "chat") -> dict[str, Any]:
    """The content of an answer: its text, reasoning and calls of tools, in the conventions' JSON; of a tool, its result."""
    if kind in ("tool", "file", "embedding"):
        return {"gen_ai.tool.call.result": answer.text} if kind == "tool" else {}
    parts: list[dict[str, Any]] = [{"type": "reasoning", "content": answer.reasoning}] if answer.reasoning else []
    parts += [{"type": "text", "content": text} for text in (answer.text, answer.refusal) if text]
    parts += [{"type": "tool_call", "id": c.id, "name": c.name, "arguments": c.read_arguments()} for c in answer.tool_calls]
    return {"gen_ai.output.messages": [{"role": "assistant", "parts": parts, "finish_reason": answer.finish_reason or "stop"}]}


def _parts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return
    if isinstance(content, str):
        if content:
            yield {"type": "text", "content": content}
    elif isinstance(content, Sequence):
        yield from map(_part, content)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        yield {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a message: text as it is, a file by its digest, an address as it is."""
    if isinstance(part.get("text"), str):
        return {"type": "text", "content": part["text"]}
    media = str(part.get("type", "file")).removesuffix("_url").removeprefix("input_")
    files = recorded_files_in(part)
    if files:
        digest, title = files[0]
        return {"type": "file", "modality": "image" if media == "image" else "document", "file_id": f"sha256:{digest}", "name": title}
    held = part.get(str(part.get("type")))
    address = held.get("url") if isinstance(held, Mapping) else held
    if isinstance(address, str) and not address.startswith("data:"):
        return {"type": "uri", "modality": media, "uri": address}
    return {"type": media}
