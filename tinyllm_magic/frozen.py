"""Copies frozen values with other fields."""

from __future__ import annotations

from typing import Any, TypeVar

_Value = TypeVar("_Value")


def copy_with(value: _Value, /, **changes: Any) -> _Value:
    """A copy of a frozen dataclass (one without slots and ``__post_init__``) with these fields changed.

    ``dataclasses.replace`` runs ``__init__``, which sets each field through ``object.__setattr__``: ten times the work, and
    a row of a map makes several copies. What a cached property has found is left behind, as it is there.

    >>> from tinyllm_magic import Message
    >>> copy_with(Message("user", "Hello"), role="system")
    Message(role='system', content='Hello', ...)
    """
    names = value.__dataclass_fields__  # type: ignore[attr-defined]  # of any dataclass
    copied, source = object.__new__(type(value)), vars(value)
    held = vars(copied)
    held.update(source if len(source) == len(names) else {name: source[name] for name in names}, **changes)
    if len(held) > len(names):
        raise TypeError(f"{type(value).__name__} has no field {next(name for name in changes if name not in names)}")
    return copied
