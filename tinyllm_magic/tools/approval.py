"""Asks the user whether a tool may run, where anybody can be asked."""

from __future__ import annotations

import builtins
import sys
import threading
import types

from ..errors import ToolError
from ..redaction import mask
from ..text_format import printable, shorten

_YES, _NO = ("y", "yes"), ("", "n", "no")
_LONGEST = 2000


def ask_user(call: str, why: str) -> str:
    """Empty where the user allows a call, else what the model is told; raises ``ToolError`` where nobody can be asked.

    ``call`` is the call in words, ``why`` says why it has to be asked for.
    """
    if not _can_ask():
        raise _nobody(call, why)
    question = f"Run {shorten(printable(mask(call)), _LONGEST)} ? [y/N, or why not] "
    try:
        said = input(question).strip()
    except (EOFError, NotImplementedError, OSError, RuntimeError) as error:  # a front end, or a closed terminal, that takes no input
        raise _nobody(call, why) from error
    if said.lower() in _YES:
        return ""
    return "the user did not allow this call" + ("" if said.lower() in _NO else f": {said}")


def _can_ask() -> bool:
    """Whether there is a terminal, or a kernel has put its own ``input`` in the place of Python's; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        return False
    own = isinstance(builtins.input, types.BuiltinFunctionType)
    return not own or (sys.stdin is not None and sys.stdin.isatty())


def _nobody(call: str, why: str) -> ToolError:
    return ToolError(f"{call} was not run: {why}, and nobody can be asked here", hint="Run the cell where a question can be answered.")
