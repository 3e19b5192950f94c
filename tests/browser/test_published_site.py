"""A published site in a real browser: read, run whole, moved over its recorded answers, and asked what was never recorded.

What is not on this machine yet (Pyodide, JupyterLite, wheels) is fetched through npm and pip, and kept in the cache.
"""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import expect
from staticserver import StaticServer

from browser import driver
from tinyllm_magic.errors import TinyLLMError

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("0*.ipynb"))
ABSENT = {  # what has no build for the browser on the index; one that gets it is no fault
    "06_rows_and_grids.ipynb": {"numpy", "scikit-learn", "scipy", "statsmodels"},
    "07_typed_answers.ipynb": {"pandas", "statsmodels"},
    "09_images.ipynb": {"pillow"},
}
SOURCE = ROOT / "notebooks" / "05_tokens_cost_and_panels.ipynb"
NAME = "reader's tour"
FOLDER = "reader-s-tour"
PROMPT, GRID = 18, 24  # of the notebook that the tour is made of
NEVER_ASKED = "%%llm --temperature 0 --max-tokens 60\nWrite one sentence about what nobody has asked yet."
DATA = 'import json, helpers\nprint([helpers.shout(json.loads(line)["word"]) for line in open("rows.jsonl")])'
LAST = "print(cold.source, 'to the last')"


def write_tour(folder):
    """A notebook with a store, a module and data beside it, made of one that is kept with its answers."""
    source = nbformat.read(SOURCE, 4)
    raising = nbformat.v4.new_code_cell(NEVER_ASKED, metadata={"tags": ["raises-exception"]})
    cells = [
        nbformat.v4.new_markdown_cell("# The reader's tour\n\nWhat *one* can do with a `page`."),
        nbformat.v4.new_code_cell("%load_ext tinyllm_magic"),
        source.cells[PROMPT],
        raising,
        nbformat.v4.new_code_cell(DATA),
        nbformat.v4.new_code_cell("%llm_count -m gpt-4o The quick brown fox jumps over the lazy dog."),
        nbformat.v4.new_code_cell("%llm_panel"),
        source.cells[GRID],
        nbformat.v4.new_code_cell(LAST),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / f"{NAME}.ipynb")
    shutil.copyfile(SOURCE.with_name(f"{SOURCE.stem}.llm.jsonl"), folder / f"{NAME}.llm.jsonl")
    (folder / "helpers.py").write_text("def shout(word):\n    return word.upper()\n")
    (folder / "rows.jsonl").write_text('{"word": "one"}\n{"word": "two"}\n')
    return folder / f"{NAME}.ipynb"


def recorded_answers():
    """The texts of the grid's answers, by temperature and seed."""
    lines = SOURCE.with_name(f"{SOURCE.stem}.llm.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines[1:]]
    rings = [r for r in records if "rings" in json.dumps(r["request"])]
    return {(r["request"]["params"]["temperature"], r["request"]["params"]["seed"]): r["answer"]["text"] for r in rings}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site of all notebooks and of one made here, served below a path."""
    from tinyllm_magic.static_site.build import PublishOptions, plan_site, write_site

    folder = tmp_path_factory.mktemp("site")
    (folder / "source").mkdir()
    try:
        plan = plan_site([write_tour(folder / "source"), *NOTEBOOKS], PublishOptions(title="A reader's site"), lambda _line: None)
        for planned in plan.notebooks:
            name = planned.source.path.name
            assert set(planned.absent) <= ABSENT.get(name, set()), name
            told = [line for line in plan.warnings() if line.startswith(f"{name}: ")]
            words = f"{name}: {', '.join(planned.absent)} cannot be had for the browser; it can be read, and runs without them"
            assert told == ([words] if planned.absent else [])
        write_site(plan, folder / "site")
    except TinyLLMError as error:
        if type(error).__name__ not in ("PackageError", "PyodideError", "MissingExtraError"):
            raise
        pytest.skip(f"what a site is made of cannot be fetched here: {error.message}")
    config = folder / "site" / "run" / "jupyter-lite.json"
    told = json.loads(config.read_text())
    told["jupyter-config-data"]["exposeAppInBrowser"] = True  # so that the test can ask for cells by number
    config.write_text(json.dumps(told))
    server = StaticServer(folder / "site")
    yield server
    server.close()


@pytest.fixture(scope="module")
def reader(chromium, site):
    """A page that reaches nothing but this machine; ``blocked`` has what it asked for elsewhere."""
    context = driver.new_context(chromium)
    page = context.new_page()
    page.blocked, page.asked = [], []

    def answer(route):
        url = route.request.url
        page.asked.append(url)
        if url.startswith((site.address, "data:", "blob:")):
            route.continue_()
        else:
            page.blocked.append(url)
            route.abort()

    context.route("**/*", answer)
    yield page
    context.close()


def cell(page, index):
    return page.locator(".jp-Notebook .jp-Cell").nth(index)


def open_run_page(reader, link, cells):
    """Open a notebook in the application, and wait for its cells, not for its kernel."""
    link.click()
    count = "n => window.jupyterapp?.shell.currentWidget?.content?.widgets?.length === n"
    reader.wait_for_function(count, arg=cells, timeout=300_000)


def wait_until_done(page, index):
    """Until a cell has run, and no other waits."""
    page.wait_for_function(
        """i => {
            const all = window.jupyterapp.shell.currentWidget.content.widgets;
            const cells = all.filter(w => w.model.type === 'code');
            return all[i].model.executionCount && cells.every(w => w.model.executionState !== 'running');
        }""",
        arg=index,
        timeout=300_000,
    )


def test_a_reader_reads_at_once_and_nothing_else_is_loaded(site, reader):
    reader.goto(site.address)
    expect(reader.get_by_role("heading", level=1)).to_have_text("A reader's site")
    tour = reader.get_by_role("article").first
    expect(tour.get_by_role("heading")).to_have_text("The reader's tour")
    expect(tour).to_contain_text("What one can do with a page.")
    expect(tour).to_contain_text("3 prompt cells · 6 recorded answers · with helpers.py, rows.jsonl")
    tour.get_by_role("link", name="Read it").click()
    expect(reader.get_by_text("recorded", exact=True).first).to_be_visible()
    expect(reader.get_by_text(LAST)).to_be_visible()
    pages = [url.removeprefix(site.address) for url in reader.asked]
    assert pages == ["", f"{FOLDER}.html"]
    assert reader.locator("script:not([type='application/json'])").count() == 0


def test_every_notebook_opens_as_it_was_saved(site, reader):
    for notebook in NOTEBOOKS:
        heading = next(c.source for c in nbformat.read(notebook, 4).cells if c.cell_type == "markdown").splitlines()[0].lstrip("# ")
        reader.goto(f"{site.address}{notebook.stem}.html")
        expect(reader.get_by_role("heading", level=1).first).to_contain_text(heading.partition("`")[0])
        expect(reader.get_by_role("link", name="Run it here")).to_have_attribute("href", re.compile(notebook.name))
    assert reader.blocked == []


def test_the_page_says_what_it_waits_for_before_any_script_has_run(chromium, site):
    context = driver.new_context(chromium, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.address}run/notebooks/index.html")
    expect(page.get_by_text("Python is being started in this page")).to_be_visible()
    context.close()


def test_cells_that_are_run_before_the_kernel_is_there_wait_for_it(site, reader):
    site.sent.clear()
    notebook = nbformat.read(NOTEBOOKS[0], 4)
    reader.goto(f"{site.address}{NOTEBOOKS[0].stem}.html")
    open_run_page(reader, reader.get_by_role("link", name="Run it here"), len(notebook.cells))
    reader.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    wait_until_done(reader, len(notebook.cells) - 1)
    assert reader.locator(".jp-Dialog").count() == 0
    errors = reader.evaluate(
        """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(w => w.model.type === 'code')
            .flatMap(w => w.model.outputs.toJSON()).filter(o => o.output_type === 'error').map(o => o.evalue)"""
    )
    assert errors == []
    expect(cell(reader, 2)).to_contain_text("recorded")
    paths = [path for path, _ in site.sent]
    assert [path for path in paths if path.endswith("/kernel_worker.mjs")] != []  # the worker that began with the page …
    assert sum(path.endswith("/pyodide.asm.wasm") for path in paths) == 1  # … is the one that the notebook has
    assert not [path for path in paths if "pydantic" in path or "openai" in path]
    assert sum(size for _, size in site.sent) < 15_000_000, sorted(site.sent, key=lambda s: -s[1])[:20]


def test_a_reader_runs_it_whole_moves_a_slider_and_reads_a_miss(site, reader):
    site.sent.clear()
    reader.goto(f"{site.address}{FOLDER}.html")
    open_run_page(reader, reader.get_by_role("link", name="Run it here"), 9)
    reader.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    wait_until_done(reader, 8)
    expect(cell(reader, 2)).to_contain_text("recorded")
    expect(cell(reader, 3)).to_contain_text("this page answers only what was recorded")
    expect(cell(reader, 4)).to_contain_text("['ONE', 'TWO']")
    expect(cell(reader, 5)).to_contain_text("10")
    expect(cell(reader, 8)).to_contain_text("recorded to the last")  # after a cell that is meant to raise

    texts = recorded_answers()
    panel = cell(reader, 6)
    answer = panel.get_by_role("region", name="Recorded answer")
    panel.get_by_role("combobox", name="recorded", exact=True).select_option("temperature 0 · seed 1")
    expect(answer).to_contain_text(texts[0, 1])
    panel.get_by_role("slider", name="temperature").fill("0.6")
    expect(answer).to_contain_text(texts[0.6, 1])

    reader.evaluate(
        """() => {
            const content = window.jupyterapp.shell.currentWidget.content;
            content.activeCellIndex = 2;
            const source = content.widgets[2].model.sharedModel;
            source.setSource(source.getSource().replace('Jupiter', 'Saturn'));
            content.widgets[2].model.outputs.clear();
            window.jupyterapp.commands.execute('notebook:run-cell');
        }"""
    )
    expect(cell(reader, 2)).to_contain_text("about the moons of [Saturn].")
    expect(cell(reader, 2)).to_contain_text("run the notebook on your own computer")
    assert reader.blocked == []
    assert [path for path, size in site.sent if not size] == []
