"""A cell's options and text in, a shown answer and a value in the namespace out.

Knows how one cell is answered: prepared, shown once or in several samples, assigned.
Does not know how magics are registered, how a line is parsed, stores, vendors or HTML.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from typing import Any

from . import display, recalls, spreads
from .answers import Response
from .call import LLMCall
from .clients import OpenAIClient
from .errors import Stopped, TinyLLMError
from .options import Options
from .plans import Plan
from .sessions import session
from .streams import drawn, draws, waiting, watched
from .tables import Table


def ask(shell: Any, chosen: Options, text: str) -> Response | list[Response] | Table | None:
    """Answer one cell: show it, assign it, and return the response, a list of samples, or ``None`` for a dry run."""
    call = make_call(shell, chosen, text)
    if chosen.spreads:
        return spread(shell, chosen, call)
    client, plan = call.prepare()
    session.last_plan, session.last_question = plan, recalls.asked(call, call.messages, samples=chosen.samples or 1)
    if chosen.dry_run:
        show_plan(shell, plan, chosen.samples)
        return None
    value = one(shell, chosen, call, client, plan) if chosen.samples is None else several(shell, chosen, call, client, plan)
    assign(shell, chosen, value)
    return value


def spread(shell: Any, chosen: Options, call: LLMCall) -> Table | None:
    """The table of a cell that asks many times; an interrupt leaves what is finished where all would have been."""
    try:
        table = spreads.spread(shell, chosen, call)
    except Stopped as stop:
        remember(chosen, call, stop.table)
        assign(shell, chosen, stop.table)
        raise
    remember(chosen, call, table)
    if table is not None:
        assign(shell, chosen, table)
    return table


def remember(chosen: Options, call: LLMCall, table: Table | None) -> None:
    """Keep what a comparison asked, and which of its combinations are recorded; a map asks too many questions to keep one."""
    if chosen.map is None:
        with suppress(TinyLLMError):  # the table shows it
            question = recalls.compared(call, chosen.grid, chosen.compare, table, samples=chosen.samples or 1)
            session.last_plan, session.last_question = recalls.planned(question, session.settings()), question


def one(shell: Any, chosen: Options, call: LLMCall, client: OpenAIClient, plan: Plan) -> Response:
    """The one answer of a cell, shown while it grows."""
    view = display.view_for(shell, stream=chosen.stream, quiet=chosen.quiet)
    response = replace(watched(view, client, plan, look_of(chosen, plan)), call=call)
    call.finish(response)
    return response


def several(shell: Any, chosen: Options, call: LLMCall, client: OpenAIClient, plan: Plan) -> list[Response]:
    """The samples of a cell, side by side; the call of each asks for that very sample again."""
    plans, look = draws(plan, chosen.samples or 1), look_of(chosen, plan)
    cards = [waiting(p, {**look, "title": f"sample {number}"}) for number, p in enumerate(plans)]
    views = display.views_for(shell, cards, stream=chosen.stream, quiet=chosen.quiet)
    responses = []
    for number, response in enumerate(drawn(views, client, plans, look)):
        own = copy.copy(call)
        own.model_params = {**call.model_params, "sample": number}
        responses.append(replace(response, call=own))
        own.finish(responses[-1])
    return responses


def look_of(chosen: Options, plan: Plan) -> dict[str, Any]:
    """Fields of a cell's card that its options choose."""
    return {"format": chosen.format, "prompt": plan.request.messages if chosen.show_prompt else ()}


def make_call(shell: Any, chosen: Options, text: str) -> LLMCall:
    """The call that a cell stands for, over the notebook's variables."""
    return LLMCall.from_text(
        text,
        system=chosen.system,
        template=chosen.template,
        namespace=shell.user_ns,
        **chosen.params,
        **{k: v for k, v in (("model", chosen.model), ("mode", chosen.mode)) if v is not None},
    )


def assign(shell: Any, chosen: Options, value: Any) -> None:
    """Put a cell's result where it was asked for, and into ``_llm``."""
    shell.user_ns["_llm"] = value
    if chosen.out:
        shell.user_ns[chosen.out] = value


def show_plan(shell: Any, plan: Plan, samples: int | None = None) -> None:
    """What --dry-run shows."""
    facts = session.preview(plan)
    if samples is not None:
        known = sum(session.is_recorded(p) for p in draws(plan, samples))
        facts["notes"] = (*facts["notes"], f"{samples} samples, {known} of them recorded; tokens and cost are those of one")
    display.show(display.dry_run_bundle(plan.request.messages, facts.pop("tokens"), **facts), shell, about="preview")
