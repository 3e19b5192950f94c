"""Blind rating by keyboard: the module alone in a bare page, and the whole in JupyterLab."""

import json

import pytest
from playwright.sync_api import expect

from browser.conftest import HOST
from tinyllm_magic.display.rating_widget import RatingPanel, RatingView

EVIL = "<img src=http://evil.test/x onerror=window.ran=1>"
SETUP = """from tinyllm_magic import LLMCall, map_rows, override
rows = [{'w': w} for w in ('tea', 'milk', 'juice')]
with override(api_type='echo', mode='auto'):
    one, two = (map_rows(LLMCall(None, text), rows, progress=False) for text in ('I like {{ w }}.', '{{ w }}!'))
"""
RATE = "one.rate(two, names=('long', 'short'), seed=3)"
AGAIN = "print(one.rate(two, names=('long', 'short')).result)"


@pytest.fixture
def panel(page):
    made = RatingPanel(2, lambda n: RatingView({"w": EVIL}, [f"one {n}", EVIL]), lambda *_: None, lambda: "0 of 2")
    state = {k: v for k, v in made.get_state().items() if not k.startswith("_") and k not in ("layout", "tabbable", "tooltip")}
    page.evaluate(HOST, {"esm": str(made._esm), "css": made._css, "state": json.loads(json.dumps(state)), "views": 1})
    return page


def wanted(page):
    return [{k: v for k, v in s["wanted"].items() if k != "asked"} for s in page.evaluate("() => window.host.sent")]


def test_keys_say_what_is_wanted(panel):
    panel.get_by_role("region", name="Blind rating").focus()
    for key in ("1", "2", "3", "0", "Backspace", "ArrowRight", "x"):
        panel.keyboard.press(key)

    choices = [{"do": "choose", "choice": 0}, {"do": "choose", "choice": 1}, {"do": "choose", "choice": -1}]
    assert wanted(panel) == [*choices, {"do": "withdraw"}, {"do": "go", "to": 1}]


def test_answers_are_text_and_have_names(panel):
    expect(panel.get_by_role("article", name="Answer 2")).to_contain_text(EVIL)
    expect(panel.get_by_role("button", name="answer 1")).to_have_attribute("aria-pressed", "false")
    assert panel.evaluate("() => window.ran") is None


def test_a_choice_of_the_kernel_is_marked_in_words(panel):
    panel.evaluate("() => window.host.fromKernel({choice: 0})")

    expect(panel.get_by_role("article", name="Answer 1")).to_contain_text("✓ chosen")
    expect(panel.get_by_role("button", name="answer 1")).to_have_attribute("aria-pressed", "true")


def test_a_rating_by_keyboard_in_jupyterlab_is_kept_and_read_again(notebook):
    book = notebook(SETUP, RATE, AGAIN)
    for index in range(3):
        book.run(index)
    region = book.output(2).get_by_role("region", name="Blind rating")
    region.focus()
    for number in range(1, 4):
        expect(region).to_contain_text(f"Row {number} of 3")
        first = region.get_by_role("article", name="Answer 1").inner_text()
        book.page.keyboard.press("1" if "I like" in first else "2")
        expect(region).to_contain_text(f"{number} of 3 rows rated" if number < 3 else "100.0 % of 3 rows")
    expect(book.output(2).locator(".tlm-rating-twin")).to_be_hidden()
    book.run(3)

    expect(book.output(3)).to_contain_text("long and short: 100.0 % of 3 rows")
