"""What every test stands on: no network but loopback, no keys, no user's files, a fresh session."""

import gc
import os
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest

# how fast a machine makes examples, and runs them, says nothing of what is tested
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so of what a shell starts in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

# jsonschema's optional parser of IRIs takes 2 s of every process that imports it, and no test asks for it
sys.modules["rfc3987_syntax"] = None

ROOT = Path(__file__).parent.parent
_connect = socket.socket.connect
KEY = "sk-a-very-secret-key-0123456789"
_KEYS = ("OPENAI_", "AZURE_", "TINYLLM_", "JPY_SESSION_NAME")
_LONG = ("test_style.py", "test_cli.py", "test_runner.py", "test_notebooks.py")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Eight thousand tests stay to the end: no collection of garbage looks at them, here or later, when each would take half a second."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items):
    """Begin with what takes long: the browser's files, then some others."""
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    order = sorted(files, key=lambda f: (f.parent.name != "browser", f.name not in _LONG, f))
    items[:] = [item for file in order for item in files[file]]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A process takes a file at a time, and one of them all of the browser's: JupyterLab is started and loaded once."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "tests/browser" if file.startswith("tests/browser/") else file

        def mark_test_pending(self, _nodeid):
            """A test at which a process ended is asked again in a new one: ``remove_node`` has put it back already."""

    return Scheduling(config, log)


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
    """Where the embedded model's weights lie; fetched once in a test run, for all its processes, where they are nowhere yet."""
    from tinyllm_magic.providers import weights
    from tinyllm_magic.settings.paths import cache_folder

    folder = cache_folder()
    if weights.find(cache_folder=folder) is None:
        place = tmp_path_factory.getbasetemp()
        folder = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "weights"
        weights.fetch(folder)
    return folder


def _reset():
    """The session as new, what maps and the notebook remember beside it, and no key that was in use."""
    kernel = sys.modules.get("tinyllm_magic.clients.sessions")
    if kernel is not None:
        kernel.session.reset_for_tests()
    redaction = sys.modules.get("tinyllm_magic.redaction")
    if redaction is not None:
        redaction.forget_guarded()
    for module in ("batch.state", "notebook.state"):
        found = sys.modules.get(f"tinyllm_magic.{module}")
        if found is not None:
            vars(found.state).update(vars(type(found.state)()))


@pytest.fixture(autouse=True)
def _clean_place(monkeypatch, tmp_path, request):
    """An empty working directory, an empty user configuration, no keys, and the session as new."""
    for name in list(os.environ):
        if (name.startswith(_KEYS) and name != "TINYLLM_CACHE_DIR") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setenv("TINYLLM_CONFIG_DIR", str(tmp_path / "user"))
    yield
    _reset()


@pytest.fixture(params=["thin", "sdk"])
def transport(request, monkeypatch, _clean_place):
    """How plain chat calls are sent: a module that uses this runs over both transports."""
    monkeypatch.setenv("TINYLLM_TRANSPORT", "auto" if request.param == "thin" else "sdk")
    return request.param


@pytest.fixture
def serve():
    """``serve("one", 429, …)``: a scripted server that ends with its test."""
    from fakeserver import FakeServer

    servers = []

    def start(*script):
        servers.append(FakeServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Started:
    """Starts scripted servers; the first one's address is the environment's.

    One that is ``far`` counts as a server beyond this machine, whose models have their vendor's price: it is reached as a proxy.
    """

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch
        self.servers = []

    def __call__(self, *script, environ=True, far=False):
        from fakeserver import FakeServer

        server = FakeServer(script)
        self.servers.append(server)
        if environ:
            self._monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.example/v1" if far else server.url)
            self._monkeypatch.setenv("OPENAI_API_KEY", KEY)
        if far:
            for name in ("http_proxy", "HTTP_PROXY"):
                self._monkeypatch.setenv(name, server.root)
            for name in ("no_proxy", "NO_PROXY"):
                self._monkeypatch.delenv(name, raising=False)
        return server


@pytest.fixture
def start(monkeypatch):
    """``start(200, 429, …)``: a server with that script, and the environment that leads to it."""
    started = Started(monkeypatch)
    yield started
    for server in started.servers:
        server.close()


@pytest.fixture
def sleeps(monkeypatch):
    """The waits between attempts, in seconds; nobody sleeps."""
    import tenacity.nap

    noted = []
    monkeypatch.setattr(tenacity.nap, "time", SimpleNamespace(sleep=noted.append))
    return noted


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
