"""Reads every kind of data frame and series, through narwhals."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_SHOWN_ROWS = 60  # of a long frame, texts show fewer


@dataclass(frozen=True)
class Frame:
    """A data frame to be read once; ``index`` holds the labels of a pandas frame, so that results can be joined to it."""

    columns: list[Any]
    rows: Iterable[tuple[Any, ...]]
    count: int
    index: Any = None
    is_series: bool = False


def read_frame(value: Any) -> Frame | None:
    """The columns and rows of anything narwhals reads, ``None`` for missing values of pandas; ``None`` where it reads nothing."""
    import narwhals as nw

    index = _find_labels(value)
    frame: Any = nw.from_native(_replace_missing(value, index), allow_series=True, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, nw.Series):
        return Frame([frame.name or "value"], zip(frame, strict=True), len(frame), index, is_series=True)
    if not isinstance(frame, nw.DataFrame):
        return None
    return Frame(list(frame.columns), frame.iter_rows(), len(frame), index)


def is_missing(value: Any) -> bool:
    """Whether a cell holds no value: ``None``, NaN, NaT or NA of any library.

    >>> [is_missing(v) for v in (None, float("nan"), 0, "")]
    [True, True, False, False]
    """
    if value is None or type(value).__name__ == "NAType":
        return True
    if isinstance(value, (str, int)):
        return False
    try:
        return bool(value != value)  # noqa: PLR0124  # NaN and NaT alone differ from themselves
    except Exception:  # noqa: BLE001  # a value's own comparison may raise anything, an array's does
        return False


def _find_labels(value: Any) -> Any:
    index = getattr(value, "index", None)
    return index if index is not None and not callable(index) and hasattr(index, "tolist") else None


def _replace_missing(value: Any, index: Any) -> Any:
    """A pandas frame with ``None`` where it has NaN, NaT or NA, as polars and dicts have it: ``{% if note %}`` is false there."""
    known = value.notna() if index is not None and hasattr(value, "notna") else None
    return value if known is None else value.astype(object).where(known, None)


def describe_cut(value: Any) -> str:
    """What the text of a pandas or polars frame or series, or of a numpy array, leaves out; empty where that is nothing."""
    library = type(value).__module__.partition(".")[0]
    if library not in ("numpy", "pandas", "polars") or not hasattr(value, "__len__") or not hasattr(value, "shape"):
        return ""
    loaded: Any = sys.modules[library]  # a frame's own library is loaded already
    if library == "numpy":
        return f"most of {value.size:,} values" if value.size > loaded.get_printoptions()["threshold"] else ""
    count = _count_hidden_pandas_rows if library == "pandas" else _count_hidden_polars_rows
    rows, hidden = len(value), count(value, loaded)
    cut = [f"{hidden:,} of {rows:,} rows"] if hidden else []
    if len(value.shape) == 2 and _cuts_columns(value, library):
        cut.append(f"some of {value.shape[1]:,} columns")
    if _cuts_cells(value, _longest_cell(library, loaded)):
        cut.append("the ends of long cells")
    return " and ".join(cut)


def _count_hidden_pandas_rows(value: Any, pandas: Any) -> int:
    most, least = pandas.get_option("display.max_rows"), pandas.get_option("display.min_rows")
    return 0 if not most or len(value) <= most else len(value) - min(least or most, most)


def _count_hidden_polars_rows(value: Any, polars: Any) -> int:
    most = int(polars.Config.state(if_set=True).get("POLARS_FMT_MAX_ROWS") or 10)
    return 0 if most < 0 else max(0, len(value) - most)


def _cuts_columns(value: Any, library: str) -> bool:
    """Whether the head of the text has a mark where columns were left out."""
    mark, place = ("...", 0) if library == "pandas" else ("…", 2)  # polars writes the shape and a border above the names
    return mark in [*str(value).splitlines(), "", "", ""][place].split() and mark not in map(str, value.columns)


def _longest_cell(library: str, loaded: Any) -> int | None:
    """How many characters of a cell a text shows; ``None`` for all."""
    if library == "pandas":
        return loaded.get_option("display.max_colwidth")  # type: ignore[no-any-return]  # pandas is not known here
    return int(loaded.Config.state(if_set=True).get("POLARS_FMT_STR_LEN") or 32)


def _cuts_cells(value: Any, most: int | None) -> bool:
    if most is None:
        return False
    read = getattr(value, "itertuples", None) or getattr(value, "rows", None)
    rows = iter(read()) if read else ((cell,) for cell in value)
    return any(isinstance(cell, str) and len(cell) > most for row in itertools.islice(rows, _SHOWN_ROWS) for cell in row)
