"""Stands in for the installers ``piplite`` and ``micropip``: a published page reaches no index, and has what its notebooks need."""

import importlib.metadata
import re
import sys

_PIPLITE_DISABLE_PYPI = True
_PIPLITE_URLS = []


async def install(requirements, *_, **__):
    """Nothing to do for what the page has; raises ``ImportError`` for what it has not."""
    names = [requirements] if isinstance(requirements, str) else [*requirements]
    absent = [name for name in names if not _has(name)]
    if absent:
        message = f"This page has no {', '.join(absent)}: it holds what its notebooks need, and installs nothing."
        raise ImportError(message)


def _has(requirement):
    from pyodide_js import lockfile

    name = re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()
    if name in lockfile.packages.to_py():
        return True
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


async def get_transformed_code(words):
    """The code that a line ``%pip …`` stands for: the kernel asks for it."""
    names = [word for word in words[1:] if not word.startswith("-")]
    return f"await __import__('piplite').install({names!r})\n" if words[:1] == ["install"] else "\n"


# the kernel asks for the module by all of these names
sys.modules["piplite.piplite"] = sys.modules["piplite.cli"] = sys.modules[__name__]
piplite = cli = sys.modules[__name__]
