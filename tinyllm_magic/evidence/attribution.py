"""Tells which cell a record belongs to that no saved output names, by the words of its prompt; and which nothing seems to ask.

A prompt is a template: what stands between its variables must stand in the recorded messages, in order. Without running the
notebook this is a finding, no proof; `tinyllm-magic verify --prune` is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..messages import last_prompt
from .cells import LINE, PROMPT_CELL, PYTHON, SavedCell

_ROLE = re.compile(r"\{%-?\s*(system|developer|user|assistant)\s*-?%\}(.*?)\{%-?\s*end\1\s*-?%\}", re.DOTALL)
_LOOP = re.compile(r"\{%-?\s*(for|if|macro)\b.*?\{%-?\s*end\1\s*-?%\}", re.DOTALL)
_MARK = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_FEWEST = 8  # characters that must be the same for a prompt to be known again


@dataclass(frozen=True)
class Prompt:
    """What of a prompt does not change: the pieces of its system message and of its last question; ``turns``, where it has no loops."""

    cell: SavedCell
    system: tuple[str, ...]
    question: tuple[str, ...]
    turns: int | None = None

    @property
    def words(self) -> int:
        """How many characters of it must be the same."""
        return sum(map(len, (*self.system, *self.question)))

    def fits(self, request: Mapping[str, Any]) -> bool:
        """Whether a canonical request may have been made of this prompt."""
        messages = [m for m in request.get("messages", ()) if isinstance(m, Mapping)]
        said = [m for m in messages if m.get("role") not in ("system", "developer")]
        system = "\n".join(str(m.get("content")) for m in messages if m.get("role") in ("system", "developer"))
        if self.turns is not None and len(said) != self.turns:
            return False
        asked = last_prompt(request) if said else system
        return (not self.system or _follows(self.system, system)) and _follows(self.question, asked)


def _follows(pieces: Sequence[str], text: str) -> bool:
    """Whether a text begins with the first piece, ends with the last, and has the others between them, in order."""
    if not text.startswith(pieces[0]) or not text.endswith(pieces[-1]):
        return False
    at = 0
    for piece in pieces:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(pieces) > 1 or text == pieces[0]


def _split(template: str) -> tuple[str, ...]:
    """The fixed pieces of a template; an empty one at an end says that anything may stand there."""
    return tuple(piece.strip() for piece in _MARK.split(template.strip()))


def find_prompts(cells: Iterable[SavedCell]) -> list[Prompt]:
    """The prompts of a notebook that are told apart by enough words."""
    found = []
    for cell in cells:
        if cell.kind == PROMPT_CELL:
            found.append(_read_prompt(cell))
        found += [Prompt(cell, (), _split(text)) for text in cell.texts]
        if cell.kind == LINE:  # options stand before the text, and may end anywhere
            found += [Prompt(cell, (), _split(text[match.end() :])) for text in cell.texts for match in re.finditer(r"\s+", text)]
    return [prompt for prompt in found if prompt.words >= _FEWEST]


def _read_prompt(cell: SavedCell) -> Prompt:
    template = cell.prompt
    systems = [match[2] for match in _ROLE.finditer(template) if match[1] in ("system", "developer")]
    turns = [match[2] for match in _ROLE.finditer(template) if match[1] in ("user", "assistant")]
    outside = _ROLE.sub("\0", _LOOP.sub("", template))
    stretches = [text.strip() for text in outside.split("\0") if text.strip()]
    question = stretches[-1] if stretches else turns[-1] if turns else ""
    is_fixed = not _LOOP.search(template) and "{%" not in _ROLE.sub("", template) and "--chat" not in cell.options
    return Prompt(cell, _split(systems[-1]) if systems else (), _split(question), len(turns) + len(stretches) if is_fixed else None)


def find_asking(request: Mapping[str, Any], prompts: Iterable[Prompt], *, surely: bool = False) -> dict[int, tuple[SavedCell, str]]:
    """The cells whose own words fit a canonical request, by number, each with the reason.

    A cell whose outputs name all its records asks no other. With ``surely`` a text of a Python cell counts only as it stands, without
    variables: another cell shows the record already. Of several prompts that fit, those with the most fixed words count.
    """
    fitting = []
    for prompt in prompts:
        counts = not prompt.cell.lists_all and not (surely and prompt.cell.kind != LINE and len(prompt.question) > 1)
        if counts and prompt.fits(request):
            fitting.append(prompt)
    most = max((prompt.words for prompt in fitting), default=0)
    return {
        p.cell.number: (p.cell, "its prompt fits" if p.cell.kind == PROMPT_CELL else "a text in its code fits")
        for p in fitting
        if p.words == most
    }


def find_python(request: Mapping[str, Any], prompts: Iterable[Prompt], cells: Iterable[SavedCell]) -> tuple[SavedCell, str] | None:
    """The Python cell that may have asked the prompt of an earlier cell again, with the reason."""
    python = [cell for cell in cells if cell.kind in (PYTHON, LINE) and cell.executed]
    for prompt in prompts:
        later = next((cell for cell in python if cell.number > prompt.cell.number), None)
        if later is not None and prompt.fits(request):
            return later, f"it asks from Python, and the prompt of cell {prompt.cell.number} fits"
    return None
