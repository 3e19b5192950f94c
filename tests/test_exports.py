"""The front door shows what it promises, and nothing else."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinyllm_magic

SURFACE = (
    "LLMCall Chat call_llm map_rows compare count_tokens Request Response Message Usage client "
    "register_client OpenAIClient AzureClient ModelManager "
    "Settings read_config_file config default override force_api_type force_api_cache force_default_value Store Mode session errors "
    "InvalidRequestError NonTerminalError extract_json sanitize_dict api_type_to_client"
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
def test_every_module_can_be_imported_alone(name):
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


def test_a_call_without_a_schema_imports_nothing_that_checks_one():
    script = """
import sys
from tinyllm_magic import LLMCall, override
with override(api_type="echo", mode="off"):
    LLMCall(None, "Say tea.").call()
print([m for m in ("pydantic", "jsonschema", "referencing", "openai") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_the_extension_imports_of_our_own_the_magics_alone():
    script = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "tinyllm_magic")
print(*sorted(m.partition(".")[2].split(".")[0] + ":" + m.rpartition(".")[2] for m in sys.modules if m.startswith("tinyllm_magic.")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    folders = {
        "display:display",
        "display:formats",
        "models:models",
        "models:efforts",
        "notebook:notebook",
        "recording:recording",
        "recording:modes",
    }
    magics = {f"notebook:{name}" for name in ("completions", "front_end", "magics", "options")}
    assert set(done.stdout.split()) <= {"errors:errors"} | folders | magics


def test_a_folder_imports_nothing_by_itself_so_that_threads_may_import_its_modules_at_the_same_time():
    folders = list(Path(tinyllm_magic.__file__).parent.glob("*/__init__.py"))

    assert len(folders) > 10
    assert [path.parent.name for path in folders if ast.parse(path.read_text("utf-8")).body[1:]] == []
