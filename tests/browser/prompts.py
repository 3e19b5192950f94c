"""How the tests of prompt cells type and look, in JupyterLab and Notebook 7 alike."""

from __future__ import annotations

from playwright.sync_api import TimeoutError, expect  # noqa: A004  # Playwright's own

DELAY = 35  # milliseconds between two keys


def cell(book, index):
    """A cell's element."""
    return book.page.locator(".jp-Notebook .jp-Cell").nth(index)


def source(book, index):
    """A cell's text as the notebook has it."""
    return book.page.evaluate("i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.getSource()", index)


def expect_source(book, index, text):
    """Wait until a cell's text is this; else fail with what it is."""
    now = "window.jupyterapp.shell.currentWidget.content.widgets[i].model.sharedModel.getSource()"
    try:
        book.page.wait_for_function(f"([i, text]) => {now} === text", arg=[index, text])
    except TimeoutError:
        assert source(book, index) == text


def edit(book, index):
    """Put the cursor at the end of a cell, as a click and a key do."""
    cell(book, index).locator(".cm-content").click()
    book.page.keyboard.press("Control+End")


def type_into(book, index, text):
    """Type at the end of a cell, one key after the other."""
    edit(book, index)
    type_on(book, text)


def type_on(book, text):
    """Type where the cursor is."""
    for number, line in enumerate(text.split("\n")):
        if number:
            book.page.keyboard.press("Enter")
        book.page.keyboard.type(line, delay=DELAY)


def is_prompt(book, index):
    """Whether a cell looks like a prompt."""
    return cell(book, index).locator(".tlm-prompt").count() == 1


def style_of(book, index, text, name="color"):
    """A computed style of the place where a text stands in a cell."""
    return (
        cell(book, index)
        .locator(".cm-content")
        .evaluate(
            """(content, [text, name]) => {
            const walker = document.createTreeWalker(content, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                if (node.data.includes(text)) return getComputedStyle(node.parentElement)[name];
            }
            throw new Error(`no ${text} in one piece`);
        }""",
            [text, name],
        )
    )


def meter(book, index):
    """A prompt cell's footer."""
    return cell(book, index).get_by_role("group", name="Size of this prompt")


def expect_completion(book, name, word):
    """What Enter takes, and its word; on a slow machine a list for fewer letters is narrowed, and names with gaps follow."""
    first = book.page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item").first
    expect(first.locator(".jp-Completer-match")).to_have_text(name)
    expect(first).to_have_attribute("title", word)


def completions(book):
    """What the list of completions offers, once it is there."""
    items = book.page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item")
    expect(items.first).to_be_visible()
    return {i.locator(".jp-Completer-match").inner_text(): i.get_attribute("title") for i in items.all()}
