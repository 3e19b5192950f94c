"""Cards in a bare page: nothing of an answer runs or loads, and every word can be read."""

import pytest
from htmlaudit import ATTACKS

from browser.test_panel_page import CONTRAST, DARK, LIGHT
from tinyllm_magic.display import cards, dry_run, tables
from tinyllm_magic.display.cards import Card
from tinyllm_magic.display.history import HistoryItem, bundle_history
from tinyllm_magic.messages import Message
from tinyllm_magic.responses import ToolCall, Usage

CODE = "# A head\n\nSome *text* with `code`, [a link](https://example.org).\n\n```python\ndef f(x): # why\n    return 'a', 1\n```\n\n"
TABLE = "| a | b |\n|---|---|\n| 1 | 2 |\n"
STATES = ("streaming", "done", "stopped", "error")


def drawn(card):
    return cards.bundle_card(card)["text/html"]


def hostile(attack):
    message = Message("user", attack)
    return [
        Card(text=attack, model=attack, title=attack, reasoning=attack, notes=(attack,), tool_calls=(ToolCall(attack, attack, attack),)),
        Card(text=attack, format="html", params={attack: attack}, finish_reason=attack, prompt=(message,), prompt_tokens=(3,)),
        Card(state="error", error=(attack, attack), asked=attack),
        Card(text=attack, state="streaming"),
    ]


def test_no_hostile_text_runs_or_loads_anything(page):
    for attack in ATTACKS:
        shown = [drawn(c) for c in hostile(attack)]
        shown += [
            bundle_history([HistoryItem(attack, attack, Card(attack, model=attack))], title=attack)["text/html"],
            tables.bundle_table(attack, [attack], [[attack]], caption=attack)["text/html"],
            dry_run.bundle_dry_run([Message("user", attack)], [3], window=9, model=attack, pieces=[[attack]])["text/html"],
            tables.bundle_grid(hostile(attack), title=attack)["text/html"],
        ]
        page.evaluate("() => { window.alert = () => { window.ran = 1; } }")
        page.evaluate("html => { document.body.innerHTML = html; }", "".join(shown))
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        assert page.evaluate("() => window.ran") is None, attack
        assert page.asked == [], attack
        wrong = """() => [...document.body.querySelectorAll('*')].filter(e =>
            e.matches('script, img, iframe, object, embed, link, svg, form')
            || [...e.attributes].some(a => /^on/i.test(a.name) || /^\\s*(javascript|vbscript|data):/i.test(a.value))).length"""
        assert page.evaluate(wrong) == 0, attack


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_of_all_text_is_enough(page, theme):
    usage = Usage(12, 30)
    shown = [
        drawn(Card(CODE + TABLE, state=s, model="m", usage=usage, reasoning="hm", notes=("n",), finish_reason="length", title="t"))
        for s in STATES
    ]
    shown.append(drawn(Card(state="error", error=("It failed", "→ try `this`"))))
    shown.append(dry_run.bundle_dry_run([Message("user", "hi")], [1], window=9, pieces=[["h", "i"]])["text/html"])
    page.set_content(f"<style>{theme} body{{background:var(--jp-layout-color1)}}</style>{''.join(shown)}")
    page.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true; })")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where


def test_each_state_is_told_in_words(page):
    for state in STATES:
        page.set_content(drawn(Card("x", state=state, source="live")))
        assert page.locator(".tlm-badge").inner_text() == ("live" if state == "done" else state)


def test_a_long_answer_scrolls_by_keyboard_and_has_a_name(page):
    page.set_content(drawn(Card("\n\n".join(f"line {i}" for i in range(300)))))
    region = page.get_by_role("region", name="Long answer, scrolls")
    region.focus()
    page.keyboard.press("End")
    page.wait_for_function("() => document.querySelector('.tlm-long').scrollTop > 0")


LINES = "\n\n".join(f"line {i}" for i in range(200))


def test_a_card_of_200_lines_is_folded_and_shows_all_without_script(page):
    page.set_content(drawn(Card(LINES)))
    body, more = page.locator(".tlm-body"), page.locator("summary", has_text="show all 399 lines")
    height = "e => e.getBoundingClientRect().height"
    assert body.evaluate("e => e.scrollHeight > e.clientHeight")
    folded = body.evaluate(height)
    more.focus()
    page.keyboard.press("Enter")
    assert body.evaluate(height) > 2 * folded
    assert body.evaluate("e => e.scrollHeight <= e.clientHeight + 1")
    page.keyboard.press("Enter")
    assert body.evaluate(height) == folded


def test_a_long_answer_is_whole_where_styles_are_dropped_and_has_no_fold_while_it_grows(page):
    page.set_content(drawn(Card(LINES)).split("</style>")[1])
    assert page.get_by_text("line 199", exact=True).is_visible()
    page.set_content(drawn(Card(LINES, state="streaming")))
    assert page.locator("summary").count() == 0


def test_text_from_right_to_left_begins_at_the_right_and_code_stays_as_it_is(page):
    page.set_content(drawn(Card("An English start.\n\nשלום עולם, טקסט.\n\n```python\nx = 'שלום'\n```\n\n- مرحبا")))
    starts = """e => { const range = document.createRange(); range.selectNodeContents(e); const box = range.getBoundingClientRect();
        const own = e.getBoundingClientRect(); return box.left - own.left < own.right - box.right ? 'left' : 'right'; }"""
    assert page.locator("p", has_text="English").evaluate(starts) == "left"
    assert page.locator("p", has_text="שלום").evaluate(starts) == "right"
    assert page.locator("li").evaluate(starts) == "right"
    assert page.locator("pre code").evaluate("e => getComputedStyle(e).direction") == "ltr"


@pytest.mark.parametrize("width", [360, 640], ids=["narrow", "200 % zoom of 1280"])
def test_a_narrow_window_cuts_nothing_off(page, width):
    word = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    text = f"{word}\n\n| {word} | b |\n|---|---|\n| 1 | {word} |\n"
    card = Card(text, title=word, model=word, params={"stop": word}, notes=(word,), reasoning=word)
    shown = [drawn(card), drawn(Card(state="error", error=(word,))), dry_run.bundle_dry_run([Message("user", word)], [9])["text/html"]]
    shown.append(tables.bundle_grid([card] * 3, title=word)["text/html"])
    page.set_viewport_size({"width": width, "height": 900})
    try:
        page.set_content("".join(shown))
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    finally:
        page.set_viewport_size({"width": 1280, "height": 1000})


def test_high_contrast_keeps_edges_states_and_the_marks_between_tokens(page):
    page.emulate_media(forced_colors="active")
    try:
        counted = dry_run.bundle_dry_run([Message("user", "hi")], [1], window=9, pieces=[["h", "i"]])
        page.set_content(drawn(Card("x")) + counted["text/html"])
        edge = page.locator("article").first.evaluate("e => [getComputedStyle(e).borderLeftStyle, getComputedStyle(e).borderLeftWidth]")
        assert edge == ["solid", "3px"]
        assert page.locator(".tlm-badge").evaluate("e => getComputedStyle(e).borderTopStyle") == "solid"
        page.locator("details", has_text="cut into").evaluate("e => { e.open = true; }")
        assert page.locator(".tlm-token").first.evaluate("e => getComputedStyle(e).outlineStyle") == "dotted"
    finally:
        page.emulate_media(forced_colors="none")


def test_nothing_that_grows_is_read_aloud_again(page):
    page.set_content(drawn(Card("growing", state="streaming")))
    assert page.locator("[aria-live], [role=status], [role=log]").count() == 0
    assert page.locator("article").get_attribute("aria-busy") == "true"


def test_a_wide_table_scrolls_within_its_card_in_a_narrow_window(page):
    head = "|" + "|".join(f" column_number_{i} " for i in range(20)) + "|"
    page.set_viewport_size({"width": 500, "height": 900})
    try:
        page.set_content(drawn(Card(f"{head}\n|{'---|' * 20}\n{head}\n\n```\n{'long line ' * 60}\n```")))
        assert page.evaluate("() => document.documentElement.scrollWidth <= 500")
    finally:
        page.set_viewport_size({"width": 1280, "height": 1000})


def test_a_notebook_that_drops_styles_still_separates_the_words(page):
    page.set_content(cards.bundle_card(Card("x", model="m", usage=Usage(1, 2), duration=3))["text/html"].split("</style>")[1])
    assert page.locator("footer").inner_text() == "m · 1 in / 2 out tokens · 3.0 s · live"
