"""Renews the pictures of the README from the real thing: `python tests/browser/pictures.py FOLDER`.

JupyterLab in light and dark, with cells answered by the embedded model, and a published site. With `--all` also what is
looked at by eye before a release: Notebook 7, the page of nbconvert, a narrow window, a notebook
reopened without a kernel.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import driver, prompts  # also run as a script

PROMPT = """%%llm --temperature 0 -o answer
{% system %}
You are a **patient** teacher. Don't use jargon.
{% endsystem %}
Answer in one sentence: why is the sky of {{ rows[0].planet }} blue?"""
CELLS = [
    "%load_ext tinyllm_magic",
    'rows = [{"planet": "Earth", "moons": 1}, {"planet": "Mars", "moons": 2}, {"planet": "Jupiter", "moons": 95}]',
    PROMPT,
    "%%llm -m tiny --max-tokens 60\n{% system %}Be brief.{% endsystem %}\nWhich planet has the most moons?",
    "%llm_panel",
    "%%llm --dry-run\n{% system %}Be brief.{% endsystem %}\nWhich planet has the most moons?\n\n{{ rows | table }}",
]
TYPED, PANEL = 3, 4  # the cell that somebody is typing in, and the panel's
WAYS = {
    "lab-light": ("lab", "JupyterLab Light", 1280, 1900),
    "lab-dark": ("lab", "JupyterLab Dark", 1280, 1900),
    "notebook7-light": ("notebook", "JupyterLab Light", 1280, 1900),
    "narrow-dark": ("lab", "JupyterLab Dark", 500, 2400),
}
README = ("lab-light", "lab-dark")
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


_TOP = """() => {
    document.activeElement?.blur();
    document.querySelectorAll('.jp-WindowedPanel-outer').forEach(e => { e.scrollTop = 0; });
}"""


def take(running, folder: Path, name: str, place: Path) -> Path:
    """One picture; returns the saved notebook behind it."""
    app, theme, width, height = WAYS[name]
    state = place / f"{name}-state"
    state.mkdir()
    with driver.serve(place / name, state, app, {driver.THEMES: {"theme": theme}}, _weights()) as server:
        server.write("pictures.ipynb", CELLS)
        context = driver.new_context(running, width=max(width, 1000), height=height)
        book = driver.Notebook(context, server, "pictures.ipynb")
        if app == "lab":
            book.command("application:toggle-left-area")
        for index in range(len(CELLS)):
            if index != TYPED:
                book.run(index)
        _move_sliders(book)
        book.page.set_viewport_size({"width": width, "height": height})
        book.select(0)
        book.page.evaluate(_TOP)
        book.page.locator(".tlm-panel").wait_for()
        prompts.type_into(book, TYPED, "\n\n{{ rows | t")
        prompts.completions(book)
        book.page.screenshot(path=str(folder / f"{name}.png"))
        book.saved()
        book.close()
        context.close()
    return place / name / "pictures.ipynb"


def _move_sliders(book) -> None:
    """What a reader would do: set two values, then count the prompt of the last cell."""
    panel = book.output(PANEL).locator(".tlm-panel")
    panel.get_by_role("spinbutton", name="temperature value").fill("0.2")
    panel.get_by_role("spinbutton", name="temperature value").press("Tab")
    panel.get_by_role("spinbutton", name="max_tokens value").fill("200")
    panel.get_by_role("spinbutton", name="max_tokens value").press("Tab")
    panel.get_by_text("max_tokens 200: holds for the next cells").wait_for()
    panel.get_by_text(re.compile(r"^\d+ of 2,048 tokens")).wait_for()  # counted exactly, no estimate


def published(running, folder: Path, place: Path) -> None:
    """A notebook that runs in its reader's page: the panel, moved over what is recorded."""
    from staticserver import StaticServer

    from tinyllm_magic.static_site.build import PublishOptions, plan_site, write_site

    name = "05_tokens_cost_and_panels"
    write_site(plan_site([NOTEBOOKS / f"{name}.ipynb"], PublishOptions(), print), place / "site")
    server = StaticServer(place / "site")
    context = driver.new_context(running, height=980)
    page = context.new_page()
    page.goto(f"{server.address}run/notebooks/index.html?path={name}/{name}.ipynb")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    for item in ("Run", "Run All Cells"):
        page.get_by_role("menuitem", name=item, exact=True).click()
    panel = page.locator(".tlm-panel")
    choice = panel.get_by_role("combobox", name="recorded", exact=True)
    choice.locator("option").nth(4).wait_for(state="attached", timeout=300_000)
    page.get_by_text("budget $0.5000").wait_for(timeout=300_000)
    choice.select_option("temperature 0.6 · seed 2")
    page.evaluate("document.activeElement?.blur()")
    panel.evaluate("panel => panel.closest('.jp-Cell').previousElementSibling.scrollIntoView()")
    panel.get_by_role("region", name="Recorded answer").get_by_text("Saturn").first.wait_for()
    page.screenshot(path=str(folder / "published.png"))
    context.close()
    server.close()


def _weights() -> dict[str, str]:
    from tinyllm_magic.settings.paths import cache_folder

    return {"TINYLLM_CACHE_DIR": str(cache_folder())}


def reopened(running, folder: Path, saved: Path, place: Path) -> None:
    """The saved notebook on a server that trusts nothing, its kernel not started."""
    import nbformat

    notebook = nbformat.read(saved, 4)
    notebook.metadata.kernelspec = {"name": "no-such-kernel", "display_name": "none", "language": "python"}
    state, root = place / "reopened-state", place / "reopened"
    for made in (state, root):
        made.mkdir()
    nbformat.write(notebook, root / "reopened.ipynb")
    with driver.serve(root, state) as server:
        context = driver.new_context(running, height=1700)
        book = driver.Notebook(context, server, "reopened.ipynb", kernel=False)
        book.page.get_by_text("Dry run: nothing was sent").wait_for()
        book.page.screenshot(path=str(folder / "reopened-untrusted.png"))
        book.close()
        context.close()


def exported(running, folder: Path, saved: Path, theme: str) -> None:
    """The page that nbconvert makes of a saved notebook."""
    page_file = folder / f"nbconvert-{theme}.html"
    command = ["jupyter", "nbconvert", "--to", "html", f"--HTMLExporter.theme={theme}", str(saved), "--output", str(page_file.resolve())]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    context = driver.new_context(running, width=1100, height=1700)
    page = context.new_page()
    page.route("http*://**", lambda route: route.abort())
    page.goto(page_file.resolve().as_uri())
    page.screenshot(path=str(folder / f"nbconvert-{theme}.png"))
    context.close()


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="also those that are looked at by eye only")
    parser.add_argument("--published", action="store_true", help="only that of a published site")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, driver.browser() as running:
        place, saved = Path(temporary), None
        if chosen.published:
            published(running, chosen.folder, place)
            return
        for name in WAYS if chosen.all else README:
            saved = take(running, chosen.folder, name, place)
        published(running, chosen.folder, place)
        if chosen.all:
            reopened(running, chosen.folder, saved, place)
            exported(running, chosen.folder, saved, "light")
            exported(running, chosen.folder, saved, "dark")


if __name__ == "__main__":
    main()
