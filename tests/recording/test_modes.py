"""The names of the four modes; what each does with a request is shown where it is done (``test_recorder.py``)."""

import pytest

from tinyllm_magic.errors import ConfigError
from tinyllm_magic.recording.modes import Mode


def test_a_misspelt_mode_names_near_ones():
    with pytest.raises(ConfigError, match="Did you mean 'replay'"):
        Mode.of("replya")


def test_a_mode_that_resembles_nothing_lists_all():
    with pytest.raises(ConfigError, match="auto, replay, refresh, off"):
        Mode.of("banana")
