"""The stand-in for ``rpds-py`` does for jsonschema and referencing what the package itself does."""

import importlib.util
import sys
from pathlib import Path

import pytest

import tinyllm_magic

FILE = Path(tinyllm_magic.__file__).parent / "static_site" / "in_page" / "rpds.py"
SCHEMA = {
    "$defs": {"tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True}},
    "type": "object",
    "properties": {"age": {"type": ["integer", "null"]}, "tags": {"$ref": "#/$defs/tags"}},
    "required": ["age"],
}
VALUES = ({"age": 1, "tags": ["a"]}, {"age": "1"}, {"tags": [1]}, {"age": None, "tags": ["a", "a"]})


@pytest.fixture
def stand_in(monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] in ("jsonschema", "referencing", "jsonschema_specifications", "rpds")]:
        monkeypatch.delitem(sys.modules, name)
    spec = importlib.util.spec_from_file_location("rpds", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "rpds", module)
    yield module
    for name in [n for n in sys.modules if n.partition(".")[0] in ("jsonschema", "referencing", "jsonschema_specifications")]:
        monkeypatch.delitem(sys.modules, name, raising=False)


def faults():
    from jsonschema import Draft202012Validator

    return [sorted((e.json_path, e.message) for e in Draft202012Validator(SCHEMA).iter_errors(value)) for value in VALUES]


def test_a_schema_finds_the_same_faults(request):
    expected = faults()
    assert [len(found) for found in expected] == [0, 1, 2, 1]
    request.getfixturevalue("stand_in")
    assert faults() == expected


def test_a_change_gives_a_new_value_and_leaves_the_old_one(stand_in):
    one = stand_in.HashTrieMap({"a": 1})
    assert dict(one.insert("b", 2).update({"c": 3}).remove("a")) == {"b": 2, "c": 3}
    assert dict(one) == {"a": 1}
    assert set(stand_in.HashTrieSet([1]).insert(2).discard(1)) == {2}
    assert list(stand_in.List([1]).push_front(0).rest) == [1]
    with pytest.raises(KeyError):
        one.remove("b")
