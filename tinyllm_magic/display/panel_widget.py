"""The parameter panel as one live widget, ``ParamPanel``: its traits, its messages with the page, its plain text.

Callbacks say what is chosen. They may run in another thread than the cell's (ipykernel's subshells): what they do must be
quick, must not display, and must not call a model.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anywidget
from ipywidgets import DOMWidget
from traitlets import Dict, Float, Int, List, TraitError, Unicode, validate

from .bundle import format_value, load_style

PARAMETERS = ("temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "seed")
CHOICES = ("model", *PARAMETERS, "mode")
_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class PanelState:
    """All that a panel shows at one moment, as plain JSON.

    ``values`` holds ``CHOICES`` (``None`` or an empty text: not chosen, not sent), ``answers`` the
    name of the model that will answer. ``models`` are ``{"name", "label"}``; ``specs`` has for each
    parameter ``low`` and ``high`` (hard bounds or ``None``), ``step`` of its number box (1: whole
    numbers), ``from``, ``to``, ``stride`` and ``rest`` of its slider (``None``: no slider; it stands at
    ``rest`` while nothing is sent), ``refused`` (why it cannot be set, or an empty text), ``unset`` (what
    holds when it is not sent) and ``base`` (its value after a reset). ``origins`` says where each choice
    came from, ``flags`` pins them in a cell. ``meter`` has ``parts`` (``{"label", "tokens"}``), ``window``, ``text`` and ``cost``.
    ``recorded`` is the known answer to the last question with these values: ``title``, ``line`` and ``text``; its
    ``choices`` are the recorded combinations of a grid (``{"name", "values"}``), ``ticks`` their values by parameter,
    and ``picked`` names the one that holds.
    """

    values: Mapping[str, Any]
    answers: str = ""
    models: Sequence[Mapping[str, str]] = ()
    specs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    flags: str = ""
    meter: Mapping[str, Any] = field(default_factory=dict)
    recorded: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""


class ParamPanel(anywidget.AnyWidget, DOMWidget):  # type: ignore[misc]  # ipywidgets ships no types
    """Sliders, number boxes and a token meter for the next cells; every choice is a trait.

    ``panel.temperature = 0.2`` does what the slider does, and ``panel.observe`` and
    ``ipywidgets.link`` work on each of ``CHOICES``. ``chosen`` is called with the new choices, ``pick``
    with the name of a recorded combination, ``reset`` to forget all choices (each says in a sentence what
    it did; a ``ValueError`` is a refusal), and ``read`` for what holds then.
    """

    _esm = _STATIC / "panel.js"
    _css = load_style().removeprefix("<style>").removesuffix("</style>") + (_STATIC / "panel.css").read_text("utf-8")

    model = Unicode("", help="a named model or a vendor's model id; empty: the default").tag(sync=True)
    temperature = Float(None, allow_none=True).tag(sync=True)
    top_p = Float(None, allow_none=True).tag(sync=True)
    max_tokens = Int(None, allow_none=True).tag(sync=True)
    frequency_penalty = Float(None, allow_none=True).tag(sync=True)
    presence_penalty = Float(None, allow_none=True).tag(sync=True)
    seed = Int(None, allow_none=True).tag(sync=True)
    mode = Unicode("", help="auto, replay, refresh or off; empty: the default").tag(sync=True)
    resets = Int(0, help="counts how often the page asked for a reset").tag(sync=True)
    picked = Unicode("", help="the recorded combination that holds; setting it takes its values").tag(sync=True)

    answers = Unicode("").tag(sync=True)
    models: Any = List().tag(sync=True)
    specs = Dict().tag(sync=True)
    origins = Dict().tag(sync=True)
    flags = Unicode("").tag(sync=True)
    meter = Dict().tag(sync=True)
    recorded = Dict().tag(sync=True)
    status = Unicode("").tag(sync=True)

    def __init__(
        self,
        read: Callable[[], PanelState],
        chosen: Callable[[Mapping[str, Any]], str],
        reset: Callable[[], str],
        pick: Callable[[str], str],
    ) -> None:
        self._read, self._chosen, self._reset, self._pick = read, chosen, reset, pick
        self._guard = threading.RLock()
        self._showing: int | None = None
        self._batch: dict[str, Any] | None = None
        super().__init__()
        self.refresh()
        self.observe(self._take_change, names=[*CHOICES, "resets", "picked"])

    def refresh(self, said: str | None = None) -> None:
        """Show what holds now; ``said`` tells what was done, else a stale word about it goes."""
        with self._guard:
            reading = self._read()
            same = all(getattr(self, name) == self._read_value(reading, name) for name in CHOICES)
            self.show(replace(reading, status=reading.status or (said if said is not None else self.status if same else "")))

    @staticmethod
    def _read_value(reading: PanelState, name: str) -> Any:
        value = reading.values.get(name)
        return value or "" if name in ("model", "mode") else value

    def show(self, reading: PanelState) -> None:
        """Show what holds now; calls nobody back, and sends one message with what is new."""
        with self._guard, self.hold_sync():
            before, self._showing = self._showing, threading.get_ident()
            try:
                self.specs = {name: dict(spec) for name, spec in reading.specs.items()}
                self.models = [dict(m) for m in reading.models]
                for name in ("answers", "flags", "status"):
                    self.set_trait(name, getattr(reading, name))
                self.origins, self.meter, self.recorded = dict(reading.origins), dict(reading.meter), dict(reading.recorded)
                self.picked = str(reading.recorded.get("picked", ""))
                for name in CHOICES:
                    self.set_trait(name, self._read_value(reading, name))
            finally:
                self._showing = before

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take what a page sends, as one change; what is out of range is refused and the page told so."""
        with self._guard:
            self._batch = {}
            try:
                super().set_state(sync_data)
                changes = self._batch
            except (TraitError, TypeError, ValueError) as error:
                changes = {}
                self.status = f"refused: {error}"
                self.send_state([*CHOICES, "picked"])
            finally:
                self._batch = None
            if changes:
                with suppress(ValueError):  # the page is told
                    self._tell(changes)

    def _take_change(self, change: Any) -> None:
        if self._showing == threading.get_ident():
            return
        with self._guard:
            if self._batch is not None:
                self._batch[change["name"]] = change["new"]
            else:
                self._tell({change["name"]: change["new"]})

    def _tell(self, changes: dict[str, Any]) -> None:
        """Hand choices on; a reset or a pick takes its own values along, and comes before what was chosen after it."""
        said = ""
        try:
            resets, picked = changes.pop("resets", None), changes.pop("picked", "")
            if resets is not None or picked:
                said = self._pick(picked) if picked else self._reset()
                changes = {n: v for n, v in changes.items() if v != self._read_value(self._read(), n)}
            if changes:
                said = self._chosen(changes)
        except ValueError as error:
            self.refresh(f"refused: {error}")
            raise
        self.refresh(said)

    @validate(*PARAMETERS)
    def _clamp(self, proposal: Any) -> Any:
        name, value = proposal["trait"].name, proposal["value"]
        spec = self.specs.get(name, {})
        low, high = spec.get("low"), spec.get("high")
        if value is None or self._showing == threading.get_ident():
            return value
        if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
            bounds = " and ".join(f"{word} {bound:g}" for word, bound in (("at least", low), ("at most", high)) if bound is not None)
            raise TraitError(f"{name} must be {bounds or 'a number'}, not {value}")
        return value

    def describe(self) -> tuple[str, str]:
        """The panel in words: what a saved notebook without a kernel, and a terminal, show."""
        return "Model parameters", " · ".join(f"{name} {format_value(value)}" for name, value in self._shown.items())

    @property
    def _shown(self) -> dict[str, Any]:
        """The model that answers, and what is set."""
        chosen = {"model": self.answers or self.model, **{name: getattr(self, name) for name in (*PARAMETERS, "mode")}}
        return {name: value for name, value in chosen.items() if value not in (None, "")}

    def __repr__(self) -> str:
        """The panel in one line."""
        return f"ParamPanel({', '.join(f'{n}={v!r}' for n, v in self._shown.items())})"
