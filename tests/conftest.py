"""What every test stands on: no network but loopback, no keys, no user's files, a fresh session."""

import os
import socket
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
_connect = socket.socket.connect
_KEYS = ("OPENAI_", "AZURE_", "TINYLLM_", "JPY_SESSION_NAME")


def _loopback_only(self, address):
    host = address[0] if isinstance(address, tuple) else ""
    if self.family in (socket.AF_INET, socket.AF_INET6) and not (str(host).startswith("127.") or host in ("::1", "localhost")):
        raise OSError(f"tests may not leave this machine: {host}")
    return _connect(self, address)


@pytest.fixture(autouse=True)
def _closed_network(monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory):
    """Where the embedded model's weights lie; fetched once in a test run where they are nowhere yet."""
    from tinyllm_magic.files import cache_folder
    from tinyllm_magic.providers import weights

    folder = cache_folder()
    if weights.find(cache_folder=folder) is None:
        folder = tmp_path_factory.mktemp("weights")
        weights.fetch(folder)
    return folder


@pytest.fixture(autouse=True)
def _clean_place(monkeypatch, tmp_path, request):
    """An empty working directory, an empty user configuration, no keys, and the session as new."""
    for name in list(os.environ):
        if name.startswith(_KEYS) and name != "TINYLLM_CACHE_DIR":
            monkeypatch.delenv(name)
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("TINYLLM_CONFIG_DIR", str(tmp_path / "user"))
    yield
    sessions = sys.modules.get("tinyllm_magic.sessions")
    if sessions is not None:
        fresh = sessions.Session()
        sessions.session.__dict__.update(fresh.__dict__)
        for client in sessions.session.registered.values():
            client.surroundings = sessions.session


@pytest.fixture
def shell():
    """A real IPython shell with the extension loaded, unloaded at the end."""
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    running = InteractiveShell.instance()
    running.run_line_magic("load_ext", "tinyllm_magic")
    yield running
    if "tinyllm_magic" in running.extension_manager.loaded:
        running.run_line_magic("unload_ext", "tinyllm_magic")
    running.history_manager.enabled = False
    InteractiveShell.clear_instance()
