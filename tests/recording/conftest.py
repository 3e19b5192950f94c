"""A store in an empty folder."""

import pytest

from tinyllm_magic.recording.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "analysis.llm.jsonl")
