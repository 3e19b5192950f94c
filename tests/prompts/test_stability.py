"""What makes the next kernel ask another request is noted, where it is really sent, and nothing else is."""

import dataclasses
import itertools
from collections import Counter, deque
from enum import Enum
from typing import NamedTuple

import pytest

from tinyllm_magic.prompts.stability import has_random_order, is_unordered
from tinyllm_magic.prompts.template import Template

Colour = Enum("Colour", "RED GREEN")


class Pair(NamedTuple):
    left: object
    right: object


@dataclasses.dataclass
class Tagged:
    tags: set
    name: str = "x"


class Sorted(set):
    def __repr__(self):
        return f"Sorted({sorted(self)})"


class Quiet:
    """Holds a set that it does not print."""

    def __init__(self):
        self.names = {"b", "a"}

    def __str__(self):
        return "quiet"


def generate(values):
    yield from values


NAMES = {"b", "a", "c"}


def notes(source, **variables):
    return Template(source).render_prompt(variables).notes


def causes(source, **variables):
    words = {"order of a set": "set", "address in memory": "address", "by chance": "chance", "time of the run": "clock"}
    return [cause for note in notes(source, **variables) for phrase, cause in words.items() if phrase in note]


@pytest.mark.parametrize(
    "source",
    [
        "{{ x }}",
        "{{ x | join(', ') }}",
        "{{ x | list }}",
        "{{ x | first }}",
        "{{ x | list | last }}",
        "{{ x | map('upper') | join }}",
        "{{ x | select('in', ['a', 'b']) | list }}",
        "{{ ', '.join(x) }}",
        "{% for y in x %}{{ y }}{% endfor %}",
        "{% for y in x if y %}{{ loop.index }} {{ y }}{% endfor %}",
        "{% set y = x | list %}{{ y }}",
        "{% macro m(z) %}{{ z }}{% endmacro %}{{ m(x) }}",
        "{{ [x] }}",
        "{{ {'k': [x]} }}",
        "{{ x | string }}",
        "{% set y %}{{ x }}{% endset %}{{ y }}",
    ],
)
def test_every_way_to_send_a_set_in_its_order_is_noted_once(source):
    assert causes(source, x=NAMES) == ["set"]
    assert causes(source, x=["a", "b", "c"]) == []


@pytest.mark.parametrize(
    "source",
    [
        "{{ x | sort }}",
        "{{ x | sort | join(', ') }}",
        "{{ x | map('upper') | sort | join }}",
        "{{ x | list | sort }}",
        "{{ x | length }} {{ x | list | length }}",
        "{{ 'a' in x }}",
        "{{ x | max }}",
        "{% if x %}yes{% endif %}",
        "{% for y in x %}{% if y == 'a' %}found{% endif %}{% endfor %}",
        "{% for y in x | sort %}{{ y }}{% endfor %}",
        "{% for y in x %}{{ loop.index }}{% endfor %}",
        "{% set y = x %}hello",
        "hello",
    ],
)
def test_a_set_whose_order_is_not_sent_is_not_noted(source):
    assert notes(source, x=NAMES) == ()


def test_the_note_says_what_to_write_instead():
    sort = "`{{ names | sort | join(', ') }}` keeps one order"
    assert notes("{{ names | list | join }}", names=NAMES) == (
        f"`names` is sent in the order of a set, which is another in each kernel: {sort}",
    )
    assert notes("{{ d }}", d={"k": NAMES}) == (
        "`d` is sent in the order of a set, which is another in each kernel: sort it in Python, before it becomes text",
    )


@pytest.mark.parametrize(
    "value",
    [
        frozenset(NAMES), {"a": NAMES}, {frozenset(NAMES): 1}, [[NAMES]], (1, NAMES), deque([NAMES]), Pair(NAMES, 1), Tagged(NAMES),
        {"k": NAMES}.values(), {"k": NAMES}.items(), Counter("ab").keys() & {"a", "b"}, {Colour.RED, Colour.GREEN}, {None, 1},
        {(1, "a"), (2, "b")}, pytest.param(str(NAMES), id="its text"),
    ],
)  # fmt: skip
def test_a_set_within_what_is_printed_is_noted(value):
    assert causes("{{ v }}", v=value) == ["set"]


@pytest.mark.parametrize(
    "value",
    [
        {1, 2, 3}, {1.5, 2}, {(1, 2), (3, 4)}, {"one"}, set(), frozenset({frozenset({1}), frozenset({2})}), {"a": 1, "b": 2}, ["a", "b"],
        Sorted(NAMES), Quiet(), "x in {'a', 'b'}", "{'a': 'b'}", "{}", Tagged(set()), range(3), 12345678901234567890,
    ],
)  # fmt: skip
def test_what_prints_alike_in_each_kernel_is_not_noted(value):
    assert notes("{{ v }}", v=value) == ()


def test_text_that_was_typed_is_never_noted():
    assert notes("Explain {'b', 'a'} and <object at 0x7f8a1c2b3d40> {{ x }}", x=1) == ()


@pytest.mark.parametrize(
    "value",
    [object(), generate([1]), (x for x in [1]), lambda: 1, [object()], pytest.param(f"log: {object()}", id="in a text"), map(str, [1])],
)
def test_an_address_in_memory_is_noted(value):
    assert causes("{{ v }}", v=value) == ["address"]


@pytest.mark.parametrize("value", ["0x7f8a1c2b3d40", "the register at 0x10", len, "at 0x"])
def test_a_number_in_base_16_alone_is_no_address(value):
    assert notes("{{ v }}", v=value) == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: (x for x in NAMES),
        lambda: map(str, NAMES),
        lambda: enumerate(NAMES),
        lambda: iter(NAMES),
        lambda: zip([1, 2, 3], NAMES, strict=True),
    ],
)
def test_what_reads_a_set_lazily_has_its_order(make):
    assert is_unordered(make())
    assert causes("{% for x in v %}{{ x }}{% endfor %}", v=make()) == ["set"]


@pytest.mark.parametrize(
    "make", [lambda: (x for x in [1]), lambda: map(str, [1]), lambda: iter([1]), itertools.count, lambda: generate([1])]
)
def test_what_reads_a_list_lazily_has_not(make):
    value = make()
    assert not is_unordered(value)
    assert next(iter(value)) is not None  # nothing of it was taken


def test_an_order_is_random_where_a_hash_is():
    assert has_random_order({"a", "b"})
    assert not has_random_order({1, 2})


def test_what_is_picked_by_chance_or_by_the_clock_is_noted():
    assert causes("{{ [1, 2] | random }}") == ["chance"]
    assert causes("{{ lipsum(1, false, 3, 5) }}") == ["chance"]
    assert causes("{{ strftime_now('%Y') }}") == ["clock"]


def test_an_undefined_name_in_a_loop_still_names_its_line():
    from prompting import fails

    assert "'missing' is not defined (line 2, column 13)" in str(fails("a\n{% for x in missing %}{{ x }}{% endfor %}"))


def test_sets_are_noted_in_included_files(folder):
    folders = folder(part="{% for x in names %}{{ x }}{% endfor %}")
    assert len(Template("{% include 'part.j2' %}", folders=folders).render_prompt({"names": NAMES}).notes) == 1
