"""Values in, MIME bundles out: the card of an answer, tables, the preview of a request, a history.

Knows how each looks as HTML and as plain text.
Does not know the notebook, the terminal, streams, stores, sessions or settings.

Every bundle is ``text/html`` with ``text/plain`` and nothing else: no script, no widget, no request.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import markup
from .answers import Response, ToolCall, Usage
from .contrasts import contrast_html, contrast_text
from .markup import QUIET, escape
from .messages import Message
from .records import mask, mask_html

Bundle = dict[str, str]
_STATES = ("streaming", "done", "stopped", "error")
# An untrusted notebook drops style sheets, and styles with var(): this much of a card stays.
SKELETON = "border-left:3px solid;padding:.5em .9em;margin:.3em 0"
_GRID = "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(19em,100%),1fr));gap:.6em;align-items:start"
_ENDINGS = {"length": "cut at max_tokens", "content_filter": "cut by the content filter"}
_USUAL_ENDINGS = ("stop", "tool_calls", "function_call", None, "")
_LONG_LINES, _LONG_TEXT = 60, 6000


@dataclass(frozen=True)
class Card:
    """Everything one card shows.

    ``format`` is one of ``markup.FORMATS``, ``state`` ``streaming``, ``done``, ``stopped`` or
    ``error``, ``source`` ``live`` or ``recorded``; ``cost`` US dollars and ``duration`` seconds
    of the live call, ``None`` when unknown; ``params`` the parameters sent; ``prompt`` the
    messages to show folded, with ``prompt_tokens`` for each; ``error`` the lines of an error;
    ``metadata`` goes into the output's metadata.
    """

    text: str = ""
    format: str = "markdown"
    state: str = "done"
    source: str = "live"
    model: str = ""
    asked: str = ""
    usage: Usage | None = None
    cost: float | None = None
    cost_estimated: bool = False
    duration: float | None = None
    finish_reason: str | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    refusal: str = ""
    notes: tuple[str, ...] = ()
    title: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    prompt: tuple[Message, ...] = ()
    prompt_tokens: tuple[int, ...] = ()
    error: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take secrets out of what Markdown or a highlighter would tear apart; ``pack`` finds the others."""
        for name in ("text", "reasoning"):
            object.__setattr__(self, name, mask(getattr(self, name)))

    @classmethod
    def of(cls, response: Response, **look: Any) -> Card:
        """The card of a response; ``look`` sets or replaces fields (``format``, ``title``, ``prompt`` …)."""
        shown: dict[str, Any] = {
            "text": response.text,
            "source": response.source,
            "model": response.model,
            "asked": response.request.model,
            "usage": response.usage,
            "cost": response.cost,
            "cost_estimated": response.cost_estimated,
            "duration": response.duration,
            "finish_reason": response.finish_reason,
            "reasoning": response.reasoning,
            "tool_calls": response.tool_calls,
            "refusal": response.record.answer.refusal,
            "notes": response.notes,
            "params": response.request.params,
            "metadata": provenance(response),
        }
        return cls(**{**shown, **look})

    @classmethod
    def failed(cls, error: BaseException, **look: Any) -> Card:
        """The card of an error: what happened, what to do, the provider's name of the request."""
        head, _, details = f"{type(error).__name__}: {getattr(error, 'message', error)}".partition("\n")
        lines = [head, details] if details else [head]
        if hint := getattr(error, "hint", ""):
            lines.append(f"→ {hint}")
        if request_id := getattr(error, "request_id", None):
            lines.append(f"request id: {request_id}")
        return cls(**{"state": "error", "error": tuple(lines), **look})

    @property
    def badge(self) -> str:
        """The word that says where the answer comes from or how it ended."""
        return self.source if self.state == "done" else self.state

    @property
    def facts(self) -> tuple[str, ...]:
        """What the footer says before the badge; what is not known is left out."""
        model = f"{self.model} (asked for {self.asked})" if self.model and self.asked not in ("", self.model) else self.model or self.asked
        about = "≈ " if self.cost_estimated or (self.usage is not None and self.usage.estimated) else ""
        params = (f"{name} {brief(value)}" for name, value in self.params.items() if value is not None)
        return tuple(f for f in (model, _tokens(self.usage), money(self.cost, about), _seconds(self.duration), *params, self.ending) if f)

    @property
    def ending(self) -> str:
        """What the reader must know about the answer's end; empty for a usual one."""
        if self.finish_reason in _USUAL_ENDINGS:
            return ""
        return _ENDINGS.get(str(self.finish_reason), f"finish reason: {self.finish_reason}")

    @property
    def remarks(self) -> tuple[str, ...]:
        """Lines below the text: a refusal, tools asked for, notes; and that there is no text at all."""
        lines = [f"refused: {self.refusal}"] if self.refusal else []
        lines += [f"tool call: {c.name}({c.arguments})" for c in self.tool_calls]
        if not (self.text or lines or self.error or self.state == "streaming"):
            lines.append("(no text)")
        return (*lines, *(f"note: {n}" for n in self.notes))


def bundle(card: Card) -> Bundle:
    """The MIME bundle of a card: ``text/html`` and ``text/plain``."""
    return pack(style() + whole(card), plain(card))


def plain(card: Card) -> str:
    """The card's twin in plain text: the answer as it was written, then what the card says about it."""
    waiting = _waiting(card) if card.state == "streaming" and not card.text else ""
    thought = f"(reasoning: {len(card.reasoning):,} characters, not shown here)" if card.reasoning else ""
    prompt = [f"[{heading(m, n)}]\n{said(m)}" for m, n in counted(card.prompt, card.prompt_tokens)]
    lines = (card.title, thought, card.text, waiting, *card.remarks, *card.error, footer(card), *prompt)
    return markup.printable("\n".join(line for line in lines if line))


def footer(card: Card) -> str:
    """The one line under an answer in plain text."""
    return markup.printable("-- " + " · ".join((*card.facts, card.badge))).replace("\n", " ")


def provenance(response: Response) -> dict[str, Any]:
    """Where an answer comes from, as plain JSON for ``output.metadata["tinyllm_magic"]``."""
    record, usage = response.record, response.usage
    facts = {
        "version": 1,
        "key": response.key,
        "provider": response.request.provider,
        "model_asked": response.request.model,
        "model": response.model,
        "params": response.request.canonical()["params"],
        "usage": None if usage is None else {name: getattr(usage, name) for name in Usage.__dataclass_fields__},
        "finish_reason": response.finish_reason,
        "source": response.source,
        "created": response.created,
        "duration": response.duration,
        "cost": response.cost,
        "package_version": record.version,
    }
    return {name: markup.storable(value) if isinstance(value, str) else value for name, value in facts.items()}


def table_bundle(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> Bundle:
    """A table with a title, and a remark below it."""
    rows = [tuple(row) for row in rows]
    note = f'<p class="tlm-note">{escape(caption)}</p>' if caption else ""
    page = f'<div class="tlm {QUIET}" style="{SKELETON}">{markup.table_html(columns, rows, title)}{note}</div>'
    text = markup.table_text(columns, rows)
    return pack(style() + page, markup.printable("\n".join(filter(None, (title, text, caption)))))


def grid_bundle(cards: Sequence[Card], *, title: str = "", articles: Sequence[str] | None = None) -> Bundle:
    """Cards side by side, as many in a row as fit; ``articles`` are their HTML where it is drawn already."""
    drawn = [whole(c) for c in cards] if articles is None else articles
    head = f'<p class="tlm-title {QUIET}">{escape(title)}</p>' if title else ""
    label = escape(title or f"{len(cards)} answers")
    ended = all(c.state != "streaming" for c in cards)
    answers = [(c.text, c.title or f"({n})") for n, c in enumerate(cards, 1) if ended and c.state == "done"]
    compared = [text for text, _ in answers], [name for _, name in answers]
    inner = f'{head}<div style="{_GRID}">{"".join(drawn)}</div>{contrast_html(*compared)}'
    page = f'<section class="tlm tlm-cards" style="{SKELETON}" aria-label="{label}">{inner}</section>'
    text = "\n\n".join([*(f"({number}) {plain(card)}" for number, card in enumerate(cards, 1)), markup.printable(contrast_text(*compared))])
    return pack(style() + page, "\n".join(filter(None, (markup.printable(title), text.rstrip("\n")))))


def progress_bundle(message: str, done: int, total: int, note: str = "") -> Bundle:
    """How far something has come; ``total`` 0 is unknown. ``note`` is a second line."""
    share = f" {done / total:.0%}" if total else ""
    bar = f'<progress max="{total}" value="{min(done, total)}"></progress>' if total else ""
    below = f'<p class="tlm-note">{escape(note)}</p>' if note else ""
    page = f'<div class="tlm {QUIET}" style="{SKELETON}"><label>{escape(message)} {bar}{share}</label>{below}</div>'
    return pack(style() + page, markup.printable(f"{message}{share}" + (f"\n{note}" if note else "")))


@dataclass(frozen=True)
class Entry:
    """One call of a history: when it was made, what was asked, and its card."""

    when: str
    prompt: str
    card: Card


def history_bundle(entries: Sequence[Entry], *, title: str = "History", first: int = 1, none: str = "No calls yet.") -> Bundle:
    """Calls, folded, newest first; ``entries`` come oldest first, ``first`` numbers the oldest, ``none`` stands where there is none."""
    numbered = [(n, e, " ".join(e.prompt.split())) for n, e in reversed(list(enumerate(entries, first)))]
    heads = [" · ".join((f"#{n}", e.when, e.card.model or e.card.asked, e.card.badge, _cut(asked, 70))) for n, e, asked in numbered]
    folds = (
        f"<details><summary>{escape(head)}</summary>{whole(e.card)}</details>" for head, (_, e, _) in zip(heads, numbered, strict=True)
    )
    empty = "" if numbered else f'<p class="tlm-note">{escape(none)}</p>'
    head = f'<p class="tlm-title">{escape(title)}</p>{empty}'
    page = f'<section class="tlm tlm-calls {QUIET}" style="{SKELETON}">{head}{"".join(folds)}</section>'
    return pack(style() + page, markup.printable("\n".join((title, *heads)) if heads else f"{title}\n{none}"))


@functools.cache
def style() -> str:
    """The ``<style>`` element that every output carries."""
    sheet = (Path(__file__).parent / "static" / "card.css").read_text(encoding="utf-8")
    short = re.sub(r"/[*].*?[*]/|(?<=[{;:,}])\s+|\s+(?=[{}])", "", sheet, flags=re.DOTALL)
    return f"<style>{short.strip()}</style>"


def money(dollars: float | None, about: str = "") -> str:
    """US dollars with as many decimals as they need; nothing when unknown.

    >>> money(0.0004), money(0.00000123), money(None)
    ('$0.0004', '$0.0000012', '')
    """
    if dollars is None:
        return ""
    decimals = 2 if dollars == 0 or dollars >= 1 else 4 if dollars >= 0.0001 else 1 - math.floor(math.log10(dollars))
    return f"{about}${dollars:.{decimals}f}"


def pack(html: str, text: str) -> Bundle:
    """HTML and plain text as a bundle that a notebook file can hold, and that holds no secret."""
    return {"text/html": mask_html(markup.storable(html)), "text/plain": mask(markup.storable(text))}


def whole(card: Card) -> str:
    """The card's HTML, highlighted and typeset."""
    return article(card, _body_of(card), _reasoning_of(card))


def _body_of(card: Card) -> str:
    return markup.render(card.text, card.format) if card.text else ""


def _reasoning_of(card: Card) -> str:
    return markup.render(card.reasoning, "text") if card.reasoning else ""


def article(card: Card, body: str, reasoning: str) -> str:
    """The card's HTML around a drawn body and reasoning; live and recorded differ in the badge alone."""
    streaming = card.state == "streaming"
    math_in = card.format == "markdown" and not streaming and markup.has_math(card.text)
    classes = " ".join(filter(None, ("tlm", f"tlm-{card.state}" if card.state in _STATES else "", "" if math_in else QUIET)))
    busy = ' aria-busy="true"' if streaming else ""
    label = f"Answer of {card.model or card.asked}" if card.state != "error" else "Error"
    label = f"{card.title}: {label}" if card.title else label
    opened = " open" if streaming and not card.text else ""
    parts = [f'<p class="tlm-title {QUIET}">{escape(card.title)}</p>'] if card.title else []
    if reasoning:
        parts.append(f'<details class="{QUIET}"{opened}><summary>reasoning</summary>{reasoning}</details>')
    if streaming and not card.text:
        parts.append(f'<p class="tlm-wait {QUIET}">{escape(_waiting(card))}</p>')
    parts.append(_region(card, body) if body else "")
    parts += [f'<p class="tlm-note {QUIET}">{escape(line)}</p>' for line in card.remarks]
    parts += [
        f'<p class="tlm-text {QUIET}">{f"<strong>{escape(line)}</strong>" if i == 0 else markup.with_code(line)}</p>'
        for i, line in enumerate(card.error)
    ]
    parts.append(_footer(card))
    if card.prompt:
        count = f" · {sum(card.prompt_tokens):,} tokens" if card.prompt_tokens else ""
        inner = messages_html(card.prompt, card.prompt_tokens)
        parts.append(f'<details class="{QUIET}"><summary>prompt{count}</summary>{inner}</details>')
    return f'<article class="{classes}" style="{SKELETON}" aria-label="{escape(label)}"{busy}>{"".join(parts)}</article>'


def _region(card: Card, body: str) -> str:
    """The body; a long one scrolls, by keyboard too, and shows its end while it grows."""
    if len(card.text) <= _LONG_TEXT and card.text.count("\n") <= _LONG_LINES:
        return f'<div class="tlm-body {QUIET}" dir="auto">{body}</div>'
    tail, inner = (" tlm-tail", f"<div>{body}</div>") if card.state == "streaming" else ("", body)
    keys = 'tabindex="0" role="region" aria-label="Long answer, scrolls" data-lm-suppress-shortcuts="true"'
    return f'<div class="tlm-body tlm-long{tail} {QUIET}" dir="auto" {keys}>{inner}</div>'


def _footer(card: Card) -> str:
    words = [f"<strong>{escape(f)}</strong>" if f == card.ending else escape(f) for f in card.facts]
    kind = card.badge if card.badge in ("live", "stopped", "error") else "other"
    words.append(f'<span class="tlm-badge tlm-badge-{kind}">{escape(card.badge)}</span>')
    return f'<footer class="tlm-foot {QUIET}">{" · ".join(words)}</footer>'


def messages_html(messages: Sequence[Message], tokens: Sequence[int], about: str = "", pieces: Sequence[Sequence[str] | None] = ()) -> str:
    """Messages with their roles and tokens; ``pieces`` are the texts of each message's tokens."""
    parts = []
    for i, (message, count) in enumerate(counted(messages, tokens)):
        cut = pieces[i] if i < len(pieces) else None
        cut = None if cut and mask("".join(cut)) != "".join(cut) else cut
        text = f'<pre class="tlm-said">{escape(said(message))}</pre>'
        parts.append(f'<p class="tlm-role">{escape(heading(message, count, about))}</p>{text}{_pieces(cut) if cut else ""}')
    return "".join(parts)


def _pieces(texts: Sequence[str]) -> str:
    """Tokens in alternating colours; the marks between them stay where style sheets are dropped."""
    spans = (f'<span class="tlm-token{" tlm-token-odd" * (i % 2)}">{escape(t)}</span>' for i, t in enumerate(texts))
    return f'<details><summary>cut into {len(texts):,} tokens</summary><pre class="tlm-said">{"┆".join(spans)}</pre></details>'


def counted(messages: Sequence[Message], tokens: Sequence[int]) -> list[tuple[Message, int | None]]:
    """Messages with their token counts, ``None`` where there is none."""
    return [(m, tokens[i] if i < len(tokens) else None) for i, m in enumerate(messages)]


def heading(message: Message, tokens: int | None, about: str = "") -> str:
    """A message's role, name and tokens."""
    who = f"{message.role} {message.name}" if message.name else message.role
    return who if tokens is None else f"{who} · {about}{int(tokens):,} tokens"


def said(message: Message) -> str:
    """A message as text; what is no text stands as a word, so that nothing is loaded."""
    parts = message.content if isinstance(message.content, tuple) else ({"text": message.content or ""},)
    lines = [str(p["text"]) if "text" in p else f"[{p.get('type', 'part')}]" for p in parts]
    calls = [c.get("function", {}) for c in message.tool_calls]
    return "\n".join([*lines, *(f"tool call: {c.get('name')}({c.get('arguments')})" for c in calls)]).strip("\n")


def room(total: int, window: int | None, max_tokens: int | None, about: str = "") -> str:
    """How much of a context window a prompt takes, and what is left; empty where the window is unknown."""
    if not window:
        return ""
    left = window - total
    text = f"{about}{total:,} of {window:,} tokens of the context window ({total / window:.1%})"
    text += f", {about}{left:,} left for the answer" if left > 0 else ", no room left for an answer"
    return f"{text}; max_tokens {max_tokens:,} does not fit" if max_tokens and max_tokens > left > 0 else text


def _waiting(card: Card) -> str:
    return f"… waiting for {card.model or card.asked or 'the answer'}"


def _tokens(usage: Usage | None) -> str:
    if usage is None:
        return ""
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
    thought = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    return f"{'≈ ' if usage.estimated else ''}{usage.prompt_tokens:,} in{cached} / {usage.completion_tokens:,} out{thought} tokens"


def _seconds(duration: float | None) -> str:
    if duration is None:
        return ""
    return (
        f"{duration:.2f} s"
        if duration < 0.1
        else f"{duration:.1f} s"
        if duration < 60
        else f"{duration // 60:.0f} min {duration % 60:.0f} s"
    )


def brief(value: object) -> str:
    """A parameter's value in few characters; 0.0 and 0 ask for the same and look the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _cut(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False), 40)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
