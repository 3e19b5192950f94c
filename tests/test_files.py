"""Files are replaced whole, and only regular ones are opened."""

import os
import sys

import pytest

from tinyllm_magic.files import append_whole, open_regular, replace_whole

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")


@pytest.fixture
def specials(tmp_path):
    """A link to a file, a link to nothing, a pipe and a folder."""
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    return tmp_path


@needs_posix
@pytest.mark.parametrize("mode", ["rb", "ab", "a+b"])
@pytest.mark.parametrize(
    ("name", "what"), [("link", "symbolic link"), ("dangling", "symbolic link"), ("pipe", "pipe"), ("folder", "folder")]
)
def test_what_is_no_regular_file_is_refused_at_once_and_nothing_is_made(specials, mode, name, what):
    before = sorted(specials.iterdir())
    with pytest.raises(OSError, match=what):
        open_regular(specials / name, mode)
    assert sorted(specials.iterdir()) == before
    assert (specials / "precious").read_bytes() == b"precious"


@needs_posix
def test_a_link_that_is_put_in_place_after_the_look_is_not_followed(specials, monkeypatch):
    monkeypatch.setattr("tinyllm_magic.files.require_regular", lambda path: None)
    with pytest.raises(OSError, match="link"):
        open_regular(specials / "link", "ab")
    with pytest.raises(OSError, match="pipe"):
        open_regular(specials / "pipe", "rb")


def test_a_file_is_made_read_and_grown(tmp_path):
    path = tmp_path / "new"
    with open_regular(path, "a+b") as file:
        append_whole(file, b"one")
    with open_regular(path) as file:
        assert file.read() == b"one"


def test_a_replaced_file_has_its_new_text_and_its_old_permissions(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    replace_whole(path, [b"new ", b"text"])
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new text", 0o640)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def lines():
        yield b"new"
        raise RuntimeError("out of lines")

    with pytest.raises(RuntimeError):
        replace_whole(path, lines())
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["file"]


def test_a_failure_leaves_no_new_file(tmp_path):
    with pytest.raises(TypeError):
        replace_whole(tmp_path / "file", ["no bytes"])
    assert [p for p in tmp_path.iterdir() if p.is_file()] == []
