"""Drawing a text ends: bounded work, and text as it was written where the work is not done in time."""

import subprocess
import sys
import time

import pytest
from htmlaudit import Page

from tinyllm_magic.display import html_text, markup
from tinyllm_magic.display.deadline import SECONDS, Deadline, TookTooLong


class Steps:
    """A clock by which every look at it takes one thousandth of a second."""

    def __init__(self):
        self.looks = 0

    def __call__(self):
        self.looks += 1
        return self.looks / 1000


HOSTILE = {
    "brackets": "[" * 2000,
    "images": "![" * 2000,
    "links": "[a](" * 2000,
    "emphasis": "*a **a " * 2000,
    "definitions": "[a]: b\n" * 2000,
    "quotes": "> a\n\n" * 2000,
    "formulas": "\\[\n" * 2000,
    "a table": "|a|\n|-|\n" + "|1|\n" * 2000,
    "headings": "a\n" * 3000 + "===",
    "backticks": "".join("`" * n + " " for n in range(1000)),
}
CODE = "x = [1, 2]\n" * 1000


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_that_is_not_parsed_in_time_is_shown_as_it_was_written(name):
    clock = Steps()

    html = markup.render(HOSTILE[name], clock=clock)

    assert html == f'<pre class="tlm-text">{html_text.escape(HOSTILE[name])}</pre>'
    assert clock.looks < 600  # half a second of that clock, and a few more


@pytest.mark.parametrize("language", ["python", "c", "cpp", "javascript", "typescript", "sql"])
def test_code_that_is_not_highlighted_in_time_is_plain_and_the_text_around_it_stays(language):
    clock = Steps()

    html = markup.render(f"**before**\n\n```{language}\n{CODE}```\n", clock=clock)

    assert "<strong>before</strong>" in html
    assert f"<pre><code>{html_text.escape(CODE)}</code></pre>" in html
    assert clock.looks < 1100


def test_all_code_blocks_of_an_answer_share_one_deadline():
    clock = Steps()

    html = markup.render(f"```python\n{CODE}```\n\n" * 20, clock=clock)

    assert html.count("<pre><code>") == 20
    assert clock.looks < 1100


@pytest.mark.parametrize("form", ["json", "code"])
def test_code_of_its_own_is_plain_where_it_is_not_highlighted_in_time(form):
    text = f"```python\n{CODE}```" if form == "code" else str(list(range(5000)))
    assert "<span" not in markup.render(text, form, clock=Steps())


def test_a_growing_text_that_is_not_drawn_in_time_goes_on_as_text_below_what_was_drawn():
    clock = Steps()
    growing = markup.IncrementalRenderer(clock=clock)
    growing.html("# Title\n\nfirst\n\n")
    rest = "[" * 3000

    for end in range(0, len(rest), 100):
        html = growing.html(f"# Title\n\nfirst\n\n{rest[:end]}")

    page = Page(html)
    assert "<h1>Title</h1>" in html
    assert page.text.endswith(rest[:2900])
    looks = clock.looks
    growing.html(f"# Title\n\nfirst\n\n{rest}")
    assert clock.looks == looks


def test_a_text_that_begins_anew_after_it_gave_up_is_drawn_again():
    growing = markup.IncrementalRenderer(clock=Steps())
    growing.html("[" * 1900)
    assert "<strong>b</strong>" in growing.html("**b**")


def test_a_deadline_counts_the_work_of_its_thread_alone():
    deadline = Deadline()
    time.sleep(SECONDS + 0.05)
    deadline.check()
    begun = time.thread_time()
    while time.thread_time() - begun <= SECONDS:
        pass
    with pytest.raises(TookTooLong):
        deadline.check()


REAL = r"""
from tinyllm_magic.display import deadline, markup

deadline.SECONDS = 0.05  # what is not looked at for minutes takes them all the same
odd = "\(§"
for language in ("c", "typescript", "ini"):
    for char in odd:
        markup.render(f"```{language}\n{(char * 25_000)[:25_000]}\n```")
        markup.render(f"```{language}\n{((char * 80)[:80] + chr(10)) * 300}```")
for language in ("matlab", "julia", "html+jinja", "html+php", "scala", "pycon", "mysql", "stata"):
    for unit in ("\\", " ", "#{", "<?", "=\n'"):
        markup.render(f"```{language}\n{((unit * 990)[:990] + chr(10)) * 50}\n```")
for text in ("[" * 100_000, "|a|b|\n|-|-|\n" + "|1|2|\n" * 100_000, ">\n" * 50_000, "\\[\n" * 50_000, "```" * 50_000):
    markup.render(text)
    growing = markup.IncrementalRenderer()
    for end in range(0, len(text), len(text) // 20):
        growing.html(text[:end])
for text in (
    "*a" * 50_000, "~~a" * 30_000, "".join("`" * n + " " for n in range(440)), "&#x" * 30_000, "<a@b.c>" * 14_000, "[a](<b" * 16_000,
    "[" * 25_000 + "a" + "](b)" * 25_000, "\\" * 100_000, "\n\n".join(f"[a{i}]: b" for i in range(9000)), "[a]: b 'c\n" * 10_000,
    "> " * 50_000 + "a", "1. " * 30_000 + "a", "\n".join("> " * i + "a" for i in range(500)), "\n" * 1_000_000, "$$ a" * 25_000,
    "|" + "a|" * 100_000 + "\n|" + "-|" * 100_000, "a" * 5_000_000,
):
    markup.render(text)
markup.render("<div>" * 40_000, "html")
for char in "`~":
    markup.unfence(char * 50_000 + "\n" + char * 50_000)
"""


def test_real_texts_that_took_minutes_end():
    subprocess.run([sys.executable, "-c", REAL], check=True, timeout=600)
