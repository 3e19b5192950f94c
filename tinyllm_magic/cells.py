"""A cell's options and text in, a shown answer and a value in the namespace out.

Knows how one cell is answered: prepared, streamed into a view, stopped, failed, finished.
Does not know how magics are registered, how a line is parsed, stores, vendors or HTML.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from . import display
from .answers import Folder, Response
from .call import LLMCall
from .clients import OpenAIClient
from .errors import Stopped, TinyLLMError
from .options import Options
from .plans import Plan
from .sessions import session


def ask(shell: Any, chosen: Options, text: str) -> Response | None:
    """Answer one cell: show it, assign it, and return the response (``None`` for a dry run)."""
    call = make_call(shell, chosen, text)
    client, plan = call.prepare()
    session.last_plan = plan
    if chosen.dry_run:
        show_plan(shell, plan)
        return None
    response = replace(watched(shell, client, plan, chosen), call=call)
    call.finish(response)
    assign(shell, chosen, response)
    return response


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


def watched(shell: Any, client: OpenAIClient, plan: Plan, chosen: Options) -> Response:
    """The response of a plan, shown while it grows."""
    view = display.view_for(shell, stream=chosen.stream, quiet=chosen.quiet)
    look: dict[str, Any] = {"format": chosen.format, "prompt": plan.request.messages if chosen.show_prompt else ()}
    card = display.Card(state="streaming", model=plan.request.model, notes=plan.notes, **look)
    folder, last = Folder(), None
    try:
        if not session.is_recorded(plan):
            view.push(card)
        for last in client.stream(plan):
            folder.add(last)
            if last.source == "live" and last.record is None:
                view.push(lambda: replace(card, text=folder.text, reasoning=folder.reasoning))
    except KeyboardInterrupt:
        view.finish(replace(card, text=folder.text, reasoning=folder.reasoning, state="stopped"))
        raise Stopped(folder.text) from None
    except TinyLLMError as error:
        view.finish(display.Card.failed(error, text=folder.text, model=plan.request.model, notes=plan.notes, **look))
        raise
    except BaseException:
        view.finish(replace(card, text=folder.text, state="stopped"))
        raise
    if last is None or last.record is None:
        raise RuntimeError("the stream ended without a record")
    response = Response(plan.request, last.record, last.source)
    view.finish(display.Card.of(response, notes=(*plan.notes, *response.notes), **look))
    return response


def show_plan(shell: Any, plan: Plan) -> None:
    """What --dry-run shows."""
    facts = session.preview(plan)
    display.show(display.dry_run_bundle(plan.request.messages, facts.pop("tokens"), **facts), shell)
