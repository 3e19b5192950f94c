"""The folder graph is executable: layers, circles, hosts of foreign libraries, and docstrings that are true."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "tinyllm_magic"
ELSEWHERE = {"at_publishing", "in_page", "offline"}  # code that this package lays into other Pythons
FILES = sorted(f for f in PACKAGE.rglob("*.py") if not ELSEWHERE & set(f.parts))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
HOSTED = next(c for c in CONTRACTS if c["name"].startswith("hosts"))["forbidden_modules"]


def lint_imports(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contracts_hold():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


ATTACKS = [
    ("errors.py", "from . import messages"),
    ("messages.py", "from . import responses"),
    ("responses.py", "from .recording import store"),
    ("redaction.py", "from . import errors"),
    ("settings/layers.py", "from ..models import catalog"),
    ("models/routing.py", "from ..settings import layers"),
    ("prompts/template.py", "from ..settings import layers"),
    ("recording/recorder.py", "from ..providers import openai"),
    ("recording/store.py", "from ..clients import client"),
    ("recording/index.py", "from . import store"),
    ("providers/openai.py", "from ..verify import runner"),
    ("providers/openai.py", "from ..clients import client"),
    ("clients/client.py", "from ..display import cards"),
    ("clients/client.py", "from ..batch import table"),
    ("clients/prepared.py", "from . import sessions"),
    ("batch/runner.py", "from ..display import cards"),
    ("evaluation/scores.py", "from ..display import charts"),
    ("evaluation/evaluable.py", "from ..batch import table"),
    ("batch/runner.py", "from ..notebook import cells"),
    ("display/views.py", "from ..clients import sessions"),
    ("display/views.py", "def late():\n    from ..recording import recorder"),
    ("display/markup.py", "from ..settings import layers"),
    ("display/panel_widget.py", "from ..providers import llamacpp"),
    ("verify/runner.py", "from ..clients import sessions"),
    ("verify/runner.py", "from ..display import cards"),
    ("notebook/magics.py", "from .. import cli"),
    ("notebook/magics.py", "from ..changes import recorded_notebook"),
    ("recording/recorder.py", "import jinja2"),
    ("clients/client.py", "import openai"),
    ("notebook/magics.py", "import openai"),
    ("clients/call.py", "import IPython"),
    ("display/views.py", "import stamina"),
    ("nowhere.py", "pass"),
]


@pytest.mark.parametrize(("module", "line"), ATTACKS, ids=[f"{m}: {line}" for m, line in ATTACKS])
def test_a_forbidden_import_breaks_the_contracts(module, line, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "tinyllm_magic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / "tinyllm_magic" / module
    if target.exists():
        target.write_text(target.read_text("utf-8") + f"\n\n{line}\n", "utf-8")
    else:
        target.write_text(f'"""Nobody placed this module."""\n{line}\n', "utf-8")

    done = lint_imports(tmp_path)

    assert done.returncode != 0, done.stdout
    assert module.removesuffix(".py").rpartition("/")[2] in done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_a_module_docstring_names_only_what_the_module_has(file):
    text = file.read_text("utf-8")
    docstring = ast.get_docstring(ast.parse(text)) or ""
    code = text.replace(docstring, "", 1)
    assert docstring
    assert [n for n in re.findall(r"``([A-Za-z_]\w*)``", docstring) if not re.search(rf"\b{n}\b", code)] == []


def test_every_foreign_library_is_hosted_or_part_of_python():
    roots = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {a.name.partition(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots.add(node.module.partition(".")[0])
    assert roots - set(sys.stdlib_module_names) <= set(HOSTED)


def test_there_is_no_module_for_leftovers():
    assert not {f.stem for f in FILES} & {"utils", "util", "helpers", "common", "misc"}


def layers_within(folder):
    """How many layers the modules of a folder have; imports for types alone count too."""
    modules = {f.stem: f for f in folder.glob("*.py") if f.stem != "__init__"}
    below = {name: set() for name in modules}
    for name, file in modules.items():
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                below[name] |= {node.module} if node.module else {alias.name for alias in node.names}

    def height(name):
        return 1 + max((height(b) for b in below[name] & modules.keys()), default=0)

    return max(map(height, modules))


FOLDERS = sorted({f.parent.name for f in FILES} - {PACKAGE.name, "static", "offline"})


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_has_at_most_five_layers_inside(folder):
    assert layers_within(PACKAGE / folder) <= 5


def test_layers_are_counted_through_types_and_late_imports(tmp_path):
    (tmp_path / "a.py").write_text("if TYPE_CHECKING:\n    from .b import B\n", "utf-8")
    (tmp_path / "b.py").write_text("def late():\n    from . import c\n", "utf-8")
    (tmp_path / "c.py").write_text("import json\n", "utf-8")
    assert layers_within(tmp_path) == 3
