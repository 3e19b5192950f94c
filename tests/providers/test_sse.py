"""Server-sent events out of bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm_magic.providers.sse import read_events

TEXT = "\ufeff: hi\r\ndata: {\r\ndata:  \u2028é}\r\n\r\nevent: error\ndata:x\n\n\r\rdata: last"


@given(st.lists(st.integers(0, len(TEXT.encode())), max_size=12))
def test_events_are_the_same_wherever_the_bytes_are_cut(cuts):
    data, places = TEXT.encode(), sorted({0, *cuts})
    parts = [data[a:b] for a, b in zip(places, [*places[1:], len(data)], strict=True)]
    assert list(read_events(parts)) == [("", "{\n \u2028é}"), ("error", "x"), ("", "last")]


def test_an_event_is_read_as_soon_as_its_blank_line_is_there():
    def parts():
        yield b"data: 1\n\n"
        raise AssertionError("nobody needs more")

    assert next(read_events(parts())) == ("", "1")


def test_bytes_that_are_no_text_are_an_error():
    with pytest.raises(UnicodeDecodeError):
        list(read_events([b"data: \xff\n\n"]))
