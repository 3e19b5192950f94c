"""JupyterLab end to end, on the embedded model: cells, cards, the panel, saving and reopening."""

import re

import nbformat
from playwright.sync_api import expect

from browser import driver

ECHO = "from tinyllm_magic import session; session.choose(api_type='echo')"
ASK = "%%llm --temperature 0 --max-tokens 40 -o answer\nWrite one sentence about Paris in spring."


def card(book, index):
    return book.output(index).get_by_role("article")


def test_a_cell_streams_and_settles_into_one_saved_card_and_is_replayed(notebook):
    book = notebook(ASK, "answer.source, answer.text[:40]")
    book.run(0)
    book.page.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => document.querySelectorAll('article.tlm').forEach(a => window.seen.push(a.getAttribute('aria-busy'))))
            .observe(document.body, {childList: true, subtree: true});
    }""")
    book.run(1)
    expect(card(book, 1)).to_contain_text("Paris")
    expect(card(book, 1).locator(".tlm-badge")).to_have_text("live")
    assert "true" in book.page.evaluate("() => window.seen")
    expect(card(book, 1)).not_to_have_attribute("aria-busy", "true")

    outputs = book.saved().cells[1].outputs
    assert len(outputs) == 1
    assert set(outputs[0].data) == {"text/html", "text/plain"}
    assert outputs[0].metadata["tinyllm_magic"]["source"] == "live"

    book.run(1)
    expect(card(book, 1).locator(".tlm-badge")).to_have_text("recorded")
    book.run(2)
    expect(book.output(2)).to_contain_text("('recorded', '")
    assert (book.server.root / f"{book.path.stem}.llm.jsonl").exists()
    assert (book.errors, book.strangers) == ([], [])


def test_an_interrupt_keeps_the_partial_text_and_ends_queued_cells(notebook):
    book = notebook("%%llm --temperature 0 --max-tokens 500\nTell a very long story about a king.", "never = 1")
    book.run(0)
    book.start(1)
    book.start(2)
    expect(card(book, 1).locator(".tlm-body")).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    book.command("notebook:interrupt-kernel")
    book.wait_idle()
    expect(card(book, 1).locator(".tlm-badge")).to_have_text("stopped")
    expect(card(book, 1).locator(".tlm-body")).to_contain_text(re.compile(r"\w+ \w+ \w+"))
    assert book.counter(2) is None
    errors = book.cell_errors(1)
    assert len(errors) == 1
    assert errors[0].startswith("Stopped")


def test_a_value_of_the_panel_reaches_the_next_request_and_config_reaches_the_panel(notebook):
    book = notebook("%llm_panel", "%%llm --max-tokens 5 -o r\nHi", "r.request.params", "%llm_config temperature=0.9")
    book.run(0)
    book.run(1)
    panel = book.output(1)
    slider = panel.get_by_role("slider", name="temperature")
    slider.focus()
    book.page.keyboard.press("ArrowLeft")
    expect(panel.get_by_role("status")).to_have_text("temperature 0.95: holds for the next cells")
    book.run(2)
    book.run(3)
    expect(book.output(3)).to_contain_text("'temperature': 0.95")
    expect(panel.get_by_text(re.compile(r"\d+ of 2,048 tokens"))).to_be_visible()
    book.run(4)
    expect(slider).to_have_value("0.9")
    assert (book.errors, book.strangers) == ([], [])


def test_a_panel_moved_while_the_kernel_is_busy_catches_up_in_both_of_its_views(notebook):
    book = notebook("%llm_panel", "%llm_panel", driver.WAIT, "from tinyllm_magic import session; session.chosen")
    for index in (0, 1, 2):
        book.run(index)
    with book.busy(3):
        first, second = (book.output(i).get_by_role("slider", name="temperature") for i in (1, 2))
        first.focus()
        for _ in range(10):
            book.page.keyboard.press("ArrowLeft")
        expect(first).to_have_value("0.5")
        expect(second).to_have_value("0.5")
    expect(book.output(2).get_by_role("status")).to_have_text(re.compile("holds for the next cells"))
    book.run(4)
    expect(book.output(4)).to_contain_text("{'temperature': 0.5}")


COUNTING = """from tinyllm_magic import OpenAIClient, register_client, session
asked = []
class Counting(OpenAIClient):
    def _raw_model_call(self, model, chat_api_params):
        asked.append(chat_api_params)
        return f"said at {chat_api_params.get('temperature')}"
register_client("counting", Counting())
session.choose(api_type="counting")"""


def test_a_slider_moved_over_a_recorded_grid_shows_each_answer_and_makes_no_request(notebook):
    book = notebook(COUNTING, "%%llm --grid temperature=0.9,0.95,1\nhello", "%llm_panel", "print(len(asked), 'requests')")
    for index in range(4):
        book.run(index)
    panel = book.output(3)
    answer, slider = panel.get_by_role("region", name="Recorded answer"), panel.get_by_role("slider", name="temperature")
    expect(answer).to_contain_text("not recorded with these values")
    slider.focus()
    for value in ("0.95", "0.9"):
        book.page.keyboard.press("ArrowLeft")
        expect(answer).to_contain_text(f"said at {value}")
    panel.get_by_role("combobox", name="recorded", exact=True).select_option("temperature 1")
    expect(answer).to_contain_text("said at 1")
    expect(slider).to_have_value("1")
    book.run(4)
    expect(book.output(4)).to_have_text("3 requests")
    assert (book.errors, book.strangers) == ([], [])


def test_the_panel_has_the_last_prompt_cell_run_with_its_values_and_no_widget_asks(notebook):
    book = notebook(COUNTING, "%llm_panel", "%%llm\nHello to the panel", "x = 1", "print(len(asked), asked[-1].get('temperature'))")
    for index in range(3):
        book.run(index)
    panel = book.output(2)
    ask = panel.get_by_role("button", name="ask: run the last prompt cell with these values")
    ask.click()
    expect(panel.get_by_role("status")).to_have_text("No prompt cell has run yet.")
    book.run(3)
    expect(card(book, 3)).to_contain_text("said at None")
    book.run(4)
    field = panel.get_by_role("spinbutton", name="temperature value")
    field.fill("0.3")
    ask.click()  # the value is sent when the field is left, and holds before the cell runs
    expect(card(book, 3)).to_contain_text("said at 0.3")
    ask.focus()
    book.page.keyboard.press("Enter")
    expect(card(book, 3).locator(".tlm-badge")).to_have_text("recorded")
    book.run(5)
    expect(book.output(5)).to_have_text("2 0.3")
    assert (book.errors, book.strangers) == ([], [])


def test_hostile_text_live_saved_and_reopened_runs_nothing(notebook, lab):
    evil = "<img src=x onerror=window.ran=1><script>window.ran=1</script> ![](http://evil.test/?q) [a](javascript:window.ran=1)"
    book = notebook(
        f"from tinyllm_magic import session; session.choose(api_type='echo'); evil = {evil!r}",
        "%%llm -m {{ evil | tojson }}\n{{ evil }}",
        "session.choose(model=evil)",
        "%llm_panel",
        "%llm_history",
    )
    for index in range(6):
        book.run(index)
    expect(card(book, 2).first).to_contain_text("<script>")
    expect(book.output(4).get_by_role("combobox", name="model")).to_be_visible()
    book.saved()
    assert book.page.evaluate("() => window.ran") is None
    assert book.strangers == []
    notebook.leave(book)
    again = notebook(name=book.path.name)
    expect(card(again, 2).first).to_contain_text("<script>")
    assert again.page.evaluate("() => window.ran") is None
    assert again.strangers == []


def test_a_notebook_reopened_in_another_kernel_shows_every_card_and_the_panels_twin(notebook, lab):
    book = notebook(ECHO, "%%llm\nhello **you**", "%llm_panel", "%llm_usage")
    for index in range(5):
        book.run(index)
    expect(book.output(3).get_by_text("As it was when this was saved")).to_be_hidden()
    saved = book.saved()
    notebook.leave(book)
    saved.metadata.kernelspec = {"name": "not-here", "display_name": "none", "language": "python"}
    nbformat.write(saved, lab.root / "reopened.ipynb")
    again = notebook(name="reopened.ipynb")
    expect(again.output(2)).to_contain_text("hello you")
    expect(again.output(3).get_by_text("As it was when this was saved")).to_be_visible()
    expect(again.output(3).get_by_text("model not found")).to_be_hidden()
    words = "Model parameters model echo As it was when this was saved; run the cell again for the live panel."
    assert again.output(3).inner_text().split() == words.split()
    expect(again.output(4)).to_contain_text("Usage")
    assert again.strangers == []


def test_an_error_is_told_once_in_a_few_lines_below_what_had_arrived(notebook):
    book = notebook("%%llm -m gpt-4o\nhi")
    book.run(0)
    book.run(1, fails=True)
    expect(card(book, 1).locator(".tlm-badge")).to_have_text("error")
    told = book.output(1).locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedText").last
    expect(told).to_contain_text("OPENAI_API_KEY")
    expect(card(book, 1)).not_to_contain_text("OPENAI_API_KEY")
    assert book.output(1).inner_text().count("Traceback") == 0


def test_the_dark_theme_reaches_cards_and_panel_at_once(notebook):
    book = notebook(ECHO, "%%llm\nhello", "%llm_panel")
    for index in range(4):
        book.run(index)
    light = [_colours(card(book, 2)), _colours(book.output(3).get_by_role("group", name="Model parameters"))]
    book.command("apputils:change-theme", theme="JupyterLab Dark")
    book.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    dark = [_colours(card(book, 2)), _colours(book.output(3).get_by_role("group", name="Model parameters"))]
    book.command("apputils:change-theme", theme="JupyterLab Light")
    book.page.wait_for_function("() => document.body.dataset.jpThemeLight === 'true'")
    assert all(sum(back) > sum(ink) for back, ink in light)
    assert all(sum(back) < sum(ink) for back, ink in dark)


def _colours(locator):
    found = locator.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    return [[float(n) for n in re.findall(r"[\d.]+", colour)[:3]] for colour in found]


def test_keys_reach_every_kind_of_control(notebook):
    _keyboard(notebook("%llm_panel"))


def test_keys_reach_every_kind_of_control_in_notebook_7(classic):
    _keyboard(classic("%llm_panel"))


def _keyboard(book):
    book.run(0)
    book.run(1)
    panel, keys = book.output(1), book.page.keyboard
    panel.get_by_text("more: sampling, seed, recording mode").focus()
    keys.press("Enter")
    panel.get_by_role("slider", name="top_p").focus()
    keys.press("ArrowDown")
    expect(panel.get_by_role("spinbutton", name="top_p value")).to_have_value("0.95")
    panel.get_by_role("spinbutton", name="top_p value").focus()
    keys.press("ArrowDown")
    expect(panel.get_by_role("slider", name="top_p")).to_have_value("0.9")
    panel.get_by_role("combobox", name="mode", exact=True).focus()
    keys.press("ArrowDown")  # a slow kernel hears of several changes at once
    expect(panel.get_by_role("status")).to_have_text(re.compile("mode auto: holds for the next cells"))
    panel.get_by_role("button", name="unset top_p").focus()
    keys.press("Space")
    expect(panel.get_by_role("status")).to_have_text("top_p not sent: holds for the next cells")
    panel.get_by_role("button", name=re.compile("^reset")).focus()
    keys.press("Enter")
    expect(panel.get_by_role("status")).to_have_text(re.compile("^reset"))
    expect(panel.get_by_role("combobox", name="mode", exact=True)).to_have_value("")
    assert book.errors == []
