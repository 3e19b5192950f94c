import pytest

from tinyllm_magic.recording.schema_diff import explain_schema_change


def form(name="Person", /, **fields):
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
HOME = {"type": "object", "properties": {"city": TEXT, "no": NUMBER}, "required": ["city", "no"]}


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (form(age=NUMBER), form(age=TEXT), ("schema Person:", "  age: integer → string")),
        (form(age=NUMBER), form(age={**NUMBER, "minimum": 0}), ("schema Person:", "  age: integer → integer, minimum 0")),
        (form(age=NUMBER), form("Human", name=TEXT), ("schema Person → Human:", "  age: gone, it was integer", "  name: new, string")),
        (form(a=TEXT), form(a=TEXT, home=HOME), ("schema Person:", "  home: new, object")),
        (form(home=HOME), form(home={**HOME, "required": ["city"]}), ("schema Person:", "  home.no: integer → integer (may be left out)")),
        (form(a=TEXT, b=TEXT), form(b=TEXT, a=TEXT), ("schema Person:", "  the fields are in another order: a, b → b, a")),
        (None, form(a=TEXT), ("schema: (none) → Person (a: string)", "  A schema was added.")),
        (form(a=TEXT), None, ("schema: Person (a: string) → (none)", "  A schema was taken away.")),
        ({"type": "json_object"}, form(a=TEXT), ("schema: (none, but json_object) → Person (a: string)", "  A schema was added.")),
        (form(a=TEXT), form("Human", a=TEXT), ()),
        (None, {"type": "json_object"}, ()),
    ],
)
def test_what_changed_is_said_field_by_field(old, new, lines):
    assert explain_schema_change(old, new) == lines


def test_many_changes_are_cut():
    lines = explain_schema_change(form(a=TEXT), form(a=TEXT, **{f"f{n}": TEXT for n in range(20)}))

    assert len(lines) == 14
    assert lines[-1] == "  … and 8 more fields"


@pytest.mark.parametrize(
    "junk", [5, [], "x", {"properties": 5}, {"properties": {"a": 5}, "required": 3}, {"enum": 3}, {"anyOf": 7, "type": []}]
)
def test_a_record_may_hold_anything(junk):
    held = {"type": "json_schema", "json_schema": {"name": 5, "schema": junk}}
    assert isinstance(explain_schema_change(held, form(a=TEXT)), tuple)
    assert isinstance(explain_schema_change({"json_schema": junk}, held), tuple)
