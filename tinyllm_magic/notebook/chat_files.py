"""Writes a conversation to a file: a template that asks the same as its last turn, or Markdown to read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ..clients.call import LLMCall
from ..clients.chats import Chat, Turn
from ..display.cards import write_message
from ..errors import OptionError
from ..files import replace_whole
from ..messages import follow
from ..prompts.loader import TEMPLATE_SUFFIXES, is_prompty
from ..prompts.role_blocks import write_role_blocks

_MARKDOWN = (".md", ".markdown")


def export(chat: Chat, file: str) -> Path:
    """Write a conversation to a file and return its path; its name says as what.

    ``.j2`` and its kin ask what the last turn asked, ``.prompty`` the model and parameters too, ``.md`` is the conversation
    with its answers. Raises ``OptionError`` for another name, for an empty conversation, and where the file cannot be written.
    """
    path, turns = Path(file), chat.turns
    if not turns:
        raise OptionError(f"the conversation '{chat.name}' has no turn", option="export")
    if path.suffix not in (*TEMPLATE_SUFFIXES, *_MARKDOWN):
        hint = f"A template ends in {', '.join(TEMPLATE_SUFFIXES)}, Markdown in {' or '.join(_MARKDOWN)}."
        raise OptionError(f"'{file}' does not say what to write", option="export", hint=hint)
    try:
        if is_prompty(file):
            return _write_prompty(path, turns[-1])
        text = "\n".join(_write_markdown(chat.name, turns)) if path.suffix in _MARKDOWN else _write_template(turns[-1])
        replace_whole(Path(os.path.realpath(path)), [text.encode()])
    except (OSError, UnicodeEncodeError) as error:
        raise OptionError(f"'{file}' cannot be written: {getattr(error, 'strerror', None) or error}", option="export") from error
    return path


def _write_template(turn: Turn) -> str:
    return write_role_blocks(follow(turn.context.history, turn.prompt))


def _write_prompty(path: Path, turn: Turn) -> Path:
    return LLMCall.from_text(_write_template(turn), **turn.response.call.model_params).to_prompty(path)


def _write_markdown(name: str, turns: tuple[Turn, ...]) -> Iterator[str]:
    yield f"# {name}\n"
    for number, turn in enumerate(turns, 1):
        yield f"## Turn {number}{' (stale)' if turn.stale else ''}\n"
        for message in (*turn.prompt, *turn.replies):
            who = f"{message.role} ({turn.response.model})" if message is turn.replies[-1] else message.role
            yield f"**{who}**\n\n{write_message(message)}\n"
