"""Marks of other template languages get a hint or a note that shows ours."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from prompting import fails, text

from tinyllm_magic.prompts.template import Template


def notes(source, /, **variables):
    return Template(source).render_prompt(variables).notes


@pytest.mark.parametrize(
    ("source", "ours"),
    [
        ("{{#items}}\n{{name}}\n{{/items}}", "{% for item in items %}"),
        ("{{^items}}none{{/items}}", "{% if x %}"),
        ("{{> header}}", "{% include 'part' %}"),
        ("{{! a note }}", "{# note #}"),
        ("{{#each items}}\n{{this}}\n{{/each}}", "{% for item in items %}"),
        ("{{#if x}}a{{else}}b{{/if}}", "{% else %}"),
        ("- {{this.name}}", "Handlebars"),
        ("{{{name}}}", "`{{ name }}`"),
        ("Summarise {{$input}}", "`{{ input }}`"),
        ('Answer as {{"name": "x"}}', '`{"name": 1}`'),
        ("x = {{}}", "doubled"),
        (r"\textbf{{x}}", r"`\textbf{x}`"),
        (r"\frac{{a}}{{b}}", "LaTeX"),
        ('{{\n  "name": "{x}"\n}}', "doubled"),
        ("{{~name~}}", "Handlebars"),
        ("{{#system~}}Be brief.{{~/system}}", "{% system %}…{% endsystem %}"),
        ("{{ .Values.name }}", "Go template"),
        ("{{ if .x }}a{{ end }}", "Go template"),
        ("{{ range .items }}", "Go template"),
        ("{% assign x = 1 %}", "{% set x = 1 %}"),
        ("{% unless x %}a{% endunless %}", "{% if not x %}"),
        ("{{ name | default: 'x' }}", "default(1)"),
        ("{{ a && b }}", "`a and b`"),
        ("{{ !name }}", "`not a`"),
        ("{{ a ?? 'x' }}", "JavaScript"),
        ("{{ n > 1 ? 'a' : 'b' }}", "`b if a else c`"),
        ("{{ [i for i in items] }}", "{% for x in xs %}"),
        ("{{ lambda x: x }}", "lambdas"),
        ("{{ f'{name}' }}", "f-strings"),
    ],
)
def test_marks_of_other_languages_are_answered_with_ours(source, ours):
    assert ours in fails(source).hint


@pytest.mark.parametrize(
    ("line", "role"), [("system:", "system"), ("# system:", "system"), ("## User:", "user"), ("Assistant:", "assistant")]
)
def test_a_line_that_is_a_role_elsewhere_is_noted(line, role):
    assert f"{{% {role} %}}…{{% end{role} %}}" in notes(f"{line}\nBe brief.")[0]


@pytest.mark.parametrize("source", ["User: hello\nAssistant:hi", "{% system %}\nx{% endsystem %}", "the system: this", "{# system:\n #}x"])
def test_text_that_only_looks_like_a_role_is_not_noted(source):
    assert notes(source) == ()


def test_a_name_in_single_braces_that_is_a_variable_is_noted():
    assert notes("About {topic} and {{ topic }} and {other}", topic="tea") == (
        "`{topic}` was sent as typed; `{{ topic }}` is the variable",
    )


@pytest.mark.parametrize(
    ("typed", "ours"),
    [("{a!r}", "a"), ("{a:.2f}", "a"), ("{a:>10}", "a"), ("{a.b}", "a.b"), ("{a[0]}", "a[0]"), ('{a["b"]}', 'a["b"]'), ("{a:,}", "a")],
)
def test_a_field_of_an_f_string_that_is_a_variable_is_noted(typed, ours):
    assert notes(f"About {typed}", a=1) == (f"`{typed}` was sent as typed; `{{{{ {ours} }}}}` is the variable",)


@pytest.mark.parametrize("typed", ["<|im_start|>system\nBe brief.<|im_end|>", "[INST] Hi [/INST]", "<|user|>\nHi", "<<SYS>>x<</SYS>>"])
def test_a_mark_of_a_models_own_chat_format_is_noted(typed):
    assert "own chat format" in notes(typed)[0]


def test_a_prompt_that_begins_with_a_system_line_is_noted():
    assert "the line `System: Be brief.` was sent as text" in notes("System: Be brief.\nHuman: Hi")[0]


@pytest.mark.parametrize("typed", [r"\frac{a}{b}", "x_{a}", "${a}", "{a: 1}", '{"a"}', "{# {a} #}x", "{{ {'k': a} }}", "{a}}"])
def test_other_braces_are_not_noted(typed):
    assert notes(typed, a=1, b=2) == ()


def test_functions_and_modules_in_single_braces_are_not_noted():
    assert notes("{pd} {len_of}", pd=pd, len_of=len) == ()


def test_a_frame_that_is_printed_with_rows_left_out_is_noted():
    frame = pd.DataFrame({"a": range(1000)})
    assert notes("{{ sales }}", sales=frame) == (
        "`{{ sales }}` sent a shortened view, 990 of 1,000 rows were cut; `{{ sales | table }}` sends all",
    )
    assert "…" not in text("{{ sales | table }}", sales=frame)


def test_the_rows_that_are_said_to_be_cut_are_those_that_are_missing():
    frame = pd.DataFrame({"a": range(10_000, 10_100)})
    sent = text("{{ df }}", df=frame)
    assert sum(str(value) not in sent for value in frame["a"]) == 90
    assert "90 of 100 rows" in notes("{{ df }}", df=frame)[0]
    polars = pl.DataFrame({"a": range(10_000, 10_100)})
    sent = text("{{ df }}", df=polars)
    assert sum(str(value) not in sent for value in polars["a"]) == 90
    assert "90 of 100 rows" in notes("{{ df }}", df=polars)[0]


@pytest.mark.parametrize("source", ["{{ df | table }}", "{{ df | length }}", "{{ small }}", "{{ df.head(3) }}"])
def test_a_frame_that_is_whole_is_not_noted(source):
    assert notes(source, df=pd.DataFrame({"a": range(100)}), small=pd.DataFrame({"a": range(5)})) == ()


def test_a_frame_that_is_printed_with_columns_left_out_is_noted():
    wide = {str(n): [n] for n in range(100)}
    assert "some of 100 columns were cut" in notes("{{ df }}", df=pd.DataFrame(wide))[0]
    assert "some of 100 columns were cut" in notes("{{ df }}", df=pl.DataFrame(wide))[0]


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.DataFrame, lambda columns: pd.Series(columns["t"]), lambda columns: pl.Series(columns["t"])]
)
def test_a_frame_that_is_printed_with_the_ends_of_long_cells_cut_is_noted(make):
    long, short = make({"t": ["x" * 200]}), make({"t": ["x" * 30]})
    assert ("x" * 200 in text("{{ df }}", df=long), notes("{{ df }}", df=long)[0]) == (
        False,
        "`{{ df }}` sent a shortened view, the ends of long cells were cut; `{{ df | table }}` sends all",
    )
    assert ("x" * 30 in text("{{ df }}", df=short), notes("{{ df }}", df=short)) == (True, ())


def test_a_numpy_array_that_is_printed_with_values_left_out_is_noted():
    assert notes("{{ a }}", a=np.arange(5000)) == (
        "`{{ a }}` sent a shortened view, most of 5,000 values were cut; `{{ a.tolist() }}` sends all",
    )
    assert notes("{{ a }}", a=np.arange(50)) == ()


def test_a_frame_inside_a_list_or_dict_that_is_printed_is_noted():
    frame = pd.DataFrame({"a": range(100)})
    assert "90 of 100 rows" in notes("{{ [df] }}", df=frame)[0]
    assert "90 of 100 rows" in notes("{{ {'x': df} }}", df=frame)[0]
