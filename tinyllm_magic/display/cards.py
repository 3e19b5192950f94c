"""The card of an answer or an error, as HTML and as plain text: no script, no widget, no request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from ..attachments.parts import find_files
from ..errors import ReplayMiss
from ..file_text import files_in, recorded_files_in
from ..frozen import copy_with
from ..messages import Message
from ..redaction import mask, mask_data
from ..responses import TRAINED_MEDIA, Response, ToolCall, Usage
from ..text_format import format_money, printable
from . import markup
from .bundle import SKELETON, Bundle, format_value, pack
from .html_tables import NOTHING, draw_value
from .html_text import NO_MATH, escape, mark_code, replace_surrogates
from .reasoning import draw_reasoning
from .steps import CardStep, describe_steps, draw_step, list_faults, write_steps

_STATES = ("streaming", "done", "stopped", "error")
_ENDINGS = {"length": "cut at max_tokens", "content_filter": "cut by the content filter"}
_USUAL_ENDINGS = ("stop", "tool_calls", "function_call", None, "")
_LARGEST_THUMBNAIL = 8192  # a store that somebody else wrote may hold anything
_THUMBNAIL = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+=*")
_LONG_LINES, _LONG_TEXT = 60, 6000


@dataclass(frozen=True)
class Card:
    """Everything one card shows.

    ``format`` is one of ``formats.FORMATS``, ``state`` ``streaming``, ``done``, ``stopped`` or
    ``error``, ``source`` ``live`` or ``recorded``; ``value`` the checked value as plain data, shown in place of the
    text, which is folded; ``steps`` the requests before the last, folded; ``cost`` US dollars and ``duration`` seconds
    of the live call, ``None`` when unknown; ``params`` the parameters sent; ``prompt`` the
    messages to show folded, with ``prompt_tokens`` for each; ``error`` the lines of an error;
    ``metadata`` goes into the output's metadata; ``images`` are thumbnails as data URLs, each with the image in words;
    ``told`` are facts that stand beside the card already; ``about_session`` is what a reader of the session's first card wants to
    know of it, a headline and sentences, folded.
    """

    text: str = ""
    images: tuple[tuple[str, str], ...] = ()
    format: str = "markdown"
    value: Any = NOTHING
    steps: tuple[CardStep, ...] = ()
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
    told: tuple[str, ...] = ()
    about_session: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take secrets out of all that is drawn, before Markdown, a highlighter or a cut tears one apart."""
        held = vars(self)
        held.update(mask_data({name: value for name, value in held.items() if value is not _DEFAULTS[name]}))

    def grown(self, text: str, reasoning: str) -> Card:
        """The same card with what has arrived; all else of it is without secrets already."""
        return copy_with(self, text=mask(text), reasoning=mask(reasoning))

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
            "steps": describe_steps(response.steps),
            "metadata": _list_provenance(response),
            "images": pair_with_thumbnails(response.request.messages, response.record.thumbnails),
        }
        if response.schema is not None and look.get("format", "markdown") == "markdown":
            shown["value"] = mask_data(response.schema.to_plain(response.parsed))
        return cls(**{**shown, **look})

    @classmethod
    def failed(cls, error: BaseException, told: BaseException | None = None, **look: Any) -> Card:
        """The card of an error: what happened, what to do, the provider's name of the request.

        ``told`` is the error that the cell ends with, which its front end shows below the card: the same words do not stand twice.
        """
        lines = () if told is not None and says_same(told, error) else _describe_error(error)
        kept = {"state": "error", "error": lines, **look}
        response = getattr(error, "response", None)  # what was answered, though it does not fit
        return cls(**kept) if response is None else cls.of(response, **kept)

    @property
    def says_nothing(self) -> bool:
        """Whether this is the card of a call that failed before anything had come of it, and its error is told elsewhere."""
        said = (self.text, self.title, self.reasoning, self.steps, self.images, self.error, self.prompt, self.remarks)
        return self.state == "error" and not any(said)

    @cached_property
    def drawn(self) -> Bundle:
        """``text/html`` and ``text/plain``, drawn once, for who only reads them."""
        return pack(draw_card(self), write_card(self))

    @property
    def badge(self) -> str:
        """The word that says where the answer comes from or how it ended."""
        return self.source if self.state == "done" else self.state

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """What the footer says before the badge; what is not known, or told beside the card, is left out."""
        about = "≈ " if self.cost_estimated or (self.usage is not None and self.usage.estimated) else ""
        model, *params = self.settings
        took = (_format_tokens(self.usage), format_money(self.cost, about), _format_seconds(self.duration))
        shown = [fact for fact in (model, *took, *params) if fact not in self.told]
        return tuple(filter(None, (*shown, self.ending)))

    @property
    def settings(self) -> tuple[str, ...]:
        """The model, and the parameters that were sent, in words."""
        model = f"{self.model} (asked for {self.asked})" if self.model and self.asked not in ("", self.model) else self.model or self.asked
        return (model, *(f"{name} {format_value(value)}" for name, value in self.params.items() if value is not None))

    @property
    def ending(self) -> str:
        """What the reader must know about the answer's end; empty for a usual one."""
        if self.finish_reason in _USUAL_ENDINGS:
            return ""
        return _ENDINGS.get(str(self.finish_reason), f"finish reason: {self.finish_reason}")

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """Lines below the text: a refusal, tools asked for, notes; and that there is no text at all."""
        lines = [f"refused: {self.refusal}"] if self.refusal else []
        lines += [f"tool call: {c.name}({c.arguments})" for c in self.tool_calls]
        if not (self.text or lines or self.state in ("streaming", "error")):
            lines.append("(no text)")
        return (*lines, *list_faults(self.steps), *(f"note: {n}" for n in self.notes))


_DEFAULTS = {f.name: f.default for f in fields(Card)}


def says_same(told: BaseException, error: BaseException) -> bool:
    """Whether who reads of one error needs no word on the other: misses of a replay differ in keys alone, others in requests' ids."""
    if isinstance(told, ReplayMiss) and isinstance(error, ReplayMiss):
        return True
    one, other = (_headline(e).replace(str(getattr(e, "request_id", None)), "") for e in (told, error))
    return one == other


def _headline(error: BaseException) -> str:
    return f"{type(error).__name__}: {getattr(error, 'message', error)}".partition("\n")[0]


def _describe_error(error: BaseException) -> tuple[str, ...]:
    head, details = _headline(error), str(getattr(error, "message", error)).partition("\n")[2]
    hint, request_id = getattr(error, "hint", ""), getattr(error, "request_id", None)
    return tuple(filter(None, (head, details, f"→ {hint}" if hint else "", f"request id: {request_id}" if request_id else "")))


def bundle_card(card: Card) -> Bundle:
    """The MIME bundle of a card: ``text/html`` and ``text/plain``."""
    return dict(card.drawn)


def write_card(card: Card) -> str:
    """The card's twin in plain text: the answer as it was written, then what the card says about it."""
    waiting = _describe_waiting(card) if card.state == "streaming" and not card.text else ""
    thought = f"(reasoning: {len(card.reasoning):,} characters, not shown here)" if card.reasoning else ""
    prompt = [f"[{write_heading(m, n)}]\n{write_message(m)}" for m, n in pair_with_tokens(card.prompt, card.prompt_tokens)]
    images = " ".join(f"[{title}]" for _, title in card.images)
    lines = (
        card.title,
        images,
        thought,
        *write_steps(card.steps),
        card.text,
        waiting,
        *card.remarks,
        *card.error,
        write_footer(card),
        *prompt,
    )
    return printable("\n".join(line for line in lines if line))


def write_footer(card: Card) -> str:
    """The one line under an answer in plain text."""
    return printable("-- " + " · ".join((*card.facts, card.badge))).replace("\n", " ")


def describe_provenance(response: Response) -> dict[str, Any]:
    """An answer and where it comes from, as plain JSON for ``output.metadata["tinyllm_magic"]``; what it lacks is left out."""
    masked: dict[str, Any] = mask_data(_list_provenance(response))
    return masked


def _list_provenance(response: Response) -> dict[str, Any]:
    record, usage = response.record, response.usage
    calls = [[call.name, replace_surrogates(call.arguments)] for call in response.tool_calls]
    said = {"answer": response.text, "refusal": record.answer.refusal, "tool_calls": calls}
    facts = {
        "version": 1,
        **{name: value for name, value in said.items() if value},
        "key": response.key,
        "provider": response.request.provider,
        "model_asked": response.request.model,
        "model": response.model,
        "params": dict(response.request.form["params"]),
        "usage": None if usage is None else {name: getattr(usage, name) for name in Usage.__dataclass_fields__},
        "finish_reason": response.finish_reason,
        "source": response.source,
        "created": response.created,
        "duration": response.duration,
        "cost": response.cost,
        "package_version": record.version,
        **describe_source(response.request.provider),
        **({"steps": [step.response.key for step in response.steps]} if response.steps else {}),
    }
    return {name: replace_surrogates(value) if isinstance(value, str) else value for name, value in facts.items()}


def describe_source(provider: str) -> dict[str, str]:
    """What marks an answer as written by a trained model, for machines that look for it; nothing for the echo, which is none."""
    return {} if provider == "echo" else {"digitalSourceType": TRAINED_MEDIA}


def draw_source(facts: Mapping[str, Any]) -> tuple[str, str]:
    """The same in markup, as schema.org's microdata: attributes of the element that holds the answer, and what stands in it."""
    source = facts.get("digitalSourceType")
    if not source:
        return "", ""
    return ' itemscope itemtype="https://schema.org/CreativeWork"', f'<data itemprop="digitalSourceType" value="{escape(source)}"></data>'


def draw_card(card: Card) -> str:
    """The card's HTML, highlighted and typeset."""
    return draw_article(card, _draw_body(card), markup.render(card.reasoning, "markdown") if card.reasoning else "")


def _draw_body(card: Card) -> str:
    if card.value is not NOTHING:
        return f"{draw_value(card.value)}<details><summary>JSON</summary>{markup.render(card.text, 'json')}</details>"
    return markup.render(card.text, card.format) if card.text else ""


def draw_article(card: Card, body: str, reasoning: str) -> str:
    """The card's HTML around a drawn body and reasoning; live and recorded differ in the badge alone."""
    streaming = card.state == "streaming"
    math_in = not streaming and markup.has_math(body)
    classes = " ".join(filter(None, ("tlm", f"tlm-{card.state}" if card.state in _STATES else "", "" if math_in else NO_MATH)))
    busy = ' aria-busy="true"' if streaming else ""
    label = f"Answer of {card.model or card.asked}" if card.state != "error" else "Error"
    label = f"{card.title}: {label}" if card.title else label
    parts = [f'<p class="tlm-title {NO_MATH}">{escape(card.title)}</p>'] if card.title else []
    if card.images:
        parts.append(draw_images(card.images))
    parts.append(draw_reasoning(reasoning, growing=streaming and not card.text))
    if streaming and not card.text:
        parts.append(f'<p class="tlm-wait {NO_MATH}">{escape(_describe_waiting(card))}</p>')
    parts.append(_draw_region(card, body) if body else "")
    parts += [f'<p class="tlm-note {NO_MATH}">{escape(line)}</p>' for line in card.remarks]
    parts += [draw_step(number, step) for number, step in enumerate(card.steps, 1)]
    parts += [
        f'<p class="tlm-text {NO_MATH}">{f"<strong>{escape(line)}</strong>" if i == 0 else mark_code(line)}</p>'
        for i, line in enumerate(card.error)
    ]
    parts.append(_draw_footer(card))
    if card.about_session:
        parts.append(_draw_about_session(*card.about_session))
    if card.prompt:
        count = f" · {sum(card.prompt_tokens):,} tokens" if card.prompt_tokens else ""
        inner = draw_messages(card.prompt, card.prompt_tokens)
        parts.append(f'<details class="tlm-asked {NO_MATH}"><summary>prompt{count}</summary>{inner}</details>')
    marks, source = draw_source(card.metadata)
    return f'<article class="{classes}" style="{SKELETON}" aria-label="{escape(label)}"{busy}{marks}>{source}{"".join(parts)}</article>'


def _draw_about_session(headline: str, *sentences: str) -> str:
    inner = "".join(f'<p class="tlm-note">{mark_code(line)}</p>' for line in sentences)
    return f'<details class="{NO_MATH}"><summary>{escape(headline)}</summary>{inner}</details>'


def pair_with_thumbnails(messages: Sequence[Message], thumbnails: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Each image of messages once: its thumbnail, "" where there is none that may be shown, and the image in words."""
    images = {file.facts.digest: file.facts.title for file in find_files(messages) if file.facts.width}
    return _choose_thumbnails(images, thumbnails)


def pair_recorded(messages: Sequence[Message], thumbnails: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The same for the messages of a record, which holds no file: the images that it has a thumbnail of."""
    parts = (part for m in messages if isinstance(m.content, tuple) for part in m.content)
    images = {digest: title for part in parts for digest, title in recorded_files_in(part) if digest in thumbnails}
    return _choose_thumbnails(images, thumbnails)


def _choose_thumbnails(images: Mapping[str, str], thumbnails: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    found = ((thumbnails.get(digest, ""), title) for digest, title in images.items())
    return tuple((url if len(url) < _LARGEST_THUMBNAIL and _THUMBNAIL.fullmatch(url) else "", title) for url, title in found)


def draw_images(images: Sequence[tuple[str, str]]) -> str:
    """The images of a question, small; they stand in the page itself, so that nothing is loaded."""
    drawn = (
        f'<img src="{url}" alt="{escape(title)}" title="{escape(title)}">' if url else f"<span>[{escape(title)}]</span>"
        for url, title in images
    )
    return f'<p class="tlm-images {NO_MATH}">{" ".join(drawn)}</p>'


def _draw_region(card: Card, body: str) -> str:
    """The body; a long one scrolls, by keyboard too, is shown whole where that is wanted, and shows its end while it grows."""
    if len(card.text) <= _LONG_TEXT and card.text.count("\n") <= _LONG_LINES:
        return f'<div class="tlm-body {NO_MATH}" dir="auto">{body}</div>'
    tail, inner = (" tlm-tail", f"<div>{body}</div>") if card.state == "streaming" else ("", body)
    keys = 'tabindex="0" role="region" aria-label="Long answer, scrolls" data-lm-suppress-shortcuts="true"'
    lines = card.text.count("\n") + 1
    words = f"show all {lines:,} lines" if lines > 1 else "show all"
    rest = "" if tail else f'<details class="tlm-all {NO_MATH}"><summary>{words}</summary></details>'
    return f'<div class="tlm-body tlm-long{tail} {NO_MATH}" dir="auto" {keys}>{inner}</div>{rest}'


def _draw_footer(card: Card) -> str:
    words = [f"<strong>{escape(f)}</strong>" if f == card.ending else escape(f) for f in card.facts]
    kind = card.badge if card.badge in ("live", "stopped", "error") else "other"
    words.append(f'<span class="tlm-badge tlm-badge-{kind}">{escape(card.badge)}</span>')
    return f'<footer class="tlm-foot {NO_MATH}">{" · ".join(words)}</footer>'


def draw_messages(messages: Sequence[Message], tokens: Sequence[int], about: str = "", pieces: Sequence[Sequence[str] | None] = ()) -> str:
    """Messages with their roles and tokens; ``pieces`` are the texts of each message's tokens."""
    parts = []
    for i, (message, count) in enumerate(pair_with_tokens(messages, tokens)):
        cut = pieces[i] if i < len(pieces) else None
        cut = None if cut and mask("".join(cut)) != "".join(cut) else cut
        text = f'<pre class="tlm-said" dir="auto">{escape(write_message(message))}</pre>'
        parts.append(f'<p class="tlm-role">{escape(write_heading(message, count, about))}</p>{text}{_draw_pieces(cut) if cut else ""}')
    return "".join(parts)


def _draw_pieces(texts: Sequence[str]) -> str:
    """Tokens in alternating colours; the marks between them stay where style sheets are dropped."""
    spans = (f'<span class="tlm-token{" tlm-token-odd" * (i % 2)}">{escape(t)}</span>' for i, t in enumerate(texts))
    return f'<details><summary>cut into {len(texts):,} tokens</summary><pre class="tlm-said">{"┆".join(spans)}</pre></details>'


def pair_with_tokens(messages: Sequence[Message], tokens: Sequence[int]) -> list[tuple[Message, int | None]]:
    """Messages with their token counts, ``None`` where there is none."""
    return [(m, tokens[i] if i < len(tokens) else None) for i, m in enumerate(messages)]


def write_heading(message: Message, tokens: int | None, about: str = "") -> str:
    """A message's role, name and tokens."""
    who = f"{message.role} {message.name}" if message.name else message.role
    return who if tokens is None else f"{who} · {about}{int(tokens):,} tokens"


def write_message(message: Message) -> str:
    """A message as text; what is no text stands as a word, so that nothing is loaded."""
    parts = message.content if isinstance(message.content, tuple) else ({"text": message.content or ""},)
    lines = [p["text"] if isinstance(p.get("text"), str) else _name_part(p) for p in parts]
    calls = [c.get("function", {}) for c in message.tool_calls]
    return "\n".join([*lines, *(f"tool call: {c.get('name')}({c.get('arguments')})" for c in calls)]).strip("\n")


def _name_part(part: Mapping[str, Any]) -> str:
    """A part that is no text, in brackets: what file it is, or what type of part."""
    titles = [file.facts.title for file in files_in(part)] or [title for _, title in recorded_files_in(part)]
    return "".join(f"[{title}]" for title in titles) or f"[{part.get('type', 'part')}]"


def _describe_waiting(card: Card) -> str:
    who = card.model or card.asked
    return f"… {who or 'the model'} is thinking" if card.reasoning else f"… waiting for {who or 'the answer'}"


def _format_tokens(usage: Usage | None) -> str:
    if usage is None:
        return ""
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
    thought = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    return f"{'≈ ' if usage.estimated else ''}{usage.prompt_tokens:,} in{cached} / {usage.completion_tokens:,} out{thought} tokens"


def _format_seconds(duration: float | None) -> str:
    if duration is None:
        return ""
    return (
        f"{duration:.2f} s"
        if duration < 0.1
        else f"{duration:.1f} s"
        if duration < 60
        else f"{duration // 60:.0f} min {duration % 60:.0f} s"
    )
