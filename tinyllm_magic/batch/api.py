"""The public functions for many rows or combinations: ``map_rows`` and ``compare``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..clients.call import LLMCall
from .job_rows import BatchAnswers, EndWatch
from .rows import Rows, read_rows
from .runner import Run, resolve_watch
from .state import Watch
from .table import Table
from .tasks import Task, demand_call, make_crossed_tasks, make_grid_tasks


def map_rows(
    call: LLMCall,
    rows: Any,
    *,
    models: Iterable[str] | None = None,
    grid: Mapping[str, Iterable[Any]] | None = None,
    samples: int = 1,
    expect: str | None = None,
    workers: int = 8,
    mode: str | None = None,
    on_error: str = "keep",
    executor: Any = None,
    progress: bool | Watch | None = None,
    batch: bool = False,
) -> Table:
    """Ask once for each row; the row's columns are variables of the prompt beside the call's own.

    ``rows`` is anything tabular: a list of dicts, dataclasses, named tuples or pydantic models, an iterator
    of them, a dict of columns, a pandas, polars, Arrow, DuckDB or Hugging Face table, a database cursor, the
    path of a CSV, TSV, JSONL or Parquet file, or an earlier table, whose ``answer`` is a column; its
    ``failed`` asks again. ``{{ row }}`` is the whole row, where nothing else has that name, and
    ``{{ row["Review Text"] }}`` a column whose name is no variable's. ``workers``
    calls are made at a time at most (MAX_CONCURRENT_MODEL_CALLS holds too), ``mode`` is the recording
    mode. A row that fails is kept with its error; ``on_error="raise"`` stops at the first and raises
    it. Where the call has a ``schema``, each field of the checked values is a typed column, and a row that does not fit
    keeps its text and its error. ``models``, ``grid`` (each parameter's values) and ``samples`` ask each row several
    times: of all models with all combinations, as columns beside the row's own, which ``table.against()`` compares.
    ``expect`` is the column of the right answers, which ``table.score()`` counts. An interrupt raises ``Stopped``, whose
    ``table`` (also ``session.last_table``) keeps what is finished; the same map goes on where it stopped. ``executor``
    is a ``concurrent.futures`` executor or a ``dask.distributed.Client`` that makes the calls instead of threads. ``progress`` is a
    function that is told of the growing table, ``True`` for a line on standard error, ``False`` for nothing. With ``batch`` the
    rows are left with the vendor's batch service, at half the price: ``BatchPending`` is raised until they are answered, and
    the same call again, in whichever process, fetches what is done.
    Raises ``OptionError`` and ``ConfigError`` where the call itself is wrong, ``UndefinedError`` where its
    template names what no row has.
    """
    demand_call(call)
    found = read_rows(rows)
    asked = call if mode is None else call.with_params(mode=mode)
    tasks, found, axes = make_crossed_tasks(asked, found, models=models, grid=grid, samples=samples)
    watch, schema = resolve_watch(progress), call.model_params.get("schema")
    if batch:
        return answer_in_batch(tasks, found, watch=watch, on_error=on_error, schema=schema, axes=axes, expect=expect)
    run = Run(
        tasks,
        found,
        workers=workers,
        on_error=on_error,
        executor=executor,
        watch=watch,
        schema=schema,
        axes=axes,
        expect=expect,
    )
    return run.answer()


def answer_in_batch(tasks: Iterable[Task], rows: Rows, *, watch: Watch | None = None, **options: Any) -> Table:
    """The table of rows whose answers come through batch services; ``options`` as of ``Run``.

    A ``tell`` of the watch is told how far leaving and fetching have come. Raises ``BatchPending`` until all rows are answered;
    strict replay asks no service.
    """
    answers = BatchAnswers(tasks, getattr(watch, "tell", None))
    rows = replace(rows, count=len(answers))
    answers.collect()
    if answers.is_pending and not answers.has_answers:
        answers.demand_all(None)
    pool = None if answers.replays else answers
    shown = None if watch is None or answers.is_pending else EndWatch(watch)
    table = Run(answers.mark(), rows, watch=shown, pool=pool, **options).answer()
    answers.demand_all(table)
    return table


def compare(
    call: LLMCall,
    *,
    models: Iterable[str] | None = None,
    grid: Mapping[str, Iterable[Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    samples: int = 1,
    workers: int = 8,
    mode: str | None = None,
    progress: bool | Watch | None = None,
) -> Table:
    """Ask one prompt of every model with every combination of parameters, ``samples`` times each.

    ``grid`` gives each parameter's values: ``{"temperature": [0, 1]}``. The table's columns are
    ``model``, one for each parameter, ``sample`` where there are several, then the results.
    """
    tasks = list(make_grid_tasks(call, models=models, grid=grid, variables=variables, samples=samples, mode=mode))
    return Run(tasks, Rows(iter(()), len(tasks)), workers=workers, watch=resolve_watch(progress), kind="compare").answer()
