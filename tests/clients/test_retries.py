"""What is done on the way: repetitions, fallbacks, the cap, estimates. The provider is a script."""

import contextlib
import threading

import pytest

from tinyllm_magic import errors
from tinyllm_magic.clients.fallbacks import FeatureFallback
from tinyllm_magic.clients.rate_limits import ConcurrencyLimit
from tinyllm_magic.clients.retries import Retries
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.providers.echo import EchoProvider
from tinyllm_magic.recording.single_flight import Holder
from tinyllm_magic.responses import Chunk, ChunkAccumulator
from tinyllm_magic.settings.retry_policy import RetryPolicy

ASKED = Request("echo", "m", (Message("user", "one two"),))
TOOL = {"type": "function", "function": {"name": "f"}}
QUICK = RetryPolicy(attempts=3, waiting_time=0, factor=1)


def fold(provider, request=ASKED):
    folder = ChunkAccumulator()
    for chunk in provider.send(request):
        folder.add(chunk)
    return folder.answer()


def busy():
    return errors.ServerError("busy", status=503)


def refuses(feature):
    return errors.UnsupportedError(f"no {feature}", feature=feature)


def test_the_first_attempt_that_succeeds_is_the_answer():
    inner = EchoProvider([busy(), busy(), "third"])
    assert fold(Retries(inner, QUICK)).text == "third"
    assert inner.requests == [ASKED] * 3


def test_what_a_broken_attempt_said_is_void():
    class Breaks:
        def __init__(self):
            self.count = 0

        def send(self, request):
            self.count += 1
            yield Chunk(text=f"part {self.count} ")
            if self.count == 1:
                raise errors.ConnectionFailedError("cut")
            yield Chunk(finish_reason="stop")

    assert fold(Retries(Breaks(), QUICK)).text == "part 2 "


def test_attempts_are_counted_and_first_and_last_are_kept():
    first, last = busy(), errors.RateLimitError("slow down")
    with pytest.raises(errors.RateLimitError, match="gave up after 3 attempts: slow down; the first failure was: busy") as caught:
        fold(Retries(EchoProvider([first, busy(), last]), QUICK))
    assert (caught.value.attempts, caught.value.first, caught.value.last) == (3, first, last)
    assert caught.value.__cause__ is None


def test_one_attempt_says_nothing_of_attempts():
    with pytest.raises(errors.ServerError, match=r"^busy"):
        fold(Retries(EchoProvider([busy()]), RetryPolicy(attempts=1)))


@pytest.mark.parametrize(
    "error", [errors.AuthError("no"), errors.BudgetError("no"), errors.LocalModelError("no"), KeyboardInterrupt(), ValueError("no")]
)
def test_what_does_not_pass_is_not_repeated(error):
    inner = EchoProvider([error, "never"])
    with pytest.raises(type(error)) as caught:
        fold(Retries(inner, QUICK))
    assert caught.value is error
    assert len(inner.requests) == 1


def test_closing_the_stream_closes_the_provider():
    closed = threading.Event()

    class Watched:
        def send(self, request):
            try:
                yield Chunk(text="one")
                yield Chunk(text="two")
            finally:
                closed.set()

    stream = Retries(FeatureFallback(Watched(), set()), QUICK).send(ASKED)
    next(stream)
    stream.close()
    assert closed.is_set()


@pytest.mark.parametrize(
    ("feature", "fields"), [("tools", {"tools": (TOOL,)}), ("response_format", {"response_format": {"type": "json_object"}})]
)
def test_a_refused_feature_is_left_out_with_a_note_and_remembered(feature, fields):
    inner, known = EchoProvider([refuses(feature), "without", "again"]), set()
    request = Request("echo", "m", (Message("user", "hi"),), {"tool_choice": "auto"} if feature == "tools" else {}, **fields)
    assert fold(FeatureFallback(inner, known), request).notes == (f"m does not take {feature.replace('_', ' ')}; asked without",)
    assert known == {("echo", "m", feature)}
    assert fold(FeatureFallback(inner, known), request).text == "again"
    assert [bool(getattr(r, feature)) for r in inner.requests] == [True, False, False]
    assert inner.requests[1].params == {}


def test_what_was_learnt_of_one_model_is_not_applied_to_another():
    inner, known = EchoProvider(["yes"]), {("echo", "other", "tools")}
    fold(FeatureFallback(inner, known), Request("echo", "m", (Message("user", "hi"),), tools=(TOOL,)))
    assert inner.requests[0].tools


def test_a_model_that_cannot_choose_a_tool_may_still_be_held_to_one():
    inner, known = EchoProvider([refuses("tools"), "without", "called"]), set()
    free, held = ({"tool_choice": choice} for choice in ("auto", "required"))
    fold(FeatureFallback(inner, known), Request("echo", "m", (Message("user", "hi"),), free, tools=(TOOL,)))
    assert fold(FeatureFallback(inner, known), Request("echo", "m", (Message("user", "hi"),), held, tools=(TOOL,))).text == "called"
    assert [bool(r.tools) for r in inner.requests] == [True, False, True]


def test_both_features_may_be_refused_one_after_the_other():
    inner = EchoProvider([refuses("tools"), refuses("response_format"), "plain"])
    request = Request("echo", "m", (Message("user", "hi"),), tools=(TOOL,), response_format={"type": "json_object"})
    answer = fold(FeatureFallback(inner, set()), request)
    assert answer.text == "plain"
    assert len(answer.notes) == 2


@pytest.mark.parametrize("feature", ["tools", "images", "temperature"])
def test_a_feature_that_was_not_sent_or_cannot_be_left_out_is_an_error(feature):
    inner = EchoProvider([refuses(feature)])
    with pytest.raises(errors.UnsupportedError):
        fold(FeatureFallback(inner, set()))
    assert len(inner.requests) == 1


def test_a_place_is_held_until_the_answer_is_complete_or_failed():
    held = []

    @contextlib.contextmanager
    def slot():
        held.append("in")
        try:
            yield Holder()
        finally:
            held.append("out")

    fold(ConcurrencyLimit(EchoProvider(["a"]), slot))
    with pytest.raises(errors.ServerError):
        fold(ConcurrencyLimit(EchoProvider([busy()]), slot))
    assert held == ["in", "out"] * 2
