"""Files to attach."""

import pytest
from filemaker import document, picture


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photo.png").write_bytes(picture())
    (tmp_path / "bill.pdf").write_bytes(document())
    (tmp_path / "notes.txt").write_text("Milk\nBread\n", "utf-8")
    return tmp_path
