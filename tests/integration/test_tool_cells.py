"""`--tools`, `--max-steps` and `--approve` in cells: cards, dry runs, samples, stops, the store's commands, completions."""

import builtins

import pytest

from tinyllm_magic import errors, override, session

ASKS = {"tool_calls": [("weather", {"city": "Ulm"})]}
WEATHER = '''
ran = []
def weather(city: str, days: int = 1) -> str:
    """Look up the weather.

    Args:
        city: A town.
    """
    ran.append(city)
    if city == "Atlantis":
        raise LookupError("it is under water")
    return f"sunny in {city}"
'''


@pytest.fixture(autouse=True)
def recording():
    with override(mode="auto", waiting_time=0.01, model="gpt-4o-mini"):
        yield


@pytest.fixture
def run(run):
    run(WEATHER)
    return run


def test_a_cell_runs_functions_and_its_card_folds_the_steps(run, start, shell):
    fake = start(ASKS, "Fine.")

    card = run("%%llm -o r --tools weather\nHow is it?")

    assert card.error is None
    assert shell.user_ns["r"].steps[0].results[0].text == "sunny in Ulm"
    assert fake.bodies[0]["tools"][0]["function"]["parameters"]["properties"]["city"] == {"type": "string", "description": "A town."}
    assert "<summary>step 1: weather(city=&#x27;Ulm&#x27;) · " in card.html
    assert "sunny in Ulm</pre>" in card.html
    assert "-> weather(city='Ulm') = sunny in Ulm (" in card.text


def test_a_recorded_cell_runs_nothing_and_shows_the_same(run, start, shell):
    fake = start(ASKS, "Fine.")
    first = run("%%llm --tools weather\nHow is it?")

    again = run("%%llm --tools weather\nHow is it?")

    assert (fake.n, shell.user_ns["ran"]) == (2, ["Ulm"])
    assert again.text == first.text.replace("live", "recorded")
    assert len(again.outputs) == 1


def test_a_tools_exception_stands_on_the_card(run, start):
    start({"tool_calls": [("weather", {"city": "Atlantis"})]}, "Wet.")

    card = run("%%llm --tools weather\nHow is it?")

    assert card.error is None
    assert "note: weather(city='Atlantis'): LookupError: it is under water" in card.text
    assert "failed · " in card.html


def test_what_a_model_and_a_tool_say_is_escaped(run, start):
    start({"tool_calls": [("weather", {"city": "<img src=x onerror=alert(1)>"})]}, "Fine.")

    assert "<img" not in run("%%llm --tools weather\nHow is it?").html


def test_a_run_without_end_fails_the_cell_and_keeps_its_steps(run, start, shell):
    start(ASKS, ASKS, ASKS)

    card = run("%%llm -o r --tools weather --max-steps 2\nHow is it?")

    assert isinstance(card.error, errors.ToolError)
    assert "step 1: weather" in card.html
    assert len(shell.user_ns["r"].steps) == 1


def test_an_interrupted_tool_stops_the_cell_with_the_steps_before_it(run, start, shell):
    run("def stop():\n    raise KeyboardInterrupt")
    start(ASKS, {"tool_calls": [("stop", {})]})

    card = run("%%llm -o r --tools weather,stop\nHow is it?")

    assert isinstance(card.error, errors.Stopped)
    assert "step 1: weather" in card.html
    assert len(shell.user_ns["r"].steps) == 1


def test_approve_asks_and_a_refusal_is_told(run, start, shell, monkeypatch):
    fake = start(ASKS, "I see.")
    monkeypatch.setattr(builtins, "input", lambda question: "not today")

    card = run("%%llm --tools weather --approve\nHow is it?")

    assert card.error is None
    assert fake.last["messages"][-1]["content"].endswith("not today")
    assert shell.user_ns["ran"] == []
    assert "refused" in card.html


def test_approval_in_a_shell_without_input_fails_the_cell(run, start, shell):
    start(ASKS, "never")

    card = run("%%llm --tools weather --approve\nHow is it?")

    assert isinstance(card.error, errors.ToolError)
    assert shell.user_ns["ran"] == []


def test_a_dry_run_shows_the_tools_and_runs_nothing(run, start, shell):
    fake = start("never")

    card = run("%%llm --tools weather --dry-run\nHow is it?")

    assert "[tool weather] Look up the weather." in card.text
    assert "<summary>tool weather" in card.html
    assert (fake.n, shell.user_ns["ran"]) == (0, [])


def test_samples_and_maps_of_a_cell_run_tools(run, start, shell):
    start(ASKS, "one", ASKS, "two", ASKS, "three")

    samples = run("%%llm -o both --tools weather -n 2\nHow is it?")
    rows = run("%%llm -o table --tools weather --map [{'a':1}]\nHow is it, {{ a }}?")

    assert (samples.error, rows.error) == (None, None)
    assert [r.text for r in shell.user_ns["both"]] == ["one", "two"]
    assert [r.text for r in shell.user_ns["table"]] == ["three"]
    assert len(shell.user_ns["ran"]) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--tools wether", "wether"),
        ("--tools ran", "ran"),
        ("--approve", "approve"),
        ("--max-steps 3", "max_steps"),
        ("--tools a,,b", "names"),
    ],
    ids=["misspelt", "no function", "approve alone", "steps alone", "no name"],
)
def test_options_that_cannot_be_followed_are_refused(run, start, options, words):
    fake = start("never")

    card = run(f"%%llm {options}\nHow is it?")

    assert isinstance(card.error, errors.OptionError)
    assert words in str(card.error)
    assert fake.n == 0


def test_a_function_in_a_module_is_named_by_its_path(run, start, shell):
    run("import textwrap")
    fake = start("Fine.")

    assert run("%%llm --tools textwrap.dedent\nHow is it?").error is None
    assert fake.last["tools"][0]["function"]["name"] == "dedent"


def test_the_stores_commands_know_results_of_tools(run, start):
    start(ASKS, "Fine.")
    run("%%llm --tools weather\nHow is it?")
    (key,) = [r.key for r in session.store(session.settings()).records() if r.request["kind"] == "tool"]

    listed, shown, stats = (run(f"%llm_cache {words}") for words in ("list", f"show {key}", "stats"))

    assert 'weather({"city": "Ulm"})' in listed.text
    assert shown.error is None
    assert "sunny in Ulm" in shown.text
    assert "weather" not in stats.text


def test_history_and_usage_count_every_request(run, start):
    start(ASKS, "Fine.")
    run("%%llm --tools weather\nHow is it?")

    assert len(session.history) == 2
    assert session.budget.totals["gpt-4o-mini"].live == 2


def test_the_text_before_a_call_stays_with_its_step(run, start, shell):
    start({**ASKS, "text": "Let me look."}, "Fine.")

    card = run("%%llm -o r --tools weather\nHow is it?")

    assert shell.user_ns["r"].text == "Fine."
    assert shell.user_ns["r"].steps[0].response.text == "Let me look."
    assert "Let me look.</pre>" in card.html


def test_a_miss_does_not_compare_a_question_with_a_tools_call(run, start):
    start(ASKS, "Fine.")
    run("%%llm --tools weather\nHow is it?")

    miss = run("%%llm --mode replay\nHow is it now?").error

    assert miss.nearest["kind"] == "chat"
