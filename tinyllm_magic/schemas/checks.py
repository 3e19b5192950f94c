"""Checks values against a Python type (by pydantic) or a JSON Schema (by jsonschema); both are imported on first use."""

from __future__ import annotations

import functools
import inspect
import json
import operator
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Protocol, is_typeddict

from ..errors import OptionError
from ..json_schema import KEYWORDS, VALUE, resolve, walk, wrap
from ..text_format import shorten_line
from .text import Fields

Faults = tuple[tuple[str, str], ...]
_HINT = "A schema is a pydantic model, dataclass, TypedDict, enum, Literal or type, a JSON Schema (dict), or the short form."
_FORMATS = ("date", "email", "ipv4", "ipv6", "regex", "uuid")  # others need packages that not every machine has
_GENERICS = (list, dict, tuple, set, frozenset)


class Misfit(ValueError):
    """A value that does not fit; ``faults`` are pairs of where and why."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self.faults = faults


class Check(Protocol):
    """What checks the values of one schema."""

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of what comes in."""
        ...

    @property
    def dumped_schema(self) -> Mapping[str, Any]:
        """The JSON Schema of what ``to_columns`` gives."""
        ...

    @property
    def is_ours(self) -> bool:
        """Whether ``schema`` was made here, and may be made stricter."""
        ...

    def check(self, source: str, value: Any) -> Any:
        """The checked value of JSON text, which is also given as data; raises ``Misfit``."""
        ...

    def to_plain(self, value: Any) -> Any:
        """A checked value as JSON data."""
        ...

    def to_columns(self, value: Any) -> dict[str, Any]:
        """A checked object as its fields."""
        ...

    def wrapped(self) -> Check:
        """The check of an object that holds such a value in its one field."""
        ...


class TypeCheck:
    """The check of a Python type."""

    is_ours = True

    def __init__(self, kind: Any) -> None:
        from pydantic import TypeAdapter

        self._kind = kind
        if inspect.isroutine(kind):  # pydantic would describe its arguments
            raise OptionError(f"an answer cannot be checked against the function {shorten_line(repr(kind), 60)}", option="schema")
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(_readable(kind))
            self.schema: Mapping[str, Any] = _without_names(self._adapter.json_schema(schema_generator=_generator()))
            self.dumped_schema: Mapping[str, Any] = self._adapter.json_schema(by_alias=False, mode="serialization")
        except Exception as error:  # a class of the user's may raise anything
            words = str(error).partition("\n")[0].partition(". ")[0] or type(error).__name__
            raise OptionError(
                f"an answer cannot be checked against {shorten_line(repr(kind), 60)}: {words}",
                option="schema",
                hint=_HINT,
            ) from error

    def check(self, source: str, value: Any) -> Any:
        """The checked value; a validator of the user's that breaks is a fault of the answer too."""
        from pydantic import ValidationError

        try:
            try:
                return self._adapter.validate_json(source)
            except ValidationError as error:
                if error.errors()[0]["type"] != "json_invalid":
                    raise
                return self._adapter.validate_json(json.dumps(value))  # a line break within a string, a comma too many
        except ValidationError as error:
            raise Misfit(tuple(_describe_error(e) for e in error.errors(include_url=False, include_context=False))) from error
        except Exception as error:
            raise Misfit((("", f"a validator failed: {type(error).__name__}: {error}"),)) from error

    def to_plain(self, value: Any) -> Any:
        """A checked value as JSON data."""
        return self._adapter.dump_python(value, mode="json", warnings=False, fallback=str)

    def to_columns(self, value: Any) -> dict[str, Any]:
        """A checked object as its fields by name, members of enumerations by their values."""
        dumped = self._adapter.dump_python(value, warnings=False)
        return {name: item.value if isinstance(item, Enum) else item for name, item in dumped.items()}

    def wrapped(self) -> Check:
        """The check of an object with one field of this type."""
        return TypeCheck(_typed_dict("answer", {VALUE: _readable(self._kind)}))


class JSONSchemaCheck:
    """The check of a JSON Schema that somebody wrote; references lead nowhere outside of it."""

    is_ours = False

    def __init__(self, schema: Mapping[str, Any]) -> None:
        from jsonschema import Draft202012Validator, FormatChecker, SchemaError, validators
        from referencing import Registry

        self.schema = self.dumped_schema = dict(schema)
        if not KEYWORDS & self.schema.keys():
            raise OptionError(f"the schema says nothing of an answer: {shorten_line(repr(schema), 60)}", option="schema", hint=_HINT)
        kind = validators.validator_for(self.schema, default=Draft202012Validator)
        try:
            kind.check_schema(self.schema)
        except SchemaError as error:
            where = "".join(f"[{part!r}]" for part in error.absolute_path)
            words = f"the schema is no JSON Schema: {where}{' ' if where else ''}{shorten_line(error.message, 120)}"
            raise OptionError(words, option="schema") from error
        for reference in (node["$ref"] for node in walk(self.schema) if "$ref" in node):
            if not _is_held(reference, self.schema):
                raise OptionError(f"the schema refers to {reference!r}, which it does not hold", option="schema")
        self._validator = kind(self.schema, registry=Registry(), format_checker=FormatChecker(_FORMATS))

    def check(self, source: str, value: Any) -> Any:
        """The value itself, where it fits."""
        del source
        try:
            found = sorted(self._validator.iter_errors(value), key=lambda e: list(map(str, e.absolute_path)))
        except RecursionError:
            raise Misfit((("", "it is nested too deeply"),)) from None
        if found:
            raise Misfit(tuple((_path(e.absolute_path), shorten_line(e.message, 200)) for e in found))
        return value

    def to_plain(self, value: Any) -> Any:
        """The value itself."""
        return value

    def to_columns(self, value: Any) -> dict[str, Any]:
        """The value itself, which is an object."""
        return dict(value)

    def wrapped(self) -> Check:
        """The check of an object that holds such a value in its one field."""
        return JSONSchemaCheck(wrap(self.schema))


def make_arguments_check(fields: Mapping[str, Any], required: typing.Collection[str]) -> TypeCheck:
    """The check of a function's arguments by name, and of no others; those that are not ``required`` may be left out."""
    arguments = _typed_dict("arguments", {name: _readable(kind) for name, kind in fields.items()}, required)
    arguments.__pydantic_config__ = {"extra": "forbid"}
    return TypeCheck(arguments)


def _is_held(reference: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a reference leads to a place of the same schema; one by an anchor's name is left to the validator."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return False
    return not reference.startswith("#/") or "$ref" not in resolve({"$ref": reference}, schema)


def _describe_error(error: Mapping[str, Any]) -> tuple[str, str]:
    """Where pydantic finds a fault and why, with the value where that is short."""
    given = error.get("input")
    shown = f" (it is {given!r})" if isinstance(given, (str, int, float)) and len(repr(given)) <= 40 and error["type"] != "missing" else ""
    return _path(error["loc"]), f"{error['msg']}{shown}"


def _path(parts: Any) -> str:
    """A path such as ``tags[2].name``."""
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts).lstrip(".")


@functools.cache
def _generator() -> Any:
    """Makes JSON Schemas without titles that only repeat the names of fields."""
    from pydantic.json_schema import GenerateJsonSchema

    class WithoutTitles(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            del schema
            return False

    return WithoutTitles


def _without_names(schema: dict[str, Any]) -> dict[str, Any]:
    """A new schema whose parts are not titled by the names of their classes."""
    for node in walk(schema):
        if ("properties" in node or "enum" in node) and isinstance(node.get("title"), str):
            del node["title"]
    return schema


def _readable(kind: Any) -> Any:
    """A type as pydantic reads it; before Python 3.12 it takes typed dicts of ``typing_extensions`` alone."""
    if isinstance(kind, Fields):
        return _from_fields(kind)
    if sys.version_info >= (3, 12):
        return kind
    if is_typeddict(kind) and type(kind).__module__ == "typing":
        hints = typing.get_type_hints(kind, include_extras=True)
        return _typed_dict(kind.__name__, {n: _readable(t) for n, t in hints.items()}, kind.__required_keys__, kind.__doc__)
    origin, parts = typing.get_origin(kind), tuple(map(_readable, typing.get_args(kind)))
    if parts == typing.get_args(kind):
        return kind
    if origin in _GENERICS:
        return origin[parts]
    return functools.reduce(operator.or_, parts) if origin in (typing.Union, types.UnionType) else kind


def _from_fields(fields: Fields) -> Any:
    from pydantic import Field

    hints = {name: Annotated[f.kind, Field(description=f.about)] if f.about else f.kind for name, f in fields.by_name.items()}
    return _typed_dict("answer", {name: _readable(hint) for name, hint in hints.items()})


def _typed_dict(name: str, hints: Mapping[str, Any], required: typing.Collection[str] | None = None, about: str | None = None) -> Any:
    """A new typed dict; where ``required`` is given, other fields may be left out."""
    from typing import NotRequired

    from typing_extensions import TypedDict

    plain = {n: t.__args__[0] if typing.get_origin(t) in (typing.Required, typing.NotRequired) else t for n, t in hints.items()}
    marked = {n: t if required is None or n in required else NotRequired[t] for n, t in plain.items()}
    made = TypedDict(name, marked)  # type: ignore[misc]  # it takes any name where it is called
    made.__doc__ = about
    return made
