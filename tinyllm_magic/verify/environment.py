"""The environment of a kernel that replays a notebook: what the list allows, the network closed for Python and what minds proxies."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import OptionError
from ..redaction import may_be_secret, secrets, without_login

_OFFLINE = Path(__file__).parent / "offline"
_LOCAL = "localhost,127.0.0.1,::1"
_NOWHERE = "http://127.0.0.1:9"  # the discard port: programs that are not Python and mind proxies fail at once
_ALLOWED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR", "TEMP", "TMP", "COLUMNS", "LINES"),
    *("USERNAME", "USERPROFILE", "USERDOMAIN", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES*"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "OS", "NUMBER_OF_PROCESSORS", "PROCESSOR_*", "XDG_*", "DISPLAY"),
    *("PYTHON*", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH", "DYLD_*", "JAVA_HOME", "R_HOME"),
    *("JUPYTER_*", "IPYTHON*", "MPL*", "OMP_*", "MKL_*", "OPENBLAS_*", "CUDA_*", "TIKTOKEN_CACHE_DIR", "HF_HOME"),
    *("TINYLLM_*", "OPENAI_BASE_URL", "OPENAI_API_VERSION", "AZURE_OPENAI_ENDPOINT"),  # what is asked, and where; no key among them
)


def closed_environment(environ: Mapping[str, str], let_through: Iterable[str] = ()) -> dict[str, str]:
    """The variables that the list allows, and those named; never one that looks secret. Raises ``OptionError`` for a name that does."""
    let_through = tuple(let_through)
    for name in let_through:
        if looks_secret(name, environ.get(name, "")):
            hint = "A notebook that needs it cannot be replayed without it: record its answers, and let the cell do without."
            raise OptionError(f"--env {name}: a variable that looks secret is never let through", option="--env", hint=hint)
    kept = {
        name: value
        for name, value in environ.items()
        if name in let_through or (_is_allowed(name) and not looks_secret(name, value))
    }  # fmt: skip
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_OFFLINE), environ.get("PYTHONPATH"))))
    for name in ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy"):
        kept[name] = kept[name.upper()] = _NOWHERE
    kept["no_proxy"] = kept["NO_PROXY"] = _LOCAL
    return kept


def looks_secret(name: str, value: str) -> bool:
    """Whether a variable is taken for a secret: by its name, or by an address in its value that holds a login."""
    return bool(may_be_secret(name) or value.strip() in secrets({name: value}) or without_login(value) != value)


def _is_allowed(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name.upper(), pattern) for pattern in _ALLOWED)
