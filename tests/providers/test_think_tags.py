"""Reasoning in front of an answer is told from its text, wherever the stream cuts the tags."""

import itertools

import pytest

from tinyllm_magic.providers.think_tags import ThinkSplitter

CASES = {
    "reasoning": ("<think>\n2 + 2 = 4 \n</think>\n\nFour.", "Four.", "2 + 2 = 4"),
    "none": ("Four.", "Four.", ""),
    "a tag further on": ("Write <think>x</think>.", "Write <think>x</think>.", ""),
    "a tag in the answer": ("<think>a</think>Use <think>.", "Use <think>.", "a"),
    "empty reasoning": ("<think>\n\n</think>\n\nFour.", "Four.", ""),
    "two blocks": ("<think>a</think> <think>b</think>c", "c", "a\n\nb"),
    "cut within": ("<think>2 + ", "", "2 +"),
    "reasoning alone": ("<think>a</think>", "", "a"),
    "Gemini's": ("<thought>a</thought>b", "b", "a"),
    "half an end within": ("<think>a </thi b</think>c", "c", "a </thi b"),
    "a like name": ("<thinking>a</thinking>", "<thinking>a</thinking>", ""),
    "half a tag": ("<thin", "<thin", ""),
    "in capitals": ("<Think>a</THINK>b", "b", "a"),
    "white space first": ("\n <think>a</think>b", "b", "a"),
    "white space alone": (" \n", " \n", ""),
}


def split(pieces):
    splitter = ThinkSplitter()
    found = [*(splitter.feed(piece) for piece in pieces), splitter.close()]
    return "".join(text for text, _ in found), "".join(thought for _, thought in found)


@pytest.mark.parametrize("case", CASES)
def test_text_and_reasoning_are_the_same_however_the_answer_is_cut(case):
    whole, text, thought = CASES[case]
    assert split([whole]) == (text, thought)
    assert split(list(whole)) == (text, thought)
    for a, b in itertools.combinations(range(len(whole)), 2):
        assert split([whole[:a], whole[a:b], whole[b:]]) == (text, thought), (whole[:a], whole[a:b], whole[b:])


def test_reasoning_is_told_as_it_comes():
    splitter = ThinkSplitter()
    assert [splitter.feed(p) for p in ("<think>", "one ", "two", " </think>", "three")] == [
        ("", ""), ("", "one"), ("", " two"), ("", ""), ("three", ""),
    ]  # fmt: skip
