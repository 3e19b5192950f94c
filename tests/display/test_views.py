import io
import subprocess
import sys
from itertools import pairwise

import pytest
from htmlaudit import Page
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from tinyllm_magic.display import cards, output, tables
from tinyllm_magic.display.cards import Card
from tinyllm_magic.display.views import NotebookView, QuietView, TerminalView, choose_view
from tinyllm_magic.messages import Message
from tinyllm_magic.responses import ChunkAccumulator, ToolCall


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Watched(NotebookView):
    """A view whose outputs are kept instead of displayed; drawing takes ``cost`` seconds."""

    def __init__(self, *, cost=0.0, **options):
        self.clock, self.cost, self.shown = Clock(), cost, []
        super().__init__(clock=self.clock, **options)

    def _show(self, data, card):
        self.shown.append((self.clock.now, data, card))
        self.clock.now += self.cost


@pytest.fixture
def shell():
    was = InteractiveShell._instance
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()
    if was is not None:
        type(was)._instance = was


def growing(text, **look):
    return Card(text, state="streaming", model="m", **look)


def stream(view, seconds, every, text="word "):
    for n in range(round(seconds / every)):
        view.push(growing(text * (n + 1)))
        view.clock.now += every


def test_a_view_draws_at_most_ten_times_a_second_and_always_the_last_state():
    view = Watched()
    stream(view, 2.0, 0.001)
    view.finish(Card("the end"))
    times = [t for t, _, _ in view.shown]
    assert 19 <= len(times) <= 22
    assert all(b - a >= 0.0999 for a, b in pairwise(times[:-1]))
    assert view.shown[-1][2].text == "the end"


def test_slow_drawing_is_done_more_seldom_but_each_second():
    slow, slower = Watched(cost=0.05), Watched(cost=1.0)
    stream(slow, 4, 0.01)
    stream(slower, 8, 0.01)
    gaps = [b[0] - a[0] for a, b in pairwise(slow.shown)]
    assert all(gap == pytest.approx(0.05 + 0.4, abs=0.02) for gap in gaps)
    gaps = [b[0] - a[0] for a, b in pairwise(slower.shown)]
    assert all(gap == pytest.approx(1.0 + 1.0, abs=0.02) for gap in gaps)


def test_the_placeholder_and_the_first_text_do_not_wait():
    view = Watched()
    view.push(growing(""))
    view.clock.now = 0.01
    view.push(growing("First"))
    view.push(growing("First word"))
    assert [card.text for _, _, card in view.shown] == ["", "First"]
    assert "waiting for m" in Page(view.shown[0][1]["text/html"]).text


def test_a_state_that_will_not_be_shown_is_not_even_made():
    class SoFar(ChunkAccumulator):
        read = 0

        @property
        def text(self):
            self.read += 1
            return "x"

    view, so_far = Watched(), SoFar()
    for _ in range(100):
        view.push(growing(""), so_far)
    assert so_far.read == 1


def test_without_streaming_only_the_end_is_shown():
    view = Watched(stream=False)
    stream(view, 1, 0.1)
    view.finish(Card("end"))
    assert [card.text for _, _, card in view.shown] == ["end"]


@pytest.mark.parametrize("form", ["markdown", "text", "json", "code", "html"])
def test_drawing_a_long_answer_is_linear_in_every_format(form):
    def drawn(size):
        view, text = Watched(), "- some words of an item\n" * (size // 24)
        for end in range(0, size, 500):
            view.push(growing(text[:end], format=form))
            view.clock.now += 1
        return view.drawn

    assert drawn(40_000) < 5.5 * drawn(10_000)


def test_the_last_state_is_drawn_whole():
    view, text = Watched(), "para\n\n```python\nx = 1\n```\n"
    stream(view, 1, 0.05, text)
    view.finish(Card(text * 20))
    assert view.shown[-1][1] == cards.bundle_card(Card(text * 20))


def test_a_notebook_s_output_ends_with_the_answer_and_its_metadata(shell):
    facts = {"version": 1, "key": "k1:x"}
    with capture_output() as captured:
        view = choose_view(shell)
        view.push(growing(""))
        view.push(growing("Hel"))
        view.finish(Card("Hello", metadata=facts))
    outputs = captured.outputs
    assert captured.stdout == ""
    assert set(outputs[-1].data) == {"text/html", "text/plain"}
    assert outputs[-1].metadata["tinyllm_magic"] == facts
    assert "Hello" in outputs[-1].data["text/plain"]


def test_all_states_of_an_answer_have_one_display_id(shell):
    class Noting(DisplayPublisher):
        def publish(self, data, metadata=None, **rest):
            sent.append((data, metadata, rest))

    sent = []
    shell.display_pub = Noting()
    view = choose_view(shell)
    view.push(growing(""))
    view.push(growing("Hel"))
    view.finish(Card("Hello"))
    assert len({rest["transient"]["display_id"] for _, _, rest in sent}) == 1
    assert [rest.get("update", False) for _, _, rest in sent] == [False, True, True]
    assert all(set(data) == {"text/html", "text/plain"} for data, _, _ in sent)
    assert [m["tinyllm_magic"]["state"] for _, m, _ in sent] == ["streaming", "streaming", "done"]


def test_a_finished_answer_is_one_message(shell):
    with capture_output() as captured:
        choose_view(shell).finish(Card("Hello"))
    assert len(captured.outputs) == 1


def test_a_terminal_prints_each_part_once_and_one_footer():
    out = io.StringIO()
    view = TerminalView(out=out)
    view.push(growing(""))
    for end in range(len("Hello world") + 1):
        view.push(growing("Hello world"[:end]))
    assert out.getvalue() == "Hello world"
    view.finish(Card("Hello world!", model="m", duration=0.4, source="recorded"))
    assert out.getvalue() == "Hello world!\n-- m · 0.4 s · recorded\n"


def test_a_terminal_says_when_an_answer_begins_anew():
    out = io.StringIO()
    view = TerminalView(out=out)
    view.push(growing("Half an ans"))
    view.push(growing("A who"))
    view.finish(Card("A whole answer\n", model="m"))
    assert out.getvalue() == "Half an ans\n-- retrying --\nA whole answer\n-- m · live\n"


@pytest.mark.parametrize("form", ["json", "code", "html", "markdown", "text"])
def test_a_terminal_shows_every_format_as_plain_text(form):
    out = io.StringIO()
    TerminalView(out=out).finish(Card('{"a": 1}', format=form, model="m"))
    assert out.getvalue() == '{"a": 1}\n-- m · live\n'


def test_a_terminal_lists_remarks_and_prompt_and_obeys_no_control_character():
    out = io.StringIO()
    card = Card("a\x1b[2Jb", model="m", tool_calls=(ToolCall("1", "f", "{}"),), prompt=(Message("user", "Why?"),), prompt_tokens=(2,))
    TerminalView(out=out).finish(card)
    assert out.getvalue() == "a[2Jb\ntool call: f({})\n-- m · live\n[user · 2 tokens]\nWhy?\n"


def test_a_terminal_without_streaming_prints_at_the_end_only():
    out = io.StringIO()
    view = TerminalView(stream=False, out=out)
    view.push(growing("Hel"))
    assert out.getvalue() == ""
    view.finish(Card("Hello", model="m"))
    assert out.getvalue() == "Hello\n-- m · live\n"


def test_a_terminal_that_cannot_show_a_character_does_not_fail():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    TerminalView(out=out).finish(Card("ü \ud83d", model="m"))
    assert raw.getvalue() == b"? ?\n-- m ? live\n"


class Shell:
    """A kernel's shell, as far as a view asks it; it answers a request with these words."""

    def __init__(self, publisher, **request):
        self.display_pub, self.request = publisher, request

    def get_parent(self):
        return self.request


class Sends(DisplayPublisher):
    def publish(self, data, metadata=None, **rest):
        """To a front end."""


@pytest.mark.parametrize(
    ("request_", "view"),
    [
        ({"content": {"allow_stdin": True}, "metadata": {"cellId": "a"}}, NotebookView),  # JupyterLab, Notebook 7, VS Code
        ({"content": {"allow_stdin": False}, "metadata": {}}, NotebookView),  # nbclient, papermill
        ({"content": {"allow_stdin": True}, "metadata": {}}, TerminalView),  # jupyter console
        ({}, NotebookView),
    ],
)
def test_a_kernels_front_end_is_told_by_its_request(request_, view):
    assert isinstance(choose_view(Shell(Sends(), **request_)), view)


def test_a_shell_that_only_prints_is_a_terminal():
    assert isinstance(choose_view(None), TerminalView)
    assert isinstance(choose_view(Shell(DisplayPublisher())), TerminalView)
    assert isinstance(choose_view(Shell(Sends()), quiet=True), QuietView)


def test_quiet_shows_nothing(shell):
    with capture_output() as captured:
        view = choose_view(shell, quiet=True)
        view.push(growing("x"))
        view.finish(Card("x"))
    assert (captured.stdout, captured.outputs) == ("", [])


def test_a_bundle_is_shown_where_a_view_would_be(shell, capsys):
    data = tables.bundle_table("T", ["a"], [[1]])
    output.show(data, None)
    assert capsys.readouterr().out == "T\na\n-\n1\n"
    with capture_output() as captured:
        output.show(data, shell)
    assert captured.outputs[0].data == data


def test_importing_the_glass_imports_nothing_heavy():
    heavy = "IPython markdown_it pygments nh3 openai jinja2"
    code = f"import sys, tinyllm_magic.display.views; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
