"""Template files for the tests of prompts."""

import pytest


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, content in files.items():
            (tmp_path / f"{name}.j2").write_text(content, encoding="utf-8")
        return [tmp_path]

    return write
