"""One record, one line: what is written, and what is refused."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from records import make, python, records

from tinyllm_magic.recording.codec import LONGEST_LINE, Damaged, decode, encode


@given(records)
@settings(max_examples=150, deadline=None)
def test_a_record_survives_its_line_exactly(record):
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    back = decode(line)
    assert back == record
    assert repr(back.answer) == repr(record.answer)  # typed: tuples, floats, Usage, ToolCall


def test_a_record_holds_only_what_is_not_empty():
    value = json.loads(encode(make()))
    assert list(value) == ["key", "request", "answer", "created", "duration", "cost", "version"]
    assert value["answer"] == {"text": "Hi", "finish_reason": "stop", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}


def test_what_else_a_vendor_sent_stands_in_the_record_as_it_came():
    record = make()
    raw, logprobs = {"citations": ["https://example.org"]}, {"content": [{"token": "Hi", "logprob": -0.5}]}
    line = encode(replace(record, answer=replace(record.answer, raw=raw, logprobs=logprobs)))
    assert json.loads(line)["answer"] == {**json.loads(encode(record))["answer"], "logprobs": logprobs, "raw": raw}


GOOD = json.loads(encode(make()))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"", "not JSON"),
        (b"\x00" * 40, "not JSON"),
        (b"\xff\xfe{", "not UTF-8"),
        (b"[1]", "not an object"),
        (b'{"key":"a"', "not JSON"),
        (b'{"key":"a","key":"b"}', "twice"),
        (b'{"key":"a","request":{"x":{"y":1,"y":1}},"answer":{}}', "twice"),
        (b'{"key":"a","n":' + b"9" * 5000 + b"}", "5000 digits"),
        (b'{"key":"a","n":1e999}', "not finite"),
        (b'{"key":"a","n":NaN}', "not finite"),
        (b'{"key":"a","n":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
        (b'{"key":"a","n":' + b"[" * 300 + b"]" * 300 + b"}", "nested"),
        (b'{"key":"a","n":"\\ud800"}', "surrogate"),
        (b'{"key":"a","n":"' + b"x" * LONGEST_LINE + b'"}', "longer than 32 MB"),
        (b'{"key":1}', "key"),
        (b'{"key":"a","request":[]}', "request"),
    ],
    ids=range(16),
)
def test_a_hostile_line_is_refused_by_name(line, what):
    with pytest.raises(Damaged, match=what):
        decode(line)


@pytest.mark.parametrize(
    "change",
    [
        {"answer": {"text": 1}},
        {"answer": {"tool_calls": [1]}},
        {"answer": {"tool_calls": {}}},
        {"answer": {"tool_calls": [{"id": 1}]}},
        {"answer": {"usage": {"prompt_tokens": True}}},
        {"answer": {"usage": {"prompt_tokens": -1}}},
        {"answer": {"usage": {"prompt_tokens": 1.5}}},
        {"answer": {"usage": {"estimated": 1}}},
        {"answer": {"notes": ["a", 1]}},
        {"answer": {"embeddings": [["a"]]}},
        {"answer": {"embeddings": [[True]]}},
        {"answer": {"reasoning": None}},
        {"answer": {"raw": [1]}},
        {"answer": {"raw": "x"}},
        {"request": {"messages": "x"}},
        {"request": {"messages": ["x"]}},
        {"request": {"messages": [{"role": "weird", "content": "x"}]}},
        {"request": {"messages": [{"content": "x"}]}},
        {"request": {"messages": [{"role": "user", "content": 5}]}},
        {"request": {"messages": [{"role": "user", "content": [5]}]}},
        {"request": {"messages": [{"role": "user", "content": "x", "tool_calls": 5}]}},
        {"request": {"model": 1}},
        {"request": {"params": []}},
        {"created": 5},
        {"duration": "1"},
        {"duration": -1},
        {"duration": None},
        {"cost": True},
        {"version": []},
    ],
    ids=str,
)
def test_a_field_of_a_wrong_type_is_refused(change):
    with pytest.raises(Damaged):
        decode(json.dumps({**GOOD, **change}).encode())


def test_records_may_be_read_first_by_several_threads_at_once():
    python(
        """
        import sys, threading, time
        import msgspec
        from tinyllm_magic.recording import codec

        line = sys.argv[1].encode()
        begin, read = threading.Barrier(8), []

        def linger(frame, event, _):
            if event == "return" and frame.f_code.co_name == "get_dataclass_info":
                time.sleep(0.05)  # what the library knows of a class is half built here

        def run(wait):
            sys.setprofile(linger)
            begin.wait()
            time.sleep(wait)
            read.append(codec.decode(line).answer.text)

        threads = [threading.Thread(target=run, args=(n / 50,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read == ["x"] * 8, read
        """,
        encode(make("x", said="x")).decode(),
    )
