"""Where the calls of a map are made."""

import contextvars
import threading

import pytest

from tinyllm_magic import LLMCall, map_rows
from tinyllm_magic.errors import (
    OptionError,
)

CALL = LLMCall(None, "Say {{ w }}")
ROWS = [{"w": w} for w in ("tea", "milk", "tea", "water")]


def test_at_most_so_many_workers_ask_at_a_time(scripted):
    now, most = [0], [0]

    def reply(text):
        with scripted.guard:
            now[0] += 1
            most.append(now[0])
        threading.Event().wait(0.01)
        with scripted.guard:
            now[0] -= 1
        return text

    scripted.reply = reply
    map_rows(CALL, [{"w": n} for n in range(40)], workers=3)

    assert 1 < max(most) <= 3


def test_a_worker_knows_the_context_variables_of_who_asked(scripted):
    span = contextvars.ContextVar("span")
    scripted.reply = lambda text: f"{text} in {span.get()}"
    span.set("the cell's span")

    assert map_rows(CALL, ROWS[:2], workers=2)["answer"] == ["Say tea in the cell's span", "Say milk in the cell's span"]


def test_something_without_submit_is_no_executor(scripted):
    with pytest.raises(OptionError, match="no executor"):
        map_rows(CALL, ROWS, executor=object())
