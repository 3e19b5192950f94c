"""Cells through a real InteractiveShell: what is shown, what is assigned, what is left behind."""

import sys
from pathlib import Path

import pytest
from fakeserver import FakeServer
from IPython.utils.capture import capture_output

from tinyllm_magic import LLMCall, Response, errors, session


@pytest.fixture(autouse=True)
def _echo(monkeypatch, request):
    if "live" not in request.keywords:
        monkeypatch.setenv("TINYLLM_API_TYPE", "echo")


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("TINYLLM_API_TYPE")
    with FakeServer([]) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        yield running


class Ran:
    def __init__(self, result, captured):
        self.result, self.captured = result, captured
        self.error = result.error_in_exec or result.error_before_exec
        self.outputs = captured.outputs
        self.stdout = captured.stdout

    @property
    def last(self):
        return self.outputs[-1].data

    @property
    def text(self):
        return self.last["text/plain"]


def run(shell, source):
    with capture_output() as captured:
        result = shell.run_cell(source)
    return Ran(result, captured)


def echo():
    return session.registered["echo"].echo


def test_a_cell_is_rendered_asked_shown_and_assigned(shell):
    shell.user_ns["topic"] = "tea"

    ran = run(shell, "%%llm -o poem\n{% system %}Be brief.{% endsystem %}\nWrite about {{ topic }}.")

    assert ran.error is None
    assert [(m.role, m.content) for m in echo().requests[0].messages] == [("system", "Be brief."), ("user", "Write about tea.")]
    poem = shell.user_ns["poem"]
    assert isinstance(poem, Response)
    assert str(poem) == "Write about tea."
    assert shell.user_ns["_llm"] is poem
    assert isinstance(poem.call, LLMCall)
    assert set(ran.last) == {"text/html", "text/plain"}
    assert "Write about tea." in ran.text


def test_the_first_card_of_a_session_tells_once_who_answers_and_where_it_is_recorded(shell):
    store = session.store(session.settings()).path.name
    run(shell, "%%llm -q\nNot shown")
    first, second = (run(shell, "%%llm\nHello").last["text/html"] for _ in range(2))
    assert f"<summary>echo answers, recorded in {store}</summary>" in first
    assert "API_TYPE is echo" in first
    assert str(Path.cwd()) not in first
    assert "<summary>" not in second


def test_nothing_else_enters_the_namespace(shell):
    before = set(shell.user_ns)
    run(shell, "%%llm\nHello")
    assert {n for n in set(shell.user_ns) - before if not n.startswith("_i") and n not in ("_oh", "_dh")} == {"_llm"}


def test_a_repeated_cell_is_answered_from_the_store_and_says_so(shell):
    first = run(shell, "%%llm -o a\nHello")
    second = run(shell, "%%llm -o b\nHello")

    assert len(echo().requests) == 1
    assert (shell.user_ns["a"].source, shell.user_ns["b"].source) == ("live", "recorded")
    assert shell.user_ns["a"].record == shell.user_ns["b"].record
    assert first.text.removesuffix("live") == second.text.removesuffix("recorded")
    assert len(second.outputs) == 1


def test_a_recorded_cell_needs_no_key_and_imports_no_sdk(shell, server):
    run(shell, "%%llm\nHello")
    import os

    del os.environ["OPENAI_API_KEY"]
    loaded = [m for m in sys.modules if m == "openai" or m.startswith("openai.")]
    kept = {m: sys.modules.pop(m) for m in loaded}
    try:
        ran = run(shell, "%%llm -m gpt-4o-mini -o again\nHello")
        assert ran.error is None
        assert shell.user_ns["again"].source == "recorded"
        assert "openai" not in sys.modules
    finally:
        sys.modules.update(kept)
    assert server.n == 1


def test_fresh_asks_again_and_replaces_the_record(shell):
    run(shell, "%%llm\nHello")
    run(shell, "%%llm --fresh\nHello")
    run(shell, "%%llm -o c\nHello")

    assert len(echo().requests) == 2
    assert shell.user_ns["c"].source == "recorded"


@pytest.fixture
def ask_again(shell):
    """Has the shell run cells as the front end does when it is told to ask again."""
    shell.get_parent = lambda: {"metadata": {"cellId": "a", "tinyllm_magic_ask_again": True}}
    yield
    del shell.get_parent


def test_a_cell_that_the_front_end_has_asked_again_asks_whatever_it_says(shell, ask_again):
    for options in ("", "--mode replay"):
        assert run(shell, f"%%llm {options} -o r\nhello").error is None
        assert shell.user_ns["r"].source == "live"


def test_strict_replay_beats_what_the_front_end_asks(shell, ask_again, monkeypatch):
    monkeypatch.setenv("TINYLLM_MODE", "replay")
    assert isinstance(run(shell, "%%llm\nhello").error, errors.ReplayMiss)


def test_mode_off_neither_reads_nor_writes(shell):
    run(shell, "%%llm --mode off\nHello")
    run(shell, "%%llm --mode off\nHello")

    assert len(echo().requests) == 2
    assert not list(Path.cwd().glob("*.jsonl"))


def test_strict_replay_fails_the_cell_and_names_the_nearest_request(shell, monkeypatch):
    run(shell, "%%llm --temperature 0\nWhat is the capital of France?")
    monkeypatch.setenv("TINYLLM_MODE", "replay")

    ran = run(shell, "%%llm --temperature 0 --fresh\nWhat is the capital of Spain?")

    assert isinstance(ran.error, errors.ReplayMiss)
    assert "Spain" in str(ran.error)
    assert "France" in str(ran.error)
    assert len(echo().requests) == 1


def test_the_line_magic_returns_the_response_and_keeps_the_text_as_typed(shell):
    shell.user_ns["name"] = "Ada"
    ran = run(shell, "r = %llm -p temperature=0 What's {{ name }}'s job?")

    assert ran.error is None
    assert shell.user_ns["r"].text == "What's Ada's job?"
    assert ran.outputs == []


def test_a_response_at_the_end_of_a_cell_shows_itself_as_a_card(shell):
    ran = run(shell, "r = %llm hello there\nr")

    data, metadata = shell.display_formatter.format(ran.result.result)
    assert "<article" in data["text/html"]
    assert metadata["tinyllm_magic"]["key"].startswith("k1:")
    assert ran.error is None


@pytest.mark.parametrize("source", ["%llm hello there", "%llm hello there\nx = 1", "def f():\n    %llm hello there\nf()"])
def test_a_line_that_stands_alone_streams_its_card_once(shell, source):
    ran = run(shell, source)

    assert "hello there" in ran.text
    assert ran.last["text/html"].count("<article") == 1
    assert ran.outputs[-1].metadata["tinyllm_magic"]["key"].startswith("k1:")
    assert ran.result.result is None
    assert shell.user_ns["_llm"].text == "hello there"


def test_a_line_streams_before_it_is_complete(shell, server):
    server.add({"text": "first second third", "chunk_delay": 0.15})
    states = [o.data["text/plain"] for o in run(shell, "%llm -m m Hello").outputs]
    assert any("first" in s and "third" not in s for s in states)


def test_samples_of_a_line_are_shown_side_by_side(shell):
    assert run(shell, "%llm -n 3 Name a colour").last["text/html"].count("<article") == 3


def test_a_quiet_line_shows_nothing_while_it_is_asked_and_returns_its_response(shell):
    assert run(shell, "%llm -q hello").result.result.text == "hello"


def test_a_line_with_a_template_file_needs_no_text(shell):
    Path("ask.j2").write_text("What is {{ x }}?", "utf-8")
    shell.user_ns["x"] = "tea"
    run(shell, "r = %llm -t ask.j2")
    assert shell.user_ns["r"].text == "What is tea?"


def test_ipython_does_not_expand_braces_or_dollars_in_the_line(shell):
    shell.user_ns["x"] = "WRONG"
    run(shell, "r = %llm costs $x and {x} and {{ x }}")
    assert shell.user_ns["r"].text == "costs $x and {x} and WRONG"


def test_options_may_be_templates(shell):
    shell.user_ns["best"] = "model-7"
    run(shell, "%%llm -m {{ best }} -o r\nHello")
    assert shell.user_ns["r"].request.model == "model-7"


def test_a_lone_expression_reaches_the_wire_as_its_value(shell, server):
    shell.user_ns["schema"] = {"type": "json_object"}
    shell.user_ns["limit"] = 9
    run(shell, "%%llm -m m -p response_format={{ schema }} --max-tokens {{ limit + 1 }}\nHello")
    assert (server.last["response_format"], server.last["max_tokens"]) == ({"type": "json_object"}, 10)


def test_an_undefined_name_in_an_option_is_named(shell):
    assert "nothing" in str(run(shell, "%%llm -p user={{ nothing }}\nHello").error)
    assert isinstance(run(shell, "%%llm -p user={{ nothing }}\nHello").error, errors.UndefinedError)


def test_a_model_called_echo_is_no_api_type(shell, server):
    run(shell, "%%llm -m echo\nHello")
    assert server.last["model"] == "echo"


def test_every_parameter_reaches_the_wire(shell, server):
    run(shell, '%%llm -m m --temperature 0.5 --max-tokens 7 --top-p 0.9 --seed 3 --stop END -p user=bob -p extra_body={"top_k": 5}\nHello')

    sent = server.last
    wanted = {"model": "m", "temperature": 0.5, "max_tokens": 7, "top_p": 0.9, "seed": 3, "stop": "END", "user": "bob", "top_k": 5}
    assert {k: sent.get(k) for k in wanted} == wanted


def test_an_unknown_parameter_is_refused_with_near_matches_before_anything_is_sent(shell, server):
    ran = run(shell, "%%llm -m m -p temprature=1\nHello")

    assert isinstance(ran.error, errors.OptionError)
    assert "temperature" in str(ran.error)
    assert server.n == 0


def test_a_template_file_receives_the_cell(shell):
    Path("prompts").mkdir()
    Path("prompts/frame.j2").write_text("{% system %}Frame{% endsystem %}<{{ cell }}>", "utf-8")
    shell.user_ns["x"] = 3

    run(shell, "%%llm -t frame.j2 -o r\nvalue {{ x }}")

    assert shell.user_ns["r"].text == "<value 3>"
    assert echo().requests[0].messages[0].role == "system"


def test_a_prompt_file_gives_messages_model_and_parameters_and_options_overrule_them(shell, server):
    front = "---\nmodel:\n  id: model-7\n  options: {temperature: 0.5, maxOutputTokens: 9}\n---\n"
    Path("tea.prompty").write_text(f"{front}Be brief.\nuser:\nAbout {{{{ topic }}}}: {{{{ cell }}}}", "utf-8")
    shell.user_ns["topic"] = "rain"

    ran = run(shell, "%%llm -t tea.prompty --temperature 0\nShort.")

    assert ran.error is None
    assert [(m["role"], m["content"]) for m in server.last["messages"]] == [("system", "Be brief."), ("user", "About rain: Short.")]
    assert (server.last["model"], server.last["temperature"], server.last["max_tokens"]) == ("model-7", 0, 9)


def test_a_prompt_file_needs_no_text_and_is_asked_for_each_row(shell):
    Path("tea.prompty").write_text("---\ninputs:\n  topic: tea\n---\nuser:\nAbout {{ topic }}", "utf-8")
    run(shell, "r = %llm -q -t tea.prompty")
    assert shell.user_ns["r"].text == "About tea"
    shell.user_ns["rows"] = [{"topic": "rain"}, {"topic": "sun"}]
    run(shell, "%llm -q -t tea.prompty --map rows -o table")
    assert [r.text for r in shell.user_ns["table"]] == ["About rain", "About sun"]


def test_a_set_that_is_sent_is_noted_once_on_the_card(shell):
    shell.user_ns["names"] = {"b", "a", "c"}
    for cell in ("%%llm\nSort {{ names }}", "%%llm --dry-run\nSort {{ names }}"):
        assert run(shell, cell).text.count("in the order of a set") == 1
    assert "in the order of a set" not in run(shell, "%%llm\nSort {{ names | sort }}").text


def test_text_that_a_template_file_does_not_name_is_told(shell):
    Path("tea.prompty").write_text("About tea", "utf-8")
    assert "tea.prompty does not name `cell`: the text of this cell was not sent" in run(shell, "%%llm -t tea.prompty\nHello").text


def test_a_system_option_is_a_template_and_comes_first(shell):
    shell.user_ns["mood"] = "kind"
    run(shell, "%%llm -s 'Be {{ mood }}.'\nHello")
    assert [m.text for m in echo().requests[0].messages] == ["Be kind.", "Hello"]


def test_quiet_shows_nothing_and_still_assigns(shell):
    ran = run(shell, "%%llm -q -o r\nHello")
    assert ran.outputs == []
    assert shell.user_ns["r"].text == "Hello"


def test_no_stream_shows_one_finished_card(shell):
    ran = run(shell, "%%llm --no-stream\nHello")
    assert len(ran.outputs) == 1
    assert "live" in ran.text


@pytest.mark.parametrize(("form", "shown"), [("text", "**x**"), ("markdown", "<strong>x</strong>"), ("html", "<b>"), ("code", "**x**")])
def test_the_body_is_shown_in_the_format_asked_for(shell, form, shown):
    text = "<b>x</b><script>1</script>" if form == "html" else "**x**"
    ran = run(shell, f"%%llm -f {form}\n{text}")
    html = ran.last["text/html"]
    assert shown in html
    assert "<script" not in html


def test_show_prompt_folds_the_prompt_under_the_card(shell):
    ran = run(shell, "%%llm --show-prompt\nHello <world>")
    html = ran.last["text/html"]
    assert "<details" in html
    assert "Hello &lt;world&gt;" in html


def test_a_dry_run_sends_nothing_and_shows_what_would_be_sent(shell):
    ran = run(shell, "%%llm --dry-run -m gpt-4\n{% system %}Be brief.{% endsystem %}\nHello {'a': 1}")

    assert echo().requests == []
    assert "Hello {'a': 1}" in ran.text
    assert "k1:" in ran.text
    assert "not recorded" in ran.text
    assert "tokens" in ran.text


def test_a_dry_run_tells_that_an_answer_is_recorded(shell):
    run(shell, "%%llm\nHello")
    assert "recorded: answered without a call" in run(shell, "%%llm --dry-run\nHello").text


@pytest.mark.parametrize(
    ("cell", "error", "said"),
    [
        ("%%llm\nHello {{ nmae }}", errors.UndefinedError, "name"),
        ("%%llm\nline one\n{% for %}", errors.PromptError, "line 3"),
        ("%%llm\n{# only a note #}", errors.EmptyPromptError, "no message"),
        ("%%llm\n{{ {'a': {'b': 1}} }} {{{", errors.PromptError, "{% raw %}"),
        ("%%llm --nope\nx", errors.OptionError, "unknown option --nope"),
        ("%llm_config tempature=1", errors.ConfigError, "temperature"),
        ("%llm_config temperature=hot", errors.ConfigError, "0 to 2"),
        ("%llm_cache nonsense", errors.OptionError, "tidy"),
        ("%llm_cache check", errors.OptionError, "tinyllm-magic cache check FILE"),
        ("%llm_cache use", errors.OptionError, "requires a path"),
        ("%llm_cache mode", errors.OptionError, "%llm_cache mode MODE"),
        ("%llm_cache show", errors.OptionError, "requires a key"),
        ("%llm_cache mode rplay", errors.ConfigError, "replay"),
        ("%llm_history -n x", errors.OptionError, "whole number"),
        ("%llm_history -x", errors.OptionError, "-g WORDS"),
        ("%llm_usage --budget lots", errors.ConfigError, "budget"),
        ("%llm_count", errors.OptionError, "no text given"),
        ("%llm", errors.OptionError, "needs a prompt"),
    ],
)
def test_bad_input_fails_the_cell_in_a_few_lines(shell, cell, error, said):
    shell.user_ns["name"] = "x"
    ran = run(shell, cell)

    assert isinstance(ran.error, error)
    assert said in str(ran.error)
    assert len(ran.stdout.strip().splitlines()) <= 6
    assert echo().requests == []


def test_a_failed_call_fails_the_cell_with_the_providers_words(shell, server):
    server.add({"status": 401, "body": {"error": {"message": "bad key", "code": "invalid_api_key"}}})
    ran = run(shell, "%%llm -m m\nHello")

    assert isinstance(ran.error, errors.AuthError)
    assert ran.stdout.count("bad key") == 1
    assert ran.text == "-- m · error"
    assert "bad key" not in ran.last["text/html"]


def test_a_strict_replay_that_finds_nothing_shows_its_error_alone(shell):
    ran = run(shell, "%%llm --mode replay\nHello")

    assert isinstance(ran.error, errors.ReplayMiss)
    assert ran.stdout.count("no recorded answer") == 1
    assert ran.outputs == []


def test_samples_that_fail_alike_tell_it_once_and_another_failure_on_its_card(shell, server):
    session.choose(max_attempts=1)
    server.add("one", {"status": 500, "body": "broken"}, {"status": 500, "body": "broken"}, {"status": 503, "body": "asleep"})
    ran = run(shell, "%%llm -m m -n 4\nHello")

    assert "samples 2, 3 and 4 of 4 failed" in ran.stdout
    assert ran.stdout.count("broken") == 1
    assert "broken" not in ran.text
    assert ran.text.count("asleep") == 1
    assert ran.text.count("· error") == 3


def test_an_error_after_some_text_keeps_the_text_on_screen(shell, server):
    session.choose(max_attempts=1)
    server.add({"text": "one two three four five six", "cut": 3})
    ran = run(shell, "%%llm -m m\nHello")

    assert isinstance(ran.error, errors.ProviderError)
    assert "one" in ran.text
    assert not list(Path.cwd().glob("*.jsonl"))


def test_an_interrupt_leaves_the_partial_text_and_records_nothing(shell):
    from tinyllm_magic.responses import Chunk

    class Interrupted:
        requests = ()

        def send(self, request):
            yield Chunk(text="half an ")
            raise KeyboardInterrupt

    session.registered["echo"].echo = Interrupted()
    ran = run(shell, "%%llm -o answer\nHello")

    assert isinstance(ran.error, KeyboardInterrupt)
    assert shell.user_ns["_llm"] is shell.user_ns["answer"]
    assert (shell.user_ns["answer"].text, shell.user_ns["answer"].finish_reason) == ("half an ", "stopped")
    assert isinstance(ran.error, errors.Stopped)
    assert ran.error.partial == "half an "
    assert "stopped" in ran.text
    assert "half an" in ran.text
    assert ran.stdout.strip().count("\n") == 0
    assert not list(Path.cwd().glob("*.jsonl"))


def test_the_full_traceback_is_one_command_away(shell, capsys):
    run(shell, "%%llm\n{{ nope }}")
    errors.show_traceback()
    assert "UndefinedError" in capsys.readouterr().err


def test_config_shows_where_a_value_came_from_and_reset_forgets_it(shell):
    shown = run(shell, "%llm_config temperature=0.3").text.splitlines()
    assert next(line for line in shown if line.startswith("temperature")).split() == ["temperature", "0.3", "session"]
    run(shell, "%%llm -o r\nHello")
    assert shell.user_ns["r"].request.params["temperature"] == 0.3
    run(shell, "%llm_config --reset")
    assert session.settings().temperature is None


def test_models_lists_the_embedded_model_and_named_ones(shell):
    Path("config.ini").write_text("[models.lab]\nbase_url = http://127.0.0.1:1/v1\nmodel = big\n", "utf-8")
    text = run(shell, "%llm_models").text
    assert "SmolLM2" in text
    assert "lab" in text
    assert "groq:MODEL" in text
    assert "was not looked for" not in text


def test_in_strict_replay_no_server_is_asked_for_its_models(shell, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("nothing may be asked"))
    with session.override(mode="replay"):
        assert "was not looked for" in run(shell, "%llm_models").text


@pytest.mark.parametrize(("line", "count"), [("-m gpt-4 hello world", 2), ("-m gpt-4o don't panic", 2)])
def test_count_counts_the_tokens_of_a_text(shell, line, count):
    assert shell.run_line_magic("llm_count", line) == count


def test_the_store_can_be_inspected_and_cleared(shell):
    run(shell, "%%llm\nHello")
    assert "records  1" in run(shell, "%llm_cache stats").text
    key = run(shell, "%llm_cache list").text.splitlines()[3].split()[0]
    assert "Hello" in run(shell, f"%llm_cache show {key}").text
    run(shell, "%llm_cache tidy")
    run(shell, "%llm_cache clear")
    assert "records  0" in run(shell, "%llm_cache").text


def test_history_finds_a_call_again(shell):
    run(shell, "%%llm\nHello one")
    run(shell, "%%llm\nGoodbye two")
    assert "Goodbye" not in run(shell, "%llm_history -g hello").text
    assert run(shell, "%llm_history -n 1").text.count("#") == 1
    assert "No call of this session holds 'zebra'" in run(shell, "%llm_history -g zebra").text


def test_a_map_is_one_line_of_the_history_and_the_first_words_of_an_answer_are_seen(shell):
    run(shell, "%%llm\nHello one")
    run(shell, "%%llm --map \"[{'w': w} for w in 'abc']\"\nSay {{ w }}")
    lines = run(shell, "%llm_history").text.splitlines()
    assert [line.split(" · ")[0] for line in lines[1:]] == ["#2", "#1"]
    assert " · echo · 3 calls: 3 live · Say " in lines[1]
    assert lines[2].endswith(" · echo · live · Hello one → Hello one")
    assert run(shell, "%llm_history -g say c").text.count("#") == 1
    assert run(shell, "%llm_history").last["text/html"].count("<td>Say b</td>") == 2


def test_a_key_is_found_as_lists_cut_it(shell):
    run(shell, "%%llm\nHello")
    key = run(shell, "%llm_cache list").text.splitlines()[3].split()[0]
    assert key.endswith("…")
    assert "Hello" in run(shell, f"%llm_cache show {key}").text


def test_usage_tells_live_from_recorded(shell):
    run(shell, "%%llm\nHello")
    run(shell, "%%llm\nHello")
    row = run(shell, "%llm_usage").text.splitlines()[3].split()
    assert row[1:4] == ["1", "1", "0"]


def test_help_documents_every_option(shell):
    text = shell.find_line_magic("llm").__doc__
    assert "--dry-run" in text
    assert "{% system %}" in text
    assert shell.find_cell_magic("llm").__doc__


def test_loading_prints_nothing_and_unloading_restores_everything(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()

    def state():
        return (
            {k: set(v) for k, v in shell.magics_manager.magics.items()},
            list(shell.Completer.custom_matchers),
            {k: list(v) for k, v in shell.events.callbacks.items()},
            list(shell.input_transformers_cleanup),
            set(shell.display_formatter.mimebundle_formatter.type_printers),
            "LLMMagics" in shell.magics_manager.registry,
            set(shell.user_ns),
        )

    before = state()
    shell.run_line_magic("load_ext", "tinyllm_magic")
    loaded = state()
    shell.run_line_magic("unload_ext", "tinyllm_magic")

    assert capsys.readouterr() == ("", "")
    assert loaded != before
    assert state() == before
    shell.run_line_magic("load_ext", "tinyllm_magic")
    assert "llm" in shell.magics_manager.magics["cell"]
    shell.run_line_magic("unload_ext", "tinyllm_magic")
    InteractiveShell.clear_instance()


def test_a_stream_is_shown_before_it_is_complete(shell, server):
    server.add({"text": "first second third", "chunk_delay": 0.15})
    ran = run(shell, "%%llm -m m\nHello")

    states = [o.data["text/plain"] for o in ran.outputs]
    assert any("first" in s and "third" not in s for s in states)
    assert "third" in states[-1]


def test_a_loop_that_gets_the_same_record_hints_at_samples_once(shell):
    run(shell, "%%llm -p temperature=1\nDraw")
    with pytest.warns(UserWarning, match="sample="):
        run(shell, "from tinyllm_magic import LLMCall\nc = LLMCall.from_text('Draw', temperature=1)\nfor _ in range(5): c.call()")


@pytest.mark.parametrize("options", ["", "--dry-run"])
def test_a_name_in_single_braces_is_noted_on_the_card_and_in_the_dry_run(shell, options):
    shell.user_ns["name"] = "Ada"
    ran = run(shell, f"%%llm {options}\nWho is {{name}}?")
    assert "{name}" in ran.text
    assert "note: " in ran.text
    assert "{{ name }}" in ran.text
    assert "{{ name }}" in ran.last["text/html"]


@pytest.mark.parametrize("options", ["", "--dry-run"])
def test_a_cut_view_of_a_data_frame_is_noted_on_the_card_and_in_the_dry_run(shell, options):
    import pandas as pd

    shell.user_ns["df"] = pd.DataFrame({"n": range(500)})
    notes = [line for line in run(shell, f"%%llm {options}\n{{{{ df }}}}").text.splitlines() if line.startswith("note: ")]
    assert any("| table" in note for note in notes)


def test_numbers_of_numpy_and_decimal_and_integer_keys_reach_the_wire(shell, server):
    from decimal import Decimal

    import numpy as np

    shell.user_ns.update(bias={50256: np.int64(-100)}, extra={"top_k": np.int32(5), "min_p": Decimal("0.1")})
    ran = run(shell, "%%llm -m m -p logit_bias={{ bias }} -p extra_body={{ extra }}\nHello")
    assert ran.error is None
    assert (server.last["logit_bias"], server.last["top_k"], server.last["min_p"]) == ({"50256": -100}, 5, 0.1)
