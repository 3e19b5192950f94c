from datetime import date
from typing import Literal

import pytest

from tinyllm_magic.errors import OptionError
from tinyllm_magic.schemas.text import Field, Fields, read_text


class Person:
    class Home:
        pass


NAMES = {"Person": Person, "fields": "name, age int", "number": 5}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Person", Person),
        ("Person.Home", Person.Home),
        ("list[Person]", list[Person]),
        ("dict[str, int]", dict[str, int]),
        ("int | None", int | None),
        ('Literal["a", "b"]', Literal["a", "b"]),
        ("Optional[date]", date | None),
        ('{"type": "integer"}', {"type": "integer"}),
    ],
)
def test_a_type_is_read_from_its_text(text, kind):
    assert read_text(text, NAMES) == kind


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("name, age int", {"name": Field(str), "age": Field(int)}),
        ("age int", {"age": Field(int)}),
        ("name: as the author's friends write it", {"name": Field(str, "as the author's friends write it")}),
        ("name, age int, tags list[str]: free words", {"name": Field(str), "age": Field(int), "tags": Field(list[str], "free words")}),
        ("pairs dict[str, int], x float", {"pairs": Field(dict[str, int]), "x": Field(float)}),
        ("mood Literal['a,b', 'c:d']: today", {"mood": Field(Literal["a,b", "c:d"], "today")}),
        ("who Person, born date?", {"who": Field(Person), "born": Field(date | None)}),
        ("name: first, then last\nage int", {"name": Field(str, "first, then last"), "age": Field(int)}),
        ("name, age int,", {"name": Field(str), "age": Field(int)}),
    ],
)
def test_the_short_form_names_fields_their_types_and_what_they_mean(text, fields):
    assert read_text(text, NAMES) == Fields(fields)


def test_a_variable_may_hold_the_short_form():
    assert read_text("fields", NAMES) == Fields({"name": Field(str), "age": Field(int)})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Persn", "Did you mean 'Person'?"),
        ("nothing", '"nothing str"'),
        ("list[Foo]", "names 'Foo'"),
        ("name, age Int", "names 'Int'"),
        ("age int int", "type of the schema's field 'age'"),
        ("name, name", "'name' twice"),
        ("2name, age", "'2name' has no name"),
        ("name: a, or b", "A comma begins the next field"),
        ("Person()", "is no type"),
        ("Person.Hom", "is no type"),
        ("number[3]", "is no type"),
        ('{"type": ', "cannot be read"),
        ("", "is empty"),
    ],
)
def test_a_text_that_means_nothing_says_why(text, words):
    with pytest.raises(OptionError) as caught:
        read_text(text, NAMES)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["print(1)", "[Person for _ in 'ab']", "Person.__init__", "(lambda: 1)()", "list[exit()]"])
def test_nothing_of_a_text_is_run(text, capsys):
    with pytest.raises(OptionError):
        read_text(text, NAMES)
    assert capsys.readouterr().out == ""
