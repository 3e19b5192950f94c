"""The path of a cell through the folders: what is called once, and how often a lower folder calls back into a higher one."""

import sys
from pathlib import Path

import pytest

import tinyllm_magic

pytestmark = pytest.mark.usefixtures("transport")

PACKAGE = Path(tinyllm_magic.__file__).parent
HEIGHTS = {"notebook": 4, "batch": 3, "clients": 2, "providers": 1, "models": 0, "prompts": 0, "recording": 0, "display": 0, "settings": 0}


def place_of(frame):
    """The folder's height and the name of a function of ours; ``None`` for everybody else's and the ground files'."""
    path = Path(frame.f_code.co_filename)
    if PACKAGE not in path.parents or path.parent.name not in HEIGHTS:
        return None
    return HEIGHTS[path.parent.name], f"{path.parent.name}/{path.stem}:{frame.f_code.co_qualname}"


@pytest.fixture
def trace(shell, serve, monkeypatch):
    """Runs a cell; returns its source, the calls back up as (caller, callee), and all names that were called."""
    server = serve(*["Hello there."] * 4)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")

    def run(text):
        begun, upward, names = set(), [], []

        def profile(frame, event, _argument):
            callee = place_of(frame) if event == "call" and frame not in begun else None  # a generator is resumed many times
            if callee is None:
                return
            begun.add(frame)
            names.append(callee[1])
            caller = frame.f_back
            while caller is not None and place_of(caller) is None:
                caller = caller.f_back
            if caller is not None and place_of(caller)[0] < callee[0]:
                upward.append((place_of(caller)[1], callee[1]))

        sys.setprofile(profile)
        try:
            shell.run_cell_magic("llm", "-o answer -q", text)
        finally:
            sys.setprofile(None)
        return shell.user_ns["answer"].source, upward, names

    run("warm up")
    return run


def test_a_live_cell_calls_back_up_at_most_four_times(trace):
    source, upward, _ = trace("Say hello")
    assert source == "live"
    assert len(upward) <= 4, upward


def test_a_recorded_cell_calls_nothing_back_up(trace):
    trace("Say hello")
    assert trace("Say hello")[:2] == ("recorded", [])


def test_a_live_cell_resolves_its_route_and_looks_for_its_record_once(trace):
    _, _, names = trace("Say hello")
    assert names.count("clients/sessions:Session.route") == 1
    assert names.count("clients/sessions:Session.prepare") == 1
    assert names.count("recording/recorder:resolve") == 2  # the second time where it has the right to call, in its own store alone
