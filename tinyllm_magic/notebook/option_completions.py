"""What may stand on the line of a magic: options, and the values that an option takes, each with a word on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..display.formats import FORMATS
from ..models.efforts import EFFORTS
from . import inspection
from .options import FLAGS, MODES, OPTIONS
from .template_files import list_template_files

if TYPE_CHECKING:
    from ..clients.model_list import Offer

_FORMATS = {
    "markdown": "the answer's Markdown, drawn",
    "text": "as it was written",
    "json": "as JSON, in colour",
    "code": "as code",
    "html": "as HTML, without what could run",
}
_MODES = {
    "auto": "answer from the store, else ask and record",
    "replay": "answer from the store alone",
    "refresh": "always ask, and record",
    "off": "always ask, record nothing",
}
_CACHE = {
    "stats": "what the store holds",
    "list": "every record, the newest first",
    "show": "one record: show KEY",
    "use": "another store: use PATH",
    "mode": "auto, replay, refresh or off",
    "tidy": "sort, without duplicates and damaged lines",
    "clear": "move every record away",
}
_CHAT = {
    "show": "the turns, each with its cell",
    "list": "all conversations",
    "fork": "another conversation with the turns so far: fork NEW [--at K]",
    "undo": "take the last turn away",
    "drop": "forget the conversation",
    "export": "a template file that asks the same, or Markdown: export FILE",
}
_BATCH = {
    "list": "every batch, and how far it has come",
    "fetch": "record the answers of all that have ended",
    "cancel": "end one: cancel [BATCH|all]",
}
_CONFIG = {"--reset": "forget this session's choices", "trust": "let endpoints that files of this folder name have your keys"}
_PARAMS = {
    "stop": "end the answer before this text",
    "n": "several answers to one request",
    "response_format": "a JSON schema",
    "logprobs": "probabilities of the tokens",
    "reasoning_effort": "how much a reasoning model thinks: low, medium, high",
    "extra_body": "parameters of one vendor, as JSON",
}


@dataclass(frozen=True)
class Line:
    """A line of a magic up to the cursor: its words so far, the word at the cursor, and what values may be taken from."""

    words: Sequence[str]
    word: str
    variables: Mapping[str, Any]
    folders: Sequence[Path]


def complete_options(line: Line) -> tuple[str, dict[str, str]]:
    """The fragment at the cursor of a ``%%llm`` or ``%llm`` line, and what completes it: a value of the option before it, or an option."""
    flag, sign, attached = line.word.partition("=")
    option = FLAGS.get(flag) if sign else FLAGS.get(line.words[-1]) if line.words else None
    if option is None or not option.takes_value:
        if sign or (line.word and not line.word.startswith("-")):
            return line.word, {}
        return line.word, {f: o.help for o in OPTIONS for f in o.flags if f.startswith(line.word)}
    value = attached if sign else line.word
    if option.may_stand_alone and value.startswith("-"):
        return value, {f: o.help for o in OPTIONS for f in o.flags if f.startswith(value)}
    fragment = value.rpartition(",")[2] if option.dest == "compare" else value
    offer = _VALUES.get(option.flags[0]) or _VALUES.get(option.dest)
    words = offer(line) if offer is not None else {}
    return fragment, {w: about for w, about in words.items() if w.startswith(fragment)}


def complete_config() -> dict[str, str]:
    """The words of ``%llm_config``."""
    from ..settings.definitions import SETTINGS

    return {**{f"{s.name}=": s.doc for s in SETTINGS.values()}, **_CONFIG}


def complete_chat(line: Line) -> dict[str, str]:
    """The words of ``%llm_chat``: conversations, and what may be done with one."""
    return _CHAT if line.words and line.words[0] in _chats() else {**_CHAT, **_chats()}


def _chats() -> dict[str, str]:
    """The conversations of this session, each with its number of turns."""
    from ..clients.chats import count_turns, list_chats

    return {chat.name: count_turns(len(chat.turns)) for chat in list_chats()}


def complete_report() -> dict[str, str]:
    """The notebooks of the working directory."""
    return {path.name: "a notebook" for path in sorted(Path.cwd().glob("*.ipynb"))}


def complete_batch(line: Line) -> dict[str, str]:
    """The words of ``%llm_batch``; after ``cancel`` the batches under way, as this notebook's file knows them."""
    if not line.words:
        return _BATCH
    if line.words != ["cancel"]:
        return {}
    from ..batch.job_state import JobFile
    from ..clients.sessions import session
    from ..errors import TinyLLMError

    try:
        jobs = JobFile(session.store(session.settings()).path).read()
    except TinyLLMError:
        return {}
    found = {job.batch: f"{job.requests:,} requests to {job.model}" for job in jobs if job.batch is not None and not job.fetched}
    return {**found, "all": "all that are under way"} if found else {}


def complete_cache(line: Line) -> dict[str, str]:
    """The words of ``%llm_cache``."""
    return _MODES if line.words and line.words[-1] == "mode" else _CACHE


def models() -> dict[str, str]:
    """What may be asked, each with its context window and what it wants; models that failed in this session are not offered.

    No server is asked for its models: those that ``%llm_models`` has found last are offered.
    """
    from ..clients.model_list import list_offers
    from ..clients.sessions import session
    from ..providers.local_servers import last_served

    current = session.settings()
    offers = list_offers(session, current, os.environ, last_served())
    return {o.name: _describe_offer(o) for o in offers if o.name in current.models or not o.state.startswith("failed")}


def _describe_offer(offer: Offer) -> str:
    from ..models import pricing

    if offer.vendor is not None:
        return f"a model of {offer.vendor.title}, {'no key needed' if offer.vendor.local else f'key {offer.state}'}"
    window = pricing.window(offer.route.model) if offer.route is not None else None
    state = offer.state if offer.route is None or offer.state.startswith(("failed", "wants")) else f"key {offer.state}"
    return ", ".join(filter(None, (f"{window:,} tokens" if window else "", state)))


def _params(line: Line) -> dict[str, str]:
    """The parameters of the line's model, with the `=` that follows them."""
    from ..clients.sessions import session
    from ..errors import ConfigError
    from ..providers.chat_format import PARAMETERS
    from ..settings.definitions import BY_NAME

    try:
        facts = session.route(_named_after(line, ("-m", "--model")), session.settings()).facts
        known, refused = PARAMETERS | facts.params, facts.refuses
    except ConfigError:
        known, refused = PARAMETERS, frozenset()
    names = sorted(known - refused - {"messages", "model", "stream"}, key=lambda n: (n not in BY_NAME, n not in _PARAMS, n))
    return {f"{n}=": BY_NAME[n].doc if n in BY_NAME else _PARAMS.get(n, "") for n in names}


def _named_after(line: Line, flags: Sequence[str]) -> str | None:
    """The value that one of these flags has on a line."""
    for flag, value in zip(line.words, line.words[1:], strict=False):
        if flag in flags:
            return value
    attached = [value for flag, _, value in (w.partition("=") for w in line.words) if flag in flags and value]
    return attached[-1] if attached else None


def _values_having(line: Line, holds: Callable[[Any], bool]) -> dict[str, str]:
    return {n: inspection.describe(v) for n, v in sorted(line.variables.items()) if not n.startswith("_") and holds(v)}


_VALUES: Mapping[str, Callable[[Line], Mapping[str, str]]] = {
    "model": lambda _line: models(),
    "compare": lambda _line: models(),
    "template": lambda line: list_template_files(line.folders),
    "map": lambda line: _values_having(line, inspection.is_table),
    "expect": lambda line: inspection.columns(line.variables.get(_named_after(line, ("--map",)) or "")),
    "schema": lambda line: _values_having(line, lambda v: isinstance(v, type)),
    "tools": lambda line: _values_having(line, inspection.is_function),
    "chat": lambda _line: _chats(),
    "--effort": lambda _line: dict.fromkeys(EFFORTS, "how much the model thinks"),
    "-p": _params,
    "grid": _params,
    "format": lambda _line: {name: _FORMATS[name] for name in FORMATS},
    "mode": lambda _line: {name: _MODES[name] for name in MODES},
}
"""What completes the value of an option, by its first flag or the field it sets."""
