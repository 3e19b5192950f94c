"""Closes the network of a Python process, and of every Python process that it starts.

A folder that holds this file on ``PYTHONPATH`` makes Python import it first of all. It is an audit hook, which no later
code can take back: connections, datagrams and name look-ups beyond this machine fail at once.
"""  # noqa: INP001  # no package: Python looks for this very name

from __future__ import annotations

import sys

_LOCAL = ("", "localhost", "::", "::1", "0.0.0.0")  # noqa: S104  # as a destination it means this machine
_NAMED = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_SENT = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getnameinfo")


def _is_local(host: object) -> bool:
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if host is None or not isinstance(host, str):
        return True
    name = host.lower().rstrip(".").removeprefix("::ffff:")
    return name in _LOCAL or (name.startswith("127.") and name.replace(".", "").isdigit())


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if not event.startswith("socket."):
        return
    if event in _NAMED and not _is_local(arguments[0]):
        import _socket

        raise _socket.gaierror(_socket.EAI_FAIL, f"the network is closed while recorded answers are replayed: {arguments[0]!s}")
    if event in _SENT:
        address = arguments[-1]
        if isinstance(address, tuple) and address and not _is_local(address[0]):
            import errno

            raise OSError(errno.ENETUNREACH, f"the network is closed while recorded answers are replayed: {address[0]}")


def _run_the_next() -> None:
    """The ``sitecustomize`` that this one stands before, if there is one."""
    import importlib.machinery
    import importlib.util
    import os

    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  # pathlib is not worth its import here
    rest = [p for p in sys.path if os.path.abspath(p or ".") != here]  # noqa: PTH100  # the same
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.addaudithook(_refuse)
_run_the_next()
