"""`%llm_usage` shows shares as bars with words."""

from htmlaudit import Page
from IPython.utils.capture import capture_output

from tinyllm_magic.clients.sessions import session
from tinyllm_magic.display.html_tables import Bar, draw_table
from tinyllm_magic.notebook import reports


def test_a_bar_is_a_meter_with_its_words_and_an_empty_one_is_nothing():
    page = Page(draw_table(["share"], [[Bar(1, 4)], [Bar(0, 0)]]))
    assert page.all("meter") == [{"min": "0", "max": "4", "value": "1"}]
    assert page.text == "share25% 25%"
    assert page.wrong == []
    assert (str(Bar(1, 4)), str(Bar(0, 0))) == ("██░░░░░░ 25%", "")


def test_usage_sets_recorded_calls_against_live_ones(shell):
    session.choose(api_type="echo", mode="auto")
    with capture_output():
        for _ in range(4):
            shell.run_cell("%%llm\nhi")
    shown = reports.usage_table()
    assert "75%" in shown["text/plain"]
    assert Page(shown["text/html"]).all("meter") == [{"min": "0", "max": "4", "value": "3"}]
