"""Where the user's files lie."""

import subprocess
import sys

from settingsplace import openai

from tinyllm_magic.settings.layers import load
from tinyllm_magic.settings.paths import cache_folder, user_folder


def test_folders_can_be_set_from_outside(tmp_path):
    assert user_folder({"TINYLLM_CONFIG_DIR": str(tmp_path / "a")}) == tmp_path / "a"
    assert cache_folder({"TINYLLM_CACHE_DIR": str(tmp_path / "b")}) == tmp_path / "b"


def test_folders_are_the_platforms_own_by_default():
    assert "tinyllm_magic" in user_folder({}).parts
    assert "tinyllm_magic" in cache_folder({}).parts


def test_the_config_dir_of_the_environment_is_read(place):
    place.write(openai("MODEL=x"), user=True)
    assert load(place.here, {"TINYLLM_CONFIG_DIR": str(place.user)}).model == "x"


def test_importing_settings_loads_no_platformdirs():
    code = "import sys, tinyllm_magic.settings.layers; print('platformdirs' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
