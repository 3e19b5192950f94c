"""Ratios, measured side by side in one run: `python tests/bench/bench.py [name …]`.

Each row pits this package against the least that could do the same job; the two alternate,
so that a machine whose speed drifts slows both. Medians; smaller is better. Servers run in
processes of their own, so that they do not share our interpreter's lock.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from rows import Served

M = [{"role": "user", "content": "hi"}]
LOAD = """
import time
from IPython.core.interactiveshell import InteractiveShell
import ipywidgets
shell = InteractiveShell.instance()
begin = time.perf_counter()
{statement}
print(time.perf_counter() - begin)
"""


def paired(ours, bare, rounds):
    """Median seconds of two functions, run in turn."""
    mine, theirs = [], []
    for _ in range(rounds):
        for function, seconds in ((ours, mine), (bare, theirs)):
            begin = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - begin)
    return statistics.median(mine), statistics.median(theirs)


def whole_process(code, rounds=7):
    """Median of what a fresh Python prints about itself, in seconds."""

    def once():
        return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()[-1])

    once()
    return statistics.median(once() for _ in range(rounds))


def load():
    """%load_ext on top of IPython + ipywidgets, against loading an extension that is already part of IPython."""
    ours = whole_process(LOAD.format(statement='shell.run_line_magic("load_ext", "tinyllm_magic")'))
    bare = whole_process(
        "import time\nbegin = time.perf_counter()\nimport IPython.core.interactiveshell, ipywidgets\nprint(time.perf_counter() - begin)"
    )
    return [("%load_ext tinyllm_magic, against importing IPython + ipywidgets", ours, bare)]


def make_shell():
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "tinyllm_magic")
    return shell


@contextmanager
def served(delay):
    """The session's client and the SDK's, of one server; nothing is recorded."""
    from openai import OpenAI

    from tinyllm_magic import client, override

    with Served(delay) as server, override(mode="off"), OpenAI(base_url=server.url, api_key="test", max_retries=0) as sdk:
        yield client(), sdk
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "TINYLLM_MODE", "TINYLLM_STORE"):
        del os.environ[name]


def live():
    """A live call against the bare SDK, over HTTP on loopback."""
    with served(0.0) as (ours, sdk):
        pairs = {
            "send_message, live, against the SDK's create()": (
                lambda: ours.send_message(M, model="gpt-4o-mini"),
                lambda: sdk.chat.completions.create(model="gpt-4o-mini", messages=M),
            ),
            "a whole stream, against the SDK's": (lambda: list(ours_stream(ours)), lambda: list(sdk_stream(sdk))),
            "first text of a stream, against the SDK's": (first_of(lambda: ours_stream(ours)), first_of(lambda: sdk_stream(sdk))),
        }
        for functions in pairs.values():
            paired(*functions, 10)
        return [(what, *paired(*functions, 200)) for what, functions in pairs.items()]


def pool():
    """1,000 calls of 50 ms at 64 at a time: send_message in a thread pool, against the SDK in the same."""
    with served(0.05) as (ours, sdk), ThreadPoolExecutor(64) as threads:

        def each(ask, count=1_000):
            for _ in threads.map(ask, ([{"role": "user", "content": f"Number {n}"}] for n in range(count))):
                pass

        def mine(messages):
            ours.send_message(messages, model="gpt-4o-mini")

        def theirs(messages):
            sdk.chat.completions.create(model="gpt-4o-mini", messages=messages)

        each(mine, 200), each(theirs, 200)
        return [("1,000 calls of 50 ms, 64 at a time, against the SDK", *paired(lambda: each(mine), lambda: each(theirs), 3))]


def ours_stream(ours):
    prepared = ours.prepare(M, "gpt-4o-mini")
    return (c.text for c in prepared.stream())


def sdk_stream(sdk):
    stream = sdk.chat.completions.create(model="gpt-4o-mini", messages=M, stream=True, stream_options={"include_usage": True})
    try:
        yield from (c.choices[0].delta.content for c in stream if c.choices)
    finally:
        stream.close()


def first_of(make):
    """A function that reads a stream up to its first text."""

    def read():
        stream = make()
        for text in stream:
            if text:
                break
        stream.close()

    return read


def recorded():
    """A recorded cell against an empty magic with one display."""
    from IPython.display import HTML, display
    from IPython.utils.capture import capture_output

    shell = make_shell()
    shell.register_magic_function(lambda line, cell: display(HTML(f"<p>{cell}</p>"), metadata={"a": 1}), "cell", "empty")
    os.environ |= {"TINYLLM_API_TYPE": "echo"}

    def ours():
        with capture_output():
            shell.run_cell("%%llm\nHello, this is a question of some words.")

    def bare():
        with capture_output():
            shell.run_cell("%%empty\nHello, this is a question of some words.")

    ours()
    row = ("a recorded %%llm cell, against an empty magic with one display", *paired(ours, bare, 200))
    del os.environ["TINYLLM_API_TYPE"]
    return [row]


def drawing():
    """Drawing 100 KB while it streams, against drawing 10 KB ten times: linear means a ratio of 1."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    from tinyllm_magic.display.cards import Card
    from tinyllm_magic.display.views import choose_view

    paragraph = "Some **words** of an answer with `code` and a list:\n\n- one\n- two\n\n```python\nx = 1\n```\n\n"
    shell = InteractiveShell.instance()

    def stream(size):
        with capture_output():
            view, text = choose_view(shell), ""
            while len(text) < size:
                text += paragraph
                view.push(Card(text=text, state="streaming"))
            view.finish(Card(text=text))

    def ten_small():
        for _ in range(10):
            stream(10_000)

    return [("a stream of 100 KB, against ten streams of 10 KB", *paired(lambda: stream(100_000), ten_small, 5))]


BENCHES = {"load": load, "live": live, "pool": pool, "recorded": recorded, "drawing": drawing}


def main(names):
    """Run the benchmarks named (all without a name) and print one table."""
    print(f"| {'what':<66} | {'ours':>10} | {'bare':>10} | ratio | difference |")
    print(f"|{'-' * 68}|{'-' * 12}|{'-' * 12}|{'-' * 7}|{'-' * 12}|")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in names or BENCHES:
            for what, ours, bare in BENCHES[name]():
                print(
                    f"| {what:<66} | {ours * 1e3:7.2f} ms | {bare * 1e3:7.2f} ms | {ours / bare:5.2f} | {(ours - bare) * 1e3:7.2f} ms |",
                    flush=True,
                )
        os.chdir("/")


if __name__ == "__main__":
    main(sys.argv[1:])
