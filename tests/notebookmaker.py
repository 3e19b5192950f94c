"""A notebook file for a test, in a folder of its own."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tinyllm_magic.recording.store import Store

SETUP = "%load_ext tinyllm_magic"


def printed(cell):
    """What a cell printed, which a busy kernel sends in pieces."""
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stdout")


def shown(*records, **facts):
    """The output of a cell that shows these answers, as a saved notebook has it."""
    answers = [{"key": r.key, "source": "recorded", "answer": r.answer.text} for r in records]
    own = answers[0] if len(answers) == 1 else {"answers": answers} if answers else {}
    return new_output("display_data", {"text/plain": "an answer"}, metadata={"tinyllm_magic": {"version": 1, **own, **facts}})


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


class Study:
    """A notebook of cells and a store of records, reported on."""

    def __init__(self, folder):
        self.path, self.cells = folder / "study.ipynb", [new_markdown_cell("# A study")]
        self.store = Store(folder / "study.llm.jsonl")

    def text(self, source):
        self.cells.append(new_markdown_cell(source))

    def cell(self, source, *outputs, run=True):
        self.cells.append(new_code_cell(source, outputs=list(outputs), execution_count=len(self.cells) if run else None))

    def record(self, *records):
        assert all(self.store.append(record) for record in records)

    def report(self):
        from tinyllm_magic.reporting.report import build_report

        nbformat.write(new_notebook(cells=self.cells), self.path)
        return build_report(self.path)
