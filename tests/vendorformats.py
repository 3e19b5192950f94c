"""What vendors answer, copied in shape from their documentation: an answer in one piece, a stream, an error.

Every answer says "Hello, world"; ``usage`` is what this package is to read of its token counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Format:
    """One vendor's answers; ``usage`` are tokens of the prompt, of the answer, of its cache, of reasoning."""

    model: str
    whole: dict[str, Any]
    stream: str
    error: Any
    status: int
    words: str
    usage: tuple[int, int, int, int]
    refused: dict[str, Any] = field(default_factory=dict)
    """Parameters that are left out."""
    renamed: dict[str, Any] = field(default_factory=dict)
    """Parameters that are sent under another name."""


def whole(model: str, usage: dict[str, Any], *, finish: str = "stop", choice: Any = None, **more: Any) -> dict[str, Any]:
    """An answer in one piece."""
    message = {"role": "assistant", "content": "Hello, world"}
    choices = [{"index": 0, "message": message, "finish_reason": finish, **(choice or {})}]
    return {"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage, **more}


def events(model: str, last: Sequence[dict[str, Any]], *, finish: str = "stop", before: str = "", **more: Any) -> str:
    """A stream of two pieces of text and the ``last`` chunks; ``more`` stands in the chunk that ends the answer."""
    facts = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model}
    deltas = [{"role": "assistant", "content": ""}, {"content": "Hello"}, {"content": ", world"}]
    chunks = [{**facts, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    chunks.append({**facts, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], **more})
    chunks += [{**facts, "choices": [], **chunk} for chunk in last]
    return before + "".join(f"data: {json.dumps(c)}\n\n" for c in chunks) + "data: [DONE]\n\n"


def _format(model: str, usage: dict[str, Any], read: tuple[int, int, int, int], error: Any, status: int, words: str, **more: Any) -> Format:
    """A vendor whose stream tells its usage in a chunk of its own."""
    sent = {k: more.pop(k) for k in ("refused", "renamed") if k in more}
    return Format(model, whole(model, usage, **more), events(model, [{"usage": usage}]), error, status, words, read, **sent)


_PLAIN = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
_MISTRAL_ERROR = {
    "object": "error",
    "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "foo"], "msg": "Extra inputs are not permitted", "input": True}]},
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}
_DEEPSEEK = {
    **_PLAIN,
    "prompt_cache_hit_tokens": 4,
    "prompt_cache_miss_tokens": 5,
    "completion_tokens_details": {"reasoning_tokens": 1},
}
_XAI = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 14,
    "prompt_tokens_details": {"text_tokens": 9, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0, "accepted_prediction_tokens": 0},
}
_GROQ = {**_PLAIN, "queue_time": 0.03, "prompt_time": 0.001, "completion_time": 0.46, "total_time": 0.461}
_OPENROUTER = {**_PLAIN, "cost": 0.00014, "is_byok": False, "prompt_tokens_details": {"cached_tokens": 4}}
_OLLAMA_ERROR = {"error": {"message": "model 'm' not found", "type": "api_error", "param": None, "code": None}}
_LLAMACPP_ERROR = {"error": {"code": 400, "message": "the request exceeds the available context size", "type": "exceed_context_size_error"}}

FORMATS = {
    "anthropic": _format(
        "claude-sonnet-4-5", {**_PLAIN, "prompt_tokens_details": None}, (9, 3, 0, 0),
        {"error": {"type": "authentication_error", "message": "invalid x-api-key"}}, 401, "invalid x-api-key",
        refused={"seed": 1, "frequency_penalty": 0.5, "logprobs": True, "reasoning_effort": "low", "user": "me", "n": 1},
    ),
    "gemini": Format(
        "gemini-2.5-flash", whole("gemini-2.5-flash", _PLAIN), events("gemini-2.5-flash", [], usage=_PLAIN),
        [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT"}}],
        400, "API key not valid", (9, 3, 0, 0),
    ),
    "mistral": Format(
        "mistral-small-latest", whole("mistral-small-latest", _PLAIN), events("mistral-small-latest", [], usage=_PLAIN),
        _MISTRAL_ERROR, 422, "Extra inputs are not permitted", (9, 3, 0, 0),
        refused={"logprobs": True, "user": "me", "store": False}, renamed={"seed": "random_seed", "max_completion_tokens": "max_tokens"},
    ),
    "groq": Format(
        "llama-3.3-70b-versatile", whole("llama-3.3-70b-versatile", _GROQ, x_groq={"id": "req_1"}),
        events("llama-3.3-70b-versatile", [], x_groq={"id": "req_1", "usage": _GROQ}),
        {"error": {"message": "The model `m` does not exist", "type": "invalid_request_error", "code": "model_not_found"}},
        404, "does not exist", (9, 3, 0, 0), refused={"logprobs": True, "n": 1, "logit_bias": {"1": 2}},
    ),
    "deepseek": _format(
        "deepseek-reasoner", _DEEPSEEK, (9, 3, 4, 1),
        {"error": {"message": "Insufficient Balance", "type": "unknown_error", "param": None, "code": "invalid_request_error"}},
        402, "Insufficient Balance", refused={"temperature": 0.5, "top_p": 0.9, "logprobs": True},
    ),
    "xai": _format(
        "grok-4", _XAI, (9, 5, 4, 2),
        {"code": "invalid-argument", "error": "Model grok-4 does not support parameter presencePenalty."}, 400, "does not support",
        refused={"presence_penalty": 0.5, "frequency_penalty": 0.5, "stop": "x"},
    ),
    "together": _format(
        "meta-llama/Llama-3.3-70B-Instruct-Turbo", _PLAIN, (9, 3, 0, 0),
        {"error": {"message": "Invalid API key provided", "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}},
        401, "Invalid API key provided", finish="eos",
    ),
    "openrouter": Format(
        "meta-llama/llama-3.3-70b-instruct", whole("meta-llama/llama-3.3-70b-instruct", _OPENROUTER, provider="Cerebras"),
        events("meta-llama/llama-3.3-70b-instruct", [{"usage": _OPENROUTER}], before=": OPENROUTER PROCESSING\n\n"),
        {"error": {"code": 402, "message": "Insufficient credits"}}, 402, "Insufficient credits", (9, 3, 4, 0),
    ),
    "ollama": _format("llama3.2:3b", _PLAIN, (9, 3, 0, 0), _OLLAMA_ERROR, 404, "not found", system_fingerprint="fp_ollama"),
    "lmstudio": _format(
        "qwen2.5-7b-instruct", _PLAIN, (9, 3, 0, 0), {"error": "No models loaded. Please load a model."}, 400, "No models loaded", stats={}
    ),
    "vllm": _format(
        "NousResearch/Meta-Llama-3-8B-Instruct", {**_PLAIN, "prompt_tokens_details": None}, (9, 3, 0, 0),
        {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "param": None, "code": 404},
        404, "does not exist", choice={"stop_reason": None},
    ),
    "llamacpp": _format("local", _PLAIN, (9, 3, 0, 0), _LLAMACPP_ERROR, 400, "context size", timings={"predicted_per_second": 60.1}),
}  # fmt: skip
