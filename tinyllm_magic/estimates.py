"""Tasks in, what they would take out: rows, the share that is recorded, tokens and cost.

Knows how a part of the rows stands for all of them.
Does not know how rows are answered, nor where and when an estimate is shown.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from . import display, models
from .cache import Mode
from .call import Planner
from .errors import TinyLLMError
from .messages import Message
from .plans import Plan
from .sessions import session
from .tasks import Task, planned

_COUNTED = 1000  # rows of a dry run whose tokens are counted; the others are taken to be like them
_FEW = 20  # rows that need no outlook
_KEPT = 10_000  # tasks whose plans stay in memory
_LONGEST = 0.5  # seconds that an outlook may take
_LOOKED_AT, _FIRST = 1000, 100  # rows of an outlook that are looked at, and of those the ones whose tokens are counted


@dataclass
class Estimate:
    """What tasks would take: rows, how many are recorded, fail to render or ask the same, tokens and cost of the others.

    ``cost`` is US dollars at most; ``None`` where a price is unknown. Tokens are counted for the first rows.
    ``replays`` says that nothing would be asked: what is not recorded fails.
    """

    rows: int = 0
    recorded: int = 0
    failed: int = 0
    doubled: int = 0
    live: int = 0
    counted: int = 0
    tokens: int = 0
    cost: float | None = 0.0
    first_error: str = ""
    example: str = ""
    seen: set[str] = field(default_factory=set)
    replays: bool = False
    tasks: list[Task] = field(default_factory=list)
    """What was looked at, and what planning it came to."""

    @classmethod
    def of(cls, tasks: Iterable[Task], planner: Planner) -> Estimate:
        """Look at every task; nothing is sent."""
        estimate = cls()
        for task in tasks:
            estimate.look(task, planner, _COUNTED, free=True)
        return estimate

    def look(self, task: Task, planner: Planner, counted: int, *, free: bool) -> None:
        """Take one more task in. The tokens of the first ``counted`` are counted, of models without a price if ``free``."""
        self.rows += 1
        try:
            client, plan = planned(task, planner)
        except TinyLLMError as error:
            self.failed += 1
            self.first_error = self.first_error or f"{type(error).__name__}: {error.message}"
            self._keep(task, error)
            return
        self._keep(task, (client, plan))
        self.example = self.example or _told(plan.request.messages)
        self.replays = plan.mode is Mode.REPLAY
        if plan.request.key in self.seen:
            self.doubled += 1
        elif session.is_recorded(plan):
            self.recorded += 1
        else:
            self._count(plan, counted, free=free)
        self.seen.add(plan.request.key)

    def _keep(self, task: Task, ready: Any) -> None:
        """Keep the task with what it came to, so that it is rendered once; of very many, the rest without."""
        self.tasks.append(replace(task, ready=ready) if len(self.tasks) < _KEPT else task)

    def _count(self, plan: Plan, counted: int, *, free: bool) -> None:
        self.live += 1
        if self.counted >= counted or (self.cost is None and not free):
            return
        most = models.most_expensive(plan.request, plan.route)
        self.cost = None if most is None or self.cost is None else self.cost + most
        if self.cost is not None or free:
            self.counted += 1
            self.tokens += int(session.count(plan.request.messages, plan.route.name or plan.request.model))

    @property
    def facts(self) -> dict[str, Any]:
        """The estimate in words, for a table."""
        ledger = session.ledger
        scale = self.live / self.counted if self.counted else 1.0
        about = "≈ " if scale > 1 else ""
        share = f" ({self.recorded / self.rows:.0%})" if self.rows else ""
        cost = None if self.cost is None else display.money(self.cost * scale, "≈ at most ") if self.cost else None
        return {
            "rows": f"{self.rows:,}",
            "recorded: answered without a call": f"{self.recorded:,}{share}",
            "asked once for several rows": f"{self.doubled:,}" if self.doubled else None,
            "cannot be rendered": f"{self.failed:,}, the first: {self.first_error}" if self.failed else None,
            "live calls": f"{self.live:,}",
            "prompt tokens of live calls": f"{about}{int(self.tokens * scale):,}" if self.live else None,
            "cost of live calls": cost if self.cost is not None else "unknown",
            "budget": f"{display.money(ledger.budget)}, {display.money(ledger.spent)} spent" if ledger.budget is not None else None,
        }


def outlook(tasks: Iterable[Task], count: int | None, planner: Planner) -> tuple[str, Iterable[Task]]:
    """What is going to be asked, in a line, and the same tasks; no words where that is little, unknown, or nothing.

    The first rows are looked at, for half a second at most, the others taken to be like them.
    """
    if count is None or count < _FEW:
        return "", tasks
    rest = iter(tasks)
    estimate = Estimate()
    try:
        end = time.monotonic() + _LONGEST
        for task in itertools.islice(rest, _LOOKED_AT):
            estimate.look(task, planner, _FIRST, free=False)
            if time.monotonic() > end:
                break
    except Exception as error:  # noqa: BLE001  # whatever the user's rows raise, they raise it where the rows before are answered
        return "", itertools.chain(estimate.tasks, map(_fail, [error]))
    looked_at = estimate.tasks
    rest = itertools.chain(looked_at, rest)
    scale = count / max(len(looked_at), 1)
    live, about = int(estimate.live * scale), "≈ " if scale > 1 else ""
    if estimate.replays or live < _FEW:
        return "", rest
    words = [f"{count:,} rows"]
    words += [f"{about}{estimate.recorded / len(looked_at):.0%} recorded"] if estimate.recorded else []
    words += [f"{about}{live:,} to be asked"]
    if estimate.counted:
        each = live / estimate.counted
        words += [f"≈ {int(estimate.tokens * each):,} prompt tokens"]
        words += [display.money(estimate.cost * each, "≈ at most ")] if estimate.cost else []
    return " · ".join(words), rest


def _fail(error: Exception) -> Task:
    raise error


def _told(messages: Iterable[Message]) -> str:
    return "\n".join(f"[{m.role}]\n{m.text}" for m in itertools.islice(messages, 10))
