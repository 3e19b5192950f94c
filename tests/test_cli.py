import importlib
import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from tinyllm_magic.cli.command_line import main


@pytest.mark.model
def test_demo_runs_the_first_notebook_live_and_writes_it_and_its_page(monkeypatch, capsys, weights_folder, tmp_path):
    monkeypatch.setenv("TINYLLM_CACHE_DIR", str(weights_folder))

    assert main(["demo", "--folder", str(tmp_path / "demo")]) == 0

    out = capsys.readouterr().out
    assert "The capital of France is Paris." in out
    executed = nbformat.read(tmp_path / "demo" / "01_first_cell.ipynb", as_version=4)
    assert any("live" in str(o) for c in executed.cells if c.cell_type == "code" for o in c.outputs)
    assert "Paris" in (tmp_path / "demo" / "01_first_cell.html").read_text("utf-8")
    lines = (tmp_path / "demo" / "01_first_cell.llm.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(line)["key"] for line in lines[1:])


def test_models_lists_the_embedded_model(capsys):
    assert main(["models"]) == 0
    assert "SmolLM2" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_the_installed_command_tells_its_commands():
    done = subprocess.run([sys.executable, "-m", "tinyllm_magic.cli", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout


def test_no_command_waits_for_jsonschemas_parser_of_iris(monkeypatch):
    monkeypatch.delitem(sys.modules, "rfc3987_syntax", raising=False)

    main(["models"])

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("rfc3987_syntax")


HOSTILE = "n\x1b[2J\u202e\x9b31m"


@pytest.mark.parametrize("command", [["cache", "stats"], ["cache", "show"], ["verify"]])
def test_the_name_of_a_missing_file_commands_no_terminal(tmp_path, capsys, command):
    assert main([*command, str(tmp_path / f"{HOSTILE}.ipynb")]) == 2
    told = capsys.readouterr()
    assert "n[2J31m.ipynb" in told.out + told.err
    assert not set(told.out + told.err) & set("\x1b\x9b\u202e")


def test_an_argument_that_is_not_understood_commands_no_terminal(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["models", "list", HOSTILE])
    err = capsys.readouterr().err
    assert "unrecognized arguments: n[2J31m" in err
    assert not set(err) & set("\x1b\x9b\u202e")


def test_the_name_of_a_notebook_commands_no_terminal_and_feigns_no_line(tmp_path, capsys):
    (tmp_path / f"{HOSTILE}\n✓ other.ipynb").write_text("no notebook", "utf-8")
    assert main(["verify", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out.startswith("✗ n[2J31m ✓ other.ipynb  could not run")
    assert not set(told.out + told.err) & set("\x1b\x9b\u202e")


def test_what_a_store_holds_commands_no_terminal(tmp_path, capsys):
    from tinyllm_magic import Store
    from tinyllm_magic.messages import Message, Request
    from tinyllm_magic.responses import Answer, Record

    request = Request("echo", f"m{HOSTILE}", (Message("user", HOSTILE),), {"user": HOSTILE})
    Store(tmp_path / "s.llm.jsonl").append(
        Record(request.key, request.canonical(), Answer(text=HOSTILE, model=HOSTILE, finish_reason=HOSTILE))
    )
    for what in ("stats", "list", "show", "check"):
        assert main(["cache", what, str(tmp_path / "s.llm.jsonl")]) == 0
    assert not set(capsys.readouterr().out) & set("\x1b\x9b\u202e")


def test_the_name_of_a_model_commands_no_terminal(monkeypatch, capsys):
    monkeypatch.setenv("TINYLLM_MODEL", f"m{HOSTILE}")
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "mn[2J31m" in out
    assert not set(out) & set("\x1b\x9b\u202e")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A recorded notebook whose answer no old encoding has."""
    from notebookmaker import Book

    book = Book(tmp_path_factory.mktemp("recorded"), "%%llm\nGreen tea ☕ ✓")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYLLM_API_TYPE", "echo")
        assert main(["verify", "--record", str(book.path)]) == 0
    return book


@pytest.mark.parametrize(("encoding", "answer", "code"), [("ascii", "tea", 0), ("cp1252", "coffee", 1)])
def test_verify_gives_its_exit_code_and_junit_whatever_the_encoding(recorded, tmp_path, monkeypatch, encoding, answer, code):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    book = tmp_path / "b" / recorded.path.name
    shutil.copytree(recorded.path.parent, book.parent)
    text = book.read_text("utf-8")
    book.write_text(text.replace("Green tea", f"Green {answer}").replace(f"%%llm\\nGreen {answer}", "%%llm\\nGreen tea"), "utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "tinyllm_magic.cli", "verify", book, "--junit", tmp_path / "j.xml"],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stdout.split(maxsplit=1)[0]) == (code, b"FAILED" if code else b"ok"), done.stderr
    assert (tmp_path / "j.xml").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("command", [["models"], ["cache", "show"], ["cache", "list"], ["cache", "stats"]])
def test_no_printing_command_fails_because_of_the_encoding(tmp_path, command):
    from tinyllm_magic import Store
    from tinyllm_magic.messages import Message, Request
    from tinyllm_magic.responses import Answer, Record

    request = Request("echo", "m", (Message("user", "Grüß 世界 ✓"),))
    Store(tmp_path / "s.llm.jsonl").append(Record(request.key, request.canonical(), Answer(text="→ ok", finish_reason="stop")))
    file = [tmp_path / "s.llm.jsonl"] if command[0] == "cache" else []

    done = subprocess.run(
        [sys.executable, "-m", "tinyllm_magic.cli", *command, *file],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("ascii")
