"""JupyterLab or Notebook 7 on loopback, driven through Debian's Chromium; shared by the tests and the scripts beside it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright

# As root Chromium runs only without its sandbox, in a container /dev/shm may be tiny; it must ask nobody for anything.
FLAGS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--force-color-profile=srgb",
    "--font-render-hinting=none",
]
QUIET = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/completer-extension:manager": {"providerTimeout": 30_000},  # a busy machine completes late
}
PREBUILT = Path(__file__).parents[2] / "tinyllm_magic" / "labextension" / "prebuilt"
THEMES = "@jupyterlab/apputils-extension:themes"
# As `python -m`, but without jsonschema's optional parser of IRIs, which takes 2 s of every server's start.
START = """
import runpy, sys
sys.modules["rfc3987_syntax"] = None
sys.argv[:2] = sys.argv[1:2]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
# Logged at the start with no code of ours: by Notebook 7.6, and by JupyterLite's kernel where it is installed beside JupyterLab.
NOT_OURS = ("Cannot read properties of undefined (reading 'schema')", "@jupyterlite/services doesn't exist in shared scope")


def chromium() -> str | None:
    """The path of Chromium, or ``None``."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def browser():
    """A headless Chromium."""
    with sync_playwright() as playwright:
        running = launch(playwright)
        try:
            yield running
        finally:
            running.close()


def launch(playwright):
    """Start Chromium without a window."""
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS, headless=True)


def new_context(running, *, width: int = 1280, height: int = 1000, **look):
    """A fresh profile in a running browser."""
    context = running.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **look)
    context.set_default_timeout(120_000)
    return context


def launch_with_profile(playwright, folder: Path):
    """Start a Chromium whose profile lies in a folder: unlike a fresh one, it keeps the scripts of pages compiled."""
    look = {"viewport": {"width": 1280, "height": 1000}, "reduced_motion": "reduce"}
    context = playwright.chromium.launch_persistent_context(folder, executable_path=chromium(), args=FLAGS, headless=True, **look)
    context.set_default_timeout(120_000)
    return context


@dataclass
class Server:
    """A running Jupyter server."""

    root: Path
    base: str
    token: str
    app: str

    def api(self, path: str, method: str = "GET", body: object = None):
        """One call of the server's REST interface."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}/api/{path}", data, {"Authorization": f"token {self.token}"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            text = response.read()
        return json.loads(text) if text else None

    def write(self, name: str, cells: list) -> Path:
        """A notebook of these cells (text is code)."""
        made = [nbformat.v4.new_code_cell(c) if isinstance(c, str) else c for c in cells]
        notebook = nbformat.v4.new_notebook(cells=made)
        notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, self.root / name)
        return self.root / name


@contextlib.contextmanager
def serve(root: Path, state: Path, app: str = "lab", settings: dict | None = None, environ: dict | None = None):
    """A server over ``root`` with settings of its own in ``state``; ``app`` is ``lab`` or ``notebook``."""
    root.mkdir(parents=True, exist_ok=True)
    for key, value in {**QUIET, **(settings or {})}.items():
        package, name = key.split(":")
        path = state / "settings" / package / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
    port, token = _free_port(), secrets.token_hex(16)
    app_class = "LabApp" if app == "lab" else "JupyterNotebookApp"
    command = [
        sys.executable, "-c", START, "jupyterlab" if app == "lab" else "notebook", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}", "--allow-root",
        f"--{app_class}.expose_app_in_browser=True",
    ]  # fmt: skip
    with (state / f"{app}.log").open("wb") as log:
        process = subprocess.Popen(command, env=_environment(state, environ or {}), stdout=log, stderr=log, start_new_session=True)
        server = Server(root, f"http://127.0.0.1:{port}", token, app)
        try:
            _wait_until_up(server, process, state / f"{app}.log")
            yield server
        finally:
            _stop(process)


def _environment(state: Path, more: dict) -> dict:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "AZURE_", "TINYLLM_", "JPY_", "JUPYTER"))}
    return {
        **kept,
        "JUPYTER_PATH": str(_own_extension(state)),
        "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "IPYTHONDIR": str(state / "ipython"),
        "TINYLLM_CONFIG_DIR": str(state / "tinyllm"),
        **more,
    }


def _own_extension(state: Path) -> Path:
    """A folder in which Jupyter finds the extension of this checkout, whatever is installed."""
    link = state / "jupyter" / "labextensions" / "tinyllm-magic"
    if not link.exists():
        link.parent.mkdir(parents=True)
        link.symlink_to(PREBUILT, target_is_directory=True)
    return link.parent.parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_up(server: Server, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 180
    while True:
        if process.poll() is not None:
            raise RuntimeError(log.read_text()[-3000:])
        try:
            server.api("status")
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _stop(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


# What a cell runs that keeps the kernel busy for as long as a test wants (`Notebook.busy`).
WAIT = "import threading; gone = threading.Event(); from pathlib import Path\nwhile Path('busy').exists(): gone.wait(.05)"
# Notebook 7 opens a window for each file, but for one that it is told to open where it is.
OPEN = """path => window.jupyterapp.commands.execute('docmanager:open', {
    path, factory: 'Notebook', options: window.jupyterapp.name === 'JupyterLab' ? {} : {ref: '_noref'},
}).then(() => null)"""
LEAVE = """async () => {
    for (const widget of [...window.jupyterapp.shell.widgets('main')]) {
        await widget.sessionContext?.shutdown();
        if (widget.context) widget.context.model.dirty = false;
        widget.dispose();
    }
}"""


class Notebook:
    """A notebook open in a page, without a name a new one that the launcher makes; cells are counted from 0.

    A ``page`` in which JupyterLab or Notebook 7 runs already opens it there, which takes a sixth of the time.
    """

    def __init__(self, context, server: Server, name: str | None = None, *, kernel: bool = True, page: Page | None = None) -> None:
        self.server, self.path = server, server.root / (name or "Untitled.ipynb")
        self.page: Page = page or context.new_page()
        self.console: list[str] = []
        self.requests: list[str] = []
        self._listeners = {
            "console": lambda m: m.type == "error" and self.console.append(m.text),
            "pageerror": lambda e: self.console.append(str(e)),
            "request": lambda r: self.requests.append(r.url),
        }
        for event, listener in self._listeners.items():
            self.page.on(event, listener)
        if page is None:
            self._load(name)
        else:
            self.page.bring_to_front()  # keys that are typed into a page behind another may never be answered
            self.finish(OPEN, name)
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        if kernel:
            self.wait_idle()

    def _load(self, name: str | None) -> None:
        where = "lab" if name is None else f"lab/tree/{name}" if self.server.app == "lab" else f"notebooks/{name}"
        self.page.goto(f"{self.server.base}/{where}?token={self.server.token}" + ("&reset" if self.server.app == "lab" else ""))
        if name is None:
            self.page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
        self.page.wait_for_function("() => window.jupyterapp")

    @property
    def errors(self) -> list[str]:
        """What the console complained of, but for a line that is not ours."""
        return [line for line in self.console if not any(known in line for known in NOT_OURS)]

    @property
    def strangers(self) -> list[str]:
        """Requests that left the server."""
        return [url for url in self.requests if not url.startswith((self.server.base, "data:", "blob:"))]

    def command(self, name: str, **options: object) -> None:
        """Run one of the application's commands to its end."""
        self.finish("([name, options]) => window.jupyterapp.commands.execute(name, options).then(() => null)", [name, options])

    def finish(self, function: str, value: object = None) -> None:
        """Run a function of the page to the end of its promise, which may never come: a page waits for it without a limit."""
        late = "new Promise((_, fail) => setTimeout(fail, 180_000, new Error('not done in 180 s')))"
        self.page.evaluate(f"value => Promise.race([({function})(value), {late}])", value)

    def wait_answered(self) -> None:
        """Until the kernel has answered all that it was asked, completions too."""
        kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
        self.page.evaluate(f"() => {{ window.answered = false; {kernel}.requestKernelInfo().then(() => {{ window.answered = true; }}); }}")
        self.page.wait_for_function("() => window.answered")

    def wait_run(self, index: int) -> None:
        """Until a cell has run: a kernel can call itself idle, for what came in beside, while it is still at it."""
        ran = "i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount"
        self.page.wait_for_function(ran, arg=index)
        self.wait_idle()

    def wait_idle(self) -> None:
        """Until the kernel rests."""
        self.page.wait_for_function(
            """() => window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'""", timeout=120_000
        )

    def select(self, index: int) -> None:
        """Make a cell the active one, in command mode."""
        self.page.evaluate(
            "i => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = i; n.mode = 'command'; }", index
        )

    def start(self, index: int) -> None:
        """Run a cell and do not wait."""
        self.select(index)
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")

    @contextlib.contextmanager
    def busy(self, index: int):
        """Run a cell of ``WAIT``, which goes on until this block ends."""
        mark = self.server.root / "busy"
        mark.touch()
        try:
            self.start(index)
            yield
        finally:
            mark.unlink()
        self.wait_run(index)

    def run(self, index: int, *, fails: bool = False) -> None:
        """Run a cell to its end; raises where it failed and should not have."""
        self.select(index)
        self.command("notebook:run-cell")
        self.wait_idle()
        errors = self.cell_errors(index)
        if bool(errors) != fails:
            raise AssertionError(f"cell {index}: {errors}")

    def write_and_run(self, source: str) -> None:
        """Type the active cell and run it: JupyterLab then makes the next one active, new where there is none."""
        self.page.locator(".jp-Cell.jp-mod-active .cm-content").click()
        index = self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.activeCellIndex")
        for number, line in enumerate(source.splitlines()):
            if number:
                self.page.keyboard.press("Enter")
            self.page.keyboard.type(line)
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_function("i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount", arg=index)
        self.wait_idle()
        if errors := self.cell_errors(index):
            raise AssertionError(f"cell {index}: {errors}")

    def rename(self, name: str) -> None:
        """Give the notebook another name through the menu File."""
        self.page.get_by_role("menuitem", name="File", exact=True).click()
        self.page.get_by_role("menuitem", name="Rename Notebook").click()
        field = self.page.locator(".jp-Dialog input")
        field.fill(name)
        field.press("Enter")
        self.page.wait_for_function("name => window.jupyterapp.shell.currentWidget.context.path === name", arg=name)
        self.path = self.path.with_name(name)

    def cell_errors(self, index: int) -> list[str]:
        """The names and texts of the errors under a cell."""
        return self.page.evaluate(
            """i => {
                const outputs = window.jupyterapp.shell.currentWidget.content.widgets[i].model.outputs;
                return Array.from({length: outputs.length}, (_, k) => outputs.get(k).toJSON())
                    .filter(o => o.output_type === 'error').map(o => o.ename + ': ' + o.evalue);
            }""",
            index,
        )

    def counter(self, index: int):
        """A cell's execution count, ``None`` where it has not run."""
        return self.page.evaluate("i => window.jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount", index)

    def output(self, index: int):
        """A cell's outputs."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def saved(self):
        """The notebook as it is on disk after saving."""
        self.command("docmanager:save")
        return nbformat.read(self.path, 4)

    def leave(self) -> Page:
        """Close all that is open, end the kernels, and give back the page, in which the application runs on."""
        self.finish(LEAVE)
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        return self.page

    def close(self, *, shutdown: bool = True) -> None:
        """Close the page and end its kernel."""
        self.page.close()
        if shutdown:
            for session in self.server.api("sessions"):
                if session["path"] == self.path.name:
                    self.server.api(f"sessions/{session['id']}", "DELETE")


class Pages:
    """Opens a server's notebooks in pages that are used again: loading JupyterLab anew for each would take most of the time."""

    def __init__(self, context, server: Server) -> None:
        self.server = server
        self._context = context
        self._idle: list[Page] = []  # in which the application runs with nothing open

    def open(self, name: str | None = None, *, kernel: bool = True) -> Notebook:
        """A notebook in a page that is free, or a new one."""
        return Notebook(self._context, self.server, name, kernel=kernel, page=self._idle.pop() if self._idle else None)

    def leave(self, book: Notebook) -> None:
        """Close a notebook and end its kernel; the next one opens in the same page."""
        self._idle.append(book.leave())

    def end(self, book: Notebook, *, failed: bool = False) -> None:
        """Leave a notebook; its page is closed where it may be in disorder, or where another one is free."""
        if failed or self._idle:
            book.close()
        else:
            self.leave(book)
