"""Reads rows from files: CSV and TSV, JSON lines, and Parquet through whichever library of data frames is installed."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

from ..errors import MissingExtraError, OptionError

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (*_DELIMITERS, *_JSON_LINES, ".parquet")
_FRAME_LIBRARIES: tuple[Literal["pyarrow", "polars", "pandas"], ...] = ("pyarrow", "polars", "pandas")


def names_rows_file(text: str) -> bool:
    """Whether a text is the path of a file of rows, by its ending."""
    return "\n" not in text and Path(text).suffix.lower() in SUFFIXES


def read_delimited(path: Path) -> tuple[tuple[str, ...], Callable[[], Iterator[dict[str, Any]]]]:
    """Column names of a CSV or TSV file, and a function that reads its rows; every value is text, an empty cell an empty text."""
    with _open(path) as file:
        header = next(csv.reader(file, delimiter=_DELIMITERS[path.suffix.lower()]), None)
    if not header:
        raise OptionError(f"{path.name} has no header line", option="rows", hint="The first line names the columns.")
    names = tuple(header)

    def read() -> Iterator[dict[str, Any]]:
        with _open(path) as file:
            lines = csv.reader(file, delimiter=_DELIMITERS[path.suffix.lower()])
            next(lines)
            for cells in lines:
                if len(cells) > len(names) or (cells and len(cells) < len(names)):
                    fault = f"{path.name}, line {lines.line_num}: {len(cells)} cells for {len(names)} columns"
                    raise OptionError(fault, option="rows", hint="A cell that holds the delimiter stands in double quotes.")
                if cells:
                    yield dict(zip(names, cells, strict=True))

    return names, read


def read_json_lines(path: Path) -> Callable[[], Iterator[dict[str, Any]]]:
    """A function that reads the rows of a file with one JSON object a line."""

    def read() -> Iterator[dict[str, Any]]:
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _read_object(line, f"{path.name}, line {number}")

    return read


def read_parquet(path: Path) -> Any:
    """A data frame of a Parquet file; raises ``MissingExtraError`` where no library can read it."""
    import narwhals as nw

    backend = next((name for name in _FRAME_LIBRARIES if importlib.util.find_spec(name) is not None), None)
    if backend is None:
        raise MissingExtraError(
            f"no library is installed that reads {path.name}", hint="pip install pyarrow (polars or pandas do as well).", extra="pyarrow"
        )
    try:
        return nw.read_parquet(str(_demand_file(path)), backend=backend).to_native()
    except OptionError:
        raise
    except Exception as error:  # each library has its own error for a file that is no Parquet
        raise OptionError(f"{path.name} cannot be read as Parquet: {error}", option="rows") from error


def _read_object(line: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise OptionError(f"{place}: not JSON: {error}", option="rows", hint="Each line holds one object.") from error
    if not isinstance(value, Mapping):
        raise OptionError(f"{place}: {type(value).__name__} is no row", option="rows", hint="Each line holds one object.")
    return dict(value)


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file to read; what cannot be read as such is an ``OptionError`` that says so."""
    try:
        with _demand_file(path).open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise OptionError(f"{path.name} is not UTF-8", option="rows", hint="Save it as UTF-8.") from error
    except csv.Error as error:
        raise OptionError(f"{path.name} cannot be read: {error}", option="rows") from error


def _demand_file(path: Path) -> Path:
    if not path.is_file():
        similar: Sequence[str] = sorted(p.name for p in path.parent.glob(f"*{path.suffix}"))[:5] if path.parent.is_dir() else ()
        hint = f"Beside it: {', '.join(similar)}." if similar else "A relative path starts at the working directory."
        raise OptionError(f"there is no file {path}", option="rows", hint=hint)
    return path
