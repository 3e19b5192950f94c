"""A prompt with open variables, rendered and asked of the session: ``LLMCall``."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import reprlib
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..attachments.expressions import Attached
from ..attachments.parts import attach
from ..errors import ConfigError, EmptyPromptError, OptionError, PromptError
from ..file_text import FileText
from ..json_text import plain_value
from ..messages import Message, Request, follow
from ..models.named import ModelTable
from ..prompts.loader import TEMPLATE_SUFFIXES, find_template, is_inline, is_prompty
from ..prompts.roles import Prompt, trim
from ..prompts.template import Template
from ..redaction import clean_message, mask, mask_data
from ..responses import Response
from ..schemas.schema import Schema
from ..settings import trust
from ..settings.layers import Settings
from ..text_format import shorten
from ..user_warnings import warn
from .plans import CONTROLS, TOOLING, TYPING, ask_instead, list_tools, spell_params
from .prepared import PreparedCall
from .sessions import session
from .template_finder import TemplateFinder, template_folders

if TYPE_CHECKING:
    from ..prompts.prompty import PromptyFile

logger = logging.getLogger("tinyllm_magic")
_CONTROLS = ("model", "mode", "sample", "call")
_SHORT = reprlib.Repr()  # it never raises, whatever a value's own repr does
_SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 20, 60, 60


def layer(above: Mapping[str, Any], below: Mapping[str, Any]) -> Mapping[str, Any]:
    """Two namespaces as one, read only; the notebook's is not copied."""
    return ChainMap(cast("dict[str, Any]", above), cast("dict[str, Any]", below)) if below else above  # nobody writes to it


def _trusts(folder: Path) -> bool:
    """Whether the user trusts a folder of prompt files; ``prompts/`` is part of the folder it lies in."""
    folder = folder.resolve()
    return any(trust.is_trusted(f) for f in (folder, *([folder.parent] if folder.name == "prompts" else [])))


def _read_types(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with schema and tools among them read, once for all calls; raises ``OptionError`` for what is none."""
    schema = {} if params.get("schema") is None else {"schema": Schema.of(params["schema"])}
    return {**list_tools(params), **schema}


def _is_picklable(value: Any) -> bool:
    """Whether a value can go to another process."""
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001  # a value's own __reduce__ may raise anything
        return False
    return True


def _read_as_text(typed: str) -> str:
    """What is typed as a message, such as that it is inline text, though it be one word; a file's name stays one."""
    folders = template_folders()
    is_file = typed.endswith(TEMPLATE_SUFFIXES) or any((folder / typed).is_file() for folder in folders)
    return typed if is_file or is_inline(typed, folders) else f"{typed}\n"


class LLMCall:
    """A prompt with open variables and the parameters of its model: what a ``%%llm`` cell makes.

    A template is a ``Path`` or a file name (looked for beside the notebook, in ``prompts/``, or an
    absolute path) or, where it has white space, a brace or a newline and is no file, inline text in Jinja. A
    ``.prompty`` file is read when the object is made: it brings all its messages, and a model and parameters
    that ``model_params`` overrule. ``schema`` among them says what the answer has to be (a pydantic model, dataclass,
    typed dict, enumeration or other type, a JSON Schema, or the short form ``"name, age int, tags list[str]: free words"``):
    ``response.parsed`` is the checked value; ``tries=N`` asks up to N times in all where it does not fit. ``tools`` are
    functions that the model may call: they run until it answers, in at most ``max_steps`` requests, after asking you where
    ``approve=True``; ``response.steps`` has their results, which are recorded, so that a replay runs nothing.
    ``effort`` (``low``, ``medium``, ``high``) says how much a model that reasons is to think.
    After ``call``, ``messages`` holds what was sent, ``model_output`` the answer's message as a dict, ``response`` the whole
    ``Response``.

    >>> from tinyllm_magic import LLMCall
    >>> [m.to_dict() for m in LLMCall("Be brief.", "Write about {{ topic }}.").render(topic="tea")]
    [{'role': 'system', 'content': 'Be brief.'}, {'role': 'user', 'content': 'Write about tea.'}]
    """

    def __init__(
        self, system_template_name: str | Path | None = None, user_template_name: str | Path | None = None, /, **model_params: Any
    ) -> None:
        self.system_template_name = model_params.pop("system_template_name", system_template_name)
        self.user_template_name = model_params.pop("user_template_name", user_template_name)
        self.model_params = _read_types(model_params)
        self.namespace: Mapping[str, Any] = {}
        self.messages: list[dict[str, Any]] = []
        self.model_output: dict[str, Any] | None = None
        self.response: Response | None = None
        self._cell: str | None = None
        self._file: Path | None = None
        self._first_line = 1
        self._attached: tuple[Attached, ...] = ()
        self._fetches = False
        self._prompts: dict[str, PromptyFile] = {}
        self.history: tuple[Message, ...] = ()
        for template in (self.system_template_name, self.user_template_name):
            self._read_prompty(template)

    @classmethod
    def from_text(
        cls,
        cell: str,
        *,
        system: str | None = None,
        template: str | None = None,
        namespace: Mapping[str, Any] | None = None,
        first_line: int = 1,
        attached: Sequence[Attached] = (),
        fetches: bool = False,
        **model_params: Any,
    ) -> LLMCall:
        """A call from a cell's text with role tags.

        ``system`` is a system message before it (or the name of a template file), ``template`` a file whose variable ``cell`` is
        the cell's rendered text, ``namespace`` holds variables that need not be passed to ``call``,
        ``first_line`` is the number of the text's first line where it was written, for errors; ``attached`` are the images and
        files that stand before the text of the user's last message; with ``fetches`` web addresses are fetched, and fixed by digest.
        """
        call = cls(None if system is None else _read_as_text(system), **model_params)
        call._cell, call._file, call._first_line = cell, None if template is None else Path(template), first_line
        call.namespace = namespace if namespace is not None else {}
        call._attached, call._fetches = tuple(attached), fetches
        call._read_prompty(call._file)
        return call

    def _read_prompty(self, template: str | Path | None) -> None:
        """Take over what a ``.prompty`` file says of the call, below what was said in code."""
        if template is None or not is_prompty(str(template)):
            return
        from ..prompts.prompty import read_prompty

        path = find_template(str(template), template_folders())
        file = read_prompty(path, os.environ if _trusts(path.parent) else None)
        for name in file.params.keys() & {*_CONTROLS, *CONTROLS, *TYPING, *TOOLING}:
            raise PromptError(f"`{name}` is no parameter of a model: it is said where the file is asked ({file.places[name]})")
        for warning in file.warnings:
            warn(warning)
        self._prompts[str(template)] = file
        params = {k: v for k, v in file.params.items() if k != "response_format" or "schema" not in self.model_params}
        self.model_params = {**({"model": file.model} if file.model else {}), **params, **self.model_params}

    def to_prompty(self, path: str | Path) -> Path:
        """Write the prompt, its model and parameters to a ``.prompty`` file; returns its path.

        Values of variables are not written, but for the defaults of a ``.prompty`` file. Raises ``OptionError``
        where the name does not end in ``.prompty``, a parameter is no plain value, or the prompt is a turn of a conversation.
        """
        if self.history:
            raise OptionError(
                "this prompt is a turn of a conversation", option="path", hint="`%llm_chat NAME export FILE` writes all of it."
            )
        if self._attached:
            raise OptionError("a .prompty file holds no --image and --file", option=self._attached[0].option, hint="Say {{ fig | image }}.")
        from ..prompts.prompty import write_prompty
        from ..prompts.role_lines import begin_with_role, write_role_lines

        finder = TemplateFinder()

        def write(template: str | Path, role: str) -> str:
            file = self._prompts.get(str(template))
            return begin_with_role(file.body) if file else write_role_lines(finder.find(template, "<template>").source, role)

        bodies = [write(t, role) for t, role in ((self.system_template_name, "system"), (self.user_template_name, "user")) if t is not None]
        if self._cell is not None and self._file is None:
            bodies.append(write_role_lines(self._cell))
        elif self._file is not None:
            bodies += [f"{{% set cell %}}{trim(self._cell or '')}{{% endset %}}", write(self._file, "user")]
        params = {k: v for k, v in spell_params(self.model_params).items() if k not in (*_CONTROLS, *CONTROLS)}
        names = sorted({n for part in self.templates() for n in part.variables - part.globals} - ({"cell"} if self._file else set()))
        known = {name: given for file in self._prompts.values() for name, given in file.inputs.items()}
        inputs = [known.get(name) or {"name": name, "kind": "string"} for name in names]
        write_prompty(Path(path), "\n\n".join(bodies), self.model_params.get("model"), plain_value(params), inputs)
        return Path(path)

    def render(self, **variables: Any) -> list[Message]:
        """The messages for these variables; raises ``PromptError`` (``UndefinedError`` for a missing variable)."""
        return list(self._render_prompt(layer(variables, self.namespace)).messages)

    def _render_prompt(self, known: Mapping[str, Any], finder: TemplateFinder | None = None) -> Prompt:
        finder = finder or TemplateFinder()
        prompts: list[Prompt] = []
        if self.system_template_name is not None:
            prompts.append(self._render_part(self.system_template_name, "<system>", known, finder, role="system"))
        if self.user_template_name is not None:
            prompts.append(self._render_part(self.user_template_name, "<user>", known, finder))
        if self._cell is not None:
            prompts += self._render_cell(known, finder)
        prompt = prompts[0] if len(prompts) == 1 and not self._attached else self._join(prompts, known, finder)
        if not prompt.messages:
            raise EmptyPromptError("the prompt is empty: it renders to no message", hint="Write some text, or a role block.")
        return prompt if not self.history else Prompt(follow(self.history, prompt.messages), prompt.notes)

    def _join(self, prompts: Sequence[Prompt], known: Mapping[str, Any], finder: TemplateFinder) -> Prompt:
        """One prompt of several, with the files that stand before the text of the user's last message."""
        parts = [part for attached in self._attached for part in attached.read(known, finder.folders, self._choose_fetch())]
        messages = attach((m for p in prompts for m in p.messages), [*parts, *(part for p in prompts for part in p.parts)])
        return Prompt(messages, tuple(dict.fromkeys(n for p in prompts for n in p.notes)))

    def call(self, **variables: Any) -> str | None:
        """Render, ask, keep ``messages``, ``model_output`` and ``response``, and return the text.

        ``None`` where the model only called tools (``response.tool_calls``) or refused. Raises
        ``PromptError`` before, ``ProviderError`` where there is no answer, ``SchemaError`` where it does not fit, ``ToolError``
        where a run of tools cannot go on.
        """
        return self.finish(self.prepare(**variables).answer())

    def prepare(self, **variables: Any) -> PreparedCall:
        """This call for these variables, ready to be made; ``messages`` are kept, nothing is sent."""
        prompt = self._render_prompt(layer(variables, self.namespace))
        prepared = self._prepare_prompt(prompt)
        self.messages = [m.to_dict() for m in prompt.messages]
        return prepared

    def prepare_row(self, variables: Mapping[str, Any], settings: Settings, finder: TemplateFinder) -> PreparedCall:
        """As ``prepare`` under given settings, asked for in one piece, but this object stays as it is."""
        return self._prepare_prompt(self._render_prompt(layer(variables, self.namespace), finder), settings).in_one_piece()

    def ask_like(self, prepared: PreparedCall, variables: Mapping[str, Any], finder: TemplateFinder) -> Request:
        """The request of a call that was prepared, for other variables: nothing but its messages depends on them."""
        return ask_instead(prepared.plan, self._render_prompt(layer(variables, self.namespace), finder).messages)

    def _prepare_prompt(self, prompt: Prompt, settings: Settings | None = None) -> PreparedCall:
        params = {k: v for k, v in self.model_params.items() if k not in _CONTROLS}
        controls = {k: self.model_params[k] for k in ("mode", "sample", "call") if k in self.model_params}
        client = self._make_file_client()
        model = self.model_params.get("model") if client is None else None
        try:
            prepared = session.prepare(prompt.messages, model, params, client=client, settings=settings, responses=True, **controls)
        except (OptionError, ConfigError) as error:
            self._add_place(error, error.option if isinstance(error, OptionError) else error.key)
            raise
        return prepared.with_notes(prompt.notes)

    def _make_file_client(self) -> Any:
        """The client of the address or key that a trusted ``.prompty`` file names; ``None`` where another model is asked."""
        file = next((f for f in self._prompts.values() if f.connection), None)
        if file is None or self.model_params.get("model") != file.model:
            return None
        table = {"model": session.settings().model, **file.connection}
        return session.client_at(ModelTable({"models": {file.path.name: table}}).route(registered=tuple(session.registered)))

    def _add_place(self, error: OptionError | ConfigError, name: str | None) -> None:
        """Say where the value that is wrong stands, where a ``.prompty`` file brought it."""
        for file in self._prompts.values():
            place = file.places.get(name or "", file.places.get((name or "").lower()))
            if place:
                error.args = (f"{error.message} ({place})",)
                return

    def with_params(self, **model_params: Any) -> LLMCall:
        """The same prompt with other parameters over its own; a new object without an answer."""
        other = copy.copy(self)
        other.model_params = {**self.model_params, **_read_types(model_params)}
        other.messages, other.model_output, other.response = [], None, None
        return other

    def after(self, history: Iterable[Message]) -> LLMCall:
        """The same prompt as the next turn of a conversation, behind these messages; a new object without an answer.

        A system message among them is left out where the prompt has one of its own.
        """
        other = self.with_params()
        other.history = tuple(history)
        return other

    varied = with_params  # its first name, which notebooks use

    def finish(self, response: Response) -> str | None:
        """Keep the response of a call that was prepared."""
        self.response = response
        self.model_output = response.to_dict()
        text = response.record.answer.text
        if text is None:
            logger.warning("%s", clean_message(f"the answer of {response.model} has no text (finish reason {response.finish_reason})"))
        return text

    def _render_part(
        self, template: str | Path, name: str, known: Mapping[str, Any], finder: TemplateFinder, *, role: str | None = None
    ) -> Prompt:
        file = self._prompts.get(str(template)) if self._prompts else None
        if file is None:
            return finder.find(template, name).render_prompt(known, cut=self._cut, trusts=_trusts, fetch=self._choose_fetch(), role=role)
        values, notes = file.fill(known, finder.folders)
        prompt = file.template(finder.folders).render_prompt(
            layer(known, values), cut=self._cut, trusts=_trusts, fetch=self._choose_fetch()
        )
        return Prompt(prompt.messages, (*notes, *prompt.notes))

    def _load_template(self, template: str | Path, name: str, finder: TemplateFinder) -> Template:
        file = self._prompts.get(str(template))
        return finder.find(template, name) if file is None else file.template(finder.folders)

    def _render_cell(self, known: Mapping[str, Any], finder: TemplateFinder) -> list[Prompt]:
        cell = finder.parse(self._cell or "", "<cell>", self._first_line)
        if self._file is None:
            return [cell.render_prompt(known, cut=self._cut, trusts=_trusts, fetch=self._choose_fetch())]
        text = cell.render_prompt(known, cut=self._cut, trusts=_trusts, fetch=self._choose_fetch(), role="user")
        said = [part for m in text.messages if isinstance(m.content, tuple) for part in m.content]
        above = {"cell": "\n".join(m.text for m in text.messages)}
        template = self._load_template(self._file, "<template>", finder)
        unused = bool(text.messages) and "cell" not in template.variables and not template.refers
        notes = (*text.notes, *([f"{template.name} does not name `cell`: the text of this cell was not sent"] if unused else []))
        return [
            Prompt((), notes, tuple(part for part in said if part["type"] != "text")),
            self._render_part(self._file, "<template>", layer(above, known), finder),
        ]

    def _choose_fetch(self) -> Callable[[str], FileText] | None:
        """What fetches a web address, where this call does."""
        return partial(session.fix_file, mode=self.model_params.get("mode")) if self._fetches else None

    def _cut(self, text: str, limit: int) -> str:
        """The start of a text that fits into this many tokens of the call's model."""
        return session.cut(text, limit, self.model_params.get("model"))

    def __getstate__(self) -> dict[str, Any]:
        """For another process: of the notebook's variables only those that the templates name go along.

        A template that includes files may name any: then all go that can.
        """
        return {**vars(self), "namespace": self._collect_needed()}

    def templates(self) -> list[Template]:
        """The templates, read; raises ``PromptError`` where a file is missing or where Jinja cannot read one."""
        finder = TemplateFinder()
        given = (("<system>", self.system_template_name), ("<user>", self.user_template_name), ("<cell>", self._file))
        parts = [self._load_template(text, name, finder) for name, text in given if text is not None]
        return parts + ([finder.parse(self._cell, "<cell>", self._first_line)] if self._cell is not None else [])

    def _collect_needed(self) -> dict[str, Any]:
        parts = self.templates()
        if not any(part.refers for part in parts):
            names = {n for part in parts for n in part.variables}
            names |= {n for attached in self._attached for n in attached.names()}
            return {n: self.namespace[n] for n in names if n in self.namespace}
        return {n: v for n, v in self.namespace.items() if not n.startswith("_") and _is_picklable(v)}

    def __repr__(self) -> str:
        def short(text: str | Path | None) -> str:
            return repr(None if text is None else shorten(mask(str(text)), 60))

        parts = [short(self._cell)] if self._cell is not None else []
        parts += [short(t) for t in (self.system_template_name, self.user_template_name) if t is not None]
        output = f", model_output={short(str(self.model_output))}" if self.model_output is not None else ""
        return (
            f"LLMCall({', '.join(parts)}, model_params={_SHORT.repr(mask_data(self.model_params))}, messages={len(self.messages)}{output})"
        )
