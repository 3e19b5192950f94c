"""What stands before the cursor in, matching words out: tab completion for the magics.

Knows IPython's matcher protocol, the options, the settings and where a template expression begins.
Does not know how a call is made or shown; the rooms it asks are imported when a name is completed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from .options import FLAGS, FORMATS, MODES

_CELL = re.compile(r"\A\s*%{1,2}llm(?=\s|\Z)")
_LINE = re.compile(r"(?:\A|=)\s*%(llm(?:_\w+)?)\s+(.*)\Z", re.DOTALL)
_WORD = re.compile(r"[^\s=,]*\Z")
_OPEN = re.compile(r"\{\{[^{}]*?([A-Za-z_]\w*)?\Z")
_CACHE_WORDS = ("stats", "list", "show", "use", "mode", "tidy", "clear")


def matches(text: str, variables: Callable[[], Iterable[str]]) -> tuple[str, list[str]] | None:
    """The fragment before the cursor and the words that complete it; ``None`` where it is none of our business.

    ``text`` is the cell up to the cursor; ``variables`` names the notebook's variables.
    """
    first, newline, _ = text.partition("\n")
    in_cell = bool(_CELL.match(first))
    line = _LINE.search(text.rpartition("\n")[2])
    if not in_cell and line is None:
        return None
    expression = _OPEN.search(text)
    if expression is not None:
        fragment = expression[1] or ""
        return fragment, sorted(v for v in variables() if v.startswith(fragment) and not v.startswith("_"))
    if newline and in_cell:
        return None
    fragment = _WORD.search(text)[0]  # type: ignore[index]  # it matches the empty word
    name = "llm" if in_cell or line is None else line[1]
    return fragment, [w for w in _words(name, text[: len(text) - len(fragment)], fragment) if w.startswith(fragment)]


def _words(magic: str, before: str, fragment: str) -> list[str]:
    """The words that may stand after ``before`` on the line of a magic."""
    previous = before.rsplit(maxsplit=1)[-1] if before.split() else ""
    if magic == "llm_config":
        from .settings import SETTINGS

        return [f"{s.name}=" for s in SETTINGS.values()] + ["--reset", "trust"]
    if magic == "llm_cache":
        return list(MODES) if previous == "mode" else list(_CACHE_WORDS)
    if previous.rstrip("=") in ("-m", "--model"):
        return model_names()
    if magic == "llm_count":
        return ["-m"]
    if magic != "llm":
        return []
    if previous.rstrip("=") in ("-f", "--format"):
        return list(FORMATS)
    if previous.rstrip("=") == "--mode":
        return list(MODES)
    return sorted(FLAGS) if not fragment or fragment.startswith("-") else []


def model_names() -> list[str]:
    """Named models, models of this session's history, and the embedded model."""
    from .facts import EMBEDDED
    from .sessions import session

    current = session.settings()
    seen = [e.plan.request.model for e in session.history]
    return list(dict.fromkeys([*current.models, str(current.model), *seen, EMBEDDED]))


def matcher(shell: Any) -> Callable[[Any], Any]:
    """A matcher in IPython's second protocol, to be appended to ``shell.Completer.custom_matchers``."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    @context_matcher()  # type: ignore[untyped-decorator]  # IPython's
    def llm_matcher(context: Any) -> Any:
        lines = context.full_text.split("\n")
        before = "\n".join([*lines[: context.cursor_line], lines[context.cursor_line][: context.cursor_position]])
        found = matches(before, lambda: shell.user_ns)
        if found is None:
            return {"completions": []}
        fragment, words = found
        return {
            "completions": [SimpleCompletion(text=w, type="llm") for w in words],
            "matched_fragment": fragment,
            "suppress": bool(words),
        }

    return llm_matcher  # type: ignore[no-any-return]  # the same
