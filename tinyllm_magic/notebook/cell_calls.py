"""Makes the call that a cell stands for, of its options, its text and the variables in scope."""

from __future__ import annotations

import functools
from typing import Any

from ..attachments.expressions import Attached
from ..clients.call import LLMCall
from ..errors import OptionError, near, suggest
from ..schemas.schema import Schema
from .options import Options
from .scope import Scope

_PASSED_ON = ("model", "mode", "tries", "max_steps", "approve")
"""Options that are parameters of the call by the same name."""


def make_call(scope: Scope, chosen: Options, text: str, *, first_line: int) -> LLMCall:
    """The call that a cell stands for, over the variables in scope."""
    return LLMCall.from_text(
        text,
        system=chosen.system,
        template=chosen.template,
        namespace=scope.names,
        first_line=first_line,
        attached=[Attached(option, given) for option, given in chosen.attached],
        fetches=chosen.fetch,
        **chosen.params,
        **{name: value for name in _PASSED_ON if (value := getattr(chosen, name)) is not None},
        **({} if (schema := choose_schema(chosen, scope)) is None else {"schema": schema}),
        **({} if chosen.tools is None else {"tools": [find_tool(name, scope) for name in chosen.tools]}),
    )


def find_tool(name: str, scope: Scope) -> Any:
    """The function of this name, or at the end of a path such as ``module.function``; raises ``OptionError`` where there is none."""
    first, *path = name.split(".")
    try:
        found = functools.reduce(getattr, path, scope.names[first])
    except (KeyError, AttributeError):
        functions = [known for known, value in scope.names.items() if callable(value) and not known.startswith("_")]
        hint = suggest(near(name, functions)) or "--tools takes names of functions that this notebook has defined or imported."
        raise OptionError(f"--tools: there is no function {name} here", option="--tools", hint=hint) from None
    if not callable(found):
        raise OptionError(f"--tools: {name} is {type(found).__name__}, no function", option="--tools")
    return found


def choose_schema(chosen: Options, scope: Scope) -> Schema | None:
    """What the answer of a cell has to be, by ``--schema`` or ``--choices``."""
    if chosen.schema is not None and chosen.choices is not None:
        raise OptionError("--schema and --choices both say what the answer has to be: give one of them", option="--choices")
    if chosen.choices is not None:
        return Schema.of_choices(chosen.choices)
    return None if chosen.schema is None else Schema.of(chosen.schema, scope.names)
