"""Where a call looks for its answer: the own store, the others beside it, another address."""

import os
from dataclasses import replace

import pytest
from records import ask, filled, make

from tinyllm_magic.errors import StoreError
from tinyllm_magic.recording.lookup import Lookup, Siblings
from tinyllm_magic.recording.modes import Mode
from tinyllm_magic.recording.store import Store, StoreWarning
from tinyllm_magic.responses import Answer, Record


@pytest.fixture
def sibling(store):
    """Another store of the folder that holds the answer to ``ask()``."""
    other = Store(store.path.with_name("Untitled.llm.jsonl"))
    filled(other, "Hello")
    return other


def lookup(store, mode=Mode.AUTO, *, copies=True, **more):
    return Lookup(store, mode, siblings=Siblings(store.path), copies=copies, **more)


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.REPLAY])
def test_an_answer_of_a_sibling_names_its_file(store, sibling, mode):
    found = lookup(store, mode).get(ask())
    assert (found.answer.text, found.answer.notes) == ("Hi", ("found in Untitled.llm.jsonl",))


def test_what_a_sibling_answers_in_auto_is_copied_as_it_is(store, sibling):
    lookup(store).get(ask())
    assert Store(store.path).get(ask().key) == sibling.get(ask().key)


def test_what_is_copied_takes_the_facts_of_its_header_along_and_changes_no_own_one(store, sibling):
    sibling.remember(api_type="openai", model="m", endpoint="http://gateway/v1")
    sibling.tidy()
    store.remember(model="own")
    lookup(store).get(ask())
    assert Store(store.path).header == {"api_type": "openai", "model": "own", "endpoint": "http://gateway/v1"}


@pytest.mark.parametrize(("mode", "copies"), [(Mode.REPLAY, True), (Mode.AUTO, False)])
def test_a_replay_and_a_kernel_without_a_notebook_copy_nothing(store, sibling, mode, copies):
    assert lookup(store, mode, copies=copies).get(ask()) is not None
    assert not store.path.exists()


class Unsearched(Siblings):
    """Stores beside a store at which nobody may look."""

    def find(self, key, request):
        raise AssertionError(f"a sibling was looked at for {key}")


def test_the_own_answer_comes_first_and_no_sibling_is_looked_at(store):
    filled(store, "Hello")
    found = Lookup(store, Mode.AUTO, siblings=Unsearched(store.path)).get(ask())
    assert found == store.get(ask().key)


def test_who_only_reads_copies_nothing(store, sibling):
    assert lookup(store).get(ask(), only_reads=True) is not None
    assert not store.path.exists()


def test_to_ask_whether_an_answer_is_there_writes_nothing(store, sibling):
    assert ask() in lookup(store)
    assert ask("other") not in lookup(store)
    assert not store.path.exists()


def at(address, text="Hello"):
    return replace(ask(text), provider=f"openai:{address}" if address else "openai")


def record_at(store, address, said="Hi", *, text="Hello", created="2026-01-01T00:00:00.000Z"):
    request = at(address, text)
    store.append(Record(request.key, request.canonical(), Answer(text=said, finish_reason="stop"), created))


@pytest.mark.parametrize(("recorded", "asked"), [("http://gateway/v1", ""), ("", "http://gateway/v1"), ("http://a", "http://b")])
def test_the_same_request_at_another_address_answers(store, recorded, asked):
    record_at(store, recorded)
    found = lookup(store, Mode.REPLAY, any_address=True).get(at(asked))
    assert found.answer.text == "Hi"
    assert found.answer.notes[0].startswith("recorded at ")


def test_the_exact_address_comes_first(store):
    record_at(store, "http://a", "elsewhere")
    record_at(store, "", "here")
    assert lookup(store, any_address=True).get(at("")).answer.text == "here"


def test_of_two_other_addresses_the_one_that_the_header_remembers_answers(store):
    record_at(store, "http://a", "old")
    record_at(store, "http://b", "new")
    store.remember(endpoint="http://b")
    assert lookup(store, Mode.REPLAY, any_address=True).get(at("")).answer.text == "new"


def test_of_two_other_addresses_none_answers(store):
    record_at(store, "http://a")
    record_at(store, "http://b")
    assert lookup(store, Mode.REPLAY, any_address=True).get(at("")) is None


def test_an_answer_of_a_store_beside_that_was_recorded_at_another_address_names_both(store, sibling):
    record_at(sibling, "http://gateway/v1", "more", text="More")
    found = lookup(store, Mode.REPLAY, any_address=True).get(at("http://here", "More"))
    assert (found.answer.text, found.answer.notes) == ("more", ("found in Untitled.llm.jsonl", "recorded at http://gateway/v1"))


def test_of_two_other_addresses_in_a_store_beside_none_answers(store, sibling):
    record_at(sibling, "http://gateway/v1", "elsewhere")
    assert lookup(store, Mode.REPLAY, any_address=True).get(at("http://here")) is None


def test_the_own_answer_at_another_address_comes_before_those_beside_it(store, sibling):
    record_at(store, "http://a", "own")
    assert lookup(store, Mode.REPLAY, any_address=True).get(at("http://here")).answer.text == "own"


def test_of_several_answers_beside_at_one_other_address_the_latest_counts(store):
    for name, created in (("b", "2026-02-01T00:00:00.000Z"), ("c", "2026-01-01T00:00:00.000Z")):
        record_at(Store(store.path.with_name(f"{name}.llm.jsonl")), "http://a", name, created=created)
    assert lookup(store, Mode.REPLAY, any_address=True).get(at("")).answer.text == "b"


def test_another_kind_of_provider_never_answers(store):
    record_at(store, "http://a")
    asked = replace(ask(), provider="azure:http://a")
    assert lookup(store, Mode.REPLAY, any_address=True).get(asked) is None


def test_an_address_that_decides_is_not_exchanged(store):
    record_at(store, "http://a")
    assert lookup(store, any_address=False).get(at("")) is None


def test_a_file_that_is_no_store_is_one_warning_and_no_answer(store):
    store.path.write_bytes(b"\x80\x04}q\x00.")
    with pytest.warns(StoreWarning, match="is not a store of recorded answers but a Python pickle") as said:
        assert [lookup(store).get(ask()), lookup(store).get(ask("b"))] == [None, None]
    assert len(said) == 1
    with pytest.raises(StoreError, match="a Python pickle"):
        lookup(store, Mode.REPLAY).get(ask())
    assert store.path.read_bytes() == b"\x80\x04}q\x00."


def beside(store, name):
    return Store(store.path.with_name(f"{name}.llm.jsonl"))


def find(store, text="Hello"):
    return Siblings(store.path).find(ask(text).key, ask(text).canonical())


def test_an_answer_is_found_in_another_store_of_the_folder(store):
    (record,) = filled(beside(store, "Untitled"), "Hello")
    found = find(store)
    assert found is not None
    assert (found[0], found[1].path.name) == (record, "Untitled.llm.jsonl")


def test_the_latest_answer_wins_whatever_the_times_of_the_files(store):
    later, earlier = beside(store, "a"), beside(store, "b")
    later.append(make(said="later", created="2026-01-01T00:00:00.000Z"))
    earlier.append(make(said="earlier", created="2025-01-01T00:00:00.000Z"))
    os.utime(later.path, (0, 0))
    found = find(store)
    assert found is not None
    assert (found[0].answer.text, found[1].path.name) == ("later", "a.llm.jsonl")


def test_of_two_answers_as_late_the_first_file_by_name_wins(store):
    for name in ("c", "b"):
        beside(store, name).append(make(said=name))
    found = find(store)
    assert found is not None
    assert found[1].path.name == "b.llm.jsonl"


def test_the_own_store_is_no_sibling(store):
    filled(store, "Hello")
    assert find(store) is None


def test_what_is_recorded_after_the_first_search_is_found(store):
    siblings = Siblings(store.path)
    assert siblings.find(ask().key, ask().canonical()) is None
    filled(beside(store, "late"), "Hello")
    assert siblings.find(ask().key, ask().canonical()) is not None


@pytest.mark.skipif(os.name == "nt", reason="needs links and pipes")
def test_links_pipes_folders_and_other_files_are_left_out(store, tmp_path):
    elsewhere = Store(tmp_path / "place" / "far.llm.jsonl")
    filled(elsewhere, "Hello")
    (tmp_path / "link.llm.jsonl").symlink_to(elsewhere.path)
    os.mkfifo(tmp_path / "pipe.llm.jsonl")
    (tmp_path / "folder.llm.jsonl").mkdir()
    (tmp_path / "other.llm.jsonl").write_bytes(b"\x80\x04}.")
    assert find(store) is None


def test_headers_that_agree_are_remembered_and_others_are_not(store):
    for name in ("a", "b"):
        one = beside(store, name)
        one.remember(api_type="openai", model="m")
        filled(one, name)
    assert Siblings(store.path).header() == {"api_type": "openai", "model": "m"}
    third = beside(store, "c")
    third.remember(api_type="local", model="tiny")
    filled(third, "c")
    assert Siblings(store.path).header() == {}
