"""Many rows over real HTTP, in a real shell, in a real kernel, and in other processes."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import nbformat
import pytest
from fakeserver import Turn
from IPython.utils.capture import capture_output

from tinyllm_magic import LLMCall, Store, display, errors, map_rows, override, session
from tinyllm_magic.call import Planner
from tinyllm_magic.estimates import outlook
from tinyllm_magic.rows import read_rows
from tinyllm_magic.tasks import row_tasks

CALL = LLMCall(None, "Number {{ n }}", model="gpt-4o-mini")


def numbers(count):
    return [{"n": n} for n in range(count)]


@pytest.fixture(autouse=True)
def recording():
    with override(mode="auto", waiting_time=0.01):
        yield


# -- over HTTP ------------------------------------------------------------------------------------------------------


def test_rows_share_one_client_and_one_store(start):
    server = start(*[{"echo": True}] * 30)

    table = map_rows(CALL, numbers(30))

    assert table["answer"] == [f"Number {n}" for n in range(30)]
    assert server.n == len(session.store(session.settings())) == 30


def test_a_retry_after_holds_back_the_whole_pool(start):
    times = []

    def note(answer):
        return lambda body: (times.append(threading.current_thread() and __import__("time").monotonic()), answer)[1]

    server = start(note({"status": 429, "headers": {"Retry-After": "1"}}), *[note({"text": "ok"})] * 20)

    table = map_rows(CALL, numbers(12), workers=1)

    assert not table.failed
    assert server.n == 13
    assert times[1] - times[0] >= 0.9


def test_rate_limits_and_broken_answers_leave_no_row_out_and_ask_none_twice(start):
    answered = []

    def turn(status):
        def take(body):
            if status == 200:
                answered.append(body["messages"][-1]["content"])
                return {"echo": True}
            return status

        return take

    start(*[turn(429 if n % 10 == 0 else 500 if n % 20 == 5 else 200) for n in range(400)])

    table = map_rows(CALL, numbers(200), workers=16)

    assert table["answer"] == [f"Number {n}" for n in range(200)]
    assert sorted(answered) == sorted(set(answered))


def test_an_answer_that_comes_after_the_stop_is_recorded_all_the_same(start):
    """Its tail is under way when the pool is stopped: it is paid for, and the next run need not ask again."""
    landed = threading.Event()

    def last(body):
        landed.wait(10)
        return {"text": "late"}

    def rows():
        yield {"n": 0}
        raise KeyboardInterrupt

    server = start(last)
    with pytest.raises(errors.Stopped):
        map_rows(CALL, rows(), workers=1)
    landed.set()
    for thread in threading.enumerate():
        if thread.name.startswith("tinyllm-row"):
            thread.join(10)
    path = session.store(session.settings()).path

    assert server.n == len(Store(path))


def test_a_killed_process_has_recorded_every_row_that_was_told_as_done(tmp_path):
    code = """
        import sys
        from tinyllm_magic import LLMCall, map_rows, override
        with override(api_type="echo", mode="auto", cache_file_name=sys.argv[1]):
            told = lambda table: print(table.tally.done, flush=True)
            map_rows(LLMCall(None, "Number {{ n }}"), ({"n": n} for n in range(10**7)), workers=16, progress=told)
    """
    path = tmp_path / "killed.llm.jsonl"
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), path], stdout=subprocess.PIPE, text=True) as process:
        done = [int(process.stdout.readline()) for _ in range(4)]
        process.kill()

    assert 0 < done[0] < done[-1]
    assert len(Store(path)) >= done[-1]


def test_a_refused_row_is_kept_as_its_error_and_asked_again_alone(start):
    server = start(200, 400, 200)

    table = map_rows(CALL, numbers(3), workers=1)

    assert [type(e).__name__ for e in table.errors] == ["NoneType", "InvalidRequestError", "NoneType"]
    assert not map_rows(CALL, table.failed).failed
    assert server.n == 4


def test_the_cap_on_calls_holds_for_rows_too(start):
    server = start(*[{"delay": 0.03}] * 20)

    with override(max_concurrent_model_calls=2):
        map_rows(CALL, numbers(20), workers=8)

    assert server.most_active == 2


def test_an_interrupt_stops_at_once_and_what_is_recorded_is_not_asked_again(start):
    server = start(*[{"echo": True}] * 20, *[{"delay": 5}] * 8)

    def interrupt():
        while server.n < 24:  # four rows are held, and no other is let through
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(errors.Stopped, match=r"rows are answered and kept") as stopped:
        map_rows(CALL, numbers(60), workers=4)

    kept = [row["n"] for row in stopped.value.table.to_dicts() if row["error"] is None]
    server.bodies.clear()
    server._script.clear()
    with override(mode="auto"):
        again = map_rows(CALL, [{"n": n} for n in kept])
    assert len(kept) >= 15
    assert again.tally.recorded == len(kept)
    assert server.bodies == []


def test_whole_answers_are_asked_for_because_nobody_watches_them_grow(start):
    server = start()

    map_rows(CALL, numbers(1))

    assert not server.last.get("stream")


# -- in a shell -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(shell, monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")

    def run_cell(cell):
        with capture_output() as captured:
            captured.result = shell.run_cell(cell)
        return captured

    run_cell("rows = [{'w': 'tea'}, {'w': 'milk'}, {'w': 'tea'}, {'v': 1}]")
    return run_cell


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
    assert "(4)  b      1            2 / 2" in text
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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--grid temprature=0,1", "unknown parameter 'temprature'"),
        ("--grid temperature", "is not KEY=V1,V2"),
        ("--compare a,,b", "is not M1,M2"),
        ("--workers 0", "whole number above 0"),
        ("--map rows --compare a", "one model"),
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
    seen, plain, server = [], display.put, start(*[Turn(delay=0.05)] * 100)

    def put(handle, data, facts):
        seen.append((data["text/plain"], data["text/html"], server.n))
        return plain(handle, data, facts)

    monkeypatch.setattr(display, "put", put)
    return seen


def test_a_long_map_tells_before_it_asks_what_it_is_going_to_take(run, puts, monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "openai")
    map_rows(LLMCall(None, "Say {{ n }}", model="gpt-4o-mini", max_tokens=10), numbers(10), progress=False)

    run("%%llm --map [{'n':n}for(n)in(range(40))] -m gpt-4o-mini --max-tokens 10 --workers 2\nSay {{ n }}")

    text, html, asked = puts[0]
    assert asked == 10
    assert "40 rows · 25% recorded · 30 to be asked · ≈ 300 prompt tokens · ≈ at most $0.0002" in text
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


def test_an_outlook_of_many_rows_reads_the_first_and_leaves_all():
    call = LLMCall(None, "Say {{ n }}", model="gpt-4o-mini", max_tokens=10)
    read = []
    with override(api_type="openai"):
        words, tasks = outlook(row_tasks(call, read_rows([{"n": n} for n in range(5000)])), 5000, Planner(session.settings()))
        read = [task.row["n"] for task in tasks]

    assert words.startswith("5,000 rows · ≈ 5,000 to be asked · ≈ 50,000 prompt tokens · ≈ at most $")
    assert read == list(range(5000))


def test_rows_that_nobody_has_counted_are_not_read_ahead():
    taken = []
    rows = read_rows({"n": taken.append(n) or n} for n in range(100))

    words, tasks = outlook(row_tasks(CALL, rows), rows.count, Planner(session.settings()))

    assert (words, taken) == ("", [])
    assert len(list(tasks)) == 100


def test_a_budget_shows_a_preview_first(run, start):
    start()
    run("%llm_usage --budget 1")

    done = run("%%llm --map rows[:2] -m gpt-4o-mini --max-tokens 5\nSay {{ w }}")

    assert done.outputs[0].data["text/plain"].startswith("What is going to be asked")
    assert "$1.00, " in done.outputs[0].data["text/plain"]
    assert len(done.outputs) == 2


# -- in a kernel ----------------------------------------------------------------------------------------------------


def test_a_notebook_keeps_one_output_for_each_map_and_grid(tmp_path):
    from tinyllm_magic import runs

    cells = [
        "%load_ext tinyllm_magic",
        "%%llm --map \"[{'w': w} for w in 'ab']\" -o t\nSay {{ w }}",
        "%%llm --grid temperature=0,1\nSay tea",
        "from tinyllm_magic import map_rows, LLMCall\nmap_rows(LLMCall(None, 'Say {{ w }}'), t)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])

    runs.execute(notebook, tmp_path, {"TINYLLM_API_TYPE": "echo", "TINYLLM_STORE": str(tmp_path / "a.llm.jsonl")})

    kinds = [[o.output_type for o in c.outputs] for c in notebook.cells]
    assert kinds == [[], ["display_data"], ["display_data"], ["execute_result"]]
    assert "Say b" in notebook.cells[1].outputs[0].data["text/plain"]
    assert "<article" in notebook.cells[3].outputs[0].data["text/html"]


# -- in other processes ---------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A store and an echo that other processes see too."""
    path = tmp_path / "shared.llm.jsonl"
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    monkeypatch.setenv("TINYLLM_STORE", str(path))
    return Store(path)


def check(table, store, count):
    assert table["answer"] == [f"Number {n}" for n in range(count)]
    assert len(store) == count
    assert store.check() == []


def test_processes_write_one_store_without_loss(shared):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        table = map_rows(LLMCall(None, "Number {{ n }}"), numbers(80), executor=executor)
        again = map_rows(LLMCall(None, "Number {{ n }}"), numbers(80), executor=executor)

    check(table, shared, 80)
    assert again.tally.recorded == 80
    assert sum(t.live for t in session.ledger.totals.values()) == 80


def test_an_executor_of_threads_counts_every_call_once(shared):
    with ThreadPoolExecutor(4) as executor:
        table = map_rows(LLMCall(None, "Number {{ n }}"), numbers(40), executor=executor)

    check(table, shared, 40)
    assert sum(t.live for t in session.ledger.totals.values()) == 40


def test_an_error_comes_home_from_another_process(start, monkeypatch):
    start(*[401] * 4)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        table = map_rows(CALL, numbers(2), executor=executor)

    assert [type(e).__name__ for e in table.errors] == ["AuthError", "AuthError"]


def test_a_budget_holds_for_calls_of_other_processes(start):
    server = start()
    call = LLMCall(None, "Number {{ n }}", model="gpt-4o-mini", max_tokens=10, waiting_time=0.01)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        map_rows(call, [{"n": -1}], executor=executor)
        one = session.ledger.spent
        session.ledger.set_budget(20 * one)
        table = map_rows(call, numbers(60), executor=executor)

    answered = len(table) - len(table.failed)
    assert 0 < answered < 20
    assert {type(e) for e in table.failed.errors} == {errors.BudgetError}
    assert server.n == answered + 1
    assert 0 < one < session.ledger.spent <= 20 * one


def test_a_dask_cluster_of_two_processes_writes_one_store(shared):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 2, "processes": True, "dashboard_address": "127.0.0.1:0"}

    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        table = map_rows(LLMCall(None, "Number {{ n }}"), numbers(80), executor=client)

    check(table, shared, 80)
