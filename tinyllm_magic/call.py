"""Templates, variables and model parameters in, an answered call out: ``LLMCall`` and ``call_llm``.

Knows how a prompt is rendered and handed to the session's client.
Does not know the notebook, threads, or how a response is shown.
"""

from __future__ import annotations

import copy
import logging
import pickle
import reprlib
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from .answers import Response
from .clients import OpenAIClient
from .controls import ModelManager, count_tokens
from .errors import EmptyPromptError
from .folders import find_template, is_inline
from .messages import Message
from .plans import Plan, with_messages
from .prompt import Template
from .providers import openai as vendor
from .sessions import notebook_path, session
from .settings import Settings

logger = logging.getLogger("tinyllm_magic")
_CONTROLS = ("model", "mode", "sample", "call")
_SHORT = reprlib.Repr()  # it never raises, whatever a value's own repr does
_SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 20, 60, 60


def template_folders() -> tuple[Path, ...]:
    """Where template files are looked for: beside the notebook, the working directory, and ``prompts/`` in both."""
    notebook = notebook_path()
    roots = [notebook.parent] if notebook is not None else []
    roots += [Path.cwd()] if Path.cwd() not in roots else []
    return tuple(folder for root in roots for folder in (root, root / "prompts"))


def over(above: Mapping[str, Any], below: Mapping[str, Any]) -> Mapping[str, Any]:
    """Two namespaces as one, read only; the notebook's is not copied."""
    return ChainMap(cast("dict[str, Any]", above), cast("dict[str, Any]", below)) if below else above  # nobody writes to it


@lru_cache(maxsize=64)
def _parsed(text: str, name: str, folders: tuple[Path, ...]) -> Template:
    """An inline template; a map renders the same one for every row."""
    return Template(text, name=name, folders=folders)


def _travels(value: Any) -> bool:
    """Whether a value can go to another process."""
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001  # a value's own __reduce__ may raise anything
        return False
    return True


class LLMCall:
    """A prompt with open variables and the parameters of its model: what a ``%%llm`` cell makes.

    A template is a file name (looked for beside the notebook, in ``prompts/``, or an absolute
    path) or, where it has white space, a brace or a newline, inline text in Jinja. After
    ``call``, ``messages`` holds what was sent, ``model_output`` the answer's message as a dict,
    ``response`` the whole ``Response``.

    >>> from tinyllm_magic import LLMCall
    >>> [m.to_dict() for m in LLMCall("Be brief.", "Write about {{ topic }}.").render(topic="tea")]
    [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Write about tea.'}]
    """

    def __init__(self, system_template_name: str | None = None, user_template_name: str | None = None, /, **model_params: Any) -> None:
        self.system_template_name = model_params.pop("system_template_name", system_template_name)
        self.user_template_name = model_params.pop("user_template_name", user_template_name)
        self.model_params = model_params
        self.namespace: Mapping[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        self.model_output: dict[str, Any] | None = None
        self.response: Response | None = None
        self._cell: str | None = None
        self._file: str | None = None

    @classmethod
    def from_text(
        cls,
        cell: str,
        *,
        system: str | None = None,
        template: str | None = None,
        namespace: Mapping[str, Any] | None = None,
        **model_params: Any,
    ) -> LLMCall:
        """A call from a cell's text with role tags.

        ``system`` is a system message before it, ``template`` a file whose variable ``cell`` is
        the cell's rendered text, ``namespace`` holds variables that need not be passed to ``call``.
        """
        call = cls(system, **model_params)
        call._cell, call._file = cell, template
        call.namespace = namespace if namespace is not None else {}
        return call

    def render(self, **variables: Any) -> list[Message]:
        """The messages for these variables; raises ``PromptError`` (``UndefinedError`` for a missing variable)."""
        return self._rendered(over(variables, self.namespace))

    def _rendered(self, known: Mapping[str, Any]) -> list[Message]:
        messages: list[Message] = []
        if self.system_template_name is not None:
            text = self._part(self.system_template_name, "<system>").render_text(known)
            messages += [Message("system", text)] if text else []
        if self.user_template_name is not None:
            messages += self._part(self.user_template_name, "<user>").render(known, **self._tokens())
        if self._cell is not None:
            messages += self._cell_messages(known)
        if not messages:
            raise EmptyPromptError("the prompt is empty: it renders to no message", hint="Write some text, or a role block.")
        return messages

    def call(self, **variables: Any) -> str | None:
        """Render, ask, keep ``messages``, ``model_output`` and ``response``, and return the text.

        ``None`` where the model only called tools (``response.tool_calls``) or refused. Raises
        ``PromptError`` before, ``ProviderError`` where there is no answer.
        """
        client, plan = self.prepare(**variables)
        return self.finish(client.answer(plan))

    def prepare(self, **variables: Any) -> tuple[OpenAIClient, Plan]:
        """The client and the plan of this call for these variables; nothing is sent."""
        client, plan, messages = self._planned(variables, session.client(), None)
        self.messages = [m.to_dict() for m in messages]
        return client, plan

    def plan(
        self, variables: Mapping[str, Any], *, client: OpenAIClient | None = None, current: Settings | None = None
    ) -> tuple[OpenAIClient, Plan]:
        """As ``prepare``, but this object stays as it is; ``client`` and ``current`` settings need not be looked up again."""
        return self._planned(variables, client or session.client(), current)[:2]

    def replan(self, plan: Plan, variables: Mapping[str, Any]) -> Plan:
        """A plan of this call with its messages for other variables: nothing else depends on them."""
        return with_messages(plan, self._rendered(over(variables, self.namespace)))

    def _planned(
        self, variables: Mapping[str, Any], client: OpenAIClient, current: Settings | None
    ) -> tuple[OpenAIClient, Plan, list[Message]]:
        params = {k: v for k, v in self.model_params.items() if k not in _CONTROLS}
        controls = {k: self.model_params[k] for k in ("mode", "sample", "call") if k in self.model_params}
        messages = self._rendered(over(variables, self.namespace))
        return *client.plan(messages, self.model_params.get("model"), params, current=current, **controls), messages

    def varied(self, **model_params: Any) -> LLMCall:
        """The same prompt with other parameters over its own; a new object without an answer."""
        other = copy.copy(self)
        other.model_params = {**self.model_params, **model_params}
        other.messages, other.model_output, other.response = [], None, None
        return other

    def finish(self, response: Response) -> str | None:
        """Keep the response of a call that was prepared."""
        self.response = response
        self.model_output = response.to_dict()
        text = response.record.answer.text
        if text is None:
            logger.warning("the answer of %s has no text (finish reason %s)", response.model, response.finish_reason)
        return text

    def _part(self, template: str, name: str) -> Template:
        folders = template_folders()
        if is_inline(template):
            return _parsed(template, name, folders)
        return Template.from_file(find_template(template, folders), folders)

    def _cell_messages(self, known: Mapping[str, Any]) -> list[Message]:
        folders = template_folders()
        cell = _parsed(self._cell or "", "<cell>", folders)
        if self._file is None:
            return cell.render(known, **self._tokens())
        text = cell.render_text(known)
        return Template.from_file(find_template(self._file, folders), folders).render(over({"cell": text}, known), **self._tokens())

    def _tokens(self) -> dict[str, Any]:
        model = self.model_params.get("model")
        return {
            "count": lambda text: int(count_tokens(text, model)),
            "cut": lambda text, n: session.cut(text, n, model),
        }

    def __getstate__(self) -> dict[str, Any]:
        """For another process: of the notebook's variables only those that the templates name go along.

        A template that includes files may name any: then all go that can.
        """
        return {**vars(self), "namespace": self._needed()}

    def templates(self) -> list[Template]:
        """The templates, read; raises ``PromptError`` where a file is missing or where Jinja cannot read one."""
        folders = template_folders()
        given = (("<system>", self.system_template_name), ("<user>", self.user_template_name), ("<cell>", self._file))
        parts = [self._part(text, name) for name, text in given if text is not None]
        return parts + ([_parsed(self._cell, "<cell>", folders)] if self._cell is not None else [])

    def _needed(self) -> dict[str, Any]:
        parts = self.templates()
        if not any(part.refers for part in parts):
            names = {n for part in parts for n in part.variables}
            return {n: self.namespace[n] for n in names if n in self.namespace}
        return {n: v for n, v in self.namespace.items() if not n.startswith("_") and _travels(v)}

    def __repr__(self) -> str:
        def short(text: str | None) -> str:
            return repr(text if text is None or len(text) <= 60 else f"{text[:57]}...")

        parts = [short(self._cell)] if self._cell is not None else []
        parts += [short(t) for t in (self.system_template_name, self.user_template_name) if t is not None]
        output = f", model_output={short(str(self.model_output))}" if self.model_output is not None else ""
        return f"LLMCall({', '.join(parts)}, model_params={_SHORT.repr(self.model_params)}, messages={len(self.messages)}{output})"


class Planner:
    """Plans calls of many rows under the same settings: what a call's rows have in common is looked up with the first of them."""

    def __init__(self, current: Settings) -> None:
        self._client, self._current = session.client(), current
        self._call: LLMCall | None = None
        self._known: tuple[OpenAIClient, Plan] | None = None

    def plan(self, call: LLMCall, variables: Mapping[str, Any]) -> tuple[OpenAIClient, Plan]:
        """As ``LLMCall.plan``."""
        if self._known is not None and call is self._call:
            client, plan = self._known
            return client, call.replan(plan, variables)
        known = self._known = call.plan(variables, client=self._client, current=self._current)
        self._call = call
        return known


def call_llm(
    model: str | None,
    usr_prompt: str | Iterable[Message | Mapping[str, Any]],
    config: Any,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> Any:
    """Ask a named model of a configuration and return the SDK's ``ChatCompletionMessage``.

    ``usr_prompt`` is a text or any iterable of messages, ``config`` what ``ModelManager`` takes.
    Where a model takes no tools, it is asked once more without them. Raises ``ConfigError``
    (a ``ValueError``) for the configuration and ``ProviderError``, with the SDK's error as its cause.

    >>> call_llm("small", "Hello", {"models": {"small": {"provider": "echo"}}}).content
    'Hello'
    """
    manager = ModelManager(config)
    chosen = manager.create_client(model)
    client, plan = chosen.plan(usr_prompt, None, {"tools": list(tools)} if tools else {})
    return vendor.message_object(client.answer(plan).to_dict())
