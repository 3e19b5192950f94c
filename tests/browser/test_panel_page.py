"""The panel's module alone in a bare page: names, keys, messages, text, cleaning up, colours."""

import re

import pytest
from playwright.sync_api import expect

from tinyllm_magic.clients.sessions import session
from tinyllm_magic.display.panel_widget import PARAMETERS, PanelState, ParamPanel
from tinyllm_magic.notebook import panel as notebook_panel
from tinyllm_magic.notebook import token_meter

EVIL = '"><img src=http://evil.test/x onerror="window.ran=1"><script>window.ran=1</script>'
DARK = """:root{--jp-layout-color1:#111;--jp-content-font-color1:rgba(255,255,255,.87);--jp-brand-color1:#2196f3;
--jp-content-link-color:#42a5f5;--jp-ui-font-size1:13px}"""
LIGHT = """:root{--jp-layout-color1:#fff;--jp-content-font-color1:rgba(0,0,0,.87);--jp-brand-color1:#1976d2;
--jp-content-link-color:#1565c0;--jp-ui-font-size1:13px}"""


def made(reading=None):
    read = (lambda: reading) if reading else lambda: notebook_panel.reading(token_meter.TokenMeter(notebook_panel.refresh))
    return ParamPanel(read, lambda _: "", lambda: "", lambda _: "")


@pytest.fixture
def panel(mount):
    return mount(made())


def sent(page):
    return page.evaluate("() => window.host.sent")


def test_every_control_has_a_role_and_a_name(panel):
    expect(panel.get_by_role("group", name="Model parameters")).to_have_count(1)
    expect(panel.get_by_role("combobox", name="model", exact=True)).to_have_count(1)
    expect(panel.get_by_role("combobox", name="mode", exact=True)).to_have_count(1)
    for name in PARAMETERS:
        expect(panel.get_by_role("spinbutton", name=name if name == "seed" else f"{name} value", exact=True)).to_have_count(1)
        expect(panel.get_by_role("slider", name=name, exact=True)).to_have_count(0 if name == "seed" else 1)
        expect(panel.get_by_role("button", name=f"unset {name}", exact=True)).to_have_count(1)
    expect(panel.get_by_role("textbox", name="in a cell")).to_have_value("-m SmolLM2-135M-Instruct.Q4_1")
    expect(panel.get_by_role("button", name=re.compile("^reset"))).to_have_count(1)
    expect(panel.get_by_role("img", name=re.compile("No prompt yet"))).to_have_count(1)


def test_what_matters_first_is_seen_and_the_rest_unfolds_where_it_is_set(panel):
    panel.evaluate("() => { document.querySelector('.tlm-more').open = false; }")
    for name in ("temperature", "max_tokens"):
        expect(panel.get_by_role("slider", name=name)).to_be_visible()
    expect(panel.get_by_role("slider", name="top_p")).to_be_hidden()
    expect(panel.get_by_text("not sent", exact=True)).to_have_count(0)
    expect(panel.get_by_text("A field left empty is not sent")).to_be_visible()
    panel.evaluate("() => host.fromKernel({top_p: 0.5})")
    expect(panel.get_by_role("slider", name="top_p")).to_be_visible()


def test_every_control_keeps_its_keys_from_the_notebook(panel):
    bare = ":is(input, select, button, textarea, [tabindex]):not([data-lm-suppress-shortcuts=true])"
    assert panel.locator(bare).count() == 0


def test_arrow_keys_move_a_slider_from_where_the_vendor_starts(panel):
    panel.get_by_role("slider", name="temperature").focus()
    panel.keyboard.press("ArrowRight")
    assert sent(panel) == [{"temperature": 1.05}]
    expect(panel.get_by_role("spinbutton", name="temperature value")).to_have_value("1.05")


def test_a_drag_is_one_message(panel):
    box = panel.get_by_role("slider", name="temperature").bounding_box()
    middle = box["y"] + box["height"] / 2
    panel.mouse.move(box["x"] + box["width"] * 0.5, middle)
    panel.mouse.down()
    for step in range(20):
        panel.mouse.move(box["x"] + box["width"] * (0.5 - step / 60), middle)
    expect(panel.get_by_role("spinbutton", name="temperature value")).not_to_have_value("")
    assert sent(panel) == []
    panel.mouse.up()
    assert len(sent(panel)) == 1


def test_a_typed_number_is_sent_once_kept_in_bounds_and_an_empty_one_unsets(panel):
    box = panel.get_by_role("spinbutton", name="temperature value")
    box.press_sequentially("7")
    assert sent(panel) == []
    box.press("Enter")
    expect(box).to_have_value("2")
    box.fill("")
    box.press("Tab")
    assert sent(panel) == [{"temperature": 2}, {"temperature": None}]


def test_unset_by_keyboard_keeps_the_focus_in_the_row(panel):
    panel.evaluate("() => host.fromKernel({temperature: 0.3})")
    panel.get_by_role("button", name="unset temperature").press("Enter")
    assert sent(panel) == [{"temperature": None}]
    expect(panel.get_by_role("slider", name="temperature")).to_be_focused()
    expect(panel.get_by_role("slider", name="temperature")).to_have_attribute("aria-valuetext", "not sent")


def test_what_the_kernel_says_is_painted(panel):
    panel.evaluate("""() => host.fromKernel({temperature: 0.3, origins: {temperature: 'config.ini'}, flags: '-m x', status: 'done',
        meter: {parts: [{label: 'user 7', tokens: 7}], window: 100, text: '7 of 100 tokens', cost: 'at most ≈ $1'}})""")
    expect(panel.get_by_role("slider", name="temperature")).to_have_value("0.3")
    expect(panel.get_by_text("config.ini", exact=True)).to_be_visible()
    expect(panel.get_by_role("textbox", name="in a cell")).to_have_value("-m x")
    expect(panel.get_by_text("7 of 100 tokens · at most ≈ $1")).to_be_visible()
    expect(panel.get_by_role("status")).to_have_text("done")


def test_what_is_being_typed_is_not_overwritten_by_the_kernel(panel):
    box = panel.get_by_role("spinbutton", name="seed")
    box.press_sequentially("12")
    panel.evaluate("() => host.fromKernel({seed: 5, origins: {seed: 'session'}})")
    expect(box).to_have_value("12")
    box.press("Enter")
    assert sent(panel) == [{"seed": 12}]


def test_two_views_stay_in_step(mount):
    page = mount(made(), views=2)
    page.get_by_role("spinbutton", name="top_p value").nth(0).fill("0.4")
    page.keyboard.press("Tab")
    expect(page.get_by_role("spinbutton", name="top_p value").nth(1)).to_have_value("0.4")
    assert sent(page) == [{"top_p": 0.4}]


def test_a_refused_parameter_is_off_and_says_why(mount):
    session.choose(model="o3-mini")
    page = mount(made())
    expect(page.get_by_role("slider", name="temperature")).to_be_disabled()
    expect(page.get_by_role("spinbutton", name="temperature value")).to_be_disabled()
    expect(page.get_by_text("o3-mini takes no temperature")).to_be_visible()
    expect(page.get_by_role("spinbutton", name="seed")).to_be_enabled()


def test_a_reset_is_one_message_with_the_values_that_hold_then(panel):
    panel.evaluate("() => host.fromKernel({temperature: 0.3, model: 'gpt-4o-mini'})")
    panel.get_by_role("button", name=re.compile("^reset")).press("Enter")
    assert sent(panel) == [{**dict.fromkeys(PARAMETERS), "model": "", "mode": "", "resets": 1}]


def test_text_stays_text_and_nothing_is_loaded(mount):
    spec = {"low": 0, "high": 1, "step": 1, "from": 0, "to": 1, "stride": 1, "refused": EVIL, "unset": EVIL}
    reading = PanelState(
        values={"model": EVIL, "mode": "auto"},
        answers=EVIL,
        models=[{"name": EVIL, "label": EVIL}],
        specs=dict.fromkeys(PARAMETERS, spec),
        origins=dict.fromkeys((*PARAMETERS, "model", "mode"), EVIL),
        flags=EVIL,
        meter={"parts": [{"label": EVIL, "tokens": 1}], "window": 3, "text": EVIL, "cost": EVIL},
        recorded={"title": EVIL, "line": EVIL, "text": EVIL * 20, "choices": [{"name": EVIL, "values": {}}], "ticks": {"top_p": [EVIL]}},
        status=EVIL,
    )
    page = mount(made(reading))
    assert page.evaluate("() => window.ran") is None
    assert page.locator(".tlm-panel img:not([role]), .tlm-panel script").count() == 0
    expect(page.get_by_role("status")).to_have_text(EVIL)


GRID = {
    "title": "Answer to “tea”",
    "line": "recorded · today",
    "text": "A <b>short</b> one",
    "choices": [{"name": f"temperature {t}", "values": {"temperature": t}} for t in (0, 0.33)],
    "ticks": {"temperature": [0, 0.33], "seed": [1]},
    "picked": "temperature 0",
}


def test_recorded_combinations_are_marked_reached_and_chosen_in_one_message_each(panel):
    select = panel.get_by_role("combobox", name="recorded", exact=True)
    expect(select).to_be_hidden()
    panel.evaluate("grid => host.fromKernel({recorded: grid, picked: grid.picked, temperature: 0})", GRID)
    expect(select).to_have_value("temperature 0")
    expect(panel.get_by_role("region", name="Recorded answer")).to_contain_text("A <b>short</b> one")
    slider = panel.get_by_role("slider", name="temperature")
    assert slider.evaluate("e => [...e.list.options].map(o => Number(o.value))") == [0, 0.33]
    slider.evaluate("e => { e.value = 0.35; e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); }")
    select.select_option("temperature 0.33")
    assert sent(panel) == [{"temperature": 0.33}, {"temperature": 0.33, "picked": "temperature 0.33"}]


def test_a_long_recorded_answer_is_folded_and_stays_open_when_the_next_comes(panel):
    show = "text => host.fromKernel({recorded: {title: 'Answer to tea', line: 'recorded', text}})"
    panel.evaluate(show, "the first, " * 100)
    text = panel.locator("details .tlm-recorded-text")
    expect(text).to_be_hidden()
    panel.locator(".tlm-recorded summary").press("Enter")
    expect(text).to_be_visible()
    panel.evaluate(show, "the second, " * 100)
    expect(text).to_be_visible()
    expect(text).to_contain_text("the second")


def test_the_cleanup_leaves_no_listener_and_no_element(panel):
    panel.evaluate("() => host.clean()")
    assert panel.evaluate("() => [host.listeners(), document.querySelectorAll('.tlm-panel').length]") == [0, 0]


def test_tab_goes_through_the_controls_from_top_to_bottom(panel):
    places = []
    panel.get_by_role("combobox", name="model", exact=True).focus()
    for _ in range(23):  # one of them is the fold
        places.append(panel.evaluate("() => document.activeElement.closest('.tlm-row')?.getBoundingClientRect().top ?? null"))
        panel.keyboard.press("Tab")
    inside = [p for p in places if p is not None]
    assert inside == sorted(inside)
    assert len(inside) == 2 + 3 * 5 + 2 + 3


def test_the_options_are_selected_when_their_field_is_focused(panel):
    panel.get_by_role("textbox", name="in a cell").focus()
    assert panel.evaluate("() => getSelection().toString()") == "-m SmolLM2-135M-Instruct.Q4_1"


def test_the_options_stand_there_whole_in_a_narrow_window_too(panel):
    field = panel.get_by_role("textbox", name="in a cell")
    panel.evaluate("() => host.fromKernel({flags: '-m a-model-with-a-long-name --temperature 0.2 -p presence_penalty=0.1 '.repeat(3)})")
    whole = "e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth"
    assert field.evaluate(whole)
    panel.set_viewport_size({"width": 420, "height": 900})
    try:
        panel.wait_for_function(f"() => ({whole})(document.querySelector('textarea'))")
    finally:
        panel.set_viewport_size({"width": 1280, "height": 1000})


def test_only_the_status_is_a_live_region(panel):
    assert panel.locator("[aria-live], [role=status], [role=alert], [role=log], output").count() == 1


# WCAG's contrast of each text with what stands behind it, translucent colours laid over each other.
CONTRAST = """() => {
  const parse = c => { const m = c.match(/[\\d.]+/g).map(Number);
    const f = c.startsWith('color(srgb') ? 255 : 1; return [m[0]*f, m[1]*f, m[2]*f, m[3] ?? 1]; };
  const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
  const light = c => {
    const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const back = e => { const chain = []; for (let n = e; n; n = n.parentElement) chain.unshift(parse(getComputedStyle(n).backgroundColor));
    return chain.reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
  const worst = [];
  for (const e of document.querySelectorAll('.tlm, .tlm *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.matches('input:not([type=range]), textarea, select');
    if (!own || e.closest('[hidden], option, style') || e.disabled) continue;
    const behind = back(e), ink = over(parse(getComputedStyle(e).color), behind);
    const [a, b] = [light(ink), light(behind)].sort((x, y) => y - x);
    worst.push([(a + .05) / (b + .05), e.className || e.tagName]);
  }
  return worst.sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_of_all_text_is_enough(mount, theme):
    session.choose(model="o3-mini", seed=3)
    page = mount(made())
    page.add_style_tag(content=theme + "body{background:var(--jp-layout-color1)}")
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where


def test_vscodes_dark_colours_win_over_the_light_ones_that_ipywidgets_puts_on_root(mount):
    page = mount(made())
    page.add_style_tag(content=LIGHT + ":root{--vscode-editor-background:#1e1e1e;--vscode-editor-foreground:#dddddd}")
    colours = page.locator(".tlm-panel").evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    assert colours == ["rgb(30, 30, 30)", "rgb(221, 221, 221)"]


def test_a_narrow_window_cuts_nothing_off(mount):
    page = mount(made())
    page.set_viewport_size({"width": 420, "height": 900})
    try:
        assert page.evaluate("() => document.documentElement.scrollWidth <= 420")
        assert page.evaluate(
            "() => [...document.querySelectorAll('input, select, button')].every(e => e.getBoundingClientRect().right <= 420)"
        )
    finally:
        page.set_viewport_size({"width": 1280, "height": 1000})
