import pytest

from tinyllm_magic import session
from tinyllm_magic.completions import matches
from tinyllm_magic.models import EMBEDDED


def complete(text, *variables):
    return matches(text, lambda: variables)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%llm --temp", ["--temperature", "--template"]),
        ("%%llm --mode re", ["replay", "refresh"]),
        ("%%llm -f m", ["markdown"]),
        ("%llm --dry", ["--dry-run"]),
        ("r = %llm --dry", ["--dry-run"]),
        ("%llm_config temp", ["temperature="]),
        ("%llm_cache t", ["tidy"]),
        ("%llm_cache mode re", ["replay", "refresh"]),
    ],
)
def test_tab_completes_options_and_their_values(text, expected):
    assert sorted(complete(text)[1]) == sorted(expected)


def test_tab_after_m_completes_the_models():
    with session.override(model="my-model"):
        assert {EMBEDDED, "my-model"} <= set(complete("%%llm -m ")[1])


def test_tab_inside_double_braces_completes_the_notebooks_variables():
    assert complete("%%llm\nWrite about {{ to", "topic", "tone", "other", "_hidden") == ("to", ["tone", "topic"])
    assert complete("%%llm\nx = {{ rows | table }} {{ ", "topic", "_1")[1] == ["topic"]


@pytest.mark.parametrize("text", ["print(to", "%%time\n{{ to", "x = {{ 1", "%%llm\nplain text"])
def test_elsewhere_tab_is_left_to_others(text):
    assert complete(text, "topic") is None


def test_the_shells_own_completer_offers_them(shell):
    from IPython.core.completer import provisionalcompleter

    shell.user_ns["topic"] = 1
    text = "%%llm\nWrite about {{ to"
    with provisionalcompleter():
        found = [c.text for c in shell.Completer.completions(text, len(text))]

    assert found == ["topic"]
