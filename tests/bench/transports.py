"""Calls beside the least that could make them: `python tests/bench/transports.py [rows delayed processes cells recorded first …]`.

Every way is run in turn, three times over, against one small server in a process of its own; the best of each counts. CPU
time is this process's alone, so that a busy machine changes the ratios less than the seconds. Where it goes:
`py-spy record --gil -o flame.svg -- python tests/bench/transports.py rows`.
"""

import asyncio
import hashlib
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CALLS, AT_A_TIME, ROUNDS = 2_000, 64, 3
MODEL = "gpt-4o-mini"
FACTS = {"id": "x", "created": 1, "model": MODEL, "system_fingerprint": "fp"}
USAGE = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
WORDS = ["An ", "answer ", "of ", "some ", "words."]


def whole():
    """The bytes of an answer in one piece."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "logprobs": None, "finish_reason": "stop"}
    body = json.dumps({"object": "chat.completion", **FACTS, "choices": [choice], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def streamed():
    """The bytes of the same answer as a stream."""

    def event(delta, finish=None, **more):
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        return f"data: {json.dumps({'object': 'chat.completion.chunk', **FACTS, 'choices': choices, **more})}\n\n"

    events = [event({"role": "assistant", "content": ""}), *(event({"content": word}) for word in WORDS)]
    events += [event({}, "stop"), event(None, usage=USAGE), "data: [DONE]\n\n"]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(e), e.encode()) for e in events)
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


class Answering(asyncio.Protocol):
    """Answers each request of a connection after a delay."""

    delay, whole, streamed = 0.0, whole(), streamed()

    def connection_made(self, transport):
        self.wire, self.pending = transport, b""

    def data_received(self, data):
        self.pending += data
        while (end := self.pending.find(b"\r\n\r\n")) >= 0:
            length = int(self.pending[:end].lower().split(b"content-length:")[1].split(b"\r\n")[0])
            if len(self.pending) < end + 4 + length:
                return
            body, self.pending = self.pending[end + 4 : end + 4 + length], self.pending[end + 4 + length :]
            answer = self.streamed if b'"stream":true' in body.replace(b" ", b"") else self.whole
            asyncio.get_running_loop().call_later(self.delay, self.wire.write, answer)


async def serve(delay):
    """The server's process."""
    Answering.delay = delay
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Served:
    """The server, the environment that leads to it, and a folder of its own."""

    def __init__(self, delay=0.0):
        self.delay = delay

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, __file__, "--serve", str(self.delay)], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}/v1"
        os.environ |= {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


class Bare:
    """http.client on connections that are kept, one for each thread."""

    def __init__(self, port):
        self.port, self.local = port, threading.local()

    def post(self, text, **more):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": text}], **more})
        self.local.connection.request(
            "POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Authorization": "Bearer x"}
        )
        return self.local.connection.getresponse()

    def ask(self, number):
        return json.loads(self.post(f"Number {number}").read())["choices"][0]["message"]["content"]

    def stream(self, text):
        """The texts of a stream, read line by line."""
        with self.post(text, stream=True, stream_options={"include_usage": True}) as response:
            for line in response:
                if line.startswith(b"data: {"):
                    yield "".join(choice["delta"].get("content") or "" for choice in json.loads(line[6:])["choices"])


def measure(ways):
    """Best seconds and best CPU seconds of each way, run in turn."""
    for way in ways.values():
        way()
    best = {name: [float("inf"), float("inf")] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began, cpu = time.perf_counter(), time.process_time()
            way()
            took = time.perf_counter() - began, time.process_time() - cpu
            best[name] = [min(pair) for pair in zip(best[name], took, strict=True)]
    return best


def calls(delay, names=None):
    """Many rows, 64 at a time: the bare transports, the SDK, and ours."""
    import jinja2
    import openai

    from tinyllm_magic import LLMCall, map_rows, override

    with Served(delay) as server:
        bare, sdk, call = Bare(server.port), openai.OpenAI(max_retries=0), LLMCall(None, "Number {{ n }}", model=MODEL)

        def in_threads(ask):
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                assert len(list(pool.map(ask, range(CALLS)))) == CALLS

        def asked(number):
            return [{"role": "user", "content": f"Number {number}"}]

        async def in_tasks():
            async with openai.AsyncOpenAI(max_retries=0) as client:
                gate = asyncio.Semaphore(AT_A_TIME)

                async def one(number):
                    async with gate:
                        return await client.chat.completions.create(model=MODEL, messages=asked(number))

                await asyncio.gather(*map(one, range(CALLS)))

        def ours(mode, **settings):
            with override(**settings):
                table = map_rows(call, ({"n": n} for n in range(CALLS)), workers=AT_A_TIME, mode=mode, progress=False)
            assert not table.failed

        def ideally():
            """What a recorded row takes at least: its prompt rendered and hashed, its line found, read and decoded."""
            template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string("Number {{ n }}")
            with Path(os.environ["TINYLLM_STORE"]).open("rb", buffering=0) as file:
                for number, (offset, length) in zip(range(CALLS), itertools.cycle(lines)):  # the other never ends
                    body = {"model": MODEL, "messages": [{"role": "user", "content": template.render(n=number)}]}
                    hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
                    file.seek(offset)
                    json.loads(file.read(length))

        ours("refresh")
        lines, at = [], 0
        for line in Path(os.environ["TINYLLM_STORE"]).read_bytes().splitlines(keepends=True):
            lines.append((at, len(line)))
            at += len(line)
        ways = {
            "http.client, bare": lambda: in_threads(bare.ask),
            "the SDK on threads": lambda: in_threads(lambda n: sdk.chat.completions.create(model=MODEL, messages=asked(n))),
            "the SDK, async": lambda: asyncio.run(in_tasks()),
            "ours through the SDK": lambda: ours("off", transport="sdk"),
            "ours, live": lambda: ours("off"),
            "ours, recording": lambda: ours("refresh"),
            "ours, recorded": lambda: ours("auto"),
            "a recorded row, ideally": ideally,
        }
        best = measure({name: way for name, way in ways.items() if names is None or name in names})
    first, first_cpu = best["http.client, bare"]
    for name, (seconds, cpu) in best.items():
        own = f"{(cpu - first_cpu) / CALLS * 1e3:.2f} ms more"
        yield (
            f"{CALLS:,} calls of {delay * 1e3:.0f} ms, {AT_A_TIME} at a time: {name}",
            f"{CALLS / seconds:,.0f} a second ({seconds / first:.2f} x), {cpu / CALLS * 1e3:.2f} ms of CPU a call ({own})",
        )


def rows():
    """Without a delay: what a call costs of this machine."""
    yield from calls(0.0)


def delayed():
    """50 ms a call: what the whole takes."""
    yield from calls(0.05, ("http.client, bare", "the SDK on threads", "ours, live", "ours, recording"))


def processes():
    """With dask, in one process and in two, of four threads each, where the server takes its time."""
    import distributed

    from tinyllm_magic import LLMCall, map_rows

    call, count, delay = LLMCall(None, "Number {{ n }}", model=MODEL), 80, 1.0
    with Served(delay):
        for workers in (1, 2):
            options = {"n_workers": workers, "threads_per_worker": 4, "processes": True, "dashboard_address": "127.0.0.1:0"}
            with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
                client.wait_for_workers(workers)
                map_rows(call, [{"n": -n} for n in range(8 * workers)], mode="off", executor=client, progress=False)
                began = time.perf_counter()
                client.gather([client.submit(time.sleep, delay, pure=False) for _ in range(count)])
                bare, began = time.perf_counter() - began, time.perf_counter()
                table = map_rows(call, ({"n": n} for n in range(count)), mode="off", executor=client, progress=False)
                seconds = time.perf_counter() - began
                assert not table.failed
            yield (
                f"{count} calls of {delay:.0f} s, processes of a dask cluster: {workers}",
                f"{count / seconds:,.1f} a second (naps as long: {count / bare:,.1f})",
            )


RECORD = """
from tinyllm_magic import LLMCall, map_rows
call = LLMCall(None, "Hello, this is question {{ n }} of some words.")
assert not map_rows(call, [{"n": n} for n in range(200)], mode="auto", progress=False).failed
"""


def recorded():
    """A recorded cell against an empty magic with one display: for the first time in a kernel, and run again."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import HTML, display
    from IPython.utils.capture import capture_output

    os.environ["TINYLLM_API_TYPE"] = "echo"
    subprocess.run([sys.executable, "-c", RECORD], check=True)  # in another process: this one has seen nothing of them
    os.utime(os.environ["TINYLLM_STORE"], (time.time() - 60,) * 2)  # what was just written is looked at more closely
    shell = InteractiveShell.instance()
    shell.history_manager.enabled = False
    shell.run_line_magic("load_ext", "tinyllm_magic")
    shell.register_magic_function(lambda _, cell: display(HTML(f"<p>{cell}</p>"), metadata={"a": 1}), "cell", "empty")
    fresh = (range(at, at + 50) for at in range(0, 200, 50))  # for each round, and one before

    def run(magic, numbers):
        with capture_output() as captured:
            for number in numbers:
                assert shell.run_cell(f"%%{magic}\nHello, this is question {number} of some words.").success
        return captured

    assert all("recorded" in str(shown.metadata) for shown in run("llm", [0]).outputs)
    ways = {
        "an empty magic": lambda: run("empty", range(50)),
        "a recorded cell, for the first time": lambda: run("llm", next(fresh)),
        "a recorded cell, run again": lambda: run("llm", range(50)),
    }
    best = measure(ways)
    del os.environ["TINYLLM_API_TYPE"]
    for name, (seconds, cpu) in best.items():
        yield name, f"{seconds / 50 * 1e3:.1f} ms, {cpu / 50 * 1e3:.1f} ms of CPU ({cpu / best['an empty magic'][1]:.2f} x)"


def cells():
    """A warm live cell against bare server-sent events, and the SDK's stream, with the same displays."""
    import openai
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import HTML, display
    from IPython.utils.capture import capture_output

    with Served() as server:
        os.environ |= {"TINYLLM_MODE": "off"}
        shell, bare, sdk = InteractiveShell.instance(), Bare(server.port), openai.OpenAI(max_retries=0)
        shell.history_manager.enabled = False
        shell.run_line_magic("load_ext", "tinyllm_magic")

        def show(texts):
            """One output, drawn as often as ours: before an answer, with its first text, and at its end."""
            shown, text = display(HTML(""), display_id=True), ""
            for piece in texts:
                if piece and not text:
                    shown.update(HTML(piece))
                text += piece
            shown.update(HTML(text))

        def of_the_sdk(text):
            messages = [{"role": "user", "content": text}]
            with sdk.chat.completions.create(model=MODEL, messages=messages, stream=True, stream_options={"include_usage": True}) as stream:
                yield from (chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

        shell.register_magic_function(lambda _, cell: show(bare.stream(cell)), "cell", "bare")
        shell.register_magic_function(lambda _, cell: show(of_the_sdk(cell)), "cell", "sdk")

        def run(magic):
            with capture_output():
                for number in range(50):
                    assert shell.run_cell(f"%%{magic}\nQuestion {number}").success

        magics = {
            "bare server-sent events": "bare",
            "the SDK's stream": "sdk",
            "%%llm": f"llm -m {MODEL}",
            "%%llm -q": f"llm -m {MODEL} -q",
        }
        best = measure({name: lambda magic=magic: run(magic) for name, magic in magics.items()})
        del os.environ["TINYLLM_MODE"]
    first = best["bare server-sent events"][1]
    for name, (seconds, cpu) in best.items():
        yield f"a warm live cell: {name}", f"{seconds / 50 * 1e3:.1f} ms, {cpu / 50 * 1e3:.1f} ms of CPU ({cpu / first:.2f} x)"


FIRST = """
import time
from IPython.core.interactiveshell import InteractiveShell
import ipywidgets
shell = InteractiveShell.instance()
shell.history_manager.enabled = False
shell.run_line_magic("load_ext", "tinyllm_magic")
began = time.perf_counter(), time.process_time()
assert shell.run_cell("%%llm -m gpt-4o-mini\\nHello").success
print(time.perf_counter() - began[0], time.process_time() - began[1])
from tinyllm_magic.models import pricing
from tinyllm_magic.responses import Usage
began = time.perf_counter(), time.process_time()
assert pricing.price("gpt-4o-mini", Usage(5, 4))
print(time.perf_counter() - began[0], time.process_time() - began[1])
"""


def first():
    """The first cell of a kernel, over both transports; and its price, which only an answer of a vendor's has, not this server's."""
    with Served():
        for transport in ("auto", "sdk"):
            environ = {**os.environ, "TINYLLM_TRANSPORT": transport, "TINYLLM_MODE": "off"}
            runs = [
                subprocess.run([sys.executable, "-c", FIRST], env=environ, capture_output=True, text=True, check=True) for _ in range(5)
            ]
            for place, what in ((-4, f"the first cell of a kernel, TRANSPORT={transport}"), (-2, "… and the price of a vendor's answer")):
                seconds, cpu = (min(float(run.stdout.split()[place + unit]) for run in runs) for unit in (0, 1))
                yield what, f"{seconds:.2f} s, {cpu:.2f} s of CPU (best of 5)"


BENCHES = {"rows": rows, "delayed": delayed, "processes": processes, "cells": cells, "recorded": recorded, "first": first}


def main(names):
    """Run the benchmarks named (all without a name) and print one table."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ |= {"TINYLLM_STORE": "bench.llm.jsonl"}
        for name in names or BENCHES:
            for what, figure in BENCHES[name]():
                print(f"| {what:<64} | {figure:<84} |", flush=True)
        os.chdir(here)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(float(sys.argv[2])))
    else:
        main(sys.argv[1:])
