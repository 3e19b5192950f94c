"""A request that is not sent in, its preview out: messages, tokens, room in the context window, cost.

Knows what ``--dry-run`` shows, as HTML and as plain text.
Does not know how tokens are counted, the notebook, stores, sessions or settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import markup
from .cards import SKELETON, Bundle, brief, counted, heading, messages_html, money, pack, room, said, style
from .markup import QUIET, escape
from .messages import Message


def dry_run_bundle(
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
) -> Bundle:
    """What would be sent, and what it would take; nothing is sent.

    ``tokens`` counts each message, ``total`` the whole request (else their sum); ``estimated``
    marks the counts with ``≈``; ``window`` and ``max_tokens`` are tokens, ``cost`` US dollars,
    always shown as an estimate; ``recorded`` says whether the answer is known (``None``: not
    asked); ``pieces`` are the texts of each message's tokens, shown folded.
    """
    about = "≈ " if estimated else ""
    total = sum(tokens) if total is None else total
    known = {True: "recorded: answered without a call", False: "not recorded: would be a live call", None: ""}[recorded]
    given = [f"{name} {brief(value)}" for name, value in (params or {}).items() if value is not None]
    facts = [f for f in (model, f"{about}{total:,} tokens", money(cost, "≈ "), *given, known) if f]
    words = room(total, window, max_tokens, about)
    meter = f'<meter min="0" max="{window}" value="{min(total, window)}">{escape(words)}</meter> ' if window else ""
    html = (
        f'<article class="tlm {QUIET}" style="{SKELETON}" aria-label="Preview of a request">'
        f'<p class="tlm-title">Dry run: nothing was sent</p>{messages_html(messages, tokens, about, pieces)}'
        + (f"<p><label>{meter}{escape(words)}</label></p>" if words else "")
        + "".join(f'<p class="tlm-note">note: {escape(n)}</p>' for n in notes)
        + f'<footer class="tlm-foot">{escape(" · ".join(facts))}{f"<br>key {escape(key)}" if key else ""}</footer></article>'
    )
    prompt = (f"[{heading(m, n, about)}]\n{said(m)}" for m, n in counted(messages, tokens))
    ending = ("-- " + " · ".join(facts), f"key {key}" if key else "")
    lines = ("Dry run: nothing was sent", *prompt, words, *(f"note: {n}" for n in notes), *ending)
    return pack(style() + html, markup.printable("\n".join(line for line in lines if line)))
