"""Measures a fast stream in a real JupyterLab: `python tests/browser/stream_lag.py`.

1,000 chunks in 2 seconds, through `%%llm` and, beside it, through a bare `print`. Printed are the
seconds from the last chunk in the kernel to the last text on screen, and the share of the stream's
time in which the page's main thread was blocked (tasks over 50 ms): the median of five runs, and the
worst.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import driver

CHUNKS, SECONDS = 1000, 2.0
SETUP = f"""
%load_ext tinyllm_magic
import time
from tinyllm_magic import register_client, session
from tinyllm_magic.responses import Chunk
from tinyllm_magic.clients.client import EchoClient

PIECES = ["## A head\\n\\n", "Some *words* ", "and `code` ", "in a line, ", "then a list:\\n\\n", "- one\\n", "- two\\n\\n",
          "```python\\n", "x = 1  # why\\n", "```\\n\\n"]
size = 1

def paced():
    begun = time.time()
    for i in range({CHUNKS}):
        wait = begun + i * {SECONDS / CHUNKS} - time.time()
        if wait > 0:
            time.sleep(wait)
        yield "The end is here." if i == {CHUNKS} - 1 else PIECES[i % len(PIECES)] + "more text, " * (size - 1) * (i % 10 < 5)

class Paced:
    def send(self, request):
        global began, ended
        began = time.time()
        for text in paced():
            yield Chunk(text=text)
        ended = time.time()
        yield Chunk(finish_reason="stop", model="paced")

class PacedClient(EchoClient):
    def provider(self, plan):
        return Paced()

register_client("paced", PacedClient())
session.choose(api_type="paced", mode="off")
"""
PRINTED = """
began = time.time()
for text in paced():
    print(text, end="", flush=True)
ended = time.time()
"""
WATCH = """() => {
  const now = () => performance.timeOrigin + performance.now();
  window.seen = null;
  window.tasks = [];
  window.watching?.forEach(w => w.disconnect());
  const tasks = new PerformanceObserver(list => list.getEntries().forEach(e =>
    window.tasks.push([performance.timeOrigin + e.startTime, e.duration])));
  tasks.observe({entryTypes: ['longtask']});
  const text = new MutationObserver(() => {
    const outputs = [...document.querySelectorAll('.jp-OutputArea-output')];
    if (window.seen === null && outputs.some(o => o.textContent.includes('The end is here.')))
      requestAnimationFrame(() => setTimeout(() => { window.seen ??= now(); }));
  });
  text.observe(document.body, {childList: true, subtree: true, characterData: true});
  window.watching = [tasks, text];
}"""


def measured(book: driver.Notebook, index: int) -> tuple[float, float]:
    """Seconds from the last chunk to the last text on screen, and the blocked share."""
    book.page.evaluate(WATCH)
    book.run(index)
    book.page.wait_for_function("() => window.seen !== null")
    book.run(len(CELLS) - 1)
    began, ended = (float(t) for t in book.output(len(CELLS) - 1).inner_text().split())
    seen, tasks = book.page.evaluate("() => [window.seen / 1000, window.tasks]")
    blocked = sum(length for start, length in tasks if began * 1000 <= start <= ended * 1000)
    book.command("notebook:clear-all-cell-outputs")
    return seen - ended, blocked / 1000 / (ended - began)


CELLS = [SETUP, "%%llm\nhi", "size = 8", "%%llm\nhi", "size = 1", PRINTED, "print(began, ended)"]
SHOWN = {"%%llm, 9 KB": (1,), "%%llm, 48 KB": (2, 3), "print, 9 KB": (4, 5)}


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as temporary, driver.browser() as running:
        place = Path(temporary)
        (place / "state").mkdir()
        with driver.serve(place / "root", place / "state") as server:
            server.write("lag.ipynb", CELLS)
            book = driver.Notebook(driver.new_context(running), server, "lag.ipynb")
            book.run(0)
            print(f"{CHUNKS} chunks in {SECONDS:g} s")
            for name, (*before, index) in SHOWN.items():
                for cell in before:
                    book.run(cell)
                measured(book, index)
                lags, shares = (sorted(column) for column in zip(*(measured(book, index) for _ in range(5)), strict=True))
                print(
                    f"{name:14} last text {lags[2] * 1000:4.0f} ms after the last chunk (worst {lags[-1] * 1000:.0f}),"
                    f" page blocked {shares[2]:.1%} of the time (worst {shares[-1]:.1%})"
                )
            book.close()


if __name__ == "__main__":
    main()
