"""Answers requests from a store or by a provider, and records what the provider said: ``RecordingProvider``."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ..messages import Message, Request
from ..responses import Answer, Chunk, ChunkAccumulator, Provider, Record, ToolPiece, Usage
from .codec import Damaged, decode, encode
from .lookup import Lookup
from .misses import SESSION, build_miss
from .modes import Decision, Mode, decide, depends_on_record
from .single_flight import SingleFlight
from .store import Store


@dataclass(frozen=True, slots=True)
class Resolution:
    """What happens to a request, and the recorded answer that was found for it, if any."""

    decision: Decision
    record: Record | None = None


def resolve(request: Request, mode: Mode, lookup: Lookup | None) -> Resolution:
    """Look for the recorded answer where the mode depends on one, and decide.

    Raises ``StoreError`` in strict replay where the store cannot be read.
    """
    record = lookup.get(request) if lookup is not None and depends_on_record(mode) else None
    return Resolution(decide(mode, known=record is not None), record)


class RecordingProvider:
    """A provider that holds another: answers from a store, or calls and records.

    A recorded answer never touches ``provider``: it needs neither key, SDK nor network. ``estimate`` counts the tokens of
    messages and answer for a model where the provider reports no usage; ``price`` gives the cost in US dollars or ``None``, ``draw`` the
    thumbnails of the images in messages.
    Without a store nothing is recorded, and strict replay finds nothing. ``defers`` says whether somebody will flush the
    store soon, so that an answer need not wait until it is written down. Providers that share ``flights`` make one call of
    the same request at the same time. ``lookup`` finds recorded answers, by default in the store alone; ``advice`` is what
    a miss tells its reader to do.
    """

    def __init__(
        self,
        provider: Provider,
        store: Store | None,
        mode: Mode,
        *,
        flights: SingleFlight | None = None,
        estimate: Callable[[tuple[Message, ...], str, str], Usage] | None = None,
        price: Callable[[Request, Answer], float | None] | None = None,
        draw: Callable[[Iterable[Message]], Mapping[str, str]] | None = None,
        version: str = "",
        defers: Callable[[], bool] = lambda: False,
        lookup: Lookup | None = None,
        advice: str = SESSION,
    ) -> None:
        self.provider, self.store, self.mode = provider, store, mode
        self._flights = SingleFlight() if flights is None else flights
        self._estimate = estimate
        self._price = price
        self._draw = draw
        self._version = version
        self._defers = defers
        self._lookup = lookup if lookup is not None or store is None else Lookup(store, mode)
        self._advice = advice

    def send(self, request: Request, accumulator: ChunkAccumulator | None = None, resolution: Resolution | None = None) -> Iterator[Chunk]:
        """Yield the answer in pieces; the last chunk carries the record and says whether it is live or recorded.

        ``accumulator`` folds the pieces of a live answer, for who wants to see how far it has come; ``resolution`` is what
        ``resolve`` has found out already. Raises ``ReplayMiss`` in strict replay, ``StoreError`` where the store cannot be
        read, and the provider's errors. Of the same request asked by several threads at once one call is made.
        """
        fold = ChunkAccumulator() if accumulator is None else accumulator
        found = resolve(request, self.mode, self._lookup) if resolution is None else resolution
        if found.decision is Decision.CALL_AND_RECORD and self.store is not None:
            yield from self._call_once(request, self.store, fold)
        else:
            yield from self._obey(found, request, fold)

    def _call_once(self, request: Request, store: Store, fold: ChunkAccumulator) -> Iterator[Chunk]:
        """Make the call and record it, or wait for the thread that does."""
        with self._flights.join((str(store.path), request.key, self.mode.value)) as flight:
            if isinstance(flight, Record):
                yield from replay_chunks(flight)
                return
            found = resolve(request, self.mode, Lookup(store, self.mode))  # it may have been recorded since the first look
            last = Chunk()
            for last in flight.hand(self._obey(found, request, fold)):
                if last.record is not None:
                    flight.record = last.record
                else:
                    yield last
        yield last

    def _obey(self, found: Resolution, request: Request, fold: ChunkAccumulator) -> Iterator[Chunk]:
        """Do what was decided, and nothing beside it."""
        if found.decision is Decision.MISS:
            raise build_miss(request, self._lookup.stores() if self._lookup is not None else (), self._advice)
        if found.decision is Decision.REPLAY:
            yield from replay_chunks(found.record)
            return
        records = found.decision is Decision.CALL_AND_RECORD and self.store is not None
        made, line = yield from self._live(request, fold)
        if records:
            self._record(made, line)
        yield Chunk(record=made)

    def _record(self, record: Record, line: bytes | None) -> None:
        if self.store is None or record.answer.finish_reason == "error":  # some gateways end a failed stream so
            return
        self.store.append(record, line, wait=not self._defers())
        if not self._defers():  # that somebody may have gone home in between
            self.store.flush()

    def _live(self, request: Request, fold: ChunkAccumulator) -> Generator[Chunk, None, tuple[Record, bytes | None]]:
        """Pass a live answer on and make its record, as it will be read back from its line: a hit and a miss give equal values."""
        request.key  # noqa: B018  # a request that has no key is refused before it costs anything
        began = time.monotonic()
        stream = self.provider.send(request)
        try:
            for chunk in stream:
                fold.add(chunk)
                yield chunk
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()
        answer = self._count(request, fold.answer())
        cost = self._price(request, answer) if self._price is not None else None
        record = Record(
            key=request.key,
            request=request.form,
            answer=answer,
            created=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            duration=round(time.monotonic() - began, 4),
            cost=cost if cost is not None and math.isfinite(cost) else None,
            version=self._version,
            thumbnails=self._draw(request.messages) if self._draw is not None else {},
        )
        try:
            line = encode(record)
            return decode(line, record.request), line
        except Damaged:  # what cannot be recorded is answered all the same; the store says why
            return record, None

    def _count(self, request: Request, answer: Answer) -> Answer:
        """The answer with an estimate of the tokens that its provider did not count: 0 for what is not empty is no count."""
        usage = answer.usage
        if usage is not None and usage.prompt_tokens and usage.completion_tokens:
            return answer
        said = "".join((answer.text or "", answer.reasoning, answer.refusal, *(c.name + c.arguments for c in answer.tool_calls)))
        counted = usage is not None and usage.prompt_tokens and not said
        if counted or self._estimate is None or not request.is_conversation:
            return answer
        guess = self._estimate(request.messages, said, request.model)
        if usage is not None:
            asked, out = usage.prompt_tokens or guess.prompt_tokens, usage.completion_tokens or guess.completion_tokens
            guess = replace(usage, prompt_tokens=asked, completion_tokens=out, estimated=True)
        return replace(answer, usage=guess)


def replay_chunks(record: Record | None) -> Iterator[Chunk]:
    """The chunks of a recorded answer: folded, they give that answer."""
    if record is None:
        raise RuntimeError("a replay was decided for a request that has no recorded answer")
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
        logprobs=answer.logprobs,
        raw=answer.raw,
        done=True,
        record=record,
        source="recorded",
    )
