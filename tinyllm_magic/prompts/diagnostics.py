"""What a template error says: a message in our words, a place, and what to write instead."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import suggest

RAW_HINT = "Text that Jinja would read (`{{`, `{%`, `{# `) is kept as typed between {% raw %} and {% endraw %}."
UNREADABLE = "Jinja cannot read this"
NAMED_HINTS = {
    "filter": "Filters are Jinja's own, and table, code, dedent, tokens(n).",
    "test": "Tests are Jinja's own: defined, none, string, number, mapping, sequence and others.",
}
INSTEAD = {  # what a template writes for a Python builtin
    "len": "x|length", "str": "x|string", "int": "x|int", "float": "x|float", "list": "x|list", "tuple": "x|list",
    "sorted": "x|sort", "sum": "x|sum", "min": "x|min", "max": "x|max", "abs": "x|abs", "round": "x|round",
    "reversed": "x|reverse", "set": "x|unique", "map": "x|map", "filter": "x|select", "repr": "x|pprint",
    "format": "'%.2f'|format(x)", "enumerate": "loop.index (in a for loop)", "print": "{{ x }}",
    "isinstance": "x is string (or number, mapping, sequence)", "open": '{% include "file" %}',
}  # fmt: skip


def explain_builtin(name: str) -> str:
    """What to write instead of a Python builtin; empty where the name is none."""
    if name in INSTEAD:
        return f"`{name}` is Python's; a template writes `{INSTEAD[name]}`."
    if hasattr(builtins, name):
        return f"Python's `{name}` is not available in a template: compute the value in Python and use its name here."
    return ""


def explain_undefined(name: str, source: str, line: int | None, *, tested: bool) -> str:
    """What to do about a name that nothing defines, where no other name is similar or it is only tested."""
    if tested:
        return f'Where it may be missing, write `{{% if {name} is defined %}}` or `{{{{ {name} | default("") }}}}`.'
    lines = re.split(r"\r\n|\r|\n", source)
    text = lines[line - 1] if line and 0 < line <= len(lines) else ""
    return RAW_HINT if re.search(rf"[^\s{{]\{{\{{{re.escape(name)}\}}\}}", text) else ""


def members(value: Any) -> list[str]:
    """The names a template could ask of this value: keys of a mapping, else public attributes."""
    if isinstance(value, Mapping):
        return [k for k in value if isinstance(k, str)]
    try:
        return [n for n in dir(value) if not n.startswith("_")]
    except Exception:  # noqa: BLE001  # a value's own __dir__ may raise anything, and this is only a hint
        return []


def describe_missing(name: object, owner: object) -> str:
    """One clause: what it is that the owner does not have."""
    what = "key" if isinstance(owner, Mapping) else "attribute" if isinstance(name, str) else "item"
    return f"{name!r} is not defined: the {type(owner).__name__} has no such {what}"


def diagnose(message: str, source: str, line: int, reads: Callable[[str], bool]) -> tuple[str, str, int, int | None]:
    """A syntax error of Jinja in our words: message, hint, line and column (``None``: not found).

    ``reads`` tells whether a piece of template can be read on its own.
    """
    lines = re.split(r"\r\n|\r|\n", source)
    unclosed = re.search(r"Unexpected end of template.*needs to be closed is '(\w+)'", message)
    if unclosed:
        place = _last_open(unclosed[1], lines)
        if place:
            return f"{{% {unclosed[1]} %}} is never closed: {{% end{unclosed[1]} %}} is missing", "", *place
    if "end of comment" in message:
        return (
            "this comment is never closed: ` #}` is missing",
            f"A comment is {{# … #}}. {RAW_HINT}",
            line,
            _find(r"\{# ", lines, line),
        )
    at = re.search(r"^unexpected char .+ at (\d+)$", message, re.DOTALL)
    if at:
        text, offset = "\n".join(lines), int(at[1])
        before = text[:offset]
        return f"{UNREADABLE}: unexpected char {text[offset : offset + 1]!r}", "", before.count("\n") + 1, len(before) - before.rfind("\n")
    unknown = find_unknown(message)
    if unknown and unknown[0] == "tag" and unknown[1].startswith("end") and f"{{% {unknown[1][3:]}" not in source:
        tag = unknown[1]
        return f"{{% {tag} %}} ends nothing: there is no {{% {tag[3:]} %}} before it", "", line, _find(rf"\{{%[-+]?\s*{tag}\b", lines, line)
    if unknown:
        before = r"\{%[-+]?\s*" if unknown[0] == "tag" else r"\b"
        return message.rstrip("."), "", line, _find(rf"{before}{re.escape(unknown[1])}\b", lines, line)
    if "role" in message:  # the words of our own tags
        return message.rstrip("."), "", line, None
    return f"{UNREADABLE}: {message.rstrip('.')}", "", line, _first_unreadable(lines, line, reads)


def find_unknown(message: str) -> tuple[str, str] | None:
    """What an error of Jinja says is unknown: ``tag``, ``filter`` or ``test``, and the name; ``None`` where it says another thing."""
    found = re.match(r"(?:Encountered unknown (tag)|No (filter|test) named) '([\w.]+)'", message)
    return (found[1] or found[2], found[3]) if found else None


def _find(pattern: str, lines: list[str], line: int) -> int | None:
    found = re.search(pattern, lines[line - 1]) if 0 < line <= len(lines) else None
    return found.start() + 1 if found else None


def _first_unreadable(lines: list[str], line: int, reads: Callable[[str], bool]) -> int | None:
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    openings = list(re.finditer(r"\{\{|\{%|\{# ", text))
    for found in openings:
        end = text.find("}}", found.start()) if found[0] == "{{" else -1
        if end >= 0 and not reads(text[found.start() : end + 2]):
            return found.start() + 1
    return openings[0].start() + 1 if len(openings) == 1 else None


def _last_open(tag: str, lines: list[str]) -> tuple[int, int] | None:
    """Line and column of the last opening tag of this name that has no end."""
    stack = []
    for number, text in enumerate(lines, 1):
        for found in re.finditer(rf"\{{%[-+]?\s*(end)?{tag}\b", text):
            if not found[1]:
                stack.append((number, found.start() + 1))
            elif stack:
                stack.pop()
    return stack[-1] if stack else None


def find_name_column(name: str, source: str, line: int, *, inner: bool = False) -> int | None:
    """The column of the first use of a name inside a tag of this line (``inner``: of an attribute or key)."""
    lines = re.split(r"\r\n|\r|\n", source)
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    before = r"(?<=[.\['\"])" if inner else r"(?<![\w.'\"])"
    found = re.search(rf"\{{[{{%](?:(?!\}}\}}|%\}}).)*?{before}{re.escape(name)}(?!\w)", text)
    return found.end() - len(name) + 1 if found else None


def join_hints(names: Iterable[str], *more: str) -> str:
    """A hint of several sentences, without the empty ones."""
    return " ".join(s for s in (suggest(names), *more) if s)
