"""Reads JSON Schemas as plain data: their parts, their fields in words, and the strict form that vendors enforce."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .text_format import shorten_line

VALUE = "value"
"""The one field of the object in which a value travels that is no object itself: vendors take objects only."""
_NESTED = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "allOf", "oneOf", "prefixItems")
_ENFORCED = frozenset(  # what a strict mode can hold an answer to
    (
        *("type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs", "definitions"),
        *("description", "title", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("minItems", "maxItems", "minLength", "maxLength"),
    )
)
_SAID = frozenset(("type", "format", "enum", "const", "$ref", "title", "description", "required", "default", *_NESTED, *_NAMED, *_LISTED))
KEYWORDS = _ENFORCED | frozenset((*_NESTED, *_NAMED, *_LISTED)) - {"title", "description"}
"""Words by which a JSON Schema says what a value is."""
_LONGEST_WORDS = 120
_DEEPEST = 10  # alternatives and lists within each other


def walk(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and all schemas within it, itself first."""
    yield schema
    parts = [schema.get(name) for name in _NESTED]
    parts += [part for name in _NAMED if isinstance(schema.get(name), dict) for part in schema[name].values()]
    parts += [part for name in _LISTED if isinstance(schema.get(name), list) for part in schema[name]]
    for part in parts:
        if isinstance(part, dict):
            yield from walk(part)


def resolve(node: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a node that refers to another place of the same document stands for; its own keywords stay beside it."""
    seen: set[str] = set()
    while isinstance(reference := node.get("$ref"), str) and reference.startswith("#") and reference not in seen:
        seen.add(reference)
        target: Any = root
        for name in reference.split("/")[1:]:
            target = target.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            return node
        node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def make_strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A new schema in which each object has all of its fields and no others, as strict modes demand."""
    strict = copy.deepcopy(dict(schema))
    for node in walk(strict):
        if "$ref" in node and len(node) > 1:  # a reference may have no keywords beside it
            found = copy.deepcopy(dict(resolve(node, strict)))
            node.clear()
            node.update(found)
        node.pop("default", None)
        if "(?" in str(node.get("pattern", "")):  # no grammar holds an answer to what may not follow
            del node["pattern"]
        if "properties" in node:
            node["required"] = list(node["properties"])
            node.setdefault("additionalProperties", False)
    return strict


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether a strict mode takes this schema: objects of given fields throughout, and no keyword that it cannot enforce."""
    for node in walk(dict(schema)):
        fields = node.get("properties", {})
        is_object = node.get("type") == "object" or "properties" in node
        if is_object and (node.get("additionalProperties") is not False or set(node.get("required", ())) != set(fields)):
            return False
        if not _ENFORCED.issuperset(node):
            return False
    return schema.get("type") == "object"


def wrap(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object whose one field holds what the given schema describes."""
    inner = {k: v for k, v in schema.items() if k not in ("$defs", "definitions", "$schema")}
    outer = {k: schema[k] for k in ("$schema", "$defs", "definitions") if k in schema}
    return {"type": "object", "properties": {VALUE: inner}, "required": [VALUE], "additionalProperties": False, **outer}


def unwrap(value: Any) -> Any:
    """The value out of the object that ``wrap`` describes; any other value as it is.

    >>> unwrap({"value": [1]}), unwrap({"name": "Ada"})
    ([1], {'name': 'Ada'})
    """
    return value[VALUE] if isinstance(value, dict) and value.keys() == {VALUE} else value


def find_schema(response_format: Any) -> Mapping[str, Any] | None:
    """The schema in a request's response format, which may be anybody's; ``None`` where it holds none."""
    held = response_format.get("json_schema") if isinstance(response_format, Mapping) else None
    schema = held.get("schema") if isinstance(held, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def has_fields(schema: Mapping[str, Any]) -> bool:
    """Whether a schema describes an object whose fields are named."""
    root = resolve(schema, schema)
    return root.get("type") == "object" and bool(root.get("properties"))


def describe_fields(schema: Mapping[str, Any]) -> dict[str, str]:
    """What a schema asks for, field by field: paths and words; the path of a value that is no object is empty.

    >>> describe_fields({"type": "object", "properties": {"age": {"type": "integer"}, "tags": {"type": "array",
    ...     "items": {"type": "string"}, "description": "free words"}}, "required": ["age", "tags"]})
    {'age': 'integer', 'tags': 'list of string: free words'}
    """
    whole = {} if has_fields(schema) else {"": _words(schema, schema)}
    return whole | dict(_fields(schema, schema, "", ()))


def _fields(node: Any, root: Mapping[str, Any], path: str, above: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """The paths and words of the fields within a node, those of an object within itself once."""
    for inside, holder in _objects(node, root, path):
        for name, field in holder["properties"].items() if holder["properties"] not in above else ():
            where = f"{inside}.{name}".lstrip(".")
            missing = "" if name in _list(holder, "required") else " (may be left out)"
            about = resolve(field, root).get("description") if isinstance(field, Mapping) else None
            yield where, _words(field, root) + missing + (f": {shorten_line(str(about), _LONGEST_WORDS)}" if about else "")
            yield from _fields(field, root, where, (*above, holder["properties"]))


def _objects(node: Any, root: Mapping[str, Any], path: str, depth: int = 0) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects with fields that a node may be, or that its lists hold, each with its path."""
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return
    plain = resolve(node, root)
    if isinstance(plain.get("properties"), Mapping):
        yield path, plain
    elif plain.get("type") == "array":
        yield from _objects(plain.get("items"), root, f"{path}[]", depth + 1)
    for part in (p for key in ("anyOf", "oneOf", "allOf") for p in _list(plain, key)):
        yield from _objects(part, root, path, depth + 1)


def _list(node: Mapping[str, Any], key: str) -> list[Any]:
    """A list in a schema, which may be anybody's; empty where there is none."""
    found = node.get(key)
    return found if isinstance(found, list) else []


def _words(node: Any, root: Mapping[str, Any], depth: int = 0) -> str:
    """The type of a node and its limits."""
    if not isinstance(node, Mapping) or depth > _DEEPEST:
        return "anything"
    plain = resolve(node, root)
    limits = [f"{k} {json.dumps(v, ensure_ascii=False)}" for k, v in plain.items() if k not in _SAID and not k.startswith("$")]
    return ", ".join([_type_words(plain, root, depth), *limits])


def _type_words(node: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> str:
    if _list(node, "enum"):
        return f"one of {', '.join(v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in node['enum'])}"
    if "const" in node:
        return json.dumps(node["const"], ensure_ascii=False)
    for key, between in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if _list(node, key):
            return between.join(_words(part, root, depth + 1) for part in node[key])
    kind = node.get("type", "object" if "properties" in node else "anything")
    if isinstance(kind, list):
        return " or ".join(map(str, kind))
    if kind == "array" and _list(node, "prefixItems"):
        return f"list of ({', '.join(_words(part, root, depth + 1) for part in node['prefixItems'])})"
    if kind == "array":
        return f"list of {_words(node.get('items'), root, depth + 1)}"
    if kind == "object" and isinstance(node.get("additionalProperties"), Mapping):
        return f"object of {_words(node['additionalProperties'], root, depth + 1)}"
    return str(node.get("format", kind) if kind == "string" else kind)


@dataclass(frozen=True)
class FieldType:
    """What the values of one field are: the ``type`` of JSON Schema, its ``format`` where that decides, the texts of an enumeration.

    ``kind`` is empty where values are of several types.
    """

    kind: str = ""
    choices: tuple[str, ...] = ()


def field_types(schema: Mapping[str, Any]) -> dict[str, FieldType]:
    """The types of an object's fields, by name."""
    root = resolve(schema, schema)
    return {name: _field_type(node, root) for name, node in root.get("properties", {}).items()}


def _field_type(node: Any, root: Mapping[str, Any]) -> FieldType:
    plain = resolve(node, root) if isinstance(node, Mapping) else {}
    parts = [p for p in plain.get("anyOf", ()) if p != {"type": "null"}]
    if parts:
        return _field_type(parts[0], root) if len(parts) == 1 else FieldType()
    values = plain.get("enum", [plain["const"]] if "const" in plain else [])
    if values:
        return FieldType("string", tuple(values)) if all(isinstance(v, str) for v in values) else FieldType()
    kind = plain.get("type")
    kinds = [k for k in kind if k != "null"] if isinstance(kind, list) else [kind]
    form = plain.get("format")
    if kinds == ["string"]:
        return FieldType(form if form in ("date", "date-time") else "string")
    return FieldType(kinds[0] if len(kinds) == 1 and isinstance(kinds[0], str) else "")
