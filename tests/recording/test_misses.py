"""The nearest recorded request, and what differs."""

import json
from dataclasses import replace

import pytest
from records import Untouched, ask, filled, make

from tinyllm_magic import Message
from tinyllm_magic.clients.plans import choose_advice
from tinyllm_magic.errors import ReplayMiss
from tinyllm_magic.recording.codec import decode, encode
from tinyllm_magic.recording.lookup import Lookup, Siblings
from tinyllm_magic.recording.misses import explain_miss
from tinyllm_magic.recording.modes import Mode
from tinyllm_magic.recording.recorder import RecordingProvider
from tinyllm_magic.recording.store import Store
from tinyllm_magic.responses import Answer, Record
from tinyllm_magic.settings.layers import load
from tinyllm_magic.settings.origins import Origin


def test_nearest_is_the_one_with_the_fewest_differences_then_the_most_alike(store):
    report = "Summarise the report of 2025-11-21 about the harbour."
    filled(store, "Tell me a joke about cats.", report, "Translate: the quick brown fox.")
    store.append(make(report, model="gpt-5"))
    assert store.nearest(ask(report.replace("11-21", "12-24")).canonical()) == make(report)
    assert store.nearest(ask(report, model="gpt-5", params={"temperature": 0}).canonical()) == make(report, model="gpt-5")


def test_the_nearest_is_found_among_thousands(store):
    lines = [encode(make(f"Question {i} about {'harbours ships sails ' * 20}{i * 7919 % 10007}")) for i in range(2_000)]
    filled(store, "first")
    with store.path.open("ab") as file:
        file.writelines(lines)
    len(store)
    wanted = decode(lines[777])
    asked = json.loads(json.dumps(wanted.request).replace("Question 777", "Question 777 now"))
    assert store.nearest(asked) == wanted


def missed(store, request):
    with pytest.raises(ReplayMiss) as caught:
        list(RecordingProvider(Untouched(), store, Mode.REPLAY).send(request))
    return caught.value


def test_a_miss_shows_the_nearest_request_what_changed_and_why(store):
    text = "Please summarise, in two sentences, the report of {} about the harbour and its ships."
    filled(store, "Tell me a joke", text.format("2025-11-21T09:00:00"))
    miss = missed(store, ask(text.format("2026-01-02T03:04:05"), params={"temperature": 0.7}))
    shown = str(miss)
    assert "no recorded answer for this request in analysis.llm.jsonl (2 recorded answers, mode replay)" in shown
    assert "gpt-4o-mini: Please summarise, in two sentences, the…" in shown
    assert "messages[1].content (user): …ences, the report of 202[5-11-21T09:00:00] about the harbour and i…\n" in shown
    assert "    → …ences, the report of 202[6-01-02T03:04:05] about the harbour and i…\n" in shown
    assert "This looks like a timestamp: pass it as a variable" in shown
    assert "temperature: (not set) → 0.7\n    A new parameter." in shown
    assert "%llm_cache mode auto" in shown
    assert "%llm_cache list" in shown
    assert str(store.path.parent) not in shown
    assert miss.nearest == make(text.format("2025-11-21T09:00:00")).request
    assert miss.request.params == {"temperature": 0.7}
    assert len(miss.difference) == 5


@pytest.mark.parametrize(
    ("old", "new", "guess"),
    [
        ("run 5f2b8c1e-9a34-4d2e-8b1f-0123456789ab", "run 7a1b8c1e-1a34-4d2e-8b1f-ba9876543210", "a UUID"),
        ("<Foo at 0x7f8a1c2b3d40>", "<Foo at 0x7fffffffffff>", "a memory address"),
        ("read /tmp/abc123/x.csv please", "read /tmp/zzz/x.csv please", "a temporary path"),
        ("now 09:15:01", "now 17:00:59", "a timestamp"),
        ("on 21 November 2025", "on 2 January 2026", "a timestamp"),
        ("at 1763715600.25", "at 1763719999.5", "a timestamp"),
        ("on 2025-11-21 in /tmp/a1/b", "on 2025-11-22 in /tmp/c2/d", "a temporary path and a timestamp"),
        ("two  words", "two words", "Only white space"),
        ("about cats", "about dogs", None),
        ("one of {'b', 'a', 'c'}", "one of {'a', 'c', 'b'}", "The same pieces in another order"),
        ("dict_keys(['x', 'y'])", "dict_keys(['y', 'x'])", "The same pieces in another order"),
        ("red, green and blue", "blue, red and green", "The same pieces in another order"),
        ("id -4417294071153452339", "id 8219340917230498123", "a hash() or a random number"),
        ("share 0.8444218515250481", "share 0.7579544029403025", "a hash() or a random number"),
        ("on 2025-11-21 about cats", "on 2025-11-22 about dogs", None),
    ],
)
def test_a_guess_names_what_makes_a_prompt_unstable(old, new, guess):
    lines = explain_miss(ask(new), ask(old).canonical())
    assert len(lines) == (3 if guess else 2)
    assert guess is None or guess in lines[2]


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (ask(model="gpt-5"), ("model: 'gpt-4o-mini' → 'gpt-5'", "  This is another model.")),
        (replace(ask(), provider="local"), ("provider: 'openai' → 'local'", "  This is another provider.")),
        (
            replace(ask(), provider="openai:http://gateway/v1"),
            (
                "provider: 'openai' → 'openai:http://gateway/v1'",
                "  Another address: set the one that it was recorded at (BASE_URL, OPENAI_BASE_URL, or base_url of the model's table).",
            ),
        ),
        (ask().with_sample(2), ("sample: (not set) → 2", "  Another draw of the same question: this sample is not recorded.")),
        (ask(params={"stop": ["x"]}), ("stop[0]: (not set) → 'x'", "  A new parameter.")),
        (replace(ask(), messages=(*ask().messages, Message("user", "more"))), ("messages: 2 → 3 in number",)),
    ],
    ids=["model", "provider", "address", "sample", "parameter", "messages"],
)
def test_each_kind_of_change_has_its_words(asked, lines):
    assert explain_miss(asked, ask().canonical()) == lines


def test_a_parameter_that_is_gone_is_said_so():
    assert explain_miss(ask(), ask(params={"top_p": 1}).canonical()) == ("top_p: 1 → (not set)", "  A parameter that is no longer sent.")


def test_a_long_change_is_cut(store):
    line, after = explain_miss(ask("a" * 5000 + "x" * 900 + "b" * 5000), ask("a" * 5000 + "y" * 900 + "b" * 5000).canonical())
    assert max(len(line), len(after)) < 200


def test_a_secret_is_masked_in_a_miss(store, monkeypatch):
    filled(store, "use none")
    monkeypatch.setenv("A_TOKEN", "xyzzy-plugh-42")
    shown = str(missed(store, ask("use xyzzy-plugh-42")))
    assert "xyzzy" not in shown
    assert "<A_TOKEN>" in shown


def test_a_missing_an_empty_and_no_store_have_words_of_their_own(store):
    missing = missed(store, ask())
    assert "the store analysis.llm.jsonl is missing" in str(missing)
    assert "Put analysis.llm.jsonl beside the notebook" in str(missing)
    assert str(store.path.parent) not in str(missing)
    filled(store, "a")
    store.clear()
    assert "analysis.llm.jsonl is empty" in str(missed(store, ask()))
    assert "no store is in use" in str(missed(None, ask()))


def missed_beside(store, request):
    """The miss of a strict replay that looks in the stores beside its own, too."""
    lookup = Lookup(store, Mode.REPLAY, siblings=Siblings(store.path), any_address=True)
    with pytest.raises(ReplayMiss) as caught:
        list(RecordingProvider(Untouched(), store, Mode.REPLAY, lookup=lookup).send(request))
    return caught.value


def beside(store, name):
    return Store(store.path.with_name(f"{name}.llm.jsonl"))


def test_a_miss_of_a_renamed_notebook_names_the_store_beside_it_and_its_nearest_request(store):
    (known,) = filled(beside(store, "Untitled"), "Tell me about the harbour.")
    miss = missed_beside(store, ask("Tell me about the harbours."))
    shown = str(miss)
    assert "no recorded answer for this request in Untitled.llm.jsonl (mode replay; the store analysis.llm.jsonl is missing)" in shown
    assert f"The nearest recorded request is {known.key[:15]}… (gpt-4o-mini: Tell me about the harbour.), in Untitled.llm.jsonl:" in shown
    assert miss.nearest == known.request
    assert "Put analysis.llm.jsonl beside" not in shown


def test_of_all_stores_the_nearest_request_is_shown_and_the_own_one_where_they_are_as_near(store):
    filled(store, "Tell me a joke.", "Translate: a fox.")
    filled(beside(store, "b"), "Tell me about the harbour.", "Translate: a fox.")
    filled(beside(store, "c"), "Something else")
    shown = str(missed_beside(store, ask("Tell me about the harbours.")))
    assert "in analysis.llm.jsonl (2 recorded answers, mode replay), nor in the 2 stores beside it" in shown
    assert "Tell me about the harbour.), in b.llm.jsonl:" in shown
    assert "Translate: a fox.):" in str(missed_beside(store, ask("Translate: a foxes.")))


def test_an_empty_store_and_what_cannot_be_read_beside_it_are_no_places_where_an_answer_was_looked_for(store):
    beside(store, "broken").path.write_bytes(b"\x80\x04}.")
    filled(beside(store, "empty"), "a")
    beside(store, "empty").clear()
    shown = str(missed_beside(store, ask()))
    assert "the store analysis.llm.jsonl is missing: there is no recorded answer" in shown
    assert "Put analysis.llm.jsonl beside the notebook" in shown


def test_a_request_that_is_recorded_at_two_other_addresses_is_told_of_them(store):
    for address in ("http://a", "http://b"):
        request = replace(ask(), provider=f"openai:{address}")
        store.append(Record(request.key, request.canonical(), Answer(text="Hi", finish_reason="stop")))
    shown = str(missed_beside(store, ask()))
    assert "provider: 'openai:http://a' → 'openai'" in shown
    assert "set the one that it was recorded at" in shown


def test_a_damaged_neighbour_does_not_spoil_the_report(store):
    filled(store, "Hello you")
    with store.path.open("ab") as file:
        file.write(b'{"key":"k1:x","request":{"messages":[[[]]]},"answer":{}}\n{"key":"k1:y","request":[1]}\n{"key":"k1:z"\n')
    assert "Hello you" in str(missed(store, ask("Hello me")))


def test_the_reader_of_a_published_page_is_told_what_it_answers_and_not_how_to_record(store, monkeypatch):
    monkeypatch.setattr("sys.platform", "emscripten")
    filled(store, "the capital of France")
    advice = choose_advice(Origin.ENVIRONMENT, load(store.path.parent, {"TINYLLM_MODE": "replay"}))
    with pytest.raises(ReplayMiss) as caught:
        list(RecordingProvider(Untouched(), store, Mode.REPLAY, advice=advice).send(ask("the capital of Spain")))
    first, *_, last = str(caught.value).splitlines()
    assert first == "this page answers only what was recorded, and this was not (1 answer is recorded)"
    assert "[France]" in str(caught.value)
    assert last.endswith("run the notebook on your own computer.")
    assert "TINYLLM_MODE" not in str(caught.value)
