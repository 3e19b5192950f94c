"""Which questions are asked again."""

import pytest
from recordedbook import record

from tinyllm_magic.changes.drift_sample import choose_questions, list_questions
from tinyllm_magic.changes.recorded_notebook import read_recorded


def read(path):
    return list_questions(read_recorded(path))


def test_samples_are_one_question_and_what_no_model_was_asked_is_none(book):
    tool = record("", kind="tool", provider="tool", model="add", arguments={"a": 1}, messages=())
    file = record("", kind="file", provider="web", model="", url="https://example.org/a.png", messages=())
    embedding = record("", kind="embedding", input=["a"], messages=())
    samples = [record("Why?", f"answer {n}", sample=n) for n in (1, 0, 2)]

    found = read(book(samples[:1], [tool, file], unshown=[*samples[1:], embedding]))

    assert [(q.place, len(q.records), q.records[0].request.get("sample", 0)) for q in found] == [
        ("cell 1", 3, 0),
        ("no cell's output", 1, 0),
    ]


def test_models_take_turns_and_of_each_model_its_cells(book):
    many = [record(f"many {n}") for n in range(30)]
    path = book(many, [record("one")], [record("other", model="gpt-4.1")])
    questions = read(path)

    for seed in range(10):
        chosen = choose_questions(questions, 3, seed)
        assert [(q.place, q.model) for q in chosen] == [("cell 1", "gpt-4o-mini"), ("cell 2", "gpt-4o-mini"), ("cell 3", "gpt-4.1")]


def test_the_same_seed_chooses_the_same_questions_and_another_seed_others(book):
    questions = read(book([record(f"many {n}") for n in range(30)]))
    chosen = [tuple(q.title for q in choose_questions(questions, 5, seed)) for seed in (0, 0, 1, 2)]
    assert chosen[0] == chosen[1]
    assert len(set(chosen)) == 3


def test_more_than_there_are_means_all_in_their_order(book):
    questions = read(book([record(f"many {n}") for n in range(4)], [record("last")]))
    assert choose_questions(questions, 100, 7) == questions


@pytest.mark.parametrize(("recorded", "draws"), [(1, 1), (2, 5), (3, 4), (4, 4), (10, 10), (40, 20)])
def test_several_samples_are_asked_for_so_often_that_a_test_could_show_a_difference(book, recorded, draws):
    (question,) = read(book([record("Why?", sample=n) for n in range(recorded)]))
    assert question.draws == draws


@pytest.mark.parametrize(
    ("params", "still"), [({"temperature": 0.0}, True), ({"seed": 7, "temperature": 1}, True), ({"temperature": 1}, False), ({}, False)]
)
def test_a_question_is_held_still_at_temperature_zero_or_by_a_seed(book, params, still):
    (question,) = read(book([record("Why?", **params)]))
    assert question.is_held_still is still
    assert (question.draws, question.most_draws) == (1, 3 if still else 1)
