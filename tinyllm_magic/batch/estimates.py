"""Estimates what tasks are going to take before anything is sent: rows, recorded answers, tokens, cost.

Of many rows a part is looked at, and the others are taken to be like it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..clients.prepared import PreparedCall
from ..clients.sessions import session
from ..errors import TinyLLMError
from ..messages import Message
from ..models import pricing
from ..recording.modes import Mode
from .row_calls import RowPreparer
from .tasks import Task, prepare_task

_COUNTED = 1000  # rows of a dry run whose tokens are counted; the others are taken to be like them
_FEW = 20  # rows that need no look ahead
_KEPT = 10_000  # tasks whose prepared calls stay in memory
_LONGEST = 0.5  # seconds that a look ahead may take
_LOOKED_AT, _FIRST = 1000, 100  # rows of a look ahead that are looked at, and of those the ones whose tokens are counted


@dataclass
class Estimate:
    """What tasks would take: rows, how many are recorded, fail to render or ask the same, tokens and cost of the others.

    ``cost`` is US dollars at most, ``likely`` with answers as long as usual; ``None`` where a price is unknown.
    Tokens are counted for the first rows.
    ``replays`` says that nothing would be asked: what is not recorded fails.
    """

    rows: int = 0
    recorded: int = 0
    failed: int = 0
    duplicates: int = 0
    live: int = 0
    counted: int = 0
    tokens: int = 0
    cost: float | None = 0.0
    likely: float | None = 0.0
    warning: str = ""
    first_error: str = ""
    example: str = ""
    seen: set[str] = field(default_factory=set)
    replays: bool = False
    tier: str | None = None
    """The service tier of live calls, where it is another than they ask for."""
    tasks: list[Task] = field(default_factory=list)
    """What was looked at, and what preparing it came to."""

    @classmethod
    def of(cls, tasks: Iterable[Task], preparer: RowPreparer, *, tier: str | None = None) -> Estimate:
        """Look at every task; nothing is sent."""
        estimate = cls(tier=tier)
        for task in tasks:
            estimate.add(task, preparer, _COUNTED, free=True)
        return estimate

    def add(self, task: Task, preparer: RowPreparer, counted: int, *, free: bool) -> None:
        """Take one more task in. The tokens of the first ``counted`` are counted, of models without a price if ``free``."""
        self.rows += 1
        try:
            prepared = prepare_task(task, preparer).make()
        except TinyLLMError as error:
            self.failed += 1
            self.first_error = self.first_error or f"{type(error).__name__}: {error.message}"
            self._keep(task, error)
            return
        self._keep(task, prepared)
        self.example = self.example or _format_messages(prepared.adapt().request.messages)
        self.replays = prepared.mode is Mode.REPLAY
        if prepared.request.key in self.seen:
            self.duplicates += 1
        elif prepared.replays:
            self.recorded += 1
        else:
            self._count(prepared, counted, free=free)
        self.seen.add(prepared.request.key)

    def _keep(self, task: Task, ready: Any) -> None:
        """Keep the task with what it came to, so that it is rendered once; of very many, the rest without."""
        self.tasks.append(replace(task, ready=ready) if len(self.tasks) < _KEPT else task)

    def _count(self, prepared: PreparedCall, counted: int, *, free: bool) -> None:
        self.live += 1
        if self.counted >= counted or (self.cost is None and not free):
            return
        request, route = prepared.request, prepared.plan.route
        likely, most = pricing.price_range(request, route, session.history.expect_tokens(request), tier=self.tier)
        self.cost, self.likely = _add(self.cost, most), _add(self.likely, likely)
        self.warning = self.warning or prepared.foresee_failure()
        if self.cost is not None or free:
            self.counted += 1
            self.tokens += int(session.count(prepared.adapt().request.messages, route.name or request.model))

    @property
    def scale(self) -> float:
        """How many live calls stand behind each whose tokens were counted."""
        return self.live / self.counted if self.counted else 1.0


@dataclass(frozen=True)
class Outlook:
    """What a long run is going to ask: its rows, the share that is recorded, live calls, and their tokens and cost at most.

    ``tokens`` is ``None`` where none were counted, ``cost`` (US dollars) where no price is known. ``is_exact``
    says that every row was looked at.
    """

    rows: int
    recorded: float
    live: int
    tokens: int | None
    cost: float | None
    is_exact: bool


def look_ahead(tasks: Iterable[Task], count: int | None, preparer: RowPreparer) -> tuple[Outlook | None, Iterable[Task]]:
    """What is going to be asked, and the same tasks; ``None`` where that is little, unknown, or nothing.

    The first rows are looked at, for half a second at most, the others taken to be like them.
    """
    if count is None or count < _FEW:
        return None, tasks
    rest = iter(tasks)
    estimate = Estimate()
    try:
        end = time.monotonic() + _LONGEST
        for task in itertools.islice(rest, _LOOKED_AT):
            counted = estimate.counted
            estimate.add(task, preparer, _FIRST, free=False)
            if len(estimate.tasks) == 1 or (estimate.counted and not counted):
                end = time.monotonic() + _LONGEST  # what the first row and the first count load is loaded once in a process
            if time.monotonic() > end:
                break
    except Exception as error:  # noqa: BLE001  # whatever the user's rows raise, they raise it where the rows before are answered
        return None, itertools.chain(estimate.tasks, map(_fail, [error]))
    looked_at = max(len(estimate.tasks), 1)
    live = int(estimate.live * count / looked_at)
    rest = itertools.chain(estimate.tasks, rest)
    if estimate.replays or live < _FEW:
        return None, rest
    each = live / estimate.counted if estimate.counted else 0.0
    return Outlook(
        rows=count,
        recorded=estimate.recorded / looked_at,
        live=live,
        tokens=int(estimate.tokens * each) if estimate.counted else None,
        cost=estimate.cost * each if estimate.cost is not None and estimate.counted else None,
        is_exact=looked_at >= count,
    ), rest


def _add(whole: float | None, part: float | None) -> float | None:
    """A sum of what is known; ``None`` once a part is unknown."""
    return None if whole is None or part is None else whole + part


def _fail(error: Exception) -> Task:
    raise error


def _format_messages(messages: Iterable[Message]) -> str:
    return "\n".join(f"[{m.role}]\n{m.text}" for m in itertools.islice(messages, 10))
