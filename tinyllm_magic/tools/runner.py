"""Gets the results of the tool calls in an answer: recorded, or by running the functions (``ToolRunner``)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ReplayMiss
from ..messages import Message
from ..recording.lookup import Lookup
from ..recording.misses import SESSION
from ..recording.modes import Decision, Mode
from ..recording.recorder import RecordingProvider, resolve
from ..recording.single_flight import SingleFlight
from ..recording.store import Store
from ..responses import Record, Response, ToolCall, ToolResult
from .approval import ask_user
from .functions import Tool
from .provider import ToolProvider, make_request

_APPROVED = "it has to be approved"
_NOT_RECORDED = "the model's call comes from a record, its result was never recorded"


@dataclass(frozen=True)
class ToolRunner:
    """Gets results of tool calls through the store of their answer, in its mode; what is recorded runs nothing.

    With ``approve`` the user is asked before anything runs. That is also so where the call itself comes from a record, for
    the store may be anybody's; ``live`` holds the keys of requests that this session is answering live.
    """

    tools: Mapping[str, Tool]
    mode: Mode
    store: Store | None = None
    lookup: Lookup | None = None
    approve: bool = False
    live: Collection[str] = ()
    flights: SingleFlight = field(default_factory=SingleFlight)
    version: str = ""
    advice: str = SESSION

    def run(self, response: Response, index: int) -> ToolResult:
        """The result of one call; raises ``ReplayMiss`` in strict replay, ``ToolError`` where it must be asked for and cannot."""
        call = response.tool_calls[index]
        request = make_request(response.key, index, call)
        found = resolve(request, self.mode, self.lookup)
        refusal = ""
        if found.decision is Decision.MISS:
            words = f"no recorded result of {call.describe()}"
            raise ReplayMiss(words, request=request, path=str(self.store.path) if self.store else None, hint=self.advice)
        if found.decision is not Decision.REPLAY:
            recorded = response.source == "recorded" and response.key not in self.live
            if self.approve or recorded:
                refusal = ask_user(call.describe(), _APPROVED if self.approve else _NOT_RECORDED)
        provider = RecordingProvider(
            ToolProvider(self.tools, call, refusal),
            self.store,
            self.mode,
            flights=self.flights,
            version=self.version,
            lookup=self.lookup,
            advice=self.advice,
        )
        *_, last = provider.send(request, resolution=found)
        return self._build_result(call, last.record, last.source)

    def recorded(self, response: Response) -> tuple[ToolResult, ...] | None:
        """The results of all calls as they are recorded, ``None`` where one is not."""
        results = []
        for index, call in enumerate(response.tool_calls):
            request = make_request(response.key, index, call)
            record = None if self.lookup is None else self.lookup.get(request, only_reads=True)
            if record is None:
                return None
            results.append(self._build_result(call, record, "recorded"))
        return tuple(results)

    def _build_result(self, call: ToolCall, record: Record | None, source: str) -> ToolResult:
        """The result, with a note where the function is another one now than when it was recorded."""
        if record is None:
            raise RuntimeError("the recording provider ended without a record")
        now, then = getattr(self.tools.get(call.name), "digest", ""), record.answer.fingerprint
        changed = now and then and now != then
        note = f"the source of {call.name} has changed since its result was recorded; --fresh (mode='refresh') runs it again"
        return ToolResult(call, record, source, (note,) if changed else ())


def follow_up(
    messages: tuple[Message, ...],
    response: Response,
    results: tuple[ToolResult, ...],
    number: int,
    *,
    returns_reasoning: bool = False,
) -> tuple[Message, ...]:
    """The messages of the request that goes on: the answer with its calls, and the result of each.

    A call that came without an id, or with its neighbour's, gets one, the same in every run: ``number`` tells the steps apart.
    The reasoning goes along where the vendor wants it back: in its own items, or as text (``returns_reasoning``).
    """
    ids = [call.id for call in response.tool_calls]
    names = [known if known and ids.count(known) == 1 else f"call_{number}_{i}" for i, known in enumerate(ids)]
    others = {item.get("index"): item for item in _signatures(response.raw)}
    calls: list[dict[str, Any]] = []
    for i, (name, call) in enumerate(zip(names, response.tool_calls, strict=True)):
        rest = {k: v for k, v in others.get(i, {}).items() if k != "index"}
        plain = ToolCall(name, call.name, _write_arguments(call))
        calls.append({**plain.to_dict(), **rest})
    answers = [Message("tool", result.text, tool_call_id=name) for name, result in zip(names, results, strict=True)]
    thought = response.reasoning if returns_reasoning else None
    items = response.raw.get("output") if response.request.kind == "responses" else None
    said = Message("assistant", response.text or None, None, tuple(calls), reasoning_content=thought, output_items=tuple(items or ()))
    return (*messages, said, *answers)


def _signatures(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a vendor sent with its calls beside their functions, and wants back."""
    found = raw.get("tool_calls")
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _write_arguments(call: ToolCall) -> str:
    """Arguments as vendors take them back: some refuse what is no JSON object."""
    value = call.read_arguments()
    return call.arguments if value and isinstance(value, dict) else json.dumps(value if isinstance(value, dict) else {"arguments": value})
