"""Reads answers of OpenAI's Responses API, whole or as a stream of events, into chunks (``read_answer``).

Takes any iterator of events as dicts, so that any transport can feed it.
https://developers.openai.com/api/reference/responses/streaming-events, read in 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import BadResponseError
from ..responses import Chunk, ToolPiece
from .chat_format import open_answer
from .openai_errors import from_body, no_answer, unreadable
from .usage import read_usage
from .vendor_fields import VendorFields

_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done")
_CUTS = {"max_output_tokens": "length", "content_filter": "content_filter"}
_CALLS = ("function_call", "custom_tool_call")
_NO_END = "the stream ended without saying how"


def read_answer(raw: Any) -> Iterator[Chunk]:
    """Chunks of an answer as they arrive; closes it at the end, whatever the end is.

    Takes an SDK stream, any other iterator of events (dicts or the SDK's objects), a ``Response`` of the SDK or a dict like
    one. Raises ``BadResponseError`` where the answer has no end, and the vendor's error where it reports one.
    """
    try:
        opened = open_answer(raw)
        if isinstance(opened, Mapping) or hasattr(opened, "output"):
            yield from _Reader().end(_fields(opened))
        elif isinstance(opened, Iterable) and not isinstance(opened, str):
            yield from _read_stream(opened)
        else:
            raise BadResponseError(f"the transport returned {type(opened).__name__}, which is no answer of the Responses API")
    finally:
        close = getattr(raw, "close", None)
        if callable(close):
            close()


def _read_stream(events: Iterable[Any]) -> Iterator[Chunk]:
    reader = _Reader()
    done = False
    try:
        for item in events:
            event = _fields(item)
            done = done or not event  # what is no event is the mark of a stream's end
            if event:
                yield from reader.event(event)
    except Exception:
        if not reader.finished:
            raise  # else the answer is complete
    if reader.finished:
        return
    if done and reader.says_something:
        yield Chunk(done=True, note=_NO_END)
    elif reader.strange:
        raise no_answer(reader.strange)
    else:
        raise BadResponseError("the stream ended before the answer was finished" if reader.met else "the stream held no answer")


class _Reader:
    """Reads one answer; remembers what was said of it, for each item comes twice: in pieces and whole."""

    def __init__(self) -> None:
        self.met = self.finished = self.says_something = False
        self.strange: Mapping[str, Any] = {}
        """An object that came instead of an event."""
        self._said: dict[tuple[int, str, int], str] = {}  # by the item's place, what it is of it, and its part
        self._slots: dict[int, int] = {}  # which of the calls an item is
        self._named: set[int] = set()  # the calls whose names are told
        self._places: dict[str, int] = {}  # of items whose events do not say it
        self._items: dict[int, Mapping[str, Any]] = {}
        self._thought = False

    def event(self, event: Mapping[str, Any]) -> Iterator[Chunk]:
        """The chunks of one event."""
        kind = str(event.get("type") or "")
        self.met = True
        if kind in ("error", "response.error") or (event.get("error") and not kind.startswith("response.")):
            raise from_body(event)
        if kind in _ENDS or event.get("object") == "response":
            yield from self.end(_map(event.get("response")) or event)
        elif kind == "response.output_item.added":
            yield from self._begin(self._place(event), _map(event.get("item")))
        elif kind == "response.output_item.done":
            yield from self._finish(self._place(event), _map(event.get("item")))
        elif kind in _DELTAS:
            what, part = _DELTAS[kind]
            yield from self._say(self._place(event), what, _number(event.get(part)), _text(event.get("delta")))
        elif not kind:
            self.strange = self.strange or event

    def end(self, response: Mapping[str, Any]) -> Iterator[Chunk]:
        """The chunks that are still to come of a whole answer, the last among them; raises the error that it reports."""
        status, output = response.get("status"), response.get("output")
        if response.get("error") or status == "failed":
            raise from_body({"error": response.get("error") or "the vendor says that the answer failed"})
        if not isinstance(output, Sequence) or isinstance(output, str):
            raise no_answer(response) if response else unreadable("")
        if status not in ("completed", "incomplete", None):
            raise BadResponseError(f"the answer is not finished: its status is {status!r}")
        for number, item in enumerate(output):
            found = _map(_fields(item))
            yield from self._finish(self._places.get(_text(found.get("id")), number), found)
        self.finished = True
        others = self._collect(response)
        yield Chunk(
            finish_reason=self._choose_reason(response),
            usage=read_usage(_fields(response.get("usage"))),
            model=_text(response.get("model")) or None,
            logprobs=others.logprobs,
            raw=others.raw or None,
        )

    def _choose_reason(self, response: Mapping[str, Any]) -> str:
        if response.get("status") == "incomplete":
            reason = _text(_map(response.get("incomplete_details")).get("reason"))
            return _CUTS.get(reason, reason or "incomplete")
        return "tool_calls" if self._slots else "stop"

    def _place(self, event: Mapping[str, Any]) -> int:
        """The place of an event's item in the output."""
        place = event.get("output_index")
        if isinstance(place, int):
            return place
        name = _text(event.get("item_id")) or _text(_map(event.get("item")).get("id"))
        return self._places.setdefault(name, -1 - len(self._places))

    def _begin(self, place: int, item: Mapping[str, Any]) -> Iterator[Chunk]:
        """An item begins: of a call its name comes first."""
        if item.get("type") in _CALLS and place not in self._named:
            slot = self._slots.setdefault(place, len(self._slots))
            self._named.add(place)
            self.says_something = True
            call_id = _text(item.get("call_id")) or _text(item.get("id"))
            yield Chunk(tool_pieces=(ToolPiece(slot, call_id, _text(item.get("name"))),))

    def _finish(self, place: int, item: Mapping[str, Any]) -> Iterator[Chunk]:
        """An item is whole: what was not said of it in pieces is said now."""
        self._items[place] = item
        yield from self._begin(place, item)
        for what, part, text in _list_parts(item):
            known = self._said.get((place, what, part), "")
            if text.startswith(known):
                yield from self._say(place, what, part, text[len(known) :])

    def _say(self, place: int, what: str, part: int, delta: str) -> Iterator[Chunk]:
        """A piece of text, a refusal, reasoning or arguments."""
        if what == "thought" and any(of[:2] == (place, "summary") and said for of, said in self._said.items()):
            return  # its summary is shown
        where = (place, what, part)
        is_new = where not in self._said
        self._said[where] = self._said.get(where, "") + delta
        self.says_something = self.says_something or bool(delta)
        if what == "text" and (delta or is_new):
            yield Chunk(text=delta)
        elif what == "refusal" and delta:
            yield Chunk(refusal=delta)
        elif what == "arguments" and delta:
            yield Chunk(tool_pieces=(ToolPiece(self._slots.setdefault(place, len(self._slots)), arguments=delta),))
        elif what in ("summary", "thought") and delta:
            begins = self._said[where] == delta
            parted = "\n\n" if begins and self._thought else ""
            self._thought = True
            yield Chunk(reasoning=parted + delta)

    def _collect(self, response: Mapping[str, Any]) -> VendorFields:
        """What else the vendor has sent: log probabilities, citations, the tier, items that have no name here."""
        items = [self._items[place] for place in sorted(self._items)]
        parts = [_map(part) for item in items for part in _list(item.get("content"))]
        kept = {
            "annotations": [note for part in parts for note in _list(part.get("annotations"))],
            "output": _list_output(items),
        }
        logprobs = [entry for part in parts for entry in _list(part.get("logprobs"))]
        others = VendorFields()
        answer = {name: response[name] for name in ("service_tier", "usage") if response.get(name)}
        others.add({**answer, "usage": _fields(answer.get("usage"))}, {"logprobs": {"content": logprobs}} if logprobs else {}, kept)
        return others


_DELTAS: Mapping[str, tuple[str, str]] = {
    "response.output_text.delta": ("text", "content_index"),
    "response.refusal.delta": ("refusal", "content_index"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index"),
    "response.reasoning_text.delta": ("thought", "content_index"),
    "response.function_call_arguments.delta": ("arguments", ""),
    "response.custom_tool_call_input.delta": ("arguments", ""),
}
"""What an event's ``delta`` is a piece of, and the name under which it says of which part."""


def _list_parts(item: Mapping[str, Any]) -> Iterator[tuple[str, int, str]]:
    """What a whole item says: what it is, the number of its part, the text."""
    kind = item.get("type")
    if kind in _CALLS:
        yield "arguments", 0, _text(item.get("arguments")) or _text(item.get("input"))
    for number, part in enumerate(map(_map, _list(item.get("summary")) if kind == "reasoning" else ())):
        yield "summary", number, _text(part.get("text"))
    for number, part in enumerate(map(_map, _list(item.get("content")))):
        if kind == "reasoning":
            yield "thought", number, _text(part.get("text"))
        elif kind == "message" and part.get("type") == "refusal":
            yield "refusal", number, _text(part.get("refusal"))
        elif kind == "message":
            yield "text", number, _text(part.get("text"))


def _list_output(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The items in their order, where some have no name here, or reasoning that is wanted back; what is said elsewhere is left out."""
    calls = [item for item in items if item.get("type") in _CALLS]
    wanted_back = bool(calls) and any(item.get("encrypted_content") for item in items if item.get("type") == "reasoning")
    if not wanted_back and all(item.get("type") in ("message", "reasoning", *_CALLS) for item in items):
        return []
    kept: list[Mapping[str, Any]] = []
    for item in items:
        kind = item.get("type")
        if kind in _CALLS:
            kept.append({"type": "function_call", "index": len([k for k in kept if k["type"] == "function_call"])})
        elif kind == "message":
            kept.append({"type": "message"})
        elif kind != "reasoning":
            kept.append(item)
        elif wanted_back:
            kept.append({name: item[name] for name in ("type", "id", "summary", "encrypted_content") if item.get(name) is not None})
    return kept


def _fields(value: Any) -> Mapping[str, Any]:
    """The fields of a mapping or of an SDK object that were sent; nothing of anything else."""
    if isinstance(value, Mapping):
        return value
    dump: Callable[..., Any] | None = getattr(value, "model_dump", None)
    fields = dump(exclude_unset=True, by_alias=True, warnings=False) if callable(dump) else None
    return fields if isinstance(fields, Mapping) else {}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0
