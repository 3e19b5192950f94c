"""A command line in, text and an exit code out: ``tinyllm-magic demo | verify | cache | models``.

Knows argparse and what a shell expects.
Does not know how a notebook runs, a store is kept or a model answers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TextIO

from .errors import TinyLLMError
from .facts import EMBEDDED

FIRST_NOTEBOOK = "01_first_cell.ipynb"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (2: it could not be done, and standard error says why)."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return 2
    try:
        return int(chosen.run(chosen))
    except TinyLLMError as error:
        print(f"tinyllm-magic: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tinyllm-magic: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tinyllm-magic", description="The reproducible prompt cell, from a shell.")
    commands = parser.add_subparsers(title="commands")
    demo = commands.add_parser("demo", help="run the first notebook on the embedded model and show every answer")
    demo.add_argument("--folder", type=Path, default=Path("tinyllm-demo"), help="where the executed notebook goes (default: %(default)s)")
    demo.set_defaults(run=run_demo)
    _add_verify(commands)
    _add_cache(commands)
    named = commands.add_parser("models", help="named models; fetch the embedded model's weights")
    named.add_argument("what", nargs="?", choices=("list", "fetch"), default="list")
    named.set_defaults(run=run_models)
    return parser


def _add_verify(commands: Any) -> None:
    parser = commands.add_parser(
        "verify",
        help="run notebooks from their stores, offline, and compare every answer with the saved one",
        description="Runs notebooks in strict replay (no key, no network) and compares the outputs of every cell with the saved ones. "
        "Exit code: 0 all the same, 1 something differs or is missing, 2 could not run.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="NOTEBOOK_OR_FOLDER")
    parser.add_argument("--record", action="store_true", help="run live where an answer is missing, record it, and write the outputs")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML, too")
    parser.add_argument("--workers", type=_positive, default=2, metavar="N", help="notebooks side by side (default: %(default)s)")
    parser.add_argument("--timeout", type=_positive, default=600, metavar="SECONDS", help="for each cell (default: %(default)s)")
    parser.add_argument("--allow-errors", action="store_true", help="a cell may fail, as if all were tagged `raises-exception`")
    parser.set_defaults(run=run_verify)


def _add_cache(commands: Any) -> None:
    parser = commands.add_parser(
        "cache",
        help="look after stores of recorded answers",
        description="stats, list, check and tidy take stores; show takes a store and the beginnings of keys; "
        "merge takes a store and others whose records it takes in. check exits with 1 on damaged lines.",
    )
    parser.add_argument("what", choices=("stats", "list", "show", "tidy", "merge", "check"))
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.set_defaults(run=run_cache)


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def run_verify(chosen: argparse.Namespace) -> int:
    """Verify notebooks: verdicts on standard output, progress on standard error."""
    from . import verdicts
    from .markup import printable
    from .verify import Terms, find, verify

    found = find(chosen.places)
    names = Counter(path.name for path in found)
    terms = Terms(record=chosen.record, timeout=chosen.timeout, workers=chosen.workers, allow_errors=chosen.allow_errors)
    done: list[verdicts.NotebookVerdict] = []
    progress = _Ticker(sys.stderr)
    for verdict in verify(found, terms, told=progress.tell):
        done.append(verdict)
        progress.clear()
        print(printable("\n".join(verdicts.told(verdict, whole_path=names[verdict.path.name] > 1))), flush=True)
    if len(done) > 1:
        bad = sum(bool(v.exit_code) for v in done)
        print(f"{len(done)} notebooks: {len(done) - bad} fine, {bad} not")
    if chosen.junit is not None:
        try:
            chosen.junit.parent.mkdir(parents=True, exist_ok=True)
            chosen.junit.write_bytes(verdicts.junit(done))
        except OSError as error:
            raise TinyLLMError(f"{chosen.junit} cannot be written: {error.strerror}") from error
    return verdicts.exit_code(done)


class _Ticker:
    """Progress lines: one that overwrites itself in a terminal, else one for each notebook."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._seen = out, set[str]()
        self._lock = threading.Lock()

    def tell(self, line: str) -> None:
        """Show how far a notebook has come."""
        with self._lock:
            name = line.rpartition(":")[0]
            if self._out.isatty():
                self._out.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
            elif name not in self._seen:
                self._seen.add(name)
                self._out.write(f"running {name} …\n")
            self._out.flush()

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._out.isatty():
            self._out.write("\r\x1b[K")
            self._out.flush()


def run_cache(chosen: argparse.Namespace) -> int:
    """Do one thing to a store, or to several."""
    from . import shelves
    from .markup import printable

    lines, code = shelves.DOES[chosen.what]([*chosen.files])
    print(printable("\n".join(lines)))
    return code


def run_demo(chosen: argparse.Namespace) -> int:
    """Execute the first notebook live on the embedded model, show each cell, write notebook and page."""
    from . import runs

    fetch_weights()
    folder: Path = chosen.folder
    folder.mkdir(parents=True, exist_ok=True)
    notebook = runs.read(first_notebook())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    store = folder / f"{Path(FIRST_NOTEBOOK).stem}.llm.jsonl"
    store.unlink(missing_ok=True)  # the demonstration is live, every time
    environ = {"TINYLLM_API_TYPE": "local", "TINYLLM_MODEL": EMBEDDED, "TINYLLM_MODE": "auto", "TINYLLM_STORE": str(store.absolute())}
    print(f"Running {FIRST_NOTEBOOK} on a model inside this machine: no key, no network.\n")
    _tell_markdown(notebook.cells, -1)
    try:
        runs.execute(
            notebook,
            folder,
            {**os.environ, **environ},
            started=lambda _index, cell: print(_framed(cell.source), flush=True),
            finished=lambda index, cell: _tell_outputs(notebook.cells, index, cell),
        )
    finally:
        runs.write(notebook, folder / FIRST_NOTEBOOK)
    page = folder / f"{Path(FIRST_NOTEBOOK).stem}.html"
    page.write_text(runs.to_html(notebook), encoding="utf-8")
    print(f"Written: {folder / FIRST_NOTEBOOK}, {page} (open it in a browser) and the answers in {store}.")
    print("Run the notebook again and every answer comes from that file, at once and unchanged.")
    return 0


def first_notebook() -> Path:
    """The first notebook: packaged with an installation, or of the checkout that this package runs from."""
    packaged = Path(str(resources.files(__package__).joinpath("static", FIRST_NOTEBOOK)))
    checkout = Path(__file__).parent.parent / "notebooks" / FIRST_NOTEBOOK
    return packaged if packaged.exists() else checkout


def _framed(source: str) -> str:
    bar = "─" * min(shutil.get_terminal_size().columns, 78)
    return f"{bar}\n{textwrap.indent(source, '  ')}\n{bar}"


def _tell_outputs(cells: list[Any], index: int, cell: Any) -> None:
    """Print a cell's outputs as a terminal would, and the headings that follow it."""
    for output in cell.outputs:
        text = output.get("text") or output.get("data", {}).get("text/plain") or "\n".join(output.get("traceback", []))
        if text:
            print(f"{text.rstrip()}\n", flush=True)
    _tell_markdown(cells, index)


def _tell_markdown(cells: list[Any], index: int) -> None:
    for cell in cells[index + 1 :]:
        if cell.cell_type != "markdown":
            return
        print(f"{cell.source}\n", flush=True)


def run_models(chosen: argparse.Namespace) -> int:
    """List the named models, or fetch the embedded model's weights."""
    if chosen.what == "fetch":
        print(fetch_weights().name)
        return 0
    from . import reports

    print(reports.models_table()["text/plain"])
    return 0


def fetch_weights() -> Path:
    """The embedded model's weights, fetched on first use with a progress line on standard error."""
    from .files import cache_folder
    from .providers import engine, weights

    engine.require()
    found = weights.find(cache_folder=cache_folder())
    if found is not None:
        return found
    try:
        return weights.fetch(cache_folder(), _progress_line)
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)


def _progress_line(message: str, done: int, total: int) -> None:
    share = f"{done / total:4.0%}" if total else ""
    end = "\r" if sys.stderr.isatty() else os.linesep
    if sys.stderr.isatty() or done in (0, total):
        print(f"{message} {share}", end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
