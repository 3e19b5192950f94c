"""`%%llm --map … --batch` and `%llm_batch` in a real shell, against a batch service over HTTP."""

import re
from pathlib import Path

import pytest
from batchserver import BatchServer
from fakeserver import Turn

from tinyllm_magic import errors, session
from tinyllm_magic.notebook.completions import complete

CELL = "%%llm --map rows --batch -o said -m gpt-4o-mini --max-tokens 10{}\nSay {{{{ n }}}}"


@pytest.fixture
def service(monkeypatch):
    """A batch service at an address beyond this machine, so that its models have a price."""
    with BatchServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.example/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        monkeypatch.setenv("TINYLLM_MAX_ATTEMPTS", "1")
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, running.root)
        yield running


@pytest.fixture
def run(run):
    run("rows = [{'n': n, 'label': f'Say {n}'} for n in range(3)]")
    return run


def cell(options=""):
    return CELL.format(options)


def say(body):
    return body["messages"][-1]["content"]


def test_a_cell_ends_with_what_it_waits_for_and_shows_its_table_when_it_is_there(run, shell, service):
    first = run(cell())

    assert isinstance(first.error, errors.BatchPending)
    assert first.error._render_traceback_()[0].startswith("BatchPending: 3 requests wait for batch_1 (being checked by the vendor")
    assert "`%llm_batch` shows how far" in first.error._render_traceback_()[1]
    assert first.text == "left 3 requests as batch_1"
    assert "said" not in shell.user_ns
    assert len([shown for shown in first.outputs if not shown.update]) == 1

    again = run(cell())
    assert isinstance(again.error, errors.BatchPending)
    assert again.outputs == []  # nothing was left and nothing fetched

    service.finish(say)
    done = run(cell())

    assert done.error is None
    assert len([shown for shown in done.outputs if not shown.update]) == 1
    assert "Say 2" in done.html
    assert "3 rows" in done.text
    assert shell.user_ns["said"]["answer"] == ["Say 0", "Say 1", "Say 2"]
    assert "batch_1" not in done.text


def test_a_cell_with_some_answers_hands_them_over_and_still_waits(run, shell, service):
    service.add(Turn(echo=True))
    run("%%llm --map rows[:1] -m gpt-4o-mini --max-tokens 10\nSay {{ n }}")

    done = run(cell())

    assert isinstance(done.error, errors.BatchPending)
    assert shell.user_ns["said"]["answer"] == ["Say 0", None, None]
    assert "Say 0" not in done.text


def test_the_answers_of_a_batch_are_scored(run, service):
    pytest.importorskip("statsmodels")
    run(cell(" --expect label"))
    service.finish(say)

    assert "accuracy 100.0 %" in run(cell(" --expect label")).text


def test_a_cell_whose_rows_all_failed_fails_with_the_first_error(run, service):
    run(cell())
    service.finish(lambda _: 400)

    done = run(cell())

    assert isinstance(done.error, errors.InvalidRequestError)
    assert "all 3 rows failed" in str(done.error)


def test_a_quiet_cell_shows_nothing_and_still_waits(run, service):
    done = run(cell(" -q"))

    assert isinstance(done.error, errors.BatchPending)
    assert done.outputs == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%%llm --batch\nSay tea", "--batch goes with --map"),
        ("%%llm --batch --compare a,b\nSay tea", "--batch goes with --map"),
        ("%%llm --map rows --batch --workers 3\nSay {{ n }}", "a batch has none"),
        ("%%llm --map rows --batch --mode off\nSay {{ n }}", "mode off records nothing"),
        ("%%llm --map rows --batch -m tiny --mode replay\nSay {{ n }}", "all 3 rows failed"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_sent(run, service, line, words):
    assert words in str(run(line).error)
    assert service.calls == []


def test_a_dry_run_tells_the_price_of_a_batch_and_what_is_under_way(run, service):
    def cost(text):
        return float(next(line for line in text.splitlines() if line.startswith("cost")).split("at most $")[1])

    live = run("%%llm --map rows --dry-run -m gpt-4o-mini --max-tokens 10\nSay {{ n }}").text
    batch = run(cell(" --dry-run")).text

    assert cost(batch) == pytest.approx(cost(live) / 2, rel=0.2)  # as many digits as are shown
    assert "requests for a batch" in batch
    assert service.calls == []
    run(cell())
    assert re.search(r"of these under way already +3\b", run(cell(" --dry-run")).text)


def test_a_budget_refuses_what_is_left(run, service):
    run("%llm_usage --budget 0.000001")

    done = run(cell())

    assert isinstance(done.error, errors.BudgetError)
    assert service.calls == []


def test_usage_counts_a_batch_when_it_is_fetched_at_half_the_price(run, service):
    run(cell())
    service.finish(lambda _: Turn(usage={"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}))
    run(cell())

    assert "spent ≈ $0.2250" in run("%llm_usage").text  # of three million tokens at $0.15


def test_batches_are_listed_fetched_and_cancelled_without_their_cells(run, shell, service):
    assert "No batches" in run("%llm_batch").text
    run(cell())
    service.batches["batch_1"] |= {"status": "in_progress", "request_counts": {"total": 3, "completed": 2, "failed": 0}}
    listed = run("%llm_batch").text
    assert "batch_1" in listed
    assert "in progress" in listed
    assert "nothing has ended since" in run("%llm_batch fetch").text
    service.finish(say)

    fetched = run("%llm_batch fetch").text

    assert "fetched 3 answers" in fetched
    assert "batch_1" in run("%llm_batch list").text
    done = run(cell())
    assert done.error is None
    assert shell.user_ns["said"]["source"] == ["recorded"] * 3
    assert len(service.batches) == 1


def test_a_cancelled_batch_gives_what_it_had_answered_and_the_rest_is_left_anew(run, service):
    run(cell())
    assert "cancelled: batch_1" in run("%llm_batch cancel").text
    service.finish(say, status="cancelled", answered=1)

    done = run(cell())

    assert done.error is None
    assert "2 failed" in done.text
    assert isinstance(run(cell()).error, errors.BatchPending)
    assert [say(line["body"]) for line in service.asked][3:] == ["Say 1", "Say 2"]


@pytest.mark.parametrize("gone", ["batch", "answers"])
def test_a_batch_that_is_gone_at_the_vendor_is_forgotten_when_it_is_cancelled(run, service, gone):
    run(cell())
    if gone == "answers":
        service.finish(say)
        service.files.pop(service.batches["batch_1"]["output_file_id"])
    else:
        service.batches.clear()
    done = run(cell())
    assert isinstance(done.error, errors.NotFoundError)
    assert "batch_1 is not there" in str(done.error)
    assert "`%llm_batch cancel batch_1` forgets it" in done.error.hint

    assert "gone at the vendor" in run("%llm_batch cancel batch_1").text

    assert isinstance(run(cell()).error, errors.BatchPending)
    assert len(service.asked) == (6 if gone == "answers" else 3)


def test_one_of_several_batches_is_cancelled_by_its_name(run, service):
    run(cell())
    run(cell(" --temperature 0"))
    assert "cancel all" in str(run("%llm_batch cancel").error)
    assert "Did you mean 'batch_2'" in str(run("%llm_batch cancel batch2").error)

    run("%llm_batch cancel batch_2")

    assert [batch["status"] for batch in service.batches.values()] == ["validating", "cancelling"]
    assert complete("%llm_batch cancel ", {})[1].keys() == {"batch_1", "batch_2", "all"}


def test_a_batch_whose_service_cannot_be_asked_is_listed_as_last_known(run, service, monkeypatch):
    run(cell())
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.example/v1")

    text = run("%llm_batch").text

    assert "as last known" in text
    assert "leads to openai:http://elsewhere.example/v1 now" in " ".join(text.split())


def test_strict_replay_lists_what_was_known_and_asks_nobody(run, service):
    run(cell())
    service.calls.clear()
    with session.override(mode="replay"):
        assert "as it was last known" in run("%llm_batch").text
        assert "strict replay asks nobody" in str(run("%llm_batch fetch").error)
    assert service.calls == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%llm_batch lst", "Did you mean 'list'?"),
        ("%llm_batch fetch all", "takes no argument"),
        ("%llm_batch cancel a b", "takes [BATCH|all]"),
        ("%llm_batch cancel batch_9", "no batch 'batch_9' is under way"),
    ],
)
def test_a_slip_in_a_word_is_told(run, line, words):
    assert words in str(run(line).error)


def test_an_interrupt_while_a_batch_is_left_loses_nothing(run, service, monkeypatch):
    from tinyllm_magic.providers.batch_service import BatchService

    with monkeypatch.context() as patch:
        patch.setattr(BatchService, "create", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        done = run(cell())
    assert isinstance(done.error, errors.Stopped)

    run(cell())

    assert service.count("POST /files") == 1
    assert len(service.batches) == 1
    assert Path("session.batches.json").exists()
