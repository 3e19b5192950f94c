"""Persistent data structures over plain copies: what ``referencing`` and ``jsonschema`` take of the package ``rpds-py``.

That package is compiled, and has no build for the browser. The values here are small, so a copy for each change costs little.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet


class HashTrieMap(Mapping):
    """A mapping that never changes: each change gives a new one."""

    def __init__(self, value=(), **more):
        self._items = dict(value, **more)

    @classmethod
    def convert(cls, value):
        return value if isinstance(value, cls) else cls(value)

    @classmethod
    def fromkeys(cls, keys, value=None):
        return cls(dict.fromkeys(keys, value))

    def __getitem__(self, key):
        return self._items[key]

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)

    def __hash__(self):
        return hash(frozenset(self._items.items()))

    def __repr__(self):
        return f"HashTrieMap({self._items})"

    def insert(self, key, value):
        return HashTrieMap({**self._items, key: value})

    def remove(self, key):
        rest = dict(self._items)
        del rest[key]
        return HashTrieMap(rest)

    def discard(self, key):
        return self.remove(key) if key in self._items else self

    def update(self, *others, **more):
        merged = dict(self._items)
        for other in others:
            merged.update(other)
        return HashTrieMap({**merged, **more})


class HashTrieSet(AbstractSet):
    """A set that never changes: each change gives a new one."""

    def __init__(self, value=()):
        self._items = frozenset(value)

    def __contains__(self, value):
        return value in self._items

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)

    def __hash__(self):
        return hash(self._items)

    def __repr__(self):
        return f"HashTrieSet({set(self._items)})"

    def insert(self, value):
        return HashTrieSet(self._items | {value})

    def remove(self, value):
        if value not in self._items:
            raise KeyError(value)
        return self.discard(value)

    def discard(self, value):
        return HashTrieSet(self._items - {value})

    def update(self, *others):
        return HashTrieSet(self._items.union(*others))


class List:
    """A list that grows at its front and never changes: each change gives a new one."""

    def __init__(self, *values):
        self._items = tuple(values[0]) if len(values) == 1 else values

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items)

    def __eq__(self, other):
        return isinstance(other, List) and self._items == other._items

    def __hash__(self):
        return hash(self._items)

    def __repr__(self):
        return f"List({list(self._items)})"

    def __reversed__(self):
        return List(reversed(self._items))

    @property
    def first(self):
        if not self._items:
            raise IndexError("empty list has no first element")
        return self._items[0]

    @property
    def rest(self):
        return List(self._items[1:])

    def push_front(self, value):
        return List((value, *self._items))

    def drop_first(self):
        if not self._items:
            raise IndexError("empty list has no first element")
        return self.rest
