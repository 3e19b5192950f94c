"""What a published site adds to Pyodide's kernel; runs in the reader's page, as Python's start-up file.

The kernel knows its folder on the site's drive, and each notebook has a folder of its own there. When the first cell runs, the
files beside the notebook (its store too) are laid into a folder in memory, which becomes the working directory: nothing is
asked of the drive any more, whose every look-up is a request, and which cannot hold a file whose name ends in ``jsonl``.
A cell that is meant to raise (its tag says so) is answered as one that did not fail, so that the cells after it run.
"""

import json
import os
import shutil
from pathlib import Path

HERE = Path(__file__).parent


def start(shell):
    """Prepare the kernel of this page; ``shell`` is its IPython."""
    kernel = shell.kernel
    run, entered = type(kernel).run, []
    shell.get_parent = kernel.get_parent

    async def run_prepared(self, code):
        if not entered:
            entered.append(True)
            await enter(Path.cwd())
        results = await run(self, code)
        if results["status"] == "error" and is_meant_to_raise(self.get_parent()):
            show_error(self.get_parent(), results)
            return {"status": "ok", "payload": [], "user_expressions": {}}
        return results

    type(kernel).run = run_prepared


async def enter(drive):
    """Go to the notebook's folder in memory, and load what the notebook imports."""
    notebooks = json.loads((HERE / "notebooks.json").read_text(encoding="utf-8"))
    known = notebooks.get(drive.name)
    # a browser that keeps pages from their drive (a private window) tells no folder: then all notebooks share one
    folders, home = ([drive.name], drive.name) if known else (list(notebooks), "notebooks")
    place = Path.home() / home
    place.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        for name, digest in notebooks[folder]["files"].items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HERE / "files" / digest, place / name)
    os.chdir(place)
    names = [known["name"]] if known else [each["name"] for each in notebooks.values()]
    if len(names) == 1:
        os.environ["JPY_SESSION_NAME"] = str(place / names[0])
    if (place / "config.ini").exists():
        from tinyllm_magic.settings.trust import trust

        trust(place)
    packages = sorted({package for folder in folders for package in notebooks[folder]["packages"]})
    if packages:
        import pyodide_js
        from pyodide.ffi import to_js

        await pyodide_js.loadPackage(to_js(packages))


def is_meant_to_raise(message):
    """Whether the cell's tag says that it may fail: the front end then asks not to stop at an error."""
    return not (message.get("content") or {}).get("stop_on_error", True)


def show_error(message, results):
    """Show a traceback as the kernel's worker shows it for a cell that failed."""
    from js import Object, postMessage
    from pyodide.ffi import to_js

    shown = {
        "type": "execute_error",
        "parentHeader": message["header"],
        "bundle": {name: results[name] for name in ("ename", "evalue", "traceback")},
    }
    postMessage(to_js({"_kernelMessage": shown}, dict_converter=Object.fromEntries))
