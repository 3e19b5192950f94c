"""What counts as the same answer."""

import enum
import math

import pytest

from tinyllm_magic.evaluation.labels import normalise_text, write_label


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Positive", "positive"),
        (" positive.\n", "positive"),
        ('"Positive."', "positive"),
        ("**Positive**", "positive"),
        ("very   good", "Very good!"),
        ("STRASSE", "straße"),
    ],
)
def test_what_a_model_writes_around_a_word_does_not_count(said, meant):
    assert normalise_text(said) == normalise_text(meant)


@pytest.mark.parametrize(("one", "other"), [("positive", "not positive"), ("3.5", "35"), ("-1", "1"), ("A", "B")])
def test_what_differs_in_a_word_or_a_number_does_count(one, other):
    assert normalise_text(one) != normalise_text(other)


class Colour(enum.Enum):
    RED = "red"


def test_values_are_the_same_as_their_texts():
    assert write_label(Colour.RED) == write_label("Red")
    assert write_label(3) == write_label(3.0) == write_label("3")
    assert write_label(True) == write_label("True") != write_label(1)


def test_no_value_has_no_label():
    assert [write_label(v) for v in (None, math.nan)] == [None, None]


def test_a_normaliser_of_ones_own_is_the_only_one():
    assert write_label(" A ", str.strip) == "A"
    assert write_label(" A ", None) == " A "
