"""A template error says what, where and what next."""

import traceback

import pytest
from prompting import ROWS, fails, render, text

from tinyllm_magic.errors import PromptError, UndefinedError
from tinyllm_magic.prompts import diagnostics
from tinyllm_magic.prompts.template import Template


def test_an_undefined_name_is_told_with_line_and_near_matches():
    error = fails("one\ntwo\n{{ topc }}", UndefinedError, topic=1, other=2)
    assert (error.variable, error.line, error.column, error.near) == ("topc", 3, 4, ("topic",))
    assert error.message == "'topc' is not defined (line 3, column 4)"
    assert "'topic'" in error.hint
    assert "{% raw %}" not in error.hint


def test_an_undefined_name_matches_as_the_seeds_have_it():
    with pytest.raises(UndefinedError, match="y"):
        Template("{{ y }}").render({})


def test_near_matches_include_names_of_the_template():
    assert fails("{% for record in [1] %}{{ recrd }}{% endfor %}", UndefinedError).near == ("record",)


@pytest.mark.parametrize(
    "use", ["{% if y %}{% endif %}", "{% for a in y %}{% endfor %}", "{{ y.a }}", "{{ y + 1 }}", "{{ y|upper }}", "{{ y == 1 }}"]
)
def test_every_use_of_an_undefined_name_is_an_error(use):
    assert fails("x\n" + use, UndefinedError).variable == "y"


def test_a_default_for_an_undefined_name_is_taken():
    assert text("{{ y|default('d') }} {{ y is defined }}") == "d False"


@pytest.mark.parametrize(
    ("call", "instead"), [("len(x)", "x|length"), ("sorted(x)", "x|sort"), ("str(x)", "x|string"), ("enumerate(x)", "loop.index")]
)
def test_a_python_builtin_is_answered_with_its_filter(call, instead):
    error = fails("\n{{ " + call + " }}", UndefinedError, x=[1])
    assert instead in str(error)
    assert error.line == 2


def test_a_builtin_without_a_filter_is_said_to_be_unavailable():
    assert "not available" in str(fails("{{ zip(x, x) }}", UndefinedError, x=[1]))


@pytest.mark.parametrize("instead", [f for f in diagnostics.INSTEAD.values() if f.startswith("x|")])
def test_every_filter_named_for_a_builtin_exists(instead):
    assert render(
        "[{{ " + instead + " }}]", x="12" if instead in ("x|int", "x|float") else 1 if instead in ("x|abs", "x|round") else [1, 2]
    )


@pytest.mark.parametrize("use", ["row.nam", "row['nam']"])
def test_an_undefined_key_is_told_with_near_keys(use):
    error = fails("\n{{ " + use + " }}", UndefinedError, row=ROWS[0])
    assert (error.variable, error.line, error.near) == ("nam", 2, ("name",))
    assert error.column is not None


def test_an_undefined_attribute_is_told_with_near_attributes():
    class Person:
        def __init__(self):
            self.surname = "Hopper"

    error = fails("{{ p.surnam }}", UndefinedError, p=Person())
    assert error.near == ("surname",)
    assert "Person" in str(error)


def test_an_undefined_item_names_its_number():
    assert fails("{{ x[7] }}", UndefinedError, x=[1]).variable == "7"


def test_a_value_whose_dir_fails_still_gives_the_error():
    class Odd:
        def __dir__(self):
            raise RuntimeError

    assert fails("{{ o.x }}", UndefinedError, o=Odd()).near == ()


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        (r"\frac{{a}}{b}", 1, 8),
        ('x = 1\ny = {{"a": 1}}', 2, 5),
        ("f'{{x}}'", 1, 5),
        ("{{ ok }} and {{}}", 1, 14),
        (r"{{ \alpha }}", 1, 4),
        ("a\n\nb {% nonsense %}", 3, 3),
        ("a\n {{ b ", 2, 2),
        ("a\n {# b", 2, 2),
    ],
)
def test_text_that_jinja_reads_is_told_with_line_column_and_raw(source, line, column):
    error = fails(source, ok=1)
    assert (error.line, error.column) == (line, column)
    assert f"line {line}" in str(error)
    assert "{% raw %}" in str(error)


@pytest.mark.parametrize(
    ("source", "right"), [("{% sytem %}x{% endsytem %}", "system"), ("{{ 1|tabel }}", "table"), ("{{ 1 is nuber }}", "number")]
)
def test_misspelt_tags_filters_and_tests_get_near_matches(source, right):
    assert f"'{right}'" in str(fails(source))


@pytest.mark.parametrize("source", ["{{ " + "(" * 5000 + " }}", "{{ " + "9" * 6000 + " }}", "{% for a in b %}" * 30 + "{% endfor %}" * 30])
def test_a_template_beyond_pythons_limits_is_a_prompt_error(source):
    assert "{% raw %}" in str(fails(source, b=[]))


@pytest.mark.parametrize("use", ["''.__class__.__mro__", "f.__globals__", "x._run", "'{0.__class__}'.format(x)"])
def test_the_sandbox_refuses_private_attributes(use):
    error = fails("\n{{ " + use + " }}", f=render, x=Template("x"))
    assert error.line == 2
    assert "may not do this" in str(error)


def test_an_error_of_the_users_function_names_line_and_cause():
    def broken():
        raise KeyError("gone")

    error = fails("a\n\n{{ broken() }}", broken=broken)
    assert error.line == 3
    assert "KeyError" in str(error)
    assert isinstance(error.__cause__, KeyError)
    assert "broken" in "".join(traceback.format_exception(error.__cause__))


def test_an_error_inside_a_role_in_a_loop_names_its_line():
    assert fails("{% for x in [1, 0] %}\n{% user %}\n{{ 1 // x }}\n{% enduser %}\n{% endfor %}").line == 3


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes_untouched(kind):
    def stop():
        raise kind

    with pytest.raises(kind):
        Template("{{ stop() }}").render({"stop": stop})


def test_a_rendering_that_failed_leaves_the_next_one_clean():
    template = Template("{% user %}{{ 1 // x }}{% enduser %}")
    with pytest.raises(PromptError):
        template.render({"x": 0})
    assert template.render({"x": 1})[0].content == "1"


@pytest.mark.parametrize(
    "use",
    [
        *("{{ xs[y] }}", "{{ xs[y:] }}", "{{ d[y] }}", "{{ range(y) }}", "{{ f(y) }}", "{{ f(a=y) }}", "{{ [y] }}", "{{ {'a': y} }}"),
        *(
            "{{ y | tojson }}",
            "{{ {'a': [y]} | tojson }}",
            "{{ y | table }}",
            "{{ [{'a': y}] | table }}",
            "{{ y | pprint }}",
            "{{ 'a' ~ y }}",
        ),
        *("{% if y is none %}{% endif %}", "{% if y is string %}{% endif %}", "{% if y in xs %}{% endif %}", "{{ y or '' }}", "{{ -y }}"),
        *("{% include y %}", "{{ xs | join(y) }}", "{{ 1.5 | round(y) }}", "{% for a in xs[:y] %}{% endfor %}"),
    ],
)
def test_an_undefined_name_anywhere_is_one_error_that_names_it(use):
    error = fails("x\n" + use, UndefinedError, xs=[1], d={}, f=str)
    assert (error.variable, error.line) == ("y", 2)
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "use", ["{% if tone %}{{ tone }}{% endif %}", "{{ tone or '' }}", "{{ 'a' if tone else 'b' }}", "{% if not tone %}{% endif %}"]
)
def test_a_name_that_is_only_tested_is_answered_with_is_defined_and_default(use):
    hint = fails(use, UndefinedError).hint
    assert "{% if tone is defined %}" in hint
    assert '{{ tone | default("") }}' in hint
    assert "raw" not in hint


def test_raw_is_advised_where_braces_of_other_text_are_read():
    assert "{% raw %}" in fails(r"\textbf{{x}}", UndefinedError).hint
    assert "{% raw %}" not in fails("{{ x }}", UndefinedError).hint


def test_near_matches_leave_out_pythons_builtins():
    assert fails("{{ lis }}", UndefinedError, list=1, lisa=2).near == ("lisa",)


def test_an_undefined_name_may_be_handed_to_a_macro():
    assert render("{% macro m(a) %}{{ a | default('d') }}{% endmacro %}{{ m(y) }}") == [("user", "d")]


def test_near_matches_leave_out_what_ipython_puts_among_the_variables():
    assert fails("{{ i }}", UndefinedError, In=[], Out={}).near == ()


@pytest.mark.parametrize("source", ["{{ x | nof }}", "{% filter nof %}x{% endfilter %}", "{{ [x] | map('nof') | list }}"])
def test_an_unknown_filter_is_told_with_the_filters_there_are_and_no_raw(source):
    error = fails("one\n" + source, x=1)
    assert error.message.startswith("No filter named 'nof' (line 2")
    assert "table, code" in error.hint
    assert "raw" not in error.hint


def test_a_misspelt_filter_inside_a_map_gets_near_matches():
    assert "'upper'" in fails("{{ ['x'] | map('uper') | list }}").hint


def test_a_brace_that_is_no_comment_is_told_as_it_was_typed():
    assert fails("{{#x}}").message == "Jinja cannot read this: unexpected char '#' (line 1, column 3)"


def test_an_end_tag_without_its_beginning_is_told_as_such():
    error = fails("a\n{% endif %}")
    assert error.message == "{% endif %} ends nothing: there is no {% if %} before it (line 2, column 1)"
    assert "Did you mean" not in (error.hint or "")


@pytest.mark.parametrize("source", ["{% if x %}a", "{% message role='narrator' %}x{% endmessage %}"])
def test_raw_is_not_advised_where_the_tags_are_meant(source):
    assert "raw" not in (fails(source, x=1).hint or "")


def test_a_name_that_an_included_file_only_tests_gets_is_defined(folder):
    error = fails("{% include 'part.j2' %}", folders=folder(part="a\n{% if tone %}b{% endif %}"))
    assert (error.line, "{% if tone is defined %}" in error.hint) == (2, True)


def test_a_macro_that_tests_its_caller_is_told_is_defined():
    assert "{% if caller is defined %}" in fails("{% macro m() %}{% if caller %}a{% endif %}{% endmacro %}{{ m() }}").hint
