"""Looks for a recorded answer: in the own store, in the other stores beside it, and under another address of the same kind."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import MessageError, StoreError
from ..messages import Request, key_of
from ..responses import Record
from .journal import note_answered
from .modes import Mode
from .names import SUFFIX
from .store import Store


class Siblings:
    """The other stores beside a store; their indexes are kept, and read when they are first needed.

    Links, pipes and files that are no stores are left out.
    """

    def __init__(self, own: Path) -> None:
        self._own = own
        self._known: dict[str, Store] = {}

    def __iter__(self) -> Iterator[Store]:
        """The stores, by file name."""
        try:
            with os.scandir(self._own.parent) as found:
                names = sorted(e.name for e in found if e.name.endswith(SUFFIX) and e.is_file(follow_symlinks=False))
        except OSError:
            return
        for name in names:
            if name != self._own.name:
                yield self._known.setdefault(name, Store(self._own.with_name(name)))

    def readable(self) -> Iterator[Store]:
        """Those of the stores that can be read."""
        for store in self:
            try:
                len(store)
            except StoreError:
                continue
            yield store

    def find(self, key: str, request: Mapping[str, Any]) -> tuple[Record, Store] | None:
        """The latest answer to a canonical request, and the store it stands in; of two as late, the first file's by name."""
        best: tuple[Record, Store] | None = None
        for store in self:
            if key not in store:
                continue
            record = store.get(key, request)
            if record is not None and (best is None or record.created > best[0].created):
                best = record, store
        return best

    def header(self) -> Mapping[str, Any]:
        """What the headers say where they all agree, else nothing."""
        known: Mapping[str, Any] = {}
        for store in self.readable():
            facts = store.header
            if known and facts and facts != known:
                return {}
            known = known or facts
        return known


class Lookup:
    """Where one call looks for its answer; ``get`` and ``in`` are all that a caller needs of it.

    ``siblings`` are the stores beside an own store whose name was derived from the notebook's, ``copies`` says whether
    what is found there is copied into the own store (in the mode auto only). ``any_address`` says whether the same request
    at another address counts, ``kinds`` whose besides its own kind's, and ``elsewhere`` with which parameters through which
    API, if they are others there. That is looked into only where the own store has no answer.
    """

    def __init__(
        self,
        store: Store,
        mode: Mode,
        *,
        siblings: Siblings | None = None,
        copies: bool = False,
        any_address: bool = False,
        kinds: Collection[str] = (),
        elsewhere: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        self._store, self._mode = store, mode
        self._elsewhere = elsewhere
        self._siblings, self._copies, self._any_address, self._kinds = siblings, copies, any_address, kinds

    def get(self, request: Request, *, only_reads: bool = False) -> Record | None:
        """The recorded answer of a request, or ``None``; with ``only_reads`` nothing is copied into the own store.

        A store that cannot be read raises ``StoreError`` in strict replay; else it is one warning, and holds no answer.
        """
        try:
            record = self._store.get(request.key, request.form)
        except StoreError as error:
            if self._mode is Mode.REPLAY:
                raise
            self._store.warn_unusable(error)
            return None
        if record is not None:
            note_answered(record.key)
            return record
        found = self._find_elsewhere(request)
        if found is None:
            return None
        record, store = found
        note_answered(record.key)
        if store is not self._store and self._mode is Mode.AUTO and self._copies and not only_reads:
            self._copy(record, store)
        return self._with_origin(record, store, request)

    def __contains__(self, request: Request) -> bool:
        return request.key in self._store or self._find_elsewhere(request) is not None

    def stores(self) -> list[Store]:
        """Where an answer may stand: the own store, then those beside it that can be read."""
        return [self._store, *(self._siblings.readable() if self._siblings is not None else ())]

    def _copy(self, record: Record, store: Store) -> None:
        """Copy a record into the own store, with what its header lacks: it says what is asked where nothing names a model."""
        self._store.remember(**{name: fact for name, fact in store.header.items() if name not in self._store.header})
        self._store.append(record)

    def _find_elsewhere(self, request: Request) -> tuple[Record, Store] | None:
        found = self._siblings.find(request.key, request.form) if self._siblings is not None else None
        return found if found is not None or not self._any_address else self._find_at_another_address(request)

    def _find_at_another_address(self, request: Request) -> tuple[Record, Store] | None:
        """The answer to the same request that was recorded at another address of the same kind.

        Of two addresses the one that the store's header remembers, if it does, else neither.
        The own store decides, where it has one; else of several records of the stores beside it the latest counts.
        """
        forms = [replace(request, kind=kind, params=params) for kind, params in self._elsewhere.items()] or [request]
        own, *others = self.stores()
        for stores in ([own], others):
            found: dict[str, tuple[Record, Store]] = {}
            for store in stores:
                for record in (r for form in forms for r in _other_addresses(store, form, self._kinds)):
                    address = str(record.request["provider"])
                    if address not in found or record.created > found[address][0].created:
                        found[address] = record, store
            if found:
                return next(iter(found.values())) if len(found) == 1 else _at_remembered_address(found)
        return None

    def _with_origin(self, record: Record, store: Store, request: Request) -> Record:
        """The record with notes that say where it was found, if not in the own store, and where it was recorded, if not there."""
        provider = str(record.request["provider"])
        notes = [f"found in {store.path.name}"] if store is not self._store else []
        notes += [f"recorded at {provider.partition(':')[2] or 'the vendor’s own address'}"] if provider != request.provider else []
        return replace(record, answer=replace(record.answer, notes=(*record.answer.notes, *notes)))


def _at_remembered_address(found: Mapping[str, tuple[Record, Store]]) -> tuple[Record, Store] | None:
    return next(((r, store) for address, (r, store) in found.items() if address.partition(":")[2] == store.header.get("endpoint")), None)


def _other_addresses(store: Store, request: Request, kinds: Collection[str]) -> Iterator[Record]:
    """The answers of a store to the same request at other addresses of the same kind, or of these kinds."""
    counted, canonical = {request.provider.partition(":")[0], *kinds}, request.form
    for provider in sorted(store.providers()):
        if provider != request.provider and provider.partition(":")[0] in counted:
            same = {**canonical, "provider": provider}
            with suppress(MessageError):
                record = store.get(key_of(same), same)
                if record is not None:
                    yield record
