"""Reads a schema that is written as text: the name of a type, a type such as ``list[str]``, or the short form of fields.

Nothing is evaluated: names, attributes, brackets, ``|`` and constants are all that a type may consist of.
"""

from __future__ import annotations

import ast
import builtins
import datetime as dt
import decimal
import json
import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import OptionError, near, suggest

_TYPES: Mapping[str, Any] = {
    **{name: getattr(builtins, name) for name in ("str", "int", "float", "bool", "list", "dict", "tuple", "set", "bytes")},
    **{name: getattr(dt, name) for name in ("date", "datetime", "time", "timedelta")},
    **{name: getattr(typing, name) for name in ("Any", "Annotated", "Literal", "Optional", "Union")},
    "Decimal": decimal.Decimal,
    "any": Any,
}
_OPENING, _CLOSING = "([{", ")]}"
_MARKS = r"""(?<=[\[,|(])\s*(?:"[^"]*"|'[^']*')|[\[\](){}:,\n]"""
_HINT = 'Name a type of the notebook, write one such as list[str], or fields: "name, age int, tags list[str]: free words".'
_FIELD_HINT = f"A comma begins the next field, a colon its description. {_HINT}"


@dataclass(frozen=True)
class Field:
    """One field of the short form: its type, and the words that tell the model what it is."""

    kind: Any
    about: str = ""


@dataclass(frozen=True)
class Fields:
    """The fields of the short form, by name."""

    by_name: Mapping[str, Field]


def read_text(text: str, names: Mapping[str, Any]) -> Any:
    """What a text means: a type, a JSON Schema, or ``Fields``; raises ``OptionError`` where it means nothing.

    ``names`` are the variables that it may name; a variable that holds text is read in turn.

    >>> read_text("list[str]", {}), read_text("name, age int: in years", {}).by_name["age"]
    (list[str], Field(kind=<class 'int'>, about='in years'))
    """
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise OptionError(f"the schema begins as JSON, but cannot be read: {error}", option="schema") from None
    tree = _parse(text)
    if tree is None or isinstance(tree, ast.Tuple):
        return _read_fields(text, names)
    if isinstance(tree, ast.Name) and tree.id not in names and tree.id not in _TYPES:
        hint = suggest(near(tree.id, _names_of_types(names))) or f'{_HINT} A single field wants its type: "{tree.id} str".'
        raise OptionError(f"the schema names '{tree.id}', which is not defined", option="schema", hint=hint)
    found = _evaluate(tree, names, text)
    return read_text(found, {}) if isinstance(found, str) else found


def _parse(text: str) -> ast.expr | None:
    """The expression that a text is; ``None`` where it is none."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return None


def _names_of_types(names: Mapping[str, Any]) -> list[str]:
    return [*_TYPES, *(n for n in names if isinstance(names[n], (type, Mapping)) and not n.startswith("_"))]


def _evaluate(node: ast.expr, names: Mapping[str, Any], text: str) -> Any:
    """The value of an expression of types."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name(id=name) if name in names or name in _TYPES:
            return names[name] if name in names else _TYPES[name]
        case ast.Name(id=name):
            hint = suggest(near(name, _names_of_types(names))) or _FIELD_HINT
            raise OptionError(f"the schema names '{name}', which is not defined", option="schema", hint=hint)
        case ast.Tuple(elts=parts):
            return tuple(_evaluate(part, names, text) for part in parts)
        case ast.List(elts=parts):
            return [_evaluate(part, names, text) for part in parts]
    try:
        match node:
            case ast.Attribute(value=owner, attr=name) if not name.startswith("_"):
                return getattr(_evaluate(owner, names, text), name)
            case ast.Subscript(value=owner, slice=inner):
                return _evaluate(owner, names, text)[_evaluate(inner, names, text)]
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return _evaluate(left, names, text) | _evaluate(right, names, text)
    except OptionError:
        raise
    except (TypeError, AttributeError, LookupError) as error:
        raise OptionError(f"the schema '{text.strip()}' is no type: {error}", option="schema", hint=_HINT) from error
    raise OptionError(f"the schema '{text.strip()}' is no type", option="schema", hint=_HINT)


def _read_fields(text: str, names: Mapping[str, Any]) -> Fields:
    found: dict[str, Field] = {}
    for part in _split(text.strip(), "\n" if "\n" in text.strip() else ","):
        head, *about = _split(part, ":", once=True)
        name, _, kind = head.strip().partition(" ")
        if not name.isidentifier():
            raise OptionError(f"the schema's field '{head.strip() or part}' has no name", option="schema", hint=_HINT)
        if name in found:
            raise OptionError(f"the schema names the field '{name}' twice", option="schema")
        found[name] = Field(_read_kind(kind.strip(), name, names), " ".join("".join(about).split()))
    if not found:
        raise OptionError("the schema is empty", option="schema", hint=_HINT)
    return Fields(found)


def _read_kind(text: str, field: str, names: Mapping[str, Any]) -> Any:
    """The type of a field: text where nothing is said; a question mark says that there may be none."""
    if not text:
        return str
    tree = _parse(text.removesuffix("?"))
    if tree is None:
        words = f"the type of the schema's field '{field}' cannot be read: '{text}'"
        raise OptionError(words, option="schema", hint=_FIELD_HINT)
    kind = _evaluate(tree, names, text)
    return typing.Optional[kind] if text.endswith("?") else kind  # noqa: UP045  # for whatever a type may be


def _split(text: str, sign: str, *, once: bool = False) -> Iterator[str]:
    """The parts of a text between the signs that stand neither in brackets nor in a quoted text of a list."""
    depth, start = 0, 0
    for found in re.finditer(_MARKS, text):
        mark = found[0]
        depth += (mark in _OPENING) - (mark in _CLOSING)
        if mark == sign and depth <= 0:
            yield from [text[start : found.start()]] if text[start : found.start()].strip() else []
            start = found.end()
            if once:
                break
    if text[start:].strip():
        yield text[start:]
