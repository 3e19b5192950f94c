"""Finds where the recorded answers of a notebook lie, and copies them to where a replay cannot harm them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..recording.lookup import Siblings
from ..recording.names import place_store, store_beside
from ..recording.store import Store
from ..settings import layers


@dataclass(frozen=True)
class FoundStore:
    """The store of a notebook; ``has_siblings`` where answers that it lacks may lie in the stores beside it."""

    store: Store
    has_siblings: bool

    def copy_to(self, folder: Path) -> Path:
        """Copy the store, and those beside it, so that whatever a notebook does, they stay as they are.

        Returns what CACHE_FILE_NAME must name for a kernel to find the copies: a file, or a folder for stores.
        """
        stores = [self.store, *(Siblings(self.store.path).readable() if self.has_siblings else ())]
        copies = folder / "stores"
        copies.mkdir()
        for store in stores:
            if store.path.exists():
                shutil.copyfile(store.path, copies / store.path.name)
        return copies if self.has_siblings else copies / self.store.path.name


def find_store(notebook: Path) -> FoundStore:
    """The store of a notebook, as its kernel would choose it: settings may name it (``TINYLLM_STORE``, ``CACHE_FILE_NAME``).

    Raises ``ConfigError`` where ``config.ini`` of a folder that is not trusted names a file outside that folder.
    """
    path, has_siblings = place_store(layers.load(notebook.parent, os.environ).store_place(), store_beside(notebook))
    return FoundStore(Store(path), has_siblings)
