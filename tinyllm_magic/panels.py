"""The session's state in, a panel that shows it out; what is chosen in the panel goes to the session.

Knows which choices there are for a model, where each value came from, and how to measure a prompt.
Does not know how the panel looks, how a line is parsed, or how a call is made.

Everything here may run in a thread beside a cell: it reads, and swaps the session's choices whole.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from . import display, models, plans, recalls, settings
from .cards import money, room
from .checks import without_login
from .errors import ConfigError
from .messages import Request
from .models import Route, TokenCount
from .plans import Plan
from .providers.local import LocalProvider
from .sessions import session
from .settings import Settings

if TYPE_CHECKING:
    from .widgets import ParamPanel, Reading

_OWN_FLAGS = {"temperature": "--temperature", "top_p": "--top-p", "max_tokens": "--max-tokens", "seed": "--seed"}
_STEPS = {"temperature": 0.05, "top_p": 0.05, "frequency_penalty": 0.1, "presence_penalty": 0.1}
_RESTS = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}  # what vendors take where nothing is sent
_CHOICES = ("model", *plans.SAMPLING, "mode")
_BY_HAND = ("session", "override")
_SLIDER_STOPS = 256
_LONGEST_SLIDER = 4096  # tokens, where a model's limit is not known
_PAUSE = 0.25  # seconds between two exact counts
_SHOWN_PARTS = 12
_BARE = re.compile(r"[\w.:/@+-]+")


def show(shell: Any) -> None:
    """Show the panel of this session, made on first use; later ones are views of the same."""
    panel = session.panel
    if panel is None or panel.comm is None:
        panel = session.panel = make()
        if shell is not None:
            forget(shell)
            shell.events.register("post_run_cell", refresh)
    panel.refresh()
    display.show_live(panel, shell)


def forget(shell: Any) -> None:
    """No longer follow a shell's cells."""
    if refresh in shell.events.callbacks["post_run_cell"]:
        shell.events.unregister("post_run_cell", refresh)


def make() -> ParamPanel:
    """A panel over this session."""
    from .widgets import ParamPanel

    meter = _Meter()
    return ParamPanel(lambda: reading(meter), choose, reset, pick)


def refresh(_result: Any = None) -> None:
    """After a cell: an open panel shows what holds now, and the last prompt."""
    if session.panel is None or session.panel.comm is None:
        return
    try:
        session.panel.refresh()
    except ConfigError as error:  # a file that was just edited: the next %%llm cell raises it
        session.panel.status = error.message


def choose(changes: Mapping[str, Any]) -> str:
    """Take a panel's choices for the next cells and say so; an empty model or mode is no choice. Raises ``ConfigError``."""
    session.forget(*(name for name, value in changes.items() if value == ""))
    session.choose(**{name: value for name, value in changes.items() if value != ""})
    current = session.settings()
    over = [n for n, v in changes.items() if current.origin(n) == "override" and current.values.get(n) != v]
    if over:
        return f"{', '.join(over)}: an override in Python code holds as long as it stands"
    said = [f"{name} {'default' if value == '' else 'not sent' if value is None else _number(value)}" for name, value in changes.items()]
    return f"{', '.join(said)}: holds for the next cells"


def reset() -> str:
    """Forget what was chosen for this session of all that a panel shows."""
    session.forget(*_CHOICES)
    return "reset: what files and environment say holds again"


def pick(name: str) -> str:
    """Take the values of a recorded combination and say so; raises ``ConfigError`` where there is none of this name."""
    return choose(recalls.pick(name))


def reading(meter: _Meter) -> Reading:
    """What holds now, as a panel shows it."""
    from .widgets import Reading

    current, status = session.settings(), ""
    try:
        route = session.route(None, current)
    except ConfigError as error:
        route, status = Route(models.Endpoint("openai"), str(current.model)), error.message
    params = plans.sampling(current, route)
    words = {n: current.values[n] if current.origin(n) in _BY_HAND else "" for n in ("model", "mode")}
    return Reading(
        values={**{n: params[n] for n in plans.SAMPLING}, **words},
        answers=route.model,
        models=model_choices(current),
        specs=specs(route, current),
        origins=origins(route, current),
        flags=flags(route, current),
        meter=meter.read(route, params),
        recorded=recalls.recall(current, {**params, "model": words["model"] or route.name or route.model}),
        status=status,
    )


def model_choices(current: Settings) -> list[dict[str, str]]:
    """The models that a panel offers: the default, named ones, those of this session, the embedded one."""
    base = without_choices(current, "model")
    seen = [e.plan.route.name or e.plan.request.model for e in tuple(session.history)]
    named = [current.model] if current.origin("model") in _BY_HAND else []
    names = dict.fromkeys([*current.models, *named, *seen, str(settings.load().model), models.EMBEDDED])
    return [{"name": "", "label": f"default: {_described(None, base)}"}, *({"name": n, "label": _described(n, current)} for n in names)]


def _described(name: str | None, current: Settings) -> str:
    """A model's name, what it is, who answers and whether the key is there."""
    try:
        route = session.route(name, current)
    except ConfigError:
        return f"{name or current.model} · not to be had with these settings"
    shown = name or route.name or route.model
    facts = [shown, "" if shown == route.model else route.model, str(without_login(route.endpoint.provider))]
    return " · ".join(filter(None, (*facts, f"key {models.key_state(route.endpoint, os.environ)}")))


def without_choices(current: Settings, *names: str) -> Settings:
    """The settings as they would be had the session not chosen these."""
    if not set(names) & session.chosen.keys():
        return current
    kept = {n: v for n, v in session.chosen.items() if n not in names}
    base = settings.load().over(kept, "session")
    for override in tuple(session.overrides):
        base = base.over(override.values, "override")
    return base


def specs(route: Route, current: Settings) -> dict[str, dict[str, Any]]:
    """Bounds, slider and support of each parameter for a model."""
    bare = without_choices(current, *_CHOICES)
    try:
        base = plans.sampling(bare, session.route(None, bare))
    except ConfigError:
        base = {}
    return {name: {**_spec(name, route), "base": base.get(name)} for name in plans.SAMPLING}


def _spec(name: str, route: Route) -> dict[str, Any]:
    setting = settings.BY_NAME[name]
    facts = route.facts
    known: dict[str, Any] = {"low": setting.low, "high": setting.high, "step": 1, "from": None, "to": None, "stride": None}
    if name in _STEPS:
        known |= {"step": _STEPS[name], "from": setting.low, "to": setting.high, "stride": _STEPS[name]}
    elif name == "max_tokens":
        most = facts.output_limit or models.window(route.model) or _LONGEST_SLIDER
        known |= {"from": 0, "to": most, "stride": max(1, 1 << (most // _SLIDER_STOPS).bit_length() - 1)}
    refused = f"{route.model} takes no {name}" if name in facts.refuses else ""
    limit = facts.default_max_tokens if name == "max_tokens" else None
    known["rest"] = _RESTS.get(name, limit)
    return {**known, "refused": refused, "unset": f"{limit:,} unless set" if limit else "not sent"}


def origins(route: Route, current: Settings) -> dict[str, str]:
    """Where each choice of a panel came from, in words without paths."""
    found = {}
    for name in plans.SAMPLING:
        origin = _short(current.origin(name))
        own = route.defaults.get(name) is not None and origin not in _BY_HAND
        found[name] = f"[models.{route.name}]" if own else origin
    found["model"] = f"{_short(current.origin('model'))}: {route.why}" if current.named("model") else route.why
    found["mode"] = _short(current.origin("mode"))
    if current.origin("mode") not in _BY_HAND:
        found["mode"] = f"{session.mode(current)}, from {found['mode']}" if current.mode else f"{session.mode(current)}"
    if current.replay_forced:
        found["mode"] = "fixed from outside: TINYLLM_MODE=replay"
    return found


def _short(origin: str) -> str:
    kind = next((k for k in ("config.ini", "user file") if origin.startswith(k)), None)
    return kind or origin


def flags(route: Route, current: Settings) -> str:
    """The options that pin in a cell what holds now: ``-m gpt-4o --temperature 0.2``."""
    words = ["-m", _quoted(route.name or route.model)]
    for name, value in plans.sampling(current, route).items():
        if value is None or name in route.facts.refuses or name not in plans.SAMPLING:
            continue
        words += [_OWN_FLAGS[name], _number(value)] if name in _OWN_FLAGS else ["-p", f"{name}={_number(value)}"]
    if current.mode and current.origin("mode") == "session":
        words += ["--mode", str(current.mode)]
    return " ".join(words)


def _number(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return value if isinstance(value, str) else json.dumps(int(value) if whole else value)


def _quoted(word: str) -> str:
    return word if _BARE.fullmatch(word) else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


class _Meter:
    """Measures the last prompt for a model: exact counts are kept, and made at most four times a second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str, str], list[TokenCount]] = {}
        self._next = -math.inf

    def read(self, route: Route, params: Mapping[str, Any]) -> dict[str, Any]:
        """The last prompt by message, the window, the room for the answer and the cost, for this model."""
        plan = session.last_plan or (session.history[-1].plan if session.history else None)
        window = models.window(route.model)
        if plan is None or plan.request.kind != "chat":
            return {"window": window, "text": "No prompt yet: the next %%llm cell, or its --dry-run, is measured here."}
        request = _asked_again(plan, route, params)
        counts = self._counted(request, route)
        total = counts[-1]
        about = "≈ " if total.estimated else ""
        limit = request.params.get(route.facts.max_tokens_name)
        words = room(int(total), window, limit, about) or f"{about}{int(total):,} tokens; the context window is not known"
        most = models.most_expensive(request, route)
        parts = [{"label": f"{m.role} {c:,}", "tokens": int(c)} for m, c in zip(request.messages, counts[:-1], strict=True)]
        parts.append({"label": f"around them {max(0, total - sum(counts[:-1])):,}", "tokens": max(0, total - sum(counts[:-1]))})
        return {"parts": _fewer(parts), "window": window, "text": words, "cost": f"at most {money(most, '≈ ')}" if most else ""}

    def _counted(self, request: Request, route: Route) -> list[TokenCount]:
        """Tokens of each message and at last of the whole; estimated where an exact count would take long now."""
        name = route.name or route.model
        mark = (replace(request, params={}).key, name, route.endpoint.api_type)
        if mark in self._known:
            return self._known[mark]
        if self._clock() < self._next or not _cheap(route):
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
                asyncio.get_running_loop().call_later(wait + 0.01, refresh)
            except RuntimeError:
                return


def _cheap(route: Route) -> bool:
    return route.endpoint.api_type != "local" or LocalProvider(route.endpoint.path).started


def _estimated(request: Request, route: Route) -> list[TokenCount]:
    rough = [TokenCount(round(len(m.text) / 4) + 1, estimated=True) for m in request.messages]
    per_message = route.facts.tokens_per_message
    return [*rough, TokenCount(sum(rough) + per_message * len(rough) + 3, estimated=True)]


def _asked_again(plan: Plan, route: Route, params: Mapping[str, Any]) -> Request:
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
