"""Conversations: each is a list of turns in the session, and what is sent for a turn follows from the turns before it.

A turn belongs to the cell that asked it. It is stale where the turns before it are no longer those that it was asked with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import dropwhile, takewhile
from typing import Any, cast

from ..errors import ContextLengthError, MessageError, OptionError
from ..messages import Message
from ..models import pricing
from ..prompts.roles import trim
from ..responses import Response
from ..user_warnings import warn
from . import token_counts
from .call import LLMCall
from .environment import RunningCell, running_cell
from .prepared import PreparedCall
from .sessions import session

DEFAULT = "chat"


@dataclass(frozen=True)
class Context:
    """What a conversation brings to a turn: the messages before it, and the model of its first turn where the turn names none."""

    history: tuple[Message, ...] = ()
    model: str = ""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation: its own messages (``prompt``), the ``response``, and what it was asked with.

    ``replies`` are the messages that later turns send for the answer, tool calls and their results included; ``model`` is
    the name that was asked, ``names_model`` says that the turn itself gave it; ``keep`` is how many turns before it were sent
    (``None``: all). ``origin`` is the conversation that a fork copied it from. ``stale`` says that what came before it has
    changed since it was asked.
    """

    prompt: tuple[Message, ...]
    response: Response
    replies: tuple[Message, ...]
    context: Context
    model: str
    names_model: bool = False
    keep: int | None = None
    cell: RunningCell = field(default_factory=RunningCell)
    origin: str = ""
    stale: bool = False

    @property
    def text(self) -> str:
        """What was asked, as text."""
        return "\n\n".join(m.text for m in self.prompt if not m.is_system)

    @property
    def answer(self) -> str:
        """The answer's text."""
        return self.response.text

    @property
    def said(self) -> tuple[Message, ...]:
        """What later turns send for this one; its system message they have from the first turn alone."""
        return (*(m for m in self.prompt if not m.is_system), *self.replies)


@dataclass(frozen=True)
class NextTurn:
    """A turn that is ready to be asked: its call, and its place; the conversation stays as it was until ``finish``."""

    chat: Chat
    call: LLMCall
    prepared: PreparedCall
    context: Context
    number: int
    """The turn's place, counted from 1."""
    replaces: bool
    names_model: bool
    keep: int | None
    cell: RunningCell

    def check_window(self) -> None:
        """Raise ``ContextLengthError`` where the conversation surely passes the context window, before it is sent."""
        if self.context.history and not self.prepared.replays and (passed := _describe_overflow(self.prepared, sure=True)):
            raise ContextLengthError(passed, hint="--keep N (in Python keep=N) sends the system message and the last N turns.")

    def finish(self, response: Response) -> None:
        """Take the answered turn into the conversation; one that ends in no text stays out, with a warning."""
        replies = _make_replies(response, len(self.prepared.request.messages))
        if not replies:
            warn(f"the answer has no text, so it is no turn: the conversation '{self.chat.name}' stays as it was")
            return
        asked = tuple(Message.of(m) for m in self.call.messages)
        prompt = _take_own(asked, self.context.history)
        model = self.call.model_params.get("model") or self.prepared.plan.route.name or self.prepared.request.model
        turn = Turn(prompt, response, replies, self.context, model, self.names_model, self.keep, self.cell)
        turns = list(self.chat.read_turns(self.cell))
        turns[self.number - 1 : self.number - 1 + self.replaces] = [turn]
        session.chats[self.chat.name] = tuple(turns)
        note_answer(self.cell)


class Chat:
    """A conversation of this session by its name; ``Chat("chat")`` is the one of ``%%llm --chat``.

    The system message and the model of its first turn hold for the later ones, unless one of them says otherwise for itself.
    In a notebook a turn belongs to its cell: run again, the cell asks its turn again, in its old place. A turn that
    fails or is stopped leaves the conversation as it was.

    >>> from tinyllm_magic import Chat, override
    >>> with override(api_type="echo"):
    ...     chat = Chat("tea")
    ...     chat.ask("Green or black?").text
    ...     [turn.answer for turn in chat.turns]
    'Green or black?'
    ['Green or black?']
    """

    def __init__(self, name: str = DEFAULT) -> None:
        self.name = _check_name(name)

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns in order, each with whether it is stale; empty where nothing was asked yet."""
        turns = self._kept
        return tuple(replace(t, stale=_is_stale(turns, k)) for k, t in enumerate(turns))

    @property
    def _kept(self) -> tuple[Turn, ...]:
        return self.read_turns(running_cell())

    def ask(self, text: Any, *, system: str | None = None, keep: int | None = None, **params: Any) -> Response:
        """Ask a turn and return its ``Response``; ``text`` is sent as it is, without Jinja.

        ``system`` is a system message, ``keep=N`` sends no more than the last N turns before this one, ``params`` are
        what ``LLMCall`` takes (``model``, ``temperature``, ``schema`` …). Raises ``OptionError``, ``ProviderError``,
        ``SchemaError`` and ``ContextLengthError``; then the conversation stays as it was.
        """
        if not isinstance(text, str):
            raise MessageError(f"a turn is asked as text, not {type(text).__name__}")
        names = {"text": text, "system": system}
        call = LLMCall.from_text("{{ text }}", system=None if system is None else "{{ system }}", namespace=names, **params)
        with keep_turns_on_failure():
            turn = self.prepare(call, keep=keep)
            turn.check_window()
            response = replace(turn.prepared.answer(), call=turn.call)
        turn.call.finish(response)
        turn.finish(response)
        return response

    def prepare(self, call: LLMCall, *, keep: int | None = None) -> NextTurn:
        """The turn of the running cell, ready to be asked; nothing is sent, and the conversation stays as it is."""
        cell = running_cell()
        turns, keep = self.read_turns(cell), _check_keep(keep)
        place, replaces = _find_place(turns, cell)
        names_model = call.model_params.get("model") is not None
        context = _make_context(turns[:place], keep, names_model=names_model)
        if context.model and _must_name(turns[0]):
            call = call.with_params(model=context.model)
        call = call.after(context.history)
        prepared = call.prepare()
        prepared = prepared.with_notes([*_note_stale(turns[:place], keep), *_note_provider(prepared, turns[:place])])
        if context.history and not prepared.replays and (passed := _describe_overflow(prepared)):
            prepared = prepared.with_notes([f"{passed}; --keep N sends the last N turns"])
        return NextTurn(self, call, prepared, context, place + 1, replaces, names_model, keep, cell)

    def fork(self, name: str, at: int | None = None) -> Chat:
        """A new conversation that begins with this one's first ``at`` turns (default: all); both go on by themselves.

        Forked again under the same name, it takes the turns as they are now and keeps those that it added itself. Raises
        ``OptionError`` where there are not so many turns, and for the name of a conversation that is no fork of this one.
        """
        turns, new = self._kept, Chat(name)
        last = len(turns) if at is None else at
        if not 1 <= last <= len(turns):
            raise OptionError(f"'{self.name}' cannot be forked at turn {last}: it has {count_turns(len(turns))}", option="at")
        own = tuple(dropwhile(lambda t: t.origin == self.name, new._kept))
        if name == self.name or (own and own == new._kept):
            raise OptionError(f"there is a conversation '{name}' already", option="fork", hint=f"`%llm_chat {name} drop` forgets it.")
        session.chats[name] = (*(replace(t, origin=self.name) for t in turns[:last]), *own)
        return new

    def undo(self) -> Turn:
        """Take the last turn away and return it; raises ``OptionError`` where there is none."""
        turns = self._kept
        if not turns:
            raise OptionError(f"the conversation '{self.name}' has no turn", option="undo")
        session.chats[self.name] = turns[:-1]
        return turns[-1]

    def drop(self) -> None:
        """Forget the conversation; its answers stay recorded."""
        session.chats.pop(self.name, None)

    def read_turns(self, cell: RunningCell) -> tuple[Turn, ...]:
        """The turns, as ``cell`` finds them: without those that another cell asked once, but not when it last got an answer."""
        last = session.executions
        kept = cast("tuple[Turn, ...]", session.chats.get(self.name, ()))
        return tuple(t for t in kept if t.cell.id == cell.id or last.get(t.cell.id, t.cell.execution) == t.cell.execution)

    def __repr__(self) -> str:
        return f"Chat({self.name!r}, {count_turns(len(self._kept))})"


def list_chats() -> list[Chat]:
    """The conversations of this session that have a turn."""
    return [Chat(name) for name, turns in session.chats.items() if turns]


def note_answer(cell: RunningCell) -> None:
    """Know that a cell got an answer, in this conversation, another or none: its turns from earlier executions are no more."""
    if cell.id:
        session.executions[cell.id] = cell.execution


@contextmanager
def keep_turns_on_failure() -> Iterator[None]:
    """Where the cell fails, or is stopped, after it got an answer: keep those of its turns that it did not come to ask again."""
    try:
        yield
    except BaseException:
        cell = running_cell()
        if session.executions.get(cell.id) == cell.execution:
            session.executions.pop(cell.id, None)
        raise


def describe_stale(response: Response) -> tuple[str, ...]:
    """In which conversations the turn that this response answered is stale, in words."""
    found = ((chat.name, k, t) for chat in list_chats() for k, t in enumerate(chat.turns, 1))
    return tuple(
        f"stale: what came before turn {k} of '{name}' has changed since"
        for name, k, t in found
        if t.stale and t.response.record is response.record
    )


def _check_name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or name.startswith("-"):
        raise OptionError(f"{name!r} is no name of a conversation, as 'chat' is one", option="chat")
    return name


def _check_keep(keep: Any) -> int | None:
    if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 1):
        raise OptionError(f"keep={keep!r} is not a whole number above 0", option="keep")
    return keep


def _find_place(turns: Sequence[Turn], cell: RunningCell) -> tuple[int, bool]:
    """Where the turn of a cell goes, and whether it replaces one: in the place of its own from before, behind those of now, else last."""
    own = [k for k, t in enumerate(turns) if cell.id and t.cell.id == cell.id]
    before = [k for k in own if turns[k].cell.execution != cell.execution]
    if before:
        return before[0], True
    return (own[-1] + 1 if own else len(turns)), False


def _make_context(before: Sequence[Turn], keep: int | None, *, names_model: bool) -> Context:
    """What these turns bring to the next one."""
    if not before:
        return Context()
    sent = before if keep is None else before[-keep:]
    system = (m for m in before[0].prompt if m.is_system)
    return Context((*system, *(m for t in sent for m in t.said)), "" if names_model else before[0].model)


def _must_name(first: Turn) -> bool:
    """Whether later turns have to name the model of the first one: it did so itself, or another would be asked now."""
    if first.names_model:
        return True
    route = session.route(None, session.settings())
    return (route.name or route.model) != first.model


def _is_stale(turns: Sequence[Turn], place: int) -> bool:
    """Whether a turn would be asked with something else before it now."""
    turn = turns[place]
    now, then = _make_context(turns[:place], turn.keep, names_model=turn.names_model), turn.context
    if not any(m.is_system for m in turn.prompt):
        return now != then
    return now.model != then.model or [m for m in now.history if not m.is_system] != [m for m in then.history if not m.is_system]


def _note_stale(before: Sequence[Turn], keep: int | None) -> list[str]:
    """That what is sent holds stale turns, which are not asked again by themselves."""
    first = 0 if keep is None else max(0, len(before) - keep)
    stale = [str(k + 1) for k in range(first, len(before)) if _is_stale(before, k)]
    return [f"stale before this turn, and sent as asked: turn {', '.join(stale)}; run the cells of these first"] if stale else []


def _note_provider(prepared: PreparedCall, before: Sequence[Turn]) -> list[str]:
    """That the conversation goes to somebody who has not seen it yet."""
    providers = {t.response.request.provider for t in before}
    if not before or prepared.request.provider in providers:
        return []
    return ["this turn goes to another provider than those before it, with all that is sent of them"]


def _describe_overflow(prepared: PreparedCall, *, sure: bool = False) -> str:
    """That a conversation is longer than the context window, empty where it is not; ``sure`` leaves out what is an estimate."""
    request, window = prepared.request, pricing.window(prepared.request.model)
    if not window:
        return ""
    total = token_counts.count_request(request, prepared.plan.route)
    if total <= window or (sure and total.estimated):
        return ""
    about = "≈ " if total.estimated else ""
    return f"the conversation has {about}{int(total):,} tokens, the context window of {request.model} {window:,}"


def _make_replies(response: Response, sent: int) -> tuple[Message, ...]:
    """What later turns send for an answer: the tool calls on the way, with their results, and its text; nothing where there is none.

    What reasoned about them stays behind, but for the words that a vendor wants back with every call.
    """
    answer = response.record.answer
    text = trim(answer.text or answer.refusal or "")
    if answer.tool_calls or not text:
        return ()
    ways = (replace(m, output_items=()) for m in response.request.messages[sent:] if m.tool_calls or m.role == "tool")
    return (*ways, Message("assistant", text))


def _take_own(asked: tuple[Message, ...], history: tuple[Message, ...]) -> tuple[Message, ...]:
    """A turn's own messages among all that were sent for it."""
    if not history:
        return asked
    first = tuple(takewhile(lambda m: m.is_system, asked))
    held = tuple(m for m in history if m.is_system)
    own = () if first == held else first
    return (*own, *asked[len(first) + len(history) - len(held) :])


def count_turns(turns: int) -> str:
    """The number of turns in words."""
    return f"{turns} turn{'' if turns == 1 else 's'}"
