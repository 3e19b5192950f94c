"""Our parts of the page for those who see it otherwise or use no mouse: axe-core's rules, high contrast, a run by keyboard alone."""

from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import expect

from browser.prompts import cell, edit, expect_source, meter, type_on

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
# What is ours on the page, found by axe's own rules; Jupyter's parts are not ours to mend.
RUN_AXE = """async include => {
    const found = await axe.run({include}, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']});
    return {wrong: found.violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 120)}`)), right: found.passes.length};
}"""
OURS = [["article.tlm"], [".tlm-panel"], [".tlm-meter"], [".tlm-actions"]]
ECHO = "from tinyllm_magic import session; session.choose(api_type='echo', mode='auto'); names = ['Ada', 'Bob']"
ROLES = """%%llm --show-prompt
{% system %}
Be brief.
{% endsystem %}
שלום {{ names[0] }}, this is `code`.

- [a link](http://a.test)
- item"""


@pytest.fixture(params=["notebook", "classic"])
def open_notebook(request):
    return request.getfixturevalue(request.param)


def violations(book):
    """What axe-core finds wrong in our parts of the page; that it looked at them is made sure."""
    book.page.evaluate(AXE)
    found = book.page.evaluate(RUN_AXE, OURS)
    assert found["right"] > 5
    return found["wrong"]


def test_axe_finds_nothing_in_cards_buttons_panel_and_meter(open_notebook):
    book = open_notebook(ECHO, ROLES, "%llm_panel", "%%llm\n{{ 'line\n' * 200 }}")
    for index in range(5):
        book.run(index)
    expect(meter(book, 2)).to_contain_text("recorded")
    expect(cell(book, 3).get_by_role("button", name="ask: run the last prompt cell with these values")).to_be_visible()
    cell(book, 2).locator("summary").first.click()
    assert violations(book) == []
    book.command("apputils:change-theme", theme="JupyterLab Dark")
    book.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    wrong = violations(book)
    book.command("apputils:change-theme", theme="JupyterLab Light")
    book.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")
    assert wrong == []


def test_high_contrast_tells_roles_by_their_edges_and_lines_have_the_direction_of_their_text(notebook):
    book = notebook(ECHO, ROLES)
    book.run(0)
    book.run(1)
    line = cell(book, 2).locator(".cm-line")
    expect(line.nth(4)).to_have_attribute("dir", "auto")
    assert [line.nth(n).evaluate("e => getComputedStyle(e).direction") for n in (0, 2, 4)] == ["ltr", "ltr", "rtl"]
    book.page.emulate_media(forced_colors="active")
    edges = [line.nth(n).evaluate("e => getComputedStyle(e).borderInlineStartStyle") for n in (0, 2, 4)]
    book.page.emulate_media(forced_colors="none")
    assert edges == ["none", "double", "solid"]


def test_a_prompt_is_written_asked_and_put_into_a_new_cell_without_a_mouse(open_notebook):
    book = open_notebook(ECHO, "")
    keys = book.page.keyboard
    book.select(0)
    book.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activate()")
    for index in (0, 1):
        keys.press("Shift+Enter")
        book.page.wait_for_function("i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount", arg=index)
        book.wait_idle()
    keys.press("Enter")
    type_on(book, "%%llm\n{% system %}\nDon't say more.\n{% endsystem %}\nHello {{ nam")
    expect(book.page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item").first).to_be_visible()
    keys.press("Enter")
    type_on(book, "[0] }}, how's it going?")
    expect_source(book, 2, "%%llm\n{% system %}\nDon't say more.\n{% endsystem %}\nHello {{ names[0] }}, how's it going?")
    keys.press("Shift+Enter")
    expect(book.output(2).get_by_role("article")).to_contain_text("Hello Ada, how's it going?")
    copy = book.output(2).get_by_role("button", name="Copy", exact=True)
    expect(copy).to_be_visible()
    keys.press("Escape")  # out of the new cell's editor
    reach(book, "Prompt")
    keys.press("Enter")
    expect(cell(book, 2).locator(".tlm-shown-prompt")).to_contain_text("Don't say more.")
    reach(book, "Copy")
    keys.press("Space")
    expect(book.output(2).get_by_role("status")).to_have_text("Copied.")
    for _ in range(3):
        keys.press("Tab")
    keys.press("Enter")
    expect_source(book, 3, "Hello Ada, how's it going?")
    expect(cell(book, 3).locator(".jp-RenderedMarkdown")).to_be_visible()


def reach(book, name):
    """Go backwards through the page, key by key, to a button of the card above."""
    for _ in range(12):
        if book.page.evaluate("() => document.activeElement.textContent") == name:
            return
        book.page.keyboard.press("Shift+Tab")
    raise AssertionError(f"no key leads to {name}")


def test_in_a_window_half_as_wide_as_at_200_percent_zoom_nothing_of_ours_is_cut_off(notebook):
    book = notebook(ECHO, ROLES, "%llm_panel")
    for index in range(4):
        book.run(index)
    edit(book, 2)
    book.page.set_viewport_size({"width": 640, "height": 500})
    try:
        cut = """() => [...document.querySelectorAll('article.tlm, .tlm-panel, .tlm-actions button, .tlm-meter')].filter(e => {
            const area = e.closest('.jp-OutputArea, .jp-InputArea').getBoundingClientRect(), box = e.getBoundingClientRect();
            return box.right > area.right + 1 || box.left < area.left - 1 || e.scrollWidth > e.clientWidth + 1;
        }).map(e => e.className)"""
        book.page.wait_for_function(f"() => ({cut})().length === 0")
    finally:
        book.page.set_viewport_size({"width": 1280, "height": 1000})
