"""What became of each row of a table (``RowResult``), and what the rows come to: ``RunProgress``, ``BatchStats``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import SchemaError
from .responses import Response
from .text_format import format_money

CUT_ANSWERS = {"length": "cut: the answer reached its maximum of tokens", "content_filter": "cut by the provider's content filter"}


class RowResult:
    """One row and what became of it: a response or an error, or neither yet.

    ``duration`` is the seconds that the live call took, ``cost`` US dollars; both are kept where the
    response itself is left to the store. ``call`` is who asked.
    """

    __slots__ = ("call", "cost", "duration", "error", "finish_reason", "key", "response", "row", "source", "text", "tokens")

    def __init__(self, row: Mapping[str, Any], call: Any = None) -> None:
        self.row = row
        self.call = call
        self.error: BaseException | None = None
        self.response: Response | None = None
        self.text: str | None = None
        self.source: str | None = None
        self.cost: float | None = None
        self.key: str | None = None
        self.finish_reason: str | None = None
        self.tokens: tuple[int, int] = (0, 0)
        self.duration = 0.0

    def set_outcome(self, outcome: Response | BaseException, *, keep: bool = True) -> None:
        """Keep the outcome, of an answer that does not fit its schema what it took; ``keep=False`` leaves the response to the store."""
        answered = outcome.response if isinstance(outcome, SchemaError) else outcome
        if isinstance(answered, Response):
            usage = answered.usage
            self.text, self.source, self.cost = answered.record.answer.text, answered.source, answered.cost
            self.tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
            self.duration, self.finish_reason = answered.duration, answered.finish_reason
        if isinstance(outcome, BaseException):
            self.error = outcome
            return
        asked, found = outcome.request.key, outcome.key  # they differ where an answer was recorded at another address
        self.key = asked if asked == found else found  # of equal ones the request's, which is in memory anyhow
        self.response = outcome if keep else None

    @property
    def answered(self) -> bool:
        """Whether there is an answer."""
        return self.key is not None

    @property
    def is_cut(self) -> bool:
        """Whether the answer ends before its end."""
        return self.answered and self.finish_reason in CUT_ANSWERS


@dataclass(frozen=True)
class RunProgress:
    """How far a map has come: rows by how they ended, tokens, US dollars spent, seconds.

    ``total`` is ``None`` where nobody knows how many rows there are. ``done`` counts all that ended:
    ``live``, ``recorded`` and ``failed``. ``unpriced`` counts live answers of unknown price.
    """

    total: int | None = None
    live: int = 0
    recorded: int = 0
    failed: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """Rows that have ended, well or not."""
        return self.live + self.recorded + self.failed

    @property
    def left(self) -> float | None:
        """Seconds that the rest will take, by the pace of the live rows so far; ``None`` where nothing tells."""
        if self.total is None or not self.live:
            return None
        return (self.total - self.done) * self.seconds / max(self.done - self.recorded, 1)

    @property
    def facts(self) -> tuple[str, ...]:
        """What there is to say, in words."""
        of = f"{self.done:,} of {self.total:,}" if self.total is not None and self.done < self.total else f"{self.done:,}"
        words = [f"{of} row{'' if of == '1' else 's'}"]
        words += [f"{n:,} {name}" for n, name in ((self.live, "live"), (self.recorded, "recorded"), (self.failed, "failed")) if n]
        words += [f"{self.tokens_in:,} in / {self.tokens_out:,} out tokens"] if self.tokens_in or self.tokens_out else []
        words += [format_money(self.cost, unpriced=self.unpriced)] if self.cost else []
        left = self.left if self.total is not None and self.done < self.total else None
        return (*words, f"{self.seconds:.1f} s", *([] if left is None else [f"≈ {left:.0f} s left"]))

    def __str__(self) -> str:
        return " · ".join(self.facts)


@dataclass(frozen=True, slots=True)
class BatchStats:
    """What the rows of a table come to: how many failed or were cut, where answers come from, and what their calls took.

    ``calls`` is how many calls the answers needed, whenever they were made: of rows that ask the same, one.
    ``cost`` is in US dollars, ``None`` where no call's price is known; ``unpriced`` counts those.
    """

    failed: int = 0
    errors: int = 0
    cut: int = 0
    sources: frozenset[str] = frozenset()
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = None
    unpriced: int = 0

    @classmethod
    def of(cls, entries: Iterable[RowResult]) -> BatchStats:
        """The sums of some rows."""
        tally, keys = Tally(), set[str | None]()
        for entry in entries:
            tally.count_result(entry, repeats=entry.key in keys)
            keys.add(entry.key)
        return tally.stats()


class Tally:
    """Counts rows one after the other; ``progress`` and ``stats`` are what they come to by now."""

    def __init__(self) -> None:
        self._live = self._recorded = self._broken = self._tokens_in = self._tokens_out = self._spent_unpriced = 0
        self._spent = 0.0
        self._failed = self._errors = self._cut = self._calls = self._calls_in = self._calls_out = self._unpriced = 0
        self._cost: float | None = None
        self._sources: frozenset[str] = frozenset()

    @property
    def done(self) -> int:
        """Rows that have ended, well or not."""
        return self._live + self._recorded + self._broken

    def count_end(self, entry: RowResult) -> None:
        """Take a row that has ended into the progress."""
        if entry.error is not None:
            self._broken += 1
        elif entry.source == "recorded":
            self._recorded += 1
        else:
            self._live += 1
        self._tokens_in += entry.tokens[0]
        self._tokens_out += entry.tokens[1]
        if entry.source == "live":
            self._spent += entry.cost or 0.0
            self._spent_unpriced += entry.cost is None

    def count_result(self, entry: RowResult, *, repeats: bool = False) -> None:
        """Take what became of a row into the sums; ``repeats`` says that an earlier one asked the same."""
        self._failed += not entry.answered
        self._errors += entry.error is not None
        self._cut += entry.is_cut
        if entry.source is None:
            return
        if entry.source not in self._sources:
            self._sources |= {entry.source}
        if repeats:
            return
        self._calls += 1
        self._calls_in += entry.tokens[0]
        self._calls_out += entry.tokens[1]
        if entry.cost is None:
            self._unpriced += 1
        else:
            self._cost = (self._cost or 0.0) + entry.cost

    def progress(self, total: int | None, seconds: float = 0.0) -> RunProgress:
        """How far the rows that have ended have come, of ``total``."""
        tokens = self._tokens_in, self._tokens_out
        return RunProgress(total, self._live, self._recorded, self._broken, *tokens, self._spent, self._spent_unpriced, seconds)

    def stats(self) -> BatchStats:
        """The sums of the rows."""
        called = self._calls, self._calls_in, self._calls_out, self._cost, self._unpriced
        return BatchStats(self._failed, self._errors, self._cut, self._sources, *called)
