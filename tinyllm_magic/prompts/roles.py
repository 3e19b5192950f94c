"""Role tags of a template: collects the messages while it renders, and drops the lines that hold only a tag."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..errors import PromptError
from ..messages import Message
from .stability import Cause

ROLE_TAGS = ("system", "user", "assistant", "developer")
Token = tuple[int, str, str]  # of Jinja's lexer: line, kind, text


@dataclass(frozen=True)
class Prompt:
    """What a template renders to: messages, notes on what the reader may not have meant, and parts that no message holds yet."""

    messages: tuple[Message, ...]
    notes: tuple[str, ...] = ()
    parts: tuple[Mapping[str, Any], ...] = ()


class Rendering:
    """What one rendering needs to know besides its variables, and how its text is taken apart.

    Role tags write marks into the text, made of random characters of a private Unicode plane
    drawn for this rendering alone: no value can hold them. ``cut(text, n)`` serves the filter
    ``tokens(n)``; ``made`` holds the lists and dicts that the template has made, by their id,
    ``unordered`` what came out of a set in its order, with the set, ``frames`` the data frames that were printed, ``unstable``
    the values whose text is another in the next kernel, each after the cause. ``trusts(folder)`` says whether the user trusts
    the files of a folder. Images and files leave marks of their own; their paths are looked for in ``folders``, and ``limit``
    gives the folder below which a template may read, by its name (``None``: anywhere); ``fetch`` gets what stands at an address.
    """

    def __init__(
        self,
        cut: Callable[[str, int], str],
        *,
        roles: bool,
        trusts: Callable[[Path], bool] = lambda _: False,
        folders: Sequence[Path] | None = None,
        limit: Callable[[str | None], Path | None] = lambda _: None,
        fetch: Callable[[str], Any] | None = None,
    ) -> None:
        self.cut = cut
        self.trusts = trusts
        self.limit = limit
        self.fetch = fetch
        self._folders = folders
        self._parts: list[Mapping[str, Any]] = []
        self.made: dict[int, Any] = {}
        self.unordered: dict[int, tuple[Any, Any]] = {}
        self.frames: list[Any] = []
        self.unstable: list[tuple[Cause, Any]] = []
        self._roles = roles
        self._open: Literal["", "block", "line"] = ""  # what the role at this place was begun by

    @cached_property
    def _mark(self) -> str:
        return _draw_mark()

    @cached_property
    def _file_mark(self) -> str:
        return _draw_mark()

    @property
    def folders(self) -> Sequence[Path]:
        """Where the files of the cell are looked for; raises ``PromptError`` in a text that can hold none."""
        if self._folders is None:
            raise PromptError("an image or a file has no place in an option's text", hint="Say it in the cell, or by --image and --file.")
        return self._folders

    def attach(self, part: Mapping[str, Any]) -> str:
        """The mark that stands for a part of a message which is no text of the template."""
        self._parts.append(part)
        return f"{self._file_mark}{len(self._parts) - 1};"

    def open(self, role: str) -> str:
        """The mark that begins a role block; raises ``PromptError`` where no role may begin."""
        return self._begin(role, "block")

    def switch(self, role: str) -> str:
        """The mark that begins a role that holds until the next one; raises ``PromptError`` where no role may begin."""
        return self._begin(role, "line")

    def _begin(self, role: str, by: Literal["block", "line"]) -> str:
        if not self._roles:
            raise PromptError(f"{{% {role} %}} has no place in a text that is itself one message")
        if self._open == "block":
            raise PromptError(f"{{% {role} %}} stands inside another role block; close that one first")
        end = self.close() if self._open else ""
        self._open = by
        return f"{end}{self._mark}{ROLE_TAGS.index(role)}"

    def close(self) -> str:
        """The mark that ends a role."""
        self._open = ""
        return f"{self._mark}{len(ROLE_TAGS)}"

    def split(self, text: str) -> list[Message]:
        """The messages of a rendered text, trimmed, without empty ones."""
        if "_mark" not in vars(self):  # no role tag was met
            return self.make_message("user", text)
        first, *rest = text.split(self._mark)
        stretches = [("user", first)]
        inside = False
        for part in rest:
            number = int(part[0]) if part[:1].isascii() and part[:1].isdigit() else -1
            opens = 0 <= number < len(ROLE_TAGS)
            if opens == inside or not 0 <= number <= len(ROLE_TAGS):
                raise self._describe_damage()
            stretches.append((ROLE_TAGS[number] if opens else "user", part[1:]))
            inside = opens
        if (inside and self._open != "line") or any(_holds_half(self._mark, content) for _, content in stretches):
            raise self._describe_damage()
        return [m for role, content in stretches for m in self.make_message(role, content)]

    def make_message(self, role: str, text: str) -> list[Message]:
        """The message of a text with its images and files where they were said; none of a blank text."""
        if not self._parts:
            return [Message(role, trim(text))] if text.strip() else []
        first, *rest = text.split(self._file_mark)
        content: list[Mapping[str, Any]] = [{"type": "text", "text": trim(first)}]
        for piece in rest:
            number, sign, after = piece.partition(";")
            if not sign or not number.isdecimal() or int(number) >= len(self._parts):
                raise self._describe_file_damage()
            part = self._parts[int(number)]
            if role != "user" and part["type"] != "text":
                raise PromptError(f"an image or a PDF has no place in a message of the {role}", hint="Say it in the user's message.")
            content += [part, {"type": "text", "text": trim(after)}]
        if any(_holds_half(self._file_mark, piece) for piece in (first, *rest)):
            raise self._describe_file_damage()
        if not rest:
            return [Message(role, trim(text))] if text.strip() else []
        return [Message(role, tuple(part for part in content if part["type"] != "text" or part["text"]))]

    @staticmethod
    def _describe_file_damage() -> PromptError:
        return PromptError(
            "a filter has cut through an image or a file", hint="Apply filters to the text around {{ … | image }}, not to the image."
        )

    @staticmethod
    def _describe_damage() -> PromptError:
        return PromptError(
            "a filter or a variable has cut through a role block, or put one inside another",
            hint="Apply filters to the text inside {% user %} … {% enduser %}, not to the block.",
        )


def _draw_mark() -> str:
    drawn = os.urandom(16)
    return "".join(chr(0xF0000 + 256 * a + b) for a, b in zip(drawn[::2], drawn[1::2], strict=True))


def _holds_half(mark: str, text: str) -> bool:
    """Whether a part of a mark, cut by a filter, is left in a text."""
    return any(half <= set(text) for half in (set(mark[:4]), set(mark[4:])))


RENDERING: ContextVar[Rendering] = ContextVar("rendering")
"""The rendering under way in this thread."""


def trim(text: str) -> str:
    r"""The text without blank lines at both ends and white space at its end; its first line keeps its indentation.

    >>> trim("\n\n  - one\n  - two \n\n")
    '  - one\n  - two'
    """
    return (re.sub(r"\A\s*\n", "", text) if text[:1].isspace() else text).rstrip()


def drop_tag_lines(tokens: Iterable[Token]) -> list[Token]:
    """The tokens without the lines on which nothing but tags and comments stands.

    An ``{% include %}`` is text, for it prints; a ``+`` at a tag keeps its line. Blanks between
    a role tag and text on the same line go too: they are no indentation.
    """
    kept: list[Token] = []
    line: list[int] = []  # the texts of this line, all blank as long as it is `bare`
    bare, tagged, raw, names_next = True, False, False, False
    role = after_role = False
    for number, kind, value in tokens:
        text = value
        if after_role and kind == "data" and not re.match(r"[ \t]*\n", text):
            text = text.lstrip(" \t")
        after_role = role and kind == "block_end"
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
            role = value in _ROLE_NAMES
        names_next = kind == "block_begin" or (names_next and kind == "whitespace")
        kept.append((number, kind, text))
    if bare and tagged:
        _blank(kept, line)
    return [token for token in kept if token[1] != "data" or token[2]]


_ROLE_NAMES = {name for role in (*ROLE_TAGS, "chat", "message") for name in (role, f"end{role}")}


def _blank(tokens: list[Token], line: Iterable[int]) -> None:
    for i in line:
        number, kind, text = tokens[i]
        tokens[i] = (number, kind, text[: text.rfind("\n") + 1])
