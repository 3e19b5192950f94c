"""The front door shows what it promises, and nothing else."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import tinyllm_magic

SURFACE = (
    "LLMCall call_llm map_rows compare count_tokens Request Response Message Usage client "
    "register_client OpenAIClient AzureClient ModelManager "
    "Settings read_config_file config default override force_api_type force_api_cache force_default_value Store Mode session errors"
)


def test_every_name_of_the_surface_is_exported():
    assert [n for n in SURFACE.split() if n not in tinyllm_magic.__all__] == []


def test_all_is_sorted_and_every_name_in_it_exists():
    assert list(tinyllm_magic.__all__) == sorted(tinyllm_magic.__all__)
    assert all(getattr(tinyllm_magic, name) is not None for name in tinyllm_magic.__all__)


def test_no_room_shadows_an_exported_name():
    script = """
import importlib, pkgutil, tinyllm_magic
for module in pkgutil.walk_packages(tinyllm_magic.__path__, "tinyllm_magic."):
    importlib.import_module(module.name)
import types
wrong = [n for n in tinyllm_magic.__all__ if n != "errors" and isinstance(getattr(tinyllm_magic, n), types.ModuleType)]
assert not wrong, wrong
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [m.name for m in pkgutil.walk_packages(tinyllm_magic.__path__, "tinyllm_magic.")])
def test_every_room_can_be_imported_alone(name):
    assert importlib.import_module(name)


def test_importing_the_package_loads_none_of_the_heavy_libraries():
    script = "import sys, tinyllm_magic; print([m for m in ('IPython', 'openai', 'jinja2', 'pydantic', 'tiktoken') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_the_extension_imports_no_sdk_and_no_tokenizer():
    script = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "tinyllm_magic")
heavy = ("openai", "tiktoken", "genai_prices", "pydantic", "stamina", "anywidget", "narwhals", "nh3", "xllamacpp", "nbclient", "jinja2")
print([m for m in heavy if m in set(sys.modules) - before])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", done.stdout
