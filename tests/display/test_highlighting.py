"""Code is coloured where its lexer reads it in linear time, and is plain elsewhere."""

import pytest

from tinyllm_magic.display import markup
from tinyllm_magic.display.highlighting import _LINEAR, highlight
from tinyllm_magic.display.markup import render


def check():
    """A clock that never strikes."""


def test_a_line_that_a_lexer_would_take_quadratic_time_for_is_plain():
    code = "=" * 25_000 + "\nx=1"
    assert markup.render(f"```ini\n{code}\n```") == f"<pre><code>{code}\n</code></pre>\n"


@pytest.mark.parametrize("language", ["python", "c", "cpp", "javascript", "typescript", "json", "r", "bash"])
def test_long_code_of_usual_languages_is_coloured(language):
    assert "<span" in highlight("x = 'a' # 1\n" * 3000, language, check)


@pytest.mark.parametrize("language", ["matlab", "julia", "html+jinja", "scala", "pycon", "brainfuck"])
def test_code_of_a_language_that_may_take_quadratic_time_is_coloured_where_it_is_short(language):
    code = ">>> [{{x}}] = 1;\n" * 100
    assert "<span" in highlight(code, language, check)
    assert highlight(code * 2, language, check) is None


def test_every_language_that_is_read_at_length_is_one_that_pygments_has_under_that_name():
    from pygments.lexers import find_lexer_class_by_name

    assert {find_lexer_class_by_name(name).aliases[0] for name in _LINEAR} == _LINEAR


@pytest.mark.parametrize("info", ["", "no such language", "../../etc", "<b>", "python" * 10])
def test_a_fence_that_names_no_language_is_plain(info):
    assert highlight("x = 1", info, check) is None


@pytest.mark.parametrize("language", ["markdown", "restructuredtext"])
def test_a_block_within_is_not_read_by_another_language(language):
    inner = "```matlab\nx = 1\n```\n" if language == "markdown" else ".. code:: matlab\n\n    x = 1\n\n"
    assert '<span class="tlm-mi">' not in highlight(inner, language, check)


def test_what_the_clock_raises_ends_the_work():
    def strike():
        raise TimeoutError

    with pytest.raises(TimeoutError):
        highlight("x = 1", "python", strike)


def test_text_is_escaped_and_kept_to_the_letter():
    html = render("```python\n\n  <b> & 'c'\n\n```")
    assert "&lt;" in html
    assert html.startswith("<pre><code>\n  ")
