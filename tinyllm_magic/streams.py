"""A plan and a view in, a response out, shown while it grows; or several draws of one question, side by side.

Knows how an answer is watched: streamed, stopped, failed, finished.
Does not know options, templates, magics, stores or HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import display
from .answers import Folder, Response
from .clients import OpenAIClient
from .display import Card
from .errors import ProviderError, ReplayMiss, Stopped, TinyLLMError
from .plans import Plan
from .sessions import session


def watched(view: display.View, client: OpenAIClient, plan: Plan, look: Mapping[str, Any]) -> Response:
    """The response of a plan, shown while it grows; ``look`` holds fields of its card."""
    card = waiting(plan, look)
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
        view.finish(failed(error, plan, look, folder.text))
        raise
    except BaseException:
        view.finish(replace(card, text=folder.text, state="stopped"))
        raise
    if last is None or last.record is None:
        raise RuntimeError("the stream ended without a record")
    response = Response(plan.request, last.record, last.source)
    view.finish(Card.of(response, notes=(*plan.notes, *response.notes), **look))
    return response


def waiting(plan: Plan, look: Mapping[str, Any]) -> Card:
    """The card of a plan before anything has arrived."""
    return Card(state="streaming", model=plan.request.model, notes=plan.notes, **look)


def failed(error: TinyLLMError, plan: Plan, look: Mapping[str, Any], text: str = "") -> Card:
    """The card of a plan that failed, with the text that had arrived."""
    return Card.failed(error, text=text, model=plan.request.model, notes=plan.notes, **look)


def draws(plan: Plan, count: int) -> list[Plan]:
    """The plans of samples 0 to ``count`` - 1 of one question."""
    return [replace(plan, request=plan.request.with_sample(k)) for k in range(count)]


def drawn(views: display.Grid | display.Column, client: OpenAIClient, plans: Sequence[Plan], look: Mapping[str, Any]) -> list[Response]:
    """The responses of all draws, in order; those that are recorded are not asked again.

    A draw that fails leaves the others to be made. Then raises the first error, which says
    what failed. After an error that asking again cannot mend, only recorded draws follow.
    """
    responses: list[Response] = []
    errors: dict[int, TinyLLMError] = {}
    hopeless: TinyLLMError | None = None
    try:
        for number, plan in enumerate(plans):
            titled = {**look, "title": f"sample {number}"}
            if hopeless is not None and not session.is_recorded(plan):
                errors[number] = hopeless
                views.at(number).finish(failed(hopeless, plan, titled))
                continue
            try:
                responses.append(watched(views.at(number), client, plan, titled))
            except TinyLLMError as error:
                errors[number] = error
                hopeless = None if _may_pass(error) else error
    finally:
        views.close()
    if errors:
        raise _told(errors, plans)
    return responses


def _may_pass(error: TinyLLMError) -> bool:
    """Whether the same question can be answered at another draw."""
    return isinstance(error, ReplayMiss) or (isinstance(error, ProviderError) and error.retryable)


def _told(errors: Mapping[int, TinyLLMError], plans: Sequence[Plan]) -> TinyLLMError:
    """The first error, with words before its own that say which draws failed and what became of the others."""
    numbers = [str(n) for n in errors]
    which = f"sample {numbers[0]}" if len(errors) == 1 else f"samples {', '.join(numbers[:-1])} and {numbers[-1]}"
    others = len(plans) - len(errors)
    kept = "answered" if str(plans[0].mode) == "off" else "recorded"
    first = next(iter(errors.values()))
    rest = f"; the other {others} {'is' if others == 1 else 'are'} {kept}" if others else ""
    first.args = (f"{which} of {len(plans)} failed{rest}\n{first.message}",)
    return first
