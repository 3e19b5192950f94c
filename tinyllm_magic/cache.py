"""Requests in, chunks out, recorded or live: ``Mode``, the decision, and the provider ``Recorded``.

Knows when a record answers and when a call is made, how a live answer becomes a record, and why a replay misses.
Does not know vendors, settings, prices or how a store is kept on disk.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from .answers import Answer, Chunk, Folder, Provider, Record, ToolPiece
from .differences import explain_miss, is_prose, leaves
from .errors import ConfigError, ReplayMiss, near, suggest
from .messages import Request
from .records import Damaged, decode, encode, mask
from .stats import Stats
from .store import Store, StoreWarning, Tidied

__all__ = ["Decision", "Mode", "Recorded", "Stats", "Store", "StoreWarning", "Tidied", "decide", "explain_miss"]

_SLICE = 0.2  # seconds between looks at an interrupt while another thread makes the call


class Mode(StrEnum):
    """How a store is used: answer from it and record (auto), only answer (replay), only record (refresh), not at all (off)."""

    AUTO = "auto"
    REPLAY = "replay"
    REFRESH = "refresh"
    OFF = "off"

    @classmethod
    def of(cls, text: str) -> Mode:
        """The mode of this name; raises ``ConfigError`` with near matches.

        >>> Mode.of("Replay")
        <Mode.REPLAY: 'replay'>
        """
        try:
            return cls(str(text).strip().lower())
        except ValueError:
            hint = suggest(near(str(text), list(cls))) or f"Modes are {', '.join(cls)}."
            raise ConfigError(f"there is no mode {str(text)!r}", hint=hint, key="MODE") from None


class Decision(StrEnum):
    """What happens to a request."""

    REPLAY = "replay"
    CALL_AND_RECORD = "call and record"
    CALL = "call"
    MISS = "miss"


def decide(mode: Mode, known: bool) -> Decision:
    """What happens in a mode to a request whose answer is known, or not.

    >>> decide(Mode.AUTO, known=False)
    <Decision.CALL_AND_RECORD: 'call and record'>
    """
    if mode is Mode.OFF:
        return Decision.CALL
    if mode is Mode.REFRESH:
        return Decision.CALL_AND_RECORD
    if known:
        return Decision.REPLAY
    return Decision.CALL_AND_RECORD if mode is Mode.AUTO else Decision.MISS


class _Flight:
    """One call that is under way, for all who ask the same in the meantime."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.landed = threading.Event()
        self.record: Record | None = None
        self.error: Exception | None = None

    def wait(self) -> Record | None:
        """The record; ``None`` where the call was interrupted. Raises the error of a call that failed."""
        while not self.landed.wait(_SLICE):
            pass
        if self.error is not None:
            raise self.error
        return self.record


class Recorded:
    """A provider that holds another: answers from a store, or calls and records.

    ``provider`` may be a function without arguments that makes one; it is called for the first request that is not
    recorded, so that a recorded answer needs neither key, SDK nor network. ``price`` gives the cost in US dollars or
    ``None``. Without a store nothing is recorded, and strict replay finds nothing. ``defers`` says whether
    somebody will flush the store soon, so that an answer need not wait until it is written down.
    """

    def __init__(
        self,
        provider: Provider | Callable[[], Provider],
        store: Store | None,
        mode: Mode,
        *,
        price: Callable[[Request, Answer], float | None] | None = None,
        version: str = "",
        defers: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = store
        self.mode = mode
        self._given = provider
        self._built: Provider | None = None
        self._guard = threading.Lock()
        self._price = price
        self._version = version
        self._defers = defers

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in pieces; the last chunk carries the record and says whether it is live or recorded.

        Raises ``ReplayMiss`` in strict replay, ``StoreError`` where the store cannot be read, and the provider's errors.
        Of the same request asked by several threads at once one call is made.
        """
        if self.store is not None and self.mode in (Mode.AUTO, Mode.REFRESH):
            yield from self._shared(request, self.store)
            return
        record = self._known(request) if self.mode is Mode.REPLAY else None
        decision = decide(self.mode, known=record is not None)
        if decision is Decision.MISS:
            raise self._miss(request)
        if record is not None:
            yield from replayed(record)
        else:
            record, _ = yield from self._live(request)
            yield Chunk(record=record)

    def _known(self, request: Request) -> Record | None:
        return self.store.get(request.key, request.canonical()) if self.store is not None else None

    def _shared(self, request: Request, store: Store) -> Iterator[Chunk]:
        """Answer from the store, make the call, or wait for the thread that does; an interrupted one hands over to the next."""
        name = (request.key, self.mode)
        while True:
            flight, mine = _board(store, name)
            if mine:
                break
            record = flight.wait()
            if record is not None:
                yield from replayed(record)
                return
        try:
            record = self._known(request) if self.mode is Mode.AUTO else None
            known = decide(self.mode, known=record is not None) is Decision.REPLAY
            if record is None:
                record, line = yield from self._live(request)
                if record.answer.finish_reason != "error":  # some gateways end a failed stream so
                    store.append(record, line, wait=not self._defers())
                    if not self._defers():  # that somebody may have gone home in between
                        store.flush()
            flight.record = record
        except Exception as error:
            flight.error = error
            raise
        finally:
            _leave(store, name, flight)
        if known:
            yield from replayed(record)
        else:
            yield Chunk(record=record)

    def _live(self, request: Request) -> Generator[Chunk, None, tuple[Record, bytes | None]]:
        """Pass a live answer on and make its record, as it will be read back from its line: a hit and a miss give equal values."""
        request.key  # noqa: B018  # a request that has no key is refused before it costs anything
        folder, began = Folder(), time.monotonic()
        stream = self._provider().send(request)
        try:
            for chunk in stream:
                folder.add(chunk)
                yield chunk
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()
        answer = folder.answer()
        cost = self._price(request, answer) if self._price is not None else None
        record = Record(
            key=request.key,
            request=request.canonical(),
            answer=answer,
            created=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            duration=round(time.monotonic() - began, 4),
            cost=cost if cost is not None and math.isfinite(cost) else None,
            version=self._version,
        )
        try:
            line = encode(record)
            return decode(line), line
        except Damaged:  # what cannot be recorded is answered all the same; the store says why
            return record, None

    def _provider(self) -> Provider:
        with self._guard:
            if self._built is None:
                given: Any = self._given
                self._built = given if hasattr(given, "send") and not isinstance(given, type) else given()
            return self._built

    def _miss(self, request: Request) -> ReplayMiss:
        if self.store is None:
            return ReplayMiss("strict replay was asked for, but no store is in use", request=request, hint=_HINT)
        name, count = self.store.path.name, len(self.store)
        if not count:
            state = "is empty" if self.store.path.exists() else "is missing"
            return ReplayMiss(
                f"strict replay was asked for, but the store {name} {state}: there is no recorded answer\nIts key is {request.key}",
                hint=f"Put {name} beside the notebook, or record it: `%llm_cache mode auto`, then run the cell.",
                request=request,
                path=str(self.store.path),
            )
        nearest = self.store.nearest(request.canonical())
        lines = explain_miss(request, nearest.request) if nearest is not None else ()
        answers = "1 recorded answer" if count == 1 else f"{count} recorded answers"
        found = [f"The nearest recorded request is {nearest.key[:15]}… ({_title(nearest)}):"] if nearest is not None else []
        if nearest is not None and not lines:
            found.append("  It asks the same under a key that is not its own; `tinyllm-magic cache check` says more.")
        head = f"no recorded answer for this request in {name} ({answers}, mode replay)\nIts key is {request.key}"
        return ReplayMiss(
            "\n".join([head, *found, *(f"  {line}" for line in lines)]),
            hint=_HINT,
            request=request,
            nearest=nearest.request if nearest is not None else None,
            difference=lines,
            path=str(self.store.path),
        )


_HINT = "Record it: `%llm_cache mode auto`, then run the cell again. `%llm_cache list` shows what is recorded."


def _board(store: Store, name: Any) -> tuple[_Flight, bool]:
    """The flight to wait for, or a new one to lead. A thread never waits for itself: a second stream makes its own call."""
    with store.flights_guard:
        flight: _Flight | None = store.flights.get(name)
        if flight is None:
            flight = store.flights[name] = _Flight()
            return flight, True
        if flight.thread == threading.get_ident():
            return _Flight(), True
        return flight, False


def _leave(store: Store, name: Any, flight: _Flight) -> None:
    with store.flights_guard:
        if store.flights.get(name) is flight:
            del store.flights[name]
    flight.landed.set()


def replayed(record: Record) -> Iterator[Chunk]:
    """The chunks of a recorded answer: folded, they give that answer."""
    answer = record.answer
    for note in answer.notes:
        yield Chunk(note=note, source="recorded")
    pieces = tuple(ToolPiece(i, c.id, c.name, c.arguments) for i, c in enumerate(answer.tool_calls))
    if answer.text is not None or answer.reasoning or answer.refusal or pieces:
        yield Chunk(text=answer.text, reasoning=answer.reasoning, refusal=answer.refusal, tool_pieces=pieces, source="recorded")
    yield Chunk(
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        model=answer.model,
        fingerprint=answer.fingerprint,
        embeddings=answer.embeddings,
        record=record,
        source="recorded",
    )


def _title(record: Record) -> str:
    texts = [str(v) for k, v in leaves(dict(record.request)).items() if is_prose(k)]
    words = " ".join(mask(texts[-1]).split()) if texts else ""
    return f"{record.request.get('model')}: {words if len(words) <= 40 else words[:39] + '…'}"
