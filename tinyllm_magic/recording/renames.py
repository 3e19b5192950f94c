"""Lets a store follow its notebook when that is renamed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import StoreError
from .names import batch_files, batches_beside, ratings_beside, store_beside
from .store import Store, Tidied


def follow_rename(old: Path, new: Path, root: Path) -> Tidied | None:
    """Let the store of a notebook follow it to a new name: moved with it, copied where the old notebook stays, or merged.

    ``None`` where there is nothing to do. Nothing is overwritten. What is known of its batches moves where the old notebook is gone,
    blind ratings as the store does, but that two files of them stay two.
    Raises ``StoreError`` where the names are not those of notebooks below ``root``, where the new notebook is not there, and
    where something is a symbolic link.
    """
    old, new = old.absolute(), new.absolute()
    source, target = store_beside(old), store_beside(new)
    _check_names(old, new, root)
    if source == target:
        return None
    try:
        if not old.exists():
            _move_batches(source, target)
        _carry_ratings(old, new)
        if not source.exists():
            return None
        done = Store(target).merge(source) if target.exists() else _copy(source, target)
        if not old.exists():
            _remove(source, target)
    except OSError as error:
        raise StoreError(f"{source.name} cannot follow its notebook: {error.strerror}", path=str(source)) from error
    return done


def _move_batches(source: Path, target: Path) -> None:
    """Move what says of batches under way, the list of them last; where the new name has one, its cells find the batches without."""
    if batches_beside(target).exists():
        return
    stem = batches_beside(target).name.removesuffix(".batches.json")
    for path, ending in batch_files(source).items():
        if not path.is_symlink():
            path.rename(target.with_name(f"{stem}{ending}"))


def _carry_ratings(old: Path, new: Path) -> None:
    """Move the blind ratings, or copy them where the old notebook stays; where the new name has some, these are found beside them."""
    source, target = ratings_beside(old), ratings_beside(new)
    if source.is_symlink() or not source.is_file() or os.path.lexists(target):
        return
    if old.exists():
        with source.open("rb") as read, target.open("xb") as written:
            shutil.copyfileobj(read, written)
    else:
        source.rename(target)


def _copy(source: Path, target: Path) -> Tidied:
    count = len(Store(source))  # what is no store stays where it is
    with source.open("rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())
    shutil.copymode(source, target)
    return Tidied(kept=count)


def _remove(source: Path, target: Path) -> None:
    """Take away a store all of whose records stand in another."""
    store = Store(source)
    if not set(store.keys()) - set(Store(target).keys()):
        source.unlink()
        store.remove_lock()


def _check_names(old: Path, new: Path, root: Path) -> None:
    for path in (old, new):
        if path.suffix != ".ipynb" or not _is_below(path, root):
            raise StoreError(f"{path.name} is no notebook of this folder: its store stays where it is", path=str(path))
        for file in (path, store_beside(path)):
            if file.is_symlink():
                raise StoreError(f"{file.name} is a symbolic link: the store stays where it is", path=str(file))
    if not new.is_file():
        raise StoreError(f"there is no notebook {new.name}", path=str(new))


def _is_below(path: Path, root: Path) -> bool:
    return path.name not in (".", "..") and Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(root))
