import pytest

from tinyllm_magic.errors import OptionError
from tinyllm_magic.notebook.options import OPTIONS, describe, parse


def cell(line):
    return parse(line, cell=True)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("-m gpt-4o", "model", "gpt-4o"),
        ("--model=gpt-4o", "model", "gpt-4o"),
        ("-o poem", "out", "poem"),
        ('-s "Be brief. It\'s late."', "system", "Be brief. It's late."),
        ("-t 'my template.j2'", "template", "my template.j2"),
        ("-f json", "format", "json"),
        ("--mode replay", "mode", "replay"),
        ("--fresh", "mode", "refresh"),
        ("--dry-run", "dry_run", True),
        ("--show-prompt", "show_prompt", True),
        ("--no-stream", "stream", False),
        ("-q", "quiet", True),
        ("--quiet", "quiet", True),
    ],
)
def test_an_option_sets_its_field(line, name, value):
    assert getattr(cell(line), name) == value


@pytest.mark.parametrize(
    ("line", "params"),
    [
        ("--temperature 0.2 --max-tokens 10 --top-p 0.9 --seed 3", {"temperature": 0.2, "max_tokens": 10, "top_p": 0.9, "seed": 3}),
        ("-p temperature=0 -p top_k=5", {"temperature": 0, "top_k": 5}),
        ('-p response_format={"type": "json_object"}', {"response_format": {"type": "json_object"}}),
        ('-p stop=["a b", "c"]', {"stop": ["a b", "c"]}),
        ("--stop END", {"stop": "END"}),
        ("-p user=bob", {"user": "bob"}),
        ("-p x=a=b", {"x": "a=b"}),
    ],
)
def test_parameters_are_read_as_json_where_they_are_json(line, params):
    assert cell(line).params == params


def test_a_jinja_expression_is_one_word_and_is_expanded():
    options = parse("-m {{ best model }} --temperature {{ t }}", cell=True, expand=lambda v: {"{{ best model }}": "x", "{{ t }}": "0.5"}[v])

    assert options.model == "x"
    assert options.params == {"temperature": 0.5}


def test_the_system_message_is_a_template_of_its_own_and_not_expanded_twice():
    assert parse("-s 'Hello {{ name }}'", cell=True, expand=lambda _: "expanded").system == "Hello {{ name }}"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("-p temperature=0 What's 2 - 1?", "What's 2 - 1?"),
        ('Say "hi" -m now', 'Say "hi" -m now'),
        ("-m a -- -m is an option", "-m is an option"),
        ("Don't", "Don't"),
        ("-5 is negative", "-5 is negative"),
        ("{{ x }} and  two  spaces", "{{ x }} and  two  spaces"),
    ],
)
def test_in_a_line_magic_the_text_begins_at_the_first_word_that_is_no_option(line, text):
    assert parse(line, cell=False).text == text


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--temprature 1", "--temperature"),
        ("-z", "unknown option -z"),
        ("--temperature hot", "not a number"),
        ("--max-tokens 1.5", "whole number"),
        ("-f htm", "'html'"),
        ("--mode replya", "'replay'"),
        ("-o 1x", "not the name of a variable"),
        ("-p novalue", "KEY=VALUE"),
        ("-m", "requires a value"),
        ("--fresh=1", "takes no value"),
        ('-s "open', "not closed"),
        ("hello", "below the first line"),
    ],
)
def test_a_wrong_line_is_refused_with_what_to_do(line, said):
    with pytest.raises(OptionError) as caught:
        cell(line)
    assert said in str(caught.value)


def test_a_misspelt_option_of_a_line_magic_is_not_taken_for_text():
    with pytest.raises(OptionError, match="--temperature"):
        parse("--temprature 0 What is it?", cell=False)


@pytest.mark.parametrize(
    ("line", "stop"),
    [
        (r'--stop "\n\nHuman:"', "\n\nHuman:"),
        (r"--stop \tend", "\tend"),
        ("--stop A --stop B", ["A", "B"]),
        ('--stop ["A","B"] --stop C', ["A", "B", "C"]),
        ("--stop 5", "5"),
        (r"--stop [x", "[x"),
    ],
)
def test_stop_may_be_repeated_and_reads_escapes(line, stop):
    assert cell(line).params == {"stop": stop}


VALUES = {"{{ schema }}": {"type": "object"}, "{{ stops }}": ["a", "b"], "{{ number }}": 7, "{{ text }}": "7"}


@pytest.mark.parametrize(
    ("line", "params"),
    [
        ("-p response_format={{ schema }}", {"response_format": {"type": "object"}}),
        ("--stop {{ stops }}", {"stop": ["a", "b"]}),
        ("--max-tokens {{ number }}", {"max_tokens": 7}),
        ("--max-tokens {{ text }}", {"max_tokens": 7}),
        ("-p user={{ text }}", {"user": "7"}),
    ],
)
def test_a_lone_expression_is_its_value_whatever_its_type(line, params):
    assert parse(line, cell=True, expand=lambda word: VALUES.get(word, word)).params == params


def test_a_grid_takes_the_values_of_an_expression():
    assert parse("--grid seed={{ stops }}", cell=True, expand=lambda word: VALUES.get(word, word)).grid == {"seed": ["a", "b"]}


def test_the_help_names_every_option():
    text = describe()
    assert all(flag in text for option in OPTIONS for flag in option.flags)
