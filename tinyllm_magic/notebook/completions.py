"""Completion for prompt cells and the magics' lines, alike in a terminal and in the notebook's front end."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

_CELL = re.compile(r"\A\s*%%llm(?=\s|\Z)")
_LINE = re.compile(r"(?:\A|=)\s*%(llm(?:_\w+)?)\s+(.*)\Z", re.DOTALL)
_WORD = re.compile(r"\S*\Z")
_MOST = 300
_SHELLS_OWN = ("In", "Out", "exit", "quit", "open", "get_ipython")


def complete(text: str, variables: Mapping[str, Any]) -> tuple[str, dict[str, str]] | None:
    """The fragment before the cursor, and the words that complete it, each with what it is; ``None`` where it is not ours to complete.

    ``text`` is the cell up to the cursor, ``variables`` are the notebook's. Nothing of the user's is called.
    """
    cell = _CELL.match(text)
    if cell is None:
        return _complete_line(text.rpartition("\n")[2], variables)
    first, newline, _ = text[cell.end() :].partition("\n")
    if newline or re.search(r"\{\{[^{}]*\Z", first):
        return _complete_template(text[cell.end() :], _with_columns(first, variables))
    return _complete_magic("llm", first, variables) if first else None


def _complete_line(line: str, variables: Mapping[str, Any]) -> tuple[str, dict[str, str]] | None:
    found = _LINE.search(line)
    if found is None:
        return None
    if re.search(r"\{[{%][^{}]*\Z", found[2]):
        return _complete_template(found[2], variables)
    return _complete_magic(found[1], f" {found[2]}", variables)


def _complete_template(text: str, variables: Mapping[str, Any]) -> tuple[str, dict[str, str]] | None:
    from ..clients.template_finder import template_folders
    from . import template_completions

    found = template_completions.complete(text, _visible(variables), template_folders())
    return None if found is None else (found[0], dict(itertools.islice(found[1].items(), _MOST)))


def _complete_magic(magic: str, text: str, variables: Mapping[str, Any]) -> tuple[str, dict[str, str]] | None:
    from ..clients.template_finder import template_folders
    from . import option_completions as offers

    word = _WORD.search(text)[0]  # type: ignore[index]  # it matches the empty word
    line = offers.Line(text[: len(text) - len(word)].split(), word, _visible(variables), template_folders())
    if magic == "llm" or (magic == "llm_count" and line.words[-1:] in (["-m"], ["--model"])):
        return offers.complete_options(line)
    words: dict[str, Callable[[], Mapping[str, str]]] = {
        "llm_config": offers.complete_config,
        "llm_chat": lambda: offers.complete_chat(line),
        "llm_report": offers.complete_report,
        "llm_batch": lambda: offers.complete_batch(line),
        "llm_cache": lambda: offers.complete_cache(line),
        "llm_count": lambda: {"-m": "the model whose tokens are counted"},
    }
    return (word, {w: about for w, about in words[magic]().items() if w.startswith(word)}) if magic in words else None


def _visible(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    return {n: v for n, v in dict(variables).items() if n not in _SHELLS_OWN and not n.startswith("_")}


def _with_columns(first_line: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables of a cell, where ``--map`` names a table with its columns as they are in its first row."""
    from . import inspection

    named = re.search(r"--map[= ]\s*([^\W\d]\w*)(?=\s|\Z)", first_line)
    table = variables.get(named[1]) if named else None
    if type(table) is not list or not table or type(table[0]) is not dict:
        return {**variables, **inspection.columns(table)} if named else variables
    return {**variables, **{str(k): v for k, v in table[0].items()}, "row": table[0]}


def matcher(shell: Any) -> Callable[[Any], Any]:
    """A matcher in IPython's second protocol, to be appended to ``shell.Completer.custom_matchers``."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher()  # type: ignore[untyped-decorator]  # IPython's
    def llm_matcher(context: Any) -> Any:
        lines = context.full_text.split("\n")
        before = "\n".join([*lines[: context.cursor_line], lines[context.cursor_line][: context.cursor_position]])
        found = complete(before, shell.user_ns)
        if found is None:
            return {"completions": []}
        fragment, words = found
        return {
            "completions": [SimpleCompletion(text=word, type=about or "llm") for word, about in words.items()],
            "matched_fragment": fragment,
            "suppress": bool(words),
        }

    return llm_matcher  # type: ignore[no-any-return]  # the same
