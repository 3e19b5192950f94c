"""The panel over a session, without a browser: what it shows, sets, pins and measures."""

import threading

import pytest
from IPython.utils.capture import capture_output

pytest.importorskip("anywidget")

from tinyllm_magic.clients.sessions import session
from tinyllm_magic.display.panel_widget import CHOICES, ParamPanel
from tinyllm_magic.errors import ConfigError
from tinyllm_magic.notebook import options, token_meter
from tinyllm_magic.notebook import panel as notebook_panel
from tinyllm_magic.settings.origins import Origin


@pytest.fixture
def panel(shell):
    shell.run_line_magic("llm_panel", "")
    return session.panel


def test_the_panel_is_made_once_and_every_view_is_the_same_widget(shell, panel):
    shell.run_line_magic("llm_panel", "")
    assert session.panel is panel


def test_a_choice_holds_for_the_session_and_shows_where_it_came_from(panel):
    panel.temperature = 0.2
    assert session.settings().temperature == 0.2
    assert session.settings().source("temperature").origin is Origin.SESSION
    assert panel.origins["temperature"] == "session"
    assert "temperature 0.2" in panel.status


def test_unset_is_not_sent(panel, monkeypatch):
    monkeypatch.setenv("TINYLLM_TEMPERATURE", "0.7")
    panel.refresh()
    assert (panel.temperature, panel.origins["temperature"]) == (0.7, "environment TINYLLM_TEMPERATURE")
    panel.temperature = None
    assert session.settings().temperature is None
    assert "--temperature" not in panel.flags


def test_reset_gives_back_what_files_and_environment_say(panel, monkeypatch):
    monkeypatch.setenv("TINYLLM_TEMPERATURE", "0.7")
    panel.temperature, panel.seed = 0.2, 5
    panel.set_state({"resets": 1, **{n: panel.specs[n]["base"] for n in panel.specs}, "model": "", "mode": ""})
    assert session.chosen == {}
    assert (panel.temperature, panel.seed) == (0.7, None)


def test_a_choice_that_comes_with_a_reset_was_made_after_it(panel):
    panel.temperature = 0.2
    panel.set_state({"resets": 1, "temperature": None, "top_p": 0.5, "model": "", "mode": ""})
    assert session.chosen == {"top_p": 0.5}


def test_config_after_the_panel_wins_and_shows_in_it(shell, panel):
    panel.temperature = 0.2
    shell.run_cell("%llm_config temperature=0.9")
    assert panel.temperature == 0.9
    panel.temperature = 0.4
    assert session.settings().temperature == 0.4


def test_a_cells_own_option_wins_over_the_panel(shell, panel):
    session.choose(api_type="echo")
    panel.temperature = 0.2
    shell.run_cell_magic("llm", "--temperature 0.9 -o r", "hi")
    shell.run_cell_magic("llm", "-o s", "hi")
    assert (shell.user_ns["r"].request.params["temperature"], shell.user_ns["s"].request.params["temperature"]) == (0.9, 0.2)


def test_an_override_holds_over_the_panel_and_the_panel_says_so(panel):
    with session.override(temperature=0.1):
        panel.temperature = 0.6
        assert panel.temperature == 0.1
        assert panel.origins["temperature"] == "override"
        assert "override" in panel.status
    panel.refresh()
    assert panel.temperature == 0.6


@pytest.mark.parametrize(
    "wrong", [{"temperature": 7}, {"temperature": "hot"}, {"max_tokens": 0}, {"mode": "sometimes"}, {"top_p": float("nan")}]
)
def test_what_a_page_sends_out_of_range_is_refused_and_changes_nothing(panel, wrong):
    before = dict(session.chosen)
    panel.set_state(wrong)
    assert session.chosen == before
    assert panel.status.startswith("refused")
    assert all(getattr(panel, name) in (None, "") for name in CHOICES)


def test_python_code_that_sets_a_wrong_value_gets_an_error(panel):
    with pytest.raises(ConfigError):
        panel.mode = "sometimes"
    assert panel.mode == ""


def test_a_parameter_that_the_model_refuses_is_off_and_says_why(panel):
    panel.temperature = 0.3
    panel.model = "o3-mini"
    assert panel.specs["temperature"]["refused"] == "o3-mini takes no temperature"
    assert panel.specs["seed"]["refused"] == ""
    assert panel.flags == "-m o3-mini"


def test_limits_come_from_the_models_facts(panel):
    panel.model = "gpt-4o"
    assert panel.specs["max_tokens"]["to"] == 16384
    panel.model = ""
    assert panel.specs["max_tokens"]["to"] == 2048
    assert panel.specs["max_tokens"]["unset"] == "512 unless set"


def test_named_models_are_offered_with_provider_and_key_and_their_own_values(panel, tmp_path, monkeypatch):
    (tmp_path / "place" / "config.ini").write_text("[models.fast]\nprovider = openai\nmodel = gpt-4o-mini\ntemperature = 0.1\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    panel.model = "fast"
    label = next(m["label"] for m in panel.models if m["name"] == "fast")
    assert label == "fast · gpt-4o-mini · openai · key OPENAI_API_KEY is set"
    assert (panel.temperature, panel.origins["temperature"]) == (0.1, "[models.fast]")
    assert "sk-secret-value" not in str(panel.get_state())


@pytest.mark.parametrize(
    "chosen",
    [
        {"model": "gpt-4o", "temperature": 0.2},
        {"model": 'a "model" of mine', "top_p": 0.25, "max_tokens": 300, "seed": -4},
        {"model": "x", "frequency_penalty": -1.5, "presence_penalty": 2.0, "mode": "refresh"},
    ],
)
def test_the_flags_pin_the_values_in_a_cell(panel, chosen):
    for name, value in chosen.items():
        setattr(panel, name, value)
    read = options.parse(panel.flags, cell=True)
    assert {"model": read.model, **read.params, **({"mode": read.mode} if read.mode else {})} == chosen


def test_replay_from_outside_cannot_be_changed_here(panel, monkeypatch):
    monkeypatch.setenv("TINYLLM_MODE", "replay")
    panel.refresh()
    assert (panel.mode, panel.origins["mode"]) == ("", "fixed from outside: TINYLLM_MODE=replay")
    panel.mode = "refresh"
    assert panel.mode == ""
    assert session.mode(session.settings()) == "replay"


def test_the_meter_measures_the_last_prompt_by_message_for_each_model(shell, panel):
    session.choose(api_type="echo")
    assert "No prompt yet" in notebook_panel.reading(token_meter.TokenMeter(notebook_panel.refresh)).meter["text"]
    shell.run_cell("%%llm --dry-run\n{% system %}Be brief.{% endsystem %}\nWhat is tea?")
    parts = panel.meter["parts"]
    assert [p["label"].split()[0] for p in parts] == ["system", "user", "marks"]
    session.forget("api_type")
    session.choose(model="gpt-4o")
    meter = notebook_panel.reading(token_meter.TokenMeter(notebook_panel.refresh)).meter
    assert meter["window"] == 128000
    assert meter["text"].startswith("18 of 128,000 tokens")
    assert meter["cost"].startswith("at most $")


def test_a_storm_of_models_is_counted_four_times_a_second_and_estimated_in_between(shell, panel):
    session.choose(api_type="echo")
    shell.run_cell("%%llm --dry-run\nWhat is tea?")
    session.forget("api_type")
    now = [100.0]
    meter = token_meter.TokenMeter(notebook_panel.refresh, clock=lambda: now[0])
    exact = []
    for i in range(40):
        now[0] += 0.025
        session.choose(model=f"gpt-4o-{i}")
        exact.append("≈" not in notebook_panel.reading(meter).meter["text"])
    assert exact.count(True) == 4


def test_a_text_twin_says_it_in_one_line(panel):
    panel.temperature, panel.max_tokens = 0.7, 100
    assert repr(panel) == "ParamPanel(model='SmolLM2-135M-Instruct.Q4_1', temperature=0.7, max_tokens=100)"
    assert panel._repr_mimebundle_()[0]["text/plain"] == repr(panel)


def test_a_handler_in_another_thread_and_a_refresh_do_not_lose_each_other(panel):
    done = threading.Event()

    def page():
        for i in range(100):
            panel.set_state({"seed": i})
        done.set()

    thread = threading.Thread(target=page)
    thread.start()
    while not done.is_set():
        panel.refresh()
    thread.join()
    assert session.chosen["seed"] == panel.seed == 99


@pytest.fixture
def asked(shell, panel):
    """An echo that counts its calls and says at which temperature it was asked."""
    from tinyllm_magic import OpenAIClient, register_client

    class Counting(OpenAIClient):
        calls = 0

        def _raw_model_call(self, model, chat_api_params):
            type(self).calls += 1
            return f"{model} at {chat_api_params.get('temperature')}, {chat_api_params.get('reasoning_effort')}"

    register_client("counting", Counting())
    session.choose(api_type="counting", model="one")

    def run(line, cell="hello"):
        assert shell.run_cell(f"%%llm -q {line}\n{cell}").success
        return Counting

    return run


def test_a_slider_that_comes_back_to_a_recorded_value_shows_its_answer_and_asks_nobody(panel, asked):
    counting = asked("--max-tokens 9")
    assert panel.recorded["text"] == "one at None, None"
    assert panel.recorded["title"] == "Answer to “hello”; the cell itself sets max_tokens"
    panel.temperature = 0.5
    assert (panel.recorded["line"], panel.recorded["text"]) == ("not recorded with these values: the next run asks", "")
    panel.temperature = None
    assert panel.recorded["text"] == "one at None, None"
    assert panel.recorded["line"].startswith("recorded · 20")
    assert counting.calls == 1


def test_sliders_move_over_the_recorded_combinations_of_a_grid(panel, asked):
    counting = asked("--grid temperature=0,0.5,1 --grid seed=1,2")
    assert panel.recorded["ticks"] == {"temperature": [0, 0.5, 1], "seed": [1, 2]}
    assert [c["name"] for c in panel.recorded["choices"]][:2] == ["temperature 0 · seed 1", "temperature 0 · seed 2"]
    assert [p["label"].split()[0] for p in panel.meter["parts"]] == ["user", "marks"]
    panel.temperature, panel.seed = 0.5, 2
    assert (panel.recorded["text"], panel.picked) == ("one at 0.5, None", "temperature 0.5 · seed 2")
    panel.seed = 3
    assert (panel.recorded["text"], panel.picked) == ("", "")
    assert counting.calls == 6


def test_a_recorded_combination_is_chosen_as_a_whole_in_one_message(panel, asked):
    counting = asked("--compare one,two --grid temperature=0,1 --grid reasoning_effort=low,high")
    name = "two · temperature 1 · reasoning_effort high"
    values = next(c["values"] for c in panel.recorded["choices"] if c["name"] == name)
    panel.set_state({**values, "picked": name})
    assert (panel.recorded["text"], panel.picked) == ("two at 1.0, high", name)
    assert (session.settings().model, session.settings().temperature) == ("two", 1)
    panel.picked = "one · temperature 0 · reasoning_effort low"
    assert panel.recorded["text"] == "one at 0.0, low"
    assert counting.calls == 8


def test_a_combination_that_is_no_longer_there_is_refused(panel, asked):
    asked("--grid temperature=0,1")
    panel.set_state({"picked": "temperature 7"})
    assert "temperature 7" in panel.status
    assert panel.picked == ""


@pytest.mark.parametrize(
    ("mode", "line", "text"),
    [
        ("off", "mode off: recorded answers are not looked at", ""),
        ("replay", "recorded · ", "one at None, None"),
        ("refresh", "recorded · ", "one at None, None"),
    ],
)
def test_what_is_recorded_shows_in_every_mode_but_off(panel, asked, mode, line, text):
    asked("")
    panel.mode = mode
    assert panel.recorded["line"].startswith(line)
    assert panel.recorded["text"] == text


def test_a_cells_own_parameter_wins_over_the_slider_as_it_would_when_run_again(panel, asked):
    asked("--temperature 0.2")
    panel.temperature = 1.5
    assert panel.recorded["text"] == "one at 0.2, None"


def test_a_grid_that_was_only_previewed_has_no_combinations_yet(panel, asked):
    counting = asked("--grid temperature=0,1 --dry-run")
    assert panel.recorded["line"].startswith("not recorded")
    assert "choices" not in panel.recorded
    assert counting.calls == 0


def test_a_map_is_no_question_of_the_panel(panel, asked):
    asked("--map [{'word':1},{'word':2}]", "{{ word }}")
    assert panel.recorded == {}


def test_a_store_that_cannot_be_read_is_told_in_the_panels_line(panel, asked, tmp_path):
    asked("")
    (tmp_path / "seeds.pickle").write_bytes(b"\x80\x04}\x94.")
    session.choose(cache_file_name=str(tmp_path / "seeds.pickle"))
    panel.refresh()
    assert "seeds.pickle" in panel.recorded["line"]


def test_unloading_lets_go_of_the_shells_events(shell, panel):
    shell.run_line_magic("unload_ext", "tinyllm_magic")
    assert notebook_panel.refresh not in shell.events.callbacks["post_run_cell"]


def test_traits_are_those_of_a_widget(panel):
    import ipywidgets

    other = ipywidgets.FloatSlider(value=1.0)
    ipywidgets.link((other, "value"), (panel, "temperature"))
    other.value = 0.5
    assert isinstance(panel, ParamPanel)
    assert session.settings().temperature == 0.5


def test_a_broken_file_is_told_in_the_panel_and_disturbs_no_cell(shell, panel, tmp_path, capsys):
    (tmp_path / "place" / "config.ini").write_text("[OpenAI]\nTEMPERATURE = hot\n")
    assert shell.run_cell("1 + 1").success
    assert "TEMPERATURE" in panel.status
    assert "Error in callback" not in capsys.readouterr().out


def test_a_page_without_widgets_shows_the_panel_once_in_words(shell):
    session.choose(model="gpt-4o", temperature=0.2)

    with capture_output() as captured:
        shell.run_line_magic("llm_panel", "")

    live, twin = (output.data for output in captured.outputs)
    assert live["text/plain"] == ""
    assert set(live) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert "ParamPanel" not in twin["text/html"] + twin["text/plain"]
    assert "<p>model gpt-4o · temperature 0.2</p>" in twin["text/html"]
    assert twin["text/plain"].startswith("Model parameters: model gpt-4o · temperature 0.2.")
