import json
import subprocess
import sys

import nbformat
import pytest

from tinyllm_magic.cli import main


@pytest.mark.model
def test_demo_runs_the_first_notebook_live_and_writes_it_and_its_page(monkeypatch, capsys, weights_folder, tmp_path):
    monkeypatch.setenv("TINYLLM_CACHE_DIR", str(weights_folder))

    assert main(["demo", "--folder", str(tmp_path / "demo")]) == 0

    out = capsys.readouterr().out
    assert "The capital of France is Paris." in out
    executed = nbformat.read(tmp_path / "demo" / "01_first_cell.ipynb", as_version=4)
    assert any("live" in str(o) for c in executed.cells if c.cell_type == "code" for o in c.outputs)
    assert "Paris" in (tmp_path / "demo" / "01_first_cell.html").read_text("utf-8")
    lines = (tmp_path / "demo" / "01_first_cell.llm.jsonl").read_text("utf-8").splitlines()
    assert all(json.loads(line)["key"] for line in lines[1:])


def test_models_lists_the_embedded_model(capsys):
    assert main(["models"]) == 0
    assert "SmolLM2" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_the_installed_command_tells_its_commands():
    done = subprocess.run([sys.executable, "-m", "tinyllm_magic.cli", "--help"], capture_output=True, text=True, check=True)
    assert "demo" in done.stdout
