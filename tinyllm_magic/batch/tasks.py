"""Turns a call with rows, or with models and parameters, into tasks, one for each answer wanted."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..clients.call import LLMCall
from ..clients.prepared import PreparedCall
from ..clients.sessions import session
from ..errors import OptionError, TinyLLMError, UndefinedError
from .row_calls import RowCall, RowPreparer
from .rows import RowDict, Rows, explain_missing


@dataclass(frozen=True)
class Task:
    """One row to be answered: what the table shows of it, and the call with its variables."""

    row: Mapping[str, Any]
    call: LLMCall
    variables: Mapping[str, Any]
    ready: PreparedCall | TinyLLMError | None = None
    """What preparing it came to, where somebody has looked at it before: a prompt is rendered once."""


def make_row_tasks(call: LLMCall, rows: Rows) -> Iterator[Task]:
    """The tasks of ``map_rows``; raises ``PromptError`` for a template that can be rendered for no row."""
    call.templates()
    return (Task(row, call, _add_row(call, row)) for row in rows.items)


def make_crossed_tasks(
    call: LLMCall,
    rows: Rows,
    *,
    models: Iterable[str] | None = None,
    grid: Mapping[str, Iterable[Any]] | None = None,
    samples: int = 1,
) -> tuple[Iterator[Task], Rows, tuple[str, ...]]:
    """The tasks of rows that are each asked of several models, parameters or samples, these rows, and the columns that say which.

    A column of a row that has the name of such a column is kept as ``row_NAME``. Raises ``OptionError`` where there is nothing to compare.
    """
    if models is None and not grid and samples == 1:
        return make_row_tasks(call, rows), rows, ()
    call.templates()
    combinations = list(make_grid_tasks(call, models=models, grid=grid, samples=samples))
    named = models is not None or "model" in (grid or {})
    axes = tuple(name for name in combinations[0].row if named or name != "model")
    count = None if rows.count is None else rows.count * len(combinations)
    index = rows.index.repeat(len(combinations)) if rows.index is not None and hasattr(rows.index, "repeat") else None
    return _cross(rows, combinations, axes), replace(rows, count=count, index=index, in_memory=False), axes


def _cross(rows: Rows, combinations: Iterable[Task], axes: tuple[str, ...]) -> Iterator[Task]:
    for row in rows.items:
        own = {f"row_{name}" if name in axes else name: value for name, value in row.items()}
        for task in combinations:
            yield Task({**{name: task.row[name] for name in axes}, **own}, task.call, _add_row(task.call, row))


def make_grid_tasks(
    call: LLMCall,
    *,
    models: Iterable[str] | None = None,
    grid: Mapping[str, Iterable[Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    samples: int = 1,
    mode: str | None = None,
) -> Iterator[Task]:
    """The tasks of ``compare``; raises ``OptionError`` where there is nothing to compare."""
    demand_call(call)
    demand_count("samples", samples)
    names, axes = _choose_axes(call, models, grid or {})
    if samples > 1 and "sample" in axes:
        raise OptionError("sample is an axis of the grid already", option="sample", hint="Leave out -n (samples=), or the axis.")
    given = {} if mode is None else {"mode": mode}
    for name in names:
        route = session.route(name, session.settings())
        for values in itertools.product(*axes.values()):
            for sample in range(samples):
                chosen = dict(zip(axes, values, strict=True))
                row = {"model": name or route.name or route.model, **chosen, **({"sample": sample} if samples > 1 else {})}
                params = {**given, **chosen, **({"model": name} if name else {}), **({"sample": sample} if samples > 1 else {})}
                yield Task(row, call.with_params(**params), variables or {})


def prepare_task(task: Task, preparer: RowPreparer) -> RowCall:
    """The call of a task; raises what rendering and preparing it raise."""
    ready = task.ready
    if ready is None:
        return preparer.prepare(task.call, task.variables)
    if isinstance(ready, TinyLLMError):
        raise ready
    return RowCall.of(ready)


def _choose_axes(call: LLMCall, models: Iterable[str] | None, grid: Mapping[str, Any]) -> tuple[list[Any], dict[str, list[Any]]]:
    """The models and each parameter's values; a text or a number is one value."""
    axes = {key: list(v) if isinstance(v, Iterable) and not isinstance(v, (str, bytes, Mapping)) else [v] for key, v in grid.items()}
    if models is not None and "model" in axes:
        hint = "Name all models in one place: --compare M1,M2 (models=)."
        raise OptionError("model is an axis of the grid already", option="model", hint=hint)
    own = axes.pop("model", [call.model_params.get("model")])
    names = own if models is None else [models] if isinstance(models, str) else list(models)
    empty = [key for key, choices in {"models": names, **axes}.items() if not choices]
    if empty:
        raise OptionError(f"{empty[0]} has no values to compare", option=empty[0])
    return names, axes


def demand_call(call: Any) -> None:
    """Raise ``OptionError`` (a ``TypeError``) for what is no ``LLMCall``."""
    if not isinstance(call, LLMCall):
        hint = 'Make one of the prompt: LLMCall("You are brief.", "Translate {{ text }}.").'
        raise OptionError(f"the call is an LLMCall, not {type(call).__name__}", option="call", hint=hint)


def demand_count(name: str, value: Any) -> None:
    """Raise ``OptionError`` (a ``TypeError``) for what is no whole number above 0."""
    if not isinstance(value, int) or value < 1:
        raise OptionError(f"{name}={value!r} is not a whole number above 0", option=name)


def explain_missing_column(error: TinyLLMError, task: Task, rows: Rows) -> UndefinedError | None:
    """What to say where a template names what neither a row nor the notebook has; ``None`` where another row may have it."""
    if not isinstance(error, UndefinedError) or rows.columns is None or error.variable in {*rows.columns, *task.call.namespace, "row"}:
        return None
    named = {name for template in task.call.templates() for name in template.variables}
    return explain_missing(error, rows) if error.variable in named else None


def _add_row(call: LLMCall, row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row if "row" in row or "row" in call.namespace else {"row": RowDict(row), **row}
