"""What may stand at a place of a template: names, members, keys, filters, tests, tags, files, each with a word on it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from . import inspection
from .template_files import list_template_files

TAGS: Mapping[str, str] = {
    "system": "a system message, to endsystem",
    "user": "a user message, to enduser",
    "assistant": "an answer given as an example, to endassistant",
    "developer": "a developer message, to enddeveloper",
    "if": "what follows only where this holds, to endif",
    "elif": "else, where this holds",
    "else": "where nothing before holds",
    "for": "once for each item, to endfor",
    "set": "name a value",
    "include": "the text of another template file",
    "import": "macros of another template file, under a name",
    "from": "some macros of another template file",
    "macro": "a piece of template with arguments, to endmacro",
    "call": "call a macro with a block, to endcall",
    "filter": "a filter over a block, to endfilter",
    "raw": "text that Jinja does not read, to endraw",
    "with": "names that hold inside a block, to endwith",
    "block": "a part that another template may replace, to endblock",
    "extends": "fill the blocks of another template file",
    "do": "an expression of which nothing is shown",
    "break": "leave a loop",
    "continue": "go on with the next item of a loop",
}
_BLOCKS = ("system", "user", "assistant", "developer", "if", "for", "macro", "call", "filter", "raw", "with", "block", "set")
_NO_DOCS = {"tokens": "cut to this many tokens: tokens(200)", "dedent": "without the indentation that all lines share"}
_GLOBALS = {
    "range": "whole numbers: range(3)",
    "dict": "a new dict: dict(a=1)",
    "namespace": "values that a loop may change: namespace(n=0)",
    "loop": "inside of for: loop.index, loop.first, loop.last",
    "raise_exception": "stop with a message",
    "strftime_now": "the time now: strftime_now('%Y-%m-%d')",
}
_LOOP = {
    "index": "number of this turn, from 1",
    "index0": "the same from 0",
    "first": "whether it is the first",
    "last": "whether it is the last",
    "length": "number of items",
    "previtem": "the item before",
    "nextitem": "the item after",
}

_TAG = re.compile(r"\{%[-+]?\s*(\w*)\Z")
_WRITTEN_TAG = re.compile(r"\{%[-+]?\s*(\w+)([^%]*)")
_FILE = re.compile(r"""\{%[-+]?\s*(?:include|import|from|extends)\s+(["'])([^"'\n]*)\Z""")
_FILTER = re.compile(r"\|\s*(\w*)\Z")
_TEST = re.compile(r"\bis\s+(?:not\s+)?(\w*)\Z")
_PATH = re.compile(r"([^\W\d]\w*)((?:\.\w+|\[(?:\d+|\"[^\"\]]*\"|'[^'\]]*')\])*)")
_MEMBER = re.compile(_PATH.pattern + r"\.(\w*)\Z")
_KEY = re.compile(_PATH.pattern + r"""\[(["'])([^"'\]]*)\Z""")
_NAME = re.compile(r"(?<![\w.])([^\W\d]\w*)?\Z")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[[\"']([^\"'\]]*)[\"']\]")
_BOUND = re.compile(r"\{%[-+]?\s*(?:for\s+(?P<item>\w+)\s+in|set\s+(?P<name>\w+)\s*=)\s*(?P<path>[^\W\d][\w.\[\]\"']*)")
_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_COMMENT = re.compile(r"\{#[\s-](?:(?!#\}).)*\Z", re.DOTALL)


def complete(text: str, variables: Mapping[str, Any], folders: Sequence[Path]) -> tuple[str, dict[str, str]] | None:
    """The fragment before the cursor, and the words that complete it, each with what it is; ``None`` where the text ends in prose.

    ``text`` is the template up to the cursor, ``variables`` the notebook's, ``folders`` where its files lie.
    """
    opened = _open_part(text)
    if opened is None:
        return None
    file = _FILE.search(opened)
    if file is not None:
        return file[2], _having(file[2], list_template_files(folders))
    key = _KEY.search(opened)
    if key is not None:
        return key[4], _having(key[4], _known(_resolve(key[1], key[2], text, variables), inspection.keys))
    bare = _STRING.sub("", opened)
    if bare.count('"') or bare.count("'"):
        return None
    tag = _TAG.search(opened)
    if tag is not None:
        return tag[1], _having(tag[1], {**_closing_tags(text[: len(text) - len(opened)]), **TAGS})
    for place, words in ((_FILTER, filters), (_TEST, tests)):
        found = place.search(opened)
        if found is not None:
            return found[1], _having(found[1], words())
    member = _MEMBER.search(opened)
    if member is not None:
        known = _LOOP if member[1] == "loop" else _known(_resolve(member[1], member[2], text, variables), inspection.members)
        return member[3], _having(member[3], known)
    name = _NAME.search(opened)
    return None if name is None else (name[1] or "", _having(name[1] or "", _names(text, variables)))


def _open_part(text: str) -> str | None:
    """The text from the `{{` or `{%` that is still open at its end; ``None`` where none is, or in a raw block."""
    start = max(text.rfind("{{"), text.rfind("{%"))
    if start < 0 or re.search(r"[}%]\}", text[start + 2 :]) or _COMMENT.search(text):
        return None
    raw = [m[1] for m in _WRITTEN_TAG.finditer(text[:start]) if m[1] in ("raw", "endraw")]
    return None if raw and raw[-1] == "raw" and not re.match(r"\{%[-+]?\s*\w*\Z", text[start:]) else text[start:]


def _having(fragment: str, words: Mapping[str, str]) -> dict[str, str]:
    return {word: about for word, about in words.items() if word.startswith(fragment)}


def _known(value: Any, look: Any) -> Mapping[str, str]:
    return {} if value is _UNKNOWN else look(value)


_UNKNOWN = object()


def _resolve(name: str, path: str, text: str, variables: Mapping[str, Any], depth: int = 8) -> Any:
    """The value of a path such as `rows[0].name`, as far as it can be read without asking the values on the way."""
    bound = [m for m in _BOUND.finditer(text) if name in (m["item"], m["name"])]
    if bound and depth:
        whole = _PATH.fullmatch(bound[-1]["path"])
        value = _UNKNOWN if whole is None else _resolve(whole[1], whole[2], text[: bound[-1].start()], variables, depth - 1)
        if bound[-1]["item"]:
            value = _first_item(value)
    else:
        value = variables.get(name, _UNKNOWN)
    for step in _STEP.finditer(path):
        if value is _UNKNOWN:
            break
        try:
            value = inspection.step(value, int(step[2]) if step[2] else step[1] or step[3] or "")
        except (LookupError, TypeError):
            value = _UNKNOWN
    return value


def _first_item(value: Any) -> Any:
    """What a loop over the value begins with."""
    if type(value) in (list, tuple, dict) and value:
        return next(iter(value))
    return _UNKNOWN


def _names(text: str, variables: Mapping[str, Any]) -> dict[str, str]:
    """The names of an expression: the notebook's variables, those that the template defines, Jinja's own."""
    own = {m["item"] or m["name"]: "named in this template" for m in _BOUND.finditer(text)}
    known = {n: inspection.describe(variables[n]) for n in sorted(variables) if not n.startswith("_")}
    modules = {n: about for n, about in known.items() if about == "module"}
    return {**own, **{n: about for n, about in known.items() if n not in modules}, **_GLOBALS, **modules}


def _closing_tags(text: str) -> dict[str, str]:
    """The tag that closes the block that is open at the end of a text."""
    stack: list[str] = []
    for tag in _WRITTEN_TAG.finditer(text):
        if tag[1] in _BLOCKS and not (tag[1] == "set" and "=" in tag[2]):
            stack.append(tag[1])
        elif tag[1].startswith("end") and tag[1][3:] in stack:
            del stack[len(stack) - 1 - stack[::-1].index(tag[1][3:]) :]
    return {f"end{stack[-1]}": f"the end of this {stack[-1]} block"} if stack else {}


@cache
def filters() -> Mapping[str, str]:
    """The filters of a prompt, ours first."""
    from ..prompts.environment import build_environment

    found = build_environment(()).filters
    ours = ("table", "tojson", "code", "tokens", "dedent", "image", "file")
    names = (*(n for n in ours if n in found), *sorted(n for n in found if n not in ours))
    return {n: _NO_DOCS.get(n) or inspection.first_sentence(found[n].__doc__ or "") for n in names}


@cache
def tests() -> Mapping[str, str]:
    """The tests that may stand after `is`."""
    from ..prompts.environment import build_environment

    found = build_environment(()).tests
    return {n: inspection.first_sentence(found[n].__doc__ or "") for n in sorted(found) if n.isidentifier()}
