"""Plain IPython in a terminal: text as it comes, one footer line, nothing twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

IPYTHON = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", "--HistoryManager.enabled=False"]


def session(*lines):
    done = subprocess.run(
        IPYTHON,
        input="\n".join([*lines, "exit", ""]),
        env={**os.environ, "TINYLLM_API_TYPE": "echo", "IPYTHONDIR": str(Path("ipython").absolute())},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout, done.stderr


def test_a_line_question_is_answered_as_text():
    out, _ = session("%load_ext tinyllm_magic", "r = %llm Are you there?", "print(r.text, r.source)")
    assert "Are you there? live" in out


def test_a_cell_streams_its_text_once_and_ends_with_one_footer(tmp_path):
    script = tmp_path / "cell.ipy"
    script.write_text("%load_ext tinyllm_magic\nget_ipython().run_cell_magic('llm', '', 'Hello terminal')\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--colors=NoColor", str(script)],
        env={**os.environ, "TINYLLM_API_TYPE": "echo", "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == "Hello terminal"
    assert lines[1].startswith("-- echo · 2 in / 2 out tokens")
    assert lines[1].endswith("live")
    assert len(lines) == 2
    assert "<" not in done.stdout


def test_an_error_is_told_in_a_few_lines_without_a_traceback():
    out, err = session("%load_ext tinyllm_magic", "%llm {{ nope }}")
    said = out + err
    assert "UndefinedError: 'nope' is not defined (line 1, column " in said
    assert "Traceback (most recent call last)" not in said


@pytest.fixture
def console(tmp_path):
    """Run a line in `jupyter console` in a terminal of 60 columns; the lines that it shows."""
    places = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    env = {**os.environ, **places, "TINYLLM_API_TYPE": "echo", "TERM": "dumb", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    env.pop("COLUMNS", None)
    arguments = ["-Xfrozen_modules=off", "-m", "jupyter_console", "--simple-prompt"]
    child = pexpect.spawn(sys.executable, arguments, env=env, encoding="utf-8", timeout=60, dimensions=(40, 60))
    prompt = r"In \[\d+\]: "
    child.expect(prompt)

    def run(line):
        child.sendline(line)
        child.expect(prompt)
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", child.before).replace("\r", "").splitlines()
        return [part for part in shown[1:] if part.strip()]

    run("%load_ext tinyllm_magic")
    yield run
    child.sendline("exit")
    child.close(force=True)


def test_jupyter_console_shows_answers_and_tables_that_fit(console):
    assert console("%llm Hello there")[0] == "Hello there"
    assert console("r = %llm Hello there") == []
    shown = console("get_ipython().run_cell_magic('llm', '', 'Hello cell')")
    assert shown[0] == "Hello cell"
    assert len(shown) == 2
    console("rows = [{'x': 'word ' * 30, 'name': 'long ' * 20}]")
    table = console("get_ipython().run_cell_magic('llm', '--map rows', 'Say {{ x }}')")
    assert "word" in table[2]
    assert max(map(len, table)) <= 80
