"""Reads rows as dicts from whatever holds some: records, columns, iterators, cursors, files, tables of answers, data frames.

Rows are read lazily, one after the other; data frames are read through narwhals.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, OptionError, UndefinedError, near
from ..prompts.frames import read_frame
from ..text_format import shorten
from . import row_files
from .table import Table

_HINT = (
    "Rows are a list of dicts, dataclasses or named tuples, a data frame, a cursor, an iterator of dicts, "
    "or the path of a CSV, TSV, JSONL or Parquet file: [{'text': t} for t in texts]."
)


@dataclass(frozen=True)
class Rows:
    """Rows to be read once: how many there are (``None``: unknown), and the labels of their index where they have any.

    ``in_memory`` says that somebody keeps the rows as they are, so that they need not be put away.
    ``columns`` are all names that any row has, ``None`` where that is known only at the end. ``dtypes``
    are those of a pandas frame, and ``index_names`` its named index levels.
    """

    items: Iterator[Mapping[str, Any]]
    count: int | None = None
    index: Sequence[Any] | None = None
    in_memory: bool = False
    columns: tuple[str, ...] | None = None
    dtypes: Mapping[str, Any] | None = None
    index_names: tuple[str, ...] = ()
    levels: int = 1
    """How many levels the column names of a pandas frame have."""
    consumed: bool = False
    """Whether the value can be read only once, as an iterator."""


class RowDict(dict[Any, Any]):
    """A row as the variable ``row`` of a template; ``row[1]`` and ``row["a", "b"]`` are the columns of these names too."""

    def __missing__(self, name: Any) -> Any:
        if isinstance(name, str):
            raise KeyError(name)
        return self[str(name)]


def explain_missing(error: UndefinedError, rows: Rows) -> UndefinedError:
    """The error of a name that no row has, with how to reach what was meant."""
    name, columns = str(error.variable), rows.columns or ()
    if name in rows.index_names:
        hint = f"'{name}' is in the index of the data frame, which is no column: pass df.reset_index()."
    elif rows.levels > 1:
        hint = f"The columns have {rows.levels} levels: row[{columns[0].strip('()')}] is the first." if columns else ""
    else:
        same = [c for c in columns if _keep_letters(c) == _keep_letters(name)]
        similar = list(dict.fromkeys((*same, *near(name, columns))))
        if similar:
            hint = f"Did you mean {' or '.join(c if c.isidentifier() else f'row[{json.dumps(c, ensure_ascii=False)}]' for c in similar)}?"
        else:
            hint = f"The columns are {shorten(', '.join(columns), 200)}." if columns else "The rows have no columns."
    message = error.message.replace("is not defined", "is neither a column nor a variable", 1)
    return UndefinedError(message, hint=hint, variable=name, near=error.near, line=error.line, column=error.column)


def _keep_letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def read_rows(value: Any) -> Rows:
    """The rows of a value, read lazily; raises ``OptionError`` (a ``TypeError``) where it holds none."""
    for read in (_read_table, _read_path, _read_mapping, _read_list, _read_frame, _read_arrow_batches, _read_cursor, _read_column):
        rows = read(value)
        if rows is not None:
            return rows
    if not isinstance(value, Iterable) or isinstance(value, (str, bytes)):
        raise OptionError(f"{type(value).__name__} holds no rows", option="rows", hint=_HINT)
    columns = getattr(value, "column_names", None)  # a Hugging Face dataset
    known = None if columns is None or callable(columns) else _name_columns(columns)
    count = len(value) if isinstance(value, Sized) else None
    if isinstance(value, Iterator):
        return Rows(itertools.chain.from_iterable(map(_read_item, value)), count, columns=known, consumed=True)
    return Rows(map(_read_row, value), count, columns=known)


def _read_table(value: Any) -> Rows | None:
    """The rows of a table of answers: ``answer`` and typed columns stand beside their own; a row without an answer is as it was asked."""
    if not isinstance(value, Table):
        return None
    names = (*value.own_columns, *value.typed_columns, "answer")
    items = (
        {**{kept: e.row.get(name) for kept, name in value.own_columns.items()}, **value.read_typed(e), "answer": e.text or ""}
        if e.answered
        else e.row
        for e in value.entries
    )
    return Rows(items, len(value), value.index, columns=tuple(dict.fromkeys((*names, *value.names))))


def _read_path(value: Any) -> Rows | None:
    if not isinstance(value, Path) and not (isinstance(value, str) and row_files.names_rows_file(value)):
        return None
    path = Path(value).expanduser()
    if path.suffix.lower() == ".parquet":
        return read_rows(row_files.read_parquet(path))
    columns: tuple[str, ...] | None = None
    if path.suffix.lower() in (".csv", ".tsv"):
        names, read = row_files.read_delimited(path)
        columns = _name_columns(names)
    elif row_files.names_rows_file(path.name):
        read = row_files.read_json_lines(path)
    else:
        endings = ", ".join(row_files.SUFFIXES)
        raise OptionError(f"{path.name} is no file of rows", option="rows", hint=f"Files are known by their ending: {endings}.")
    count = sum(1 for _ in read())  # a line that cannot be read is found before the first row is asked
    return Rows(read(), count, columns=columns)


def _read_mapping(value: Any) -> Rows | None:
    if not isinstance(value, Mapping):
        return None
    if value and all(hasattr(part, "column_names") for part in value.values()):
        choices = " or ".join(f"[{str(name)!r}]" for name in value)
        raise OptionError(f"{type(value).__name__} holds several splits", option="rows", hint=f"Choose one: {choices}.")
    if type(value).__name__ == "Bunch" and "data" in value:
        return _read_bunch(value)
    return _read_columns(value)


def _read_bunch(value: Mapping[str, Any]) -> Rows:
    """The rows of a scikit-learn data set: its frame, or its features by name with ``target`` and, of classes, ``target_name``."""
    if value.get("frame") is not None:
        return read_rows(value["frame"])
    data, columns = value["data"], dict[str, Any]()
    if getattr(data, "ndim", 1) == 2:
        names = value.get("feature_names", range(data.shape[1]))
        columns.update({str(name): data[:, place].tolist() for place, name in enumerate(names)})
    else:
        columns["data"] = list(data)
    target, labels = value.get("target"), value.get("target_names")
    if target is not None:
        targets = target.tolist() if hasattr(target, "tolist") else list(target)
        columns["target"] = targets
        if labels is not None and targets and all(isinstance(t, int) and 0 <= t < len(labels) for t in targets):
            columns["target_name"] = [str(labels[t]) for t in targets]
    return _read_columns(columns)


def _read_columns(value: Mapping[Any, Any]) -> Rows:
    names = _name_columns(value)
    columns = dict(zip(names, value.values(), strict=True))
    if not all(isinstance(c, Sized) and isinstance(c, Iterable) and not isinstance(c, (str, bytes, Mapping)) for c in columns.values()):
        raise OptionError("a dict is read as columns, and its values must be lists", option="rows", hint=f"One row is [row]. {_HINT}")
    lengths = {len(c) for c in columns.values()}
    if len(lengths) > 1:
        raise OptionError(f"the columns have different lengths ({', '.join(map(str, sorted(lengths)))})", option="rows")
    items = (dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return Rows(items, max(lengths, default=0), columns=names)


def _read_list(value: Any) -> Rows | None:
    """All rows of a list are looked at before the first is asked."""
    if not isinstance(value, (list, tuple)) or hasattr(value, "_fields"):
        return None
    rows = [row for item in value for row in _read_item(item)]
    return Rows(iter(rows), len(rows), in_memory=True, columns=tuple(dict.fromkeys(itertools.chain.from_iterable(rows))))


def _read_item(value: Any) -> Iterable[Mapping[str, Any]]:
    """The rows of one part of a list or iterator: a row, or a data frame or record batch with several, as readers yield chunks."""
    if hasattr(value, "shape") and (hasattr(value, "columns") or hasattr(value, "to_pylist")):
        return read_rows(value).items
    return (_read_row(value),)


def _read_row(value: Any) -> Mapping[str, Any]:
    """One row as a dict with text for names."""
    found = _read_record(value)
    if found is None:
        raise OptionError(f"a row is a dict or a record with named fields, not {type(value).__name__}", option="rows", hint=_HINT)
    return found if all(isinstance(k, str) for k in found) else dict(zip(_name_columns(found), found.values(), strict=True))


def _read_record(value: Any) -> Mapping[Any, Any] | None:
    """The fields of a record by name: a dict, dataclass, named tuple, attrs or pydantic object, ``sqlite3.Row``, or one of numpy."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    names = getattr(value, "_fields", None)
    if isinstance(value, tuple) and names is not None:
        return dict(zip(names, value, strict=True))
    fields = getattr(type(value), "model_fields", None)
    if isinstance(fields, Mapping):
        return {name: getattr(value, name) for name in (*fields, *(getattr(value, "model_extra", None) or {}))}
    if hasattr(type(value), "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in type(value).__attrs_attrs__}
    columns = getattr(getattr(value, "dtype", None), "names", None)
    if columns is not None:  # a record of a structured array
        return {name: value[name].item() for name in columns}
    if callable(getattr(value, "keys", None)) and hasattr(value, "__getitem__"):
        return {name: value[name] for name in _name_columns(value.keys())}
    return None


def _read_frame(value: Any) -> Rows | None:
    """The rows of a data frame or a series; ``None`` where the value is neither."""
    from narwhals.exceptions import DuplicateError

    heads = value.columns if hasattr(type(value), "iloc") and hasattr(value, "columns") else None
    if heads is not None:
        _name_columns(heads)  # pandas allows what no dict can hold
    try:
        frame = read_frame(value)
    except ModuleNotFoundError as error:
        hint = f"pip install {error.name}, or pass its rows as a list of dicts."
        raise MissingExtraError(f"{error.name} is needed to read {type(value).__name__}", hint=hint, extra=error.name) from error
    except DuplicateError as error:
        raise _several_columns(f"in {type(value).__name__} have the same name") from error
    if frame is None:
        return None
    names = _name_columns(frame.columns)
    named = () if frame.index is None else tuple(str(name) for name in frame.index.names if name is not None)
    dtypes = None if heads is None else dict(zip(names, value.dtypes, strict=True))
    items = (dict(zip(names, row, strict=True)) for row in frame.rows)
    return Rows(items, frame.count, frame.index, False, names, dtypes, named, getattr(heads, "nlevels", 1))


def _read_arrow_batches(value: Any) -> Rows | None:
    """The rows of an Arrow reader, record batch, scanner or dataset, batch by batch."""
    schema, batches = getattr(value, "schema", None), _arrow_batches(value)
    if batches is None or schema is None or not hasattr(schema, "names"):
        return None
    names = _name_columns(schema.names)
    count = getattr(value, "num_rows", None)
    return Rows(itertools.chain.from_iterable(batch.to_pylist() for batch in batches), count, columns=names, consumed=batches is value)


def _arrow_batches(value: Any) -> Iterable[Any] | None:
    if callable(getattr(value, "to_batches", None)):
        return value.to_batches()  # type: ignore[no-any-return]  # Arrow is not known here
    if callable(getattr(value, "to_pylist", None)):
        return [value]
    return value if callable(getattr(value, "read_next_batch", None)) else None


def _read_cursor(value: Any) -> Rows | None:
    """The rows of a database cursor (PEP 249)."""
    fetch: Callable[[], Any] | None = getattr(value, "fetchone", None)
    if not callable(fetch) or not hasattr(value, "description"):
        return None
    if value.description is None:
        raise OptionError("the cursor has no rows", option="rows", hint='Execute a query first: db.execute("SELECT …").')
    names = _name_columns(column[0] for column in value.description)
    items = (item if isinstance(item, Mapping) else dict(zip(names, item, strict=True)) for item in iter(fetch, None))
    return Rows(items, columns=names, consumed=True)


def _read_column(value: Any) -> Rows | None:
    """The values of one column of a Hugging Face dataset, under its name."""
    name = getattr(value, "column_name", None)
    if not isinstance(name, str) or not isinstance(value, Iterable):
        return None
    return Rows(({name: item} for item in value), len(value) if isinstance(value, Sized) else None, columns=(name,))


def _name_columns(names: Iterable[Any]) -> tuple[str, ...]:
    """Column names as text; raises ``OptionError`` where several are the same."""
    found = tuple(map(str, names))
    twice = [name for name, times in Counter(found).items() if times > 1]
    if twice:
        raise _several_columns(f"are named '{twice[0]}'")
    return found


def _several_columns(fault: str) -> OptionError:
    return OptionError(f"several columns {fault}", option="rows", hint="A prompt reaches a column by its name: rename them first.")
