"""A command line in, text and an exit code out: ``tinyllm-magic demo | cache | models``.

Knows argparse and what a shell expects.
Does not know how a notebook runs, a store is kept or a model answers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from .errors import TinyLLMError

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
    named = commands.add_parser("models", help="named models; fetch the embedded model's weights")
    named.add_argument("what", nargs="?", choices=("list", "fetch"), default="list")
    named.set_defaults(run=run_models)
    return parser


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
    environ = {"TINYLLM_API_TYPE": "local", "TINYLLM_MODEL": "", "TINYLLM_MODE": "refresh", "TINYLLM_STORE": str(store.absolute())}
    print(f"Running {FIRST_NOTEBOOK} on a model inside this machine: no key, no network.\n")
    _tell_markdown(notebook.cells, -1)
    try:
        runs.execute(
            notebook,
            folder,
            environ,
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
