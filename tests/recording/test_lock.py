"""The lock between processes: where drives have none, where somebody holds it for ever, where it is no regular file."""

import errno
import os
import sys
import time

import pytest
from records import filled, make

from tinyllm_magic.recording.lock import StoreLock
from tinyllm_magic.recording.store import Store, StoreWarning

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs flock, links and pipes")


@pytest.fixture(params=[errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM], ids=errno.errorcode.get)
def no_flock(request, monkeypatch):
    """A drive on which flock is unavailable."""
    import fcntl

    def refuse(_file, _operation):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@needs_posix
@pytest.mark.parametrize("left", [False, True], ids=["no lock file", "a lock file from another drive"])
def test_a_drive_without_locks_records_all_the_same_and_says_nothing(store, no_flock, left):
    if left:
        store.path.with_name(f".{store.path.name}.lock").touch()
    filled(store, "a", "b")
    assert len(Store(store.path)) == 2
    assert not store.path.with_name(f".{store.path.name}.locked").exists()


@needs_posix
def test_a_marker_that_nobody_takes_away_is_waited_for_once(store, no_flock):
    impatient = Store(store.path, lock_timeout=0.3)
    with StoreLock(store.path, 1).held():
        with pytest.warns(StoreWarning, match=r"held by another process; if there is none, remove \.analysis\.llm\.jsonl\.locked"):
            assert not impatient.append(make("a"))
        began = time.monotonic()
        assert [impatient.append(make(f"b {n}")) for n in range(20)] == [False] * 20
        assert time.monotonic() - began < 3  # 20 waits would take six seconds
    assert impatient.append(make("c"))


@needs_posix
@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe"])
@pytest.mark.parametrize("name", [".analysis.llm.jsonl.lock", "analysis.llm.jsonl.rejected", "analysis.llm.jsonl"])
def test_a_link_or_pipe_in_the_place_of_a_file_of_ours_is_one_warning(store, tmp_path, name, kind):
    precious = tmp_path / "precious"
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        if kind == "link":
            precious.write_bytes(b"")
        (tmp_path / name).symlink_to(precious)
    if name.endswith(".rejected"):
        store.path.write_bytes(b'{"format":"tinyllm_magic store","version":1}\n{"key":"k1:torn')
    with pytest.warns(StoreWarning, match="cannot be written") as said:
        assert [store.append(make("a")), store.append(make("b"))] == [False, False]
    assert len(said) == 1
    assert ("pipe" if kind == "pipe" else "link") in str(said[0].message)
    assert (precious.read_bytes() if kind == "link" else precious.exists()) in (b"", False)


@needs_posix
def test_records_cleared_follow_no_link(store, tmp_path):
    filled(store, "a")
    (tmp_path / "precious").write_bytes(b"")
    store.cleared.symlink_to(tmp_path / "precious")
    from tinyllm_magic.errors import StoreError

    with pytest.raises(StoreError, match="symbolic link"):
        store.clear()
    assert ((tmp_path / "precious").read_bytes(), len(store)) == (b"", 1)


def test_a_lock_that_is_free_again_is_waited_for_again(store):
    lock = StoreLock(store.path, 0.05)
    with StoreLock(store.path, 1).held(), pytest.raises(TimeoutError), lock.held():
        pass
    assert lock._is_stuck
    with lock.held():
        pass
    assert not lock._is_stuck


def test_in_a_web_page_nothing_is_locked(store, monkeypatch):
    monkeypatch.setattr(sys, "platform", "emscripten")
    filled(store, "a")
    store.tidy()
    assert not [*store.path.parent.glob(".*.lock*")]
