"""`--map`, `--compare` and `--grid` in a real shell and in a real kernel."""

from pathlib import Path

import nbformat
import pytest
from fakeserver import Turn

from tinyllm_magic import LLMCall, errors, map_rows, session
from tinyllm_magic.batch import estimates
from tinyllm_magic.display import output, views


def numbers(count):
    return [{"n": n} for n in range(count)]


pytestmark = pytest.mark.usefixtures("recording")


@pytest.fixture
def run(run, monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    run("rows = [{'w': 'tea'}, {'w': 'milk'}, {'w': 'tea'}, {'v': 1}]")
    return run


def test_a_mapped_cell_shows_its_table_and_hands_it_over(run, shell):
    done = run("%%llm --map rows -o drinks\nSay {{ w }}")

    assert done.result.success
    assert "Say milk" in done.outputs[-1].data["text/html"]
    assert "4 rows · 1 failed" in done.outputs[-1].data["text/plain"]
    assert done.outputs[-1].metadata["tinyllm_magic"]["table"]["rows"] == 4
    assert shell.user_ns["drinks"] is shell.user_ns["_llm"]
    assert shell.user_ns["drinks"]["answer"] == ["Say tea", "Say milk", "Say tea", None]


def test_a_map_takes_any_expression(run, shell):
    run("%%llm --map \"[r for r in rows if 'w' in r]\" -o drinks --workers 2\nSay {{ w }}")

    assert len(shell.user_ns["drinks"]) == 3


def test_a_map_over_nothing_names_the_variable(run):
    done = run("%%llm --map rowz\nSay {{ w }}")

    assert isinstance(done.result.error_in_exec, errors.OptionError)
    assert "name 'rowz' is not defined" in str(done.result.error_in_exec)


def test_a_mapped_line_returns_its_table(run, shell):
    run("drinks = %llm --map rows[:2] Say {{ w }}")

    assert shell.user_ns["drinks"]["answer"] == ["Say tea", "Say milk"]


def test_a_dry_run_of_a_map_sends_nothing_and_counts(run, shell):
    run("%%llm --map rows[:1]\nSay {{ w }}")
    before = len(session.history)

    text = run("%%llm --map rows --dry-run -o drinks\nSay {{ w }}").outputs[0].data["text/plain"]

    assert len(session.history) == before
    assert "drinks" not in shell.user_ns
    found = {line.rsplit(maxsplit=1)[0].strip(): line.split()[-1] for line in text.splitlines() if line.strip()}
    assert found["rows"] == "4"
    assert "1 (25%)" in text
    assert found["live calls"] == "1"
    assert "UndefinedError" in text
    assert "[user]\nSay tea" in text


def test_a_dry_run_does_not_use_up_an_iterator(run):
    done = run("%%llm --map iter(rows) --dry-run\nSay {{ w }}")

    assert "read only once" in str(done.result.error_in_exec)


def test_a_comparison_shows_cards_differences_and_costs(run, shell):
    done = run("%%llm --compare a,b --grid temperature=0,1 -o both\nSay tea")

    html, text = (done.outputs[-1].data[m] for m in ("text/html", "text/plain"))
    assert html.count("<article") == 4
    assert "all 4 answers are the same" in text
    assert "(4) b · temperature 1\nSay tea\n-- 2 in / 2 out tokens · " in text
    assert text.endswith("-- 4 answers · 8 in / 8 out tokens")
    assert "grid-template-columns" in html
    assert "<summary>cost and time" in html
    assert shell.user_ns["both"].columns[:2] == ("model", "temperature")
    assert len(done.outputs[-1].metadata["tinyllm_magic"]["answers"]) == 4


def test_answers_that_differ_are_marked_by_more_than_colour(run, start, shell):
    start("one red tea", "one green tea")

    done = run(
        "import os; os.environ['TINYLLM_API_TYPE'] = 'openai'\nget_ipython().run_cell_magic('llm', '--grid seed=1,2 --workers 1', 'x')"
    )

    assert "one [-red-] [+green+] tea" in done.outputs[-1].data["text/plain"]
    assert "<del>red </del><ins>green </ins>" in done.outputs[-1].data["text/html"]


def test_a_grid_with_samples_has_a_card_for_each_draw(run, shell):
    run("%%llm --grid temperature=1 -n 2 -o both\nSay tea")

    assert shell.user_ns["both"]["sample"] == [0, 1]
    assert "(2) temperature 1 · sample 2" in shell.display_formatter.format(shell.user_ns["both"])[0]["text/plain"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--grid temprature=0,1", "unknown parameter 'temprature'"),
        ("--grid temperature", "is not KEY=V1,V2"),
        ("--compare a,,b", "no list of names between commas"),
        ("--workers 0", "whole number above 0"),
        ("--map rows --compare a,,b", "no list of names between commas"),
    ],
)
def test_slips_are_told_before_anything_is_sent(run, line, words):
    done = run(f"%%llm {line}\nSay tea")

    assert words in str(done.result.error_in_exec)
    assert done.outputs == []


def test_a_table_shows_itself_and_says_what_it_does_not_show(run):
    run("from tinyllm_magic import LLMCall, map_rows\nmany = map_rows(LLMCall(None, 'Say {{ n }}'), [{'n': n} for n in range(60)])")

    text = run("display(many)").outputs[0].data["text/plain"]

    assert "Say 49" in text
    assert "Say 50" not in text
    assert "… 10 more rows; .to_pandas() has them all" in text


def test_an_interrupted_cell_leaves_the_finished_rows_in_its_variable(run, shell):
    run("def stopping():\n    yield {'w': 1}\n    raise KeyboardInterrupt")

    done = run("%%llm --map stopping() -o some\nSay {{ w }}")

    assert isinstance(done.result.error_in_exec, errors.Stopped)
    assert len(shell.user_ns["some"]) == 1


@pytest.fixture
def puts(monkeypatch, start):
    """What is put into outputs, each with how many requests the server had had by then."""
    seen, plain, server = [], output.show_or_update, start(*[Turn(delay=0.05)] * 100, far=True)

    def put(handle, data, facts):
        seen.append((data["text/plain"], data["text/html"], server.n))
        return plain(handle, data, facts)

    monkeypatch.setattr(views, "show_or_update", put)
    monkeypatch.setattr(output, "show_or_update", put)
    return seen


def test_a_long_map_tells_before_it_asks_what_it_is_going_to_take(run, puts, monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "openai")
    monkeypatch.setattr(estimates, "_LONGEST", 60)  # a busy machine looks at all rows too
    map_rows(LLMCall(None, "Say {{ n }}", model="gpt-4o-mini", max_tokens=10), numbers(10), progress=False)

    run("%%llm --map [{'n':n}for(n)in(range(40))] -m gpt-4o-mini --max-tokens 10 --workers 2\nSay {{ n }}")

    text, html, asked = puts[0]
    assert asked == 10
    assert "40 rows · 25% recorded · 30 to be asked · ≈ 300 prompt tokens · at most $0.0002" in text
    assert "30 to be asked" in html
    assert "30 to be asked" in puts[1][0]  # beside the progress, as long as there is any
    assert "to be asked" not in puts[-1][0]


@pytest.mark.parametrize(("count", "mode"), [(10, "auto"), (40, "replay")])
def test_what_asks_little_or_nothing_is_not_announced(run, puts, count, mode):
    run(f"%%llm --map [{{'n':n}}for(n)in(range({count}))] -m gpt-4o-mini --mode {mode}\nSay {{{{ n }}}}")

    assert not any("to be asked" in text for text, _, _ in puts)


def test_what_is_recorded_is_not_announced(run, puts):
    again = "%%llm --map [{'n':n}for(n)in(range(40))]\nSay {{ n }}"
    run(again)
    puts.clear()

    run(again)

    assert not any("to be asked" in text for text, _, _ in puts)


def test_a_budget_shows_a_preview_first(run, start):
    start()
    run("%llm_usage --budget 1")

    done = run("%%llm --map rows[:2] -m gpt-4o-mini --max-tokens 5\nSay {{ w }}")

    assert done.outputs[0].data["text/plain"].startswith("What is going to be asked")
    assert "$1.00, " in done.outputs[0].data["text/plain"]
    assert len(done.outputs) == 2


def test_a_notebook_keeps_one_output_for_each_map_and_grid(tmp_path):
    from tinyllm_magic.verify import kernels

    cells = [
        "%load_ext tinyllm_magic",
        "%%llm --map \"[{'w': w} for w in 'ab']\" -o t\nSay {{ w }}",
        "%%llm --grid temperature=0,1\nSay tea",
        "from tinyllm_magic import map_rows, LLMCall\nmap_rows(LLMCall(None, 'Say {{ w }}'), t)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])

    kernels.execute(notebook, tmp_path, {"TINYLLM_API_TYPE": "echo", "TINYLLM_STORE": str(tmp_path / "a.llm.jsonl")})

    kinds = [[o.output_type for o in c.outputs] for c in notebook.cells]
    assert kinds == [[], ["display_data"], ["display_data"], ["execute_result"]]
    assert "Say b" in notebook.cells[1].outputs[0].data["text/plain"]
    assert "<article" in notebook.cells[3].outputs[0].data["text/html"]


def test_a_cell_whose_rows_all_fail_fails_and_still_hands_over_its_table(run, shell):
    done = run("%%llm --map \"[{'w': w} for w in 'abc']\" -o t --mode replay\nSay {{ w }}")

    assert isinstance(done.result.error_in_exec, errors.ReplayMiss)
    assert "all 3 rows failed" in str(done.result.error_in_exec)
    assert "ReplayMiss" not in done.outputs[-1].data["text/plain"]
    assert "ReplayMiss" in shell.display_formatter.format(shell.user_ns["t"])[0]["text/plain"]
    assert len(shell.user_ns["t"].failed) == 3


def test_a_grid_whose_combinations_all_fail_fails(run):
    done = run("%%llm --grid temperature=0,1 --mode replay\nSay tea")

    assert "all 2 combinations failed" in str(done.result.error_in_exec)
    assert "ReplayMiss" not in done.outputs[-1].data["text/plain"]


def test_a_combination_that_fails_beside_others_tells_why_on_its_card_alone(run, start):
    start("tea", {"status": 401, "body": {"error": {"message": "bad key"}}})
    line = "get_ipython().run_cell_magic('llm', '--grid seed=1,2 --workers 1', 'x')"
    done = run(f"import os; os.environ['TINYLLM_API_TYPE'] = 'openai'\n{line}")

    assert done.result.error_in_exec is None
    assert done.outputs[-1].data["text/plain"].count("bad key") == 1


def test_rows_that_break_off_keep_what_is_done_in_the_cells_variable(run, shell):
    run("def rows_of_a_file():\n    yield {'w': 'tea'}\n    raise OSError('the file has ended')")

    done = run("%%llm --map rows_of_a_file() -o some\nSay {{ w }}")

    assert isinstance(done.result.error_in_exec, OSError)
    assert shell.user_ns["some"]["answer"] == ["Say tea"]


def test_a_cell_that_fails_before_its_rows_leaves_the_table_before_alone(run, shell):
    run("%%llm --map rows[:1] -o first\nSay {{ w }}")
    run("%%llm --map rows[:1] -o second\nSay {{ no_such_name }}")

    assert "second" not in shell.user_ns


@pytest.mark.parametrize("line", ["%%llm --map drinks.csv -o t", '%%llm --map "./drinks.csv" -o t'])
def test_a_map_reads_a_file_by_its_path(run, shell, line):
    Path("drinks.csv").write_text("w\ntea\nmilk\n")

    run(f"{line}\nSay {{{{ w }}}}")

    assert shell.user_ns["t"]["answer"] == ["Say tea", "Say milk"]


def test_workers_without_rows_are_an_error(run):
    done = run("%%llm --workers 4\nSay tea")

    assert "--workers goes with --map" in str(done.result.error_in_exec)
