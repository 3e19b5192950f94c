"""What an answer has to be (``Schema``), read from types, JSON Schemas, short forms and choices; checks answers against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from ..errors import NoJSONError, OptionError, SchemaError
from ..json_schema import VALUE, FieldType, field_types, has_fields, is_strict, make_strict, unwrap, wrap
from ..json_spans import REASONING_TAGS
from ..json_text import find_json
from ..messages import Message
from ..responses import CUT_REASONS, Response
from .checks import Check, JSONSchemaCheck, Misfit, TypeCheck
from .text import read_text

_MOST_FAULTS = 3
_NO_NAMES: Mapping[str, Any] = MappingProxyType({})


class Schema:
    """What an answer has to be; ``parse`` makes the value of an answer's text.

    ``name`` is what readers and vendors know it by, ``json`` the JSON Schema that is sent: always of an object, for a
    value that is none stands in its field ``value``. ``fields`` are the columns that the value fills in a table.
    """

    def __init__(self, source: Any, check: Check, name: str) -> None:
        self.name = name
        self._source = source
        self._wrapped = not has_fields(check.schema)
        self._check = check.wrapped() if self._wrapped else check
        sent = wrap(check.schema) if self._wrapped else dict(check.schema)
        self.json = make_strict(sent) if self._check.is_ours else sent
        self.fields: Mapping[str, FieldType] = field_types(self._check.dumped_schema)

    @classmethod
    def of(cls, value: Any, names: Mapping[str, Any] = _NO_NAMES) -> Schema:
        """The schema of a type, a JSON Schema (a dict), or a text: the name of one in ``names``, or the short form.

        Types are pydantic models, dataclasses, typed dicts, enumerations, ``Literal`` and whatever else pydantic reads.
        Raises ``OptionError`` for anything else.
        """
        if isinstance(value, Schema):
            return value
        kind = read_text(value, names) if isinstance(value, str) else value
        if isinstance(kind, Mapping):
            return cls(kind, JSONSchemaCheck(kind), _name(kind.get("title")))
        return cls(kind, TypeCheck(kind), _name(kind))

    @classmethod
    def of_choices(cls, values: Iterable[Any]) -> Schema:
        """The schema of an answer that is one of these values: texts, numbers, booleans."""
        known = tuple(dict.fromkeys(values))
        if not known or not all(isinstance(v, (str, int, bool)) for v in known):
            raise OptionError(f"choices are texts or whole numbers, not {known!r}", option="choices")
        return cls.of(Literal[known])

    @property
    def response_format(self) -> dict[str, Any]:
        """The request's ``response_format``."""
        strict = {"strict": True} if is_strict(self.json) else {}
        return {"type": "json_schema", "json_schema": {"name": self.name, "schema": self.json, **strict}}

    def read(self, response: Response) -> Response:
        """The response with its value in ``parsed``; raises ``SchemaError``, which keeps it, where the answer does not fit.

        An answer that only calls tools has no value yet, and comes back as it is.
        """
        answer = response.record.answer
        if answer.text is None and answer.tool_calls:
            return response
        fault, hint = "", ""
        if answer.refusal and not answer.text:
            fault, hint = f"the model refused: {answer.refusal}", "Rephrase the prompt, or ask another model with `-m`."
        elif answer.finish_reason in CUT_REASONS:
            fault, hint = f"the answer was cut (finish reason {answer.finish_reason})", "Raise max_tokens, or ask for less."
        try:
            if fault:
                raise self._misfit(response.text, (("", fault),), hint)
            return replace(response, parsed=self.parse(response.text), schema=self)
        except SchemaError as error:
            error.response = response
            raise

    def parse(self, text: str) -> Any:
        """The checked value of an answer's text; raises ``SchemaError``."""
        faults: tuple[tuple[str, str], ...] = ()
        for source, value in self._candidates(text):
            try:
                checked = self._check.check(source, value)
            except Misfit as misfit:
                faults = faults or misfit.faults
            else:
                return checked[VALUE] if self._wrapped else checked
        raise self._misfit(text, tuple((self._outer(where), why) for where, why in faults))

    def to_plain(self, value: Any) -> Any:
        """A checked value as plain JSON data."""
        plain = self._check.to_plain({VALUE: value} if self._wrapped else value)
        return plain[VALUE] if self._wrapped else plain

    def to_columns(self, value: Any) -> dict[str, Any]:
        """A checked value as the columns of a table, members of enumerations by their values."""
        return self._check.to_columns({VALUE: value} if self._wrapped else value)

    def _candidates(self, text: str) -> Iterator[tuple[str, Any]]:
        """Readings of a text, each as JSON text and as data; the first one that fits counts.

        A value that is no object may come without the object around it, and a text without its quotes.
        """
        said = _skip_reasoning(text).strip()
        takes_text = self._wrapped and said[:1] not in ("", "{", "[", '"')
        try:
            source, value = find_json(text)
        except NoJSONError as error:
            if not takes_text:
                raise self._misfit(text, (("", error.message),), error.hint) from error
        else:
            is_envelope = unwrap(value) is not value
            if is_envelope or not self._wrapped:
                yield source, value
            if self._wrapped:
                yield _wrapped_value(value)
            takes_text = takes_text and not is_envelope
        if takes_text:
            yield _wrapped_value(self._choice(said))

    def _choice(self, text: str) -> str:
        """A bare text as the choice that it means, however it is spelt."""
        known = {choice.casefold(): choice for choice in self.fields[VALUE].choices}
        return known.get(text.strip("\"'`*. \n").casefold(), text)

    def _misfit(self, text: str, faults: tuple[tuple[str, str], ...], hint: str = "") -> SchemaError:
        message = f"the answer does not fit {'the schema' if self.name == 'answer' else self.name}: {describe_faults(faults)}"
        return SchemaError(message, text=text, faults=faults, hint=hint)

    def _outer(self, where: str) -> str:
        return re.sub(rf"^{VALUE}\.?", "", where) if self._wrapped else where

    def __reduce__(self) -> tuple[Any, ...]:
        return Schema.of, (self._source,)

    def __repr__(self) -> str:
        return f"Schema({self.name})"


def _skip_reasoning(text: str) -> str:
    """What an answer says after its reasoning."""
    for tag in REASONING_TAGS:
        text = text.rpartition(f"</{tag}>")[2]
    return text


def _wrapped_value(value: Any) -> tuple[str, Any]:
    return json.dumps({VALUE: value}), {VALUE: value}


def _name(kind: Any) -> str:
    """A name as vendors take it."""
    named = kind if isinstance(kind, str) else kind.__name__ if isinstance(kind, type) else ""
    return re.sub(r"[^A-Za-z0-9_-]", "_", named)[:64] or "answer"


def describe_faults(faults: tuple[tuple[str, str], ...]) -> str:
    """Where an answer does not fit and why, on one line."""
    words = [f"{where}: {why}" if where else why for where, why in faults[:_MOST_FAULTS]]
    rest = len(faults) - _MOST_FAULTS
    return "; ".join([*words, *([f"and {rest} more"] if rest > 0 else [])])


def follow_up(messages: tuple[Message, ...], error: SchemaError) -> tuple[Message, ...]:
    """The messages of a request that asks again: the answer that did not fit, and what is wrong with it."""
    fault = f"This answer does not fit: {describe_faults(error.faults)}. Answer again, with JSON alone that fits."
    return (*messages, Message("assistant", error.text), Message("user", fault))
