"""A reader's first minute on a published site: `python tests/bench/published_site.py SITE [FOLDER/NOTEBOOK.ipynb] [visits]`.

Each visit is a fresh profile of Chromium, which opens the saved page, presses "Run it here", and runs all cells as soon as they
are there. Seconds count from the press: until the notebook stands in the page, and until its first prompt cell has its answer.
CPU seconds are those of all the browser's processes; bytes are what the server sent, compressed as GitHub Pages compresses.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import driver
from staticserver import StaticServer


def visit(browser, server, notebook):
    """Seconds until the notebook is shown, seconds until the first answer, CPU seconds, megabytes."""
    folder = notebook.partition("/")[0]
    session = browser.new_browser_cdp_session()

    def cpu():
        return sum(process["cpuTime"] for process in session.send("SystemInfo.getProcessInfo")["processInfo"])

    context = driver.new_context(browser)
    page = context.new_page()
    page.goto(f"{server.address}{folder}.html")
    server.sent.clear()
    before, used = time.perf_counter(), cpu()
    page.get_by_role("link", name="Run it here").click()
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.content?.widgets?.length > 2", timeout=600_000)
    shown = time.perf_counter() - before
    page.evaluate(
        """() => {
            const app = window.jupyterapp, cells = app.shell.currentWidget.content.widgets;
            window.asked = cells.find(w => w.model.type === 'code' && w.model.sharedModel.getSource().startsWith('%%llm'));
            window.asked.model.outputs.clear();
            app.commands.execute('notebook:run-all-cells');
        }"""
    )
    page.wait_for_function("() => window.asked.model.outputs.length > 0", timeout=600_000)
    answered = time.perf_counter() - before
    found = shown, answered, cpu() - used, sum(size for _, size in server.sent) / 1e6
    context.close()
    return found


def main(site, notebook="01_first_cell/01_first_cell.ipynb", visits="3"):
    """Print a line for each visit, and the medians."""
    folder = Path(site)
    config = folder / "run" / "jupyter-lite.json"
    told = json.loads(config.read_text())
    told["jupyter-config-data"]["exposeAppInBrowser"] = True  # so that cells can be asked for
    config.write_text(json.dumps(told))
    server = StaticServer(folder)
    line = "shown {:.1f} s, first answer {:.1f} s, {:.1f} CPU s, {:.1f} MB"
    found = []
    try:
        for _ in range(int(visits)):
            with driver.browser() as browser:
                found.append(visit(browser, server, notebook))
            print(line.format(*found[-1]), f"(load of the machine {os.getloadavg()[0]:.1f})")
    finally:
        server.close()
    print("medians:", line.format(*map(statistics.median, zip(*found, strict=True))))


if __name__ == "__main__":
    main(*sys.argv[1:])
