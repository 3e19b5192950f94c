"""Looks at the notebook's values while somebody types: nothing of the user's is called, and nothing is consumed.

Values of plain types, of known data libraries and our own responses are read; of any other only what its type says.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from uuid import UUID

from ..responses import Response

FRAME_LIBRARIES = ("numpy", "pandas", "polars", "pyarrow")
LARGEST = 200_000  # characters and cells of a value that is rendered while somebody types
_CONTAINERS = (list, tuple, set, frozenset)
_ATOMS = (str, int, float, complex, bool, bytes, date, time, timedelta, Decimal, Fraction, UUID, range, type(None))
_RESPONSE_FIELDS = ("text", "model", "usage", "cost", "finish_reason", "source", "reasoning")
_MISSING = object()


def describe(value: Any) -> str:
    """The type of a value and, where it is known without asking the value, its size.

    >>> describe("abc"), describe([{"a": 1}]), describe({"a": 1}), describe(2.5)
    ('text, 3 characters', 'list of 1 dict', 'dict of 1', 'float')
    """
    kind = type(value)
    if kind is str:
        return f"text, {len(value):,} character{'' if len(value) == 1 else 's'}"
    if kind in _CONTAINERS or kind is dict:
        inner = {type(item).__name__ for item in value} if kind is not dict and len(value) <= 1000 else set()
        return f"{kind.__name__} of {len(value):,}{f' {inner.pop()}' if len(inner) == 1 else ''}"
    shape = _shape(value)
    if shape is not None:
        return f"{kind.__name__} {' × '.join(f'{n:,}' for n in shape)}"
    if _is_a(value, FunctionType):
        return "function"
    if _is_a(value, (type, ModuleType)):
        return "type" if _is_a(value, type) else "module"
    return "None" if value is None else kind.__name__


def is_table(value: Any) -> bool:
    """Whether a value holds rows as far as its type says: a list of dicts, a dict of lists, a data frame, a table of answers."""
    if type(value) in (list, tuple):
        return bool(value) and not _is_a(value[0], _ATOMS) and type(value[0]) not in _CONTAINERS
    if type(value) is dict:
        return bool(value) and all(type(column) in (list, tuple) for column in value.values())
    return len(_shape(value) or ()) == 2 or (type(value).__module__, type(value).__name__) == ("tinyllm_magic.batch.table", "Table")


def is_function(value: Any) -> bool:
    """Whether a value is a function or a method."""
    return _is_a(value, (FunctionType, MethodType))


def columns(value: Any) -> dict[str, str]:
    """The columns of a table by name, each with its type in words."""
    if type(value) in (list, tuple):
        first = value[0] if value else {}
        return {str(name): describe(item) for name, item in _items(first).items()}
    if type(value) is dict:
        return {str(name): describe(column[0]) if type(column) in (list, tuple) and column else "" for name, column in value.items()}
    if not _is_of_data_library(value):
        return {}
    names: Any = getattr(value, "column_names", None) or getattr(value, "columns", ())
    if len(names) == 0:
        return {}
    kinds = list(getattr(value, "dtypes", ())) or [field.type for field in getattr(value, "schema", ())]
    return {str(name): str(kind) for name, kind in zip(names, kinds, strict=False)}


def members(value: Any) -> dict[str, str]:
    """What may stand after a dot: keys, columns, fields and methods, with a word on each."""
    if type(value) is dict:
        return {**{k: describe(v) for k, v in value.items() if _is_a(k, str) and k.isidentifier()}, **_methods(dict)}
    if type(value) is Response:
        return {name: describe(getattr(value, name)) for name in _RESPONSE_FIELDS}
    if _is_of_data_library(value):
        return {name: kind for name, kind in columns(value).items() if name.isidentifier()}
    if _is_a(value, _ATOMS) or type(value) in _CONTAINERS:
        return _methods(type(value))
    return {**{name: describe(item) for name, item in _instance_fields(value).items() if not name.startswith("_")}, **_methods(type(value))}


def keys(value: Any) -> dict[str, str]:
    """What may stand in brackets behind a value, as text: keys of a dict, columns of a frame."""
    if type(value) is dict:
        return {k: describe(v) for k, v in value.items() if _is_a(k, str)}
    return columns(value) if _is_of_data_library(value) else {}


def step(value: Any, name: str | int) -> Any:
    """The member of a value, ``LookupError`` where it cannot be read without asking the value."""
    if type(value) in (list, tuple) and _is_a(name, int):
        return value[name]
    if type(value) is dict:
        return value[name]
    if type(value) is Response and name in _RESPONSE_FIELDS:
        return getattr(value, str(name))
    if _is_of_data_library(value) and name in columns(value):
        return _column(value, str(name))
    found = _instance_fields(value).get(str(name), _MISSING)
    if found is _MISSING:
        raise LookupError(name)
    return found


def find_unreadable(value: Any, name: str) -> str:
    """Why a value is not rendered while somebody types, empty where it may be: it, or what it holds, is of unknown type or large."""
    waiting, budget = [value], LARGEST
    while waiting:
        item = waiting.pop()
        budget -= _size(item)
        if budget < 0:
            return f"{name} is large"
        if type(item) is dict:
            waiting += [*item.keys(), *item.values()]
        elif type(item) in _CONTAINERS:
            waiting += item
        elif _is_of_data_library(item) and (hasattr(item, "shape") or _is_a(item, _ATOMS) or type(item).__name__ == "NAType"):
            waiting += _objects_in(item)
        elif type(item) not in _ATOMS and not _is_a(item, PurePath) and type(item) is not Response:
            return f"{name} {'is' if item is value else 'holds'} a {describe(item)}"
    return ""


def _size(value: Any) -> int:
    """Characters of a text, cells of a frame, items of a container."""
    if _is_a(value, (str, bytes, *_CONTAINERS, dict)) and type(value) in (*_ATOMS, *_CONTAINERS, dict):
        return len(value) + 1
    return math.prod(_shape(value) or ())


def _objects_in(value: Any) -> list[Any]:
    """What a frame, series or array holds as Python objects."""
    parts = [_column(value, name) for name in columns(value)] or [value]
    return [item for part in parts if str(getattr(part, "dtype", "")).lower() == "object" for item in list(part)]


def _is_a(value: Any, kinds: type | tuple[type, ...]) -> bool:
    """Whether a value is of a type; ``isinstance`` would ask the value for its class."""
    return issubclass(type(value), kinds)


def _column(value: Any, name: str) -> Any:
    if hasattr(value, "column_names"):
        return value.column(name)
    found = {str(n): place for place, n in enumerate(value.columns)}[name]
    return value.iloc[:, found] if hasattr(value, "iloc") else value[name]


def _is_of_data_library(value: Any) -> bool:
    """Whether this is a frame, a series or an array of a library itself: a subclass of the user's is not."""
    return type(value).__module__.partition(".")[0] in FRAME_LIBRARIES and not _is_a(value, (type, ModuleType, FunctionType))


def _shape(value: Any) -> tuple[int, ...] | None:
    if not _is_of_data_library(value):
        return None
    shape = getattr(value, "shape", None)
    return shape if _is_a(shape, tuple) and shape and all(_is_a(n, int) for n in shape) else None


def _instance_fields(value: Any) -> Mapping[str, Any]:
    """What stands in the instance itself, read past every property and `__getattr__`."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return MappingProxyType({})
    return found if type(found) is dict else MappingProxyType({})


def _items(row: Any) -> Mapping[Any, Any]:
    if type(row) is dict:
        return row
    names: Any = getattr(type(row), "_fields", None)
    if _is_a(row, tuple) and type(names) is tuple:
        return dict(zip(names, tuple.__iter__(row), strict=False))
    return {k: v for k, v in _instance_fields(row).items() if not k.startswith("_")}


def _methods(kind: type) -> dict[str, str]:
    """Public names of a class, each with the first line of its documentation."""
    found: dict[str, str] = {}
    for base in kind.__mro__[:-1]:
        for name, member in vars(base).items():
            if not name.startswith("_") and name not in found:
                plain = member.__func__ if _is_a(member, (classmethod, staticmethod)) else member
                doc = getattr(plain, "__doc__", None) if inspect.isroutine(plain) or _is_a(plain, property) else None
                found[name] = first_sentence(doc or "")
    return found


def first_sentence(text: str) -> str:
    r"""The first sentence of a documentation, on one line.

    >>> first_sentence("Return it.\n\nMore.")
    'Return it'
    """
    paragraph = " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".")
