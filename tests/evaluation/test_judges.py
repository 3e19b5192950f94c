"""A judge is a call with choices: asked for each answer, recorded as all calls are, and answered by its record the second time."""

from typing import Literal

import pytest

from tinyllm_magic import LLMCall, OpenAIClient, errors, override, register_client

pytestmark = pytest.mark.usefixtures("judging")
JUDGE = LLMCall(None, "expected {{ expected }}, said {{ answer }} of {{ label }}", schema=Literal["right", "wrong", "unclear"])


class Judge(OpenAIClient):
    """Says of what it is shown whether both words begin alike."""

    def __init__(self):
        super().__init__()
        self.prompts = []

    def _raw_model_call(self, model, params):
        text = params["messages"][-1]["content"]
        self.prompts.append(text)
        words = text.replace(",", "").split()
        verdict = "unclear" if words[3] == "x" else "right" if words[1] == words[3] else "wrong"
        content = f'{{"value": "{verdict}"}}' if "response_format" in params else verdict
        return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}], "model": model}


@pytest.fixture
def judging():
    judge = Judge()
    register_client("judge", judge)
    with override(api_type="judge", mode="auto", waiting_time=0.001):
        yield judge


def test_a_judge_is_asked_of_each_answer_with_the_row_and_what_was_expected(labelled, judging):
    score = labelled("aabb", "abb.").score("label", JUDGE)

    assert sorted(judging.prompts) == ["expected a, said a of a", "expected a, said b of a", "expected b, said b of b"]
    assert (score.metric, score.value, score.n, score.unanswered) == ("judged right", 0.5, 4, 1)
    assert [r.get("verdict") for r in score.failures] == ["wrong", None]
    assert score.judged["value"] == ["right", "wrong", "right"]


def test_a_judgement_is_recorded(labelled, judging):
    first = labelled("ab", "ax").score("label", JUDGE)
    asked = len(judging.prompts)
    again = labelled("ab", "ax").score("label", JUDGE)

    assert asked == len(judging.prompts) == 2
    assert again.judged["source"] == ["recorded", "recorded"]
    assert first.value == again.value


def test_which_choice_counts_may_be_said(labelled):
    assert labelled("ab", "ax").score("label", JUDGE, right="unclear").value == 0.5
    with pytest.raises(errors.OptionError, match="no choice of the judge"):
        labelled("ab", "ax").score("label", JUDGE, right="good")


def test_a_judge_needs_no_expected_answer(labelled):
    call = LLMCall(None, "expected a, said {{ answer }}", schema=Literal["right", "wrong"])

    assert labelled("ab", "ab").score(metric=call).value == 0.5


def test_a_judge_without_choices_is_refused(labelled):
    with pytest.raises(errors.OptionError, match="a judge needs choices"):
        labelled("ab", "ax").score("label", LLMCall(None, "Is {{ answer }} right?"))
