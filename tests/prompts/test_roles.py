"""Role tags make messages, and lines of tags leave no blank lines."""

import pytest
from prompting import fails, render, text

from tinyllm_magic.errors import EmptyPromptError
from tinyllm_magic.prompts import roles


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("List:\n{% for x in [1, 2] %}\n- {{ x }}\n{% endfor %}\nEnd", "List:\n- 1\n- 2\nEnd"),
        ("List:\n  {% for x in [1, 2] %}\n  - {{ x }}\n  {% endfor %}\nEnd", "List:\n  - 1\n  - 2\nEnd"),
        ("a {% if true %}yes{% endif %}\nb", "a yes\nb"),
        ("a\n{% if true %}yes{% endif %}\nb", "a\nyes\nb"),
        ("a\n{# note #}\nb", "a\nb"),
        ("a\n{# a note\n over lines #}\nb", "a\nb"),
        ("a\n{% set x = [1,\n 2] %}\nb{{ x }}", "a\nb[1, 2]"),
        ("a\n{% set x = 1 %} {% set y = 2 %}\n\nb", "a\n\nb"),
        ("a\n{%+ set x = 1 +%}\nb", "a\n\nb"),
        ("a\n  {%- if true -%}  \n b {% endif %}\nc", "ab \nc"),
        ("a\n{% raw %}\n {{b}}\n{% endraw %}\nc", "a\n {{b}}\nc"),
        ("a{% raw %} {% endraw %}b", "a b"),
        ("a\n{{ '' }}\nb", "a\n\nb"),
        ("a\n{% if false %}\nx\n{% elif true %}\ny\n{% else %}\nz\n{% endif %}", "a\ny"),
    ],
)
def test_lines_of_tags_leave_no_blank_lines_and_text_stays(source, expected):
    assert text(source) == expected


def test_indented_text_keeps_its_indentation():
    assert text("\n  def f():\n      return 1  \n\n  f()\n") == "  def f():\n      return 1  \n\n  f()"


def test_each_role_tag_makes_one_message_and_other_text_user_messages():
    source = "one {% system %} S {% endsystem %} two {% developer %}D{% enddeveloper %}"
    source += "{% assistant %}A{% endassistant %}{% user %}U{% enduser %} three"
    assert render(source) == [
        ("user", "one"),
        ("system", "S"),
        ("user", "two"),
        ("developer", "D"),
        ("assistant", "A"),
        ("user", "U"),
        ("user", "three"),
    ]


def test_adjacent_user_blocks_stay_two_messages():
    assert render("{% user %}a{% enduser %}{% user %}b{% enduser %}") == [("user", "a"), ("user", "b")]


def test_empty_messages_are_dropped():
    assert render("{% system %}\n {% endsystem %}\n\nx") == [("user", "x")]


def test_roles_in_a_loop_make_few_shot_examples():
    source = """
{% system %}Answer.{% endsystem %}
{% for q, a in shots %}
  {% if q %}
    {% user %}{{ loop.index }}. {{ q }}{% enduser %}
    {% assistant %}{{ a }}{% endassistant %}
  {% endif %}
{% endfor %}
Now this."""
    expected = [("system", "Answer."), ("user", "1. p"), ("assistant", "r"), ("user", "3. s"), ("assistant", "t"), ("user", "Now this.")]
    assert render(source, shots=[("p", "r"), ("", "x"), ("s", "t")]) == expected


def test_roles_in_macros_and_captured_blocks_are_messages():
    source = "{% macro m(x) %}{% user %}{{ x }}{% enduser %}{% endmacro %}{{ m(1) }}{{ m(2) }}"
    source += "{% set b %}{% assistant %}3{% endassistant %}{% endset %}{{ b }}"
    assert render(source) == [("user", "1"), ("user", "2"), ("assistant", "3")]


def test_a_filter_around_a_role_block_reaches_its_text():
    assert render("{% filter upper %}{% system %}be{% endsystem %} go{% endfilter %}") == [("system", "BE"), ("user", "GO")]


def test_a_name_set_inside_a_role_is_known_after_it():
    assert render("{% system %}{% set n = 3 %}{{ n }}{% endsystem %}{{ n }}") == [("system", "3"), ("user", "3")]


def test_a_variable_may_bear_the_name_of_a_role():
    assert text("{{ user }} {{ system }}", user="U", system="S") == "U S"


def test_a_role_in_a_role_names_the_inner_line():
    error = fails("{% system %}\na\n{% user %}b{% enduser %}{% endsystem %}")
    assert error.line == 3
    assert "inside another role" in str(error)


def test_a_role_in_a_role_through_a_macro_is_an_error():
    error = fails("{% macro m() %}{% user %}x{% enduser %}{% endmacro %}\n{% system %}{{ m() }}{% endsystem %}")
    assert error.line == 1


@pytest.mark.parametrize(
    "source",
    [
        "{% set x %}{% user %}a{% enduser %}{% endset %}{% system %}{{ x }}{% endsystem %}",
        "{% filter truncate(8, true, '', 0) %}{% user %}abc{% enduser %}{% endfilter %}",
        "{% filter truncate(5, true, '', 0) %}{% user %}abc{% enduser %}{% endfilter %}",
        "{% filter reverse %}{% user %}abc{% enduser %}{% endfilter %}",
    ],
)
def test_a_damaged_role_block_is_an_error_and_no_mark_is_sent(source):
    assert "role block" in str(fails(source))


def test_the_mark_of_another_rendering_opens_no_role():
    other = roles.Rendering(lambda text, n: text, roles=True)
    value = other.open("system") + "evil" + other.close()
    assert render("x{{ v }}", v=value) == [("user", "x" + value)]


def test_no_message_is_an_error():
    assert fails("{% if false %}x{% endif %}\n {% system %} {% endsystem %}", EmptyPromptError).hint


def test_an_unclosed_role_names_the_line_where_it_opened():
    error = fails("hello\n  {% system %}a{% endsystem %}\n {% system %}b\nmore\n")
    assert (error.line, error.column) == (3, 2)
    assert "endsystem" in str(error)


@pytest.mark.parametrize("tag", ["chat", "message"])
def test_role_blocks_of_other_libraries_are_understood(tag):
    source = '{% TAG role="system" %}Be brief.{% endTAG %}\n{% TAG role=who %}Hi{% endTAG %}'.replace("TAG", tag)
    assert render(source, who="user") == [("system", "Be brief."), ("user", "Hi")]


def test_an_unknown_role_is_an_error_with_near_matches():
    assert "'assistant'" in str(fails('{% chat role="asistant" %}x{% endchat %}'))
    assert "'assistant'" in str(fails("{% message role=who %}x{% endmessage %}", who="asistant"))


def test_a_role_tag_of_another_library_without_a_role_says_how_it_is_written():
    assert '{% chat role="user" %}' in str(fails("{% chat %}x{% endchat %}"))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% user %}\n    code\n  more\n{% enduser %}", "    code\n  more"),
        ("\n\n    code\n", "    code"),
        ("{% user %}   same line{% enduser %}", "same line"),
        ("{% if true %}\n  - one\n{% endif %}", "  - one"),
        ("{{ code }}", "  x = 1"),
    ],
)
def test_the_first_line_of_a_message_keeps_its_indentation(source, expected):
    assert render(source, code="  x = 1\n") == [("user", expected)]
