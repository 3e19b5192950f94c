"""Which recorded answers were given, as another process notes it."""

from pathlib import Path

from records import filled, python

from tinyllm_magic.recording.journal import read_answered

ASKS = """
import os, sys
sys.path.insert(0, sys.argv[3])
os.environ["TINYLLM_ANSWERED"], os.environ["TINYLLM_MODE"] = sys.argv[1], "replay"
import tinyllm_magic
os.environ.clear()  # what a cell does to the environment
from pathlib import Path

from records import ask
from tinyllm_magic import Mode, Store
from tinyllm_magic.recording.lookup import Lookup
lookup = Lookup(Store(sys.argv[2]), Mode.REPLAY)
ask("two") in lookup, lookup.get(ask("one")), lookup.get(ask("one")), lookup.get(ask("never recorded"))
"""


def test_what_was_answered_is_noted_and_a_look_whether_it_is_there_is_not(store, tmp_path):
    one, _ = filled(store, "one", "two")
    python(ASKS, tmp_path / "answered", store.path, Path(__file__).parent.parent)
    assert read_answered(tmp_path / "answered") == {one.key}


def test_where_no_answer_was_given_there_is_none(tmp_path):
    assert read_answered(tmp_path / "answered") == frozenset()
