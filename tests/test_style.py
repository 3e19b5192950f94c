"""Lint, format, types and dependencies: static checks that run side by side, in the same run as everything else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKS = ("ruff check .", "ruff format --check .", "mypy", "deptry .")


@pytest.fixture(scope="module")
def running():
    """Every check as a process of its own, started at once."""
    return {
        check: subprocess.Popen(
            [sys.executable, "-m", *check.split()], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for check in CHECKS
    }


@pytest.mark.parametrize("check", CHECKS)
def test_the_code_is_clean(check, running):
    output, _ = running[check].communicate()
    assert running[check].returncode == 0, output
