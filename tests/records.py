"""Makers of requests, records and answers."""

import subprocess
import sys
import textwrap
import threading
import time

from hypothesis import strategies as st

from tinyllm_magic import Message, Request
from tinyllm_magic.responses import Answer, ChunkAccumulator, Record, ToolCall, Usage


def ask(text="Hello", **more):
    return Request("openai", more.pop("model", "gpt-4o-mini"), (Message("system", "Be brief."), Message("user", text)), **more)


def make(text="Hello", said="Hi", created="2025-11-21T09:00:00.000Z", **more):
    request = ask(text, **more)
    return Record(
        request.key, request.canonical(), Answer(text=said, finish_reason="stop", usage=Usage(3, 1)), created, 0.5, 0.001, "0.1.0"
    )


def filled(store, *texts):
    records = [make(t) for t in texts]
    assert all(store.append(r) for r in records)
    return records


class Untouched:
    """A provider that nobody may ask."""

    def send(self, request):
        raise AssertionError(f"a provider was asked: {request}")


def fold(chunks):
    folder = ChunkAccumulator()
    chunks = list(chunks)
    for chunk in chunks:
        folder.add(chunk)
    return folder.answer(), chunks[-1]


def python(code, *arguments, wait=True):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=-1, stderr=-1, text=True)
    if not wait:
        return process
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


words = st.text(max_size=30)

maybe = st.none() | words

counts = st.integers(0, 2**53)

amounts = st.floats(0, 1e6)

usages = st.builds(Usage, counts, counts, counts, counts, st.booleans())

data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=5,
)

answers = st.builds(
    Answer,
    text=maybe,
    tool_calls=st.lists(st.builds(ToolCall, words, words, words), max_size=2).map(tuple),
    finish_reason=maybe,
    usage=st.none() | usages,
    model=maybe,
    fingerprint=maybe,
    reasoning=words,
    refusal=words,
    notes=st.lists(words, max_size=2).map(tuple),
    embeddings=st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple), max_size=2).map(tuple),
    logprobs=data,
    raw=st.none() | st.dictionaries(words, data, max_size=2),
)

params = st.dictionaries(words, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words | st.lists(words, max_size=2), max_size=3)

requests = st.builds(lambda t, p: {"kind": "chat", "messages": [{"role": "user", "content": t}], "params": p}, words, params)

records = st.builds(Record, words, requests, answers, words, amounts, st.none() | amounts, words)


def in_threads(count, work):
    results = [None] * count

    def run(n):
        try:
            results[n] = work(n)
        except BaseException as error:  # noqa: BLE001  # what a thread raises is the result that is compared
            results[n] = error

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    return threads, results


def finish(threads):
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
