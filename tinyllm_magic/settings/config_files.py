"""Reads one ``config.ini`` into checked values and tables of named models (``read_file``); sections of other programs stay texts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ..errors import suggest
from ..redaction import is_secret
from . import ini
from .definitions import BY_SPELLING, MODEL_KEYS, parse
from .fields import Secret, Setting, remove_quotes
from .origins import Origin, Source

PACKAGED_FILE = Path(__file__).with_name("config.ini")
_MODELS = "models."


@dataclass(frozen=True, eq=False)
class ConfigFile:
    """One file, read and checked; ``notes`` are warnings that a user should see once."""

    source: Source
    values: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


NO_FILE = ConfigFile(Source(Origin.PACKAGED))


@cache
def read_packaged() -> ConfigFile:
    """The defaults that come with the package."""
    return _read_data(PACKAGED_FILE.read_bytes(), str(PACKAGED_FILE), Origin.PACKAGED)


def read_file(path: str, origin: Origin) -> ConfigFile:
    """A file as it is now, the same object while it stays the same; raises ``ConfigError`` naming key, line or range."""
    data = ini.content(path)
    return NO_FILE if data is None else _read_data(data, path, origin)


def _is_ours(section: str) -> bool:
    return section.casefold() == "openai" or section.casefold().startswith(_MODELS)


@lru_cache(maxsize=32)
def _read_data(data: bytes, path: str, origin: Origin) -> ConfigFile:
    source = Source(origin) if origin is Origin.PACKAGED else Source(origin, path)
    found = ini.sections(path, data, _is_ours)
    if not any(_is_ours(s.name) for s in found) and any(s.fault for s in found):
        note = f"{origin} is left alone: it is no INI file, and names no section [OpenAI] and no [models.NAME]"
        return ConfigFile(source, notes=(note,))
    values: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}
    texts: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    for section in found:
        if section.name.casefold() == "openai":
            plain = _cut_comments(section.texts, BY_SPELLING)
            values |= {s.name: value for s, value in (parse(k, t, str(source)) for k, t in plain.items() if k in BY_SPELLING)}
            kept = {(BY_SPELLING[k].key.lower() if k in BY_SPELLING else k): t for k, t in plain.items() if not is_secret(k)}
            texts.setdefault("OpenAI", {}).update(kept)
            notes += [*_settings_notes(plain, source), *_comment_notes(section.texts, BY_SPELLING, values, source)]
        elif _is_ours(section.name):
            name, plain = section.name[len(_MODELS) :].strip(), _cut_comments(section.texts, MODEL_KEYS)
            models[name] = {key: _model_value(key, text, f"[models.{name}] in {source}") for key, text in plain.items()}
            texts[section.name] = plain
            notes += [*_model_notes(name, models[name], source), *_comment_notes(section.texts, MODEL_KEYS, models[name], source)]
        elif section.name:
            texts.setdefault(section.name, {}).update(_cut_comments(section.texts, {}))
    return ConfigFile(source, values, models, texts, tuple(notes))


def _cut_comments(texts: Mapping[str, str], known: Mapping[str, Setting]) -> dict[str, str]:
    """The texts without the comments at their ends; prose has none: a mark in it is text."""
    return {key: text if key in known and known[key].long else ini.cut_comment(text)[0] for key, text in texts.items()}


def _comment_notes(texts: Mapping[str, str], known: Mapping[str, Setting], values: Mapping[str, Any], source: Source) -> Iterator[str]:
    """Notes on texts that may hold a ``#`` or ``;`` of their own, where one was taken for a comment."""
    for key, text in texts.items():
        is_free = known[key].path if key in known else isinstance(values.get(key), str)
        if is_free and text[:1] not in tuple("\"'") and ini.cut_comment(text)[1]:
            yield f"{source.where}: in {key.upper()}, what follows # or ; is read as a comment; put the whole value in quotes to keep it"


def _settings_notes(texts: Mapping[str, str], source: Source) -> Iterator[str]:
    """Notes on the keys of an ``[OpenAI]`` section that are no settings."""
    for key in texts:
        if key in BY_SPELLING:
            continue
        if is_secret(key):
            yield f"{source.where}: {key.upper()} is not read from a file; put it into an environment variable and remove it there"
        elif alike := difflib.get_close_matches(key, BY_SPELLING, n=1, cutoff=0.8):
            yield f"{source.where}: {key.upper()} is not a setting and is ignored. {suggest([BY_SPELLING[alike[0]].key])}"


def _model_value(key: str, text: str, source: str) -> Any:
    if is_secret(key):
        return Secret(remove_quotes(text)) if text else None
    if key in MODEL_KEYS:
        return MODEL_KEYS[key].check(text, source)
    try:
        return json.loads(text, parse_constant=_refuse) if text else None
    except (ValueError, RecursionError):
        return remove_quotes(text)


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def _model_notes(name: str, table: Mapping[str, Any], source: Source) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Secret):
            yield f"{source.where}: [models.{name}] holds a key ({key}); name an environment variable with api_key_env instead"
        elif key not in MODEL_KEYS and (alike := difflib.get_close_matches(key, MODEL_KEYS, n=1, cutoff=0.85)):
            yield f"{source.where}: [models.{name}] has {key}, which is passed on as it is. {suggest(alike)}"
