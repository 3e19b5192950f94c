"""The columns of typed answers as data frames hold them: whole numbers stay whole, choices are categories, what failed is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Any

from ..json_schema import FieldType

_PYTHON: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "date": (date,),
    "date-time": (datetime,),
}
_PANDAS = {"integer": "Int64", "number": "float64", "boolean": "boolean", "string": "string"}
_POLARS = {"integer": "Int64", "number": "Float64", "boolean": "Boolean", "string": "String", "date": "Date"}
_LARGEST = 2**63 - 1


def to_series(pandas: Any, values: Sequence[Any], kind: FieldType, index: Any) -> Any:
    """The values as a pandas series of their own type; of plain objects where they have none in common."""
    if fits(values, kind):
        with suppress(TypeError, ValueError, OverflowError):
            if kind.choices:
                return pandas.Series(values, index=index, dtype=pandas.CategoricalDtype(kind.choices))
            if kind.kind == "date-time":
                return pandas.Series(pandas.to_datetime(list(values)), index=index)
            if kind.kind in _PANDAS:
                return pandas.Series(values, index=index, dtype=_PANDAS[kind.kind])
    return pandas.Series(values, index=index, dtype=object)


def polars_type(polars: Any, values: Sequence[Any], kind: FieldType) -> Any:
    """The polars type of the values; ``None`` where polars is to find it out."""
    if not fits(values, kind):
        return None
    if kind.choices:
        return polars.Enum(list(kind.choices))
    if kind.kind == "date-time":
        return None if any(v is not None for v in values) else polars.Datetime("us")
    return getattr(polars, _POLARS[kind.kind]) if kind.kind in _POLARS else None


def sort_set(value: Any) -> Any:
    """A set as a list, in an order that is the same in each kernel; any other value as it is."""
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else value


def fits(values: Iterable[Any], kind: FieldType) -> bool:
    """Whether all values that there are belong to one type of a column."""
    known = _PYTHON.get(kind.kind)
    if known is None:
        return False
    given = [v for v in values if v is not None]
    if kind.choices:
        return all(v in kind.choices for v in given)
    if not all(isinstance(v, known) and (bool in known or not isinstance(v, bool)) for v in given):
        return False
    return kind.kind != "integer" or all(-_LARGEST <= v <= _LARGEST for v in given)
