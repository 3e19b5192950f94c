"""The garbage collector waits only as long as it is told to."""

import gc

import pytest

from tinyllm_magic.garbage_collection import pause_garbage_collection


def _fail_meanwhile():
    with pause_garbage_collection():
        assert not gc.isenabled()
        raise KeyError


def test_the_collector_waits_and_runs_again_whatever_happens():
    with pytest.raises(KeyError):
        _fail_meanwhile()
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_off():
    gc.disable()
    try:
        with pause_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
