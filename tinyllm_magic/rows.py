"""Whatever holds rows in, rows as dicts out, one after the other.

Knows lists of dicts, dicts of lists, iterators, tables of answers and, through narwhals, every kind of data frame.
Does not know templates, calls, answers or the notebook.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

from .errors import OptionError
from .tables import Table

_HINT = "Rows are a list of dicts, a pandas or polars frame, or an iterator of dicts: [{'text': t} for t in texts]."


@dataclass(frozen=True)
class Rows:
    """Rows to be read once: how many there are (``None``: unknown), and the labels of their index where they have any.

    ``held`` says that somebody keeps the rows as they are, so that they need not be put away.
    """

    items: Iterator[Mapping[str, Any]]
    count: int | None = None
    index: Sequence[Any] | None = None
    held: bool = False


def read_rows(value: Any) -> Rows:
    """The rows of a value, read lazily; raises ``OptionError`` (a ``TypeError``) where it holds none."""
    if isinstance(value, Table):
        return Rows((e.row for e in value.entries), len(value), value.index)
    if isinstance(value, Mapping):
        return _columns(value)
    if isinstance(value, (str, bytes)) or value is None:
        raise OptionError(f"{type(value).__name__} holds no rows", option="rows", hint=_HINT)
    if isinstance(value, (list, tuple)):
        return Rows(iter([_row(item) for item in value]), len(value), held=True)  # all are looked at before the first is asked
    frame = _frame(value)
    if frame is not None:
        return frame
    if not isinstance(value, Iterable):
        raise OptionError(f"{type(value).__name__} holds no rows", option="rows", hint=_HINT)
    return Rows(map(_row, value), len(value) if isinstance(value, Sized) else None)


def _row(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise OptionError(f"a row is a dict, not {type(value).__name__}", option="rows", hint=_HINT)
    return value if all(isinstance(k, str) for k in value) else {str(k): v for k, v in value.items()}


def _columns(value: Mapping[Any, Any]) -> Rows:
    columns = {str(name): column for name, column in value.items()}
    if not all(isinstance(c, Sized) and isinstance(c, Iterable) and not isinstance(c, (str, bytes, Mapping)) for c in columns.values()):
        raise OptionError("a dict is read as columns, and its values must be lists", option="rows", hint=f"One row is [row]. {_HINT}")
    lengths = {len(c) for c in columns.values()}
    if len(lengths) > 1:
        raise OptionError(f"the columns have different lengths ({', '.join(map(str, sorted(lengths)))})", option="rows")
    return Rows((dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)), max(lengths, default=0))


def _frame(value: Any) -> Rows | None:
    """The rows of anything narwhals reads; ``None`` where it reads nothing."""
    import narwhals as nw

    frame: Any = nw.from_native(_with_none(value), allow_series=True, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, nw.Series):
        name = str(frame.name or "value")
        return Rows(({name: item} for item in frame), len(frame), _labels(value))
    if not isinstance(frame, nw.DataFrame):
        return None
    names = [str(c) for c in frame.columns]
    return Rows((dict(zip(names, row, strict=True)) for row in frame.iter_rows()), len(frame), _labels(value))


def _with_none(value: Any) -> Any:
    """A pandas frame with ``None`` where it has NaN, NaT or NA, as polars and dicts have it: ``{% if note %}`` is false there."""
    known = value.notna() if _labels(value) is not None and hasattr(value, "notna") else None
    return value if known is None else value.astype(object).where(known, None)


def _labels(value: Any) -> Sequence[Any] | None:
    """The index of a pandas frame, so that results can be joined to it."""
    index = getattr(value, "index", None)
    return index if index is not None and not callable(index) and hasattr(index, "tolist") else None
