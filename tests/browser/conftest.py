"""Fixtures for tests in a real browser: a bare page with a host for our module, JupyterLab, Notebook 7."""

import json
import os

import pytest
from fakeserver import FakeServer

pytest.importorskip("playwright", reason="the browser tests need playwright")

from playwright.sync_api import expect, sync_playwright

from browser import driver

expect.set_options(timeout=60_000)

WHY = "browser tests need Chromium (Debian: apt-get install chromium); set CHROMIUM to its path"


def pytest_collection_modifyitems(items):
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker(pytest.mark.browser)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.stash[_FAILED] = report.failed
    return report


_FAILED = pytest.StashKey()


@pytest.fixture(scope="package")
def playwright():
    """One driver of browsers for all of these tests: a second one could not run beside it in the same thread."""
    if driver.chromium() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(WHY)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="package")
def chromium(playwright):
    """A browser for fresh profiles."""
    running = driver.launch(playwright)
    yield running
    running.close()


@pytest.fixture(scope="package")
def context(playwright, tmp_path_factory):
    """The profile that most tests share."""
    made = driver.launch_with_profile(playwright, tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


# The part of anywidget's contract that a module may use, with a record of what it sends.
HOST = """async ({esm, css, state, views}) => {
  document.head.replaceChildren(Object.assign(document.createElement('style'), {textContent: css}));
  document.body.replaceChildren();
  const subs = {}, sent = [];
  let dirty = {};
  const fire = (key) => (subs[key] || []).slice().forEach(f => f());
  const model = {
    get: key => structuredClone(state[key]),
    set: (key, value) => { state[key] = value; dirty[key] = value; },
    save_changes: () => { const now = dirty; dirty = {}; sent.push(now); Object.keys(now).forEach(k => fire('change:' + k)); },
    on: (key, f) => { (subs[key] ??= []).push(f); },
    off: (key, f) => { subs[key] = (subs[key] || []).filter(g => g !== f); },
    send: () => { throw new Error('a message outside of the state'); },
  };
  const url = URL.createObjectURL(new Blob([esm], {type: 'text/javascript'}));
  const module = (await import(url)).default;
  URL.revokeObjectURL(url);
  const cleanups = [];
  for (let i = 0; i < views; i++) {
    const el = document.createElement('div');
    document.body.append(el);
    cleanups.push(module.render({model, el}));
  }
  window.host = {
    sent, state,
    fromKernel: (changes) => { Object.assign(state, changes); Object.keys(changes).forEach(k => fire('change:' + k)); },
    clean: () => cleanups.forEach(f => f()),
    listeners: () => Object.values(subs).reduce((n, list) => n + list.length, 0),
  };
}"""


@pytest.fixture
def page(context):
    """A bare page that can load nothing; page errors fail the test."""
    made = context.new_page()
    made.wrong, made.asked = [], []
    made.on("pageerror", lambda e: made.wrong.append(str(e)))

    def answer(route):
        if route.request.url == "http://host.test/":
            route.fulfill(body="<!doctype html><title>host</title>", content_type="text/html")
        else:
            made.asked.append(route.request.url)
            route.abort()

    made.route("**/*", answer)
    made.goto("http://host.test/")
    yield made
    assert made.wrong == []
    assert made.asked == []
    made.close()


@pytest.fixture
def mount(page):
    """Draws a panel in the bare page, as often as asked."""

    def draw(panel, views=1):
        state = {k: v for k, v in panel.get_state().items() if not k.startswith("_") and k not in ("layout", "tabbable", "tooltip")}
        page.evaluate(HOST, {"esm": str(panel._esm), "css": panel._css, "state": json.loads(json.dumps(state)), "views": views})
        page.evaluate("() => document.querySelectorAll('.tlm-more').forEach(fold => { fold.open = true; })")
        return page

    return draw


def _served(tmp_path_factory, weights_folder, app):
    folder = tmp_path_factory.mktemp(app)
    state = folder / "state"
    state.mkdir()
    return driver.serve(folder / "root", state, app, environ={"TINYLLM_CACHE_DIR": str(weights_folder)})


@pytest.fixture(scope="package")
def lab(tmp_path_factory, weights_folder):
    with _served(tmp_path_factory, weights_folder, "lab") as server:
        yield server


@pytest.fixture(scope="package")
def notebook7(tmp_path_factory, weights_folder):
    with _served(tmp_path_factory, weights_folder, "notebook") as server:
        yield server


@pytest.fixture(scope="package")
def fake():
    """A vendor that never gives the same answer twice."""
    with FakeServer([lambda body, n=n: f"Answer **{n}** to: {body['messages'][-1]['content']}" for n in range(100)]) as server:
        yield server


@pytest.fixture(scope="package")
def author_pages(tmp_path_factory, context, fake):
    """The JupyterLab of an author who has a key and a gateway, and has our extension disabled."""
    folder = tmp_path_factory.mktemp("author")
    off = folder / "state" / "config" / "labconfig" / "page_config.json"
    off.parent.mkdir(parents=True)
    off.write_text(json.dumps({"disabledExtensions": {"tinyllm-magic": True}}))
    environ = {"OPENAI_API_KEY": "sk-test-0123456789abcdef", "OPENAI_BASE_URL": fake.url, "TINYLLM_MODEL": "gpt-4o-mini"}
    with driver.serve(folder / "work", folder / "state", environ=environ) as server:
        yield driver.Pages(context, server)


@pytest.fixture(scope="package")
def lab_pages(context, lab):
    return driver.Pages(context, lab)


@pytest.fixture(scope="package")
def notebook7_pages(context, notebook7):
    return driver.Pages(context, notebook7)


def _opener(request, pages):
    opened = []

    def open_(*cells, name=None, kernel=True):
        file = name or f"{request.node.name.removeprefix('test_')[:40]}.ipynb"
        if name is None:
            pages.server.write(file, ["%load_ext tinyllm_magic", *cells])
        opened.append(pages.open(file, kernel=kernel))
        return opened[-1]

    def leave(book):
        """Close a notebook and end its kernel; the next one opens in the same page."""
        opened.remove(book)
        pages.leave(book)

    open_.leave = leave
    yield open_
    failed = request.node.stash.get(_FAILED, False)
    for book in opened:
        if book.page.is_closed():
            continue
        if failed:
            book.page.screenshot(path=str(pages.server.root / f"FAILED-{request.node.name}.png"))
        pages.end(book, failed=failed)


@pytest.fixture
def notebook(request, lab_pages):
    """Opens a notebook in JupyterLab; its first cell loads the extension."""
    yield from _opener(request, lab_pages)


@pytest.fixture
def classic(request, notebook7_pages):
    """Opens a notebook in Notebook 7."""
    yield from _opener(request, notebook7_pages)


@pytest.fixture
def plain(request, author_pages):
    """Opens a notebook in a JupyterLab in which our extension is disabled."""
    yield from _opener(request, author_pages)
