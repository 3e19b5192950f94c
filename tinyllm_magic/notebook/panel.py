"""The panel of this session: what it shows, and what a choice in it does.

Everything here may run in a thread beside a cell: it reads, and swaps the session's choices whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..clients import plans
from ..clients.model_list import answered_models
from ..clients.sessions import session
from ..display import output
from ..errors import ConfigError
from ..models import catalog, endpoints, pricing
from ..models.routing import Route
from ..redaction import hide_private, mask
from ..settings import layers
from ..settings.definitions import BY_NAME, SAMPLING
from ..settings.layers import Settings
from ..settings.origins import Origin
from ..web_page import ANSWERS_RECORDED, runs_in_page
from . import panel_answers
from .state import state
from .token_meter import TokenMeter

if TYPE_CHECKING:
    from ..display.panel_widget import PanelState, ParamPanel


_OWN_FLAGS = {"temperature": "--temperature", "top_p": "--top-p", "max_tokens": "--max-tokens", "seed": "--seed"}
_STEPS = {"temperature": 0.05, "top_p": 0.05, "frequency_penalty": 0.1, "presence_penalty": 0.1}
_RESTS = {"temperature": 1, "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0}  # what vendors take where nothing is sent
_CHOICES = ("model", *SAMPLING, "mode")
_SLIDER_STOPS = 256
_LONGEST_SLIDER = 4096  # tokens, where a model's limit is not known
_BARE = re.compile(r"[\w.:/@+-]+")


def show(shell: Any) -> None:
    """Show the panel of this session, made on first use; later ones are views of the same."""
    panel = state.panel
    if panel is None or panel.comm is None:
        panel = state.panel = make()
        if shell is not None:
            stop_following(shell)
            shell.events.register("post_run_cell", refresh)
    panel.refresh()
    output.show_live(panel, shell)


def stop_following(shell: Any) -> None:
    """No longer follow a shell's cells."""
    if refresh in shell.events.callbacks["post_run_cell"]:
        shell.events.unregister("post_run_cell", refresh)


def make() -> ParamPanel:
    """A panel over this session."""
    from ..display.panel_widget import ParamPanel

    meter = TokenMeter(refresh)
    return ParamPanel(lambda: reading(meter), choose, reset, choose_combination)


def refresh(_result: Any = None) -> None:
    """After a cell: an open panel shows what holds now, and the last prompt."""
    if state.panel is None or state.panel.comm is None:
        return
    try:
        state.panel.refresh()
    except ConfigError as error:  # a file that was just edited: the next %%llm cell raises it
        state.panel.status = error.message


def choose(changes: Mapping[str, Any]) -> str:
    """Take a panel's choices for the next cells and say so; an empty model or mode is no choice. Raises ``ConfigError``."""
    session.forget(*(name for name, value in changes.items() if value == ""))
    session.choose(**{name: value for name, value in changes.items() if value != ""})
    current = session.settings()
    over = [n for n, v in changes.items() if current.source(n).origin is Origin.OVERRIDE and current.values.get(n) != v]
    if over:
        return f"{', '.join(over)}: set by override(…) in Python code until that ends"
    said = [f"{name} {'default' if value == '' else 'not sent' if value is None else _number(value)}" for name, value in changes.items()]
    return f"{', '.join(said)}: holds for the next cells"


def reset() -> str:
    """Forget what was chosen for this session of all that a panel shows."""
    session.forget(*_CHOICES)
    return "reset: files and environment apply again"


def choose_combination(name: str) -> str:
    """Take the values of a recorded combination and say so; raises ``ConfigError`` where there is none of this name."""
    return choose(panel_answers.choose_combination(name))


def reading(meter: TokenMeter) -> PanelState:
    """What holds now, as a panel shows it."""
    from ..display.panel_widget import PanelState

    current, status = session.settings(), ""
    try:
        route = session.route(None, current)
    except ConfigError as error:
        route, status = Route(endpoints.Endpoint("openai"), str(current.model)), error.message
    params = plans.sampling(current, route)
    movable = {n: params[n] for n in SAMPLING}
    words = {n: current.values[n] if current.source(n).is_explicit else "" for n in ("model", "mode")}
    return PanelState(
        values={**movable, **words},
        answers=route.model,
        models=model_choices(current),
        specs=specs(route, current),
        origins=origins(route, current),
        flags=flags(route, current),
        meter=meter.read(route, params),
        recorded=panel_answers.recall(current, {**movable, "model": words["model"] or route.name or route.model}),
        status=status,
    )


def model_choices(current: Settings) -> list[dict[str, str]]:
    """The models that a panel offers: the default, named ones, those that answered in this session, the embedded one."""
    base = without_choices(current, "model")
    named = [current.model] if current.source("model").is_explicit else []
    names = dict.fromkeys([*current.models, *named, *answered_models(session), str(layers.load().model), catalog.EMBEDDED])
    return [{"name": "", "label": f"default: {_described(None, base)}"}, *({"name": n, "label": _described(n, current)} for n in names)]


def _described(name: str | None, current: Settings) -> str:
    """A model's name, what it is, who answers and whether the key is there."""
    try:
        route = session.route(name, current)
    except ConfigError:
        return f"{name or current.model} · unavailable with these settings"
    shown = name or route.name or route.model
    facts = [shown, "" if shown == route.model else route.model, str(hide_private(route.endpoint.provider))]
    return mask(" · ".join(filter(None, (*facts, f"key {endpoints.key_state(route.endpoint, os.environ)}"))))


def without_choices(current: Settings, *names: str) -> Settings:
    """The settings as they would be had the session not chosen these."""
    if not set(names) & session.chosen.keys():
        return current
    kept = {n: v for n, v in session.chosen.items() if n not in names}
    base = layers.load().over(kept, Origin.SESSION)
    for override in tuple(session.overrides):
        base = base.over(override.values, Origin.OVERRIDE)
    return base


def specs(route: Route, current: Settings) -> dict[str, dict[str, Any]]:
    """Bounds, slider and support of each parameter for a model."""
    bare = without_choices(current, *_CHOICES)
    try:
        base = plans.sampling(bare, session.route(None, bare))
    except ConfigError:
        base = {}
    return {name: {**_spec(name, route), "base": base.get(name)} for name in SAMPLING}


def _spec(name: str, route: Route) -> dict[str, Any]:
    setting = BY_NAME[name]
    facts = route.facts
    known: dict[str, Any] = {"low": setting.low, "high": setting.high, "step": 1, "from": None, "to": None, "stride": None}
    if name in _STEPS:
        known |= {"step": _STEPS[name], "from": setting.low, "to": setting.high, "stride": _STEPS[name]}
    elif name == "max_tokens":
        most = facts.output_limit or pricing.window(route.model) or _LONGEST_SLIDER
        known |= {"from": 0, "to": most, "stride": max(1, 1 << (most // _SLIDER_STOPS).bit_length() - 1)}
    refused = f"{route.model} takes no {name}" if name in facts.refuses else ""
    limit = facts.default_max_tokens if name == "max_tokens" else None
    known["rest"] = _RESTS.get(name, limit)
    return {**known, "refused": refused, "unset": f"{limit:,} unless set" if limit else ""}


def origins(route: Route, current: Settings) -> dict[str, str]:
    """Where each choice of a panel came from, in words without paths."""
    found = {}
    for name in SAMPLING:
        source = plans.set_value(name, current, route).source
        found[name] = f"[models.{source.place}]" if source.origin is Origin.NAMED_MODEL else source.label
    found["model"] = f"{current.source('model').label}: {route.why}" if current.named("model") else route.why
    found["mode"] = current.source("mode").label
    if not current.source("mode").is_explicit:
        found["mode"] = f"{session.mode(current)}, from {found['mode']}" if current.mode else f"{session.mode(current)}"
    if current.replay_forced:
        found["mode"] = f"fixed: {ANSWERS_RECORDED}" if runs_in_page() else "fixed from outside: TINYLLM_MODE=replay"
    return found


def flags(route: Route, current: Settings) -> str:
    """The options that pin in a cell what holds now: ``-m gpt-4o --temperature 0.2``."""
    words = ["-m", _quoted(route.name or route.model)]
    for name, value in plans.sampling(current, route).items():
        if value is None or name in route.facts.refuses or name not in SAMPLING:
            continue
        words += [_OWN_FLAGS[name], _number(value)] if name in _OWN_FLAGS else ["-p", f"{name}={_number(value)}"]
    if current.mode and current.source("mode").origin is Origin.SESSION:
        words += ["--mode", str(current.mode)]
    return " ".join(words)


def _number(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return value if isinstance(value, str) else json.dumps(int(value) if whole else value)


def _quoted(word: str) -> str:
    return word if _BARE.fullmatch(word) else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
