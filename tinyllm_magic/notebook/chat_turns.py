"""Prepares the turn of a conversation that a cell asks, and says where the order of the notebook and of its turns differ."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..clients.call import LLMCall
from ..clients.chats import Chat, NextTurn
from ..clients.environment import notebook_path
from ..errors import OptionError
from ..text_format import name_sample
from .options import Options, Scanner

WORDS: Mapping[str, str] = {"show": "", "list": "", "fork": "NEW [--at K]", "undo": "", "drop": "", "export": "FILE"}
"""What ``%llm_chat`` may do with a conversation, and what follows the word."""
_MAGIC = re.compile(r"\A\s*%%llm(?=\s|\Z)([^\n]*)")
_LONGEST = 50_000_000  # bytes of a notebook that is read for the order of its cells


def prepare_turn(chosen: Options, call: LLMCall) -> NextTurn | None:
    """The turn that a cell asks, with what its reader must know; ``None`` for a cell of no conversation."""
    if chosen.chat is None:
        if chosen.keep is not None:
            raise OptionError("--keep goes with --chat: it says how many turns of a conversation are sent", option="--keep")
        return None
    if chosen.asks_many:
        raise OptionError(
            "--chat asks one turn after the other: it does not go with --map, --compare or --grid",
            option="--chat",
            hint="-n draws several answers to a turn; `%llm_chat fork NEW` begins another conversation to compare with.",
        )
    if chosen.chat in WORDS:
        raise OptionError(f"--chat: '{chosen.chat}' is a word of %llm_chat, and no name of a conversation", option="--chat")
    turn = Chat(chosen.chat).prepare(call, keep=chosen.keep)
    notes = [*_describe_order(turn), *([f"the conversation goes on with {name_sample(0)}"] if (chosen.samples or 1) > 1 else [])]
    return replace(turn, prepared=turn.prepared.with_notes(notes))


def number_cells() -> dict[str, str]:
    """Where the cells of the saved notebook stand, in words, by their ids; empty where the front end does not tell which it is."""
    return {cell_id: f"code cell {number}" for number, (cell_id, _) in enumerate(_read_cells(notebook_path()), 1)}


def _describe_order(turn: NextTurn) -> list[str]:
    """How the turns differ from the order of the cells in the saved notebook, where the front end tells which that is."""
    cells = _read_cells(notebook_path()) if turn.cell.id else []
    ids = [cell_id for cell_id, _ in cells]
    if turn.cell.id not in ids:
        return []
    here, name = ids.index(turn.cell.id), turn.chat.name
    before = turn.chat.read_turns(turn.cell)[: turn.number - 1]
    asked = {t.cell.id for t in before}
    waiting = [k for k, (cell_id, chat) in enumerate(cells[:here], 1) if chat == name and cell_id not in asked]
    below = [str(k) for k, t in enumerate(before, 1) if t.cell.id in ids[here + 1 :]]
    notes = [
        f"code cell {k}, above this one, is a turn of '{name}' too and was not sent: it has not been run, or after this one"
        for k in waiting
    ]
    if below:
        notes.append(f"sent before this turn, but its cell stands below: turn {', '.join(below)}")
    return [f"{note}; running all cells in order gives another conversation" for note in notes]


def _read_cells(path: Path | None) -> list[tuple[str, str | None]]:
    """The code cells of a saved notebook: their ids, and the conversation that each names."""
    try:
        if path is None or path.stat().st_size > _LONGEST:
            return []
        cells = json.loads(path.read_text("utf-8"))["cells"]
        found = [(str(cell.get("id", "")), "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):  # no notebook, or not one of ours
        return []
    return [(cell_id, _find_chat(source)) for cell_id, source in found]


def _find_chat(source: str) -> str | None:
    """The conversation that a cell's first line names as plain text."""
    found = _MAGIC.match(source)
    try:
        words = _split(found[1]) if found else []
    except OptionError:
        return None
    for word, follower in itertools.pairwise([*words, "-"]):
        flag, sign, name = word.partition("=")
        if flag in ("-c", "--chat"):
            return name if sign else "chat" if follower.startswith("-") else follower
    return None


def _split(line: str) -> Sequence[str]:
    scanner = Scanner(line)
    return list(iter(scanner.word, None))
