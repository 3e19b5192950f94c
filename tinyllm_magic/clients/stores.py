"""The stores of this process (``Stores``): which file a call is recorded in, and where its recorded answer is looked for."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..models import endpoints
from ..recording import saved_index
from ..recording.copies import copy_of
from ..recording.lookup import Lookup, Siblings
from ..recording.modes import Mode
from ..recording.names import SUFFIX, place_store, store_beside
from ..recording.renames import follow_rename
from ..recording.store import Store, Tidied
from ..settings.layers import Settings
from ..settings.paths import cache_folder
from .environment import notebook_path, rename_notebook
from .plans import Plan

saved_index.find_folder = cache_folder


def default_store_path() -> Path:
    """The store beside the notebook, where its name is known; else ``session.llm.jsonl`` in the working directory."""
    notebook = notebook_path()
    return store_beside(notebook) if notebook is not None else Path.cwd() / f"session{SUFFIX}"


def find_store_path(current: Settings) -> Path:
    """The file that recorded answers are read from and written to.

    Raises ``ConfigError`` where ``config.ini`` of a folder that is not trusted names a file outside that folder.
    """
    return place_store(current.store_place(), default_store_path())[0]


class Stores:
    """One store for each file, however many clients use it."""

    def __init__(self) -> None:
        self._open: dict[Path, Store] = {}
        self._siblings: dict[Path, Siblings] = {}
        self._lock = threading.RLock()

    def open(self, path: Path) -> Store:
        """The one store of this process for a file."""
        with self._lock:
            if path not in self._open:
                self._open[path] = Store(copy_of(path))
            return self._open[path]

    def make_lookup(self, plan: Plan, store: Store, current: Settings) -> Lookup:
        """Where a plan looks for its recorded answer."""
        return Lookup(
            store,
            plan.mode,
            siblings=self._siblings_of(store.path, current),
            copies=notebook_path() is not None,
            any_address=_takes_any_address(plan, current),
            kinds=_possible_kinds(plan, current),
            elsewhere=plan.elsewhere,
        )

    def look_in(self, store: Store, mode: Mode, current: Settings) -> Lookup:
        """Where a file's digest is looked for: in a store, and in those beside it."""
        return Lookup(store, mode, siblings=self._siblings_of(store.path, current), copies=notebook_path() is not None)

    def read_header(self, current: Settings) -> Mapping[str, Any]:
        """What the store's header remembers, or those beside it; a file that is no store remembers nothing."""
        store = self.open(find_store_path(current))
        try:
            header = store.header
        except StoreError:
            return {}
        siblings = self._siblings_of(store.path, current) if not header else None
        return siblings.header() if siblings is not None else header

    def rename_notebook(self, old: Path, new: Path, root: Path, current: Settings) -> Tidied | None:
        """Follow the notebook to a new name below ``root``, its store with it, unless that was named explicitly.

        The store is moved where the old notebook is gone, copied where it stays, merged where there is one already.
        Raises ``StoreError`` where the names are not to be trusted, and changes nothing.
        """
        if notebook_path() not in (None, old):
            raise StoreError(f"{old.name} is not the notebook of this kernel", path=str(old))
        store, done = self.open(store_beside(old)), None
        if current.cache_file_name is None:
            store.flush()
            done = follow_rename(old, new, root)
            with self._lock:
                self._open.pop(store.path, None)
        rename_notebook(old, new)
        return done

    def tidy(self) -> None:
        """Fold what this kernel has appended into the sorted part of its stores."""
        for store in self._open.values():
            if store.is_changed:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the kernel is ending: nobody reads them
                    with suppress(StoreError):
                        store.tidy()
                store.appended = 0

    def renew(self) -> None:
        """Locks of its own for a forked process."""
        self._lock = threading.RLock()
        for store in self._open.values():
            store.renew()

    def _siblings_of(self, path: Path, current: Settings) -> Siblings | None:
        """The other stores beside one whose name was derived from the notebook's; ``None`` for a store that was named."""
        own, has_siblings = place_store(current.store_place(), default_store_path())
        if not has_siblings or path != own:
            return None
        with self._lock:
            return self._siblings.setdefault(path, Siblings(path))


def _takes_any_address(plan: Plan, current: Settings) -> bool:
    """Whether an answer recorded at another address counts: where the address only says where to ask, not what is asked."""
    endpoint, table = plan.route.endpoint, current.models.get(plan.route.name or "", {})
    if endpoint.is_in_process or table.keys() & {"base_url", "azure_endpoint", "identity"}:
        return False
    if plan.mode is Mode.REPLAY:
        return True
    usual = endpoint.vendor or endpoint.provider == endpoint.api_type
    return bool(usual) and endpoints.key_state(endpoint, os.environ).endswith("is missing")


def _possible_kinds(plan: Plan, current: Settings) -> tuple[str, ...]:
    """Where a model is taken for OpenAI's because nothing is set: it may have been Azure's where its answer was recorded."""
    endpoint = plan.route.endpoint
    usual = endpoint.vendor or endpoint.provider == "openai"
    guessed = usual and current.api_type is None and endpoints.key_state(endpoint, os.environ).endswith("is missing")
    return ("azure",) if guessed else ()
