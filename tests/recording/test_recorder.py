"""The provider that answers from a store, or calls and records."""

import gc
import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from records import Untouched, answers, ask, filled, finish, fold, in_threads, make, python, until

from tinyllm_magic.errors import BadResponseError, MessageError, RateLimitError, ReplayMiss
from tinyllm_magic.providers.echo import EchoProvider
from tinyllm_magic.recording import recorder, single_flight
from tinyllm_magic.recording.lookup import Lookup
from tinyllm_magic.recording.modes import Decision, Mode
from tinyllm_magic.recording.recorder import RecordingProvider, Resolution, replay_chunks, resolve
from tinyllm_magic.recording.single_flight import SingleFlight
from tinyllm_magic.recording.store import Store, StoreWarning
from tinyllm_magic.responses import Chunk, Record, ToolPiece, Usage

FLIGHTS = SingleFlight()


def recorded(provider, store, mode=Mode.AUTO, **more):
    return RecordingProvider(provider, store, mode, flights=FLIGHTS, version="0.1.0", **more)


RICH = [
    Chunk(note="fell back to JSON mode"),
    Chunk(reasoning="Let me think."),
    Chunk(text="He"),
    Chunk(text="llo \ud83d"),
    Chunk(text="\ude00 \ud800!"),
    Chunk(tool_pieces=(ToolPiece(0, "c1", "add", '{"a":'), ToolPiece(1, "c2", "sub", "{}"))),
    Chunk(tool_pieces=(ToolPiece(0, "", "", "1}"),), refusal="no"),
    Chunk(finish_reason="tool_calls", model="gpt-4o-mini-2024-07-18", fingerprint="fp_1"),
    Chunk(usage=Usage(10, 20, 5, 7)),
]

ANSWERS = {
    "rich": RICH,
    "text": "Hello there",
    "empty": "",
    "tools only": [Chunk(tool_pieces=(ToolPiece(0, "c", "f", "{}"),), finish_reason="tool_calls")],
    "embedding": [Chunk(embeddings=((1.0, -0.25), (3, 1e-17)), finish_reason="stop", usage=Usage(4))],
    "restarted": [Chunk(text="void"), Chunk(restart=True), Chunk(text="valid", finish_reason="stop")],
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_miss_and_a_hit_give_equal_records_and_answers(store, name):
    provider = EchoProvider([ANSWERS[name]])
    price = lambda request, answer: 0.25  # noqa: E731
    live, last = fold(recorded(provider, store, price=price).send(ask()))
    hit, last_hit = fold(recorded(Untouched(), Store(store.path)).send(ask()))
    assert last.record == last_hit.record
    assert repr(last.record) == repr(last_hit.record)
    assert hit == last.record.answer
    assert (last.source, last_hit.source) == ("live", "recorded")
    assert (last.record.cost, last.record.version, last.record.key) == (0.25, "0.1.0", ask().key)
    assert len(provider.requests) == 1
    if name != "rich":  # whose lone surrogate is repaired in the record
        assert live == last.record.answer


def test_lone_surrogates_are_replaced_and_halves_joined(store):
    _, last = fold(recorded(EchoProvider([RICH]), store).send(ask()))
    assert last.record.answer.text == "Hello \U0001f600 \ufffd!"
    store.path.read_bytes().decode("utf-8")


def test_a_record_says_when_how_long_and_not_more_than_is_known(store):
    _, last = fold(recorded(EchoProvider([[Chunk(text="x", finish_reason="stop")]]), store).send(ask()))
    assert last.record.created.endswith("Z")
    assert last.record.created[:2] == "20"
    assert 0 <= last.record.duration < 5
    assert (last.record.answer.usage, last.record.cost) == (None, None)


GUESS = Usage(7, 5, estimated=True)


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (None, GUESS),
        (Usage(0, 0), GUESS),
        (Usage(3, 2, 1), Usage(3, 2, 1)),
        (Usage(3, 0, 1), Usage(3, 5, 1, estimated=True)),
        (Usage(0, 2), Usage(7, 2, estimated=True)),
    ],
    ids=str,
)
def test_what_the_provider_did_not_count_is_estimated_and_marked(store, reported, counted):
    turn = [Chunk(text="some words", finish_reason="stop", usage=reported)]
    _, last = fold(recorded(EchoProvider([turn]), store, estimate=lambda *_: GUESS).send(ask()))
    assert last.record.answer.usage == counted


def test_no_tokens_out_is_a_count_where_nothing_was_said(store):
    turn = [Chunk(text="", finish_reason="stop", usage=Usage(3, 0))]
    _, last = fold(recorded(EchoProvider([turn]), store, estimate=lambda *_: GUESS).send(ask()))
    assert last.record.answer.usage == Usage(3, 0)


def test_an_answer_without_a_finish_reason_is_recorded_where_its_stream_was_complete(store):
    turn = [Chunk(text="x"), Chunk(done=True, note="no reason")]
    live, _ = fold(recorded(EchoProvider([turn]), store).send(ask()))
    again, last = fold(recorded(EchoProvider(), store).send(ask()))
    assert (again, last.source) == (live, "recorded")
    assert (again.finish_reason, again.notes) == (None, ("no reason",))


def test_chunks_arrive_while_the_provider_still_answers(store):
    seen = []

    class Slow:
        def send(self, request):
            for word in "abc":
                seen.append(word)
                yield Chunk(text=word)
            yield Chunk(finish_reason="stop")

    stream = recorded(Slow(), store).send(ask())
    assert (next(stream).text, seen) == ("a", ["a"])
    assert (next(stream).text, seen) == ("b", ["a", "b"])
    stream.close()
    assert len(store) == 0


@given(
    answers.filter(
        lambda a: (
            a.finish_reason != ""
            and a.raw != {}
            and (a.logprobs or a.logprobs is None)
            and a.model != ""
            and a.fingerprint != ""
            and "" not in a.notes
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_a_replayed_record_folds_to_its_answer(answer):
    assert fold(replay_chunks(Record("k", {}, answer)))[0] == answer


@pytest.mark.parametrize(
    ("mode", "calls", "written"),
    [(Mode.AUTO, 0, 1), (Mode.REPLAY, 0, 1), (Mode.REFRESH, 1, 2), (Mode.OFF, 1, 1)],
)
def test_each_mode_calls_and_writes_as_it_says_when_known(store, mode, calls, written):
    filled(store, "Hello")
    provider = EchoProvider(["new"])
    _, last = fold(recorded(provider, store, mode).send(ask()))
    assert len(provider.requests) == calls
    assert store.path.read_bytes().count(b'{"key"') == written
    assert last.record.answer.text == ("new" if calls else "Hi")
    assert store.get(ask().key).answer.text == ("new" if mode is Mode.REFRESH else "Hi")


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.REFRESH, Mode.OFF])
def test_without_a_store_the_record_is_built_all_the_same(mode):
    _, last = fold(recorded(EchoProvider(), None, mode).send(ask("Hi")))
    assert (last.record.answer.text, last.record.key, last.source) == ("Hi", ask("Hi").key, "live")


def test_off_neither_reads_nor_writes(store):
    store.path.write_bytes(b"no store at all")
    _, last = fold(recorded(EchoProvider(), store, Mode.OFF).send(ask("Hi")))
    assert last.record.answer.text == "Hi"


FAILURES = {
    "error": (RateLimitError("slow down"), RateLimitError),
    "cut": ([Chunk(text="half an ans")], BadResponseError),
    "nothing": ([], BadResponseError),
    "interrupt": (KeyboardInterrupt(), KeyboardInterrupt),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.REFRESH])
def test_what_is_not_finished_is_not_recorded(store, name, mode):
    turn, error = FAILURES[name]
    provider = recorded(EchoProvider([turn, "fine"]), store, mode)
    with pytest.raises(error):
        list(provider.send(ask()))
    assert not store.path.exists()
    assert len(FLIGHTS) == 0
    assert fold(provider.send(ask()))[0].text == "fine"


def test_an_abandoned_stream_is_not_recorded_and_blocks_nobody(store):
    provider = recorded(EchoProvider(["one two three", "again"]), store)
    stream = provider.send(ask())
    next(stream)
    del stream
    gc.collect()
    assert (len(store), len(FLIGHTS)) == (0, 0)
    assert fold(provider.send(ask()))[0].text == "again"


def test_an_answer_that_ends_in_an_error_is_shown_but_not_recorded(store):
    _, last = fold(recorded(EchoProvider([[Chunk(text="oops", finish_reason="error")]]), store).send(ask()))
    assert last.record.answer.text == "oops"
    assert len(store) == 0


def test_an_answer_that_json_cannot_hold_returns_with_a_warning(store):
    turn = [Chunk(embeddings=((float("nan"),),), finish_reason="stop")]
    with pytest.warns(StoreWarning, match="not recorded: JSON cannot hold it"):
        _, last = fold(recorded(EchoProvider([turn]), store).send(ask()))
    assert last.record.answer.finish_reason == "stop"


def test_a_request_without_a_key_is_refused_before_the_call():
    provider = EchoProvider()
    with pytest.raises(MessageError, match="NaN"):
        list(recorded(provider, None, Mode.OFF).send(ask(params={"temperature": float("nan")})))
    assert provider.requests == []


def test_a_forged_record_is_no_answer(store):
    store.append(replace(make("something else", said="forged"), key=ask().key))
    provider = EchoProvider(["genuine"])
    _, last = fold(recorded(provider, store).send(ask()))
    assert last.record.answer.text == "genuine"
    assert store.problems == [(2, "its key belongs to another request")]


def test_one_and_one_point_zero_ask_the_same(store):
    provider = EchoProvider()
    for temperature in (1, 1.0):
        fold(recorded(provider, store).send(ask(params={"temperature": temperature})))
    assert len(provider.requests) == 1


def test_samples_are_recorded_apart(store):
    provider = recorded(EchoProvider(["one", "two"]), store)
    said = [fold(provider.send(ask().with_sample(n)))[0].text for n in (0, 1, 0, 1)]
    assert said == ["one", "two", "one", "two"]


class Gate:
    """A provider that waits in the middle of its answer until the test lets it go on."""

    def __init__(self, *endings):
        self.calls, self.begun, self.open = 0, threading.Event(), threading.Event()
        self.endings = iter(endings)
        self.lock = threading.Lock()

    def send(self, request):
        with self.lock:
            self.calls += 1
            ending = next(self.endings, None)
        yield Chunk(text="begun")
        self.begun.set()
        self.open.wait(20)
        if ending is not None:
            raise ending
        yield Chunk(text=" and ended", finish_reason="stop")


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.REFRESH])
def test_threads_that_ask_the_same_make_one_call(store, mode):
    gate = Gate()
    threads, results = in_threads(12, lambda n: fold(recorded(gate, store, mode).send(ask()))[1])
    gate.begun.wait(20)
    until(lambda: len(FLIGHTS) == 1)
    time.sleep(0.05)  # most of them wait by now; the promise holds for those that come later, too
    gate.open.set()
    finish(threads)
    assert {r.record.answer.text for r in results} == {"begun and ended"}
    if mode is Mode.AUTO:
        assert gate.calls == 1
        assert sorted(r.source for r in results) == ["live"] + ["recorded"] * 11
        assert len({repr(r.record) for r in results}) == 1
    assert len(FLIGHTS) == 0


ASKER = """
import sys
from tinyllm_magic import LLMCall
call = LLMCall(None, "The same question.", mode="auto")
print(call.call())
"""


def test_processes_that_ask_the_same_make_one_call_each_at_most_and_all_survive(store, monkeypatch):
    from fakeserver import FakeServer

    with FakeServer([{"text": "one answer", "delay": 0.2}] * 4) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("TINYLLM_STORE", str(store.path))
        processes = [python(ASKER, wait=False) for _ in range(4)]
        told = [p.communicate(timeout=60)[0] for p in processes]
        assert [p.returncode for p in processes] == [0] * 4
        assert told == ["one answer\n"] * 4
        assert 1 <= server.n <= 4
        asked = server.n
        assert python(ASKER, wait=False).communicate(timeout=60)[0] == "one answer\n"
        assert server.n == asked
    assert (len(store), store.check()) == (1, [])


def test_different_samples_and_the_mode_off_are_not_shared(store):
    gate = Gate()
    gate.open.set()
    threads, _ = in_threads(5, lambda n: fold(recorded(gate, store).send(ask().with_sample(n))))
    finish(threads)
    assert gate.calls == 5
    threads, _ = in_threads(3, lambda n: fold(recorded(gate, store, Mode.OFF).send(ask())))
    finish(threads)
    assert gate.calls == 8


def test_a_leader_that_fails_passes_its_error_on(store):
    gate = Gate(RateLimitError("slow down"))
    leader, first = in_threads(1, lambda n: fold(recorded(gate, store).send(ask())))
    gate.begun.wait(20)
    followers, rest = in_threads(3, lambda n: fold(recorded(gate, store).send(ask())))
    time.sleep(0.1)  # long enough for the followers to wait; those that come late would make a call of their own
    gate.open.set()
    finish(leader + followers)
    assert isinstance(first[0], RateLimitError)
    assert gate.calls == 1
    assert all(isinstance(r, RateLimitError) for r in rest)


def test_an_interrupted_leader_hands_over_to_one_that_waits(store):
    gate = Gate(KeyboardInterrupt())
    leader, first = in_threads(1, lambda n: fold(recorded(gate, store).send(ask())))
    gate.begun.wait(20)
    followers, rest = in_threads(3, lambda n: fold(recorded(gate, store).send(ask()))[0].text)
    gate.open.set()
    finish(leader + followers)
    assert isinstance(first[0], KeyboardInterrupt)
    assert rest == ["begun and ended"] * 3
    assert gate.calls == 2


def test_a_stream_that_is_kept_and_read_no_further_blocks_nobody(store, monkeypatch):
    monkeypatch.setattr(single_flight, "PATIENCE", 0)
    provider = EchoProvider(["one two", "asked anew", "not asked"])
    kept = recorded(provider, store).send(ask())
    next(kept)
    threads, results = in_threads(1, lambda n: fold(recorded(provider, store).send(ask()))[0].text)
    finish(threads)
    assert results == ["asked anew"]
    assert (fold(kept)[0].text, len(provider.requests)) == ("two", 2)  # who comes back gets the rest
    assert len(FLIGHTS) == 0


def test_who_waits_for_a_stream_that_is_read_slowly_gets_its_answer(store):
    provider = EchoProvider(["one two three"])
    slow = recorded(provider, store).send(ask())
    next(slow)
    threads, results = in_threads(2, lambda n: fold(recorded(provider, store).send(ask()))[0].text)
    list(slow)
    finish(threads)
    assert (results, len(provider.requests)) == (["one two three"] * 2, 1)


def test_a_thread_that_asks_twice_does_not_wait_for_itself(store):
    provider = recorded(EchoProvider(["one one", "two two"]), store)
    first = provider.send(ask())
    next(first)
    assert fold(provider.send(ask()))[0].text == "two two"
    assert fold([Chunk(text="one "), *first])[0].text == "one one"
    assert len(FLIGHTS) == 0


@pytest.mark.skipif(os.name == "nt", reason="signals to a process")
def test_a_follower_can_be_interrupted(store):
    gate = Gate()
    threads, _ = in_threads(1, lambda n: fold(recorded(gate, store).send(ask())))
    gate.begun.wait(20)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fold(recorded(gate, store).send(ask()))
    gate.open.set()
    finish(threads)
    assert len(store) == 1


def estimate(messages, text, model):
    return Usage(len(messages), len(text.split()), estimated=True)


def test_usage_is_estimated_where_none_is_reported_and_only_there(store):
    turns = [[Chunk(text="one two three"), Chunk(finish_reason="stop")], "one two three"]
    provider = recorded(EchoProvider(turns), store, estimate=estimate)
    usages = [fold(provider.send(ask(text)))[1].record.answer.usage for text in ("a", "b")]
    assert [u.estimated for u in usages] == [True, False]
    assert usages[0] == Usage(2, 3, estimated=True)


def test_the_usage_of_an_attempt_that_failed_does_not_count(store):
    turns = [Chunk(text="x", usage=Usage(9, 9)), Chunk(restart=True), Chunk(text="one two"), Chunk(finish_reason="stop")]
    _, last = fold(recorded(EchoProvider([turns]), store, estimate=estimate).send(ask()))
    assert last.record.answer.usage == Usage(2, 2, estimated=True)


@pytest.mark.parametrize(("mode", "asked", "kept"), [(Mode.OFF, 2, 0), (Mode.AUTO, 1, 1), (Mode.REFRESH, 2, 1)])
def test_what_is_decided_is_what_happens(store, mode, asked, kept):
    provider = EchoProvider(["one", "two"])
    for _ in range(2):
        fold(recorded(provider, store, mode).send(ask()))
    assert (len(provider.requests), len(store)) == (asked, kept)


OBEYED = {  # what is decided for a request that the store knows: the answer, how often the provider is asked, lines of the store
    Decision.CALL: ("new", 1, 1),
    Decision.CALL_AND_RECORD: ("new", 1, 2),
    Decision.REPLAY: ("Hi", 0, 1),
}


@pytest.mark.parametrize("decision", OBEYED)
@pytest.mark.parametrize("mode", Mode)
def test_the_decision_alone_says_whether_a_call_is_made_and_recorded(store, mode, decision, monkeypatch):
    (record,) = filled(store, "Hello")
    monkeypatch.setattr(recorder, "decide", lambda mode, known: decision)
    provider = EchoProvider(["new"])
    chunks = recorded(provider, store, mode).send(ask(), resolution=Resolution(decision, record))
    assert (fold(chunks)[0].text, len(provider.requests), store.path.read_bytes().count(b'{"key"')) == OBEYED[decision]


@pytest.mark.parametrize("mode", Mode)
def test_a_decided_miss_is_raised_whatever_the_mode_and_the_store(store, mode, monkeypatch):
    filled(store, "Hello")
    monkeypatch.setattr(recorder, "decide", lambda mode, known: Decision.MISS)
    with pytest.raises(ReplayMiss):
        fold(recorded(Untouched(), store, mode).send(ask()))


class CountingLookup(Lookup):
    """Counts how often a record is looked for."""

    looked = 0

    def get(self, request, **how):
        self.looked += 1
        return super().get(request, **how)


@pytest.mark.parametrize("text", ["Hello", "unknown"])
def test_what_was_resolved_before_is_not_looked_up_again(store, text):
    filled(store, "Hello")
    lookup = CountingLookup(store, Mode.AUTO)
    resolution = resolve(ask(text), Mode.AUTO, lookup)
    fold(recorded(EchoProvider(), store, lookup=lookup).send(ask(text), resolution=resolution))
    assert lookup.looked == 1


def test_what_another_thread_recorded_meanwhile_is_not_asked_again(store):
    resolution = resolve(ask(), Mode.AUTO, Lookup(store, Mode.AUTO))
    filled(store, "Hello")
    assert fold(recorded(Untouched(), store).send(ask(), resolution=resolution))[0].text == "Hi"
