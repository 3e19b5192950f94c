"""Measures a prompt cell while somebody types in it: tokens, share of the context window, cost, whether its answer is recorded.

Nothing is sent, no file but the store is read, and nothing of the user's is called: where that cannot be kept, ``measure`` says why.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..batch.rows import RowDict, read_rows
from ..clients.call import LLMCall
from ..clients.prepared import PreparedCall
from ..errors import EmptyPromptError, OptionError, TinyLLMError, near
from ..models import pricing
from ..models.endpoints import key_state
from ..prompts.environment import build_environment
from ..prompts.loader import is_inline
from ..prompts.template import Template
from ..recording.modes import Decision
from ..schemas.text import read_text
from ..text_format import format_money, shorten_line
from ..web_page import ANSWERS_RECORDED, THREAD_CLOCK, runs_in_page
from . import inspection, option_values, options
from .cell_calls import make_call
from .options import Options
from .scope import Scope
from .token_meter import count_at_once

_MAGIC = re.compile(r"\A\s*%%llm(?=\s|\Z)([^\n]*)\n?(.*)", re.DOTALL)
_LONGEST = 0.25  # seconds of this thread's time that templates may take to render
_FULL, _NEARLY_FULL = 1.0, 0.8  # shares of the context window
_ASKED_IF_DEFINED = r"\b{name}\s*(?:\bis\s+(?:not\s+)?(?:un)?defined\b|\|\s*(?:default|d)\b)"


class _NotCounted(Exception):
    """Why there is no count; ``unknown`` are names that nothing defines, each with those that are similar."""

    def __init__(self, why: str, unknown: Mapping[str, tuple[str, ...]] | None = None) -> None:
        super().__init__(why)
        self.unknown = unknown or {}


class _TookTooLong(BaseException):
    """A template was still being rendered when its time was over."""


def measure(cell: str, variables: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """What a prompt cell comes to: ``parts`` (words, each with a level), ``share`` of the window, and ``unknown`` names.

    ``share`` is ``None`` where it is not known. An unknown name has a list of similar ones.
    """
    try:
        parts, share = _measure(cell, variables, environ)
    except _NotCounted as reason:
        unknown = {name: list(similar) for name, similar in reason.unknown.items()}
        return {"parts": [_part(f"— {reason}", "quiet")], "share": None, "unknown": unknown}
    return {"parts": parts, "share": share, "unknown": {}}


def _measure(cell: str, variables: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[list[dict[str, str]], float | None]:
    found = _MAGIC.match(cell)
    if found is None:
        raise _NotCounted("no prompt")
    line, text, first_line = found[1], found[2], cell[: found.start(2)].count("\n") + 1
    with _told_plainly(), _time_limit(_LONGEST):
        chosen = _read_options(line, variables)
        call = make_call(Scope(variables), chosen, text, first_line=first_line)
        before, call, row = _choose_first(chosen, call, variables)
        _check_names(text, {**variables, **row, **({"row": row} if row else {})}, first_line)
        prepared = call.prepare(**({"row": RowDict(row), **row} if row else {}))
    parts, share = _describe(prepared, environ, tier=pricing.BATCH if chosen.batch else None)
    return [*before, *parts], share


@contextmanager
def _told_plainly() -> Iterator[None]:
    try:
        yield
    except _TookTooLong:
        raise _NotCounted("takes long to render: --dry-run counts it") from None
    except EmptyPromptError:
        raise _NotCounted("empty") from None
    except TinyLLMError as error:
        raise _NotCounted(shorten_line(error.message, 120)) from None


def _read_options(line: str, variables: Mapping[str, Any]) -> Options:
    """The options of a line; raises ``_NotCounted`` where they take in a file or a value that is not read."""

    def expand(value: str) -> Any:
        _check_names(value, variables)
        return option_values.expand(Scope(variables), value)

    chosen = options.parse(line, cell=True, expand=expand)
    if chosen.chat is not None:
        raise _NotCounted("a turn is sent behind those before it: --dry-run counts them")
    if chosen.attached or chosen.fetch or chosen.template is not None or (chosen.system is not None and not is_inline(chosen.system)):
        raise _NotCounted("the prompt takes in a file: --dry-run counts it")
    if chosen.system is not None:
        _check_names(chosen.system, variables)
    if isinstance(chosen.schema, str):
        chosen.schema = _read_schema(chosen.schema, variables)
    return chosen


def _read_schema(text: str, variables: Mapping[str, Any]) -> Any:
    """A schema of Python's own types; those of the notebook may have code in them, which is not run while somebody types."""
    try:
        return read_text(text, {})
    except OptionError:
        if any(name in variables for name in re.findall(r"[^\W\d]\w*", text)):
            raise _NotCounted("the schema is one of the notebook's: --dry-run counts it") from None
        raise


def _check_names(text: str, variables: Mapping[str, Any], first_line: int = 1) -> None:
    """Raise ``_NotCounted`` where a template names a file, what nothing defines, or a value that is not read while somebody types."""
    template = Template(text, first_line=first_line)
    if template.refers or template.attaches:
        raise _NotCounted("the prompt takes in a file: --dry-run counts it")
    names = sorted(template.variables - build_environment(()).globals.keys())
    missing = [n for n in names if n not in variables and not re.search(_ASKED_IF_DEFINED.format(name=re.escape(n)), text)]
    if missing:
        known = [n for n in variables if not n.startswith("_")]
        raise _NotCounted(f"{' and '.join(missing[:3])} not defined", {n: near(n, known) for n in missing})
    for why in (inspection.find_unreadable(variables[n], n) for n in names if n in variables):
        if why:
            raise _NotCounted(f"{why}: --dry-run counts it")


def _choose_first(chosen: Options, call: LLMCall, variables: Mapping[str, Any]) -> tuple[list[dict[str, str]], LLMCall, Mapping[str, Any]]:
    """Of a cell that asks many times the first call and its row, behind words that say so."""
    if chosen.map is not None:
        table: Any = variables.get(chosen.map)
        row = _first_row(table) if inspection.is_table(table) else None
        if row is None:
            raise _NotCounted("counted row by row: --dry-run estimates it")
        count = len(next(iter(table.values()))) if type(table) is dict else len(table)
        return [_part(f"first of {count:,} rows")], call, row
    axes = {**({"model": chosen.compare} if chosen.compare else {}), **chosen.grid}
    if axes:
        call = call.with_params(**{name: values[0] for name, values in axes.items() if values})
    times = math.prod(max(1, len(values)) for values in axes.values()) * (chosen.samples or 1)
    return ([_part(f"first of {times:,}")] if times > 1 else []), call, {}


def _first_row(table: Any) -> Mapping[str, Any] | None:
    """The first row of dicts, columns or a frame of a known library; ``None`` for rows that would have to be asked for their fields."""
    if type(table) is dict:
        return {name: column[0] for name, column in table.items()} if all(table.values()) else None
    if type(table) in (list, tuple):
        return dict(table[0]) if type(table[0]) is dict else None
    if not inspection.columns(table):
        return None
    head = table.slice(0, 1) if hasattr(table, "column_names") else table.head(1)
    return next(iter(read_rows(head).items), None)


def _describe(prepared: PreparedCall, environ: Mapping[str, str], *, tier: str | None) -> tuple[list[dict[str, str]], float | None]:
    """A call in words, and its share of the context window; ``tier`` is a service tier with a price of its own."""
    request, route = prepared.adapt().request, prepared.plan.route
    total = count_at_once(request, route)
    about = "≈ " if total.estimated else ""
    window = pricing.window(request.model)
    share = total / window if window else None
    parts = [_part(f"{about}{int(total):,} token{'' if total == 1 else 's'}")]
    if share is not None:
        level = "error" if share > _FULL else "warning" if share > _NEARLY_FULL else ""
        words = f"{about}{share:.0%} of {window:,}" if share >= 0.01 else f"under 1 % of {window:,}"
        parts.append(_part(f"{words}, too long" if share > _FULL else f"{words}, nearly full" if level else words, level))
    cost = pricing.most_expensive(request, route, tier=tier)
    if cost:
        parts.append(_part(f"at most {format_money(cost, about)}"))
    return [*parts, *_describe_decision(prepared, environ)], share


def _describe_decision(prepared: PreparedCall, environ: Mapping[str, str]) -> list[dict[str, str]]:
    if prepared.replays:
        return [_part("recorded", "recorded")]
    if prepared.decision is Decision.MISS:
        return [_part(f"not recorded{f': {ANSWERS_RECORDED}' if runs_in_page() else ', and replay asks nobody'}", "error")]
    key = key_state(prepared.plan.route.endpoint, environ)
    asks = _part(f"asks {prepared.request.model}", "asks")
    return [asks, _part(key, "warning")] if key.endswith("is missing") else [asks]


def _part(text: str, level: str = "") -> dict[str, str]:
    return {"text": text, "level": level}


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Stop templates that loop for longer: their lines look at the clock. What they call in Python is not stopped within."""
    before, ends = sys.gettrace(), list[float]()

    def look_at_clock(_frame: Any, _event: str, _argument: Any) -> Any:
        if not ends:
            ends.append(THREAD_CLOCK() + seconds)
        if THREAD_CLOCK() > ends[0]:
            raise _TookTooLong
        return look_at_clock

    sys.settrace(lambda frame, _event, _argument: look_at_clock if "__jinja_template__" in frame.f_globals else None)
    try:
        yield
    finally:
        sys.settrace(before)
