"""Reads, writes and executes notebooks: every cell runs in a fresh kernel of this Python. Knows nothing of answers or stores."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ..errors import MissingExtraError, TinyLLMError
from ..files import replace_whole

_RUNNING: list[Any] = []  # managers of the kernels that run now
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# ipykernel's launcher, with no debugger: nobody steps through these cells, and to load it takes a third of a kernel's start.
# A cell that imports debugpy gets it all the same.
_WITHOUT_DEBUGGER = """
import runpy, sys
if sys.path[0] == "":
    del sys.path[0]
sys.modules["debugpy"] = None
import ipykernel.debugger
del sys.modules["debugpy"]
runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
"""


class NotebookError(TinyLLMError):
    """A notebook that cannot be read, or a cell of it that failed; ``cell`` counts code cells from 1."""

    cell: int | None = None


def read(path: Path) -> Any:
    """The notebook of a file, in format 4; raises ``NotebookError`` where it is none."""
    nbformat = _library("nbformat")
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise NotebookError(f"there is no notebook {path}") from None
    except (nbformat.reader.NotJSONError, UnicodeDecodeError) as error:
        raise NotebookError(f"{path.name} is no notebook: it is not JSON") from error
    except (nbformat.ValidationError, RecursionError, LookupError, AttributeError, TypeError) as error:
        raise NotebookError(f"{path.name} is no notebook: its JSON has not the shape of one") from error


def language_of(notebook: Any) -> str:
    """The language that a notebook is written in; ``python`` where it does not say."""
    metadata = notebook.metadata
    return str((metadata.get("kernelspec") or {}).get("language") or (metadata.get("language_info") or {}).get("name") or "python")


def write(notebook: Any, path: Path) -> None:
    """Write a notebook."""
    _library("nbformat").write(notebook, path)


def write_whole(notebook: Any, path: Path) -> None:
    """Write a notebook so that the file is either as before or complete."""
    text = _library("nbformat").writes(notebook)
    try:
        replace_whole(Path(os.path.realpath(path)), [(text if text.endswith("\n") else f"{text}\n").encode()])
    except OSError as error:
        raise NotebookError(f"{path.name} cannot be written: {error.strerror}") from error


def execute(
    notebook: Any,
    folder: Path,
    environ: Mapping[str, str],
    *,
    timeout: float = 600,
    allow_errors: bool = False,
    started: Callable[[int, Any], None] | None = None,
    finished: Callable[[int, Any], None] | None = None,
    failed: Callable[[int, str, str], None] | None = None,
) -> Any:
    """Run all code cells in ``folder``, in place; ``environ`` is the kernel's whole environment.

    ``timeout`` is in seconds for each cell; ``allow_errors`` goes on after a cell that fails.
    ``started`` and ``finished`` are called with the index of the cell and the cell, ``failed`` with the index of
    a cell, the error's class and its text, also where no output shows it. Raises ``NotebookError`` for a failed or
    hung cell or a dead kernel; the outputs so far are kept in the notebook.
    """

    def executed(cell: Any, cell_index: int, execute_reply: Any) -> None:
        reply = execute_reply["content"]
        if failed and reply.get("status") == "error":
            failed(cell_index, str(reply.get("ename", "")), str(reply.get("evalue", "")))
        if finished:
            finished(cell_index, cell)

    nbclient = _library("nbclient")
    manager = _kernel_manager()
    client = nbclient.NotebookClient(
        notebook,
        manager,
        timeout=timeout,
        allow_errors=allow_errors,
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--HistoryManager.enabled=False", "--IPKernelApp.log_level=40"],
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=lambda cell, cell_index: started(cell_index, cell) if started and cell.cell_type == "code" else None,
        on_cell_executed=executed,
    )
    _RUNNING.append(manager)
    try:
        return _run(lambda: client.async_execute(env=dict(environ), cleanup_kc=True))
    except nbclient.exceptions.CellExecutionError as error:
        raise NotebookError(_describe(error), hint="The notebook shows the whole error.") from error
    except nbclient.exceptions.CellTimeoutError as error:
        raise NotebookError(f"a cell was not finished after {timeout:g} s") from error
    except nbclient.exceptions.DeadKernelError as error:
        raise NotebookError("the kernel died") from error
    except RuntimeError as error:
        raise NotebookError(f"the kernel did not start: {error}") from error
    finally:
        _RUNNING.remove(manager)


def _run(begin: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The result of a coroutine; in a thread of its own where this one runs a loop already, as a notebook's does."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        with ThreadPoolExecutor(1) as beside:
            return beside.submit(_run, begin).result()
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # pyzmq wants this kind, on Windows too
        return runner.run(begin())


def stop_all() -> None:
    """Kill the kernels that run now; the calls of ``execute`` that wait for them end with ``NotebookError``."""
    for manager in tuple(_RUNNING):
        process = getattr(manager.provisioner, "process", None)
        if process is not None:
            process.kill()


def _kernel_manager() -> Any:
    """A manager for kernels of this very Python, whatever kernels the user has installed."""
    _library("ipykernel")
    jupyter = _library("jupyter_client")
    specs = jupyter.kernelspec.KernelSpecManager(kernel_dirs=[])
    manager = jupyter.AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    command = manager.kernel_spec.argv
    if command[1:3] == ["-m", "ipykernel_launcher"]:
        command[1:3] = ["-c", _WITHOUT_DEBUGGER]
    return manager


def _describe(error: Any) -> str:
    lines = _ANSI.sub("", str(error.evalue)).strip().splitlines()
    return f"a cell failed: {error.ename}: {lines[0] if lines else ''}"


def to_html(notebook: Any) -> str:
    """The notebook as one HTML page."""
    nbconvert = _library("nbconvert")
    page, _ = nbconvert.HTMLExporter(embed_images=True).from_notebook_node(notebook)
    return str(page)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"running notebooks needs the package {name}", hint='pip install "tinyllm-magic[verify]"', extra="verify"
        ) from error
