"""A call of a tool as a request, and its result as an answer: plain, async and generator functions, errors, refusals."""

import asyncio

import pytest

from tinyllm_magic.responses import ChunkAccumulator, ToolCall
from tinyllm_magic.tools.functions import Tool
from tinyllm_magic.tools.provider import ToolProvider, make_request


def run(function, arguments="{}", refusal="", name=None):
    tool = Tool.of(function)
    call = ToolCall("c", name or tool.name, arguments)
    fold = ChunkAccumulator()
    for chunk in ToolProvider({tool.name: tool}, call, refusal).send(make_request("k1:0", 0, call)):
        fold.add(chunk)
    return fold.answer()


def add(a: int, b: int = 1) -> int:
    return a + b


async def add_later(a: int) -> int:
    await asyncio.sleep(0)
    return a + 1


def count(n: int):
    yield from range(n)


async def count_later(n: int):
    for i in range(n):
        yield i


def returns_awaitable(n: int):
    return asyncio.wait_for(add_later(n), 5)


@pytest.mark.parametrize(
    ("function", "arguments", "text"),
    [
        (add, '{"a": 2}', "3"),
        (add_later, '{"a": 2}', "3"),
        (count, '{"n": 3}', "2"),
        (count, '{"n": 0}', "null"),
        (count_later, '{"n": 3}', "2"),
        (returns_awaitable, '{"n": 3}', "4"),
    ],
    ids=["function", "coroutine", "generator", "empty generator", "async generator", "awaitable"],
)
def test_every_kind_of_function_gives_its_value(function, arguments, text):
    answer = run(function, arguments)
    assert (answer.text, answer.raw) == (text, None)


def test_coroutines_of_several_calls_share_one_loop_and_leave_the_users_alone():
    loops = []

    async def note() -> int:
        loops.append(asyncio.get_running_loop())
        return 1

    async def main():
        run(note)
        run(note)
        return asyncio.get_running_loop()

    users = asyncio.run(main())
    assert loops[0] is loops[1]
    assert users is not loops[0]


def test_an_exception_is_the_text_and_the_error():
    def fail():
        raise ValueError("no such city")

    async def fail_later():
        raise TimeoutError("too slow")

    assert run(fail).text == "Error: ValueError: no such city"
    assert run(fail).raw == {"error": "ValueError: no such city"}
    assert run(fail_later).raw == {"error": "TimeoutError: too slow"}


def test_arguments_that_do_not_fit_run_nothing():
    ran = []

    def note(n: int):
        ran.append(n)

    answer = run(note, '{"n": "many"}')
    assert answer.raw["error"].startswith("the arguments do not fit: n: ")
    assert ran == []


def test_a_tool_that_nobody_gave_is_named_with_those_that_are_there():
    assert run(add, name="subtract").text == "Error: there is no tool subtract; the tools are add"


def test_a_refusal_runs_nothing():
    ran = []

    def note():
        ran.append(1)

    answer = run(note, refusal="no")
    assert (answer.refusal, answer.text, ran) == ("no", None, [])


def test_an_interrupt_is_no_result():
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(stop)


def test_the_key_of_a_call_depends_on_request_place_tool_and_arguments_but_not_on_how_they_are_written():
    def key(request="k1:0", index=0, name="add", arguments='{"a": 1, "b": 2}'):
        return make_request(request, index, ToolCall("any", name, arguments)).key

    assert key() == key(arguments='{"b":2,"a":1.0}')
    assert len({key(), key(request="k1:1"), key(index=1), key(name="sum"), key(arguments='{"a": 1}'), key(arguments="a, b")}) == 6
    assert key(arguments="") == key(arguments="{}")
    assert key(arguments='{"a": NaN}')
