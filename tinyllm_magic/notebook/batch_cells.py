"""Cells that ask many times (`--map`, `--compare`, `--grid`): their table, in one output that fills as answers come.

Estimates and progress are put into words here.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ..batch.api import answer_in_batch
from ..batch.estimates import Estimate, Outlook, look_ahead
from ..batch.jobs import count_left
from ..batch.progress import ProgressLine
from ..batch.row_calls import RowPreparer
from ..batch.row_files import names_rows_file
from ..batch.rows import Rows, read_rows
from ..batch.runner import Run
from ..batch.state import Watch
from ..batch.table import Table
from ..batch.tasks import Task, make_crossed_tasks, make_grid_tasks
from ..clients.call import LLMCall
from ..clients.sessions import session
from ..display import output, tables
from ..display.bundle import Bundle
from ..errors import OptionError, TinyLLMError
from ..json_schema import describe_fields
from ..models import pricing
from ..row_results import RunProgress
from ..schemas.schema import Schema
from ..text_format import format_money, format_progress
from . import result_table, score_views
from .options import Options

QUICK = 0.5  # seconds; what is over sooner needs no progress


def answer_many(shell: Any, chosen: Options, call: LLMCall) -> Table | None:
    """The table of a cell with ``--map``, ``--compare`` or ``--grid``; ``None`` for a dry run."""
    tasks, found, axes = _tasks(chosen, call)
    shows_estimate = session.budget.limit is not None and found.count is not None and not chosen.quiet and not chosen.batch
    if chosen.dry_run or shows_estimate:
        estimate = Estimate.of(tasks, RowPreparer(session.settings()), tier=pricing.BATCH if chosen.batch else None)
        tasks = estimate.tasks
        title = "Dry run: nothing was sent" if chosen.dry_run else "What is going to be asked"
        facts = {
            **describe_estimate(estimate),
            **(describe_batch(estimate) if chosen.batch else {}),
            "schema": describe_schema(call.model_params.get("schema")),
        }
        output.show(result_table.preview_bundle(facts, estimate.example, title), shell, about="session")
        if chosen.dry_run:
            return None
    watch = None if chosen.quiet else _watch(shell)
    kind, schema = "map" if chosen.map is not None else "compare", call.model_params.get("schema")
    if chosen.batch:
        return answer_in_batch(tasks, found, watch=watch, schema=schema, axes=axes, expect=chosen.expect)
    run = Run(tasks, found, workers=chosen.workers or 8, watch=watch, kind=kind, schema=schema, axes=axes, expect=chosen.expect)
    return run.answer()


def demand_answers(table: Table) -> None:
    """Raise the first error of a table in which every row failed, with words before its own that say so."""
    first = _find_failure(table)
    if first is None:
        return
    if isinstance(first, TinyLLMError) and len(table) > 1:
        what = "combinations" if table.kind == "compare" else "rows"
        first = copy.copy(first)
        first.args = (f"all {len(table):,} {what} failed; the first:\n{first.message}", *first.args[1:])
    raise first


def _find_failure(table: Table) -> BaseException | None:
    """The error for which the cell of a table fails: the first of ours where every row has failed, else any."""
    if not len(table) or table.stats.failed < len(table):
        return None
    errors = [error for error in table.errors if error is not None]
    return next((error for error in errors if isinstance(error, TinyLLMError)), errors[0])


def _tasks(chosen: Options, call: LLMCall) -> tuple[Iterable[Task], Rows, tuple[str, ...]]:
    """What is to be asked, the rows that it comes from, and the columns that say what each row was asked of."""
    if chosen.map is None:
        if chosen.expect is not None:
            raise OptionError("--expect goes with --map: it names a column of its rows", option="--expect")
        tasks = list(make_grid_tasks(call, models=chosen.compare, grid=chosen.grid, samples=chosen.samples or 1))
        return tasks, Rows(iter(()), len(tasks)), ()
    rows = _rows(call.namespace, chosen.map)
    found = read_rows(rows)
    if chosen.dry_run and found.consumed:
        raise OptionError("an iterator can be read only once: a dry run would use it up", option="--map", hint="Make a list of it first.")
    return make_crossed_tasks(call, found, models=chosen.compare, grid=chosen.grid, samples=chosen.samples or 1)


def _rows(namespace: Mapping[str, Any], expression: str) -> Any:
    """A variable, the path of a file, or the value of the user's own expression; what that assigns stays in it."""
    if expression not in namespace and names_rows_file(expression):
        return expression
    try:
        return eval(expression, dict(namespace))  # noqa: S307  # the user's code over the user's variables
    except (NameError, SyntaxError) as error:
        hint = "ROWS is a variable, a path or an expression: --map df.head(20)"
        raise OptionError(f"--map {expression}: {error}", option="--map", hint=hint) from error


def describe_estimate(estimate: Estimate) -> dict[str, str | None]:
    """An estimate in words, by what each is about; ``None`` where there is nothing to say."""
    asked = "live calls" if estimate.tier is None else "requests for a batch"
    budget, scale = session.budget, estimate.scale
    about = "≈ " if scale > 1 else ""
    share = f" ({estimate.recorded / estimate.rows:.0%})" if estimate.rows else ""
    cost: str | None = "unknown"
    if estimate.cost is not None:
        likely = format_money((estimate.likely or 0.0) * scale, "about ")
        cost = f"{likely}, {format_money(estimate.cost * scale, 'at most ')}" if estimate.cost else None
    return {
        "rows": f"{estimate.rows:,}",
        "recorded: answered without a call": f"{estimate.recorded:,}{share}",
        "duplicate rows": f"{estimate.duplicates:,}" if estimate.duplicates else None,
        "cannot be rendered": f"{estimate.failed:,}, the first: {estimate.first_error}" if estimate.failed else None,
        asked: f"{estimate.live:,}",
        f"prompt tokens of {asked}": f"{about}{int(estimate.tokens * scale):,}" if estimate.live else None,
        f"cost of {asked}": cost,
        "warning": estimate.warning,
        "budget": f"{format_money(budget.limit)}, {format_money(budget.spent)} spent" if budget.limit is not None else None,
    }


def describe_batch(estimate: Estimate) -> dict[str, str | None]:
    """What of an estimate is about a batch: how many requests are under way in one already."""
    left = count_left(session.store(session.settings()), estimate.seen)
    return {"of these under way already": f"{left:,}" if left else None}


def describe_schema(schema: Schema | None) -> str | None:
    """What each answer has to be, field by field; ``None`` where nothing is said of it."""
    return None if schema is None else ", ".join(f"{name}: {words}" for name, words in describe_fields(schema.json).items())


def describe_outlook(outlook: Outlook) -> str:
    """What a long run is going to ask, in a line."""
    about = "" if outlook.is_exact else "≈ "
    words = [f"{outlook.rows:,} rows"]
    words += [f"{about}{outlook.recorded:.0%} recorded"] if outlook.recorded else []
    words += [f"{about}{outlook.live:,} to be asked"]
    words += [f"≈ {outlook.tokens:,} prompt tokens"] if outlook.tokens is not None else []
    words += [format_money(outlook.cost, "at most ")] if outlook.cost else []
    return " · ".join(words)


class NotebookProgress:
    """One output of a notebook, which shows how far a map has come, and at its end the table."""

    def __init__(self, *, ends_with_table: bool) -> None:
        self._ends_with_table = ends_with_table
        self._handle: Any = None
        self._outlook = ""

    def look_ahead(self, tasks: Iterable[Task], count: int | None, preparer: RowPreparer) -> Iterable[Task]:
        """Show what is going to be asked, where that is much; the same tasks come back."""
        outlook, tasks = look_ahead(tasks, count, preparer)
        self._outlook = "" if outlook is None else describe_outlook(outlook)
        if self._outlook and self._ends_with_table:
            self._progress(RunProgress(count))
        return tasks

    def __call__(self, table: Table) -> None:
        """Show a state on the way; what is over at once shows no more than its end."""
        if table.kind == "compare" and self._ends_with_table:
            self._put(result_table.compared_bundle(table), result_table.table_metadata(table))
        elif table.progress.seconds > QUICK:
            self._progress(table.progress)

    def tell(self, message: str, done: int, total: int) -> None:
        """Show a step of leaving rows with a batch service, or of fetching them."""
        self._put(tables.bundle_progress(message, done, total), {"version": 1, "about": "progress"})

    def close(self, table: Table) -> None:
        """Show the end: the table where it belongs to the cell, else the line that sums it up."""
        if self._ends_with_table:
            self._put(*bundle_table(table, _find_failure(table)))
        elif self._handle is not None:
            self._progress(table.progress)

    def _progress(self, progress: RunProgress) -> None:
        self._put(result_table.run_progress_bundle(progress, self._outlook), {"version": 1, "about": "progress"})

    def _put(self, data: Bundle, facts: dict[str, Any]) -> None:
        self._handle = output.show_or_update(self._handle, data, {output.NAMESPACE: facts})


class TerminalProgress(ProgressLine):
    """The same in a terminal: one line, and the table as text where it belongs to the cell."""

    def __init__(self, *, ends_with_table: bool) -> None:
        super().__init__(sys.stdout if ends_with_table else None)
        self._ends_with_table = ends_with_table

    def look_ahead(self, tasks: Iterable[Task], count: int | None, preparer: RowPreparer) -> Iterable[Task]:
        """Write what is going to be asked, where that is much; the same tasks come back."""
        outlook, tasks = look_ahead(tasks, count, preparer)
        if outlook is not None:
            (self._out or sys.stderr).write(f"{describe_outlook(outlook)}\n")
        return tasks

    def __call__(self, table: Table) -> None:
        """Show a state on the way."""
        if table.progress.seconds > QUICK:
            super().__call__(table)

    def tell(self, message: str, done: int, total: int) -> None:
        """Write a step of leaving rows with a batch service, or of fetching them."""
        (self._out or sys.stderr).write(f"{format_progress(message, done, total)}\n")

    def close(self, table: Table) -> None:
        """Write the end."""
        if table.progress.seconds > QUICK:
            super().close(table)
        if self._ends_with_table:
            output.write(bundle_table(table, _find_failure(table))[0]["text/plain"] + "\n")


def _watch(shell: Any, *, ends_with_table: bool = True) -> Watch:
    return (TerminalProgress if output.is_terminal(shell) else NotebookProgress)(ends_with_table=ends_with_table)


def watcher(shell: Any) -> Watch:
    """What ``map_rows`` in a cell's Python code shows while it works; its value shows itself."""
    return _watch(shell, ends_with_table=False)


def bundle_table(table: Table, told: BaseException | None = None) -> tuple[Bundle, dict[str, Any]]:
    """How a table shows itself: data, and the facts for its metadata; without the words of ``told``, with which its cell ends."""
    describe = result_table.comparison_metadata if table.kind == "compare" else result_table.table_metadata
    facts, scores = describe(table), score_views.expected_facts(table)
    scored = score_views.join_parts(score_views.expected_parts(table))
    return result_table.rows_bundle(table, told, scored), {**facts, **({"scores": scores} if scores and "table" in facts else {})}
