"""A working directory and a user's configuration directory for the tests of settings."""

from pathlib import Path

import pytest
from settingsplace import Place

from tinyllm_magic.settings import layers


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "_warned", set())
    return Place(tmp_path)


@pytest.fixture
def reads(monkeypatch):
    seen = []
    plain = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: seen.append(self.name) or plain(self))
    return seen
