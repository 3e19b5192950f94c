"""How a prompt cell looks, in JupyterLab and Notebook 7."""

import pytest
from playwright.sync_api import expect

from browser.prompts import cell, edit, is_prompt, meter, style_of

PROMPT = """%%llm -m gpt-4o -o poem -t greeting.j2
{% system %}
You are **brief**. Don't say more, not with words.
{% endsystem %}
Write about {{ topic | upper }} and $x_{#1}$ to the end.
{% assistant %}Sure.{% endassistant %}
{% include 'rules.j2' %}"""
LONG = "a long line that goes on " * 20


@pytest.fixture(params=["notebook", "classic"])
def open_notebook(request):
    return request.getfixturevalue(request.param)


def test_prose_has_no_colours_of_python_and_jinja_has_its_own(open_notebook):
    book = open_notebook(PROMPT, "x = not 1")
    plain = style_of(book, 1, "Write about")
    python = style_of(book, 2, "not")
    assert style_of(book, 1, "not with words") == plain != python
    assert style_of(book, 1, "to the end") == plain  # LaTeX's `{#1}` opens no comment
    assert style_of(book, 1, "brief", "fontWeight") == "700"
    assert len({style_of(book, 1, text) for text in ("%%llm", "-m", "gpt-4o", "system", "Write about")}) == 5
    assert book.errors == []


def test_role_blocks_are_told_apart_and_long_lines_wrap(open_notebook):
    book = open_notebook(PROMPT, f"%%llm\n{LONG}", "%%llm\nno roles")
    roles = (
        cell(book, 1)
        .locator(".cm-line")
        .evaluate_all("lines => lines.map(l => [...l.classList].find(c => /^tlm-role-/.test(c))?.slice(9) ?? '')")
    )
    assert roles == ["", "system", "system", "system", "user", "assistant", "user"]
    bars = cell(book, 1).locator(".tlm-role").evaluate_all("lines => lines.map(l => getComputedStyle(l).boxShadow)")
    assert len(set(bars)) == 3
    assert cell(book, 3).locator(".tlm-role").count() == 0
    assert cell(book, 2).locator(".cm-scroller").evaluate("e => e.scrollWidth <= e.clientWidth")


CONTRASTS = """root => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const paint = (...colours) => {
        canvas.fillStyle = 'white';
        canvas.fillRect(0, 0, 1, 1);
        for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = rgb => {
        const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const low = {};
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const element = node.parentElement;
        if (!node.data.trim() || !element.checkVisibility()) continue;
        const behind = [];
        for (let e = element; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
        const [a, b] = [light(paint(...behind, getComputedStyle(element).color)), light(paint(...behind))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) low[node.data] = Math.round(10 * ratio) / 10;
    }
    return low;
}"""
COLOURFUL = """%%llm -m gpt-4 -s "be kind"
{% system %}# Heading, *slanted*, **bold**, `code`, [link](http://a.test) {# a comment #}{% endsystem %}
{{ 'word ' * 7000 }} {{ topic.x | upper }} {% for a in range(3) if a > 1 %}{{ loop.index }}{% endfor %}
{% assistant %}- item
> quote {# a comment #} {{ "text" ~ 1.5 }}{% endassistant %} and more {{ topic | upper }}"""


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_everything_can_be_read_in_both_themes(notebook, theme):
    book = notebook("topic = {'x': 'rain'}", COLOURFUL, "%%llm -m gpt-4\n{{ 'word ' * 9000 }}", "%%llm\n{{ nope }}")
    book.command("apputils:change-theme", theme=theme)
    book.page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
    book.run(0)
    book.run(1)
    for index in (2, 3, 4):
        expect(meter(book, index)).to_be_visible()
        assert cell(book, index).locator(".jp-InputArea-editor").evaluate(CONTRASTS) == {}
    book.page.screenshot(path=str(book.server.root / f"{theme}.png"))


def test_the_look_comes_and_goes_with_the_first_line(notebook):
    book = notebook("%%llm\nDon't stop", "x = 1", "x = 2")
    assert is_prompt(book, 1)
    edit(book, 1)
    keys = book.page.keyboard
    keys.press("Control+Home")
    keys.press("Shift+ArrowDown")
    keys.press("Delete")
    assert not is_prompt(book, 1)
    keys.press("Control+z")
    assert is_prompt(book, 1)

    edit(book, 2)
    keys.press("Control+Home")
    book.page.evaluate("text => document.execCommand('insertText', false, text)", "%%llm -m tiny\n")
    assert is_prompt(book, 2)

    edit(book, 2)
    book.command("notebook:split-cell-at-cursor")
    assert [is_prompt(book, 2), is_prompt(book, 3)] == [True, False]
    book.select(2)
    book.command("notebook:change-cell-to-markdown")
    assert not is_prompt(book, 2)
    book.command("notebook:change-cell-to-code")
    assert is_prompt(book, 2)
    assert book.errors == []


def test_an_unknown_name_is_underlined_with_what_is_similar_in_a_tip(notebook):
    book = notebook(
        "topic = 'rain'", "%%llm\nWrite about {{ topc }} and {{ topic }}.", "%%llm --map rows\n{{ city }}", "rows = [{'city': 'a'}]"
    )
    book.run(0)
    book.run(1)
    book.run(4)
    book.run(0)
    unknown = cell(book, 2).locator(".tlm-unknown")
    edit(book, 2)
    expect(unknown).to_have_text(["topc"])
    unknown.hover()
    expect(book.page.locator(".tlm-tip")).to_have_text("topc is not defined. Did you mean topic?")
    expect(meter(book, 3)).to_contain_text("first of 1 rows")
    expect(cell(book, 3).locator(".tlm-unknown")).to_have_count(0)


def test_a_template_file_is_a_link(open_notebook):
    book = open_notebook(PROMPT)
    prompts = book.server.root / "prompts"
    prompts.mkdir(exist_ok=True)
    (prompts / "rules.j2").write_text("Be kind.")
    links = cell(book, 1).locator(".tlm-file")
    expect(links).to_have_text(["greeting.j2", "rules.j2"])
    links.nth(1).hover()
    expect(book.page.get_by_role("button", name="Open rules.j2")).to_be_visible()
    if book.server.app == "lab":
        links.nth(1).click(modifiers=["Control"])
        expect(book.page.get_by_role("tab", name="rules.j2")).to_be_visible()
    else:
        with book.page.context.expect_page() as opened:
            links.nth(1).click(modifiers=["Control"])
        assert "rules.j2" in opened.value.url
        opened.value.close()


def test_a_key_opens_the_template_file_at_the_cursor(notebook):
    book = notebook(PROMPT)
    (book.server.root / "rules.j2").write_text("Be kind.")
    edit(book, 1)
    for _ in "' %}":
        book.page.keyboard.press("ArrowLeft")
    book.page.keyboard.press("Control+Alt+o")
    expect(book.page.get_by_role("tab", name="rules.j2")).to_be_visible()


def test_a_missing_template_file_is_told(notebook):
    book = notebook("%%llm -t nowhere.j2\nhello")
    cell(book, 1).locator(".tlm-file").click(modifiers=["Control"])
    expect(book.page.locator(".jp-Notification-Status")).to_contain_text("1")
    book.page.locator(".jp-Notification-Status").click()
    expect(book.page.get_by_text("There is no file nowhere.j2 beside the notebook")).to_be_visible()


def test_a_notebook_of_many_prompt_cells(notebook):
    book = notebook(*(f"%%llm\n{{% system %}}Number {n}.{{% endsystem %}}\nWrite about {{{{ topic }}}}." for n in range(200)))
    drawn = """() => {
        window.jupyterapp.shell.currentWidget.content.scrollToItem(200);
        return [...document.querySelectorAll('.jp-Notebook .tlm-role-system')].some(e => e.textContent.includes('Number 199.'));
    }"""
    book.page.wait_for_function(drawn, polling=500)
    assert book.errors == []
