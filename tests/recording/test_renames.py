"""A store that follows its notebook to a new name."""

import os

import pytest
from records import ask, filled

from tinyllm_magic.errors import StoreError
from tinyllm_magic.recording.names import store_beside
from tinyllm_magic.recording.renames import follow_rename
from tinyllm_magic.recording.store import Store


@pytest.fixture
def notebooks(tmp_path):
    """An old and a new notebook; the old one has a store with two answers, the new one exists."""
    old, new = tmp_path / "Untitled.ipynb", tmp_path / "deep" / "analysis.ipynb"
    new.parent.mkdir()
    new.write_text("{}")
    filled(Store(store_beside(old)), "a", "b")
    return old, new


def test_a_store_moves_with_its_notebook(notebooks, tmp_path):
    old, new = notebooks
    follow_rename(old, new, tmp_path)
    assert len(Store(store_beside(new))) == 2
    assert not store_beside(old).exists()


def test_a_store_is_copied_where_the_old_notebook_stays(notebooks, tmp_path):
    old, new = notebooks
    old.write_text("{}")
    follow_rename(old, new, tmp_path)
    assert store_beside(old).read_bytes() == store_beside(new).read_bytes()


def test_what_is_known_of_its_batches_moves_with_a_notebook_before_anything_is_recorded(notebooks, tmp_path):
    old, new = notebooks
    store_beside(old).unlink()
    for name in ("Untitled.batches.json", "Untitled.batch-1f.jsonl", "Untitled2.batches.json"):
        (tmp_path / name).write_text(name)

    follow_rename(old, new, tmp_path)

    assert (new.parent / "analysis.batches.json").read_text() == "Untitled.batches.json"
    assert (new.parent / "analysis.batch-1f.jsonl").read_text() == "Untitled.batch-1f.jsonl"
    assert [path.name for path in tmp_path.glob("Untitled*")] == ["Untitled2.batches.json"]


def test_batches_that_the_new_name_has_are_not_overwritten(notebooks, tmp_path):
    old, new = notebooks
    for path in (old, new):
        path.with_suffix(".batches.json").write_text(path.stem)

    follow_rename(old, new, tmp_path)

    assert new.with_suffix(".batches.json").read_text() == "analysis"
    assert old.with_suffix(".batches.json").read_text() == "Untitled"


@pytest.mark.parametrize("stays", [False, True])
def test_blind_ratings_go_where_their_notebook_goes_and_overwrite_none(notebooks, tmp_path, stays):
    old, new = notebooks
    if stays:
        old.write_text("{}")
    old.with_suffix(".ratings.json").write_text("rated")

    follow_rename(old, new, tmp_path)

    assert new.with_suffix(".ratings.json").read_text() == "rated"
    assert old.with_suffix(".ratings.json").exists() is stays
    old.with_suffix(".ratings.json").write_text("others")
    follow_rename(old, new, tmp_path)
    assert (new.with_suffix(".ratings.json").read_text(), old.with_suffix(".ratings.json").read_text()) == ("rated", "others")


def test_two_stores_are_merged_and_lose_nothing(notebooks, tmp_path):
    old, new = notebooks
    filled(Store(store_beside(new)), "b", "c")
    follow_rename(old, new, tmp_path)
    assert sorted(Store(store_beside(new)).keys()) == sorted(ask(t).key for t in "abc")
    assert not store_beside(old).exists()


@pytest.mark.parametrize("new", ["../outside.ipynb", "analysis.txt", "missing.ipynb"])
def test_a_name_that_is_no_notebook_below_the_root_moves_nothing(notebooks, tmp_path, new):
    old, _ = notebooks
    (tmp_path.parent / "outside.ipynb").write_text("{}")
    (tmp_path / "analysis.txt").write_text("{}")
    before = store_beside(old).read_bytes()
    with pytest.raises(StoreError):
        follow_rename(old, tmp_path / new, tmp_path)
    assert store_beside(old).read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="needs links")
@pytest.mark.parametrize("which", ["notebook", "store", "folder"])
def test_a_link_is_refused(notebooks, tmp_path, which):
    old, new = notebooks
    outside = tmp_path.parent / f"outside-{which}"
    outside.mkdir()
    if which == "notebook":
        new.unlink()
        (outside / "n.ipynb").write_text("{}")
        new.symlink_to(outside / "n.ipynb")
    elif which == "store":
        store_beside(new).symlink_to(outside / "s.llm.jsonl")
    else:
        (tmp_path / "linked").symlink_to(outside)
        new = tmp_path / "linked" / "n.ipynb"
        new.write_text("{}")
    with pytest.raises(StoreError):
        follow_rename(old, new, tmp_path)
    assert [p.name for p in outside.iterdir() if p.name.endswith(".jsonl")] == []
    assert len(Store(store_beside(old))) == 2


def test_a_file_that_is_no_store_stays_where_it_is(notebooks, tmp_path):
    old, new = notebooks
    store_beside(old).write_bytes(b"hello")
    with pytest.raises(StoreError, match="is not a store"):
        follow_rename(old, new, tmp_path)
    assert (store_beside(old).read_bytes(), store_beside(new).exists()) == (b"hello", False)
