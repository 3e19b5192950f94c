"""Turns the properties of a ``.prompty`` file into JSON schema: of tools' parameters, and of the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_TYPES = {"string": "string", "integer": "integer", "float": "number", "number": "number", "boolean": "boolean"}


def list_properties(given: Any) -> list[Mapping[str, Any]]:
    """Properties as a list with names, from a list, from a table by name, or from a table that holds either as ``properties``.

    >>> list_properties({"topic": "tea", "n": {"kind": "integer"}})
    [{'name': 'topic', 'default': 'tea'}, {'name': 'n', 'kind': 'integer'}]
    """
    if isinstance(given, Mapping) and "properties" in given:
        given = given["properties"]
    if isinstance(given, Mapping):
        return [{"name": name, **(value if _is_property(value) else {"default": value})} for name, value in given.items()]
    return [p for p in given or () if isinstance(p, Mapping) and p.get("name")] if isinstance(given, Iterable) else []


def _is_property(value: Any) -> bool:
    known = {"kind", "type", "default", "sample", "example", "description", "required", "is_required", "enumValues"}
    return isinstance(value, Mapping) and bool(known & value.keys())


def build_schema(properties: Iterable[Mapping[str, Any]], *, strict: bool = False) -> dict[str, Any]:
    """The JSON schema of an object with these properties; where ``strict``, each is required and an optional one may be null.

    >>> build_schema([{"name": "city", "kind": "string", "required": True}])
    {'type': 'object', 'properties': {'city': {'type': 'string'}}, 'required': ['city']}
    """
    listed = list(properties)
    schema: dict[str, Any] = {"type": "object", "properties": {p["name"]: _build_one(p, strict=strict) for p in listed}}
    required = [p["name"] for p in listed if strict or p.get("required")]
    return {**schema, **({"required": required} if required else {}), **({"additionalProperties": False} if strict else {})}


def _build_one(given: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    kind = str(given.get("kind") or given.get("type") or "string")
    schema: dict[str, Any] = {"type": _TYPES[kind]} if kind in _TYPES else {}
    if kind == "array":
        items = given.get("items")
        schema = {"type": "array", **({"items": _build_one(items, strict=strict)} if isinstance(items, Mapping) else {})}
    elif kind == "object":
        schema = build_schema(list_properties(given.get("properties")), strict=strict)
    if strict and not given.get("required") and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    more = {"description": given.get("description"), "enum": given.get("enumValues")}
    return {**schema, **{k: v for k, v in more.items() if v}}
