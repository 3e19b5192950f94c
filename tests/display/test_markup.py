import re
import sys

import pytest
import wcwidth
from htmlaudit import ATTACKS, Page
from hypothesis import example, given
from hypothesis import strategies as st

from tinyllm_magic.display import deadline, html_tables, html_text, markup
from tinyllm_magic.display.formats import FORMATS

ANSWER = """# Title

A **bold** word, `code` and [a link](https://example.org).
A second line.

- one
- two

  three

| a | b |
|---|--:|
| 1 | 2 |

```python
def f(x):
    return x  # same
```

> quoted

last
"""


@pytest.mark.parametrize("form", [*FORMATS, "unknown"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_format_lets_an_attack_run_or_load(form, attack):
    assert Page(markup.render(attack, form)).wrong == []


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_runs_while_an_attack_arrives_letter_by_letter(form, attack):
    growing = markup.IncrementalRenderer(form)
    for end in range(1, len(attack) + 1):
        assert Page(growing.html(attack[:end])).wrong == []


def test_the_audit_itself_notices_attacks():
    noticed = [Page(a).wrong for a in ATTACKS if a.startswith(("<script", "<img", "<svg", "<p style", "<div id", "<a href"))]
    assert noticed
    assert all(noticed)


def test_an_image_becomes_a_link_with_its_words():
    page = Page(markup.render("![a cat](https://example.org/cat.png)"))
    assert page.text.strip() == "image: a cat"
    assert page.all("a")[0]["href"] == "https://example.org/cat.png"


def test_an_image_in_a_link_does_not_nest_links():
    assert markup.render("[![in](https://a.example/i.png)](https://b.example)").count("<a ") == 1


def test_the_info_string_of_a_fence_never_reaches_the_html():
    assert "evil" not in markup.render('```evil" class="evil\nx\n```').replace("x", "")


def test_a_poem_keeps_its_lines():
    assert "<br" in markup.render("roses are red\nviolets are blue")


def test_code_is_highlighted_only_at_the_end():
    assert "tlm-k" in markup.render(ANSWER)
    assert "tlm-k" not in markup.IncrementalRenderer().html(ANSWER)


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_a_grown_text_is_drawn_like_a_whole_one(size):
    growing = markup.IncrementalRenderer()
    for end in range(size, len(ANSWER), size):
        growing.html(ANSWER[:end])
    assert Page(growing.html(ANSWER)).text.split() == Page(markup.render(ANSWER)).text.split()
    assert [e[0] for e in Page(growing.html(ANSWER)).elements if e[0] != "span"] == [
        e[0] for e in Page(markup.render(ANSWER)).elements if e[0] != "span"
    ]


def test_nothing_is_lost_on_the_way():
    text, growing = ANSWER * 20, markup.IncrementalRenderer()
    for end in range(1, len(text), 13):
        shown = "".join(Page(growing.html(text[:end])).text.split())
        assert shown.count("Asecondline.") == text[:end].count("A second line.")


def test_a_restarted_text_is_drawn_anew():
    growing = markup.IncrementalRenderer()
    growing.html("first attempt\n\nmore\n\n")
    assert growing.html("second") == "<p>second</p>\n"


BIG = {
    "paragraphs": "some words\n\n",
    "one paragraph": "word ",
    "one fence": "```\n" + "x = 1\n",
    "one list": "- item\n",
    "one table": "| 1 | 2 |\n",
    "mixed": ANSWER,
}


@pytest.mark.parametrize("name", BIG)
def test_drawing_a_growing_text_is_linear(name):
    def drawn(size):
        text = (("|a|b|\n|-|-|\n" if name == "one table" else "") + BIG[name] * (size // len(BIG[name])))[:size]
        growing = markup.IncrementalRenderer()
        for end in range(0, size, 400):
            growing.html(text[:end])
        return growing.drawn

    small, large = drawn(5_000), drawn(20_000)
    assert large < 15 * 20_000
    assert large < 6 * small  # four times the text; quadratic would be sixteen


def test_formulas_are_kept_from_markdown_and_typeset_alone():
    html = markup.render("costs $5 or $10, \\(a_1 * b * c\\)\n\n\\[\nx\n- y\n\\]")
    assert r"\(a_1 * b * c\)</span>" in html
    assert "\\[\nx\n- y\n\\]</div>" in html
    assert html.count("mathjax_process") == html.count("tex2jax_process") == 2


@pytest.mark.parametrize("tex", [r"\href{javascript:alert(1)}{x}", r"\require{x}", r"\style{x}{y}", r"\def\alpha{x}", r"\class{x}{y}"])
def test_formulas_that_could_run_load_or_leak_stay_text(tex):
    html = markup.render(f"$${tex}$$")
    assert "mathjax_process" not in html
    assert tex.split("{")[0] in html


def test_formulas_are_not_typeset_while_they_grow():
    assert "mathjax_process" not in markup.IncrementalRenderer().html("$$x$$\n\n$$y$$\n\n")


def test_an_unclosed_formula_is_text():
    assert Page(markup.render("\\( open\n\n$$ open")).text.split() == ["(", "open", "$$", "open"]


def test_json_is_printed_prettily_when_it_parses():
    assert Page(markup.render('```json\n{"a":["ü"]}\n```', "json")).text.strip() == '{\n  "a": [\n    "ü"\n  ]\n}'
    assert Page(markup.render("no {json", "json")).text.strip() == "no {json"


def test_code_loses_its_outer_fence_only():
    assert Page(markup.render("```python\nx = 1\n```\n", "code")).text.strip() == "x = 1"
    two = "```\na\n```\nand\n```\nb\n```"
    assert Page(markup.render(two, "code")).text.strip() == two


def test_sanitised_html_keeps_structure_without_attributes_of_its_own():
    html = markup.render("<table class=x><tr><td onclick=y colspan=2>cell</td></tr></table><a href='https://example.org'>k</a>", "html")
    assert '<td colspan="2">cell</td>' in html
    assert "class" not in html


@pytest.mark.parametrize("text", ["[" * 10_000, "*a **a " * 4000, ">" * 3000, "\\[\n" * 8000, "$$ " * 8000, "![" * 6000])
def test_hostile_markdown_is_drawn_without_failing(text):
    assert markup.render(text)


def test_deep_lists_keep_their_text():
    assert "deepest" in markup.render("".join("  " * i + "- a\n" for i in range(30)) + "  " * 30 + "- deepest")


@pytest.mark.parametrize("mark", ["  {}- a{}", "{}> a{}"])
def test_what_is_nested_too_deep_for_the_parser_is_shown_as_it_was_written(mark):
    lines = [("  " * i + f"- a{i}" if "-" in mark else "> " * i + f"a{i}") for i in range(150)]
    text = "\n".join(lines)

    assert markup.render(text) == f'<pre class="tlm-text">{html_text.escape(text)}</pre>'
    growing = markup.IncrementalRenderer()
    assert "a149" in [growing.html(text[:end]) for end in range(0, len(text) + 1, len(text) // 9)][-1] + growing.html(text)


def test_markdown_that_is_very_long_is_shown_as_it_was_written():
    assert markup.render("*a* " * 80_000).startswith('<pre class="tlm-text">*a*')


def test_tables_align_as_text_and_escape_as_html():
    assert html_tables.write_table(["n", "wide"], [[1, "日本"], [None, "x"]]) == "n  wide\n-  ----\n1  日本\n   x"
    page = Page(html_tables.draw_table(["<b>", "n"], [["<script>", None], [1, 1.5]], "<i>"))
    assert page.wrong == []
    assert "<script>" in page.text
    assert page.all("th") == [{"scope": "col"}, {"scope": "col", "class": "tlm-num"}]
    assert page.all("td") == [{}, {"class": "tlm-num"}] * 2


def test_a_column_of_sentences_is_not_squeezed_into_the_width_of_a_word():
    table = html_tables.draw_table(["name", "review"], [["a", "short"], ["b", "a sentence that goes on and on " * 3]])

    assert '<th scope="col">name</th><th scope="col" style="min-width:18em">review</th>' in table
    assert "min-width" not in html_tables.draw_table(["name", "review"], [["a", "short"]])


@pytest.mark.parametrize("width", [40, 60, 79])
def test_a_table_fits_the_width_of_a_terminal_and_loses_nothing(width):
    columns, row = ["setting", "value", "from"], ["cache_file_name", "日本語" * 20 + " word" * 30, "/a/long/path/" + "x" * 50]

    text = html_tables.write_table(columns, [row, ["a", 1, None]], width)

    assert all(wcwidth.wcswidth(line) <= width for line in text.splitlines())
    assert [text.count(c) for c in "日x"] == [20, 50]
    assert text.count("word") == 30


def test_a_narrow_table_is_the_same_at_any_width():
    assert html_tables.write_table(["a", "b"], [[1, 2]], 20) == html_tables.write_table(["a", "b"], [[1, 2]])


def test_json_is_coloured_and_wraps_and_prose_that_was_to_be_json_is_plain_text():
    drawn = markup.render('```json\n{"a": [1]}\n```', "json")
    assert drawn.startswith('<pre class="tlm-wrap"><code>')
    assert Page(drawn).text.strip() == '{\n  "a": [\n    1\n  ]\n}'
    assert "tlm-nt" in drawn
    assert markup.render("Prose with 12 and true words", "json") == '<pre class="tlm-text">Prose with 12 and true words</pre>'


@pytest.mark.parametrize("before", ["", "Here it is:\n", "Here it is:\n\n"])
def test_json_in_markdown_keeps_its_indentation(before):
    code = '{\n  "a": [\n    1,\n    {"b": "}"}\n  ]\n}'
    drawn = markup.render(f"{before}{code}\n\nAnd *more*.")
    assert code in Page(drawn).text
    assert "<em>more</em>" in drawn


@pytest.mark.parametrize("text", ["[1] a reference", "[1]\n", "{ not\njson }", "[a link](https://example.org)", "- {\n  1"])
def test_what_is_no_json_of_several_lines_stays_markdown(text):
    assert "<pre" not in markup.render(text)


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("Let $x_1$ be", ["$x_1$"]),
        (r"$\alpha$, $f(x)$ and $E = mc^2$!", [r"$\alpha$", "$f(x)$", "$E = mc^2$"]),
        ("the $n$th of $1/2$", ["$n$", "$1/2$"]),
        ("$5 or $10", []),
        ("US$5, 6$, $7-$8, $20,000 and $30,000", []),
        ("$HOME/$USER, $i-$j, $PATH_A:$PATH_B", []),
        ("`$x_1$`", []),
        (r"\$x_1$", []),
        ("$x\ny$", []),
    ],
)
def test_dollars_hold_formulas_and_money_stays_text(text, formulas):
    drawn = markup.render(text)
    assert re.findall(r'mathjax_process">([^<]*)<', drawn) == formulas
    assert markup.has_math(drawn) is bool(formulas)


def test_tasks_of_a_list_are_marked_as_open_or_done_and_nothing_else_is():
    drawn = markup.render("- [x] *done*\n- [ ] open\n- [link](https://a.b)\n- [y] no\n\n[x] no item")
    assert Page(drawn).text.split("\n")[1:5] == ["☑ done", "☐ open", "link", "[y] no"]
    assert [s["aria-label"] for s in Page(drawn).all("span")] == ["done", "open"]
    assert drawn.count('<li class="tlm-task">') == 2
    assert "<input" not in drawn


def test_html_without_its_sanitiser_is_text_and_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "nh3", None)
    drawn = markup.render("<b>bold</b><script>run()</script>", "html")
    assert "HTML is shown as text here" in drawn
    assert "&lt;script&gt;" in drawn
    assert "<b>" not in drawn


def test_what_was_drawn_in_time_is_kept_and_what_was_not_is_drawn_again(monkeypatch):
    text = "```python\nkept = 1\n```\n\nA text of *this* test"
    monkeypatch.setattr(markup, "_KEPT", {})
    monkeypatch.setattr(deadline, "SECONDS", -1.0)  # over before it begins
    assert "<em>" not in markup.render(text)
    assert markup._KEPT == {}
    monkeypatch.undo()
    drawn = markup.render(text)
    assert "<em>this</em>" in drawn
    assert markup.render(text) == drawn == markup._KEPT[text]


def test_few_texts_are_kept(monkeypatch):
    monkeypatch.setattr(markup, "_KEPT", {})
    monkeypatch.setattr(markup, "_MOST_KEPT", 3)
    for number in range(7):
        assert f"<strong>{number}</strong>" in markup.render(f"**{number}**")
        assert len(markup._KEPT) <= 3
    assert "x" * 20_001 in markup.render("x" * 20_001)
    assert "x" * 20_001 not in markup._KEPT


@given(st.text(alphabet=st.sampled_from("ab Zäß中1 0,.;:?!'\"()/%-_*`\\$&<#[\n\t\u00a0"), min_size=1))
@example("A plain line.")
@example('It\'s "so" - 5 % (or 10/3)?  ')
@example("a" + " " * 5)
@example("Title\n---")
@example("a_b_c www.example.org http://example.org")
def test_a_line_without_signs_of_markdown_is_drawn_as_its_parser_draws_it(text):
    drawn = markup._draw_plain_line(text)
    assert drawn in ("", markup._draw_once(text, markup.THREAD_CLOCK)[0])
    if text.replace(" ", "").isalpha() and text[0] != " ":
        assert drawn
