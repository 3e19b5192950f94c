"""Cards side by side: nothing of an answer runs in them."""

import pytest
from htmlaudit import ATTACKS, Page

from tinyllm_magic.display.cards import Card
from tinyllm_magic.display.tables import bundle_grid


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_of_an_answer_can_run_in_a_grid(attack):
    data = bundle_grid([Card(attack, model=attack, title=attack), Card.failed(ValueError(attack))], title=attack)
    assert Page(data["text/html"]).wrong == []
    assert set(data) == {"text/html", "text/plain"}
