"""Template tokens and marked text come in; tokens without tag lines, messages and hints go out.

Knows what is particular to our dialect of Jinja: roles, lines of tags, words for a reader's mistake.
Does not know Jinja's machinery, files, models or the notebook.
"""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .errors import PromptError, suggest
from .messages import Message

ROLE_TAGS = ("system", "user", "assistant", "developer")
RAW_HINT = "Text that Jinja would read (`{{`, `{%`, `{# `) is kept as typed between {% raw %} and {% endraw %}."
INSTEAD = {  # what a template writes for a Python builtin
    "len": "x|length", "str": "x|string", "int": "x|int", "float": "x|float", "list": "x|list", "tuple": "x|list",
    "sorted": "x|sort", "sum": "x|sum", "min": "x|min", "max": "x|max", "abs": "x|abs", "round": "x|round",
    "reversed": "x|reverse", "set": "x|unique", "map": "x|map", "filter": "x|select", "repr": "x|pprint",
    "format": "'%.2f'|format(x)", "enumerate": "loop.index (in a for loop)", "print": "{{ x }}",
    "isinstance": "x is string (or number, mapping, sequence)", "open": '{% include "file" %}',
}  # fmt: skip
Token = tuple[int, str, str]  # of Jinja's lexer: line, kind, text


class Rendering:
    """What one rendering needs to know besides its variables, and how its text is taken apart.

    Role tags write marks into the text, made of random characters of a private Unicode plane
    drawn for this rendering alone: no value can hold them.
    """

    def __init__(self, count: Callable[[str], int] | None, cut: Callable[[str, int], str] | None, *, roles: bool) -> None:
        self.count, self.cut = count, cut
        self._roles = roles
        self._depth = 0
        drawn = os.urandom(16)
        self._mark = "".join(chr(0xF0000 + 256 * a + b) for a, b in zip(drawn[::2], drawn[1::2], strict=True))

    def open(self, role: str) -> str:
        """The mark that begins a role block; raises ``PromptError`` where no role may begin."""
        if not self._roles:
            raise PromptError(f"{{% {role} %}} has no place in a text that is itself one message")
        if self._depth:
            raise PromptError(f"{{% {role} %}} stands inside another role block; close that one first")
        self._depth += 1
        return f"{self._mark}{ROLE_TAGS.index(role)}"

    def close(self) -> str:
        """The mark that ends a role block."""
        self._depth -= 1
        return f"{self._mark}{len(ROLE_TAGS)}"

    def split(self, text: str) -> list[Message]:
        """The messages of a rendered text, stripped at both ends, without empty ones."""
        first, *rest = text.split(self._mark)
        stretches = [("user", first)]
        inside = False
        for part in rest:
            number = int(part[0]) if part[:1].isascii() and part[:1].isdigit() else -1
            opens = 0 <= number < len(ROLE_TAGS)
            if opens == inside or not 0 <= number <= len(ROLE_TAGS):
                raise self._damaged()
            stretches.append((ROLE_TAGS[number] if opens else "user", part[1:]))
            inside = opens
        if inside or any(half <= set(content) for _, content in stretches for half in (set(self._mark[:4]), set(self._mark[4:]))):
            raise self._damaged()
        return [Message(role, content.strip()) for role, content in stretches if content.strip()]

    @staticmethod
    def _damaged() -> PromptError:
        return PromptError(
            "a filter or a variable has cut through a role block, or put one inside another",
            hint="Apply filters to the text inside {% user %} … {% enduser %}, not to the block.",
        )


def drop_tag_lines(tokens: Iterable[Token]) -> list[Token]:
    """The tokens without the lines on which nothing but tags and comments stands.

    An ``{% include %}`` is text, for it prints; a ``+`` at a tag keeps its line.
    """
    kept: list[Token] = []
    line: list[int] = []  # the texts of this line, all blank as long as it is `bare`
    bare, tagged, raw, names_next = True, False, False, False
    for number, kind, value in tokens:
        text = value
        if kind == "data":
            head, has_break, _ = text.partition("\n")
            bare = bare and not head.strip(" \t") and not (raw and head and not has_break)
            if has_break:
                if bare and tagged:
                    _blank(kept, line)
                    text = text[len(head) + 1 :]
                tail = value[value.rfind("\n") + 1 :]
                bare, tagged, line = not tail.strip(" \t"), False, []
            line.append(len(kept))
        elif kind.endswith(("_begin", "_end")):
            tagged = tagged or kind != "variable_begin"
            bare = bare and kind != "variable_begin" and "+" not in value
            raw = kind == "raw_begin" or (raw and kind != "raw_end")
            if "\n" in value:  # `-%}` has taken the line break
                bare, tagged, line = True, False, []
        elif kind == "name" and names_next:
            bare = bare and value != "include"
        names_next = kind == "block_begin" or (names_next and kind == "whitespace")
        kept.append((number, kind, text))
    if bare and tagged:
        _blank(kept, line)
    return [token for token in kept if token[1] != "data" or token[2]]


def _blank(tokens: list[Token], line: Iterable[int]) -> None:
    for i in line:
        number, kind, text = tokens[i]
        tokens[i] = (number, kind, text[: text.rfind("\n") + 1])


def builtin_hint(name: str) -> str:
    """What to write instead of a Python builtin; empty where the name is none."""
    if name in INSTEAD:
        return f"`{name}` is Python's; a template writes `{INSTEAD[name]}`."
    if hasattr(builtins, name):
        return f"Python's `{name}` is not available in a template: compute the value in Python and use its name here."
    return ""


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
            "A comment is {# … #} with a space at both ends.",
            line,
            _find(r"\{# ", lines, line),
        )
    at = re.search(r"^(unexpected char .+) at (\d+)$", message, re.DOTALL)
    if at:
        before = "\n".join(lines)[: int(at[2])]
        return f"Jinja cannot read this: {at[1]}", "", before.count("\n") + 1, len(before) - before.rfind("\n")
    unknown = re.match(r"Encountered unknown tag '(\w+)'", message)
    if unknown:
        return message.rstrip("."), "", line, _find(rf"\{{%[-+]?\s*{unknown[1]}\b", lines, line)
    missing = re.match(r"No (?:filter|test) named '([\w.]+)'", message)
    if missing:
        return message.rstrip("."), "", line, _find(rf"\b{re.escape(missing[1])}\b", lines, line)
    return f"Jinja cannot read this: {message.rstrip('.')}", "", line, _first_unreadable(lines, line, reads)


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


def name_column(name: str, source: str, line: int, *, inner: bool = False) -> int | None:
    """The column of the first use of a name inside a tag of this line (``inner``: of an attribute or key)."""
    lines = re.split(r"\r\n|\r|\n", source)
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    before = r"(?<=[.\['\"])" if inner else r"(?<![\w.'\"])"
    found = re.search(rf"\{{[{{%](?:(?!\}}\}}|%\}}).)*?{before}{re.escape(name)}(?!\w)", text)
    return found.end() - len(name) + 1 if found else None


def did_you_mean(names: Iterable[str], *more: str) -> str:
    """A hint of several sentences, without the empty ones."""
    return " ".join(s for s in (suggest(names), *more) if s)
