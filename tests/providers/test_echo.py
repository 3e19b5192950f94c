"""The echo: it repeats, plays the calls that its prompt spells, and follows a script."""

from pathlib import Path

import pytest

from tinyllm_magic import LLMCall, override
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.providers.echo import EchoProvider
from tinyllm_magic.responses import Chunk, ChunkAccumulator


@pytest.fixture(autouse=True)
def echoing():
    with override(api_type="echo"):
        yield


def weather(city: str, days: int = 1) -> str:
    """Look up the weather."""
    if city == "Atlantis":
        raise LookupError("it is under water")
    return f"{days} sunny days in {city}"


def traffic(road: list[int]) -> dict:
    """Look up the traffic."""
    return {"road": road}


def ask(prompt, *tools, **params):
    call = LLMCall(None, "{{ prompt }}", tools=list(tools), **params)
    call.call(prompt=prompt)
    return call.response


def steps(response):
    return [[result.call.describe() for result in step.results] for step in response.steps]


def test_calls_that_the_prompt_spells_are_made_and_their_results_said():
    response = ask("Try weather(city='Ulm', days=2) and traffic([8, 10]).", weather, traffic)

    assert steps(response) == [["weather(city='Ulm', days=2)", "traffic(road=[8, 10])"]]
    assert response.text == "weather(city='Ulm', days=2) = 2 sunny days in Ulm\ntraffic(road=[8, 10]) = {\"road\": [8, 10]}"


def test_the_calls_of_each_line_are_a_step():
    assert steps(ask('weather("Ulm")\nthen\nweather("Bonn") weather("Kiel")', weather)) == [
        ["weather(city='Ulm')"],
        ["weather(city='Bonn')", "weather(city='Kiel')"],
    ]


def test_a_failed_call_and_the_limit_of_steps_are_as_with_any_model():
    response = ask("weather('Atlantis')", weather)

    assert response.text.endswith("= Error: LookupError: it is under water")
    assert response.steps[0].results[0].error == "LookupError: it is under water"


@pytest.mark.parametrize(
    "prompt",
    ["weather", "weather(city)", "weather(city='Ulm'", "my.weather('Ulm')", "overweather('Ulm')", "climate('Ulm')", "weather(**{'a': 1})"],
)
def test_what_is_no_call_of_a_tool_is_repeated(prompt):
    response = ask(prompt, weather)

    assert (response.text, response.steps) == (prompt, ())


def test_without_tools_nothing_is_called():
    call = LLMCall(None, "weather('Ulm') it is")

    assert call.call() == "weather('Ulm') it is"


def test_a_script_goes_first():
    provider = EchoProvider(["one", [Chunk(text="two", finish_reason="stop")], OSError("three")])

    def send():
        folded = ChunkAccumulator()
        for chunk in provider.send(Request("echo", "echo", (Message("user", "four"),))):
            folded.add(chunk)
        return folded.answer().text

    assert [send(), send()] == ["one", "two"]
    with pytest.raises(OSError, match="three"):
        send()
    assert send() == "four"


def test_a_played_run_is_recorded_and_replayed_as_any():
    def note(word: str) -> str:
        """Write a word down."""
        with Path("notes.txt").open("a") as file:
            file.write(word)
        return "noted"

    with override(mode="auto"):
        live, again = (ask("note('a')\nnote('b')", note) for _ in range(2))

    assert (live.source, again.source) == ("live", "recorded")
    assert (again.text, steps(again)) == (live.text, steps(live))
    assert Path("notes.txt").read_text() == "ab"
