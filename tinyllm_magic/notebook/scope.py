"""Finds the variables that Python would see where a magic was called, and the line it stands on.

A function's locals come before those of the functions around it, these before its module's globals and the notebook's.
A local of a function around it that can no longer be reached is an undefined name: no global stands in for it.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

_MACHINERY = ("IPython", "ipykernel", __name__.partition(".")[0])


@dataclass(frozen=True)
class Scope:
    """The variables a magic sees; the numbers of the lines on which a line magic's text and a cell's text begin in the editor."""

    names: Mapping[str, Any]
    line: int = 1
    cell_line: int = 1


def find_scope(shell: Any) -> Scope:
    """The scope of the frame that called the magic which is running."""
    frame = _calling_frame()
    if frame is None:
        return Scope(shell.user_ns)
    line = frame.f_lineno if frame.f_globals is shell.user_ns else 1
    if not _is_function(frame.f_code) and "<locals>" not in frame.f_code.co_qualname:
        if frame.f_locals is shell.user_ns or frame.f_globals is shell.user_ns:
            names = shell.user_ns if frame.f_locals is frame.f_globals else _chain([frame.f_locals, shell.user_ns])
            return Scope(names, line, _cell_line(shell, frame))
        return Scope(_chain([frame.f_locals, frame.f_globals, shell.user_ns]))
    return Scope(_chain([*_locals_of(frame), frame.f_globals, shell.user_ns]), line)


def stands_alone() -> bool:
    """Whether the line magic that is running is a statement of its own, so that its value goes nowhere but on the screen."""
    frame = _calling_frame()
    return frame is not None and _code_line(frame).startswith("get_ipython().run_line_magic(")  # what IPython makes of `%llm …`


def _calling_frame() -> FrameType | None:
    """The innermost frame that belongs to neither IPython nor this package."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the way to the caller's variables that Python has
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in _MACHINERY:
        frame = frame.f_back
    return frame


def _locals_of(frame: FrameType) -> list[Mapping[str, Any]]:
    """The locals of a function (or a class body) and of the functions that it is written in; what is lost of these is undefined."""
    found: list[Mapping[str, Any]] = [dict(frame.f_locals)]
    code, outer = frame.f_code, frame.f_back
    while outer is not None:
        if code in outer.f_code.co_consts:
            code = outer.f_code
            if _is_function(code):
                found.append(dict(outer.f_locals))
        outer = outer.f_back
    if "<locals>" in code.co_qualname:  # a function around it has ended, or runs elsewhere: in another thread or task
        found.append(_undefine_lost(code, inner=frame.f_code.co_name))
    return found


def _undefine_lost(code: CodeType, *, inner: str) -> dict[str, Any]:
    """An undefined value for each local of the functions around this code, as its source tells them."""
    from ..prompts.environment import PromptUndefined

    lost: dict[str, Any] = {}
    for function in _enclosing_functions(code):
        for name in (*function.co_varnames, *function.co_cellvars):
            fault = (
                f"{name!r} is a local of {function.co_name}(), which {inner}() does not keep: "
                f"use it in {inner}() itself, as in `{name} = {name}`, or take it as a parameter"
            )
            lost.setdefault(name, PromptUndefined(fault, name=name))
    return lost


def _enclosing_functions(code: CodeType) -> list[CodeType]:
    """The functions that this code is written in, the innermost first; none where there is no source."""
    source = "".join(linecache.getlines(code.co_filename))
    try:
        module = compile(source, code.co_filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError):
        return []
    return list(filter(_is_function, _path_to(code, module) or ()))


def _path_to(code: CodeType, outer: CodeType) -> list[CodeType] | None:
    """The codes between this one and one that it is written in, that included, the innermost first; ``None`` where it is not."""
    if code in outer.co_consts:
        return [outer]
    inner = (c for c in outer.co_consts if isinstance(c, CodeType))
    return next(([*path, outer] for c in inner if (path := _path_to(code, c)) is not None), None)


def _is_function(code: CodeType) -> bool:
    """Whether this is a function's code, a lambda's or a comprehension's: a class body's names are no variables of its methods."""
    return bool(code.co_flags & inspect.CO_OPTIMIZED)


def _chain(scopes: list[Any]) -> Mapping[str, Any]:
    """Several namespaces as one, read only; each stands once, the last live."""
    once = [s for i, s in enumerate(scopes) if all(s is not other for other in scopes[i + 1 :])]
    return ChainMap(*once)


def _cell_line(shell: Any, frame: FrameType) -> int:
    """The line below a ``%%llm`` at the top of its cell, whatever blank lines and other cell magics stand above; else 1: a text's own.

    The history holds the cell as it was typed, but not where it ran without one: then the magic is its first line.
    """
    raw = (getattr(shell.history_manager, "input_hist_raw", None) or [""])[-1]
    for number, line in enumerate(raw.splitlines(), 1):
        if line.startswith("%%llm"):
            return number + 1
        if line.strip() and not line.startswith("%%"):
            break
    code = _code_line(frame)
    return 2 if code.startswith("get_ipython().run_cell_magic(") and code not in raw else 1


def _code_line(frame: FrameType) -> str:
    """The line of Python that runs in a frame; of a magic, what IPython has made of it."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
