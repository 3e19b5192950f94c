import dataclasses

import pandas as pd
import pytest

from tinyllm_magic import Chat, session
from tinyllm_magic.models.catalog import EMBEDDED
from tinyllm_magic.notebook.completions import complete


def words(text, **variables):
    return list(complete(text, variables)[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%llm --temp", ["--template", "--temperature"]),
        ("%%llm --mode re", ["replay", "refresh"]),
        ("%%llm --mode=re", ["replay", "refresh"]),
        ("%%llm -f m", ["markdown"]),
        ("\n%%llm -o x --dry", ["--dry-run"]),
        ("%llm --dry", ["--dry-run"]),
        ("r = %llm --dry", ["--dry-run"]),
        ("%llm_config temp", ["temperature="]),
        ("%llm_cache t", ["tidy"]),
        ("%llm_chat ex", ["export"]),
        ("%llm_batch f", ["fetch"]),
        ("%%llm --map rows --ba", ["--batch"]),
        ("%%llm --chat --ke", ["--keep"]),
        ("%llm_cache mode re", ["replay", "refresh"]),
        ("%%llm -p top_", ["top_p=", "top_k=", "top_logprobs="]),
        ("%%llm --grid temp", ["temperature="]),
    ],
)
def test_options_and_their_values(text, expected):
    assert words(text) == expected


@pytest.mark.parametrize(
    "text",
    ["%%llm -", "%%llm -f ", "%%llm -p temp", "%%llm\n{% ", "%%llm\n{{ x | ", "%llm_config m", "%llm_cache ", "%llm_chat ", "%llm_batch "],
)
def test_every_word_has_a_word_of_documentation(text):
    _, found = complete(text, {})
    assert len(found) > 0
    assert [word for word, about in found.items() if not about] == []


def test_models_after_m_say_their_window_and_whether_the_key_is_there(monkeypatch):
    with session.override(model="gpt-4o"):
        _, found = complete("%%llm -m ", {})
        assert found["gpt-4o"] == "128,000 tokens, key OPENAI_API_KEY is missing"
        assert EMBEDDED not in found  # it is tiny
        assert found["tiny"] == "2,048 tokens, key not needed"
        assert found["anthropic:"] == "a model of Anthropic, key ANTHROPIC_API_KEY is missing"
        assert found["ollama:"] == "a model of Ollama, no key needed"
        assert complete("%%llm --compare tiny,gpt", {}) == ("gpt", {"gpt-4o": found["gpt-4o"]})
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
        assert complete("%%llm -m gpt", {})[1]["gpt-4o"] == "128,000 tokens, key OPENAI_API_KEY is set"


@pytest.mark.parametrize("line", ["%%llm --map reviews --expect ", "%%llm --map=reviews -o x --expect="])
def test_expect_offers_the_columns_of_the_mapped_rows(line):
    reviews = [{"text": "Good.", "label": "positive"}]

    assert complete(line, {"reviews": reviews})[1].keys() == {"text", "label"}
    assert words(f"{line}la", reviews=pd.DataFrame(reviews)) == ["label"]
    assert words("%%llm --map missing --expect ") == []


def test_map_offers_tables_with_their_size():
    rows, frame = [{"a": 1}], pd.DataFrame({"a": [1, 2]})
    assert complete("%%llm --map ", {"rows": rows, "frame": frame, "n": 1, "text": "x"}) == (
        "",
        {"frame": "DataFrame 2 × 1", "rows": "list of 1 dict"},
    )


def test_template_files_are_offered_where_a_template_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "greeting.j2").write_text("x")
    (tmp_path / "prompts" / "rules.j2").write_text("x")
    (tmp_path / "secret.pem").write_text("x")
    assert complete("%%llm -t ", {}) == ("", {"greeting.j2": "beside the notebook", "rules.j2": "in prompts/"})
    assert complete("%%llm\n{% include 'ru", {}) == ("ru", {"rules.j2": "in prompts/"})


def test_double_braces_offer_the_notebooks_variables_with_type_and_size():
    assert complete("%%llm\nWrite about {{ to", {"topic": "rain", "tone": [1, 2], "other": 1, "_hidden": 2}) == (
        "to",
        {"tone": "list of 2 int", "topic": "text, 4 characters"},
    )
    assert words("%%llm\nx = {{ rows | table }} {{ to", topic=1) == ["topic"]
    assert words("%%llm -o x --system {{ to", topic=1) == ["topic"]
    assert words("r = %llm about {{ to", topic=1) == ["topic"]


def test_names_that_the_template_defines_come_first():
    assert words("%%llm\n{% set total = n %}{% for item in rows %}{{ t", topic=1)[:2] == ["total", "topic"]
    assert "item" in words("%%llm\n{% for item in rows %}{{ i")


def test_members_of_dicts_frames_and_objects():
    @dataclasses.dataclass
    class Point:
        x: int
        label: str

        def norm(self):
            """The length. And more."""

    known = {"d": {"name": "n", "not a name": 1}, "df": pd.DataFrame({"city": ["a"], "n": [1]}), "p": Point(1, "a")}
    assert words("%%llm\n{{ d.n", **known) == ["name"]
    assert complete("%%llm\n{{ df.c", known)[1] == {"city": str(known["df"].dtypes["city"])}
    assert complete("%%llm\n{{ p.", known)[1] == {"x": "int", "label": "text, 1 character", "norm": "The length"}


def test_keys_in_brackets_and_members_of_items():
    known = {"d": {"two words": 1}, "rows": [{"city": "a", "tags": {"k": 1}}]}
    assert words('%%llm\n{{ d["tw', **known) == ["two words"]
    assert words("%%llm\n{{ rows[0].ci", **known) == ["city"]
    assert words("%%llm\n{{ rows[0]['tags'].k", **known) == ["k", "keys"]
    assert words("%%llm\n{% for r in rows %}{{ r.ci", **known) == ["city"]
    assert words("%%llm\n{% for r in rows %}{% set t = r.tags %}{{ t['", **known) == ["k"]


def test_columns_of_the_mapped_table_are_variables():
    rows, frame = [{"city": "a"}], pd.DataFrame({"year": [1]})
    assert words("%%llm --map rows -o x\n{{ ci", rows=rows) == ["city"]
    assert words("%%llm --map rows\n{{ row.ci", rows=rows) == ["city"]
    assert words("%%llm --map=frame\n{{ ye", frame=frame) == ["year"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("%%llm\n{{ x | tab", "table"),
        ("%%llm\n{{ x|up", "upper"),
        ("%%llm\n{% if x is def", "defined"),
        ("%%llm\n{% if x is not non", "none"),
        ("%%llm\n{% sys", "system"),
        ("%%llm\n{%- inc", "include"),
        ("%%llm\n{% system %}Be brief.\n{% e", "endsystem"),
        ("%%llm\n{% for a in b %}{% if a %}x{% endif %}{% end", "endfor"),
        ("%%llm\n{% for a in b %}{{ loop.ind", "index"),
        ("%%llm\n{% raw %}{{ {% endr", "endraw"),
    ],
)
def test_filters_tests_and_tags(text, word):
    assert next(iter(complete(text, {})[1])) == word


@pytest.mark.parametrize(
    "text",
    [
        "print(to",
        "%%time\n{{ to",
        "x = {{ 1",
        "%%llm\nplain text",
        "%%llm\n{{ topic }} and to",
        "%%llm\n{{ 'quoted to",
        "%%llm\n{% raw %}{{ to",
        "%%llm\n{# {{ to",
        "%%llm",
    ],
)
def test_elsewhere_completion_is_left_to_others(text):
    assert complete(text, {"topic": 1}) is None


def test_nothing_of_the_users_is_called():
    class Trap:
        def __getattribute__(self, name):
            raise AssertionError(name)

        def __len__(self):
            raise AssertionError

        def __iter__(self):
            raise AssertionError

        def __repr__(self):
            raise AssertionError

        @property
        def costly(self):
            raise AssertionError

        def method(self):
            raise AssertionError

    trap, used = Trap(), iter([1])
    known = {"trap": trap, "used": used, "rows": [trap]}
    places = (
        "{{ ",
        "{{ trap.",
        "{{ trap.costly.",
        "{{ trap['",
        "{{ rows[0].",
        "{{ used.",
        "{% for r in rows %}{{ r.",
        "{% for r in trap %}{{ r.",
    )
    for text in places:
        complete(f"%%llm --map rows\n{text}", known)
        complete(f"%%llm --map trap\n{text}", known)
    assert {"costly", "method"} <= set(words("%%llm\n{{ trap.", trap=trap))
    assert next(used) == 1


def test_the_shells_own_completer_offers_them(shell):
    from IPython.core.completer import provisionalcompleter

    shell.user_ns["topic"] = 1
    text = "%%llm\nWrite about {{ to"
    with provisionalcompleter():
        found = [(c.text, c.type) for c in shell.Completer.completions(text, len(text))]

    assert found == [("topic", "int")]


def test_conversations_are_offered_where_one_is_named():
    with session.override(api_type="echo"):
        Chat("tea").ask("Green?")
    assert complete("%%llm --chat t", {}) == ("t", {"tea": "1 turn"})
    assert complete("%llm_chat te", {}) == ("te", {"tea": "1 turn"})
    assert complete("%llm_chat tea un", {}) == ("un", {"undo": "take the last turn away"})
