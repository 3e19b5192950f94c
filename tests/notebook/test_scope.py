"""A magic reads the variables that Python would see where it stands, through a real shell."""

import pytest

from tinyllm_magic.errors import UndefinedError


@pytest.fixture
def run(shell):
    """Run a cell in a shell that answers with the prompt itself; the names that it leaves."""
    shell.run_line_magic("llm_config", "api_type=echo mode=off")

    def run_cell(source):
        result = shell.run_cell(source)
        result.raise_error()
        return shell.user_ns

    return run_cell


@pytest.mark.parametrize(
    "source",
    [
        "def f(topic):\n    r = %llm About {{ topic }}\n    return r\nr = f('tea')",
        "class A:\n    def m(self, topic):\n        r = %llm About {{ topic }}\n        return r\nr = A().m('tea')",
        "f = lambda topic: get_ipython().run_line_magic('llm', 'About {{ topic }}')\nr = f('tea')",
        "r = [get_ipython().run_line_magic('llm', 'About {{ topic }}') for topic in ['tea']][0]",
        "r = next(get_ipython().run_line_magic('llm', 'About {{ topic }}') for topic in ['tea'])",
        "async def f(topic):\n    r = %llm About {{ topic }}\n    return r\nr = await f('tea')",
        "def f(topic):\n    get_ipython().run_cell_magic('llm', '-o r', 'About {{ topic }}')\nf('tea')",
        "def f(topic):\n    return [get_ipython().run_line_magic('llm', '{{ word }} {{ topic }}') for word in ['About']][0]\nr = f('tea')",
        "def f(topic):\n    def g(word):\n        r = %llm {{ word }} {{ topic }}\n        return r\n    return g('About')\nr = f('tea')",
        "def f(topic):\n    get_ipython().run_cell_magic('llm', '-o r -s \"{{ topic }}\"', 'About {{ topic }}')\nf('tea')",
    ],
)
def test_locals_come_before_globals(run, source):
    run("topic = 'wrong'")
    assert run(source)["r"].text == "About tea"


def test_globals_are_seen_where_no_local_has_the_name(run):
    assert run("topic = 'tea'\ndef f(word):\n    r = %llm {{ word }} {{ topic }}\n    return r\nr = f('About')")["r"].text == "About tea"


def test_a_method_does_not_see_the_names_of_its_class(run):
    source = "class A:\n    topic = 'class'\n    def m(self):\n        r = %llm About {{ topic }}\n        return r\nr = A().m()"
    assert run("topic = 'tea'\n" + source)["r"].text == "About tea"


def test_a_magic_at_the_top_of_a_cell_sees_the_notebook(run):
    run("topic = 'tea'")
    assert run("%%llm -o r\nAbout {{ topic }}")["r"].text == "About tea"
    assert run("%time r = get_ipython().run_line_magic('llm', 'About {{ topic }}')")["r"].text == "About tea"


def test_parameters_read_locals(run):
    source = "def f(limit):\n    r = %llm -p max_tokens={{ limit }} Hi\n    return r\nr = f(7)"
    assert run("limit = 9\n" + source)["r"].request.params["max_tokens"] == 7


def test_rows_of_a_map_are_found_among_locals(run):
    run("rows = [{'x': 'wrong'}]\nkeep = {'a'}")
    source = (
        "def f(rows, keep):\n    get_ipython().run_cell_magic('llm', '-q -o t --map [r for r in rows if r[\"x\"] in keep]', 'x={{ x }}')\n"
    )
    assert [r.text for r in run(source + "f([{'x': 'tea'}, {'x': 'no'}], {'tea'})")["t"]] == ["x=tea"]


def test_a_count_reads_locals(run):
    run("text = 'short'\ndef f(text):\n    n = %llm_count {{ text }}\n    return n\nfar = f('word ' * 50)\nnear = f('word')")
    names = run("pass")
    assert names["far"] > 40 > names["near"]


def test_each_row_of_a_data_frame_is_asked_for_itself(run):
    source = "import pandas as pd\ntopic = 'wrong'\ndef ask(topic):\n    r = %llm About {{ topic }}\n    return r.text\n"
    assert run(source + "found = list(pd.Series(['tea', 'milk']).map(ask))")["found"] == ["About tea", "About milk"]


def test_a_template_leaves_the_locals_as_they_were(run):
    source = "def f(topic):\n    r = %llm {% set topic = 'x' %}{{ topic }}\n    return topic\nkept = f('tea')"
    assert run(source)["kept"] == "tea"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("%%llm\none\n{{ gone }}", 3),
        ("\n\n%%llm\n{{ gone }}", 4),
        ("x = 1\n\n%llm {{ gone }}", 3),
        ("def f():\n    %llm {{ gone }}\nf()", 2),
    ],
)
def test_lines_in_errors_are_those_of_the_cell(shell, source, line):
    error = shell.run_cell(source, store_history=True).error_in_exec
    assert error.line == line
    assert f"(line {line}," in error.message


def test_a_parameter_written_by_tojson_is_read_as_json(run):
    names = run("schema = {'type': 'json_object'}\nr = %llm -p response_format={{ schema | tojson }} Hi")
    assert names["r"].request.response_format == {"type": "json_object"}


def test_a_method_reads_its_self(run):
    source = "class A:\n    topic = 'tea'\n    def m(self):\n        r = %llm About {{ self.topic }}\n        return r\n"
    assert run(source + "r = A().m()")["r"].text == "About tea"


def test_a_class_body_inside_a_function_reads_the_function(run):
    source = "def f(topic):\n    class A:\n        r = %llm About {{ topic }}\n    return A.r\nr = f('tea')"
    assert run("topic = 'wrong'\n" + source)["r"].text == "About tea"


@pytest.mark.parametrize(
    "call",
    [
        "    return ask\nf('tea')(1)",
        "    with ThreadPoolExecutor(1) as pool:\n        list(pool.map(ask, [1]))\nf('tea')",
    ],
    ids=["the outer function has ended", "the outer function runs in another thread"],
)
def test_a_lost_local_of_an_outer_function_is_no_global(run, call):
    source = "topic = 'wrong'\ndef f(topic):\n    def ask(n):\n        r = %llm {{ n }} words about {{ topic }}\n        return r\n"
    run("from concurrent.futures import ThreadPoolExecutor")
    with pytest.raises(UndefinedError, match=r"'topic' is a local of f\(\), which ask\(\) does not keep.*\(line 4, column 24\)") as found:
        run(source + call)
    assert found.value.variable == "topic"


def test_a_local_that_an_inner_function_keeps_is_read_after_the_outer_one_has_ended(run):
    source = (
        "def f(topic):\n    def ask():\n        topic\n        r = %llm About {{ topic }}\n        return r\n    return ask\nr = f('tea')()"
    )
    assert run("topic = 'wrong'\n" + source)["r"].text == "About tea"


def test_a_name_that_an_ended_function_does_not_have_is_the_notebooks(run):
    source = "def f(word):\n    def ask():\n        r = %llm About {{ topic }}\n        return r\n    return ask\nr = f('x')()"
    assert run("topic = 'tea'\n" + source)["r"].text == "About tea"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("%%llm\nok\n{{ u }}", 3),
        ("\n\n%%llm\nok\n{{ u }}", 5),
        ("%%time\n%%llm\nok {{ u }}", 3),
        ("x = 1\n%llm {{ u }}", 2),
        ("x = 1\ny = 2\nget_ipython().run_cell_magic('llm', '', 'ok\\n{{ u }}')", 2),
    ],
    ids=["a cell", "blank lines above", "another cell magic above", "a line", "a text of a call"],
)
def test_an_error_has_the_line_of_the_editor_or_of_its_text(shell, source, line):
    result = shell.run_cell(source, store_history=True)
    assert result.error_in_exec.line == line
