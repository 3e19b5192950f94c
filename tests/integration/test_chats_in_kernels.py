"""Conversations in real kernels: the cell ids that front ends send, restarts, and ``verify`` with neither key nor network."""

import os

import pytest
from jupyter_client.manager import start_new_kernel
from notebookmaker import Book, printed

from tinyllm_magic.cli.command_line import main


class Kernel:
    """A kernel of this Python whose cells are sent with their ids, as JupyterLab, Jupyter Notebook and VS Code send them."""

    def __init__(self, folder):
        self._manager, self._client = start_new_kernel(kernel_name="python3", cwd=str(folder), env=dict(os.environ))
        self.run("setup", "%load_ext tinyllm_magic")

    def run(self, cell, source):
        content = {"code": source, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self._client.session.msg("execute_request", content, metadata={"cellId": cell})
        self._client.shell_channel.send(message)
        printed = []
        while True:
            reply = self._client.get_iopub_msg(timeout=60)
            if reply["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if reply["msg_type"] == "error":
                raise AssertionError("\n".join(reply["content"]["traceback"]))
            if reply["msg_type"] == "stream":
                printed.append(reply["content"]["text"])
            if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                return "".join(printed)

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def open_kernel(tmp_path):
    kernels = []

    def start_kernel():
        kernels.append(Kernel(tmp_path / "place"))
        return kernels[-1]

    yield start_kernel
    for kernel in kernels:
        kernel.close()


TURNS = "from tinyllm_magic import Chat\nprint([(t.text, t.answer, t.response.source, t.stale) for t in Chat().turns])"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # of the client's own sockets
def test_a_kernel_knows_the_cell_that_runs_and_a_restart_goes_on(start, open_kernel):
    server = start("one", "two", "other", "again", "three")
    first = open_kernel()
    first.run("a", "%%llm -c -q\nFirst")
    first.run("b", "%%llm -c -q\nSecond")
    first.run("a", "%%llm -c -q\nFirst, please")
    assert first.run("z", TURNS) == f"{[('First, please', 'other', 'live', False), ('Second', 'two', 'live', True)]}\n"
    first.run("b", "%%llm -c -q\nSecond")
    first.close()

    second = open_kernel()
    for cell, text in (("a", "First, please"), ("b", "Second"), ("c", "Third")):
        second.run(cell, f"%%llm -c -q\n{text}")

    turns = [("First, please", "other", "recorded", False), ("Second", "again", "recorded", False), ("Third", "three", "live", False)]
    assert second.run("z", TURNS) == f"{turns}\n"
    assert server.n == 5


CELLS = (
    "%%llm --chat tea -s 'Be brief.'\nGreen or black?",
    "for question in ('Why?', 'Really?'):\n    r = %llm -c=tea {{ question }}\n    print(r)",
    "%llm_chat tea fork milk --at 1",
    "%%llm --chat milk\nWith milk?",
    "%%llm --chat tea --keep 1 -n 2\nSure?",
    "%llm_chat tea undo",
    "%%llm --chat tea\nThen?",
    "from tinyllm_magic import Chat\nprint(Chat('tea').ask('Last one.'))\nprint([t.text for t in Chat('tea').turns])",
    "%llm_chat tea export asked.j2",
    "again = %llm -t asked.j2\nprint(again)",
)


def test_a_notebook_with_conversations_is_verified_with_neither_key_nor_network(start, tmp_path, capsys, monkeypatch):
    server = start("green", "because", "yes", "no milk", "sure", "certainly", "then", "bye")
    book = Book(tmp_path / "book", *CELLS)
    assert main(["verify", "--record", str(book.path)]) == 0, capsys.readouterr()
    assert server.n == 8
    told = printed(book.read().cells[-3])
    server.close()
    for name in [n for n in os.environ if n.startswith("OPENAI_")]:
        monkeypatch.delenv(name)

    code = main(["verify", str(book.path)])

    said = capsys.readouterr().out
    assert code == 0, said
    assert "✓ analysis.ipynb" in said
    assert told == "bye\n['Green or black?', 'Why?', 'Really?', 'Then?', 'Last one.']\n"


def test_an_earlier_turn_that_was_edited_fails_the_proof_of_every_later_one(start, tmp_path, capsys):
    start("green", "because")
    book = Book(tmp_path / "book", "%%llm --chat\nGreen or black?", "%%llm --chat\nWhy?")
    assert main(["verify", "--record", str(book.path)]) == 0
    book.change(2, source="%%llm --chat\nGreen or white?")
    capsys.readouterr()

    code = main(["verify", str(book.path)])

    said = capsys.readouterr().out
    assert code == 1, said
    assert "[black" in said
    assert "[white" in said
