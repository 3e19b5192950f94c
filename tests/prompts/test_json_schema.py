"""Properties of prompt files as JSON schema."""

import pytest

from tinyllm_magic.prompts.json_schema import build_schema, list_properties


@pytest.mark.parametrize(
    "given",
    [
        [{"name": "a", "kind": "string"}, {"name": "b", "default": 3}],
        {"a": {"kind": "string"}, "b": 3},
        {"properties": {"a": {"kind": "string"}, "b": 3}},
        {"properties": [{"name": "a", "kind": "string"}, {"name": "b", "default": 3}]},
    ],
)
def test_every_way_to_write_properties_is_the_same_list(given):
    assert list_properties(given) == [{"name": "a", "kind": "string"}, {"name": "b", "default": 3}]


def test_a_table_that_is_no_property_is_a_default():
    assert list_properties({"facts": {"city": "London"}}) == [{"name": "facts", "default": {"city": "London"}}]


def test_nothing_is_no_property():
    assert list_properties(None) == list_properties("text") == list_properties([1]) == []


def test_kinds_words_choices_lists_and_tables_become_their_schema():
    schema = build_schema(
        [
            {"name": "n", "kind": "float", "description": "how much", "required": True},
            {"name": "unit", "kind": "string", "enumValues": ["c", "f"]},
            {"name": "tags", "kind": "array", "items": {"kind": "string"}},
            {"name": "place", "kind": "object", "properties": [{"name": "city", "kind": "string", "required": True}]},
            {"name": "any", "kind": "union"},
        ]
    )
    assert schema == {
        "type": "object",
        "properties": {
            "n": {"type": "number", "description": "how much"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            "any": {},
        },
        "required": ["n"],
    }


def test_a_strict_schema_requires_all_and_lets_the_optional_be_null():
    inner = [{"name": "city", "kind": "string"}]
    schema = build_schema(
        [{"name": "n", "kind": "integer", "required": True}, {"name": "p", "kind": "object", "properties": inner}], strict=True
    )
    assert schema["required"] == ["n", "p"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["n"]["type"] == "integer"
    assert schema["properties"]["p"]["type"] == ["object", "null"]
    assert schema["properties"]["p"]["properties"]["city"]["type"] == ["string", "null"]
