"""Shows a blind rating at the end of a cell: a live widget, and below it what stays without a kernel."""

from __future__ import annotations

from typing import Any

from ..clients.environment import shell
from ..display import output, rating_widget
from ..display.bundle import Bundle
from ..display.rating_widget import NONE_BETTER, RatingPanel, RatingView
from ..evaluation.ratings import BlindRating


def show_rating(rating: BlindRating) -> tuple[Bundle, dict[str, Any]]:
    """Show the widget where there is a notebook; returns the picture of the rating, which its style sheet hides meanwhile."""
    running = shell()
    if not output.is_terminal(running) and rating.items:
        output.show_widget(make_panel(rating), describe_progress(rating))
    views = [read_view(rating, number) for number in range(len(rating.items))]
    when = f"{describe_progress(rating)} (when this cell was run)"
    return rating_widget.bundle_rating(views, when), output.build_metadata("session")


def make_panel(rating: BlindRating) -> RatingPanel:
    """A widget that chooses in a rating."""

    def choose(number: int, choice: int | None) -> None:
        if choice is None:
            rating.withdraw(number)
        else:
            rating.choose(number, None if choice == NONE_BETTER else choice)

    return RatingPanel(len(rating.items), lambda number: read_view(rating, number), choose, lambda: describe_progress(rating))


def read_view(rating: BlindRating, number: int) -> RatingView:
    """One row of a rating as it is shown."""
    item = rating.items[number]
    chosen = rating.shown_choice(number)
    choice = None if not rating.is_rated(number) else NONE_BETTER if chosen is None else chosen
    return RatingView(item.row, item.answers, choice)


def describe_progress(rating: BlindRating) -> str:
    """How far a rating has come; whose answers were chosen is said when it is complete, and not before."""
    total = len(rating.items)
    rated = sum(rating.is_rated(n) for n in range(total))
    alike = f", {rating.alike:,} rows whose answers are the same are left out" if rating.alike else ""
    if total and rated == total:
        return f"{rating.result}{alike}"
    return f"blind rating: {rated:,} of {total:,} rows rated{alike}"
