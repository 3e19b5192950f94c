"""Runs at publishing, in Pyodide: runs a notebook's cells until its first answer, and compiles the modules that this has loaded.

The job tells the wheels with the place that each has in a page, and the notebook, or which files to compile without running it.
"""

import importlib
import json
import os
import sys
import zipfile
from importlib._bootstrap_external import _code_to_hash_pyc
from pathlib import Path

LIBRARY = next(path for path in sys.path if path.endswith(".zip"))
SITE = next(path for path in sys.path if path.endswith("site-packages"))


def unpack(wheels):
    """Lay the wheels where Python finds them; the source of every module, by its path in a page."""
    found = {}
    with zipfile.ZipFile(LIBRARY) as archive:
        found |= {f"{LIBRARY}/{name}": archive.read(name) for name in archive.namelist() if name.endswith(".py")}
    for file, place in wheels:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(SITE)
            root = LIBRARY if place == "library" else SITE
            found |= {f"{root}/{name}": archive.read(name) for name in archive.namelist() if name.endswith(".py")}
    importlib.invalidate_caches()
    return found


def run(notebook):
    """Run the cells of a notebook; one that fails has loaded modules nevertheless."""
    kernel = importlib.import_module("pyodide_kernel")
    importlib.import_module("piplite.piplite")
    home = Path("/home/pyodide/notebook")
    home.mkdir(parents=True, exist_ok=True)
    for name, text in notebook["files"].items():
        (home / name).write_text(text, encoding="utf-8")
    os.chdir(home)
    os.environ |= {"JPY_SESSION_NAME": str(home / notebook["name"]), "TINYLLM_MODE": "replay"}
    kernel.kernel_instance._parent_header = {"header": {}, "content": {}}  # noqa: SLF001  # the worker sets it so
    collect_outputs(kernel)
    shell = kernel.kernel_instance.interpreter
    for cell in notebook["cells"]:
        shell.run_cell(cell)


def collect_outputs(kernel):
    """Take what the kernel would show: there is no page."""
    shown = []
    shell = kernel.kernel_instance.interpreter
    for name in ("clear_output_callback", "display_data_callback", "update_display_data_callback"):
        setattr(shell.display_pub, name, lambda *told: shown.append(told))
    shell.displayhook.publish_execution_result = lambda *told: shown.append(told)
    for stream in (kernel.stdout_stream, kernel.stderr_stream):
        stream.publish_stream_callback = lambda *told: shown.append(told)


def list_loaded():
    """The modules that are loaded, with the place of each below the library or the site, in the order of their import."""
    origins = {name: str(getattr(getattr(module, "__spec__", None), "origin", "")) for name, module in list(sys.modules.items())}
    return {n: o.removeprefix(f"{LIBRARY}/").removeprefix(f"{SITE}/") for n, o in origins.items() if o.endswith(".py")}


def write(sources, wanted):
    """Compile the files that are wanted, each under the name that it has in a page."""
    with zipfile.ZipFile("/out.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for path, source in sorted(sources.items()):
            name = path.removeprefix(f"{LIBRARY}/").removeprefix(f"{SITE}/")
            if name not in wanted:
                continue
            code = compile(source, path, "exec", dont_inherit=True)
            out.writestr(name, bytes(_code_to_hash_pyc(code, bytes(8), checked=False)))


job = json.loads(Path("/job.json").read_text(encoding="utf-8"))
sources = unpack(job["wheels"])
wanted = job["modules"]
if wanted is None:
    run(job["notebook"])
    loaded = list_loaded()
    wanted = loaded.values()
    Path("/imports.json").write_text(json.dumps([name for name, file in loaded.items() if (Path(SITE) / file).exists()]))
write(sources, set(wanted))
