"""What changed between two versions of a notebook, and how it is written."""

import re

import nbformat
import pytest
from htmlaudit import Page
from nbformat.v4 import new_code_cell, new_notebook, new_output
from recordedbook import record, write_book

from tinyllm_magic import Store
from tinyllm_magic.changes import diff_markdown
from tinyllm_magic.changes.diff_html import draw_page
from tinyllm_magic.changes.diff_markdown import write_markdown
from tinyllm_magic.changes.diff_text import write_text
from tinyllm_magic.changes.notebook_diff import compare_notebooks
from tinyllm_magic.changes.recorded_notebook import read_recorded
from tinyllm_magic.responses import Answer, Usage


@pytest.fixture
def compare(tmp_path):
    """Compare two notebooks; each is a list of ``(source, facts)`` or ``(source, facts, id)``, and of records."""

    def run(before, after):
        books = []
        for name, (cells, records) in (("before", before), ("after", after)):
            folder = tmp_path / name
            folder.mkdir(exist_ok=True)
            for one in records:
                assert Store(folder / "analysis.llm.jsonl").append(one)
            made = [new_code_cell(c[0], outputs=[show(f) for f in c[1]], **({"id": c[2]} if len(c) > 2 else {})) for c in cells]
            nbformat.write(new_notebook(cells=made), folder / "analysis.ipynb")
            books.append(read_recorded(folder / "analysis.ipynb"))
        return compare_notebooks("analysis.ipynb", *books, ("old", "new"))

    return run


def show(facts):
    return new_output("display_data", {"text/plain": "…"}, metadata={"tinyllm_magic": facts})


def one_cell(*records, source="%%llm\nWhy?"):
    facts = {"key": records[0].key} if len(records) == 1 else {"table": {"keys": [r.key for r in records]}}
    return [(source, [facts])], records


def test_the_same_twice_differs_in_nothing(compare):
    found = compare(one_cell(record()), one_cell(record()))
    assert (found.is_different, found.cells) == (False, ())
    assert "nothing that is recorded or asked has changed" in write_text([found], paint=False)


def test_an_answer_that_was_recorded_anew_is_told_though_the_notebook_is_the_same(compare):
    (cell,) = compare(one_cell(record(said="old words")), one_cell(record(said="new words"))).cells
    assert [(a.before, a.after) for a in cell.answers] == [("old words", "new words")]
    assert (cell.source, cell.facts, cell.prompts) == (None, (), ())


def test_parameters_models_and_who_answered_are_told_by_name(compare):
    answer = Answer(text="Hi", finish_reason="length", model="m-2", fingerprint="fp_2", usage=Usage(3, 9))
    before = record(temperature=0.0, model="m", stop=["a"])
    after = record(temperature=0.7, model="m2", provider="openai", seed=1, stop=["b"], answer=answer)

    (cell,) = compare(one_cell(before), one_cell(after)).cells

    assert {f.name: (f.before, f.after) for f in cell.facts} == {
        "temperature": ("0", "0.7"),
        "model": ("m", "m2"),
        "provider": ("openai:http://gateway.example/v1", "openai"),
        "seed": ("", "1"),
        "stop[0]": ("a", "b"),
        "answered by": ("m", "m-2"),
        "fingerprint": ("fp_fake", "fp_2"),
        "ended by": ("stop", "length"),
        "tokens": ("3 in / 1 out", "3 in / 9 out"),
    }


def test_a_response_format_is_told_by_its_fields(compare):
    def form(**fields):
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object", "properties": fields}}}

    before, after = (record(response_format=form(**{name: {"type": "string"}})) for name in ("shop", "place"))
    (cell,) = compare(one_cell(before), one_cell(after)).cells
    (fact,) = cell.facts
    assert (fact.name, "shop" in fact.before, "place" in fact.after) == ("response format", True, True)


def test_a_prompt_that_variables_changed_is_told_though_the_cell_is_the_same(compare):
    (cell,) = compare(one_cell(record("Why tea?")), one_cell(record("Why milk?"))).cells
    assert [(p.before, p.after) for p in cell.prompts] == [("[user]\nWhy tea?", "[user]\nWhy milk?")]
    assert cell.source is None


def test_scores_are_told_with_their_intervals(compare):
    def scored(value):
        return [("table.score('label')", [{"scores": [{"name": "accuracy", "value": value, "low": 0.1, "high": 0.9, "n": 20}]}])], []

    (cell,) = compare(scored(0.5), scored(0.75)).cells
    assert [(s.name, s.before, s.after) for s in cell.scores] == [("accuracy", "0.5, 95 % 0.1 to 0.9, n 20", "0.75, 95 % 0.1 to 0.9, n 20")]


def test_totals_say_answers_models_tokens_and_cost_of_both(compare):
    found = compare(one_cell(record("a")), one_cell(record("a"), record("b")))
    assert {t.name: (t.before, t.after) for t in found.totals} == {
        "recorded answers": ("1", "2"),
        "models": ("gpt-4o-mini (1)", "gpt-4o-mini (2)"),
        "tokens": ("3 in / 1 out", "6 in / 2 out"),
        "cost": ("$0.0010", "$0.0020"),
    }


def test_rows_of_a_table_are_matched_by_their_keys_so_that_a_new_row_changes_no_other(compare):
    rows = [record(f"row {n}") for n in range(6)]
    changed = record("row 4", said="other")

    (cell,) = compare(one_cell(*rows), one_cell(record("first"), *rows[:4], changed, rows[5])).cells

    assert (cell.compared, cell.come, cell.gone) == (6, 1, 0)
    assert [(a.title, a.before, a.after) for a in cell.answers] == [("row 4", "Hi", "other")]


def test_a_setting_of_some_rows_says_of_how_many(compare):
    before, after = ([record(f"row {n}", temperature=t if n < 2 else 0.5) for n in range(5)] for t in (0.1, 0.9))
    (cell,) = compare(one_cell(*before), one_cell(*after)).cells
    assert [(f.name, f.before, f.after, f.count) for f in cell.facts] == [("temperature", "0.1", "0.9", 2)]


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ([("%%llm\nA?", [], "a"), ("%%llm\nB?", [], "b")], [("%%llm\nOther words", [], "b"), ("%%llm\nA?", [], "a")], ["changed"]),
        ([("%%llm\nWrite about the sea.", [], "a")], [("%%llm\nWrite about the moon.", [], "z")], ["changed"]),
        ([("%%llm\nA?", [], "a")], [("%%llm\nA?", [], "z")], []),
        ([("%%llm\nWrite about the sea.", [], "a")], [("%%llm\nCount to nine, please", [], "z")], ["added", "removed"]),
        ([("%%llm\nSame?", [], "a"), ("%%llm\nSame?", [], "b")], [("%%llm\nSame?", [], "c"), ("%%llm\nSame?", [], "d")], []),
    ],
    ids=["by id, moved", "by likeness", "by text, another id", "unlike", "twins"],
)
def test_cells_are_matched_by_id_then_by_text_then_by_likeness(compare, before, after, kinds):
    assert sorted(c.kind for c in compare((before, []), (after, [])).cells) == kinds


def test_code_cells_that_ask_no_model_are_counted_alone(compare):
    found = compare(([("x = 1", []), ("y = 1", [])], []), ([("x = 2", []), ("y = 1", []), ("z = 3", [])], []))
    assert (found.others, found.cells, found.is_different) == (2, (), True)


def test_records_that_no_cell_shows_are_matched_by_key_and_by_likeness(compare):
    before = [record("Write about the sea.", "s"), record("same", "old"), record("gone for good", "g")]
    after = [record("Write about the moon.", "m"), record("same", "new"), record("entirely other words here", "o")]

    (cell,) = compare(([], before), ([], after)).cells

    assert cell.title == "recorded answers that no cell shows"
    assert {(a.before, a.after) for a in cell.answers} == {("s", "m"), ("old", "new")}
    assert (cell.come, cell.gone) == (1, 1)


def test_a_record_that_one_version_shows_is_not_new_where_the_other_does_not_show_it(compare):
    one, two = record("one"), record("two")
    found = compare(one_cell(one), ([("%%llm\nWhy?", [{"key": two.key}])], [one, two]))
    assert [c.title for c in found.cells] == ["cell 1: %%llm ⏎ Why?"]


ATTACK = "</pre><script>alert(1)</script><img src=https://x.example/a.png> @somebody [a](https://x.example) `b` \x1b[2J"


@pytest.fixture
def hostile(compare):
    answers = [record(f"{ATTACK} {word}", f"{ATTACK} said {word}", user=f"{ATTACK} {word}") for word in ("tea", "milk")]
    return compare(one_cell(answers[0], source=f"%%llm\n{ATTACK} 1"), one_cell(answers[1], source=f"%%llm\n{ATTACK} 2"))


def test_the_page_runs_and_loads_nothing_and_says_what_changed(hostile):
    page = draw_page([hostile])
    wrong = [w for w in Page(page).wrong if "meta" not in w and "http-equiv" not in w]
    assert wrong == []
    assert "url(" not in page
    assert "<del>tea</del><ins>milk</ins>" in page
    assert "prefers-color-scheme" in page or "light-dark(" in page
    assert "\x1b" not in page


def test_the_markdown_lets_nothing_of_a_notebook_be_read_as_markup(hostile):
    text = write_markdown([hostile])
    outside = re.sub(r"<pre>.*?</pre>|<code>.*?</code>", "", text, flags=re.DOTALL)
    assert not {"somebody", "https"} & set(re.findall(r"\w+", outside))
    allowed = ["code", "table", "tr", "th", "td", "details", "summary", "pre", "ins", "del", "p"]
    assert {tag.strip("/") for tag in re.findall(r"<(/?\w+)", text)} <= set(allowed)
    assert "<del>tea</del><ins>milk</ins>" in text


def test_the_markdown_fits_into_a_comment_and_says_what_it_left_out(compare):
    before, after = ([record(f"row {n}", f"{word} {n} " * 300) for n in range(40)] for word in ("old", "new"))
    cells = [[(f"%%llm\nCell {n}?", [{"key": r.key}]) for n, r in enumerate(rows)] for rows in (before, after)]
    found = compare((cells[0], before), (cells[1], after))

    text = write_markdown([found])

    assert len(text) <= diff_markdown.LONGEST
    assert text.count("<details>") == text.count("</details>") > 3
    assert re.search(r"… and \d+ more parts: too much for a comment; `--html` shows all", text)


def test_the_terminal_shows_changed_words_by_signs_or_by_colours(hostile):
    plain, painted = (write_text([hostile], paint=paint) for paint in (False, True))
    assert "[-tea-][+milk+]" in plain
    assert "\x1b" not in plain
    assert "\x1b[31;9mtea\x1b[0m\x1b[32;4mmilk\x1b[0m" in painted
    assert "\x1b[2J" not in painted


def test_texts_with_little_in_common_stand_one_after_the_other(compare):
    found = compare(one_cell(record(said="The sea is wide and blue")), one_cell(record(said="Moonlight falls softly here")))
    assert "    [-The sea is wide and blue-]\n    [+Moonlight falls softly here+]" in write_text([found], paint=False)


def test_secrets_are_hidden_in_every_form(compare, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "Zq81-hidden-Value")
    found = compare(one_cell(record(said="tea")), ([("%%llm\nWhy? Zq81-hidden-Value", [])], []))
    for text in (write_text([found], paint=False), draw_page([found]), write_markdown([found])):
        assert "Zq81" not in text
        assert "SOME_API_KEY" in text


def test_a_notebook_that_one_version_lacks_was_added_or_removed(tmp_path):
    book = read_recorded(write_book(tmp_path / "b", [record()]))
    added, removed = (compare_notebooks("a.ipynb", *pair, ("old", "new")) for pair in ((None, book), (book, None)))
    assert (added.kind, removed.kind) == ("added", "removed")
    assert [c.kind for c in (*added.cells, *removed.cells)] == ["added", "removed"]
    assert "this notebook was added" in write_text([added], paint=False)


def test_long_lines_are_wrapped_where_nothing_else_would_wrap_them(compare):
    found = compare(one_cell(record(said="word " * 60 + "old")), one_cell(record(said="word " * 60 + "new")))
    for text in (write_text([found], paint=False, width=80), write_markdown([found])):
        assert max(len(line) for line in re.sub(r"</?\w+>", "", text).splitlines() if "word" in line) <= 110
        assert re.search(r"old.*new", text)
