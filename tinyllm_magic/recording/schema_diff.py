"""Says what differs between two response formats: field by field where both are schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..json_schema import describe_fields, find_schema
from ..redaction import mask
from ..text_format import shorten_line

_MOST_FIELDS = 12
_LONGEST_FIELD = 100


def explain_schema_change(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> tuple[str, ...]:
    r"""Lines about two response formats, recorded → asked; none where the difference is no matter of fields.

    >>> def ask(**fields):
    ...     return {"json_schema": {"name": "Person", "schema": {"properties": fields, "required": list(fields)}}}
    >>> print(*explain_schema_change(ask(age={"type": "integer"}), ask(age={"type": "string"}, name={"type": "string"})), sep="\n")
    schema Person:
      age: integer → string
      name: new, string
    """
    before, after = find_schema(old), find_schema(new)
    if before is None or after is None:
        if before is after:
            return ()
        return (f"schema: {_summarize(old)} → {_summarize(new)}", f"  A schema was {'added' if before is None else 'taken away'}.")
    lines = list(_compare(describe_fields(before), describe_fields(after)))
    names = list(dict.fromkeys((_name_of(old), _name_of(new))))
    more = [f"  … and {len(lines) - _MOST_FIELDS} more fields"] if len(lines) > _MOST_FIELDS else []
    return (f"schema {' → '.join(names)}:", *lines[:_MOST_FIELDS], *more) if lines else ()


def _compare(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for path in dict.fromkeys((*before, *after)):
        name, above = path or "the value", path.rpartition(".")[0].removesuffix("[]")
        if above and (above in before) != (above in after):
            continue  # it came or went with the field it belongs to
        if path not in before:
            yield f"  {name}: new, {_shorten(after[path])}"
        elif path not in after:
            yield f"  {name}: gone, it was {_shorten(before[path])}"
        elif before[path] != after[path]:
            yield f"  {name}: {_shorten(before[path])} → {_shorten(after[path])}"
    if list(before) != list(after) and before == after:
        yield f"  the fields are in another order: {', '.join(before)} → {', '.join(after)}"


def _name_of(response_format: Mapping[str, Any] | None) -> str:
    return mask(str(response_format["json_schema"].get("name", ""))) if response_format else ""


def _summarize(response_format: Mapping[str, Any] | None) -> str:
    """A response format in a few words."""
    schema = find_schema(response_format)
    if schema is None:
        return f"(none, but {response_format.get('type')})" if response_format else "(none)"
    fields = ", ".join(f"{path}: {words}" if path else words for path, words in describe_fields(schema).items())
    return f"{_name_of(response_format)} ({_shorten(fields)})"


def _shorten(text: str) -> str:
    return shorten_line(mask(text), _LONGEST_FIELD)
