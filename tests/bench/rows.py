"""Many rows, measured: `python tests/bench/rows.py [speed recorded memory resume faults stop …]`.

The server runs in a process of its own, so that on two cores it does not slow the client it serves.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from fakeserver import FakeServer, Turn

CALLS, AT_A_TIME, DELAY = 2_000, 64, 0.05


class Faulty(FakeServer):
    """Answers every request after a delay, some of them badly; counts requests and successes by prompt."""

    def __init__(self, delay, limited, broken):
        super().__init__()
        self.delay, self.limited, self.broken = delay, limited, broken
        self.asked, self.answered, self.dice = Counter(), Counter(), random.Random(7)

    def take(self, path, headers, body):
        prompt = body["messages"][-1]["content"]
        with self._lock:
            self.n += 1
            self.asked[prompt] += 1
            roll = self.dice.random()
            status = 429 if roll < self.limited else 500 if roll < self.limited + self.broken else 200
            self.answered[prompt] += status == 200
        return Turn(text=f"answer to {prompt}", status=status, delay=self.delay)


def serve(delay, limited, broken):
    """The server's process: prints its address, then facts for every line that comes in."""
    with Faulty(float(delay), float(limited), float(broken)) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            again = sum(1 for p, n in server.answered.items() if n > 1)
            facts = {"requests": server.n, "answered": len(server.answered), "answered_twice": again, "most_active": server.most_active}
            print(json.dumps(facts), flush=True)


class Served:
    """The server in its process, as a context."""

    def __init__(self, delay=DELAY, limited=0.0, broken=0.0):
        self.command = [sys.executable, __file__, "--serve", str(delay), str(limited), str(broken)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        os.environ |= {
            "OPENAI_BASE_URL": self.url,
            "OPENAI_API_KEY": "test",
            "TINYLLM_MODE": "auto",
            "TINYLLM_STORE": f"{time.time_ns()}.llm.jsonl",
        }
        return self

    def facts(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def call():
    from tinyllm_magic import LLMCall

    return LLMCall(None, "Number {{ n }}", model="gpt-4o-mini")


def speed():
    """2,000 calls of 50 ms, 64 at a time, in turn with bare thread pools on the SDK."""
    from openai import OpenAI

    from tinyllm_magic import map_rows

    with Served() as server:
        sdk = OpenAI(base_url=server.url, api_key="test", max_retries=0)

        def ask(n, stream):
            messages = [{"role": "user", "content": f"Number {n}"}]
            if not stream:
                return sdk.chat.completions.create(model="gpt-4o-mini", messages=messages).choices[0].message.content
            chunks = sdk.chat.completions.create(
                model="gpt-4o-mini", messages=messages, stream=True, stream_options={"include_usage": True}
            )
            return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)

        def bare(stream, count=CALLS):
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                return list(pool.map(lambda n: ask(n, stream), range(count)))

        def ours(mode, count=CALLS):
            table = map_rows(call(), ({"n": n} for n in range(count)), workers=AT_A_TIME, mode=mode)
            assert not table.failed, table

        ways = {
            "bare thread pool, SDK": lambda: bare(False),
            "bare thread pool, SDK's stream": lambda: bare(True),
            "map_rows, mode off": lambda: ours("off"),
            "map_rows, recording": lambda: ours("refresh"),
        }
        bare(False, 200), bare(True, 200), ours("off", 200)
        seconds = {name: [] for name in ways}
        for _ in range(3):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        base = min(seconds["bare thread pool, SDK"])
        for name, taken in seconds.items():
            yield (
                f"{CALLS:,} calls of {DELAY * 1e3:.0f} ms, {AT_A_TIME} at a time: {name}",
                f"{min(taken):.2f} s (best of 3), {min(taken) / base:.2f} x",
            )


def recorded():
    """Rows a second that come from the store."""
    from tinyllm_magic import map_rows

    os.environ |= {"TINYLLM_API_TYPE": "echo", "TINYLLM_MODE": "auto", "TINYLLM_STORE": f"{time.time_ns()}.llm.jsonl"}
    from tinyllm_magic import LLMCall

    echo, count = LLMCall(None, "Number {{ n }}"), 10_000
    for what in ("answered by the echo and recorded", "recorded"):
        began = time.perf_counter()
        table = map_rows(echo, ({"n": n} for n in range(count)))
        taken = time.perf_counter() - began
        assert len(table) == count
        yield f"{count:,} rows, {what}", f"{count / taken:,.0f} rows a second"
    del os.environ["TINYLLM_API_TYPE"]


def memory():
    """What 100,000 rows take, in a process of their own."""
    for count in (1_000, 10_000, 100_000):
        done = subprocess.run([sys.executable, __file__, "--memory", str(count)], capture_output=True, text=True, check=True)
        yield f"memory for {count:,} rows of a generator", done.stdout.strip()


def measure(count):
    """One process: resident memory before, at the most, and what the table itself takes."""
    os.environ |= {"TINYLLM_API_TYPE": "echo", "TINYLLM_MODE": "auto", "TINYLLM_STORE": f"{time.time_ns()}.llm.jsonl"}
    from tinyllm_magic import LLMCall, map_rows

    echo = LLMCall("You are a careful assistant who labels texts. " * 10, "Number {{ n }}: " + "some words of a text to be labelled " * 10)
    map_rows(echo, [{"n": -1}])
    before = peak()
    began = time.perf_counter()
    table = map_rows(echo, ({"n": n} for n in range(count)))
    taken = time.perf_counter() - began
    after = peak()
    grown = after - before
    print(f"{grown / 1024:,.0f} MB more at the most ({grown * 1024 / count:,.0f} bytes a row), {len(table) / taken:,.0f} rows a second")


def resume():
    """Recorded rows of a store of as many records, in a process of their own; a million takes some minutes."""
    for count in (10_000, 100_000, 1_000_000):
        for step in ("--fill", "--resume"):
            done = subprocess.run([sys.executable, __file__, step, str(count)], capture_output=True, text=True, check=True)
        yield f"resuming {count:,} recorded rows of a generator", done.stdout.strip()


def fill(count):
    """Write the store that is resumed."""
    from tinyllm_magic.messages import Message
    from tinyllm_magic.recording.codec import encode, header_line
    from tinyllm_magic.responses import Answer, Record, Usage

    first = call().prepare(n=-1).request
    with Path(f"{count}.llm.jsonl").open("wb") as file:
        file.write(header_line({}))
        for n in range(count):
            asked = replace(first, messages=(Message("user", f"Number {n}"),))
            answer = Answer(text=f"answer to Number {n}", finish_reason="stop", usage=Usage(5, 5), model=first.model)
            file.write(encode(Record(asked.key, asked.form, answer, "2026-01-01T00:00:00.000Z", 0.5, 0.001, "0.1.0")))


def resume_all(count):
    """One process, strictly replayed: the memory that it holds at the most, before the rows and with them, and its speed."""
    os.environ |= {"TINYLLM_MODE": "replay", "TINYLLM_STORE": f"{count}.llm.jsonl"}
    from tinyllm_magic import map_rows

    map_rows(call(), [{"n": 0}], progress=False)
    before, began = peak(), (time.perf_counter(), time.process_time())
    table = map_rows(call(), ({"n": n} for n in range(count)), progress=False)
    seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    assert len(table) == count
    assert not table.failed
    memory = f"at most {peak() / 1024:,.0f} MB, {before / 1024:,.0f} before the rows"
    print(f"{memory}, {count / seconds:,.0f} rows a second ({cpu / count * 1e6:.0f} µs of CPU)")


def peak():
    """Most kilobytes that this program has held; what getrusage says is also its parent's, from before it was started."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def faults():
    """10 % of the requests get a 429, 5 % a 500."""
    from tinyllm_magic import map_rows, override

    with Served(delay=0.01, limited=0.10, broken=0.05) as server, override(waiting_time=0.05):
        began = time.perf_counter()
        table = map_rows(call(), [{"n": n} for n in range(CALLS)], workers=16)
        facts = server.facts()
        right = sum(t == f"answer to Number {n}" for n, t in enumerate(table["answer"]))
        yield "10 % 429s and 5 % 500s: rows answered, of them right", f"{CALLS - len(table.failed):,} of {CALLS:,}, {right:,} right"
        yield "10 % 429s and 5 % 500s: requests, rows asked again after success", f"{facts['requests']:,}, {facts['answered_twice']}"
        yield "10 % 429s and 5 % 500s: time", f"{time.perf_counter() - began:.1f} s"


def _interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def stop():
    """An interrupt in the middle, then the same again."""
    from tinyllm_magic import errors, map_rows

    with Served(delay=0.02) as server:
        rows, once = [{"n": n} for n in range(CALLS)], iter([True])
        try:
            map_rows(call(), rows, workers=16, progress=lambda t: t.progress.done > CALLS // 4 and next(once, False) and _interrupt())
        except errors.Stopped as stopped:
            kept = len(stopped.table) - len(stopped.table.failed)
        between = server.facts()
        table = map_rows(call(), rows, workers=16)
        facts = server.facts()
        sources = Counter(table["source"])
        yield "interrupt in the middle: rows kept, requests sent so far", f"{kept:,}, {between['requests']:,}"
        yield "the same again: recorded, live, failed", f"{sources['recorded']:,}, {sources['live']:,}, {len(table.failed)}"
        yield "the same again: rows answered twice", f"{facts['answered_twice']}"


BENCHES = {"speed": speed, "recorded": recorded, "memory": memory, "resume": resume, "faults": faults, "stop": stop}
STEPS = {"--memory": measure, "--fill": fill, "--resume": resume_all}


def main(names):
    """Run the benchmarks named (all without a name) and print one table."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in names or BENCHES:
            for what, figure in BENCHES[name]():
                print(f"| {what:<86} | {figure:<60} |", flush=True)
        os.chdir("/")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(*sys.argv[2:])
    elif sys.argv[1:2] and sys.argv[1] in STEPS:
        STEPS[sys.argv[1]](int(sys.argv[2]))
    else:
        main(sys.argv[1:])
