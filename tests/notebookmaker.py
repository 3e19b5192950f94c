"""A notebook file for a test, in a folder of its own."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SETUP = "%load_ext tinyllm_magic"


def printed(cell):
    """What a cell printed, which a busy kernel sends in pieces."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


class Book:
    """A notebook of these cells in a folder of its own."""

    def __init__(self, folder, *sources, name="analysis.ipynb"):
        folder.mkdir(exist_ok=True)
        self.path = folder / name
        self.store = folder / name.replace(".ipynb", ".llm.jsonl")
        self.write(new_notebook(cells=[new_markdown_cell("# Title"), new_code_cell(SETUP), *map(new_code_cell, sources)]))

    def write(self, notebook):
        nbformat.write(notebook, self.path)

    def read(self):
        return nbformat.read(self.path, as_version=4)

    def change(self, number, **values):
        """Change fields of a code cell, counted from 1."""
        notebook = self.read()
        cell = [c for c in notebook.cells if c.cell_type == "code"][number - 1]
        for name, value in values.items():
            if name == "tags":
                cell.metadata["tags"] = value
            else:
                cell[name] = value
        self.write(notebook)

    def strip(self):
        """Take away every output and number, as a tool that keeps them out of git does."""
        notebook = self.read()
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        self.write(notebook)
