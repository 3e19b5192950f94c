"""What a response gives as a value."""

from dataclasses import replace

import pytest
from records import ask, make

from tinyllm_magic.errors import NoJSONError
from tinyllm_magic.responses import Response


def response(said, **answer):
    record = make(said=said)
    return Response(ask(), replace(record, answer=replace(record.answer, **answer)))


def test_json_reads_the_value_of_the_text():
    assert response('<think>{"a": 1}</think>Sure: {"a": 2}').json() == {"a": 2}


@pytest.mark.parametrize("reason", ["length", "content_filter", "stopped"])
def test_json_of_an_answer_that_was_cut_is_an_error(reason):
    with pytest.raises(NoJSONError, match=reason):
        response("[1, 2]", finish_reason=reason).json()
