"""Tools in maps and comparisons: they run in the thread that asked, their results are recorded, failures stay with their rows."""

import builtins
import json
import threading

import pytest

from tinyllm_magic import LLMCall, compare, errors, map_rows, override, session


@pytest.fixture(autouse=True)
def recording():
    with override(mode="auto", waiting_time=0.01, model="gpt-4o-mini"):
        yield


def answer(body):
    """A model that asks for the weather of the city in the prompt, and says what it was told."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return last["content"]
    return {"tool_calls": [("weather", {"city": last["content"].split()[-1]})]}


@pytest.fixture
def ran():
    return []


@pytest.fixture
def weather(ran):
    def weather(city: str) -> str:
        """Look up the weather."""
        ran.append((city, threading.current_thread() is threading.main_thread()))
        return f"sunny in {city}"

    return weather


ROWS = [{"city": city} for city in ("Ulm", "Bonn", "Kiel", "Ulm")]


def call(*tools, **params):
    return LLMCall(None, "How is it in {{ city }}", tools=list(tools), **params)


def test_each_row_has_its_own_run_in_the_thread_that_asked(start, weather, ran):
    fake = start(*[answer] * 6)

    table = map_rows(call(weather), ROWS, workers=3)

    assert [r.text for r in table] == [f"sunny in {row['city']}" for row in ROWS]
    assert sorted(ran) == [("Bonn", True), ("Kiel", True), ("Ulm", True)]
    assert fake.n == 6


def test_a_map_again_runs_nothing(start, weather, ran):
    fake = start(*[answer] * 6)
    map_rows(call(weather), ROWS)

    for mode in ("auto", "replay"):
        table = map_rows(call(weather), ROWS, mode=mode)
        assert [r.source for r in table] == ["recorded"] * 4
        assert [s.results[0].text for r in table for s in r.steps] == [f"sunny in {row['city']}" for row in ROWS]
    assert (fake.n, len(ran)) == (6, 3)


def test_a_row_that_never_ends_fails_alone(start, weather):
    def restless(body):
        return {"tool_calls": [("weather", {"city": f"town {len(body['messages'])}"})]} if "Kiel" in json.dumps(body) else answer(body)

    start(*[restless] * 12)
    table = map_rows(call(weather, max_steps=3), ROWS)

    assert [isinstance(e, errors.ToolError) for e in table.errors] == [False, False, True, False]


def test_rows_are_approved_one_by_one(start, weather, ran, monkeypatch):
    start(*[answer] * 6)
    asked = []
    monkeypatch.setattr(builtins, "input", lambda question: asked.append(question) or ("y" if "Bonn" in question else "n"))

    table = map_rows(call(weather, approve=True), ROWS)

    assert [city for city, _ in ran] == ["Bonn"]
    assert len(asked) == 3
    assert [r.text.startswith("Refused") for r in table] == [True, False, True, True]


def test_an_interrupted_tool_stops_the_map_and_keeps_finished_rows(start):
    def weather(city: str) -> str:
        if city == "Kiel":
            raise KeyboardInterrupt
        return f"sunny in {city}"

    start(*[answer] * 6)
    with pytest.raises(errors.Stopped) as caught:
        map_rows(call(weather), ROWS, workers=1)

    kept = {row["city"]: e for row, e in zip(ROWS, caught.value.table.errors, strict=True)}
    assert isinstance(kept["Kiel"], errors.NotAsked)


def test_an_executor_of_the_users_runs_tools_here(start, weather, ran):
    from concurrent.futures import ThreadPoolExecutor

    start(*[answer] * 6)
    with ThreadPoolExecutor(2) as executor:
        table = map_rows(call(weather), ROWS, executor=executor)

    assert [r.text for r in table] == [f"sunny in {row['city']}" for row in ROWS]
    assert all(main for _, main in ran)


def test_tools_and_tries_go_together(start, weather):
    def picky(body):
        last = body["messages"][-1]
        if last["role"] == "user" and "does not fit" in str(last["content"]):
            return {"tool_calls": [("weather", {"city": "Ulm"})]}
        return '{"value": 3}' if last["role"] == "tool" else "no number"

    fake = start(*[picky] * 3)
    (response,) = map_rows(call(weather, schema=int, tries=2), [{"city": "Ulm"}])

    assert response.parsed == 3
    assert [bool(s.fault) for s in response.steps] == [True, False]
    assert [m["role"] for m in fake.last["messages"]] == ["user", "assistant", "user", "assistant", "tool"]


def test_a_comparison_runs_tools_for_each_model(start, weather, ran):
    start(*[answer] * 4)

    table = compare(call(weather), models=["gpt-4o-mini", "gpt-4o"], variables={"city": "Ulm"})

    assert [r.text for r in table] == ["sunny in Ulm"] * 2
    assert len(ran) == 2
    assert len(session.history) == 4
