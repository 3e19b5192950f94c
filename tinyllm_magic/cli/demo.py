"""The demonstration: the first notebook, live on the embedded model."""

from __future__ import annotations

import argparse
import os
import shutil
import textwrap
from importlib import resources
from pathlib import Path
from typing import Any

from ..models.catalog import EMBEDDED
from ..text_format import printable
from .weights import fetch_weights

FIRST_NOTEBOOK = "01_first_cell.ipynb"


def run_demo(chosen: argparse.Namespace) -> int:
    """Execute the first notebook live on the embedded model, show each cell, write notebook and page."""
    from ..recording.names import store_beside
    from ..verify import kernels

    fetch_weights()
    folder: Path = chosen.folder
    folder.mkdir(parents=True, exist_ok=True)
    notebook = kernels.read(first_notebook())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    store = store_beside(folder / FIRST_NOTEBOOK)
    store.unlink(missing_ok=True)  # the demonstration is live, every time
    environ = {"TINYLLM_API_TYPE": "local", "TINYLLM_MODEL": EMBEDDED, "TINYLLM_MODE": "auto", "TINYLLM_STORE": str(store.absolute())}
    print(f"Running {FIRST_NOTEBOOK} on a model inside this machine: no key, no network.\n")
    _print_markdown(notebook.cells, -1)
    try:
        kernels.execute(
            notebook,
            folder,
            {**os.environ, **environ},
            started=lambda _index, cell: print(_frame(cell.source), flush=True),
            finished=lambda index, cell: _print_outputs(notebook.cells, index, cell),
        )
    finally:
        kernels.write(notebook, folder / FIRST_NOTEBOOK)
    page = folder / f"{Path(FIRST_NOTEBOOK).stem}.html"
    page.write_text(kernels.to_html(notebook), encoding="utf-8")
    print(f"Written: {folder / FIRST_NOTEBOOK}, {page} (open it in a browser) and the answers in {store}.")
    print("Run the notebook again and every answer comes from that file, at once and unchanged.")
    return 0


def first_notebook() -> Path:
    """The first notebook: packaged with an installation, or of the checkout that this package runs from."""
    packaged = Path(str(resources.files("tinyllm_magic").joinpath("static", FIRST_NOTEBOOK)))
    checkout = Path(__file__).parents[2] / "notebooks" / FIRST_NOTEBOOK
    return packaged if packaged.exists() else checkout


def _frame(source: str) -> str:
    bar = "─" * min(shutil.get_terminal_size().columns, 78)
    return f"{bar}\n{textwrap.indent(source, '  ')}\n{bar}"


def _print_outputs(cells: list[Any], index: int, cell: Any) -> None:
    """Print a cell's outputs as a terminal would, and the headings that follow it."""
    for output in cell.outputs:
        text = output.get("text") or output.get("data", {}).get("text/plain") or "\n".join(output.get("traceback", []))
        if text:
            print(f"{printable(text).rstrip()}\n", flush=True)
    _print_markdown(cells, index)


def _print_markdown(cells: list[Any], index: int) -> None:
    for cell in cells[index + 1 :]:
        if cell.cell_type != "markdown":
            return
        print(f"{cell.source}\n", flush=True)
