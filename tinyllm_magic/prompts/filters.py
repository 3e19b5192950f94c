"""The filters for prompts: tables, code blocks, JSON, text cut to a number of tokens."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from typing import Any
from uuid import UUID

from ..errors import PromptError
from ..json_text import plain_value
from .frames import Frame, is_missing, read_frame


def table(value: Any, max_rows: Any = None) -> str:
    r"""A GitHub Markdown table of a data frame, a list of dicts or a dict of lists.

    Missing values (``None``, NaN, NaT, NA) are empty cells; pipes are escaped and line breaks become
    ``<br>``. An index of a pandas frame is shown where it has a name or is no plain count.
    With ``max_rows``, further rows are not shown but counted in a last line. Raises
    ``PromptError`` where the value is no table.

    >>> print(table([{"a": 1, "b": "x|y"}, {"a": 2, "b": None}]))
    | a | b |
    | --- | --- |
    | 1 | x\|y |
    | 2 |  |
    """
    if max_rows is not None and (isinstance(max_rows, bool) or not isinstance(max_rows, int) or max_rows < 0):
        raise PromptError(f"table(max_rows) takes a number of rows, not {max_rows!r}")
    columns, rows, total = _read_table(value, max_rows)
    if not columns:
        return "(empty table)"
    lines = [_write_line(columns), _write_line(["---"] * len(columns)), *map(_write_line, rows)]
    hidden = total - (len(lines) - 2)
    if hidden:
        lines += ["", f"… {hidden:,} more row{'s' if hidden > 1 else ''}"]
    return "\n".join(lines)


def _write_line(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(_write_cell(c) for c in cells)} |"


def _write_cell(value: Any) -> str:
    text = "" if is_missing(value) else str(value)
    return re.sub(r"\r\n|\r|\n", "<br>", text.replace("|", "\\|"))


_Read = tuple[list[Any], Iterable[Sequence[Any]], int]


def _read_table(value: Any, limit: int | None) -> _Read:
    """Columns, the first rows, and how many rows there are in all."""
    if isinstance(value, Mapping):
        return _read_columns(value, limit)
    if isinstance(value, (list, tuple)):
        return _read_rows(value, limit)
    if isinstance(value, (str, bytes, int, float)) or value is None:
        raise _refuse_table(value)
    frame = _read_frame(value)
    if frame is not None:
        return frame if limit is None else (frame[0], islice(frame[1], limit), frame[2])
    if callable(getattr(value, "to_dicts", None)):
        return _read_rows(value.to_dicts(), limit)
    raise _refuse_table(value)


def _refuse_table(value: Any, why: str = "") -> PromptError:
    return PromptError(
        f"`table` cannot make a table of {type(value).__name__}{why}",
        hint="It takes a pandas or polars data frame, a list of dicts or a dict of lists of equal length.",
    )


def _read_rows(rows: Sequence[Any], limit: int | None) -> _Read:
    if not all(isinstance(r, Mapping) for r in rows):
        odd = next(r for r in rows if not isinstance(r, Mapping))
        raise _refuse_table(rows, f" that holds {type(odd).__name__}")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return columns, ([row.get(c) for c in columns] for row in islice(rows, limit)), len(rows)


def _read_columns(value: Mapping[Any, Any], limit: int | None) -> _Read:
    for name, column in value.items():
        if isinstance(column, (str, bytes, Mapping)) or not isinstance(column, Iterable):
            raise _refuse_table(value, f": the value of {name!r} is {type(column).__name__}, not a list")
    lists = [list(column) for column in value.values()]
    lengths = {len(column) for column in lists}
    if len(lengths) > 1:
        raise _refuse_table(value, f" with lists of different lengths ({', '.join(map(str, sorted(lengths)))})")
    return list(value), islice(zip(*lists, strict=True), limit), max(lengths, default=0)


def _read_frame(value: Any) -> _Read | None:
    """Columns, rows and length of a data frame, behind an index that says more than the row's number."""
    frame = _open_frame(value)
    if frame is None:
        return None
    names = getattr(frame.index, "names", None)
    if names is None or (all(n is None for n in names) and getattr(frame.index, "inferred_type", "integer") in ("integer", "empty")):
        return frame.columns, frame.rows, frame.count
    labels = (label if isinstance(label, tuple) and len(names) > 1 else (label,) for label in frame.index)
    rows = ((*label, *row) for label, row in zip(labels, frame.rows, strict=True))
    return [*("" if n is None else n for n in names), *frame.columns], rows, frame.count


def _open_frame(value: Any) -> Frame | None:
    from narwhals.exceptions import DuplicateError

    try:
        return read_frame(value)
    except DuplicateError as error:
        raise PromptError(
            f"several columns of this {type(value).__name__} have the same name", hint="Rename them first: df.columns = […]."
        ) from error


def code(value: Any, language: str = "") -> str:
    """A fenced code block; the fence is longer than any run of backticks in the value.

    >>> print(code("print(1)", "python"))
    ```python
    print(1)
    ```
    """
    text = str(value)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"


def tojson(
    value: Any,
    indent: int | None = None,
    *,
    ensure_ascii: bool = False,
    sort_keys: bool = False,
    separators: tuple[str, str] | None = None,
) -> str:
    """The value as JSON, not escaped for HTML; missing values are null.

    Data frames are lists of rows, dataclasses and pydantic's models objects, dates ISO text.
    Raises ``PromptError`` where JSON cannot hold the value.

    >>> tojson({"b": [float("nan"), None, 1]}, separators=(",", ":"))
    '{"b":[null,null,1]}'
    """
    try:
        plain = _make_plain(value)
        return json.dumps(plain, ensure_ascii=ensure_ascii, indent=indent, sort_keys=sort_keys, separators=separators)
    except (TypeError, ValueError, RecursionError) as error:
        raise PromptError(f"`tojson` cannot write this value: {error}") from error


def _make_plain(value: Any) -> Any:
    """The value as ``json`` takes it."""
    if isinstance(value, (str, bool, int)):
        return value
    if is_missing(value):
        return None
    if isinstance(value, Mapping):
        return {key.item() if hasattr(key, "item") else key: _make_plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_make_plain(v) for v in value]
    if isinstance(value, float):
        return value
    text = _write_text(value)
    if text is not None:
        return text
    if isinstance(value, (Decimal, Enum)):
        return plain_value(value)
    fields = _read_fields(value)
    if fields is not None:
        return {name: _make_plain(field) for name, field in fields.items()}
    if callable(getattr(value, "tolist", None)) and not hasattr(value, "index"):  # numpy
        return _make_plain(value.tolist())
    frame = _open_frame(value)
    if frame is not None:
        rows = [dict(zip(map(str, frame.columns), _make_plain(row), strict=True)) for row in frame.rows]
        return [next(iter(row.values())) for row in rows] if frame.is_series else rows
    raise _explain_unwritable(value)


def _write_text(value: Any) -> str | None:
    """What stands for a date, a time, a duration, a UUID or a path; ``None`` for other values."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, (timedelta, UUID, PurePath)) else None


def _read_fields(value: Any) -> dict[str, Any] | None:
    """The fields of a dataclass or of a pydantic model by name; ``None`` for other values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(getattr(type(value), "model_fields", None), Mapping):
        return dict(value.model_dump())
    return None


def _explain_unwritable(value: Any) -> Exception:
    str(value)  # an undefined name says so
    return TypeError(f"{type(value).__name__} is no JSON value")


def tokens(value: Any, limit: Any, *, cut: Callable[[str, int], str]) -> str:
    """The start of the value that fits into ``limit`` tokens, as ``cut`` finds it."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise PromptError(f"tokens(n) takes a number of tokens, not {limit!r}")
    return cut(str(value), limit)
