"""Charts without a plotting library: where marks stand, what is written beside them, and that nothing needs a colour."""

import re

import pytest

from tinyllm_magic.display.charts import Mark, draw_costs, draw_intervals
from tinyllm_magic.display.confusions import draw_confusions, write_confusions

MARKS = [Mark("small", 0.4, 0.3, 0.5, "40 %", 0.01), Mark("large", 0.7, 0.6, 0.8, "70 %", 0.04)]


def centres(html):
    return [(float(x), float(y)) for x, y in re.findall(r'class="tlm-mark" transform="translate\(([\d.-]+) ([\d.-]+)\)"', html)]


def words(html):
    """What is left where a page drops SVG."""
    return re.sub(r"<[^>]*>", " ", re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL))


def test_a_higher_value_stands_further_right_within_its_whisker():
    rows = re.findall(r"<svg.*?</svg>", draw_intervals(MARKS, "accuracy", is_share=True), re.DOTALL)
    (x1, _), (x2, _) = centres("".join(rows))

    assert x1 < x2
    for row in rows:
        ((x, y),) = centres(row)
        low, high = re.search(rf'd="M([\d.]+) {y:.1f}L([\d.]+) {y:.1f}"', row).groups()
        assert float(low) < x < float(high)


def test_a_page_that_drops_the_picture_keeps_all_words_and_figures():
    for html in (draw_intervals(MARKS, "accuracy", is_share=True), draw_costs(MARKS, "accuracy against cost", is_share=True)):
        assert all(word in words(html) for word in ("accuracy", "small", "large", "40 %", "70 %", "$0.01", "$0.04"))
        assert "<text" not in html
        assert "<title" not in html


def test_marks_are_told_apart_by_their_shape_and_take_the_colour_of_the_text():
    html = draw_costs(MARKS, "t", is_share=True)

    assert len(set(re.findall(r'class="tlm-mark" transform="[^"]*" d="([^"]+)"', html))) == 2
    assert set(re.findall(r'(?:fill|stroke)="([^"]+)"', html)) == {"currentColor"}


def test_a_dearer_model_stands_further_right_and_a_better_one_higher():
    (x1, y1), (x2, y2) = centres(draw_costs(MARKS, "accuracy against cost", is_share=True).partition("<ul")[0])

    assert x1 < x2
    assert y1 > y2


def test_costs_that_nobody_knows_make_no_chart():
    assert draw_costs([Mark("small", 0.4), MARKS[1]], "t", is_share=True) == ""


@pytest.mark.parametrize(
    "marks",
    [
        [Mark("a", 0.0)],
        [Mark("a", 1.0, 1.0, 1.0)],
        [Mark("a", 5.0, 5.0, 5.0), Mark("b", 5.0)],
        [Mark("a", -0.2, -0.5, 0.1), Mark("b", 1e-9)],
        [Mark("a", 1e6, 9e5, 2e6)],
        [Mark("x" * 200, 0.5, 0.4, 0.6, "50 %")],
    ],
    ids=["zero", "one", "equal", "negative", "large", "long name"],
)
def test_any_values_can_be_drawn_inside_the_picture(marks):
    svg = draw_intervals(marks, "t", is_share=all(0 <= m.value <= 1 for m in marks))

    assert all(0 <= x <= 340 for x, _ in centres(svg))
    assert len(centres(svg)) == len(marks)
    assert "nan" not in svg


def test_names_are_escaped():
    svg = draw_intervals([Mark("<script>", 0.5, 0.4, 0.6, "&")], '"t"', is_share=True)

    assert "<script>" not in svg
    assert "&lt;script&gt;" in svg


def test_what_is_right_is_bold_in_a_table_of_confusions_and_in_brackets_in_text():
    shown = ("cat", "dog"), ("cat", "dog", "(no answer)"), ((3, 1, 0), (0, 4, 2)), "Answers"
    html = draw_confusions(*shown)

    assert re.findall(r"<strong>(\d+)</strong>", html) == ["3", "4"]
    assert html.count('scope="row"') == 2
    assert write_confusions(*shown, None).splitlines()[3:] == ["cat  [3]  1    0", "dog  0    [4]  2"]
