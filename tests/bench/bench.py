"""Ratios, measured side by side in one run: `python tests/bench/bench.py [name …]`.

Each row pits this package against the least that could do the same job; the two alternate,
so that a machine whose speed drifts slows both. Medians; smaller is better.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from fakeserver import FakeServer

IMPORT = """
import time
begin = time.perf_counter()
import IPython.core.interactiveshell, ipywidgets
print(time.perf_counter() - begin)
"""
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


def live():
    """A live call against the bare SDK, over HTTP on loopback."""
    from openai import OpenAI

    from tinyllm_magic import client

    with FakeServer([]) as server:
        os.environ |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "test", "TINYLLM_MODE": "off"}
        sdk = OpenAI(base_url=server.url, api_key="test", max_retries=0)
        send = client().send_message

        def bare():
            for _ in sdk.chat.completions.create(model="gpt-4o-mini", messages=M, stream=True, stream_options={"include_usage": True}):
                pass

        def ours():
            send(M, model="gpt-4o-mini")

        for function in (ours, bare):
            function()
        rows = [("send_message, live, against the SDK's stream", *paired(ours, bare, 200))]
        rows.append(
            (
                "first text of a stream, against the SDK's",
                *paired(first_of(lambda: ours_stream(send)), first_of(lambda: sdk_stream(sdk)), 100),
            )
        )
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "TINYLLM_MODE"):
        del os.environ[name]
    return rows


def ours_stream(send):
    client, plan = send.__self__.plan(M, "gpt-4o-mini", {})
    return (c.text for c in client.stream(plan))


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

    from tinyllm_magic.display import Card, view_for

    paragraph = "Some **words** of an answer with `code` and a list:\n\n- one\n- two\n\n```python\nx = 1\n```\n\n"
    shell = InteractiveShell.instance()

    def stream(size):
        with capture_output():
            view, text = view_for(shell), ""
            while len(text) < size:
                text += paragraph
                view.push(Card(text=text, state="streaming"))
            view.finish(Card(text=text))

    def ten_small():
        for _ in range(10):
            stream(10_000)

    return [("a stream of 100 KB, against ten streams of 10 KB", *paired(lambda: stream(100_000), ten_small, 5))]


BENCHES = {"load": load, "live": live, "recorded": recorded, "drawing": drawing}


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
