"""Copies of frozen values."""

from dataclasses import replace

import pytest

from tinyllm_magic import Message, Request
from tinyllm_magic.frozen import copy_with

REQUEST = Request("openai", "gpt-4o-mini", (Message("user", "Say tea"),), {"temperature": 0.5})


def test_a_copy_is_what_replace_makes_of_it_and_leaves_what_was_computed_behind():
    assert REQUEST.key

    copied = copy_with(REQUEST, sample=2)

    assert copied == replace(REQUEST, sample=2)
    assert copied.key == replace(REQUEST, sample=2).key != REQUEST.key
    assert REQUEST.sample == 0


def test_a_field_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="Request has no field key"):
        copy_with(REQUEST, key="k1:0")
