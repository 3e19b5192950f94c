"""Jinja is imported late, and its environment is made once."""

import subprocess
import sys

from tinyllm_magic.prompts.template import Template


def test_importing_the_module_imports_neither_jinja_nor_narwhals():
    probe = "import sys, tinyllm_magic.prompts.template; print([m for m in ('jinja2', 'narwhals', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_templates_of_the_same_folders_share_one_environment(tmp_path):
    first, second = Template("a", folders=[tmp_path]), Template("{% system %}x{% endsystem %} {{ y }}", folders=[tmp_path])
    assert first._environment is second._environment
    assert Template("a")._environment is not first._environment
