import json

import pytest

from tinyllm_magic.json_schema import FieldType, describe_fields, field_types, has_fields, is_strict, make_strict, resolve, unwrap, wrap

PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False}
NODE = {"type": "object", "properties": {"size": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}
TREE = {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}


def an_object(**fields):
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (PERSON, True),
        (an_object(friends={"type": "array", "items": PERSON}), True),
        ({**PERSON, "required": []}, False),
        ({**PERSON, "additionalProperties": True}, False),
        (an_object(pet={"type": "object"}), False),
        (an_object(n={"not": {"type": "string"}}), False),
        ({"type": "string"}, False),
    ],
)
def test_a_schema_is_strict_where_every_object_has_all_of_its_fields_and_no_others(schema, strict):
    assert is_strict(schema) is strict


def test_a_schema_made_strict_wants_all_fields_and_leaves_the_given_one_alone():
    loose = {"type": "object", "properties": {"a": {"type": "integer", "default": 1}, "b": {"type": "object", "properties": {"c": {}}}}}
    before = json.dumps(loose)

    strict = make_strict(loose)

    assert is_strict(strict)
    assert strict["required"] == ["a", "b"]
    assert strict["properties"]["a"] == {"type": "integer"}
    assert json.dumps(loose) == before


def test_a_reference_with_words_beside_it_is_written_out():
    schema = {**an_object(home={"$ref": "#/$defs/Home", "description": "where"}), "$defs": {"Home": PERSON}}

    assert make_strict(schema)["properties"]["home"] == {**PERSON, "description": "where"}


def test_a_pattern_that_looks_ahead_is_left_to_who_checks_the_answer():
    strict = make_strict(an_object(a={"type": "string", "pattern": "^(?!x)[a-z]+$"}, b={"type": "string", "pattern": "^[a-z]+$"}))
    assert strict["properties"] == {"a": {"type": "string"}, "b": {"type": "string", "pattern": "^[a-z]+$"}}


def test_a_schema_that_refers_to_itself_stays_finite():
    assert is_strict(make_strict(TREE))
    assert describe_fields(TREE) == {
        "size": "integer (may be left out)",
        "next": "object or null (may be left out)",
    }


@pytest.mark.parametrize("reference", ["#/$defs/none", "#/$defs/a", "https://example.org/schema"])
def test_a_reference_that_leads_nowhere_stays_as_it_is(reference):
    node = {"$ref": reference}
    assert dict(resolve(node, {"$defs": {"a": {"$ref": "#/$defs/a"}}})) == node


def test_a_value_travels_in_an_object_and_comes_out_of_it():
    wrapped = wrap({"type": "array", "items": {"$ref": "#/$defs/P"}, "$defs": {"P": PERSON}})

    assert wrapped["$defs"] == {"P": PERSON}
    assert has_fields(wrapped)
    assert is_strict(wrapped)
    assert unwrap({"value": [1]}) == [1]
    assert unwrap({"value": 1, "more": 2}) == {"value": 1, "more": 2}


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"type": "integer", "minimum": 0}, "integer, minimum 0"),
        ({"type": "string", "format": "date"}, "date"),
        ({"enum": ["a", 1]}, "one of a, 1"),
        ({"const": "x"}, '"x"'),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 3}, "list of string, maxItems 3"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}]}, "list of (string, null)"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({"type": "string", "description": "two\n words"}, "string: two words"),
        ({}, "anything"),
        (True, "anything"),
    ],
)
def test_a_field_is_said_in_words(field, words):
    assert describe_fields(an_object(f=field)) == {"f": words}


def test_fields_within_fields_and_lists_have_paths():
    schema = an_object(home=an_object(city={"type": "string"}), pets={"type": "array", "items": an_object(name={"type": "string"})})

    assert describe_fields(schema) == {"home": "object", "home.city": "string", "pets": "list of object", "pets[].name": "string"}


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ({"type": "integer"}, FieldType("integer")),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, FieldType("number")),
        ({"type": ["boolean", "null"]}, FieldType("boolean")),
        ({"type": "string", "format": "date-time"}, FieldType("date-time")),
        ({"type": "string", "format": "email"}, FieldType("string")),
        ({"enum": ["a", "b"]}, FieldType("string", ("a", "b"))),
        ({"enum": ["a", 1]}, FieldType()),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, FieldType()),
        ({"$ref": "#/$defs/P"}, FieldType("object")),
    ],
)
def test_the_type_of_a_field_is_that_of_its_values(field, found):
    assert field_types({**an_object(f=field), "$defs": {"P": PERSON}}) == {"f": found}
