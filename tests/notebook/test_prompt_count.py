import time

import pandas as pd
import polars as pl
import pytest

from tinyllm_magic import LLMCall, session
from tinyllm_magic.notebook import prompt_count


def measure(cell, environ=None, **variables):
    return prompt_count.measure(cell, variables, environ or {})


def words(cell, environ=None, **variables):
    return [part["text"] for part in measure(cell, environ, **variables)["parts"]]


def test_tokens_share_cost_and_what_happens():
    found = measure("%%llm -m gpt-4o --max-tokens 10\nSay {{ what }}.", {"OPENAI_API_KEY": "sk"}, what="hello")
    assert [part["text"] for part in found["parts"]] == ["10 tokens", "under 1 % of 128,000", "at most $0.0001", "asks gpt-4o"]
    assert found["share"] == pytest.approx(10 / 128_000)
    assert found["unknown"] == {}


def test_a_missing_key_is_said():
    assert measure("%%llm -m gpt-4o\nhello")["parts"][-1] == {"text": "OPENAI_API_KEY is missing", "level": "warning"}


@pytest.mark.parametrize(("count", "told", "level"), [(7000, "nearly full", "warning"), (9000, "too long", "error")])
def test_a_full_window_is_told_in_words_and_by_a_level(count, told, level):
    part = measure("%%llm -m gpt-4\n{{ text }}", text="word " * count)["parts"][1]
    assert part["text"].endswith(f"of 8,192, {told}")
    assert part["level"] == level


def test_what_is_recorded_is_said_and_nothing_is_asked():
    with session.override(api_type="echo", mode="auto"):
        assert words("%%llm\nhello")[-1] == "asks echo"
        LLMCall.from_text("hello").call()
        assert words("%%llm\nhello")[-1] == "recorded"
        assert words("%%llm --fresh\nhello")[-1] == "asks echo"
        assert words("%%llm --mode replay\nother")[-1] == "not recorded, and replay asks nobody"
        assert len(session.history) == 1


def test_unknown_names_are_told_with_similar_ones():
    found = measure("%%llm\n{{ topc }} {% for a in range(2) %}{{ a }}{{ loop.index }}{% endfor %}", topic="x")
    assert found == {
        "parts": [{"text": "— topc not defined", "level": "quiet"}],
        "share": None,
        "unknown": {"topc": ["topic"]},
    }


@pytest.mark.parametrize("use", ["{% if x is defined %}{{ x }}{% endif %}hello", "{{ x | default('a') }}", "{{ x|d('a') }}"])
def test_a_name_that_is_asked_whether_it_is_defined_is_no_mistake(use):
    assert measure(f"%%llm\n{use}")["unknown"] == {}


class Trap:
    """A value that must not be asked."""

    def __str__(self):
        raise AssertionError

    def __getattr__(self, name):
        raise AssertionError(name)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("{{ x }}", Trap()),
        ("{{ x[0].name }}", [Trap()]),
        ("{{ x() }}", lambda: 1 / 0),
        ("{% for a in x %}{{ a }}{% endfor %}", iter([1])),
    ],
    ids=["object", "held", "function", "iterator"],
)
def test_nothing_of_the_users_is_called(cell, value):
    assert words(f"%%llm\n{cell}", x=value)[0].startswith("— x ")
    assert words(f"%%llm -p seed={{{{ x }}}}\n{cell}", x=value)[0].startswith("— x ")
    assert words(f"%%llm -s '{cell}'\nhello", x=value)[0].startswith("— x ")


def test_an_expression_after_map_is_not_evaluated():
    assert words("%%llm --map f()\n{{ a }}", f=lambda: 1 / 0) == ["— counted row by row: --dry-run estimates it"]


@pytest.mark.parametrize(
    "cell",
    [
        "%%llm -t x.j2\nhello",
        "%%llm -s x.j2\nhello",
        "%%llm\n{% include 'x.j2' %}",
        "%%llm\n{% import 'x.j2' as x %}",
        "%%llm --file x.j2\nhello",
        "%%llm --image unknown()\nhello",
        "%%llm\n{{ 'x.j2' | file }}",
        "%%llm\n{{ ['x.j2'] | map('image') | join }}",
    ],
)
def test_no_file_is_read(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.j2").write_text("secret")
    assert words(cell) == ["— the prompt takes in a file: --dry-run counts it"]


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("%%llm\n{{ x", "— Jinja cannot read this"),
        ("%%llm --nope\nhello", "— unknown option --nope"),
        ("%%llm\n", "— empty"),
        ("x = 1", "— no prompt"),
    ],
)
def test_what_cannot_be_read_yet_is_told_in_few_words(cell, told):
    assert words(cell)[0].startswith(told)


def test_lines_are_counted_as_the_editor_counts_them():
    assert "line 4" in words("\n%%llm\n\n{{ x")[0]


@pytest.mark.parametrize(
    "rows",
    [
        [{"city": "Paris"}, {"city": "Rome"}],
        {"city": ["Paris", "Rome"]},
        pd.DataFrame({"city": ["Paris", "Rome"]}),
        pl.DataFrame({"city": ["Paris", "Rome"]}),
    ],
    ids=lambda r: type(r).__module__ + type(r).__name__,
)
def test_a_map_is_measured_by_its_first_row(rows):
    found = words("%%llm -m gpt-4o --map rows\nWhere is {{ city }}? {{ row.city }}", rows=rows)
    assert found[:2] == ["first of 2 rows", "12 tokens"]


def test_rows_that_are_left_with_a_batch_service_have_its_price():
    cell, rows = "%%llm -m gpt-4o --max-tokens 1000 --map rows{}\n{{{{ x }}}}", [{"x": "hello"}, {"x": "you"}]
    assert "at most $0.0100" in words(cell.format(""), rows=rows)
    assert "at most $0.0050" in words(cell.format(" --batch"), rows=rows)


def test_a_comparison_is_measured_by_its_first_call():
    assert words("%%llm --compare gpt-4o,gpt-4 --grid temperature=0,1 -n 3\nhello")[0] == "first of 12"


def test_a_template_that_loops_for_long_is_given_up():
    loops = "".join(f"{{% for a{n} in range(9999) %}}" for n in range(3)) + "{% set x = 1 %}" + "{% endfor %}" * 3
    started = time.thread_time()
    assert words(f"%%llm\n{loops}") == ["— takes long to render: --dry-run counts it"]
    assert time.thread_time() - started < 5


class Called(Exception):
    pass


class Hostile:
    """A type that tells when it is asked for its schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        raise Called

    def __class_getitem__(cls, item):
        raise Called


@pytest.mark.parametrize("schema", ["Hostile", "list[Hostile]", "Hostile[int]", '"who Hostile"'])
def test_a_type_of_the_notebook_is_not_asked_for_its_schema(schema):
    found = measure(f"%%llm -m gpt-4o --schema {schema}\nhello", Hostile=Hostile)
    assert [part["text"] for part in found["parts"]] == ["— the schema is one of the notebook's: --dry-run counts it"]


@pytest.mark.parametrize("option", ['--schema "name, age int"', "--schema list[str]", "--choices yes,no"])
def test_a_schema_is_measured_as_part_of_the_prompt(option):
    plain, typed = (words(f"%%llm -m gpt-4o {o}\nhello", name=object(), age=object())[0] for o in ("", option))
    assert plain == "8 tokens"
    assert typed.startswith("≈ ")
    assert int(typed.split()[1]) > 20


def test_a_misspelt_type_is_told_while_it_is_typed():
    assert words("%%llm -m gpt-4o --schema lst[str]\nhello") == ["— the schema names 'lst', which is not defined"]
