"""One record, one line: what is written, and what is refused."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from records import make, python, records

from tinyllm_magic.recording import codec
from tinyllm_magic.recording.codec import LONGEST_LINE, Damaged, decode, encode, parse


@given(records)
@settings(max_examples=150, deadline=None)
def test_a_record_survives_its_line_exactly(record):
    line = encode(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    for asked in (None, record.request, {"kind": "chat"}):
        back = decode(line, asked)
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


REQUEST = json.dumps(GOOD["request"], separators=(",", ":"))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f'{{"key":"a","request":{REQUEST},"answer":{{}},"request":{REQUEST}}}', "twice"),
        (f'{{"key":"a","n":{{"m":1,"request":{REQUEST}}},"answer":{{}}}}', "request"),
        (f'{{"key":"a","request":{REQUEST}}}', "answer"),
        (f'{{"key":"a","request":{REQUEST}0,"answer":{{}}}}', "not JSON"),
        (f'{{"key":"a","request":{REQUEST},"answer":{{}},"answer":{{}}}}', "twice"),
        (f'{{"key":"a","request":{REQUEST},"answer":{{}},"cost":1e999}}', "not finite"),
    ],
    ids=range(6),
)
def test_a_line_with_the_very_request_that_is_asked_is_refused_as_any_other(line, what):
    for asked in (None, GOOD["request"]):
        with pytest.raises(Damaged, match=what):
            decode(line.encode(), asked)


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


ODD = (b'"', b"\\", b"{", b"}", b"[", b",", b":", b"0", b"9", b"-", b".", b"e", b"\xff", b"\xed\xa0\x80", b" ", b"\n", b"NaN", b"null")
ODD += (b'"key":"x",', b"\\ud83d", b"\\u0041", b"9" * 30, b"\x00", b"1e400", b"-0", b"1.0", b"1e16", b"[" * 300)


def test_a_line_is_read_the_same_whether_it_is_spelt_as_ours_or_not(monkeypatch):
    whole, chance = encode(make("Grüße 😀 \u2028 \x01")), random.Random(5)
    lines = []
    for _ in range(1500):
        line = bytearray(whole)
        for _ in range(chance.randint(1, 2)):
            at = chance.randrange(len(line))
            line[at : at + chance.choice((0, 1, 4))] = chance.choice(ODD)
        lines.append(bytes(line))

    def read(line):
        try:
            return repr(decode(line))
        except Damaged:
            return "damaged"

    quick = [codec._parse_own(codec._load_msgspec(), line) is not None for line in lines]
    as_it_is = list(map(read, lines))
    monkeypatch.setattr(codec, "_parse_own", lambda _msgspec, _line: None)

    assert as_it_is == list(map(read, lines))
    assert 20 < sum(quick) < 1480


def test_a_request_that_is_known_to_be_whole_is_not_looked_at_closer():
    record = make()
    line = encode(replace(record, request={**record.request, "messages": [{"role": "nobody", "content": "Hi"}]}))

    assert decode(line, parse(line)["request"]).key == record.key
    for asked in (None, record.request):
        with pytest.raises(Damaged, match="a message that none could have sent"):
            decode(line, asked)
