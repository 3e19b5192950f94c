"""Answers the extension of JupyterLab and Jupyter Notebook over one comm.

It asks for completions, for the measure of a prompt, and tells the notebook's new name. It can ask no model, run nothing, and read no file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import TinyLLMError

TARGET = "tinyllm_magic"


def listen(shell: Any) -> None:
    """Let the front end of this shell's kernel ask; a shell without one has none that could."""
    manager = _comm_manager(shell)
    if manager is not None:
        manager.register_target(TARGET, lambda comm, _message: _answer_on(comm, shell))


def stop_listening(shell: Any) -> None:
    """Take back what ``listen`` has registered, and close what is open."""
    manager = _comm_manager(shell)
    if manager is None or TARGET not in manager.targets:
        return
    manager.unregister_target(TARGET, manager.targets[TARGET])
    for comm in [c for c in manager.comms.values() if c.target_name == TARGET]:
        comm.close()


def _comm_manager(shell: Any) -> Any:
    return getattr(getattr(shell, "kernel", None), "comm_manager", None)


def _answer_on(comm: Any, shell: Any) -> None:
    """Answer on this comm from now on; at first say whether strict replay keeps every cell from asking."""
    from ..settings import layers

    comm.on_msg(lambda message: comm.send(answer(message["content"]["data"], shell.user_ns)))
    with suppress(TinyLLMError):  # of a file that cannot be read the cell that runs will tell
        comm.send({"asks_nobody": layers.load().replay_forced})


def answer(message: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to one message, with its ``id``; of what goes wrong the reply tells, so that nothing reaches the notebook."""
    answer_it = _ANSWERS.get(str(message.get("type")))
    if answer_it is None:
        return {"id": message.get("id"), "error": f"unknown message {message.get('type')!r}"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the cell that runs will say it
            return {"id": message.get("id"), **answer_it(message, variables)}
    except Exception as error:  # noqa: BLE001  # a half-typed prompt may go wrong in any way
        return {"id": message.get("id"), "error": getattr(error, "message", None) or f"{type(error).__name__}: {error}"}


def _complete(message: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    from .completions import complete

    fragment, words = complete(str(message["text"]), variables) or ("", {})
    return {"fragment": fragment, "items": [{"text": word, "about": about} for word, about in words.items()]}


def _count(message: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    import os

    from ..clients.sessions import session
    from .prompt_count import measure

    if session.settings().meter == "off":
        return {"off": True}
    return measure(str(message["cell"]), variables, os.environ)


def _rename(message: Mapping[str, Any], _variables: Mapping[str, Any]) -> dict[str, Any]:
    """Follow the notebook from one path to another, both as the server names them."""
    from ..clients.environment import notebook_path
    from ..clients.sessions import session

    old, new = PurePosixPath(str(message["old"])), PurePosixPath(str(message["new"]))
    told = notebook_path() or Path.cwd() / old.name
    root = next((p for p in told.parents if p / old == told), None)
    if root is None:
        return {"error": f"{old.name} is not the notebook of this kernel"}
    done = session.rename_notebook(told, root / new, root)
    return {"moved": done is not None}


_ANSWERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]] = {
    "complete": _complete,
    "count": _count,
    "renamed": _rename,
}
