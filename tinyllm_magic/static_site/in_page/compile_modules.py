"""Runs at publishing, in Pyodide: imports what a first answer needs, and compiles the modules that this has loaded.

The job tells the wheels with the place that each has in a page, and the names to import, or the files to compile.
"""

import importlib
import json
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


def import_all(names):
    """Import modules, and tell the files of all that are loaded then."""
    for name in names:
        importlib.import_module(name)
    loaded = [getattr(getattr(module, "__spec__", None), "origin", None) for module in list(sys.modules.values())]
    return [str(origin) for origin in loaded if str(origin).endswith((".py", ".pyc"))]


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
    loaded = import_all(job["imports"])
    wanted = [path.removesuffix("c").removeprefix(f"{LIBRARY}/").removeprefix(f"{SITE}/") for path in loaded]
write(sources, set(wanted))
