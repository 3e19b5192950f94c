import json
import re
from dataclasses import replace

import pytest
from htmlaudit import ATTACKS, Page

from tinyllm_magic import errors
from tinyllm_magic.display import bundle as bundles
from tinyllm_magic.display import cards, dry_run, tables
from tinyllm_magic.display.cards import Card, bundle_card, write_card
from tinyllm_magic.display.history import HistoryItem, bundle_history
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.responses import Answer, Record, Response, ToolCall, Usage
from tinyllm_magic.text_format import format_money, printable

USAGE = Usage(128, 211)


def response(text="Hello", source="live", **answer):
    request = Request("openai", "gpt-4o-mini", (Message("user", "Hi"),), {"temperature": 0, "seed": 1})
    said = Answer(**{"text": text, "finish_reason": "stop", "usage": USAGE, "model": "gpt-4o-mini-2024", **answer})
    return Response(request, Record(request.key, request.canonical(), said, "2025-01-01T00:00:00Z", 0.42, 0.0004, "0.1.0"), source)


def page(card):
    return Page(bundle_card(card)["text/html"])


def test_a_card_is_html_and_plain_text_and_nothing_else():
    assert set(bundle_card(Card("x"))) == {"text/html", "text/plain"}


def test_the_footer_says_everything_in_words():
    card = Card.of(response())
    line = "gpt-4o-mini-2024 (asked for gpt-4o-mini) · 128 in / 211 out tokens · $0.0004 · 0.4 s · temperature 0 · seed 1 · live"
    assert line in page(card).text
    assert write_card(card) == f"Hello\n-- {line}"


def test_live_and_recorded_differ_in_the_badge_alone():
    live, recorded = (bundle_card(Card.of(response(source=s))) for s in ("live", "recorded"))
    badge = '<span class="tlm-badge tlm-badge-{}">{}</span>'
    assert live["text/html"].replace(badge.format("live", "live"), badge.format("other", "recorded")) == recorded["text/html"]
    assert live["text/plain"].removesuffix("live") == recorded["text/plain"].removesuffix("recorded")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_field_of_a_card_lets_an_attack_run_or_load(attack):
    message = Message("user", attack, name=attack)
    parts = Message("user", ({"type": attack, "image_url": {"url": attack}}, {"type": "text", "text": attack}))
    call = ToolCall(attack, attack, attack)
    card = Card(
        text=attack, format=attack, state=attack, source=attack, model=attack, asked=f"{attack}2", usage=USAGE, finish_reason=attack,
        reasoning=attack, tool_calls=(call,), refusal=attack, notes=(attack,), title=attack, params={attack: attack, "b": [attack]},
        prompt=(message, parts), prompt_tokens=(1, 2), error=(attack, attack),
    )  # fmt: skip
    for state in (attack, "streaming", "done", "stopped", "error"):
        assert page(replace(card, state=state)).wrong == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_table_preview_or_history_lets_an_attack_run_or_load(attack):
    shown = [
        tables.bundle_table(attack, [attack], [[attack]], caption=attack),
        bundle_history([HistoryItem(attack, attack, Card(attack, model=attack))], title=attack),
        dry_run.bundle_dry_run(
            [Message("user", attack)], [3], window=10, model=attack, params={attack: attack}, key=attack, pieces=[[attack] * 2],
            notes=[attack],
        ),
    ]  # fmt: skip
    for data in shown:
        assert Page(data["text/html"]).wrong == []
        assert set(data) == {"text/html", "text/plain"}


def test_estimates_are_marked_and_unknown_cost_is_left_out():
    assert "≈ 1 in / 2 out tokens · ≈ $0.50" in write_card(Card("x", usage=Usage(1, 2, estimated=True), cost=0.5)).replace("0.5000", "0.50")
    assert "$" not in write_card(Card("x", usage=USAGE))
    assert "≈ $0.0004" in write_card(Card("x", cost=0.0004, cost_estimated=True))


@pytest.mark.parametrize(
    ("dollars", "said"), [(None, ""), (0.0, "$0.00"), (0.0004, "$0.0004"), (0.0000123, "$0.000012"), (0.12345, "$0.1235"), (12.5, "$12.50")]
)
def test_money_has_as_many_decimals_as_it_needs(dollars, said):
    assert format_money(dollars) == said


@pytest.mark.parametrize(
    ("reason", "said"),
    [("length", "cut at max_tokens"), ("content_filter", "cut by the content filter"), ("odd", "finish reason: odd"), ("stop", "")],
)
def test_an_unusual_end_is_said(reason, said):
    card = Card("x", finish_reason=reason)
    assert card.ending == said
    assert said in page(card).text
    assert said in write_card(card)


def test_an_empty_answer_says_so():
    assert "(no text)" in page(Card("")).text
    assert "(no text)" in write_card(Card("", state="stopped"))
    assert "(no text)" not in write_card(Card("", tool_calls=(ToolCall("1", "f", "{}"),)))


def test_a_waiting_card_says_for_whom_and_is_busy():
    card = Card(state="streaming", model="m-1")
    assert "waiting for m-1" in page(card).text
    assert page(card).all("article")[0]["aria-busy"] == "true"
    assert "aria-busy" not in bundle_card(Card("x"))["text/html"]
    assert "aria-live" not in bundle_card(card)["text/html"]


def test_reasoning_is_folded_above_the_text_in_markdown():
    html = bundle_card(Card("the answer", reasoning="the **thought**"))["text/html"]
    assert html.index("<summary>reasoning") < html.index("the <strong>thought</strong>") < html.index("the answer")
    assert "open" not in page(Card("the answer", reasoning="the thought")).all("details")[0]


def test_reasoning_is_open_while_nothing_else_has_come():
    assert "m is thinking" in page(Card("", reasoning="the thought", state="streaming", model="m")).text
    thinking = page(Card("", reasoning="the thought", state="streaming")).all("details")[0]
    answering = page(Card("the", reasoning="the thought", state="streaming")).all("details")[0]
    assert ("open" in thinking, "open" in answering) == (True, False)


def test_reasoning_is_not_in_the_plain_text():
    assert "the thought" not in write_card(Card("the answer", reasoning="the thought"))
    assert "reasoning: 11 characters" in write_card(Card("the answer", reasoning="the thought"))


def test_tool_calls_refusals_and_notes_are_listed():
    card = Card("", tool_calls=(ToolCall("1", "weather", '{"city": "Bern"}'),), refusal="I cannot", notes=("fell back",))
    for said in ('tool call: weather({"city": "Bern"})', "refused: I cannot", "note: fell back"):
        assert said in page(card).text
        assert said in write_card(card)


def test_an_error_card_says_what_happened_what_to_do_and_which_request():
    card = Card.failed(errors.RateLimitError("too many requests", request_id="req_1"), model="m")
    for said in ("RateLimitError: too many requests", "→ Wait a moment", "request id: req_1", "error"):
        assert said in page(card).text
        assert said in write_card(card)
    assert "tlm-error" in bundle_card(card)["text/html"]


def test_the_card_of_an_error_that_is_told_elsewhere_does_not_say_its_words_again():
    error = errors.RateLimitError("too many requests", request_id="req_1")
    card = Card.failed(error, errors.RateLimitError("too many requests\nof the same kind"), model="m", text="half an answer")
    assert write_card(card) == "half an answer\n-- m · error"
    assert "too many requests" not in page(card).text
    assert "too many requests" in page(Card.failed(error, errors.ServerError("another"), model="m")).text


def test_only_the_first_line_of_an_error_is_its_headline():
    html = bundle_card(Card.failed(errors.ReplayMiss("no recorded answer\n  model: 'a' → 'b'"), model="m"))["text/html"]
    assert "<strong>ReplayMiss: no recorded answer</strong>" in html
    assert "  model: &#x27;a&#x27; → &#x27;b&#x27;</p>" in html


def test_the_prompt_is_folded_with_tokens_by_message():
    card = Card(
        "x", prompt=(Message("system", "Be brief"), Message("user", ({"type": "image_url"}, {"text": "What?"}))), prompt_tokens=(3, 5)
    )
    text = page(card).text
    assert "prompt · 8 tokens" in text
    assert "system · 3 tokensBe brief" in text
    assert "[image_url]\nWhat?" in text


def test_long_answers_scroll_by_keyboard_and_short_ones_do_not():
    regions = [d for d in page(Card("line\n" * 200)).all("div") if d.get("tabindex")]
    assert [(d["role"], d["data-lm-suppress-shortcuts"]) for d in regions] == [("region", "true")]
    assert "tabindex" not in bundle_card(Card("line\n" * 5))["text/html"]
    assert "tlm-tail" in bundle_card(Card("line\n" * 200, state="streaming"))["text/html"].split("</style>")[1]


@pytest.mark.parametrize(("text", "ignored"), [("$5 or $10", True), ("$$x$$", False), (r"\(x\)", False), (r"\[x\]", False)])
def test_a_card_is_typeset_only_where_it_holds_unmistakable_formulas(text, ignored):
    article = page(Card(text)).all("article")[0]
    assert ("mathjax_ignore" in article["class"]) is ignored
    assert ("tex2jax_ignore" in article["class"]) is ignored
    assert "mathjax_ignore" in page(Card(text, format="code")).all("article")[0]["class"]


def test_a_formula_does_not_typeset_the_money_beside_it():
    html = bundle_card(Card("$5 or $10 and $$x$$", title="$1 $2"))["text/html"].split("</style>")[1]
    assert re.findall(r'class="([^"]*mathjax_process)"', html) == ["tlm-math tex2jax_process mathjax_process"]
    assert re.search(r'tlm-body[^"]*mathjax_ignore', html)
    assert re.search(r'tlm-title[^"]*mathjax_ignore', html)


def test_what_an_untrusted_notebook_keeps_is_still_a_card():
    html = bundle_card(Card("x", model="m", duration=1.0))["text/html"]
    assert 'style="border-left:3px solid;padding:.5em .9em;margin:.3em 0"' in html
    assert "var(" not in html.split("</style>")[1]
    assert "m · 1.0 s · " in html


def test_provenance_is_plain_json():
    facts = cards.describe_provenance(response(model="m\ud83d"))
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["model"] == "m?"
    assert (facts["version"], facts["model_asked"], facts["source"], facts["usage"]["completion_tokens"]) == (1, "gpt-4o-mini", "live", 211)
    assert facts["params"] == {"temperature": 0, "seed": 1}


def test_text_that_no_file_can_hold_is_mended():
    data = bundle_card(Card("half a pair \ud83d", title="\udc00"))
    assert all(value.encode("utf-8") for value in data.values())


def test_the_plain_twin_has_no_control_characters():
    assert "\x1b" not in write_card(Card("\x1b[2Jx", model="\x1b]0;t\x07"))


def test_a_preview_shows_messages_tokens_window_cost_and_key():
    data = dry_run.bundle_dry_run(
        [Message("system", "Be brief"), Message("user", "Why?")], [3, 5], total=12, window=100, max_tokens=95, cost=0.001, model="m",
        params={"temperature": 0}, key=f"k1:{'abc' * 20}", recorded=False, pieces=[None, ["Wh", "y?"]], notes=["a note"],
        likely=(0.0003, 40), warning="M_API_KEY is missing: the call would fail",
    )  # fmt: skip
    text = Page(data["text/html"]).text
    for said in (
        "system · 3 tokens",
        "12 tokens = 3 system + 5 user + 4 for marks of the chat format",
        "12 of 100 tokens of the context window (12%); 88 left for the answer, less than max_tokens 95",
        "cost: about $0.0003 with an answer of 40 tokens, at most $0.0010",
        "M_API_KEY is missing: the call would fail",
        "key k1:abcabcabcabc",
        "not recorded",
    ):
        assert said in text
        assert said in data["text/plain"]
    assert "cut into 2 tokensWh┆y?" in text
    assert Page(data["text/html"]).all("meter") == [{"min": "0", "max": "100", "low": "80", "high": "99", "optimum": "0", "value": "12"}]
    assert "abc" * 20 in text
    assert "abc" * 20 not in data["text/plain"]


def test_a_price_that_is_the_likely_one_and_the_highest_is_said_once():
    data = dry_run.bundle_dry_run([Message("user", "x")], [1], cost=0.001, likely=(0.001, 100))
    assert "\ncost: at most $0.0010\n" in data["text/plain"]


@pytest.mark.parametrize(
    ("total", "max_tokens", "said", "level"),
    [
        (12, None, "12 of 100 tokens of the context window (12%); 88 left for the answer", ""),
        (12, 50, "12 of 100 tokens of the context window (12%); the answer may take 50 (max_tokens), 38 stay free", ""),
        (12, 95, "less than max_tokens 95", "warning"),
        (85, 5, "(85%), nearly full", "warning"),
        (100, None, "too long: 100 tokens", "error"),
        (140, None, "too long: 140 tokens, and the context window holds 100 together with the answer", "error"),
    ],
)
def test_an_over_full_window_is_said_in_words_and_coloured(total, max_tokens, said, level):
    data = dry_run.bundle_dry_run([Message("user", "x")], [total], window=100, max_tokens=max_tokens)
    shown = Page(data["text/html"])
    assert said in shown.text
    assert said in data["text/plain"]
    assert [p["class"] for p in shown.all("p") if "tlm-alert" in (p.get("class") or "")] == (
        [f"tlm-alert tlm-alert-{level}"] if level else []
    )
    (meter,) = shown.all("meter")
    assert (int(meter["value"]) > int(meter["high"])) is (total > 100 or (level == "error"))


def test_history_is_folded_and_newest_first():
    entries = [
        HistoryItem("10:00", "first\nquestion", Card("one", model="m")),
        HistoryItem("10:05", "second", Card("two", source="recorded")),
    ]
    data = bundle_history(entries)
    page_ = Page(data["text/html"])
    assert page_.text.index("#2 · 10:05") < page_.text.index("two") < page_.text.index("#1 · 10:00 · m · live · first question → one")
    assert data["text/html"].count("<style>") == 1
    assert data["text/plain"].splitlines()[1].startswith("#2 · 10:05")
    assert "No calls yet" in bundle_history([])["text/plain"]


# --- contrast: what the style sheet makes of three pairs of colours ---------------------------------

THEMES = {  # text, ground, accent, link
    "own light": ("#1f2328", "#ffffff", "#1565c0", "#0d47a1"),
    "own dark": ("#e6e6e6", "#1e1e1e", "#64b5f6", "#64b5f6"),
    "JupyterLab light": ("#000000de", "#ffffff", "#1976d2", "#0d47a1"),
    "JupyterLab dark": ("#ffffff", "#212121", "#2196f3", "#64b5f6"),
    "VS Code light": ("#3b3b3b", "#ffffff", "#005fb8", "#005fb8"),
    "VS Code dark": ("#cccccc", "#1f1f1f", "#0078d4", "#4daafc"),
}


def rgba(text):
    digits = text.lstrip("#")
    return tuple(int(part, 16) / 255 for part in (digits[:2], digits[2:4], digits[4:6], digits[6:] or "ff"))


def mix(one, share, other):
    alpha = share * one[3] + (1 - share) * other[3]
    return (*((share * a * one[3] + (1 - share) * b * other[3]) / alpha for a, b in zip(one[:3], other[:3], strict=True)), alpha)


def over(top, ground):
    return (*(top[3] * a + (1 - top[3]) * b for a, b in zip(top[:3], ground[:3], strict=True)), 1.0)


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(text, ground):
    high, low = sorted((luminance(over(text, ground)), luminance(ground)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colour(value, known):
    """A colour of the sheet: a literal, one of its variables, or a mix of two."""
    value = value.strip()
    if found := re.fullmatch(r"color-mix\(in srgb,\s*(.+?) (\d+)%,\s*(.+)\)", value):
        return mix(colour(found[1], known), int(found[2]) / 100, colour(found[3], known))
    if found := re.fullmatch(r"var\(--tlm-(\w+)\)", value):
        return known[found[1]]
    return rgba(value)


def palette(theme):
    known = dict(zip(("fg", "bg", "accent", "link"), map(rgba, THEMES[theme]), strict=True))
    for name, value in re.findall(r"--tlm-(dim|line|bg2|bg3):\s*(color-mix\(.*?\)\))", bundles.load_style()):
        known[name] = over(colour(value, known), known["bg"]) if name.startswith("bg") else colour(value, known)
    return known


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_colour_has_contrast_in_every_theme(theme):
    known = palette(theme)
    assert {"dim", "bg2", "bg3"} <= set(known)
    pairs = [("fg", "bg"), ("fg", "bg2"), ("fg", "bg3"), ("dim", "bg"), ("dim", "bg2"), ("link", "bg")]
    found = {f"{t} on {g}": contrast(known[t], known[g]) for t, g in pairs}
    tokens = re.findall(r"[^-]color:\s*(color-mix\(in srgb,\s*#\w+ \d+%,\s*var\(--tlm-fg\)\))", bundles.load_style())
    assert len(tokens) == 5
    found |= {f"code {t}": contrast(colour(t, known), known["bg2"]) for t in tokens}
    assert {name: round(ratio, 2) for name, ratio in found.items() if ratio < 4.5} == {}


def test_the_fallback_pair_of_the_sheet_is_the_one_that_is_tested():
    for name, at in (("fg", 0), ("bg", 1), ("accent", 2), ("link", 3)):
        light, dark = re.search(rf"--tlm-{name}:[^;]*light-dark\((#\w+),\s*(#\w+)\)", bundles.load_style()).groups()
        assert (light, dark) == (THEMES["own light"][at], THEMES["own dark"][at])


def test_state_colours_stand_on_borders_only():
    sheet = re.sub(r"[^{}]*meter::[^{}]*\{[^{}]*\}", "", bundles.load_style())  # a meter's bar holds no text
    for rule in re.findall(r"[^{};]*:[^;{}]*var\(--tlm-(?:ok|warn|err)\)", sheet):
        assert rule.strip().startswith(("border-left-color", "border-color"))


def test_the_sheet_is_small_and_asks_the_front_end_in_order():
    sheet = bundles.load_style()
    assert len(sheet) < 7000
    assert all(
        re.search(rf"--tlm-{n}:\s*var\(--vscode-[^,]*,\s*var\(--jp-", sheet) for n in ("fg", "bg", "accent", "link", "ok", "warn", "err")
    )
    assert "/*" not in sheet


def test_an_answer_of_a_model_is_marked_as_such_for_machines_and_the_echos_is_not():
    source = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    answered = response()
    card = Card.of(answered)
    assert card.metadata["digitalSourceType"] == source
    assert page(card).all("article")[0]["itemtype"] == "https://schema.org/CreativeWork"
    assert page(card).all("data") == [{"itemprop": "digitalSourceType", "value": source}]
    assert page(card).wrong == []
    echoed = Card.of(replace(answered, request=replace(answered.request, provider="echo")))
    assert "digitalSourceType" not in echoed.metadata
    assert page(echoed).all("data") == page(Card(state="error", error=("it failed",))).all("data") == []


def test_a_card_that_has_grown_is_the_same_but_for_its_text_and_reasoning_which_hold_no_secret(monkeypatch):
    monkeypatch.setenv("A_SECRET", "hidden-value-0123456789")
    card = Card(state="streaming", model="m", notes=("kept",), text="before")
    grown = card.grown("it is hidden-value-0123456789", "for hidden-value-0123456789")
    assert (grown.text, grown.reasoning) == ("it is <A_SECRET>", "for <A_SECRET>")
    assert (grown.model, grown.state, grown.notes, card.text) == ("m", "streaming", ("kept",), "before")


@pytest.mark.parametrize(
    "text", ["plain", "two\nlines\tand a tab", "nicht schlecht, äöü €", "\u00a0\u200b\ue000", "bad \x1b[0m", "\u202eback", ""]
)
def test_what_may_be_printed_is_what_holds_no_control_character_whatever_else_it_holds(text):
    bad = {"\x1b", "\u202e"}
    assert printable(text) == "".join(c for c in text if c not in bad)
