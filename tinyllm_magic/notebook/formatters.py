"""How our values show themselves at the end of a cell: data and metadata for IPython's display formatter."""

from __future__ import annotations

from typing import Any

from ..batch.table import Table
from ..display import cards, output
from ..evaluation.agreement import Agreement
from ..evaluation.comparisons import Verdict
from ..evaluation.ratings import BlindRating
from ..evaluation.scores import Score
from ..models.tokenizers import TokenCount
from ..responses import Response
from . import batch_cells, rating_views, reports, score_views

Formatted = tuple[dict[str, str], dict[str, Any]]


def format_response(response: Response) -> Formatted:
    """A response as its card, which says where it is a turn that has become stale."""
    return cards.bundle_card(reports.card_of_response(response)), {output.NAMESPACE: cards.describe_provenance(response)}


def format_table(table: Table) -> Formatted:
    """A table of answers as its first rows, a comparison as its cards."""
    data, facts = batch_cells.bundle_table(table)
    return data, {output.NAMESPACE: facts}


def format_score(score: Score) -> Formatted:
    """A score with its confusions and failures."""
    return score_views.bundle_score(score), _scores([score_views.score_facts(score)])


def format_verdict(verdict: Verdict) -> Formatted:
    """A comparison as the sentences to write, and a chart."""
    return score_views.bundle_verdict(verdict), _scores(score_views.verdict_facts(verdict))


def format_agreement(agreement: Agreement) -> Formatted:
    """A measure of agreement, and the rows that are disputed."""
    return score_views.bundle_agreement(agreement), _scores(score_views.agreement_facts(agreement))


def format_rating(rating: BlindRating) -> Formatted:
    """A blind rating: the widget, and the picture that stays."""
    return rating_views.show_rating(rating)


def _scores(facts: list[dict[str, Any]]) -> dict[str, Any]:
    return {output.NAMESPACE: {"version": 1, "scores": facts}}


def format_count(count: TokenCount) -> Formatted:
    """A token count; whether it is exact depends on the tokenizers that are at hand."""
    return {"text/plain": str(count)}, output.build_metadata("session")
