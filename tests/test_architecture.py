"""The picture of the house is executable: floors, wings, host rooms, door cards, sizes."""

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
FILES = sorted(f for f in PACKAGE.rglob("*.py") if "static" not in f.parts)
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
    ("messages.py", "from . import answers"),
    ("answers.py", "from . import cache"),
    ("settings.py", "from . import models"),
    ("models.py", "from . import prompt"),
    ("prompt.py", "from . import settings"),
    ("prompt.py", "from . import cache"),
    ("cache.py", "from .providers import openai"),
    ("cache.py", "from . import clients"),
    ("relays.py", "from . import cache"),
    ("providers/openai.py", "from .. import cache"),
    ("providers/openai.py", "from .. import clients"),
    ("plans.py", "from . import sessions"),
    ("clients.py", "from . import sessions"),
    ("clients.py", "from . import display"),
    ("display.py", "from . import clients"),
    ("display.py", "from . import cache"),
    ("display.py", "from . import sessions"),
    ("markup.py", "from . import settings"),
    ("widgets.py", "from . import sessions"),
    ("widgets.py", "def late():\n    from . import settings"),
    ("panels.py", "import anywidget"),
    ("sessions.py", "from . import widgets"),
    ("sessions.py", "from . import display"),
    ("sessions.py", "from . import call"),
    ("call.py", "from . import magics"),
    ("call.py", "from . import display"),
    ("display.py", "def late():\n    from . import models"),
    ("cache.py", "import jinja2"),
    ("clients.py", "import openai"),
    ("magics.py", "import openai"),
    ("call.py", "import IPython"),
    ("display.py", "import stamina"),
    ("nowhere.py", "pass"),
]


@pytest.mark.parametrize(("room", "line"), ATTACKS, ids=[f"{r}: {line}" for r, line in ATTACKS])
def test_a_forbidden_import_breaks_the_contracts(room, line, tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "tinyllm_magic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / "tinyllm_magic" / room
    if target.exists():
        target.write_text(target.read_text("utf-8") + f"\n\n{line}\n", "utf-8")
    else:
        target.write_text(f'"""Nobody placed this room."""\n{line}\n', "utf-8")

    done = lint_imports(tmp_path)

    assert done.returncode != 0, done.stdout
    assert room.removesuffix(".py").replace("/", ".") in done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_every_room_has_a_door_card(file):
    card = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    if file == PACKAGE / "__init__.py":
        assert "front door" in card
        return
    first = card.splitlines()[0]
    assert re.search(r"\b(in|out)\b", first), first
    assert re.search(r"^Knows ", card, re.MULTILINE)
    assert re.search(r"^Does not know ", card, re.MULTILINE)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_no_room_is_over_400_lines_and_no_function_over_60(file):
    text = file.read_text("utf-8")
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert text.count("\n") <= 400
    assert [f.name for f in functions if f.end_lineno - f.lineno >= 60] == []


def test_nine_functions_of_ten_are_under_30_lines():
    lengths = sorted(
        n.end_lineno - n.lineno + 1
        for f in FILES
        for n in ast.walk(ast.parse(f.read_text("utf-8")))
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    assert lengths[len(lengths) * 9 // 10] < 30


def test_every_foreign_library_is_hosted_or_part_of_python():
    roots = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {a.name.partition(".")[0] for a in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                roots.add(node.module.partition(".")[0])
    assert roots - set(sys.stdlib_module_names) <= set(HOSTED)


def test_there_is_no_room_for_leftovers():
    assert not {f.stem for f in FILES} & {"utils", "util", "helpers", "common", "misc"}
