import copy
import json

import pytest
from nbformat.v4 import new_output

from tinyllm_magic.verify.compare import difference

FACTS = {"version": 1, "answer": "Green tea.", "key": "k1:a", "model_asked": "m", "model": "m", "params": {"temperature": 0.0},
         "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "finish_reason": "stop", "source": "live"}  # fmt: skip


def card(html="<p>Green <b>tea</b>.</p><footer>m · live</footer>", plain="Green tea.\n-- m · live", **facts):
    return new_output("display_data", {"text/html": html, "text/plain": plain}, metadata={"tinyllm_magic": {**FACTS, **facts}})


def table(**facts):
    facts = {"kind": "map", "rows": 2, "failed": 0, "keys": ["k1:a", "k1:b"], "answers": ["Green", "Black"], "errors": [None, None],
             "tokens": [[1, 1], [1, 1]], "sources": ["live"], **facts}  # fmt: skip
    plain = "word  answer\na  " + "\nb  ".join(map(str, facts["answers"]))
    return new_output("display_data", {"text/plain": plain}, metadata={"tinyllm_magic": {"version": 1, "table": facts}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("answer", "Black tea."),
        ("key", "k1:b"),
        ("model_asked", "n"),
        ("model", "n"),
        ("params", {"temperature": 0.5}),
        ("params", {"temperature": 0.0, "seed": 1}),
        ("params", {}),
        ("usage", {"prompt_tokens": 4, "completion_tokens": 2}),
        ("finish_reason", "length"),
        ("refusal", "No."),
    ],
)
def test_a_fact_of_an_answer_that_has_changed_is_a_difference(name, value):
    assert difference([card(**{name: value})], [card()]) != ()


def test_words_around_an_answer_and_where_it_came_from_are_not_compared():
    now = card("<div><p>Green <b>tea</b>.</p><p>note: x</p> 3 in · recorded</div>", "Green tea.\n[recorded]", source="recorded", cost=1.5)
    assert difference([card()], [now]) == ()


def test_facts_that_the_saved_version_lacks_are_not_asked_for_but_the_answer_must_be_shown():
    old = card()
    for name in ("answer", "usage"):
        del old.metadata["tinyllm_magic"][name]
    assert difference([old], [card()]) == ()

    for mime in ("text/plain", "text/html"):
        changed = copy.deepcopy(old)
        changed.data[mime] = changed.data[mime].replace("Green", "Black")
        assert difference([changed], [card()]) != ()


def test_an_answer_shown_otherwise_than_its_metadata_says_is_a_difference():
    assert difference([card(plain="Black tea.\n-- m · live")], [card()]) == ("saved  Black tea.", "now    Green tea.")


def test_numbers_are_compared_as_a_browser_saves_them():
    saved = card(params={"temperature": 0, "seed": 9223372036854775808, "x": {"y": [1]}})
    now = card(params={"temperature": 0.0, "seed": 2**63 + 5, "x": {"y": [1.0]}})
    assert difference([saved], [now]) == ()
    assert difference([card(params={"logprobs": True})], [card(params={"logprobs": 1})]) != ()


def test_numbers_of_json_outputs_are_compared_as_numbers():
    def output(value):
        return new_output("display_data", {"application/json": value})

    assert difference([output({"a": [0, 1]})], [output({"a": [0.0, 1.0]})]) == ()
    assert difference([output({"a": [0, 1]})], [output({"a": [0.0, 1.5]})]) != ()


def test_a_table_saved_from_a_live_run_is_the_same_when_its_rows_are_recorded():
    assert difference([table()], [table(sources=["recorded"])]) == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("answers", ["Green", "White"]),
        ("errors", [None, "ServerError"]),
        ("keys", ["k1:a", "k1:c"]),
        ("rows", 3),
        ("tokens", [[1, 1], [1, 2]]),
    ],
)
def test_a_changed_row_of_a_table_is_a_difference(name, value):
    assert difference([table()], [table(**{name: value})]) != ()


def test_a_comparison_is_compared_answer_by_answer():
    def grid(*texts):
        plain = "\n".join(texts)
        answers = [{**FACTS, "answer": text} for text in texts]
        return new_output("display_data", {"text/plain": plain}, metadata={"tinyllm_magic": {"version": 1, "answers": answers}})

    assert difference([grid("One", "Two")], [grid("One", "Two")]) == ()
    assert difference([grid("One", "Two")], [grid("One", "Three")]) == ("saved  Two", "now    Three")


def test_of_our_errors_the_class_counts_and_of_others_the_text_too():
    def error(name, text):
        return new_output("error", ename=name, evalue=text, traceback=[])

    assert difference([error("ReplayMiss", "one")], [error("ReplayMiss", "two")]) == ()
    assert difference([error("ReplayMiss", "one")], [error("StoreError", "one")]) != ()
    assert difference([error("ValueError", "one")], [error("ValueError", "two")]) != ()


def test_outputs_without_their_metadata_are_still_known_by_the_new_ones():
    saved, session = card(), new_output("display_data", {"text/plain": "3 calls"})
    now = new_output("display_data", {"text/plain": "4 calls"}, metadata={"tinyllm_magic": {"version": 1, "about": "session"}})
    saved.metadata.clear()
    assert difference([saved, session], [card(source="recorded"), now]) == ()
    saved.data["text/plain"] = "Black tea."
    assert difference([saved, session], [card(), now]) != ()


def test_a_dry_run_is_compared_by_what_it_would_ask():
    def preview(text, key):
        facts = {"version": 1, "about": "preview", "key": key}
        return new_output("display_data", {"text/plain": text}, metadata={"tinyllm_magic": facts})

    assert difference([preview("3 tokens", "k1:a")], [preview("≈ 4 tokens", "k1:a")]) == ()
    assert difference([preview("3 tokens", "k1:a")], [preview("3 tokens", "k1:b")]) != ()


@pytest.mark.parametrize("folder", ["/home/one/venv/lib/python3.12/site-packages", "C:\\Users\\two\\venv\\Lib\\site-packages"])
def test_a_warning_of_the_package_tells_no_place_where_it_is_installed(folder):
    text = f"{folder}/tinyllm_magic/clients/sessions.py:335: UserWarning: the price is unknown\n  warnings.warn(\n".replace(
        "/", "\\" if folder.startswith("C") else "/"
    )
    saved = new_output(
        "stream", name="stderr", text="/srv/tinyllm_magic/sessions.py:3: UserWarning: the price is unknown\n  warnings.warn(\nmine\n"
    )
    assert difference([saved], [new_output("stream", name="stderr", text=text + "mine\n")]) == ()
    assert difference([saved], [new_output("stream", name="stderr", text=text + "other\n")]) != ()


def test_metadata_as_json_text_may_be_read_back(tmp_path):
    saved = json.loads(json.dumps(card()).replace("0.0", "0"))
    assert difference([saved], [card()]) == ()


def test_no_part_of_a_secret_is_left_where_a_difference_is_cut(monkeypatch):
    secret = "sk-Abcdefgh1234567890-Zyxwvut"
    monkeypatch.setenv("MY_API_KEY", secret)
    for before in range(60, 130, 7):
        text = "a" * before + secret + "b" * 200
        outputs = [new_output("stream", text=text + end) for end in "12"]
        lines = "\n".join(difference(outputs[:1], outputs[1:]) + difference([], outputs[:1]))
        assert not any(secret[i : i + 6] in lines for i in range(len(secret) - 6))
