"""A function's signature and docstring become a schema; what a model writes is checked against it."""

import functools
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from tinyllm_magic.errors import OptionError
from tinyllm_magic.schemas.checks import Misfit
from tinyllm_magic.tools.functions import Tool

GOOGLE = """Look up the weather.

    It is measured at noon.

    Args:
        city: The name of
            the city.
        days (int): How many days.

    Returns:
        The weather.
    """
NUMPY = """Look up the weather.

    It is measured at noon.

    Parameters
    ----------
    city : str
        The name of
        the city.
    days : int
        How many days.

    Returns
    -------
    str
        The weather.
    """
SPHINX = """Look up the weather.

    It is measured at noon.

    :param city: The name of
        the city.
    :param days: How many days.
    :returns: The weather.
    """


def weather(city: str, days: int = 1) -> str:
    return f"{city} {days}"


def with_docstring(text):
    def copy(city: str, days: int = 1) -> str:
        return f"{city} {days}"

    copy.__name__, copy.__doc__ = "weather", text
    return copy


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_a_docstring_of_each_style_describes_function_and_parameters(docstring):
    said = Tool.of(with_docstring(docstring)).to_dict()["function"]

    assert said["name"] == "weather"
    assert " ".join(said["description"].split()) == "Look up the weather. It is measured at noon."
    assert said["parameters"] == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The name of the city."},
            "days": {"type": "integer", "description": "How many days.", "default": 1},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_a_plain_docstring_is_the_description_and_none_is_left_out():
    assert Tool.of(with_docstring("Look up the weather: city, then days.")).description == "Look up the weather: city, then days."
    assert "description" not in Tool.of(weather).to_dict()["function"]


def test_what_annotated_says_comes_before_the_docstring():
    def find(city: Annotated[str, "where"], n: Annotated[int, Field(description="how many", gt=0)] = 2):
        """Find.

        Args:
            city: another word
            n: another word
        """

    assert Tool.of(find).parameters["properties"] == {
        "city": {"type": "string", "description": "where"},
        "n": {"type": "integer", "description": "how many", "exclusiveMinimum": 0, "default": 2},
    }


class Colour(Enum):
    RED = "red"


class Place(BaseModel):
    city: str


@dataclass
class Point:
    x: int


def test_arguments_arrive_as_the_values_that_annotations_name():
    def draw(colour: Colour, place: Place, point: Point, kind: Literal["a", "b"], *, sizes: list[float], name: str | None = None):
        return colour, place, point, kind, sizes, name

    tool = Tool.of(draw)
    values = tool.read_arguments('{"colour": "red", "place": {"city": "Ulm"}, "point": {"x": 3}, "kind": "b", "sizes": [1, 2.5]}')

    assert tool.call(values) == (Colour.RED, Place(city="Ulm"), Point(3), "b", [1.0, 2.5], None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"city": "Ulm", "days": "many"}', "days"),
        ('{"days": 2}', "city"),
        ('{"city": "Ulm", "colour": "red"}', "colour"),
        ('["Ulm"]', "should be an object"),
        ("Ulm, please", "no JSON"),
    ],
    ids=["type", "missing", "unknown", "no object", "no json"],
)
def test_arguments_that_do_not_fit_are_refused_with_their_place(text, words):
    with pytest.raises(Misfit) as caught:
        Tool.of(weather).read_arguments(text)
    assert words in str(caught.value.faults)


@pytest.mark.parametrize("text", ["", "  ", "{}", "null"])
def test_no_arguments_are_written_in_several_ways(text):
    assert Tool.of(lambda_named("now")).read_arguments(text) == {}


def lambda_named(name):
    made = lambda: 1  # noqa: E731
    made.__name__ = name
    return made


def test_arguments_by_position_alone_are_given_so_and_open_ones_are_not_offered():
    def join(a: int, b: int = 5, /, *more: int, c: int = 7, **others: int):
        return a, b, more, c, others

    tool = Tool.of(join)

    assert list(tool.parameters["properties"]) == ["a", "b", "c"]
    assert tool.call(tool.read_arguments('{"a": 1, "c": 2}')) == (1, 5, (), 2, {})


class Shop:
    def price(self, item: str) -> float:
        """The price."""
        return len(item) * self.factor

    factor = 2

    def __call__(self, item: str) -> str:
        """Buy it."""
        return item


def test_methods_partial_functions_and_callable_objects_are_tools():
    method, partial, instance = Tool.of(Shop().price), Tool.of(functools.partial(weather, days=3)), Tool.of(Shop())

    assert (method.name, method.description, list(method.parameters["properties"])) == ("price", "The price.", ["item"])
    assert method.call({"item": "egg"}) == 6
    assert (partial.name, partial.call({"city": "Ulm"})) == ("weather", "Ulm 3")
    assert (instance.name, instance.description, instance.call({"item": "egg"})) == ("Shop", "Buy it.", "egg")


@pytest.mark.parametrize("value", [3, "weather", None, lambda city: city], ids=["number", "text", "nothing", "lambda"])
def test_what_is_no_named_function_is_refused(value):
    with pytest.raises(OptionError) as caught:
        Tool.of(value)
    assert caught.value.option == "tools"


def test_an_annotation_that_cannot_be_checked_names_the_tool():
    def odd(value: "Nowhere"):  # noqa: F821
        return value

    class Thing:
        pass

    def strange(value: Thing):
        return value

    for function in (odd, strange):
        with pytest.raises(OptionError, match=function.__name__):
            Tool.of(function)


def test_the_digest_changes_with_the_source_alone():
    def one():
        return 1

    def other():
        return 2

    assert Tool.of(one).digest == Tool.of(one).digest != Tool.of(other).digest
    assert Tool.of(one).digest
    assert Tool.of(lambda_named("made")).digest
    assert Tool.of(made_by_exec()).digest == ""


def made_by_exec():
    namespace = {}
    exec("def absolute(x: float):\n    return abs(x)", namespace)
    return namespace["absolute"]
