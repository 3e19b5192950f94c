"""What an answer has to be: every kind of schema, what is sent of it, and how texts are checked against it."""

import enum
import pickle
import random
import typing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

import pytest
import typing_extensions
from pydantic import BaseModel, Field, TypeAdapter, field_validator

from tinyllm_magic.errors import OptionError, SchemaError
from tinyllm_magic.json_schema import FieldType
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.responses import Answer, Record, Response, ToolCall
from tinyllm_magic.schemas.schema import Schema


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int = Field(ge=0, description="in years")
    mood: Mood = Mood.GOOD
    friend: "Person | None" = None


@dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


class Plain(typing.TypedDict):
    city: str
    people: typing.NotRequired[int]


class Extended(typing_extensions.TypedDict):
    city: str


ADA = {"name": "Ada", "age": 36, "mood": "bad", "friend": {"name": "Bo", "age": 1, "mood": "good", "friend": None}}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Person, '{"name": "Ada", "age": 36}', Person(name="Ada", age=36)),
        (Point, '{"x": 1, "tags": ["a"]}', Point(1.0, 0.0, ["a"])),
        (Plain, '{"city": "Rome"}', {"city": "Rome"}),
        (Extended, '{"city": "Rome", "more": 1}', {"city": "Rome"}),
        (list[Plain], '{"value": [{"city": "Rome", "people": 3}]}', [{"city": "Rome", "people": 3}]),
        (Plain | None, '{"value": null}', None),
        (Mood, '{"value": "good"}', Mood.GOOD),
        (Literal["a", 2], '{"value": 2}', 2),
        (int, '{"value": 42}', 42),
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (dict[str, int], '{"value": {"a": 1}}', {"a": 1}),
        (tuple[int, str], '{"value": [1, "a"]}', (1, "a")),
        (date, '{"value": "2026-11-27"}', date(2026, 11, 27)),
        ("name, age int", '{"name": "Ada", "age": 36}', {"name": "Ada", "age": 36}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1}', {"a": 1}),
        ({"type": "array", "items": {"type": "integer"}}, '{"value": [1]}', [1]),
    ],
)
def test_every_kind_of_schema_gives_its_own_kind_of_value(kind, text, value):
    assert Schema.of(kind).parse(text) == value
    assert type(Schema.of(kind).parse(text)) is type(value)


@pytest.mark.parametrize("kind", [Person, Point, Plain, list[Person], Mood, int, "name, age int?", Literal["a", "b"]])
def test_what_is_sent_is_an_object_and_strict(kind):
    form = Schema.of(kind).response_format

    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    assert form["json_schema"]["schema"]["type"] == "object"


def test_a_schema_that_no_strict_mode_takes_is_sent_without_that_word():
    assert "strict" not in Schema.of(dict[str, int]).response_format["json_schema"]


def test_a_schema_of_ones_own_is_sent_as_it_is():
    own = {"type": "object", "title": "My city", "properties": {"a": {"type": "integer", "default": 3}}}

    assert Schema.of(own).response_format == {"type": "json_schema", "json_schema": {"name": "My_city", "schema": own}}


def test_descriptions_are_sent_and_names_are_not_said_twice():
    sent = Schema.of(Person).json

    assert sent["description"] == "Somebody."
    assert sent["properties"]["age"] == {"description": "in years", "minimum": 0, "type": "integer"}
    assert "title" not in str(sent)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (list[str], '["a", "b"]', ["a", "b"]),
        (int, "42", 42),
        (int, "The answer is:\n```json\n42\n```", 42),
        (str, 'He said "no" [1].', 'He said "no" [1].'),
        (Literal["very good", "bad"], "Very good.", "very good"),
        (Mood, '"bad"', Mood.BAD),
        (Mood, "**Good**", Mood.GOOD),
        (Mood, "<think>good or bad?</think>\nbad", Mood.BAD),
        (Person, 'Sure!\n```json\n{"name": "Ada", "age": 36,}\n```', Person(name="Ada", age=36)),
        (Point, '<think>{"x": 1}</think>{"x": 2}', Point(2.0)),
    ],
)
def test_a_model_that_was_only_told_may_answer_loosely(kind, text, value):
    assert Schema.of(kind).parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "faults"),
    [
        (Person, '{"name": "Ada"}', (("age", "Field required"),)),
        (Person, '{"name": "Ada", "age": -1}', (("age", "Input should be greater than or equal to 0 (it is -1)"),)),
        (list[Person], '{"value": [{"name": "Ada", "age": 1}, {"age": 1}]}', (("[1].name", "Field required"),)),
        (Person, '{"name": "Ada"', (("", "the JSON value breaks off before its end"),)),
        (Person, "Ada, 36", (("", "the text holds no JSON value"),)),
        (str, '{"value": 5}', (("", "Input should be a valid string (it is 5)"),)),
        (str, '```json\n{"value": 5}\n```', (("", "Input should be a valid string (it is 5)"),)),
        (str, '{"value": "brea', (("", "the JSON value breaks off before its end"),)),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": "x"}', (("a", "'x' is not of type 'integer'"),)),
        ({"type": "string", "format": "date"}, '{"value": "today"}', (("", "'today' is not a 'date'"),)),
        ({"type": "array", "items": {"type": "integer"}}, '{"value": [1, "x"]}', (("[1]", "'x' is not of type 'integer'"),)),
    ],
)
def test_an_answer_that_does_not_fit_says_where_and_why_and_keeps_its_text(kind, text, faults):
    with pytest.raises(SchemaError) as caught:
        Schema.of(kind).parse(text)
    assert caught.value.faults == faults
    assert caught.value.text == text
    assert faults[0][1] in caught.value.message


def test_many_faults_are_said_in_one_line():
    with pytest.raises(SchemaError) as caught:
        Schema.of("a int, b int, c int, d int, e int").parse("{}")
    assert caught.value.message == "the answer does not fit the schema: a: Field required; b: Field required; c: Field required; and 2 more"


def test_a_validator_that_breaks_is_a_fault_of_the_answer():
    class Fragile(BaseModel):
        a: int

        @field_validator("a")
        @classmethod
        def check(cls, value):
            return {}[value]

    with pytest.raises(SchemaError, match="KeyError"):
        Schema.of(Fragile).parse('{"a": 1}')


@pytest.mark.parametrize("kind", [5, object(), lambda x: x, {"type": "objekt"}, ["a"], {"name": str}])
def test_what_is_no_schema_is_refused_before_anything_is_sent(kind):
    with pytest.raises(OptionError):
        Schema.of(kind)


def test_a_schema_reads_nothing_from_elsewhere(serve):
    server = serve()

    with pytest.raises(OptionError, match="which it does not hold"):
        Schema.of({"type": "object", "properties": {"a": {"$ref": f"{server.url}/schema.json"}}})
    assert server.paths == []


@pytest.mark.parametrize("reference", ["#/$defs/none", "other.json", 5])
def test_a_reference_that_leads_nowhere_is_told_at_once(reference):
    with pytest.raises(OptionError):
        Schema.of({"type": "array", "items": {"$ref": reference}, "$defs": {}})


def test_a_schema_may_refer_to_itself():
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "kids": {"type": "array", "items": {"$ref": "#"}}}}

    assert Schema.of(tree).parse('{"name": "a", "kids": [{"name": "b"}]}') == {"name": "a", "kids": [{"name": "b"}]}
    with pytest.raises(SchemaError, match="kids"):
        Schema.of(tree).parse('{"name": "a", "kids": [{"name": 5}]}')


def test_an_answer_that_is_nested_too_deeply_does_not_fit():
    tree = {"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}}

    with pytest.raises(SchemaError, match=r"nested too deeply|cannot be read|holds no JSON"):
        Schema.of(tree).parse('{"a":' * 900 + "5" + "}" * 900)


def test_choices_are_one_of_these():
    schema = Schema.of_choices(["yes", "no", "yes"])

    assert schema.json["properties"]["value"] == {"enum": ["yes", "no"], "type": "string"}
    with pytest.raises(SchemaError):
        schema.parse('{"value": "maybe"}')


@pytest.mark.parametrize("values", [[], [1.5], [None]])
def test_choices_that_are_none_are_refused(values):
    with pytest.raises(OptionError, match="choices"):
        Schema.of_choices(values)


def respond(text, **answer):
    request = Request("openai", "m", (Message("user", "hi"),))
    return Response(request, Record(request.key, request.canonical(), Answer(text, **{"finish_reason": "stop", **answer})))


def test_a_response_gets_its_value_and_keeps_its_text():
    response = Schema.of(int).read(respond('{"value": 3}'))

    assert response.parsed == 3
    assert response.text == '{"value": 3}'


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (respond('{"value": 3}', finish_reason="length"), "cut (finish reason length)"),
        (respond(None, refusal="I will not."), "the model refused: I will not."),
        (respond("three"), "it is 'three'"),
    ],
)
def test_a_response_that_does_not_fit_is_kept_by_the_error(answer, words):
    with pytest.raises(SchemaError) as caught:
        Schema.of(int).read(answer)
    assert words in caught.value.message
    assert caught.value.response is answer


def test_an_answer_that_calls_tools_has_no_value_yet():
    assert Schema.of(int).read(respond(None, tool_calls=(ToolCall("1", "f", "{}"),))).parsed is None


def test_a_value_comes_back_as_plain_data_and_as_columns():
    schema = Schema.of(Person)
    ada = Person(**ADA)

    assert schema.to_plain(ada) == ADA
    assert schema.to_columns(ada)["mood"] == "bad"
    assert schema.fields == {
        "name": FieldType("string"),
        "age": FieldType("integer"),
        "mood": FieldType("string", ("good", "bad")),
        "friend": FieldType("object"),
    }
    assert Schema.of(Mood).to_plain(Mood.BAD) == "bad"
    assert Schema.of(list[Person]).to_columns([ada])["value"][0]["name"] == "Ada"


def test_columns_have_the_names_that_python_knows_them_by():
    class Renamed(BaseModel):
        size: int = Field(alias="theSize")

    schema = Schema.of(Renamed)

    assert list(schema.json["properties"]) == ["theSize"]
    assert list(schema.fields) == ["size"]
    assert schema.to_columns(schema.parse('{"theSize": 3}')) == {"size": 3}


@pytest.mark.parametrize("kind", [Person, list[Person], "name, age int", {"type": "object", "properties": {"a": {}}}, Literal["a", "b"]])
def test_a_schema_can_go_to_another_process(kind):
    schema = Schema.of(kind)
    assert pickle.loads(pickle.dumps(schema)).json == schema.json


def test_a_thousand_answers_are_read_as_pydantic_reads_them():
    class Row(BaseModel):
        n: int
        price: Decimal
        when: datetime
        ratio: float
        labels: set[Literal["a", "b", "c"]]
        note: str | None

    pick = random.Random(1)
    rows = [
        Row(
            n=pick.randrange(-(10**12), 10**12),
            price=Decimal(pick.randrange(10**20)) / 1000,
            when=datetime.fromtimestamp(pick.randrange(2**31), UTC),
            ratio=pick.choice([0.1, -1e300, 3.0, pick.random()]),
            labels={pick.choice("abc") for _ in range(2)},
            note=pick.choice([None, "", 'a "quote"\n{"n": 1}', "ü\u2028"]),
        )
        for _ in range(1000)
    ]
    texts = [row.model_dump_json() for row in rows]
    schema, own = Schema.of(Row), TypeAdapter(Row)

    assert [schema.parse(t) for t in texts] == [own.validate_json(t) for t in texts] == rows
