"""What answers tell of drift, and what they cannot."""

import pytest
from recordedbook import record

from tinyllm_magic.changes.drift_sample import Question
from tinyllm_magic.changes.drift_verdict import CHANGED, SAME, UNKNOWN, correct_tests, judge, needs_more
from tinyllm_magic.responses import Answer, ToolCall

ONE = "one recorded answer at {} cannot tell: `-n 5` records more"
COOL, OWN = ONE.format("temperature 0.9"), ONE.format("the model's own temperature")
RESTLESS = "other texts, but the model does not repeat itself with these parameters either"
STILL, FREE = {"temperature": 0}, {"temperature": 0.9}


def said(text, model="m-1", fingerprint="fp_1", **more):
    return Answer(text=text, finish_reason="stop", model=model, fingerprint=fingerprint, **more)


def question(*texts, params=STILL, answers=(), **more):
    answers = answers or [said(t) for t in texts]
    return Question(tuple(record("Why?", answer=a, sample=n, **params, **more) for n, a in enumerate(answers)))


@pytest.mark.parametrize(
    ("asked", "now", "verdict", "why"),
    [
        (question("tea"), [said("tea")], SAME, "the same text"),
        (question("tea", params=FREE), [said("tea")], SAME, "the same text"),
        (question("tea"), [said("tea", model="m-2")], CHANGED, "another model answered: m-1 → m-2"),
        (question("tea"), [said("tea", model=None)], SAME, "the same text"),
        (question("tea"), [said("tea", fingerprint="fp_2")], SAME, "the same text, though the fingerprint is another: fp_1 → fp_2"),
        (question("tea"), [said("rum")] * 3, CHANGED, "another text, 3 times"),
        (question("tea"), [said("rum"), said("gin")], UNKNOWN, RESTLESS),
        (question("tea"), [said("rum")], UNKNOWN, "another text, but not 3 times: it may be chance"),
        (question("tea"), [said("rum"), said("rum")], UNKNOWN, "another text, but not 3 times: it may be chance"),
        (question("tea"), [said("rum"), said("tea")], UNKNOWN, RESTLESS),
        (question("tea"), [said("rum", fingerprint="fp_2")], CHANGED, "another fingerprint: fp_1 → fp_2"),
        (question("tea", params=FREE), [said("rum")], UNKNOWN, COOL),
        (question("tea", params={}), [said("rum")], UNKNOWN, OWN),
        (question("tea", params=FREE), [said("rum", fingerprint="fp_2")], CHANGED, "another fingerprint: fp_1 → fp_2"),
        (question("tea", params=FREE), [said("rum", fingerprint=None)], UNKNOWN, COOL),
        (question("a", "b", params=FREE), [said("b"), said("a")], SAME, "the same text, 2 times"),
        (question("a", "b", params=FREE), [said("c"), said("d")], UNKNOWN, "2 recorded and 2 new answers are too few for a test"),
    ],
)  # fmt: skip
def test_the_model_the_text_and_then_the_fingerprint_decide(asked, now, verdict, why):
    found = judge(asked, now)
    assert (found.verdict, found.why, found.calls) == (verdict, why, len(now))


def test_what_changed_is_shown_as_recorded_and_now():
    assert judge(question("tea"), [said("rum")] * 3).lines == ("recorded  tea", "now       rum")


def test_a_typed_answer_counts_by_its_value_and_free_text_by_its_letters():
    form = {"type": "json_object"}
    assert judge(question('{"a": 1, "b": 2}', response_format=form), [said('{"b":2,"a":1}')]).verdict == SAME
    assert judge(question('{"a": 1}', response_format=form), [said('{"a": 2}')] * 3).verdict == CHANGED
    assert judge(question('{"a": 1, "b": 2}'), [said('{"b":2,"a":1}')] * 3).verdict == CHANGED


def test_calls_of_tools_count_by_name_and_arguments_and_not_by_their_ids():
    def calls(id_, arguments):
        return said(None, tool_calls=(ToolCall(id_, "add", arguments),))

    asked = question(answers=[calls("call_1", '{"a": 1, "b": 2}')])
    assert judge(asked, [calls("call_9", '{"b": 2, "a": 1}')]).verdict == SAME
    assert judge(asked, [calls("call_1", '{"a": 1, "b": 3}')] * 3).verdict == CHANGED


def test_embeddings_count_by_the_angle_between_them():
    asked = question(answers=[said(None, embeddings=((1.0, 0.0), (0.0, 2.0)))], params={"input": ["a", "b"]}, kind="embedding", messages=())

    def verdict(*vectors):
        return judge(asked, [said(None, embeddings=vectors)]).verdict

    assert verdict((1.0, 0.0), (0.0, 2.0)) == SAME
    assert verdict((1.0, 1e-5), (0.0, 1.0)) == SAME
    assert verdict((1.0, 0.03), (0.0, 2.0)) == UNKNOWN
    assert verdict((1.0, 0.1), (0.0, 2.0)) == CHANGED
    assert verdict((1.0, 0.0, 0.0), (0.0, 2.0, 0.0)) == CHANGED


def labels(yes, no):
    return [*["yes"] * yes, *["no"] * no]


@pytest.mark.parametrize(
    ("before", "now", "verdict"),
    [
        (labels(8, 0), labels(0, 8), CHANGED),
        (labels(4, 4), labels(5, 3), SAME),
        (labels(3, 1), labels(1, 3), UNKNOWN),
        ([f"The cat {n} sat on a mat" for n in range(6)], [f"Dogs ran {n} away" for n in range(6)], CHANGED),
        ([f"The cat {n} sat on a mat" for n in range(6)], [f"The cat {n} sat on a mat" for n in range(6, 12)], SAME),
    ],
    ids=["other labels", "alike labels", "too few", "other texts", "alike texts"],
)
def test_several_samples_are_told_apart_by_a_test(before, now, verdict):
    found = judge(question(*before, params=FREE), [said(t) for t in now])
    assert found.verdict == verdict
    assert found.p is not None


def test_tests_are_corrected_for_their_number():
    weak = [judge(question(*labels(4, 0), params=FREE), [said(t) for t in labels(0, 4)])]
    none = [judge(question(*labels(4, 4), params=FREE), [said(t) for t in labels(5, 3)])] * 9

    assert [v.verdict for v in correct_tests(weak)] == [CHANGED]
    assert [v.verdict for v in correct_tests([*weak, *none])] == [UNKNOWN, *[SAME] * 9]


def test_without_the_libraries_of_statistics_the_fingerprint_is_left(monkeypatch):
    from tinyllm_magic.changes import drift_verdict
    from tinyllm_magic.errors import MissingExtraError

    def missing(*_):
        raise MissingExtraError("scipy is not installed", extra="stats", hint="pip install it.")

    monkeypatch.setattr(drift_verdict, "compare_distributions", missing)
    asked = question(*labels(4, 4), params=FREE)
    assert judge(asked, [said(t) for t in labels(2, 6)]).why == "a test over samples needs more: scipy is not installed. pip install it."
    assert judge(asked, [said(t, fingerprint="fp_2") for t in labels(2, 6)]).verdict == CHANGED


def test_one_more_answer_is_wanted_where_it_would_tell():
    assert needs_more(question("tea"), [said("rum")])
    assert not needs_more(question("tea"), [said("tea")])
    assert needs_more(question("tea"), [said("rum"), said("rum")])
    assert not needs_more(question("tea"), [said("rum"), said("gin")])
    assert not needs_more(question("tea"), [said("rum")] * 3)
    assert not needs_more(question("tea", params=FREE), [said("rum")])
    assert not needs_more(question("tea"), [said("rum", model="m-2")])
