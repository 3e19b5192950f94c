"""The preview of a request that is not sent: messages, tokens, share of the context window, cost, key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..json_schema import describe_fields
from ..messages import Message
from ..text_format import format_money
from . import markup
from .bundle import SKELETON, Bundle, format_value, pack
from .cards import draw_messages, pair_with_tokens, write_heading, write_message
from .html_tables import draw_table
from .html_text import NO_MATH, escape
from .steps import draw_tools, write_tools
from .window_share import WindowShare, draw_window_share, mark_alert

_SHORT_KEY = 15  # characters; enough for %llm_cache show
_MOST_ADDENDS = 6


def bundle_dry_run(
    messages: Sequence[Message],
    tokens: Sequence[int],
    *,
    total: int | None = None,
    estimated: bool = False,
    window: int | None = None,
    max_tokens: int | None = None,
    cost: float | None = None,
    likely: tuple[float | None, int] = (None, 0),
    model: str = "",
    params: Mapping[str, Any] | None = None,
    key: str = "",
    recorded: bool | None = None,
    warning: str = "",
    pieces: Sequence[Sequence[str] | None] = (),
    notes: Sequence[str] = (),
    schema: Mapping[str, Any] | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
) -> Bundle:
    """What would be sent, and what it would take; nothing is sent.

    ``tokens`` counts each message, ``total`` the whole request (else their sum); ``estimated``
    marks the counts with ``≈``; ``window`` and ``max_tokens`` are tokens, ``cost`` is US dollars at
    most, ``likely`` US dollars and the tokens of an answer for which that is the price; ``warning`` says why
    the call would fail; ``recorded`` says whether the answer is known (``None``: not
    asked); ``pieces`` are the texts of each message's tokens, shown folded; ``schema`` is
    the JSON schema that goes along, where one does, ``tools`` those that the model may call.
    """
    about = "≈ " if estimated else ""
    total = sum(tokens) if total is None else total
    known = {True: "recorded: answered without a call", False: "not recorded: would be a live call", None: ""}[recorded]
    given = [f"{name} {format_value(value)}" for name, value in (params or {}).items() if value is not None]
    facts = [f for f in (model, *given, known) if f]
    share = WindowShare(total, window, max_tokens, about)
    counted = _write_sum(messages, tokens, total, about, more=[*(["the tools"] if tools else []), *(["the schema"] if schema else [])])
    price = _write_price(cost, likely, about)
    html = (
        f'<article class="tlm {NO_MATH}" style="{SKELETON}" aria-label="Preview of a request">'
        f'<p class="tlm-title">Dry run: nothing was sent</p>{draw_messages(messages, tokens, about, pieces)}'
        + _draw_schema(schema)
        + draw_tools(tools)
        + "".join(f"<p>{escape(line)}</p>" for line in (counted, price) if line)
        + draw_window_share(share)
        + (f"<p{mark_alert('error')}><strong>{escape(warning)}</strong></p>" if warning else "")
        + "".join(f'<p class="tlm-note">note: {escape(n)}</p>' for n in notes)
        + f'<footer class="tlm-foot">{escape(" · ".join(facts))}{_draw_key(key)}</footer></article>'
    )
    prompt = (f"[{write_heading(m, n, about)}]\n{write_message(m)}" for m, n in pair_with_tokens(messages, tokens))
    ending = ("-- " + " · ".join(facts), f"key {key[:_SHORT_KEY]}" if key else "")
    lines = (
        "Dry run: nothing was sent",
        *prompt,
        *_write_schema(schema),
        *write_tools(tools),
        counted,
        price,
        share.words,
        warning,
        *(f"note: {n}" for n in notes),
        *ending,
    )
    return pack(html, "\n".join(line for line in lines if line))


def _write_sum(messages: Sequence[Message], tokens: Sequence[int], total: int, about: str, more: Sequence[str]) -> str:
    """The tokens as a sum that adds up: each message, and what the chat's format and other parts of the request add."""
    rest = total - sum(tokens)
    if rest < 0 or not tokens:
        return f"{about}{total:,} tokens"
    counts = [f"{count:,} {message.role}" for message, count in zip(messages, tokens, strict=False)]
    if len(counts) > _MOST_ADDENDS:
        counts = [f"{sum(tokens):,} in {len(tokens)} messages"]
    other = " and ".join(("marks of the chat format", *more))
    return f"{about}{total:,} tokens = {' + '.join([*counts, *([f'{rest:,} for {other}'] if rest else [])])}"


def _write_price(cost: float | None, likely: tuple[float | None, int], about: str) -> str:
    """What the call is likely to cost, and what at most; empty where no price is known."""
    if cost is None:
        return ""
    dollars, answer = likely
    usual = (
        f"about {format_money(dollars)} with an answer of {answer:,} tokens, " if dollars is not None and answer and dollars < cost else ""
    )
    return f"cost: {usual}at most {format_money(cost, about)}"


def _draw_key(key: str) -> str:
    """A request's key, short, and folded the whole."""
    return f"<details><summary>key {escape(key[:_SHORT_KEY])}</summary><code>{escape(key)}</code></details>" if key else ""


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
