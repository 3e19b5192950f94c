"""The widget of a blind rating on the side of the kernel, and what stays of it without one."""

import pytest

from tinyllm_magic.display.rating_widget import RatingPanel, RatingView, bundle_rating


@pytest.fixture
def rated():
    """A panel over three rows, and what was chosen of each."""
    chosen = {}
    panel = RatingPanel(
        3,
        lambda n: RatingView({"w": f"row {n}"}, [f"one {n}", f"two {n}"], chosen.get(n)),
        lambda n, choice: chosen.update({n: choice}),
        lambda: f"{sum(v is not None for v in chosen.values())} rated",
    )
    return panel, chosen


def test_a_choice_is_kept_and_the_next_row_is_shown(rated):
    panel, chosen = rated
    panel.wanted = {"do": "choose", "choice": 1, "asked": 1}

    assert chosen == {0: 1}
    assert (panel.number, panel.answers, panel.choice, panel.status) == (1, ["one 1", "two 1"], None, "1 rated")


def test_a_choice_can_be_seen_again_changed_and_taken_back(rated):
    panel, chosen = rated
    for count, wanted in enumerate([{"do": "choose", "choice": -1}, {"do": "go", "to": 0}]):
        panel.wanted = {**wanted, "asked": count}
    assert (panel.number, panel.choice) == (0, -1)

    panel.wanted = {"do": "withdraw", "asked": 3}
    assert chosen == {0: None}
    assert (panel.number, panel.choice) == (0, None)


@pytest.mark.parametrize("wanted", [{}, {"do": "choose", "choice": 2}, {"do": "choose", "choice": "x"}, {"do": "choose"}, {"do": "no"}])
def test_what_makes_no_sense_does_nothing(rated, wanted):
    panel, chosen = rated
    panel.wanted = {**wanted, "asked": 1}

    assert (chosen, panel.number) == ({}, 0)


def test_one_goes_no_further_than_the_ends(rated):
    panel, _ = rated
    for count, (to, there) in enumerate([(-5, 0), (99, 2)]):
        panel.wanted = {"do": "go", "to": to, "asked": count}
        assert panel.number == there


def test_what_stays_without_a_kernel_shows_answers_and_choices_escaped_and_no_more_than_ten_rows():
    views = [RatingView({"w": "<i>"}, ["<b>one</b>", "two"], 1 if n == 0 else None) for n in range(12)]
    shown = bundle_rating(views, "1 of 12 rows rated")

    assert "<b>one" not in shown["text/html"]
    assert shown["text/html"].count("✓ chosen") == 1
    assert "… and 2 more rows" in shown["text/html"]
    assert "*2  two" in shown["text/plain"]
