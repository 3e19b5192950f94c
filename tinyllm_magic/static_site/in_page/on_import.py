"""Fetches a package when it is first imported: a page starts with what its first answer needs, and few readers need the rest.

An import cannot wait for a promise; the request is a synchronous one, which a kernel's worker may send. A wheel of modules alone
is imported from as it is, one with other files is unpacked. Of some packages the modules that are needed first came with the
page, and the others are fetched here: their folder in the wheel then becomes part of the package.
"""

import contextlib
import importlib
import json
import sys
import zipfile
from importlib.machinery import PathFinder
from pathlib import Path

HERE = Path(__file__).parent
WHEELS = "/lib/wheels"


class OnImport:
    """A finder for what is not there yet. ``index`` has the wheel of each module, and whether it is unpacked."""

    def __init__(self, index, fetch):
        self._index, self._fetch, self._places = index, fetch, {}

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002  # the protocol of finders
        """Where a module is, once its wheel has been fetched."""
        top, _, rest = name.partition(".")
        if top not in self._index or (rest and path is None):
            return None
        file = self._index[top]["file"]
        if file not in self._places:
            self._places[file] = self._lay(file, unpack=self._index[top]["unpack"])
        if not rest:
            return PathFinder.find_spec(name)
        parent = sys.modules[name.rpartition(".")[0]]
        folder = f"{self._places[file]}/{parent.__name__.replace('.', '/')}"
        if folder not in parent.__path__:
            parent.__path__ = [*parent.__path__, folder]
        return PathFinder.find_spec(name, parent.__path__)

    def _lay(self, file, *, unpack):
        place = Path(WHEELS) / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self._fetch(file))
        if unpack:
            folder = next(path for path in sys.path if path.endswith("site-packages"))
            with zipfile.ZipFile(place) as archive:
                archive.extractall(folder)
            place.unlink()
        else:
            folder = str(place)
            sys.path.append(folder)
        importlib.invalidate_caches()
        return folder


def fetch_from(address):
    """A function that fetches a file below an address, and waits for it."""

    def fetch(file):
        from js import XMLHttpRequest

        request = XMLHttpRequest.new()
        request.open("GET", address + file, False)  # not asynchronous
        request.responseType = "arraybuffer"
        request.send()
        if request.status != 200:
            message = f"This page could not fetch {file} from its own address: the server answered {request.status}."
            raise ImportError(message)
        return request.response.to_bytes()

    return fetch


def start(address, names):
    """Look for what is not there at this address, and import what a first answer needs (a list of names, as JSON)."""
    index = json.loads((HERE / "on_import.json").read_text(encoding="utf-8"))
    sys.meta_path.append(OnImport(index, fetch_from(address)))
    for name in json.loads(names):
        with contextlib.suppress(ImportError):  # what is not there now is no reason not to start: whoever needs it is told
            importlib.import_module(name)
