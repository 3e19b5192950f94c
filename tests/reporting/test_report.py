"""What a report says: every number is in notebook and store, models and dates are always told, nothing is made up."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from notebookmaker import shown
from records import make

from tinyllm_magic.cli.command_line import main
from tinyllm_magic.evidence.pinning import is_dated
from tinyllm_magic.reporting.checklists import ANSWERED, FACTS, PARTLY, PERSON, read_guidelines
from tinyllm_magic.reporting.data import to_data, write_json
from tinyllm_magic.reporting.markdown import write_markdown
from tinyllm_magic.reporting.report import build_report
from tinyllm_magic.reporting.writing import write_reports
from tinyllm_magic.responses import Usage

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SCHEMA = json.loads((Path(__file__).parents[2] / "tinyllm_magic" / "reporting" / "report.schema.json").read_text("utf-8"))


def text_of(report):
    return write_markdown(report.blocks())


def answered(text="Hello", **facts):
    """A record with facts of its answer."""
    record = make(text)
    return replace(record, answer=replace(record.answer, **facts))


@pytest.fixture(scope="module")
def rows():
    """The report of the notebook on rows and grids, as data."""
    return to_data(build_report(NOTEBOOKS / "06_rows_and_grids.ipynb"))


@pytest.fixture(scope="module")
def lines():
    """The records of its store, read as plain JSON."""
    return [json.loads(line) for line in (NOTEBOOKS / "06_rows_and_grids.llm.jsonl").read_text("utf-8").splitlines()[1:]]


def test_the_sums_are_those_of_the_store(rows, lines):
    totals = rows["totals"]
    assert totals["answers"] == len(lines)
    assert totals["gen_ai.usage.input_tokens"] == sum(r["answer"]["usage"]["prompt_tokens"] for r in lines)
    assert totals["gen_ai.usage.output_tokens"] == sum(r["answer"]["usage"]["completion_tokens"] for r in lines)
    assert totals["seconds"] == pytest.approx(sum(r["duration"] for r in lines), abs=1e-3)
    assert (totals["first"], totals["last"]) == (min(r["created"] for r in lines), max(r["created"] for r in lines))
    assert (totals["cost_usd"], totals["answers_of_this_machine"]) == (None, len(lines))


def test_the_models_are_those_of_the_store(rows, lines):
    asked = Counter((r["request"]["model"], r["answer"]["model"], r["answer"]["fingerprint"]) for r in lines)
    names = ("gen_ai.request.model", "gen_ai.response.model", "openai.response.system_fingerprint")
    assert {tuple(m[name] for name in names): m["totals"]["answers"] for m in rows["models"]} == asked


def test_the_parameters_are_those_of_the_store(rows, lines):
    sent = Counter(json.dumps(r["request"]["params"], sort_keys=True) for r in lines)
    assert {json.dumps(p["sent"], sort_keys=True): p["answers"] for p in rows["parameters"]} == sent


def test_the_samples_are_those_of_the_store(rows, lines):
    questions = Counter(json.dumps({k: v for k, v in r["request"].items() if k != "sample"}, sort_keys=True) for r in lines)
    assert rows["samples"]["questions_by_samples"] == {str(n): count for n, count in sorted(Counter(questions.values()).items())}


def test_the_digests_are_those_of_the_files(rows):
    from hashlib import sha256

    named = {file["name"]: file["sha256"] for file in (rows["notebook"], *rows["stores"])}
    assert named == {name: sha256((NOTEBOOKS / name).read_bytes()).hexdigest() for name in named}
    assert len(named) == 2


def test_the_records_of_each_cell_are_those_that_its_output_names(rows):
    notebook = json.loads((NOTEBOOKS / "06_rows_and_grids.ipynb").read_text("utf-8"))
    cells = [c for c in notebook["cells"] if c["cell_type"] == "code"]
    for cell in rows["cells"]:
        outputs = [o.get("metadata", {}).get("tinyllm_magic", {}) for o in cells[cell["number"] - 1]["outputs"]]
        keys = {k for facts in outputs for k in (*facts.get("table", {}).get("keys", ()), *(a["key"] for a in facts.get("answers", ())))}
        assert {r["key"] for r in cell["records"] if r["known_by"] == "saved output"} == keys


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebooks_report_has_the_shape_of_the_schema_and_leaves_out_no_record(path):
    report = build_report(path)
    data = json.loads(write_json(report))
    jsonschema.Draft202012Validator(SCHEMA).validate(data)
    stored = {json.loads(line)["key"] for line in path.with_suffix(".llm.jsonl").read_text("utf-8").splitlines()[1:]}
    told = {r["key"] for r in data["records"]} | set(data["unasked"]["keys"])
    assert told == stored
    states = {(r["guideline"], r["item"]): r["state"] for r in data["checklist"]}
    assert states["LLM studies in software engineering", "G2 Model, version, date"] == ANSWERED
    assert states["TRIPOD-LLM", "6c Generation"] == ANSWERED
    assert states["MI-CLEAR-LLM", "7 Stochasticity"] == ANSWERED


def test_the_schema_documents_what_its_names_do_not_say():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [
        name
        for name in ("models", "parameters", "cells", "records", "unasked", "stores", "title")
        if not SCHEMA["properties"][name].get("description")
    ] == []


def test_a_model_that_answers_under_another_name_is_told_with_both(study):
    one = answered("One", model="gpt-4o-mini-2024-07-18", fingerprint="fp_1")
    study.record(one)
    study.cell("%%llm\nOne", shown(one))
    report = study.report()
    assert "gpt-4o-mini (answered as gpt-4o-mini-2024-07-18) (OpenAI, fingerprint fp_1; 1 answer)" in report.methods
    assert not [u for u in report.found.unpinned if "version" in u.what]


def test_a_name_without_a_date_and_an_answer_without_a_fingerprint_are_told(study):
    one = answered("One", model="gpt-4o-mini")
    study.record(one)
    study.cell("%%llm\nOne", shown(one))
    whats = [u.what for u in study.report().found.unpinned]
    assert {"the version of gpt-4o-mini", "the system behind gpt-4o-mini", "the draws of gpt-4o-mini"} <= set(whats)


@pytest.mark.parametrize(
    ("params", "count"),
    [({}, 1), ({"temperature": 0}, 0), ({"temperature": 0.7, "seed": 1}, 0), ({"temperature": 0.7}, 1)],
    ids=["nothing sent", "temperature 0", "seed", "temperature"],
)
def test_what_was_drawn_without_a_seed_is_counted(study, params, count):
    one = make("One", params=params)
    study.record(one)
    study.cell("%%llm\nOne", shown(one))
    assert to_data(study.report())["unseeded"] == count


def test_known_prices_are_added_and_unknown_ones_are_said_to_be_unknown(study):
    one, two = make("One"), replace(make("Two"), cost=None)
    study.record(one, two)
    study.cell("%%llm\nOne", shown(one))
    study.cell("%%llm\nTwo", shown(two))
    report = study.report()
    assert "cost $0.0010 and an unknown amount for 1 answer" in report.methods
    assert "the price of gpt-4o-mini" in [u.what for u in report.found.unpinned]


def test_estimated_tokens_are_said_to_be_estimates(study):
    one = answered("One", usage=Usage(5, 2, estimated=True))
    study.record(one)
    study.cell("%%llm\nOne", shown(one))
    assert "5 tokens in, 2 out; 1 estimated" in study.report().methods


def test_samples_that_agree_are_counted(study):
    records = [make("One", said=said, sample=n) for n, said in enumerate(["yes", "yes", "yes"])]
    others = [make("Two", said=said, sample=n) for n, said in enumerate(["yes", "no"])]
    study.record(*records, *others)
    study.cell("%%llm -n 3\nOne", shown(*records))
    study.cell("%%llm -n 2\nTwo", shown(*others))
    report = study.report()
    assert report.found.samples.counts == {2: 1, 3: 1}
    assert "Of 2 questions with several samples, 1 got the same text each time." in report.methods


def test_a_notebook_without_a_store_says_so(study):
    study.cell("1 + 1")
    report = study.report()
    assert report.methods == "No answer of a language model is recorded for study.ipynb."
    assert "none: nothing was recorded beside this notebook" in text_of(report)
    jsonschema.Draft202012Validator(SCHEMA).validate(to_data(report))


def test_every_prompt_is_given_whole(study):
    records = [make(f"Is {city} large?") for city in ("Rome", "Ulm", "Oslo")]
    study.record(*records)
    study.cell("%%llm --map cities\nIs {{ city }} large?", shown(*records))
    text = text_of(study.report())
    assert "%%llm --map cities\nIs {{ city }} large?" in text
    assert "[system]\nBe brief.\n\n[user]\nIs Rome large?" in text
    assert "Is Ulm large?\nIs Oslo large?" in text


def test_what_a_person_has_said_in_the_notebook_need_not_be_asked_for(study):
    def state(report, item):
        return next(r for r in report.checklist if r.item == item)

    assert state(study.report(), "14a Funding").state == PERSON
    study.text("## Funding\n\nNobody paid for this.")
    row = state(study.report(), "14a Funding")
    assert (row.state, "Nobody paid for this." in row.answer) == (ANSWERED, True)


def test_only_what_neither_notebook_nor_store_holds_is_left_to_a_person(rows):
    left = [r for r in rows["checklist"] if r["state"] == PERSON]
    asked = {(g["name"], i["id"]): i for g in read_guidelines() for i in g["items"]}
    assert len(left) < len(rows["checklist"]) / 3
    assert [r["item"] for r in left if FACTS.keys() & set(asked[r["guideline"], r["item"]].get("facts", ()))] == []
    assert all("A person must say: " in r["answer"] for r in rows["checklist"] if r["state"] == PERSON)
    assert all(r["answer"] for r in rows["checklist"] if r["state"] in (ANSWERED, PARTLY))


def test_every_item_of_the_checklists_names_facts_that_there_are():
    items = [item for guideline in read_guidelines() for item in guideline["items"]]
    assert [name for item in items for name in item.get("facts", ()) if name not in FACTS] == []
    assert [item["id"] for item in items if not (item.get("facts") or item.get("person"))] == []
    for item in items:
        re.compile(item.get("heading", ""))
    sizes = {guideline["name"]: len(guideline["items"]) for guideline in read_guidelines()}
    assert (sizes["TRIPOD-LLM"], sizes["MI-CLEAR-LLM"]) == (49, 8)


def test_a_secret_in_a_notebook_stands_in_no_form_of_its_report(study, monkeypatch):
    monkeypatch.setenv("TEAM_API_KEY", "s3cret-V4lue-of-the-team")
    study.cell("%%llm\nIs s3cret-V4lue-of-the-team a good key?")
    report = study.report()
    assert "s3cret" not in text_of(report) + write_json(report)
    assert "TEAM_API_KEY" in text_of(report)


def test_markdown_of_a_prompt_stays_text(study):
    one = make("```\n# A heading\n</details> <script>alert(1)</script> | $x$")
    study.record(one)
    study.cell("%%llm\n{{ x }}", shown(one))
    text = text_of(study.report())
    assert "````\n[system]\nBe brief.\n\n[user]\n```\n# A heading" in text


@pytest.mark.parametrize(
    ("name", "dated"),
    [("gpt-4o", False), ("gpt-4o-2024-08-06", True), ("gpt-4-0613", True), ("gemini-2.0-flash-001", True), ("llama3:8b", False)],
    ids=str,
)
def test_a_date_or_a_revision_in_a_name_is_seen(name, dated):
    assert is_dated(name) is dated


def test_the_command_prints_a_report_and_writes_several_into_a_folder(tmp_path, capsys):
    first = NOTEBOOKS / "01_first_cell.ipynb"
    assert main(["report", str(first)]) == 0
    assert capsys.readouterr().out.startswith("# Report: The first prompt cell\n")
    assert main(["report", str(first), str(NOTEBOOKS / "04_replay.ipynb"), "--format", "json", "-o", str(tmp_path / "out")]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["01_first_cell.report.json", "04_replay.report.json"]
    assert main(["report", str(first), "-o", str(tmp_path / "one.md")]) == 0
    assert (tmp_path / "one.md").read_text("utf-8").startswith("# Report")


def test_a_report_that_cannot_be_written_is_one_clear_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["report", str(NOTEBOOKS / "01_first_cell.ipynb"), "-o", str(tmp_path / "file" / "report.md")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_the_page_loads_nothing_and_runs_nothing_whatever_the_prompts_say(study):
    one = make('</pre><script>alert(1)</script><img src="https://example.org/x.png">')
    study.record(one)
    study.cell("%%llm\n{{ x }}", shown(one))
    page = write_reports([study.report()], "html")
    assert page.count("&lt;script&gt;alert(1)") == 1
    assert re.findall(r"<(?:script|img|link|iframe|object|video|audio|base|form)\b", page) == []
    assert re.findall(r'<[^>]*\s(?:src|srcset|href|action|style)="(?!#)', page) == []
    assert "default-src 'none'" in page


def test_the_page_links_to_every_section_and_labels_every_cell_for_a_narrow_window(study):
    study.record(make("One"))
    study.cell("%%llm\nOne", shown(make("One")))
    page = write_reports([study.report()], "html")
    targets = re.findall(r'href="#([^"]+)"', page)
    assert len(targets) >= 8
    assert [target for target in targets if page.count(f'id="{target}"') != 1] == []
    wide = "".join(re.findall(r'<table class="wide">.*?</table>', page))
    assert wide.count("<td") == wide.count('data-label="') > 300


def test_several_pages_want_a_folder(capsys):
    notebooks = [str(NOTEBOOKS / name) for name in ("01_first_cell.ipynb", "04_replay.ipynb")]
    assert main(["report", *notebooks, "--format", "html"]) == 2
    assert "-o FOLDER writes one file for each" in capsys.readouterr().err
