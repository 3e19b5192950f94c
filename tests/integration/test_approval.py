"""`--approve` where a person is asked: in a real kernel, whose front end gets an input request, and in a terminal."""

import os
import re
import sys
from pathlib import Path

import nbclient
import nbformat
import pexpect
import pytest
from jupyter_client.manager import start_new_kernel

TOOL = "def note(word: str) -> str:\n    print('ran', word)\n    return 'noted ' + word\n"
ASKED = "Run note(word='{}') ? [y/N, or why not] "
PROMPT = r"In \[\d+\]: "

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the client's own sockets


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Runs code in a kernel and answers its questions; gives what was shown, and the questions."""
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path), env=dict(os.environ))

    def run(code, *answers):
        shown, questions, rest = [], [], iter(answers)

        def answer(message):
            questions.append(message["content"]["prompt"])
            client.input(next(rest))

        def show(message):
            content = message["content"]
            shown.append(content.get("text") or content.get("data", {}).get("text/plain") or content.get("evalue", ""))

        client.execute_interactive(code, allow_stdin=bool(answers), stdin_hook=answer, output_hook=show, timeout=120)
        return "\n".join(shown), questions

    run(f"%load_ext tinyllm_magic\n{TOOL}")
    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_front_end_is_asked_before_each_call_and_what_is_typed_for_a_no_goes_to_the_model(kernel):
    shown, questions = kernel("%%llm --tools note --approve\nnote('a') note('b')", "y", "not this one")

    assert questions == [ASKED.format("a"), ASKED.format("b")]
    assert "ran a" in shown
    assert "ran b" not in shown
    assert "note(word='b') = Refused: the user did not allow this call: not this one" in shown


def test_a_replay_in_a_kernel_asks_nothing_and_says_the_same(kernel):
    kernel("%%llm --tools note --approve\nnote('a')", "y")

    shown, questions = kernel("%%llm --tools note --approve\nnote('a')")

    assert questions == []
    assert "ran a" not in shown
    assert "note(word='a') = noted a" in shown


def test_a_front_end_that_takes_no_input_gets_an_error_and_nothing_runs(kernel):
    shown, _ = kernel("%%llm --tools note --approve\nnote('a')")

    assert "note(word='a') was not run: it has to be approved, and nobody can be asked here" in shown
    assert "ran a" not in shown


def test_a_notebook_that_is_run_by_a_program_cannot_be_asked(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYLLM_API_TYPE", "echo")
    sources = (f"%load_ext tinyllm_magic\n{TOOL}", "%%llm --tools note --approve\nnote('a')")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])

    with pytest.raises(nbclient.exceptions.CellExecutionError, match="nobody can be asked here"):
        nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()


@pytest.fixture
def terminal(tmp_path):
    """IPython in a terminal, with the tool; ends with the test."""
    env = {**os.environ, "TINYLLM_API_TYPE": "echo", "IPYTHONDIR": str(tmp_path / "ipython"), "TERM": "dumb"}
    arguments = ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor", "--HistoryManager.enabled=False"]
    child = pexpect.spawn(sys.executable, arguments, env=env, encoding="utf-8", timeout=120, dimensions=(40, 120))
    Path("tool.py").write_text(TOOL)
    for line in ("%load_ext tinyllm_magic", "from tool import note"):
        child.expect(PROMPT)
        child.sendline(line)
    child.expect(PROMPT)
    yield child
    child.close(force=True)


def test_a_terminal_is_asked_too(terminal):
    terminal.sendline("r = get_ipython().run_cell_magic('llm', '--tools note --approve', \"note('a')\")")
    terminal.expect_exact(ASKED.format("a").strip())
    terminal.sendline("y")
    terminal.expect(PROMPT)

    assert re.search(r"ran a\s", terminal.before)
    assert "noted a" in terminal.before


def test_a_no_in_a_terminal_runs_nothing(terminal):
    terminal.sendline("r = get_ipython().run_cell_magic('llm', '--tools note --approve', \"note('a')\")")
    terminal.expect_exact(ASKED.format("a").strip())
    terminal.sendline("")
    terminal.expect(PROMPT)

    assert "ran a" not in terminal.before
    assert "Refused: the user did not allow this call" in terminal.before
