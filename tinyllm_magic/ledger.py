"""Plans and answers in, tokens and money by model out: the session's account and its budget.

Knows what calls have cost, what calls under way can cost at most, and when to refuse one.
Does not know clients, stores, settings or how a table is drawn.
"""

from __future__ import annotations

import math
import threading
import warnings
from dataclasses import dataclass, field

from . import models
from .answers import Response, Usage
from .errors import BudgetError, ConfigError
from .plans import Plan

_FREE = ("local", "echo")
_LOOK = 0.25  # seconds between two looks at whether the pool of a waiting call was stopped


@dataclass
class Total:
    """What one model has been asked in this session; costs are US dollars.

    ``unpriced`` counts calls of unknown price; ``estimated`` says that ``cost`` is not the vendor's own reckoning.
    """

    live: int = 0
    recorded: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)
    saved_usage: Usage = field(default_factory=Usage)
    cost: float = 0.0
    saved: float = 0.0
    unpriced: int = 0
    estimated: bool = False

    def count(self, response: Response, *, free: bool) -> None:
        """Add an answer; a recorded one has cost nothing now."""
        usage = response.usage or Usage()
        if response.source == "recorded":
            self.recorded += 1
            self.saved_usage += usage
            self.saved += response.cost or 0.0
            return
        self.live += 1
        self.usage += usage
        self.cost += response.cost or 0.0
        self.unpriced += response.cost is None and not free
        self.estimated = self.estimated or (response.cost is not None and response.cost_estimated)


class Ledger:
    """Totals by model, and a budget in US dollars that calls cannot pass together either.

    What a call can cost is reserved before it is sent and settled when it has ended.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Total] = {}
        self.budget: float | None = None
        self._reserved = 0.0
        self._told: set[str] = set()
        self._changed = threading.Condition()

    @property
    def spent(self) -> float:
        """US dollars that live calls have cost, as far as their prices are known."""
        return sum(t.cost for t in tuple(self.totals.values()))

    def set_budget(self, dollars: float | str | None) -> None:
        """The most that live calls may cost together, in US dollars; ``None`` or ``off`` lifts it.

        Raises ``ConfigError`` for what is no amount.
        """
        self._told.clear()
        if dollars is None or str(dollars).lower() in ("off", "none"):
            self.budget = None
            return
        try:
            amount = float(str(dollars).lstrip("$"))
        except ValueError:
            amount = math.nan
        if not 0 <= amount < math.inf:
            raise ConfigError(f"the budget must be an amount in US dollars, not '{dollars}'", key="budget")
        self.budget = amount

    def reserve(self, plan: Plan) -> float:
        """Reserve what a call can cost at most, and return it; ``BudgetError`` where that would pass the budget.

        A call of a pool waits for others under way where it fits but for what is reserved for them: calls
        cost less than they could. A call of unknown price passes, with one warning for each model.
        """
        if self.budget is None:
            return 0.0
        most = models.most_expensive(plan.request, plan.route)
        if most is None:
            self._tell_unpriced(plan.request.model)
            return 0.0
        with self._changed:
            while self._fits_later(plan, most):
                self._changed.wait(_LOOK)
            if not self._fits(most):
                raise BudgetError(self._refusal(most), budget=self.budget, spent=self.spent)
            self._reserved += most
        return most

    def settle(self, plan: Plan, outcome: Response | BaseException, held: float) -> None:
        """Count how a call ended, and release what was reserved for it."""
        with self._changed:
            self.release(held)
            total = self.totals.setdefault(plan.request.model, Total())
            if isinstance(outcome, BaseException):
                total.failed += 1
            else:
                total.count(outcome, free=plan.route.endpoint.api_type in _FREE)

    def release(self, held: float) -> None:
        """Give back what was reserved for a call."""
        with self._changed:
            self._reserved = max(0.0, self._reserved - held)
            self._changed.notify_all()

    def _fits(self, most: float) -> bool:
        return self.budget is None or self.spent + self._reserved + most <= self.budget

    def _fits_later(self, plan: Plan, most: float) -> bool:
        return plan.pace is not None and not plan.pace.stopped and not self._fits(most) and self._fits(most - self._reserved)

    def _refusal(self, most: float) -> str:
        under_way = f", ≈ ${self._reserved:.4f} is reserved for calls under way" if self._reserved else ""
        return f"this call could cost up to ≈ ${most:.4f}; ${self.spent:.4f} of the budget of ${self.budget:.4f} is spent{under_way}"

    def _tell_unpriced(self, model: str) -> None:
        if model not in self._told:
            self._told.add(model)
            warnings.warn(f"the price of {model} is unknown: the budget cannot count it", stacklevel=2)
