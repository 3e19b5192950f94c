"""Totals by model."""

from tinyllm_magic import client, session


def test_an_answer_whose_tokens_nobody_counted_makes_the_total_an_estimate(start):
    start({"usage": {"prompt_tokens": 0, "total_tokens": 0}})
    client().get_embedding("Hello")
    (total,) = session.budget.totals.values()
    assert (total.live, total.usage.total_tokens, total.usage.estimated) == (1, 0, True)
