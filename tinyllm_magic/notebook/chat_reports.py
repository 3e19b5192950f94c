"""Does what a line of ``%llm_chat`` says, and makes the table that it shows."""

from __future__ import annotations

from collections.abc import Sequence

from ..clients.chats import DEFAULT, Chat, Turn, count_turns, list_chats
from ..display import tables
from ..display.bundle import Bundle
from ..errors import OptionError, near, suggest
from ..redaction import excerpt
from . import chat_files, chat_turns
from .chat_turns import WORDS


def manage_chat(words: Sequence[str]) -> Bundle:
    """Do what the words say, and show what there is then."""
    name, word, rest = _read_words(words)
    if word == "list":
        return _list_chats()
    chat = _find_chat(name)
    if word == "fork":
        at = _read_number(rest[2]) if rest[1:] else None
        return _show_turns(chat.fork(rest[0], at), f"begun with {count_turns(at or len(chat.turns))} of '{name}', which stays as it is")
    if word == "undo":
        return _show_turns(chat, f"turn {len(chat.turns)} was taken away: {excerpt(chat.undo().text, 80)}")
    if word == "export":
        return _show_turns(chat, f"written to {chat_files.export(chat, rest[0])}")
    if word == "drop":
        chat.drop()
        return _list_chats(f"'{name}' is forgotten; its answers stay recorded")
    return _show_turns(chat)


def _read_words(words: Sequence[str]) -> tuple[str, str, Sequence[str]]:
    """The conversation that a line names, the word that says what to do, and what follows it."""
    name, rest = (words[0], words[1:]) if words and words[0] not in WORDS else (DEFAULT, words)
    word, *rest = rest or (["show"] if words or _has_turns(DEFAULT) else ["list"])
    if word not in WORDS:
        hint = suggest(near(word, WORDS)) or f"Words are {', '.join(WORDS)}."
        raise OptionError(f"%llm_chat: unknown word '{word}'", option=word, hint=hint)
    fits = {"fork": len(rest) == 1 or (len(rest) == 3 and rest[1] == "--at"), "export": len(rest) == 1}.get(word, not rest)
    if not fits:
        wanted = f"%llm_chat [NAME] {word} {WORDS[word]}".rstrip()
        raise OptionError(f"%llm_chat {word} takes {WORDS[word] or 'no argument'}", option=word, hint=f"Write `{wanted}`.")
    return name, word, rest


def _has_turns(name: str) -> bool:
    """Whether a conversation has a turn."""
    return any(chat.name == name for chat in list_chats())


def _find_chat(name: str) -> Chat:
    """The conversation of this name; one without a turn is none."""
    if _has_turns(name):
        return Chat(name)
    names = [chat.name for chat in list_chats()]
    hint = suggest(near(name, [*names, *WORDS])) or (f"There are {', '.join(names)}." if names else "`%%llm --chat` begins one.")
    raise OptionError(f"there is no conversation '{name}' in this session", option=name, hint=hint)


def _read_number(text: str) -> int:
    if not text.isdigit():
        raise OptionError(f"--at takes the number of a turn, not '{text}'", option="--at")
    return int(text)


def _show_turns(chat: Chat, done: str = "") -> Bundle:
    """The turns of a conversation, each with its cell."""
    numbers = chat_turns.number_cells()
    elsewhere = "not in the saved notebook" if numbers else ""
    rows = [_describe_turn(k, turn, numbers.get(turn.cell.id, elsewhere)) for k, turn in enumerate(chat.turns, 1)]
    stale = [str(k) for k, turn in enumerate(chat.turns, 1) if turn.stale]
    again = f"stale: turn {', '.join(stale)}; run the cells again, in order" if stale else ""
    columns = ("turn", "cell", "asked", "answered", "model", "from", "")
    return tables.bundle_table(f"Conversation {chat.name}", columns, rows, caption="; ".join(filter(None, (done, again))))


def _describe_turn(number: int, turn: Turn, cell: str) -> tuple[object, ...]:
    response = turn.response
    where = (cell or f"id {turn.cell.id[-8:]}") if turn.cell.id else ""
    state = "stale" if turn.stale else ""
    return number, where, excerpt(turn.text, 80), excerpt(turn.answer, 80), response.model, response.source, state


def _list_chats(done: str = "") -> Bundle:
    """The conversations of this session."""
    rows = [
        (chat.name, len(chat.turns), sum(t.stale for t in chat.turns), chat.turns[0].model, excerpt(chat.turns[-1].text, 80))
        for chat in list_chats()
    ]
    return tables.bundle_table("Conversations", ("name", "turns", "stale", "model", "asked last"), rows, caption=done)
