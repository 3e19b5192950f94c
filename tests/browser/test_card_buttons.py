"""The buttons that the extension draws below a card on a live page, in JupyterLab and Notebook 7."""

import json

import nbformat
import pytest
from playwright.sync_api import expect

from browser.prompts import cell, expect_source, source

ECHO = "from tinyllm_magic import session; session.choose(api_type='echo', mode='auto'); names = ['Ada', 'Bob']"
ASK = "%%llm\nSay hello to {{ names[0] }}."
CODE = "%%llm\nTake this:\n\n```python\nx = 1 < 2\n```\n\nand that:\n\n- item\n\n  ```py\n  y = 3\n  ```\n\n```sh\nrm -r x\n```"
HOSTILE = """%%llm
It costs $5 or $10, <b onclick="window.ran=1">bold</b>, ![pixel](http://evil.test/?q), ![r][1], `a < b`, $x^2$ and
$\\href{javascript:window.ran=1}{x}$.

<img src=x onerror="window.ran=1"><script>window.ran=1</script>

[1]: http://evil.test/r.png

```html
<img src=x onerror="window.ran=1">
```"""
COUNTING = """from tinyllm_magic import OpenAIClient, register_client, session
asked = []
class Counting(OpenAIClient):
    def _raw_model_call(self, model, chat_api_params):
        asked.append(chat_api_params.get('temperature'))
        return f"answer {len(asked)}"
register_client("counting", Counting())
session.choose(api_type="counting", mode="auto")"""


@pytest.fixture(params=["notebook", "classic"])
def open_notebook(request):
    return request.getfixturevalue(request.param)


def button(book, index, name):
    """A button of a cell's first card."""
    return cell(book, index).get_by_role("group", name="This answer").first.get_by_role("button", name=name, exact=True)


def said(book, index):
    """What the buttons of a cell's first card say."""
    return cell(book, index).get_by_role("group", name="This answer").first.get_by_role("status")


def run_all(book, count):
    for index in range(count):
        book.run(index)


def test_the_answer_is_copied_and_its_prompt_is_shown_and_hidden(open_notebook):
    book = open_notebook(ECHO, ASK)
    book.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    run_all(book, 3)
    button(book, 2, "Copy").click()
    expect(said(book, 2)).to_have_text("Copied.")
    assert book.page.evaluate("() => navigator.clipboard.readText()") == "Say hello to Ada."
    prompt = button(book, 2, "Prompt")
    expect(prompt).to_have_attribute("aria-expanded", "false")
    prompt.click()
    shown = cell(book, 2).locator(".tlm-shown-prompt")
    expect(shown).to_contain_text("user")
    expect(shown.locator("pre")).to_have_text("Say hello to Ada.")
    expect(prompt).to_have_attribute("aria-expanded", "true")
    prompt.click()
    expect(shown).to_have_count(0)
    assert book.counter(2) == 3
    assert (book.errors, book.strangers) == ([], [])


def test_asking_again_asks_once_in_refresh_and_leaves_the_text_of_the_cell(open_notebook):
    book = open_notebook(
        COUNTING, "%%llm --mode replay\nHello once more", "%%llm\nHello once more", "print(asked, session.history[-1].response.source)"
    )
    run_all(book, 2)
    book.run(3)
    expect(book.output(3).get_by_role("article")).to_contain_text("answer 1")
    book.run(2)
    expect(book.output(2).locator(".tlm-badge")).to_have_text("recorded")
    button(book, 2, "Ask again").click()
    expect(book.output(2).get_by_role("article")).to_contain_text("answer 2")
    expect(book.output(2).locator(".tlm-badge")).to_have_text("live")
    book.wait_idle()
    book.run(3)
    expect(book.output(3).get_by_role("article")).to_contain_text("answer 2")
    expect(book.output(3).locator(".tlm-badge")).to_have_text("recorded")
    book.run(4)
    expect(book.output(4)).to_have_text("[None, None] recorded")
    assert source(book, 2) == "%%llm --mode replay\nHello once more"


def test_code_goes_into_a_cell_below_and_is_not_run(open_notebook):
    book = open_notebook(ECHO, CODE, "last = 1")
    run_all(book, 3)
    button(book, 2, "To code").click()
    expect_source(book, 3, "x = 1 < 2\n\ny = 3")
    assert book.counter(3) is None
    assert source(book, 4) == "last = 1"
    assert book.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex") == 3


def test_an_answer_in_a_markdown_cell_loads_and_runs_nothing(open_notebook):
    book = open_notebook(ECHO, HOSTILE)
    run_all(book, 3)
    button(book, 2, "To Markdown").click()
    drawn = cell(book, 3).locator(".jp-RenderedMarkdown")
    expect(drawn).to_contain_text("It costs $5 or $10")
    expect(drawn).to_contain_text("![pixel](http://evil.test/?q), ![r]")
    expect(drawn).to_contain_text("<script>window.ran=1</script>")
    expect(drawn.locator("mjx-container")).to_have_count(1)  # the harmless formula
    expect(drawn.locator("code").filter(has_text="a < b")).to_have_text("a < b")
    expect(drawn.locator("pre")).to_contain_text('<img src=x onerror="window.ran=1">')
    assert drawn.locator("img, script, b, [onclick], a[href^=javascript]").count() == 0
    assert book.page.evaluate("() => window.ran") is None
    assert book.strangers == []


def test_what_cannot_be_made_harmless_is_shown_between_fences(notebook):
    book = notebook(ECHO, "%%llm\nA picture of ```\n\n~~~mermaid\ngraph TD; A-->B;\n~~~")
    run_all(book, 3)
    button(book, 2, "To Markdown").click()
    expect(cell(book, 3).locator(".jp-RenderedMarkdown pre")).to_contain_text("graph TD; A-->B;")
    assert source(book, 3).startswith("````text\n")
    assert cell(book, 3).locator(".jp-RenderedMarkdown").locator("img, svg").count() == 0


def test_each_of_several_answers_has_its_own_buttons_and_none_asks_all_again(notebook):
    book = notebook(COUNTING, "%%llm -n 2\nHello to each")
    run_all(book, 3)
    groups = cell(book, 2).get_by_role("group", name="This answer")
    expect(groups).to_have_count(2)
    assert groups.nth(1).get_by_role("button").all_inner_texts() == ["Copy", "Prompt", "To Markdown"]
    groups.nth(1).get_by_role("button", name="To Markdown").click()
    expect_source(book, 3, "answer 2")


def test_the_saved_card_has_no_buttons_and_a_reopened_one_gets_them(notebook):
    book = notebook(ECHO, ASK)
    run_all(book, 3)
    expect(button(book, 2, "Ask again")).to_have_attribute("aria-disabled", "false")
    saved = book.saved()
    assert "<button" not in saved.cells[2].outputs[0].data["text/html"]
    notebook.leave(book)
    again = notebook(name=book.path.name)
    ask = button(again, 2, "Ask again")
    expect(ask).to_have_attribute("aria-disabled", "true")
    ask.press("Enter")
    expect(said(again, 2)).to_have_text("The kernel has not loaded tinyllm_magic.")
    again.run(0)
    expect(ask).to_have_attribute("aria-disabled", "false")


def test_under_strict_replay_nothing_is_asked_again(notebook):
    recorded = notebook(ECHO, ASK)
    run_all(recorded, 3)
    saved = recorded.saved()
    notebook.leave(recorded)
    saved.cells[0].source = f"%env TINYLLM_MODE=replay\n{saved.cells[0].source}"
    nbformat.write(saved, recorded.path)
    book = notebook(name=recorded.path.name)
    run_all(book, 3)
    ask = button(book, 2, "Ask again")
    expect(ask).to_have_attribute("aria-disabled", "true")
    ask.press("Enter")
    expect(said(book, 2)).to_have_text("In strict replay nobody is asked.")
    assert book.counter(2) == 3


def test_what_is_no_answer_has_no_buttons(notebook):
    book = notebook(ECHO, "%%llm --dry-run\nhello", "%%llm\nhello", "%llm_history")
    run_all(book, 5)
    expect(button(book, 3, "Copy")).to_be_visible()
    expect(book.output(2).get_by_role("article")).to_contain_text("Dry run")
    assert cell(book, 2).locator(".tlm-actions").count() == 0
    assert cell(book, 4).locator(".tlm-actions").count() == 0


def test_a_key_of_the_file_that_is_no_key_is_not_run(notebook):
    book = notebook(ECHO, ASK)
    run_all(book, 3)
    saved = book.saved()
    notebook.leave(book)
    saved.cells[2].outputs[0].metadata["tinyllm_magic"]["key"] = "x\nimport builtins; builtins.ran = 1\n"
    book.path.write_text(json.dumps(saved))
    again = notebook(name=book.path.name)
    again.run(0)
    expect(button(again, 2, "Prompt")).to_have_attribute("aria-disabled", "false")
    button(again, 2, "Prompt").click()
    expect(said(again, 2)).to_have_text("No record has this prompt.")
