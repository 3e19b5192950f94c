"""What a map is going to take, before anything is sent."""

import pytest

from tinyllm_magic import LLMCall, map_rows, override, session
from tinyllm_magic.batch.estimates import look_ahead
from tinyllm_magic.batch.row_calls import RowPreparer
from tinyllm_magic.batch.rows import Rows, read_rows
from tinyllm_magic.batch.runner import Run
from tinyllm_magic.batch.tasks import make_row_tasks
from tinyllm_magic.notebook import batch_cells

CALL = LLMCall(None, "Say {{ w }}")


def test_rows_are_rendered_once_though_an_outlook_is_given(scripted):
    class Looks:
        def look_ahead(self, tasks, count, preparer):
            ahead, tasks = look_ahead(tasks, count, preparer)
            assert ahead.live == 30
            return tasks

        def __call__(self, table):
            """Nothing to show."""

    table = map_rows(LLMCall(None, "Say {{ w|join }}"), [{"w": iter(f"{n}ab")} for n in range(30)], progress=Looks())

    assert table["answer"] == [f"<Say {n}ab>" for n in range(30)]


class _Breaks(list):
    def __iter__(self):
        yield from super().__iter__()
        raise OSError("the file has ended")


def test_rows_that_break_off_under_an_outlook_keep_the_answers_before(scripted):
    class Looks:
        def look_ahead(self, tasks, count, preparer):
            return look_ahead(tasks, count, preparer)[1]

        def __call__(self, table):
            """Nothing to show."""

    rows = Rows(iter(_Breaks({"w": n} for n in range(100))), 120)
    with pytest.raises(OSError, match="the file has ended"):
        Run(make_row_tasks(CALL, rows), rows, watch=Looks()).answer()

    assert len(session.last_table) == 100
    assert session.last_table.stats.calls == 100


def test_an_outlook_of_many_rows_reads_the_first_and_leaves_all():
    call = LLMCall(None, "Say {{ n }}", model="gpt-4o-mini", max_tokens=10)
    read = []
    with override(api_type="openai"):
        ahead, tasks = look_ahead(make_row_tasks(call, read_rows([{"n": n} for n in range(5000)])), 5000, RowPreparer(session.settings()))
        read = [task.row["n"] for task in tasks]

    assert (ahead.rows, ahead.live, ahead.tokens, ahead.recorded, ahead.is_exact) == (5000, 5000, 50_000, 0, False)
    assert ahead.cost > 0
    assert batch_cells.describe_outlook(ahead).startswith("5,000 rows · ≈ 5,000 to be asked · ≈ 50,000 prompt tokens · at most $")
    assert read == list(range(5000))


def test_rows_that_nobody_has_counted_are_not_read_ahead():
    taken = []
    rows = read_rows({"w": taken.append(n) or n} for n in range(100))

    ahead, tasks = look_ahead(make_row_tasks(CALL, rows), rows.count, RowPreparer(session.settings()))

    assert (ahead, taken) == (None, [])
    assert len(list(tasks)) == 100
