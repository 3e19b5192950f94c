"""`tinyllm-magic verify` and `cache` through real kernels and real files."""

import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from notebookmaker import Book, printed

from tinyllm_magic import Store
from tinyllm_magic.cli.command_line import main
from tinyllm_magic.verify import kernels
from tinyllm_magic.verify.environment import closed_environment

pytestmark = pytest.mark.usefixtures("echo")

PLAIN = (
    "%%llm -o poem --temperature 0.5\nWrite about {{ 'tea' }}.",
    "print(poem.text, poem.source)\npoem",
    "import tempfile, uuid; print(object(), tempfile.mkdtemp(), uuid.uuid4())",
    "%llm_usage",
    "%%llm --dry-run\nWrite about tea.",
    "%llm_cache tidy",
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with a recorded notebook; tests copy it."""
    folder = tmp_path_factory.mktemp("recorded")
    patch = pytest.MonkeyPatch()
    patch.setenv("TINYLLM_API_TYPE", "echo")
    book = Book(folder, *PLAIN)
    assert main(["verify", "--record", str(book.path)]) == 0
    patch.undo()
    return folder


@pytest.fixture
def book(recorded, tmp_path):
    copy = Book(tmp_path / "book")
    for name in ("analysis.ipynb", "analysis.llm.jsonl"):
        (tmp_path / "book" / name).write_bytes((recorded / name).read_bytes())
    return copy


def test_record_fills_the_store_writes_the_outputs_and_leaves_nothing_else(recorded):
    assert sorted(p.name for p in recorded.iterdir()) == ["analysis.ipynb", "analysis.llm.jsonl"]
    cells = [c for c in nbformat.read(recorded / "analysis.ipynb", as_version=4).cells if c.cell_type == "code"]
    assert all(c.execution_count for c in cells)
    assert cells[1].outputs[0].metadata["tinyllm_magic"]["source"] == "live"
    assert "execution" not in cells[1].metadata


def test_a_recorded_notebook_verifies_and_nothing_is_touched(book, run):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in book.path.parent.iterdir()}

    code, out, err = run("verify", book.path)

    assert code == 0
    assert out.startswith("✓ analysis.ipynb  7 cells the same")
    assert "analysis.ipynb" in err
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in book.path.parent.iterdir()} == before


def test_recording_again_changes_no_byte(book, run):
    before = book.path.read_bytes(), book.store.read_bytes()
    code, out, _ = run("verify", "--record", book.path)
    assert (code, (book.path.read_bytes(), book.store.read_bytes())) == (0, before)
    assert "0 answers recorded" in out


def test_another_saved_answer_differs_and_both_are_shown(book, run):
    notebook = book.read()
    text = json.dumps(notebook).replace("Write about tea.", "Write about coffee.")
    changed = nbformat.from_dict(json.loads(text))
    for cell, old in zip(changed.cells, notebook.cells, strict=True):
        cell.source = old.source
    book.write(changed)

    code, out, _ = run("verify", book.path)

    assert code == 1
    assert "saved  Write about coffee." in out
    assert "now    Write about tea." in out


def test_an_edited_prompt_is_missing_and_the_report_names_key_nearest_and_change(book, run, tmp_path):
    book.change(2, source="%%llm -o poem --temperature 0.5\nWrite about {{ 'coffee' }}.")

    code, out, _ = run("verify", book.path, "--junit", tmp_path / "new" / "report.xml")

    assert code == 1
    assert "cell 2: %%llm -o poem --temperature 0.5 ⏎ Write about {{ 'coffee' }}." in out
    assert "no recorded answer for this request in analysis.llm.jsonl" in out
    assert "Its key is k1:" in out
    assert "The nearest recorded request is k1:" in out
    assert "[tea]" in out
    assert "→ Write about [coffee]" in out
    assert "verify --record analysis.ipynb" in out
    suite = ET.parse(tmp_path / "new" / "report.xml").getroot()[0]  # our own file
    assert (suite.get("tests"), suite.get("failures")) == ("7", "2")  # the print that follows fails too
    assert suite[1].find("failure").get("type") == "missing"
    assert "coffee" in suite[1].find("failure").text


def test_a_refresh_left_in_a_cell_cannot_ask_again(book, run):
    book.change(2, source="%%llm -o poem --temperature 0.5 --fresh\nWrite about {{ 'tea' }}.")
    assert run("verify", book.path)[0] == 0


@pytest.mark.parametrize("line", ["%env TINYLLM_MODE=off", "import os; os.environ['TINYLLM_MODE'] = 'auto'", "%llm_cache mode off"])
def test_a_mode_set_in_the_notebook_cannot_ask_again(tmp_path, run, line):
    book = Book(tmp_path / "b", line, "%%llm\nOne")
    assert run("verify", "--record", book.path)[0] == 0
    book.store.unlink(missing_ok=True)
    code, out, _ = run("verify", book.path)
    assert (code, "the store analysis.llm.jsonl is missing" in out) == (1, True)


def test_an_answer_that_was_made_live_all_the_same_fails(tmp_path, run):
    book = Book(tmp_path / "b", "%%llm\nOne")
    notebook = book.read()
    notebook.cells.insert(0, new_code_cell("import os; os.environ['TINYLLM_MODE'] = 'off'"))
    book.write(notebook)
    assert run("verify", "--record", book.path)[0] == 0
    code, out, _ = run("verify", book.path)
    assert (code, "answered live, although this is strict replay" in out) == (1, True)


def test_a_cell_that_was_never_run_has_nothing_to_compare(book, run):
    notebook = book.read()
    notebook.cells.append(new_code_cell("%%llm\nNever asked"))
    notebook.cells.append(new_code_cell("print('never run')"))
    book.write(notebook)

    code, out, _ = run("verify", book.path)

    assert code == 0
    assert "cell 8 was never run; now it fails: ReplayMiss" in out


def test_a_notebook_that_clears_its_store_cannot_do_so_while_it_is_verified(book, run):
    notebook = book.read()
    notebook.cells.append(new_code_cell("%llm_cache clear"))
    book.write(notebook)
    before = book.store.read_bytes()
    assert run("verify", book.path)[0] == 0
    assert book.store.read_bytes() == before


def test_an_error_counts_as_the_same_only_with_its_tag(tmp_path, run):
    book = Book(tmp_path / "b", "1/0")
    book.change(2, tags=["raises-exception"])
    assert run("verify", "--record", book.path)[0] == 0
    assert run("verify", book.path)[0] == 0

    book.change(2, tags=[])
    code, out, _ = run("verify", book.path)

    assert code == 1
    assert "ZeroDivisionError: division by zero" in out


def test_recording_a_notebook_that_fails_leaves_the_file_as_it_was(tmp_path, run):
    book = Book(tmp_path / "b", "%%llm\nOne", "1/0")
    before = book.path.read_bytes()

    code, out, _ = run("verify", "--record", book.path)

    assert (code, book.path.read_bytes()) == (1, before)
    assert "ZeroDivisionError" in out
    assert len(Store(book.store)) == 1


def test_an_output_that_changes_on_each_run_is_told_from_an_answer_and_ignored_with_its_tag(tmp_path, run):
    book = Book(tmp_path / "b", "import time; time.time()", "%%llm\nOne")
    assert run("verify", "--record", book.path)[0] == 0
    code, out, _ = run("verify", book.path)
    assert (code, "what differs in cell 2 is no answer: tag a cell `nbval-ignore-output`" in out) == (1, True)

    book.change(2, tags=["nbval-ignore-output"])

    code, out, _ = run("verify", book.path)
    assert (code, out.startswith("✓ analysis.ipynb  2 cells the same")) == (0, True)


def test_a_syntax_error_is_told_without_the_name_of_a_file_nobody_knows(tmp_path, run):
    book = Book(tmp_path / "b", "def f(:")
    assert "SyntaxError: invalid syntax (line 1)" in run("verify", "--record", book.path)[1]


def test_notebooks_of_one_name_are_told_apart_by_their_folders(tmp_path, run):
    for folder in ("one", "two"):
        Book(tmp_path / folder)
    _, out, err = run("verify", tmp_path)
    for folder in ("one", "two"):
        assert str(tmp_path / folder / "analysis.ipynb") in out
        assert str(tmp_path / folder / "analysis.ipynb") in err


def test_what_is_not_installed_is_one_sentence_with_the_line_that_installs_it(book, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "nbclient", None)
    assert run("verify", book.path, book.path.parent) == (
        2, "", 'tinyllm-magic: running notebooks needs the package nbclient\npip install "tinyllm-magic[verify]"\n'
    )  # fmt: skip


HANGS = "import os, pathlib, time\npathlib.Path('../pid').write_text(str(os.getpid()))\ntime.sleep(600)"


def test_a_hung_cell_is_named_and_its_kernel_does_not_stay(tmp_path, run):
    book = Book(tmp_path / "b", HANGS)

    code, out, _ = run("verify", "--timeout", "3", book.path)

    assert code == 2
    assert "a cell was not finished after 3 s (cell 2)" in out
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_dead_kernel_is_named(tmp_path, run):
    book = Book(tmp_path / "b", "import os; os._exit(3)")
    code, out, _ = run("verify", book.path)
    assert code == 2
    assert "the kernel died (cell 2)" in out


R = {"name": "ir", "display_name": "R", "language": "R"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda f: f / "none.ipynb", "there is no notebook"),
        (lambda f: f, "there is no notebook in"),
        (lambda f: write(f / "x.ipynb", "not JSON"), "x.ipynb is no notebook: it is not JSON"),
        (lambda f: write(f / "x.ipynb", "[1]"), "x.ipynb is no notebook: its JSON has not the shape of one"),
        (lambda f: write(f / "x.ipynb", '{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}'), "nbformat version 99"),
        (lambda f: write(f / "r.ipynb", nbformat.writes(new_notebook(metadata={"kernelspec": R}))), "written in R"),
    ],
    ids=["missing", "empty folder", "no notebook", "another shape", "another format", "another language"],
)  # fmt: skip
def test_what_cannot_run_exits_with_two_and_one_sentence(tmp_path, run, make, said):
    code, out, err = run("verify", make(tmp_path))
    assert code == 2
    assert said in out + err


def write(path, text):
    path.write_text(text, "utf-8")
    return path


def test_a_store_that_is_no_store_cannot_run(book, run):
    book.store.write_bytes(b"\x89PNG" + bytes(5000) + b"\n" * 3)
    code, out, _ = run("verify", book.path)
    assert code == 2
    assert "analysis.llm.jsonl" in out


def test_a_damaged_line_is_told_with_its_number(book, run):
    with book.store.open("ab") as file:
        file.write(b'{"key": "half\n')
    code, out, _ = run("verify", book.path)
    assert code == 0
    assert "analysis.llm.jsonl, line 3: not JSON" in out


def test_folders_are_searched_without_checkpoints_and_the_worst_exit_code_counts(tmp_path, run):
    Book(tmp_path / "all", "1", name="good.ipynb")
    assert run("verify", "--record", tmp_path / "all")[0] == 0
    Book(tmp_path / "all" / "sub", "2", name="other.ipynb").change(2, outputs=[new_output("stream", text="3")], execution_count=1)
    Book(tmp_path / "all" / ".ipynb_checkpoints", "1/0", name="good-checkpoint.ipynb")

    code, out, _ = run("verify", tmp_path / "all", "--workers", "2")

    assert code == 1
    assert "✓ good.ipynb" in out
    assert "✗ other.ipynb  1 of 1 cell differs" in out
    assert "checkpoint" not in out
    assert "2 notebooks: 1 passed, 1 failed" in out


PROBE = """
import socket, subprocess, sys
def refused(f):
    try:
        f()
    except OSError as error:
        print(type(error).__name__, "network is closed" in str(error))
    else:
        print("open")
refused(lambda: socket.create_connection(("192.0.2.1", 80)))
refused(lambda: socket.getaddrinfo("example.com", 80))
refused(lambda: socket.gethostbyname("example.com"))
refused(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"?", ("192.0.2.1", 53)))
refused(lambda: socket.socket().connect(("192.0.2.1", 80)))
code = "import socket; socket.socket().connect(('192.0.2.1', 80))"
print(b"network is closed" in subprocess.run([sys.executable, "-c", code], capture_output=True).stderr)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
print("loopback is open")
"""


def test_in_the_kernel_the_network_is_closed_and_no_key_is_there(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN", "MY_TOKEN", "DB_PASSWORD", "AWS_ACCESS_KEY_ID", "UNHEARD_OF"):
        monkeypatch.setenv(name, "a-secret-value")
    notebook = new_notebook(cells=[new_code_cell(PROBE), new_code_cell("import os; print('a-secret-value' in os.environ.values())")])

    kernels.execute(notebook, tmp_path, closed_environment(os.environ), timeout=60)

    said = printed(notebook.cells[0]).splitlines()
    assert said == ["gaierror True"] * 3 + ["OSError True"] * 2 + ["True", "loopback is open"]
    assert printed(notebook.cells[1]) == "False\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_program_that_minds_proxies_finds_none_that_answers():
    done = subprocess.run(
        ["curl", "-sS", "http://192.0.2.1/"], env=closed_environment(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 7
    assert "127.0.0.1 port 9" in done.stderr


def test_a_sitecustomize_of_the_user_runs_all_the_same(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('mine')")
    environ = closed_environment({**os.environ, "PYTHONPATH": str(tmp_path)})
    done = subprocess.run([sys.executable, "-c", "import sitecustomize"], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "mine\n"


def test_a_stranger_without_key_or_settings_gets_the_same_cells(tmp_path, run, monkeypatch):
    from fakeserver import FakeServer

    monkeypatch.delenv("TINYLLM_API_TYPE")
    book = Book(tmp_path / "b", "%%llm\nWho are you?")
    with FakeServer(["A model far away."]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        assert run("verify", "--record", book.path)[0] == 0
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")

    code, out, _ = run("verify", book.path)

    assert (code, out[:18]) == (0, "✓ analysis.ipynb  ")
    assert "sk-test" not in book.path.read_text("utf-8") + book.store.read_text("utf-8")


def test_every_output_of_a_prompt_cell_carries_its_provenance(book):
    facts = next(c for c in book.read().cells if c.source.startswith("%%llm -o")).outputs[0].metadata["tinyllm_magic"]
    record = next(iter(Store(book.store).records()))
    assert facts["key"] == record.key
    assert facts["model_asked"] == record.request["model"]
    assert facts["params"] == {"temperature": 0.5}
    assert facts["usage"]["prompt_tokens"] > 0
    assert (facts["created"], facts["package_version"], facts["source"]) == (record.created, record.version, "live")
    assert facts["model"] == record.answer.model


def test_two_notebooks_share_a_store_that_is_named(tmp_path, run):
    one = Book(tmp_path / "b", "%llm_cache use shared.llm.jsonl", "%%llm\nOne", name="one.ipynb")
    two = Book(tmp_path / "b", "%llm_cache use shared.llm.jsonl", "%%llm\nTwo", name="two.ipynb")
    assert run("verify", "--record", one.path, two.path)[0] == 0
    shared = Store(tmp_path / "b" / "shared.llm.jsonl")
    assert len(shared) == 2
    assert shared.keys() == sorted(shared.keys())


def test_a_renamed_notebook_finds_its_answers_in_the_store_beside_it_and_verify_writes_nothing(make, run):
    book = make("%%llm\nThree", name="Untitled.ipynb")
    assert run("verify", "--record", book.path)[0] == 0
    renamed = book.path.rename(book.path.with_name("analysis.ipynb"))
    before = sorted(p.name for p in renamed.parent.iterdir())

    assert run("verify", renamed)[0] == 0
    assert sorted(p.name for p in renamed.parent.iterdir()) == before


def test_to_record_a_renamed_notebook_asks_nothing_again(make, run):
    book = make("%%llm\nThree", name="Untitled.ipynb")
    assert run("verify", "--record", book.path)[0] == 0
    created = {r.key: r.created for r in Store(book.store).records()}
    renamed = book.path.rename(book.path.with_name("analysis.ipynb"))
    assert run("verify", "--record", renamed)[0] == 0
    assert {r.key: r.created for r in Store(renamed.with_name("analysis.llm.jsonl")).records()} == created


def test_a_miss_of_a_renamed_notebook_names_the_store_that_has_the_nearest_request(make, run):
    book = make("%%llm\nThree", name="Untitled.ipynb")
    assert run("verify", "--record", book.path)[0] == 0
    book.path.rename(book.path.with_name("analysis.ipynb"))
    book = make("%%llm\nThree of them")
    _, out, _ = run("verify", book.path)
    assert "no recorded answer for this request in Untitled.llm.jsonl (mode replay; the store analysis.llm.jsonl is missing)" in out


def test_recording_writes_no_store_outside_a_folder_that_is_not_trusted(make, run):
    book = make("%%llm\nThree")
    book.path.with_name("config.ini").write_text("[OpenAI]\nCACHE_FILE_NAME = ../outside.jsonl\n")
    code, out, _ = run("verify", "--record", book.path)
    assert (code, "names a file outside this folder" in out) == (2, True)
    assert not (book.path.parent.parent / "outside.jsonl").exists()


def test_a_store_that_config_ini_names_is_recorded_to_and_verified_from(make, run):
    book = make("%%llm\nThree")
    book.path.with_name("config.ini").write_text("[OpenAI]\nCACHE_FILE_NAME = answers.jsonl\n")
    assert run("verify", "--record", book.path)[0] == 0
    assert (len(Store(book.path.with_name("answers.jsonl"))), book.store.exists()) == (1, False)
    assert run("verify", book.path)[0] == 0


def test_a_notebook_recorded_through_a_gateway_verifies_on_its_authors_machine(make, run, monkeypatch):
    from fakeserver import FakeServer

    monkeypatch.delenv("TINYLLM_API_TYPE")
    book = make("%%llm -m gpt-4o-mini\nWho are you?")
    with FakeServer(["A model far away."]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        assert run("verify", "--record", book.path)[0] == 0
    code, out, _ = run("verify", book.path)
    assert code == 0, out


def test_prompt_cells_of_which_none_was_run_fail_unless_their_answers_are_recorded_or_that_is_allowed(make, run):
    book = make("%%llm\nThree", "1 + 1")
    code, out, _ = run("verify", book.path)
    assert (code, "has no recorded answer" in out) == (1, True)
    assert run("verify", "--allow-empty", book.path)[0] == 0

    assert run("verify", "--record", book.path)[0] == 0
    book.strip()
    code, out, _ = run("verify", book.path)
    assert (code, "nothing to compare" in out, "1 prompt cell answered from the store" in out) == (0, True, True)


def test_a_cell_of_python_that_asks_and_was_never_run_wants_its_answer_as_a_prompt_cell_does(make, run):
    book = make("from tinyllm_magic import LLMCall\nLLMCall(None, 'Never asked.').call()")
    code, out, _ = run("verify", book.path)
    assert (code, "has no recorded answer" in out) == (1, True)
    assert run("verify", "--allow-empty", book.path)[0] == 0


@pytest.mark.parametrize(
    "cells",
    [
        ["raise ValueError('\\ud800')"],
        ["get_ipython().showtraceback = lambda *a, **k: None", "1/0"],
        ["get_ipython().set_custom_exc((ZeroDivisionError,), lambda *a, **k: None)", "1/0"],
    ],
    ids=["a lone surrogate", "showtraceback replaced", "a custom handler"],
)
@pytest.mark.parametrize("tags", [[], ["raises-exception"]])
def test_a_cell_whose_error_no_output_shows_is_not_the_same(make, run, cells, tags):
    book = make(*cells)
    for number in range(1, len(cells) + 2):
        book.change(number, execution_count=number)
    book.change(len(cells) + 1, tags=tags)
    code, out, _ = run("verify", book.path)
    assert (code, "1 of " in out, f"cell {len(cells) + 1}:" in out) == (1, True, True)


@pytest.mark.parametrize("change", ["%llm_cache clear", "%llm_cache tidy"])
def test_a_store_that_the_notebook_itself_chooses_is_changed_on_a_copy(make, run, change):
    book = make("%llm_cache use other.llm.jsonl", "%%llm\nHello", change)
    assert run("verify", "--record", book.path)[0] == 0
    other = book.path.with_name("other.llm.jsonl")
    cleared = other.with_name("other.llm.jsonl.cleared")
    if cleared.exists():
        other.write_bytes(cleared.read_bytes())
        cleared.unlink()
    lines = other.read_bytes().splitlines(keepends=True)
    other.write_bytes(b"".join([*lines, lines[-1]]))  # what tidy would take out
    before = other.read_bytes()
    code, out, _ = run("verify", book.path)
    assert (code, other.read_bytes(), cleared.exists()) == (0, before, False), out


def test_a_group_of_errors_that_is_printed_is_compared_as_it_was_printed(make, run):
    book = make("raise ExceptionGroup('several', [ValueError('one')])")
    book.change(2, tags=["raises-exception"])
    assert run("verify", "--record", book.path)[0] == 0
    code, out, _ = run("verify", book.path)
    assert code == 0, out
    book.change(2, source="raise ExceptionGroup('several', [ValueError('two')])")
    assert run("verify", book.path)[0] == 1


def test_a_table_saved_from_a_live_run_verifies_and_a_changed_row_is_found(make, run):
    book = make("rows = [{'n': n} for n in range(3)]", "%%llm --map rows\nSay {{ n }}", "%%llm --compare a,b\nHello")
    assert run("verify", "--record", book.path)[0] == 0
    assert book.read().cells[3].outputs[0].metadata["tinyllm_magic"]["table"]["sources"] == ["live"]
    code, out, _ = run("verify", book.path)
    assert code == 0, out
    for old, new in (("Say 2", "Say 5"), ("Hello", "Hallo")):
        notebook = book.read()
        index = 3 if old == "Say 2" else 4
        outputs = json.dumps(notebook.cells[index].outputs).replace(old, new)
        notebook.cells[index].outputs = [nbformat.from_dict(o) for o in json.loads(outputs)]
        saved = book.path.read_bytes()
        book.write(notebook)
        code, out, _ = run("verify", book.path)
        assert (code, new in out) == (1, True), out
        book.path.write_bytes(saved)


@pytest.mark.parametrize(
    ("options", "cell", "advice"),
    [
        ([], "%%llm\nHello", "→ `tinyllm-magic verify --record analysis.ipynb` records what is missing"),
        ([], "%%llm --mode replay\nHello", "→ this call itself asks for the mode replay: take `--mode replay` (or `mode=`) out, then"),
        (["--record"], "%%llm --mode replay\nHello", "→ this call itself asks for the mode replay: take"),
        (["--record"], "%llm_cache mode replay\n%llm Hello", "→ the notebook itself chooses the mode replay"),
    ],
)
def test_the_advice_of_a_miss_leads_to_a_recorded_answer(make, run, options, cell, advice):
    code, out, _ = run("verify", *options, make(cell).path)
    assert (code, advice in out, "%llm_cache list" in out) == (1, True, False), out


# ---- the store from a shell


def test_cache_tells_lists_shows_checks_and_tidies(book, run):
    key = Store(book.store).keys()[0]
    code, out, _ = run("cache", "stats", book.store)
    assert (code, "records  1 in" in out) == (0, True)
    code, out, _ = run("cache", "list", book.store)
    assert (code, "Write about tea. → Write about tea." in out) == (0, True)
    code, out, _ = run("cache", "show", book.store, key[:12])
    assert (code, "[user]\nWrite about tea.\n[answer]\nWrite about tea." in out) == (0, True)
    assert run("cache", "check", book.store)[0] == 0
    assert "1 record kept" in run("cache", "tidy", book.store)[1]
    assert sorted(p.name for p in book.path.parent.iterdir()) == ["analysis.ipynb", "analysis.llm.jsonl"]


def test_a_strangers_record_gives_no_orders_to_the_terminal(run, tmp_path):
    from tinyllm_magic.messages import Message, Request
    from tinyllm_magic.responses import Answer, Record

    request = Request("echo", "m", (Message("user", "\x1b[2J asked"),))
    Store(tmp_path / "s.llm.jsonl").append(Record(request.key, request.canonical(), Answer(text="\x1b]0;x\x07 said", finish_reason="stop")))
    for what in ("list", "show"):
        code, out, _ = run("cache", what, tmp_path / "s.llm.jsonl")
        assert (code, "said" in out, "\x1b" in out, "\x07" in out) == (0, True, False, False)


def test_cache_check_exits_with_one_on_a_damaged_line_and_tidy_sets_it_aside(book, run):
    with book.store.open("ab") as file:
        file.write(b"garbage\n")
    code, out, _ = run("cache", "check", book.store)
    assert (code, "line 3: not JSON" in out) == (1, True)
    assert "1 damaged lines set aside" in run("cache", "tidy", book.store)[1]
    assert run("cache", "check", book.store)[0] == 0


def test_cache_merge_takes_records_in(book, run, tmp_path):
    code, out, _ = run("cache", "merge", tmp_path / "all.llm.jsonl", book.store)
    assert (code, "1 merged" in out) == (0, True)
    assert len(Store(tmp_path / "all.llm.jsonl")) == 1


@pytest.mark.parametrize("what", ["stats", "list", "show", "tidy", "merge", "check"])
def test_cache_refuses_what_is_no_store_in_one_sentence(what, run, tmp_path):
    for name in ("missing.llm.jsonl", "."):
        code, out, err = run("cache", what, tmp_path / name, *([tmp_path / "gone"] if what == "merge" else []))
        assert (code, out) == (2, "")
        assert err.startswith("tinyllm-magic: ")
        assert len(err.splitlines()) == 1


def test_an_interrupt_ends_the_kernels_at_once(tmp_path):
    book = Book(tmp_path / "b", HANGS)
    code = f"import sys; from tinyllm_magic.cli.command_line import main; sys.exit(main(['verify', {str(book.path)!r}]))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in err
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
