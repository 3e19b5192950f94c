"""Counts the tokens of the next prompt for the panel, exactly where that is quick."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..clients import plans, token_counts
from ..clients.history import HistoryEntry
from ..clients.plans import Plan
from ..clients.sessions import session
from ..display.window_share import WindowShare
from ..messages import Request
from ..models import pricing
from ..models.routing import Route
from ..models.tokenizers import TokenCount
from ..text_format import format_money
from .state import state

_PAUSE = 0.25  # seconds between two exact counts
_SHOWN_PARTS = 12


class TokenMeter:
    """Measures the last prompt for a model: exact counts are kept, and made at most four times a second."""

    def __init__(self, refresh: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._refresh = refresh
        self._clock = clock
        self._known: dict[tuple[str, str, str], list[TokenCount]] = {}
        self._next = -math.inf

    def read(self, route: Route, params: Mapping[str, Any]) -> dict[str, Any]:
        """The last prompt by message, the window, the room for the answer and the cost, for this model."""
        plan = state.last_plan or (session.history[-1] if session.history else None)
        window = pricing.window(route.model)
        if plan is None or not plan.request.is_conversation:
            return {"window": window, "text": "No prompt yet: the next %%llm cell, or its --dry-run, is measured here."}
        request = _asked_again(plan, route, params)
        counts = self._counted(request, route)
        total = counts[-1]
        about = "≈ " if total.estimated else ""
        limit = request.params.get(route.facts.max_tokens_name)
        share = WindowShare(int(total), window, limit, about)
        words = share.words or f"{about}{int(total):,} tokens; the context window is not known"
        most = pricing.most_expensive(request, route)
        parts = [{"label": f"{m.role} {c:,}", "tokens": int(c)} for m, c in zip(request.messages, counts[:-1], strict=True)]
        rest = max(0, int(total) - sum(map(int, counts[:-1])))
        parts.append({"label": f"marks of the chat format {rest:,}", "tokens": rest})
        cost = f"at most {format_money(most, about)}" if most else ""
        return {"parts": _fewer(parts), "window": window, "text": words, "level": share.level, "cost": cost}

    def _counted(self, request: Request, route: Route) -> list[TokenCount]:
        """Tokens of each message and at last of the whole; estimated where an exact count would take long now."""
        name = route.name or route.model
        mark = (replace(request, params={}).key, name, route.endpoint.api_type)
        if mark in self._known:
            return self._known[mark]
        if self._clock() < self._next or not token_counts.is_quick(route):
            self._later()
            return _estimated(request, route)
        counts = [session.count(m.text, name) for m in request.messages] + [session.count(request.messages, name)]
        self._next = self._clock() + _PAUSE
        while len(self._known) > 64:
            self._known.pop(next(iter(self._known)))
        self._known[mark] = counts
        return counts

    def _later(self) -> None:
        """Look again after the pause, where a loop runs; else after the next cell."""
        wait = self._next - self._clock()
        if wait > 0:
            try:
                asyncio.get_running_loop().call_later(wait + 0.01, self._refresh)
            except RuntimeError:
                return


def count_at_once(request: Request, route: Route) -> TokenCount:
    """Tokens of a request: exact, or estimated where an engine would have to be started for it."""
    if token_counts.is_quick(route):
        return token_counts.count_request(request, route)
    return _estimated(request, route)[-1]


def _estimated(request: Request, route: Route) -> list[TokenCount]:
    rough = [TokenCount(round(len(m.text) / 4) + 1, estimated=True) for m in request.messages]
    per_message = route.facts.tokens_per_message
    return [*rough, TokenCount(sum(rough) + per_message * len(rough) + 3, estimated=True)]


def _asked_again(plan: Plan | HistoryEntry, route: Route, params: Mapping[str, Any]) -> Request:
    """The request of a plan as this model would get it, with its own system message."""
    messages = plan.request.messages
    own = plan.route.defaults.get("system") or plan.route.facts.system
    if own and len(messages) > 1 and messages[0].role == "system" and messages[0].text == str(own):
        messages = messages[1:]
    request, _ = plans.build_request(messages, route, params, tools=plan.request.tools)
    return replace(request, tools=plan.request.tools)


def _fewer(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A long conversation's middle as one part."""
    if len(parts) <= _SHOWN_PARTS:
        return parts
    middle = parts[2 : 2 - _SHOWN_PARTS]
    tokens = sum(p["tokens"] for p in middle)
    return [*parts[:2], {"label": f"{len(middle)} messages {tokens:,}", "tokens": tokens}, *parts[2 - _SHOWN_PARTS :]]
