"""Counts tokens and money by model, and refuses a call that could pass the budget."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from typing import Self

from ..errors import BudgetError, ConfigError
from ..messages import Request
from ..models import pricing
from ..models.routing import Route
from ..responses import Response, Usage
from ..text_format import format_money
from ..user_warnings import warn

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

    def count(self, response: Response, route: Route) -> None:
        """Add an answer of a call over this route; a recorded one has cost nothing now."""
        usage = response.usage or Usage(estimated=True)  # nobody has counted
        if response.source == "recorded":
            self.recorded += 1
            self.saved_usage += usage
            self.saved += response.cost or 0.0
            return
        self.live += 1
        self.usage += usage
        self.cost += response.cost or 0.0
        self.unpriced += response.cost is None and not pricing.is_free(route)
        self.estimated = self.estimated or (response.cost is not None and response.cost_estimated)


class Budget:
    """Totals by model, and a budget in US dollars that calls cannot pass together either.

    What a call can cost is reserved before it is sent and settled when it has ended.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Total] = {}
        self.limit: float | None = None
        self._reserved = 0.0
        self._warned: set[str] = set()
        self._changed = threading.Condition()

    @property
    def spent(self) -> float:
        """US dollars that live calls have cost, as far as their prices are known."""
        return sum(t.cost for t in tuple(self.totals.values()))

    def set_limit(self, dollars: float | str | None) -> None:
        """The most that live calls may cost together, in US dollars; ``None`` or ``off`` lifts it.

        Raises ``ConfigError`` for what is no amount.
        """
        self._warned.clear()
        if dollars is None or str(dollars).lower() in ("off", "none"):
            self.limit = None
            return
        try:
            amount = float(str(dollars).lstrip("$"))
        except ValueError:
            amount = math.nan
        if not 0 <= amount < math.inf:
            raise ConfigError(f"the budget must be an amount in US dollars, not '{dollars}'", key="budget")
        self.limit = amount

    def reserve(self, request: Request, route: Route, stopped: threading.Event | None = None, *, tier: str | None = None) -> float:
        """Reserve what a call can cost at most, and return it; ``BudgetError`` where that would pass the budget.

        ``stopped`` belongs to the pool of a call: one of a pool waits for others under way where it fits but for what is
        reserved for them, because calls cost less than they could. ``tier`` is a service tier with a price of its own.
        A call of unknown price passes, with one warning for each model.
        """
        if self.limit is None:
            return 0.0
        most = pricing.most_expensive(request, route, tier=tier)
        if most is None:
            self._warn_unpriced(request.model)
            return 0.0
        with self._changed:
            while stopped is not None and not stopped.is_set() and self._fits_later(most):
                self._changed.wait(_LOOK)
            if not self._fits(most):
                raise BudgetError(self._refusal(most), budget=self.limit, spent=self.spent)
            self._reserved += most
        return most

    def settle(self, request: Request, route: Route, outcome: Response | BaseException, reserved: float) -> None:
        """Count how a call ended, and release what was reserved for it."""
        with self._changed:
            self.release(reserved)
            total = self.totals.get(request.model) or self.totals.setdefault(request.model, Total())
            if isinstance(outcome, BaseException):
                total.failed += 1
            else:
                total.count(outcome, route)

    def release(self, reserved: float) -> None:
        """Give back what was reserved for a call."""
        if not reserved:
            return
        with self._changed:
            self._reserved = max(0.0, self._reserved - reserved)
            self._changed.notify_all()

    def _fits(self, most: float) -> bool:
        return self.limit is None or self.spent + self._reserved + most <= self.limit

    def _fits_later(self, most: float) -> bool:
        return not self._fits(most) and self._fits(most - self._reserved)

    def _refusal(self, most: float) -> str:
        under_way = f", {format_money(self._reserved, '≈ ')} is reserved for calls under way" if self._reserved else ""
        spent, budget = format_money(self.spent), format_money(self.limit)
        return f"this call could cost up to {format_money(most, '≈ ')}; {spent} of the budget of {budget} is spent{under_way}"

    def _warn_unpriced(self, model: str) -> None:
        if model not in self._warned:
            self._warned.add(model)
            warn(f"the price of {model} is unknown: the budget cannot count it")


class Reservation:
    """What is reserved for one call while it is made; leaving the ``with`` block gives back what was not taken.

    ``amount`` was reserved for it before, in US dollars. It is kept and not reserved anew: a pool's workers would wait for what is
    reserved for calls that wait for a worker.
    """

    def __init__(self, budget: Budget, request: Request, route: Route, stopped: threading.Event | None, amount: float = 0.0) -> None:
        self._budget, self._call, self._amount, self._is_held = budget, (request, route, stopped), amount, bool(amount)

    def hold(self) -> None:
        """Reserve what the call can cost at most; raises ``BudgetError`` where that would pass the budget."""
        if not self._is_held:
            self._amount += self._budget.reserve(*self._call)
        self._is_held = False

    def take(self) -> float:
        """The reserved amount, in US dollars, for who settles it."""
        amount, self._amount = self._amount, 0.0
        return amount

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._budget.release(self.take())
