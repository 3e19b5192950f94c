"""A Python function as a model's tool (``Tool``): described by its signature and docstring, its arguments checked by pydantic."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import re
import textwrap
import typing
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Annotated, Any

from ..errors import NoJSONError, OptionError
from ..json_text import find_json
from ..schemas.checks import Misfit, TypeCheck, make_arguments_check
from ..text_format import shorten_line
from .docstrings import read_docstring

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_OPEN = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_HINT = "A tool is a function with a name; its annotations and docstring tell the model what it takes."


class Tool:
    """A function that a model may call; ``parameters`` is the JSON Schema of its arguments, ``digest`` that of its source.

    Open parameters (``*args``, ``**options``) are not offered to the model. ``digest`` is empty where the source is unknown.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = _name(function)
        target = _described_part(function)
        self.description, meanings = read_docstring(function if inspect.isclass(function) else target)
        try:
            known = inspect.signature(function).parameters.values()
        except (TypeError, ValueError) as error:
            raise OptionError(f"the tool {self.name} does not say what it takes: {error}", option="tools", hint=_HINT) from error
        self._given = tuple(p for p in known if p.kind not in _OPEN)
        hints = _read_hints(self.name, target)
        fields = {p.name: _describe_parameter(p, hints.get(p.name, Any), meanings.get(p.name, "")) for p in self._given}
        self._check = _make_check(self.name, fields, [p.name for p in self._given if p.default is Parameter.empty])
        self.parameters: Mapping[str, Any] = self._check.schema
        self.digest = _digest_source(target)

    @classmethod
    def of(cls, value: Any) -> Tool:
        """The tool of a function, method or other callable; raises ``OptionError`` for anything else."""
        if isinstance(value, Tool):
            return value
        if not callable(value):
            words = f"{shorten_line(repr(value), 60)} is no function that a model could call"
            raise OptionError(words, option="tools", hint=_HINT)
        return cls(value)

    def to_dict(self) -> dict[str, Any]:
        """The tool in the OpenAI chat format."""
        said = {"name": self.name, **({"description": self.description} if self.description else {})}
        return {"type": "function", "function": {**said, "parameters": dict(self.parameters)}}

    def read_arguments(self, text: str) -> dict[str, Any]:
        """The checked arguments in a model's JSON text; no text means no arguments. Raises ``Misfit``."""
        try:
            source, value = find_json(text) if text.strip() else ("{}", {})
        except NoJSONError as error:
            raise Misfit((("", f"the arguments are no JSON: {error.message}"),)) from error
        checked: dict[str, Any] = self._check.check("{}" if value is None else source, {} if value is None else value)
        return checked

    def call(self, arguments: Mapping[str, Any]) -> Any:
        """What the function returns for checked arguments; what they leave out has its default."""
        values = dict(arguments)
        first = [p for p in self._given if p.kind is Parameter.POSITIONAL_ONLY]
        return self.function(*[values.pop(p.name, p.default) for p in first], **values)

    def __reduce__(self) -> tuple[Any, ...]:
        return Tool, (self.function,)

    def __repr__(self) -> str:
        return f"Tool({self.name})"


def _name(function: Any) -> str:
    named = function.func if isinstance(function, functools.partial) else function
    name = getattr(named, "__name__", type(named).__name__)
    if not _NAME.match(name):
        raise OptionError(
            f"a tool cannot be called {name!r}: give the function a name of letters, digits and _", option="tools", hint=_HINT
        )
    return name


def _described_part(function: Any) -> Any:
    """The part of a callable that has annotations and source: a method of its class, what a decorator or ``partial`` holds."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isclass(function):
        return function.__init__
    return inspect.unwrap(function if inspect.isroutine(function) else type(function).__call__)


def _read_hints(name: str, target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception as error:  # an annotation may be any expression
        raise OptionError(f"an annotation of the tool {name} cannot be read: {error}", option="tools") from error


def _describe_parameter(parameter: Parameter, kind: Any, meaning: str) -> Any:
    """The type of a parameter with what is said of it: a text in its ``Annotated``, else in the docstring; and its default."""
    from pydantic import Field

    said = typing.get_args(kind)[1:] if typing.get_origin(kind) is Annotated else ()
    meaning = next((text for text in said if isinstance(text, str)), meaning)
    facts: dict[str, Any] = {"description": meaning} if meaning else {}
    if parameter.default is not Parameter.empty and _is_json(parameter.default):
        facts["json_schema_extra"] = {"default": parameter.default}
    if not facts:
        return kind
    bare = typing.get_args(kind)[0] if said else kind
    return functools.reduce(lambda made, part: Annotated[made, part], said, Annotated[bare, Field(**facts)])


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _make_check(name: str, fields: Mapping[str, Any], required: list[str]) -> TypeCheck:
    try:
        return make_arguments_check(fields, required)
    except OptionError as error:
        why = str(error.__cause__ or error).partition("\n")[0]
        raise OptionError(f"no model can give the tool {name} its arguments: {why}", option="tools", hint=_HINT) from error


def _digest_source(target: Any) -> str:
    try:
        source = textwrap.dedent(inspect.getsource(target))
    except (OSError, TypeError):
        return ""
    return hashlib.sha256(source.encode()).hexdigest()[:16]
