"""Typing in a prompt cell as a person does, in JupyterLab and Notebook 7."""

import pytest
from playwright.sync_api import expect

from browser import driver
from browser.prompts import cell, completions, edit, expect_completion, expect_source, source, type_into, type_on

TYPED = """%%llm -o x
{% system %}
Don't say "no" (or [not]): it's 5 o'clock.
{% endsystem %}
  - one
two: {"a": 1} for {{ topic }} if"""
PYTHON = "get_ipython().Completer.use_jedi = False"  # not every version of jedi answers
LOAD = "topic = 'rain'; rows = [{'city': 'Paris', 'year': 1}]; poem = {'title': 'Rain'}"


@pytest.fixture(params=["notebook", "classic"])
def open_notebook(request):
    return request.getfixturevalue(request.param)


def test_prose_stays_as_it_is_typed_and_jinja_gets_its_other_half(open_notebook):
    book = open_notebook("", "")
    type_into(book, 1, TYPED)
    assert source(book, 1) == TYPED.replace("\ntwo", "\n  two")  # a line begins where the one before began
    type_into(book, 2, "%%llm\n{{")
    assert source(book, 2) == "%%llm\n{{}}"
    book.page.keyboard.press("Backspace")
    assert source(book, 2) == "%%llm\n{"
    type_on(book, "% if")
    assert source(book, 2) == "%%llm\n{% if%}"
    assert book.errors == []


def test_where_brackets_close_themselves_prose_is_left_alone(notebook):
    book = notebook("")
    book.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.widgets[1].editor.setOption('autoClosingBrackets', true)")
    typed = "%%llm\nDon't (say \"no\") [to] `me`: {{ d['k'] }} end"
    type_into(book, 1, typed)
    assert source(book, 1) == typed


def test_tab_in_prose_is_white_space(notebook):
    book = notebook("%%llm\nprint some text", PYTHON, "prin")
    book.run(2)
    edit(book, 1)
    book.page.keyboard.press("Tab")
    assert source(book, 1) == "%%llm\nprint some text    "
    book.page.keyboard.press("Shift+Tab")
    type_on(book, "x")
    assert source(book, 1) == "%%llm\nprint some text    x"
    expect(book.page.locator(".jp-Completer:not(.lm-mod-hidden)")).to_have_count(0)
    expect(book.page.locator(".jp-Tooltip")).to_have_count(0)
    edit(book, 3)
    book.page.keyboard.press("Tab")
    assert "print" in completions(book)


def test_completions_come_while_typing_each_with_a_word_on_it(open_notebook):
    book = open_notebook(LOAD, "%%llm\nWrite about", "")
    book.run(0)
    book.run(1)
    edit(book, 2)
    type_on(book, " {{ to")
    expect_completion(book, "topic", "text, 4 characters")
    book.page.keyboard.press("Enter")
    type_on(book, " | upp")
    expect_completion(book, "upper", "Convert a value to uppercase")
    book.page.keyboard.press("Tab")
    type_on(book, " }} of {{ poem.ti")
    assert "title" in completions(book)
    book.page.keyboard.press("Enter")
    type_on(book, " }}{% sys")
    expect_completion(book, "system", "a system message, to endsystem")
    book.page.keyboard.press("Enter")
    assert source(book, 2) == "%%llm\nWrite about {{ topic | upper }} of {{ poem.title }}{% system%}"

    type_into(book, 3, "%%llm --mode re")
    both = {"refresh": "always ask, and record", "replay": "answer from the store alone"}
    assert both.items() <= completions(book).items()
    book.page.keyboard.press("Enter")
    type_on(book, " --map r")
    expect_completion(book, "rows", "list of 1 dict")
    book.page.keyboard.press("Enter")
    assert source(book, 3) == "%%llm --mode refresh --map rows"
    assert book.errors == []


def test_tab_completes_and_a_busy_kernel_keeps_nobody_from_typing(notebook):
    book = notebook(LOAD, "%%llm\n", driver.WAIT)
    book.run(0)
    book.run(1)
    edit(book, 2)
    type_on(book, "{{ poe")
    expect_completion(book, "poem", "dict of 1")
    book.page.keyboard.press("Escape")
    expect(book.page.locator(".jp-Completer:not(.lm-mod-hidden)")).to_have_count(0)
    book.page.keyboard.press("Tab")
    expect_completion(book, "poem", "dict of 1")
    book.page.keyboard.press("Enter")
    expect_source(book, 2, "%%llm\n{{ poem}}")
    with book.busy(3):
        type_into(book, 2, " and {{ topic | up")
        assert source(book, 2) == "%%llm\n{{ poem}} and {{ topic | up}}"
    book.wait_answered()
    type_on(book, "p")
    expect_completion(book, "upper", "Convert a value to uppercase")


def test_python_cells_complete_as_before(notebook):
    book = notebook(f"{PYTHON}; topic_of_python = 1", "topic_of")
    book.run(0)
    book.run(1)
    edit(book, 2)
    book.page.keyboard.press("Tab")
    assert "topic_of_python" in completions(book)
    book.page.keyboard.press("Enter")
    expect(cell(book, 2).locator(".cm-content")).to_have_text("topic_of_python")
