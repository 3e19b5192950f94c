"""Decides what a template file may call and name: it may have come from anybody, and the notebook's `get_ipython` runs anything.

A file works on data: text, numbers, lists, dicts, dates, data frames, and the notebook's own functions and objects. It
reaches into no module, and calls nothing of the standard library, of IPython, or of a data frame that reads, writes or
runs something. What a cell itself says is its author's own.
"""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

_DATA_MODULES = frozenset(
    (
        *("array", "bisect", "calendar", "cmath", "collections", "collections_abc", "dataclasses", "datetime", "decimal", "difflib"),
        *("enum", "fractions", "heapq", "html", "ipaddress", "itertools", "json", "math", "numbers", "pydatetime", "pydecimal"),
        *("random", "re", "statistics", "string", "textwrap", "time", "types", "typing", "unicodedata", "uuid", "zoneinfo"),
    )
)
_PLAIN_BUILTINS = frozenset(
    (
        *("abs", "all", "any", "ascii", "bin", "chr", "divmod", "format", "hash", "hex", "len", "max", "min", "oct", "ord", "pow"),
        *("repr", "round", "sorted", "sum"),
    )
)
_SHELLS = ("IPython", "ipykernel")
_FRAME_LIBRARIES = ("numpy", "pandas", "polars")
_FRAME_ACTIONS = re.compile(  # of these libraries: what reads or writes files, or runs what its arguments say
    r"agg|aggregate|apply\w*|boxplot|dumps?|eval|from\w+|genfromtxt|hist|load\w*|map\w*|memmap|pipe|plot|query|read\w*|save\w*|scan_\w+"
    r"|serialize|sink_\w+|sql|tofile|to_(?:clipboard|excel|feather|gbq|hdf|iceberg|orc|parquet|pickle|sql|stata|xml)|transform|write_\w+"
)
_FRAME_TEXTS = ("to_csv", "to_html", "to_json", "to_latex", "to_markdown", "to_string")  # a text, unless a place is said
_PLACES = frozenset(("buf", "path_or_buf", "path"))


def name_forbidden(function: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """What it is that a template file may not call, or ``None`` where it may."""
    owner = getattr(function, "__self__", None)
    name = str(getattr(function, "__name__", type(function).__name__))
    if isinstance(owner, ModuleType) and owner.__name__ == "builtins":
        return None if name in _PLAIN_BUILTINS else name
    kind = owner if isinstance(owner, type) else type(owner)
    homes = {getattr(function, "__module__", None), None if owner is None or isinstance(owner, ModuleType) else kind.__module__}
    tops = {str(home).partition(".")[0] for home in homes if home} or {type(function).__module__.partition(".")[0]}
    if tops & {*_SHELLS} or any(map(_acts, tops)):
        return name
    if tops & {*_FRAME_LIBRARIES}:
        says_place = name in _FRAME_TEXTS and bool(arguments or _PLACES & named.keys())
        return name if says_place or _FRAME_ACTIONS.fullmatch(name) else None
    return None


def _acts(module: str) -> bool:
    """Whether this module of the standard library may do more than compute."""
    return module in sys.stdlib_module_names and module not in ("builtins", "__main__") and module.lstrip("_") not in _DATA_MODULES
