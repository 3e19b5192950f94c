"""HTML pages: what is nested too deep to be sanitised in linear time is shown as it was written."""

import pytest

from tinyllm_magic.display import html_text, markup
from tinyllm_magic.display.sanitizer import is_too_deep, sanitize


@pytest.mark.parametrize("page", ["<div>" * 400, "<i></b>" * 400, "<ul><li>" * 400, "<b a=1><p>" * 400])
def test_html_that_is_nested_too_deep_is_shown_as_it_was_written(page):
    assert markup.render(page, "html") == f'<pre class="tlm-text">{html_text.escape(page)}</pre>'


@pytest.mark.parametrize("page", ["<p>a" * 1000, "<div><p>a</p></div>" * 1000, "<table>" + "<tr><td>1" * 1000 + "</table>", "a<br>" * 1000])
def test_long_html_that_is_flat_is_still_sanitised_html(page):
    assert not markup.render(page, "html").startswith("<pre")


def test_elements_that_are_closed_are_not_deep():
    assert not is_too_deep("<div></div>" * 1000)
    assert is_too_deep("<div>" * 301)
    assert is_too_deep("a" * 500_001)


def test_scripts_styles_images_and_foreign_links_are_dropped():
    page = '<p onclick="x()" style="a:b">a<img src="https://e.org/x"><script>b</script><a href="javascript:c">d</a></p>'
    clean = sanitize(page)
    assert clean.startswith("<p>a<a ")
    assert clean.endswith(">d</a></p>")
    assert not any(word in clean for word in ("onclick", "style", "img", "script", "href", "b<"))
