"""What a prompt cell hears of its kernel, and the kernel of its notebook, in JupyterLab and Notebook 7."""

import json
import time

import pytest
from playwright.sync_api import expect

from browser import driver
from browser.prompts import cell, edit, is_prompt, meter, type_into, type_on

SETUP = "from tinyllm_magic import session; session.choose(api_type='echo', mode='auto'); topic = 'rain'"


@pytest.fixture(params=["notebook", "classic"])
def open_notebook(request):
    return request.getfixturevalue(request.param)


def parts(book, index):
    """The words of a cell's meter, each with its level."""
    found = meter(book, index).locator("> span:not(.tlm-bar)").all()
    return {part.inner_text(): part.get_attribute("data-level") for part in found}


def test_the_meter_follows_what_is_typed_and_what_has_run(open_notebook):
    book = open_notebook(SETUP, "%%llm\nabout {{ topic }}", "%%llm -m gpt-4\n{{ 'word ' * 7000 }}", "%%llm -m gpt-4\n{{ 'word ' * 9000 }}")
    book.run(0)
    book.run(1)
    expect(meter(book, 2)).to_contain_text("asks echo")
    before = parts(book, 2)
    assert len(before) == 2
    edit(book, 2)
    type_on(book, " and the wind")
    expect(meter(book, 2)).not_to_contain_text(next(iter(before)))
    book.run(2)
    expect(meter(book, 2)).to_contain_text("recorded")
    assert parts(book, 3)["86% of 8,192, nearly full"] == "warning"
    assert parts(book, 4)["110% of 8,192, too long"] == "error"
    assert (book.errors, book.strangers) == ([], [])


WATCH = """() => {
    window.said = [];
    window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.anyMessage.connect((_, { msg, direction }) => {
        if (direction === 'send' && msg.header.msg_type === 'comm_msg') window.said.push(msg.content.data.type);
    });
}"""
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"


def test_a_kernel_that_runs_a_cell_is_not_asked_though_another_channel_says_that_it_is_idle(notebook):
    book = notebook(SETUP, "%%llm\nabout {{ topic }}", driver.WAIT, "queued = 1")
    book.run(0)
    book.run(1)
    expect(meter(book, 2)).to_contain_text("asks echo")
    before = parts(book, 2)
    edit(book, 2)
    book.page.evaluate(WATCH)
    with book.busy(3):
        book.start(4)
        book.page.wait_for_function(f"() => {KERNEL}.status === 'busy'")
        book.finish(f"() => {KERNEL}.requestListSubshell({{}}).done.then(() => null)")
        book.page.wait_for_function(f"() => {KERNEL}.status === 'idle'")
        edit(book, 2)
        type_on(book, " and the wind {{ to")
        book.page.evaluate("() => new Promise(done => setTimeout(done, 600))")  # the page's own timers are shorter, and are due before
        assert book.page.evaluate("() => window.said") == []
    expect(meter(book, 2)).not_to_contain_text(next(iter(before)))
    assert "count" in book.page.evaluate("() => window.said")
    assert book.counter(4) is not None


def test_the_meter_is_back_after_a_reload_and_after_a_restart(notebook):
    book = notebook(SETUP, "%%llm\nabout {{ topic }}")
    expect(meter(book, 2)).to_have_count(0)
    book.run(0)
    book.run(1)
    expect(meter(book, 2)).to_contain_text("asks echo")
    book.saved()
    book.page.reload()
    expect(meter(book, 2)).to_contain_text("asks echo")
    book.finish(f"() => {KERNEL}.restart()")
    book.wait_idle()
    book.run(0)
    edit(book, 2)
    expect(meter(book, 2)).to_contain_text("topic not defined")
    book.run(1)
    expect(meter(book, 2)).to_contain_text("asks echo")


def test_the_meter_is_off_by_the_kernels_setting(notebook):
    book = notebook(f"{SETUP}; session.choose(meter='off')", "%%llm\nabout {{ topc }}", "session.choose(meter='on')")
    book.run(0)
    book.run(1)
    edit(book, 2)
    book.run(3)
    expect(meter(book, 2)).to_contain_text("topc not defined")
    book.run(1)
    expect(meter(book, 2)).to_have_count(0)


def test_the_store_follows_a_renamed_notebook(open_notebook):
    book = open_notebook(SETUP, "%%llm\nabout {{ topic }}", "%%llm\nanother")
    for index in (0, 1, 2):
        book.run(index)
    expect(meter(book, 2)).to_contain_text("recorded")
    old = book.path.with_suffix(".llm.jsonl")
    new = book.path.with_name(f"renamed-{book.server.app}.ipynb")
    assert old.exists()
    book.saved()
    book.finish("name => window.jupyterapp.shell.currentWidget.context.rename(name)", new.name)
    store = new.with_suffix(".llm.jsonl")
    deadline = time.monotonic() + 30
    while old.exists() or not store.exists():  # the front end hears of its own rename a moment later
        assert time.monotonic() < deadline
        book.page.wait_for_timeout(50)
    book.run(3)
    records = [json.loads(line) for line in store.read_text("utf-8").splitlines()]
    assert sum("key" in record for record in records) == 2
    assert not old.exists()


def test_a_cell_works_as_before_where_the_extension_is_disabled(plain):
    book = plain(SETUP, "%%llm\nabout {{ topic }}")
    for index in range(3):
        book.run(index)
    expect(book.output(2).get_by_role("article")).to_contain_text("about rain")
    assert not is_prompt(book, 2)
    assert cell(book, 2).locator(".tlm-meter").count() == 0


@pytest.fixture(scope="module")
def settled(tmp_path_factory, context):
    """A JupyterLab in whose settings the meter is off and marks for VS Code are on."""
    place = tmp_path_factory.mktemp("settled")
    (place / "state").mkdir()
    settings = {"tinyllm-magic:prompt-cell": {"meter": False, "languageId": True}}
    with driver.serve(place / "root", place / "state", settings=settings) as server:
        yield driver.Pages(context, server)


def test_the_meter_is_off_by_jupyterlabs_setting_and_the_look_stays(settled):
    settled.server.write("quiet.ipynb", ["%load_ext tinyllm_magic", SETUP, "%%llm\nabout {{ topc }}"])
    book = settled.open("quiet.ipynb")
    book.run(0)
    book.run(1)
    expect(cell(book, 2).locator(".tlm-unknown")).to_have_text("topc")
    assert cell(book, 2).locator(".tlm-meter").count() == 0
    settled.end(book)


def test_saving_marks_prompt_cells_for_vs_code_where_the_setting_says_so(settled):
    settled.server.write("marks.ipynb", ["%%llm\nhello", "x = 1", "%%markdown\nhi"])
    book = settled.open("marks.ipynb")
    assert [c.metadata.get("vscode") for c in book.saved().cells] == [{"languageId": "markdown"}, None, None]
    edit(book, 0)
    book.page.keyboard.press("Control+Home")
    type_on(book, "y = 1\n")
    assert [c.metadata.get("vscode") for c in book.saved().cells] == [None, None, None]
    settled.end(book)


def test_nothing_is_said_to_a_kernel_that_has_not_loaded_the_extension(notebook):
    book = notebook("x = 1", "%%llm\nhello")
    type_into(book, 2, " {{ x")
    book.run(1)
    assert cell(book, 2).locator(".tlm-meter").count() == 0
    log = (book.server.root.parent / "state" / "lab.log").read_text()
    assert "comm target" not in log
