"""Values in, text for a prompt out: tables, code blocks, text cut to a number of tokens.

Knows Markdown and, through narwhals, every kind of data frame.
Does not know templates, roles, models or the notebook.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from .errors import PromptError

CHARACTERS_PER_TOKEN = 4  # the usual estimate for English where no tokenizer is at hand


def table(value: Any, max_rows: Any = None) -> str:
    r"""A GitHub Markdown table of a data frame, a list of dicts or a dict of lists.

    Missing values (``None``) are empty cells; pipes are escaped and line breaks become
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
    lines = [_line(columns), _line(["---"] * len(columns)), *map(_line, rows)]
    hidden = total - (len(lines) - 2)
    if hidden:
        lines += ["", f"… {hidden:,} more row{'s' if hidden > 1 else ''}"]
    return "\n".join(lines)


def _line(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(_cell(c) for c in cells)} |"


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return re.sub(r"\r\n|\r|\n", "<br>", text.replace("|", "\\|"))


_Read = tuple[list[Any], Iterable[Sequence[Any]], int]


def _read_table(value: Any, limit: int | None) -> _Read:
    """Columns, the first rows, and how many rows there are in all."""
    if isinstance(value, Mapping):
        return _from_columns(value, limit)
    if isinstance(value, (list, tuple)):
        return _from_rows(value, limit)
    if isinstance(value, (str, bytes, int, float)) or value is None:
        raise _no_table(value)
    frame = _frame(value)
    if frame is not None:
        return frame if limit is None else (frame[0], islice(frame[1], limit), frame[2])
    if callable(getattr(value, "to_dicts", None)):
        return _from_rows(value.to_dicts(), limit)
    raise _no_table(value)


def _no_table(value: Any, why: str = "") -> PromptError:
    return PromptError(
        f"`table` cannot make a table of {type(value).__name__}{why}",
        hint="It takes a pandas or polars data frame, a list of dicts or a dict of lists of equal length.",
    )


def _from_rows(rows: Sequence[Any], limit: int | None) -> _Read:
    if not all(isinstance(r, Mapping) for r in rows):
        odd = next(r for r in rows if not isinstance(r, Mapping))
        raise _no_table(rows, f" that holds {type(odd).__name__}")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return columns, ([row.get(c) for c in columns] for row in islice(rows, limit)), len(rows)


def _from_columns(value: Mapping[Any, Any], limit: int | None) -> _Read:
    for name, column in value.items():
        if isinstance(column, (str, bytes, Mapping)) or not isinstance(column, Iterable):
            raise _no_table(value, f": the value of {name!r} is {type(column).__name__}, not a list")
    lists = [list(column) for column in value.values()]
    lengths = {len(column) for column in lists}
    if len(lengths) > 1:
        raise _no_table(value, f" with lists of different lengths ({', '.join(map(str, sorted(lengths)))})")
    return list(value), islice(zip(*lists, strict=True), limit), max(lengths, default=0)


def _frame(value: Any) -> _Read | None:
    """Columns, rows and length of anything narwhals reads; ``None`` where it reads nothing."""
    import narwhals as nw

    columns: list[Any]
    rows: Iterable[tuple[Any, ...]]
    frame = nw.from_native(value, allow_series=True, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, nw.Series):
        name, index = frame.name or "value", _index(value)
        columns, rows = [name], zip(frame.to_list(), strict=True)
    elif isinstance(frame, nw.DataFrame):
        index = _index(value)
        columns, rows = list(frame.columns), frame.iter_rows()
    else:
        return None
    if index is None:
        return columns, rows, len(frame)
    names, labels = index
    return [*names, *columns], ((*label, *row) for label, row in zip(labels, rows, strict=True)), len(frame)


def _index(value: Any) -> tuple[list[Any], Iterable[tuple[Any, ...]]] | None:
    """Names and labels of a pandas index that says more than the row's number."""
    index = getattr(value, "index", None)
    names = getattr(index, "names", None)
    if index is None or names is None:
        return None
    if all(n is None for n in names) and getattr(index, "inferred_type", "integer") in ("integer", "empty"):
        return None
    labels = (label if isinstance(label, tuple) and len(names) > 1 else (label,) for label in index)
    return ["" if n is None else n for n in names], labels


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


def tojson(value: Any, indent: int | None = None) -> str:
    """The value as JSON, not escaped for HTML; raises ``PromptError`` where JSON cannot hold it."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent)
    except (TypeError, ValueError) as error:
        raise PromptError(f"`tojson` cannot write this value: {error}") from error


def tokens(
    value: Any,
    limit: Any,
    *,
    count: Callable[[str], int] | None = None,
    cut: Callable[[str, int], str] | None = None,
) -> str:
    """The start of the value that fits into ``limit`` tokens.

    ``cut`` does it where given; else the longest start that ``count`` accepts is looked for;
    without either, four characters are taken for a token.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise PromptError(f"tokens(n) takes a number of tokens, not {limit!r}")
    text = str(value)
    if cut is not None:
        return cut(text, limit)
    if count is None:
        return text[: limit * CHARACTERS_PER_TOKEN]
    if count(text) <= limit:
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(text[:middle]) <= limit else (low, middle)
    return text[:low]
