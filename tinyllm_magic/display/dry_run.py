"""The preview of a request that is not sent: messages, tokens, share of the context window, cost, key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..json_schema import describe_fields
from ..messages import Message
from ..text_format import format_money
from . import markup
from .bundle import SKELETON, Bundle, format_value, load_style, pack
from .cards import describe_window, draw_messages, pair_with_tokens, write_heading, write_message
from .html_tables import draw_table
from .html_text import NO_MATH, escape
from .steps import draw_tools, write_tools


def bundle_dry_run(
    messages: Sequence[Message],
    tokens: Sequence[int],
    *,
    total: int | None = None,
    estimated: bool = False,
    window: int | None = None,
    max_tokens: int | None = None,
    cost: float | None = None,
    model: str = "",
    params: Mapping[str, Any] | None = None,
    key: str = "",
    recorded: bool | None = None,
    pieces: Sequence[Sequence[str] | None] = (),
    notes: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
) -> Bundle:
    """What would be sent, and what it would take; nothing is sent.

    ``tokens`` counts each message, ``total`` the whole request (else their sum); ``estimated``
    marks the counts with ``≈``; ``window`` and ``max_tokens`` are tokens, ``cost`` US dollars,
    always shown as an estimate; ``recorded`` says whether the answer is known (``None``: not
    asked); ``pieces`` are the texts of each message's tokens, shown folded; ``schema`` is
    the JSON schema that goes along, where one does, ``tools`` those that the model may call.
    """
    about = "≈ " if estimated else ""
    total = sum(tokens) if total is None else total
    known = {True: "recorded: answered without a call", False: "not recorded: would be a live call", None: ""}[recorded]
    given = [f"{name} {format_value(value)}" for name, value in (params or {}).items() if value is not None]
    facts = [f for f in (model, f"{about}{total:,} tokens", format_money(cost, "≈ "), *given, known) if f]
    words = describe_window(total, window, max_tokens, about)
    meter = f'<meter min="0" max="{window}" value="{min(total, window)}">{escape(words)}</meter> ' if window else ""
    html = (
        f'<article class="tlm {NO_MATH}" style="{SKELETON}" aria-label="Preview of a request">'
        f'<p class="tlm-title">Dry run: nothing was sent</p>{draw_messages(messages, tokens, about, pieces)}'
        + _draw_schema(schema)
        + draw_tools(tools)
        + (f"<p><label>{meter}{escape(words)}</label></p>" if words else "")
        + "".join(f'<p class="tlm-note">note: {escape(n)}</p>' for n in notes)
        + f'<footer class="tlm-foot">{escape(" · ".join(facts))}{f"<br>key {escape(key)}" if key else ""}</footer></article>'
    )
    prompt = (f"[{write_heading(m, n, about)}]\n{write_message(m)}" for m, n in pair_with_tokens(messages, tokens))
    ending = ("-- " + " · ".join(facts), f"key {key}" if key else "")
    lines = (
        "Dry run: nothing was sent",
        *prompt,
        *_write_schema(schema),
        *write_tools(tools),
        words,
        *(f"note: {n}" for n in notes),
        *ending,
    )
    return pack(load_style() + html, "\n".join(line for line in lines if line))


def _draw_schema(schema: Mapping[str, Any] | None) -> str:
    """A schema field by field, and folded as it is sent."""
    if not schema:
        return ""
    fields = draw_table(("field", "what it has to be"), list(describe_fields(schema).items()))
    folded = f"<details><summary>JSON</summary>{markup.render(json.dumps(schema), 'json')}</details>"
    return f'<p class="tlm-role">schema</p>{fields}{folded}'


def _write_schema(schema: Mapping[str, Any] | None) -> list[str]:
    """The same in plain text."""
    return ["[schema]", *(f"{name}: {words}" for name, words in describe_fields(schema).items())] if schema else []
