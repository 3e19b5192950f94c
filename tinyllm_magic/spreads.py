"""A cell's options in, a table of many answers out, shown in one output that fills as they come.

Knows which of a cell's options spread it over rows, models and parameters, and what is shown before, on the way and at the end.
Does not know how rows are answered or estimated, how a table is drawn, or how a line is parsed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from . import display, grids
from .batch import Run, Watch
from .call import LLMCall, Planner
from .errors import OptionError
from .estimates import Estimate, outlook
from .options import Options
from .rows import Rows, read_rows
from .sessions import session
from .tables import Table, Tally
from .tasks import Task, combinations, row_tasks
from .ticker import Ticker

QUICK = 0.5  # seconds; what is over sooner needs no progress


def spread(shell: Any, chosen: Options, call: LLMCall) -> Table | None:
    """The table of a cell with ``--map``, ``--compare`` or ``--grid``; ``None`` for a dry run."""
    tasks, found = _tasks(shell, chosen, call)
    if chosen.dry_run or (session.ledger.budget is not None and found.count is not None and not chosen.quiet):
        estimate = Estimate.of(tasks, Planner(session.settings()))
        tasks = estimate.tasks
        title = "Dry run: nothing was sent" if chosen.dry_run else "What is going to be asked"
        display.show(grids.preview_bundle(estimate.facts, estimate.example, title), shell, about="session")
        if chosen.dry_run:
            return None
    watch = None if chosen.quiet else _watch(shell)
    kind = "map" if chosen.map is not None else "compare"
    return Run(tasks, found.count, workers=chosen.workers or 8, watch=watch, kind=kind, index=found.index, held=found.held).table()


def _tasks(shell: Any, chosen: Options, call: LLMCall) -> tuple[Iterable[Task], Rows]:
    """What is to be asked, and the rows that it comes from."""
    if chosen.map is None:
        tasks = list(combinations(call, models=chosen.compare, grid=chosen.grid, samples=chosen.samples or 1))
        return tasks, Rows(iter(()), len(tasks))
    if chosen.compare is not None or chosen.grid or chosen.samples is not None:
        raise OptionError("--map goes with one model and one set of parameters", option="--map", hint="Map the one after the other.")
    rows = _rows(shell, chosen.map)
    if chosen.dry_run and isinstance(rows, Iterator):
        raise OptionError("an iterator can be read only once: a dry run would use it up", option="--map", hint="Make a list of it first.")
    found = read_rows(rows)
    return row_tasks(call, found), found


def _rows(shell: Any, expression: str) -> Any:
    """The value of the user's own expression, as the notebook would give it."""
    try:
        return eval(expression, shell.user_global_ns, shell.user_ns)  # noqa: S307  # the user's code in the user's namespace
    except (NameError, SyntaxError) as error:
        hint = "ROWS is a variable or an expression: --map df.head(20)"
        raise OptionError(f"--map {expression}: {error}", option="--map", hint=hint) from error


class Screen:
    """One output of a notebook, which shows how far a map has come, and at its end the table."""

    def __init__(self, *, ends_with_table: bool) -> None:
        self._ends_with_table = ends_with_table
        self._handle: Any = None
        self._outlook = ""

    def look_ahead(self, tasks: Iterable[Task], count: int | None, planner: Planner) -> Iterable[Task]:
        """Show what is going to be asked, where that is much; the same tasks come back."""
        self._outlook, tasks = outlook(tasks, count, planner)
        if self._outlook and self._ends_with_table:
            self._progress(Tally(count))
        return tasks

    def __call__(self, table: Table) -> None:
        """Show a state on the way; what is over at once shows no more than its end."""
        if table.kind == "compare" and self._ends_with_table:
            self._put(grids.compared_bundle(table), grids.facts_of(table))
        elif table.tally.seconds > QUICK:
            self._progress(table.tally)

    def close(self, table: Table) -> None:
        """Show the end: the table where it belongs to the cell, else the line that sums it up."""
        if self._ends_with_table:
            self._put(*table_bundle(table))
        elif self._handle is not None:
            self._progress(table.tally)

    def _progress(self, tally: Tally) -> None:
        self._put(grids.tally_bundle(tally, self._outlook), {"version": 1, "about": "progress"})

    def _put(self, data: display.Bundle, facts: dict[str, Any]) -> None:
        self._handle = display.put(self._handle, data, {display.NAMESPACE: facts})


class Written(Ticker):
    """The same in a terminal: one line, and the table as text where it belongs to the cell."""

    def __init__(self, *, ends_with_table: bool) -> None:
        super().__init__(sys.stdout if ends_with_table else None)
        self._ends_with_table = ends_with_table

    def look_ahead(self, tasks: Iterable[Task], count: int | None, planner: Planner) -> Iterable[Task]:
        """Write what is going to be asked, where that is much; the same tasks come back."""
        line, tasks = outlook(tasks, count, planner)
        if line:
            (self._out or sys.stderr).write(f"{line}\n")
        return tasks

    def __call__(self, table: Table) -> None:
        """Show a state on the way."""
        if table.tally.seconds > QUICK:
            super().__call__(table)

    def close(self, table: Table) -> None:
        """Write the end."""
        if table.tally.seconds > QUICK:
            super().close(table)
        if self._ends_with_table:
            display.write(grids.rows_bundle(table)["text/plain"] + "\n")


def _watch(shell: Any, *, ends_with_table: bool = True) -> Watch:
    return (Written if display.is_terminal(shell) else Screen)(ends_with_table=ends_with_table)


def watcher(shell: Any) -> Watch:
    """What ``map_rows`` in a cell's Python code shows while it works; its value shows itself."""
    return _watch(shell, ends_with_table=False)


def table_bundle(table: Table) -> tuple[display.Bundle, dict[str, Any]]:
    """How a table shows itself: data, and the facts for its metadata."""
    return grids.rows_bundle(table), grids.answers_of(table) if table.kind == "compare" else grids.facts_of(table)
