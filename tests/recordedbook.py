"""A notebook with a store whose records a test makes."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from tinyllm_magic import Message, Request, Store
from tinyllm_magic.responses import Answer, Record, Usage

GATEWAY = "openai:http://gateway.example/v1"


def record(
    text="Hello", said="Hi", *, provider=GATEWAY, model="gpt-4o-mini", sample=0, answer=None, created="2025-11-21T09:00:00.000Z", **more
):
    """A record of one question; ``more`` are parameters, or parts of the request by their names."""
    parts = {name: more.pop(name) for name in ("tools", "response_format", "kind", "messages") if name in more}
    messages = parts.pop("messages", (Message("user", text),))
    request = Request(provider, model, messages, more, sample=sample, **parts)
    answered = answer or Answer(text=said, finish_reason="stop", usage=Usage(3, 1), model=model, fingerprint="fp_fake")
    return Record(request.key, request.canonical(), answered, created, 0.5, 0.001, "0.1.0")


def write_book(folder, *cells, unshown=()):
    """A notebook whose cells show these records, and its store, which also has the ``unshown`` ones; returns its path."""
    folder.mkdir(exist_ok=True)
    store = Store(folder / "analysis.llm.jsonl")
    for one in (*(r for cell in cells for r in cell), *unshown):
        assert store.append(one)
    shown = [new_code_cell(f"%%llm\nCell {n}?", outputs=[_show(r) for r in records]) for n, records in enumerate(cells, 1)]
    nbformat.write(new_notebook(cells=shown), folder / "analysis.ipynb")
    return folder / "analysis.ipynb"


def _show(one):
    return new_output("display_data", {"text/plain": one.answer.text or ""}, metadata={"tinyllm_magic": {"key": one.key, "version": 1}})
