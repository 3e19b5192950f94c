"""Answers one cell: prepares its call, shows the answer while it grows (once or in several samples), and assigns it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..batch.state import state as batch_state
from ..clients.call import LLMCall
from ..clients.chats import NextTurn, note_answer
from ..clients.environment import running_cell
from ..clients.prepared import AnswerStream, PreparedCall
from ..clients.sessions import session
from ..display import views as display_views
from ..display.cards import Card
from ..display.kept_cards import KeptCards
from ..display.steps import describe_steps
from ..errors import OptionError, ProviderError, ReplayMiss, SchemaError, Stopped, TinyLLMError, ToolError
from ..frozen import copy_with
from ..responses import Answer, Record, Response
from ..text_format import name_sample
from . import chat_turns, panel_answers
from .cell_calls import make_call
from .introduction import describe_session
from .options import Options
from .scope import Scope
from .state import state

if TYPE_CHECKING:
    from ..batch.table import Table


def watch_answer(view: display_views.View, prepared: PreparedCall, look: Mapping[str, Any], told: TinyLLMError | None = None) -> Response:
    """The response of a call, shown while it grows; ``look`` holds fields of its card.

    The words of an error are left to what IPython shows of it: the call's own error, or ``told``, with which the cell will end.
    """
    card = WaitingCard(prepared, look)
    with closing(prepared.stream()) as stream:  # an interrupt may come while the answer is drawn
        try:
            response = stream.replay() or _watch_stream(view, card, stream)
        except KeyboardInterrupt:
            view.finish(replace(card.drawn, text=stream.text, reasoning=stream.reasoning, state="stopped"))
            raise Stopped(stream.text, response=make_partial_response(prepared, stream)) from None
        except TinyLLMError as error:
            view.finish(make_failed_card(error, prepared, look, stream.text, told=told or error))
            raise
        except BaseException:
            view.finish(replace(card.drawn, text=stream.text, state="stopped"))
            raise
    view.finish(_shown_cards().find_answer(response, notes=(*prepared.notes, *response.notes), **look))
    return response


def _watch_stream(view: display_views.View, card: WaitingCard, stream: AnswerStream) -> Response:
    """The response of a stream whose pieces are shown as they arrive."""
    if stream.asks:
        view.push(card.drawn)
    for chunk in stream:
        if chunk.restart:
            card.drawn = replace(card.drawn, steps=describe_steps(stream.steps))
        if chunk.source == "live" and chunk.record is None:
            view.push(card.drawn, stream.so_far)
    return stream.finish()


def make_partial_response(prepared: PreparedCall, stream: AnswerStream) -> Response:
    """What had arrived when a cell was stopped; it is in no store."""
    request = prepared.request
    answer = Answer(stream.text or None, reasoning=stream.reasoning, finish_reason="stopped")
    return Response(request, Record(request.key, request.canonical(), answer), "live", steps=stream.steps)


class WaitingCard:
    """The card of a call before its answer is there, made when it is first wanted: a recorded answer has none."""

    def __init__(self, prepared: PreparedCall, look: Mapping[str, Any]) -> None:
        self._prepared, self._look = prepared, look

    @cached_property
    def drawn(self) -> Card:
        """The card as it stands."""
        return make_waiting_card(self._prepared, self._look)


def make_waiting_card(prepared: PreparedCall, look: Mapping[str, Any]) -> Card:
    """The card of a call before anything has arrived."""
    shown = {"format": "text"} if prepared.plan.schema is not None and look.get("format") == "markdown" else {}
    return _shown_cards().find_waiting(prepared.request.model, **{"notes": prepared.notes, **look, **shown})


def _shown_cards() -> KeptCards:
    """The cards that this notebook has shown."""
    state.cards = state.cards or KeptCards()
    return state.cards


def make_failed_card(
    error: TinyLLMError, prepared: PreparedCall, look: Mapping[str, Any], text: str = "", *, told: TinyLLMError | None
) -> Card:
    """The card of a call that failed, with the text that had arrived, and without the words of ``told``."""
    if isinstance(error, SchemaError):
        return Card.failed(error, told, notes=(*prepared.notes, *error.response.notes), **{**look, "format": "text"})
    if isinstance(error, ToolError):
        return Card.failed(error, told, notes=(*prepared.notes, *error.response.notes), **look)
    return Card.failed(error, told, text=text, model=prepared.request.model, notes=prepared.notes, **look)


def make_samples(prepared: PreparedCall, count: int) -> list[PreparedCall]:
    """The calls of samples 0 to ``count`` - 1 of one question."""
    return [prepared.with_sample(k) for k in range(count)]


def watch_samples(
    views: display_views.GridView | display_views.ColumnView, samples: Sequence[PreparedCall], look: Mapping[str, Any]
) -> list[Response]:
    """The responses of all draws, in order; those that are recorded are not asked again.

    A draw that fails leaves the others to be made. Then raises the first error, which says
    what failed. After an error that asking again cannot mend, only recorded draws follow. An interrupt
    leaves in ``Stopped.response`` the list of what had arrived.
    """
    responses: list[Response] = []
    errors: dict[int, TinyLLMError] = {}
    hopeless: TinyLLMError | None = None
    try:
        for number, prepared in enumerate(samples):
            titled, first = {**look, "title": name_sample(number)}, next(iter(errors.values()), hopeless)
            if hopeless is not None and not prepared.replays:
                errors[number] = hopeless
                views.get_view(number).finish(make_failed_card(hopeless, prepared, titled, told=first))
                continue
            try:
                responses.append(watch_answer(views.get_view(number), prepared, titled, first))
            except Stopped as stopped:
                stopped.response = [*responses, stopped.response]
                raise
            except TinyLLMError as error:
                errors[number] = error
                hopeless = None if _may_pass(error) else error
    finally:
        views.close()
    if errors:
        raise _describe_failures(errors, samples)
    return responses


def _may_pass(error: TinyLLMError) -> bool:
    """Whether the same question can be answered at another draw."""
    return isinstance(error, (ReplayMiss, SchemaError, ToolError)) or (isinstance(error, ProviderError) and error.retryable)


def _describe_failures(errors: Mapping[int, TinyLLMError], samples: Sequence[PreparedCall]) -> TinyLLMError:
    """The first error, with words before its own that say which draws failed and what became of the others."""
    numbers = [str(n + 1) for n in errors]
    which = f"sample {numbers[0]}" if len(errors) == 1 else f"samples {', '.join(numbers[:-1])} and {numbers[-1]}"
    others = len(samples) - len(errors)
    kept = "answered" if str(samples[0].mode) == "off" else "recorded"
    first = next(iter(errors.values()))
    rest = f"; the other {others} {'is' if others == 1 else 'are'} {kept}" if others else ""
    first.args = (f"{which} of {len(samples)} failed{rest}\n{first.message}",)
    return first


def ask(shell: Any, chosen: Options, text: str, scope: Scope, *, cell: bool) -> Response | list[Response] | Table | None:
    """Answer one cell: show it, assign it, and return the response, a list of samples, or ``None`` for a dry run."""
    if chosen.workers is not None and not chosen.asks_many:
        raise OptionError("--workers goes with --map, --compare or --grid: one prompt is one call", option="--workers")
    if chosen.expect is not None and chosen.map is None:
        raise OptionError("--expect goes with --map: it names a column of its rows", option="--expect")
    if chosen.batch and chosen.map is None:
        raise OptionError("--batch goes with --map: a batch is of many rows", option="--batch")
    if chosen.batch and chosen.workers is not None:
        raise OptionError("--workers is of rows that are asked live: a batch has none", option="--workers")
    call = make_call(scope, chosen, text, first_line=scope.cell_line if cell else scope.line)
    turn = chat_turns.prepare_turn(chosen, call)
    if chosen.asks_many:
        table = spread(shell, chosen, call)
        note_answer(running_cell())
        return table
    call, prepared = (call, call.prepare()) if turn is None else (turn.call, turn.prepared)
    state.last_plan, state.last_question = prepared.plan, panel_answers.make_question(call, call.messages, samples=chosen.samples or 1)
    if chosen.dry_run:
        show_dry_run(shell, prepared, chosen.samples)
        return None
    if turn is not None:
        turn.check_window()
    if chosen.quiet or not chosen.stream:
        prepared = prepared.in_one_piece()  # nobody watches it grow
    look = choose_look(chosen, prepared, turn)
    introduces = not (state.introduced or chosen.quiet or chosen.samples)
    if introduces:
        look["about_session"] = describe_session(prepared)
    try:
        value = (
            answer_one(shell, chosen, call, prepared, look)
            if chosen.samples is None
            else answer_samples(shell, chosen, call, prepared, look)
        )
    except (Stopped, SchemaError, ToolError) as unfinished:
        assign(shell, chosen, unfinished.response)
        raise
    state.introduced = state.introduced or introduces
    if turn is None:
        note_answer(running_cell())
    else:
        turn.finish(value[0] if isinstance(value, list) else value)
    assign(shell, chosen, value)
    return value


def spread(shell: Any, chosen: Options, call: LLMCall) -> Table | None:
    """The table of a cell that asks many times; an interrupt or an error leaves what is finished where all would have been."""
    from . import batch_cells  # a cell that asks once does without

    before = batch_state.last_table
    try:
        table = batch_cells.answer_many(shell, chosen, call)
    except BaseException:
        table = batch_state.last_table
        if table is not None and table is not before:
            remember(chosen, call, table)
            assign(shell, chosen, table)
        raise
    remember(chosen, call, table)
    if table is not None:
        assign(shell, chosen, table)
        batch_cells.demand_answers(table)
    return table


def remember(chosen: Options, call: LLMCall, table: Table | None) -> None:
    """Keep what a comparison asked, and which of its combinations are recorded; a map asks too many questions to keep one."""
    if chosen.map is None:
        with suppress(TinyLLMError):  # the table shows it
            question = panel_answers.make_grid_question(call, chosen.grid, chosen.compare, table, samples=chosen.samples or 1)
            state.last_plan, state.last_question = panel_answers.prepare_question(question, session.settings()).plan, question


def answer_one(shell: Any, chosen: Options, call: LLMCall, prepared: PreparedCall, look: Mapping[str, Any]) -> Response:
    """The one answer of a cell, shown while it grows."""
    view = display_views.choose_view(shell, stream=chosen.stream, quiet=chosen.quiet)
    response = copy_with(watch_answer(view, prepared, look), call=call)
    call.finish(response)
    return response


def answer_samples(shell: Any, chosen: Options, call: LLMCall, prepared: PreparedCall, look: Mapping[str, Any]) -> list[Response]:
    """The samples of a cell, side by side; the call of each asks for that very sample again."""
    samples = make_samples(prepared, chosen.samples or 1)
    cards = [make_waiting_card(s, {**look, "title": name_sample(number)}) for number, s in enumerate(samples)]
    views = display_views.choose_views(shell, cards, stream=chosen.stream, quiet=chosen.quiet)
    responses = []
    for number, response in enumerate(watch_samples(views, samples, look)):
        own = copy.copy(call)
        own.model_params = {**call.model_params, "sample": number}
        responses.append(replace(response, call=own))
        own.finish(responses[-1])
    return responses


def choose_look(chosen: Options, prepared: PreparedCall, turn: NextTurn | None = None) -> dict[str, Any]:
    """Fields of a cell's card that its options choose."""
    title = {} if turn is None else {"title": f"{turn.chat.name} · turn {turn.number}"}
    return {"format": chosen.format, "prompt": prepared.request.messages if chosen.show_prompt else (), **title}


def assign(shell: Any, chosen: Options, value: Any) -> None:
    """Put a cell's result where it was asked for, and into ``_llm``."""
    shell.user_ns["_llm"] = value
    if chosen.out:
        shell.user_ns[chosen.out] = value


def show_dry_run(shell: Any, prepared: PreparedCall, samples: int | None = None) -> None:
    """What --dry-run shows."""
    from ..display import dry_run, output

    facts = prepared.preview()
    if samples is not None:
        known = sum(s.replays for s in make_samples(prepared, samples))
        facts["notes"] = (*facts["notes"], f"{samples} samples, {known} of them recorded; tokens and cost are those of one")
    asked = {"key": prepared.request.key, "model_asked": prepared.request.model, "params": prepared.request.canonical()["params"]}
    output.show(dry_run.bundle_dry_run(facts.pop("messages"), facts.pop("tokens"), **facts), shell, about="preview", facts=asked)
