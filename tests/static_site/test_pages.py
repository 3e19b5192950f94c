"""The pages that need no kernel: nothing of a notebook runs or loads anything in them."""

import re

import nbformat

from tinyllm_magic.static_site.pages import Entry, draw_first_page, draw_saved_page

ENTRY = Entry("tour", "a b's.ipynb", "Tour <1>", "It & more", ["3 prompt cells"], ["Cells that need numpy fail when they are run here."])


def test_the_first_page_says_what_each_notebook_needs_and_escapes_what_it_says():
    page = draw_first_page("All <of> them", [ENTRY], "foot")
    assert "<h1>All &lt;of&gt; them</h1>" in page
    assert "Tour &lt;1&gt;" in page
    assert "It &amp; more" in page
    assert "Cells that need numpy fail when they are run here." in page
    assert 'href="run/notebooks/index.html?path=tour/a%20b%27s.ipynb"' in page
    assert not re.search(r"<script|https?://", page)


def test_a_saved_page_shows_outputs_without_a_kernel_and_loads_nothing(tmp_path):
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/html": "<p>the panel as it was</p>"}
    cells = [
        nbformat.v4.new_markdown_cell("Read $x^2$ and ![far](https://example.org/far.png)."),
        nbformat.v4.new_code_cell("%llm_panel", outputs=[nbformat.v4.new_output("display_data", widget)]),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {}}}})
    page = draw_saved_page(notebook, ENTRY, "All", tmp_path)
    assert "the panel as it was" in page
    assert "Run it here" in page
    assert "as it was saved; Cells that need numpy fail when they are run here." in page
    assert "<script" not in page
    policy = re.search(r"<meta[^>]*Content-Security-Policy[^>]*>", page)[0]
    assert "default-src 'none'" in policy  # so that the picture from elsewhere is not asked for
    assert "prefers-color-scheme: dark" in page
    assert "widget-view" not in notebook.cells[1].outputs[0].data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in notebook.cells[1].outputs[0].data  # the notebook itself is as it was
