"""Reads and writes ``.prompty`` files: a prompt after YAML that says its model, parameters and inputs.

Both forms of the format are read: ``model`` with ``configuration`` and ``parameters``, and ``model`` with
``connection`` and ``options``. The second is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..files import replace_whole
from .front_matter import FrontMatter, Keys, read_front_matter, write_yaml
from .json_schema import build_schema, list_properties
from .role_lines import tag_role_lines
from .template import Template

_OPTIONS = {  # what the second form calls the parameters of a chat call
    "temperature": "temperature",
    "maxOutputTokens": "max_tokens",
    "topP": "top_p",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "seed": "seed",
    "stopSequences": "stop",
    "allowMultipleToolCalls": "parallel_tool_calls",
}
_PROVIDERS = {"azure_openai": "azure", "foundry": "azure", "serverless": "openai"}  # by the names of a named model's table
_MODELS = ("azure_deployment", "name", "model")
_ENDPOINTS = ("azure_endpoint", "endpoint", "base_url")
_KEYS = ("api_key", "apiKey")
_CALLERS = frozenset(("stream", "n"))  # how an answer is shown and how many are drawn is said where the file is asked
_MEDIA = ("image", "audio", "file")
_MOST_KEYS = 5  # that a warning lists


@dataclass(frozen=True)
class PromptyFile:
    """A prompt with what its file says of the call.

    ``inputs`` are its variables by name, each with its kind and default, ``samples`` stand for those that have no
    default; ``params`` are those of a chat call, ``places`` says where each stands; ``connection`` is the table of
    a named model, empty where the file chooses no address; ``warnings`` say what was not followed.
    """

    path: Path
    body: str
    first_line: int
    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    samples: Mapping[str, Any] = field(default_factory=dict)
    connection: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def template(self, folders: Sequence[Path]) -> Template:
        """The prompt's template; it finds other files beside its own, then in ``folders``."""
        threads = tuple(name for name, given in self.inputs.items() if given.get("kind") == "thread")
        return _parse(tag_role_lines(self.body, threads), self.path, self.first_line, tuple(folders))

    def fill(self, given: Mapping[str, Any], folders: Sequence[Path]) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The variables that stand for those that nobody gives, and notes on those that are only samples."""
        defaults = {name: known["default"] for name, known in self.inputs.items() if known.get("default") is not None}
        defaults |= {name: () for name, known in self.inputs.items() if known.get("kind") == "thread" and name not in defaults}
        wanted = self.template(folders).variables - given.keys() - defaults.keys()
        samples = {name: value for name, value in self.samples.items() if name in wanted}
        return {**samples, **defaults}, tuple(f"`{name}` was not given: the sample of {self.path.name} was sent" for name in samples)


@lru_cache(maxsize=64)
def _parse(source: str, path: Path, first_line: int, folders: tuple[Path, ...]) -> Template:
    return Template(source, name=path.name, folders=(path.parent, *folders), first_line=first_line, role_lines=True)


def read_prompty(path: Path, environ: Mapping[str, str] | None = None) -> PromptyFile:
    """The prompt in a file; raises ``PromptError`` with the line of what cannot be read, or asked as a chat.

    ``environ`` is what ``${env:…}`` reads. ``None`` says that the file is not trusted: it chooses neither address
    nor key, and no reference in it is followed.
    """
    matter = _spell_out_model(read_front_matter(path).resolve(environ))
    _demand_chat(matter)
    inputs = _read_inputs(matter)
    model, connection = _read_connection(matter)
    params = {**_read_params(matter), **_read_tools(matter), **_read_outputs(matter)}
    return PromptyFile(
        path=path,
        body=matter.body,
        first_line=matter.first_line,
        inputs={given["name"]: given for given in inputs},
        model=model,
        params={name: value for name, (value, _) in params.items()},
        places={name: matter.place(*keys) for name, (_, keys) in params.items()},
        samples={**matter.mapping("sample"), **{p["name"]: p["sample"] for p in inputs if p.get("sample") is not None}},
        connection={} if environ is None else connection,
        warnings=(*_warn_ignored(matter, connection if environ is None else {}), *_warn_left_out(matter)),
    )


_Params = dict[str, tuple[Any, Keys]]  # each with where it stands


def _spell_out_model(matter: FrontMatter) -> FrontMatter:
    """The same with a model's name alone as the table that it stands for."""
    name = matter.values.get("model")
    return replace(matter, values={**matter.values, "model": {"id": name}}) if isinstance(name, str) else matter


def _demand_chat(matter: FrontMatter) -> None:
    """Raise ``PromptError`` for what is no chat, or no Jinja template."""
    model = matter.mapping("model")
    for key in ("api", "apiType"):
        if model.get(key) not in (None, "chat", "responses"):
            raise matter.fail(f"`{key}: {model[key]}` is no chat: only chats are asked here", "model", key)
    form = matter.values.get("template")
    if isinstance(form, Mapping):
        form = form.get("format") or form.get("type")
    form = form.get("kind") if isinstance(form, Mapping) else form
    if form not in (None, "jinja2", "jinja"):
        raise matter.fail(
            f"the template is written in {form}, not in jinja2", "template", hint="Write `{{ name }}`, `{% for %}`, `{% if %}`."
        )
    if matter.values.get("base"):
        raise matter.fail("`base` is not read: a prompt file stands for itself", "base", hint="Copy what the file needs from its base.")


def _read_inputs(matter: FrontMatter) -> list[Mapping[str, Any]]:
    inputs = list_properties(matter.values.get("inputs"))
    for given in inputs:
        if given.get("kind") in _MEDIA:
            raise matter.fail(f"the input {given['name']!r} is of kind {given['kind']}: only text and threads are filled in", "inputs")
    return inputs


def _read_connection(matter: FrontMatter) -> tuple[str | None, Mapping[str, Any]]:
    """The model's name, and the table of a named model where an address or key is said."""
    model = matter.mapping("model")
    given = {**matter.mapping("model", "configuration"), **matter.mapping("model", "connection")}
    name = model.get("id") or next((given[key] for key in _MODELS if given.get(key)), None)
    provider = str(model.get("provider") or given.get("type") or "openai")
    table = {
        "provider": _PROVIDERS.get(provider, provider),
        "base_url": next((given[key] for key in _ENDPOINTS if given.get(key)), None),
        "api_key": next((given[key] for key in _KEYS if given.get(key)), None),
        "api_version": given.get("api_version") or given.get("apiVersion"),
        "model": name,
        "api": "responses" if "responses" in (model.get("api"), model.get("apiType")) else None,
    }
    named = {key: str(value) for key, value in table.items() if value}
    return None if name is None else str(name), named if {"base_url", "api_key"} & named.keys() else {}


def _read_params(matter: FrontMatter) -> _Params:
    """The parameters of a chat call, in the words of either form."""
    first, second = matter.mapping("model", "parameters"), matter.mapping("model", "options")
    found: _Params = {name: (value, ("model", "parameters", name)) for name, value in first.items() if name not in _CALLERS}
    for name, value in second.items():
        place: Keys = ("model", "options", name)
        if name == "additionalProperties":
            found |= {inner: (v, (*place, inner)) for inner, v in matter.mapping(*map(str, place)).items() if inner not in _CALLERS}
        elif name == "topK":
            found["extra_body"] = ({"top_k": value}, place)
        else:
            found[_OPTIONS.get(name, name)] = (value, place)
    return {name: (value, place) for name, (value, place) in found.items() if value is not None}


def _read_tools(matter: FrontMatter) -> _Params:
    """The functions that the model is told of; nothing here runs one."""
    tools = [_describe_function(tool) for tool in _list_tools(matter) if tool.get("kind", "function") == "function"]
    return {"tools": (tools, ("tools",))} if tools else {}


def _list_tools(matter: FrontMatter) -> list[Mapping[str, Any]]:
    given = matter.values.get("tools") or []
    if not isinstance(given, list) or not all(isinstance(tool, Mapping) for tool in given):
        raise matter.fail("`tools` takes a list of tools, each with its name and kind", "tools")
    return given


def _describe_function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A function as a chat call names it, without the parameters that the file binds."""
    if isinstance(tool.get("function"), Mapping):
        return tool
    bound = tool.get("bindings") or {}
    free = [p for p in list_properties(tool.get("parameters")) if p["name"] not in bound]
    strict = bool(tool.get("strict"))
    known = {"name": tool.get("name"), "description": tool.get("description"), "parameters": build_schema(free, strict=strict)}
    return {"type": "function", "function": {**{k: v for k, v in known.items() if v}, **({"strict": True} if strict else {})}}


def _read_outputs(matter: FrontMatter) -> _Params:
    """The schema of the answer; the first form's outputs are words for the reader."""
    outputs = [p for p in list_properties(matter.values.get("outputs")) if "kind" in p]
    if not outputs:
        return {}
    schema = {"name": "structured_output", "strict": True, "schema": build_schema(outputs, strict=True)}
    return {"response_format": ({"type": "json_schema", "json_schema": schema}, ("outputs",))}


def _warn_ignored(matter: FrontMatter, connection: Mapping[str, Any]) -> Iterator[str]:
    """A warning on what a file that is not trusted may not choose; it never shows a value."""
    address = {"base_url": "the endpoint", "api_key": "the key"}
    ignored = [*matter.ignored[:_MOST_KEYS], *(words for key, words in address.items() if key in connection)]
    ignored += ["others"] if len(matter.ignored) > _MOST_KEYS else []
    if ignored:
        yield (
            f"{matter.path.name}: {', '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} ignored, for its folder is not trusted. "
            "If you trust it, run `%llm_config trust` there once."
        )


def _warn_left_out(matter: FrontMatter) -> Iterator[str]:
    for tool in _list_tools(matter):
        if tool.get("kind", "function") != "function":
            yield f"{matter.path.name}: the tool {tool.get('name')} is left out, for it is of kind {tool['kind']}"


def write_prompty(path: Path, body: str, model: str | None, params: Mapping[str, Any], inputs: Sequence[Mapping[str, Any]]) -> None:
    """Write a prompt whose ``body`` has role lines; ``inputs`` are its variables, each with name and kind.

    Raises ``OptionError`` where the name does not end in ``.prompty`` or a value cannot be written.
    """
    if path.suffix != ".prompty":
        raise OptionError(f"the name of a prompt file ends in .prompty: {path.name}", option="path")
    known = {theirs: params[ours] for theirs, ours in _OPTIONS.items() if ours in params}
    others = {name: value for name, value in params.items() if name not in _OPTIONS.values()}
    options = known | ({"additionalProperties": others} if others else {})
    values = {
        "name": path.stem,
        "model": {"id": model, "apiType": "chat", "options": options},
        "inputs": [dict(given) for given in inputs],
        "template": {"format": {"kind": "jinja2"}, "parser": {"kind": "prompty"}},
    }
    text = f"---\n{write_yaml(_drop_empty(values), path)}---\n{body}\n"
    try:
        replace_whole(path, [text.encode()])
    except OSError as error:
        raise OptionError(f"{path.name} cannot be written: {error.strerror}", option="path") from error


def _drop_empty(value: Any) -> Any:
    """The value without keys that say nothing."""
    if isinstance(value, list):
        return [_drop_empty(v) for v in value]
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in ((k, _drop_empty(v)) for k, v in value.items()) if v is not None and v not in ({}, [])}
