"""Several samples of one request: `-n`, `sample=`, and the cards side by side."""

import pytest
from IPython.utils.capture import capture_output

from tinyllm_magic import LLMCall, Store, client, errors, session

pytestmark = pytest.mark.usefixtures("server")


def run(shell, source):
    with capture_output() as captured:
        result = shell.run_cell(source)
    return result.error_in_exec or result.error_before_exec, captured.outputs


def test_n_draws_as_many_samples_in_order_and_only_the_missing_ones_are_fetched(shell, server):
    server.add("one", "two", "three", "four", "five")

    assert run(shell, "%%llm -n 2 -o some --temperature 1\nName a colour.")[0] is None
    assert [r.text for r in shell.user_ns["some"]] == ["one", "two"]
    assert run(shell, "%%llm -n 4 -o some --temperature 1\nName a colour.")[0] is None

    assert [r.text for r in shell.user_ns["some"]] == ["one", "two", "three", "four"]
    assert [r.source for r in shell.user_ns["some"]] == ["recorded", "recorded", "live", "live"]
    assert shell.user_ns["_llm"] is shell.user_ns["some"]
    assert len(server.bodies) == 4
    assert len({str(r["messages"]) for r in server.bodies}) == 1


def test_sample_0_is_the_record_of_the_plain_cell(shell, server):
    server.add("one", "two")
    run(shell, "%%llm\nName a colour.")
    run(shell, "%%llm -n 2 -o some\nName a colour.")
    assert [(r.text, r.source) for r in shell.user_ns["some"]] == [("one", "recorded"), ("two", "live")]


def test_a_seed_is_sent_and_a_sample_is_not(shell, server):
    run(shell, "%%llm -n 2 --seed 5 -o some\nName a colour.")
    assert [r["seed"] for r in server.bodies] == [5, 5]
    assert not any("sample" in r for r in server.bodies)
    assert len({r.key for r in shell.user_ns["some"]}) == 2


def test_a_failed_sample_leaves_the_others_recorded_and_is_named(shell, server):
    server.add("one", 500, "three")

    error, outputs = run(shell, "%%llm -n 3 -o some\nName a colour.")

    assert isinstance(error, errors.ServerError)
    assert "sample 2 of 3 failed; the other 2 are recorded" in str(error)
    assert "some" not in shell.user_ns
    assert len(session.store(session.settings())) == 2
    assert "three" in outputs[-1].data["text/plain"]
    server.add("two")
    assert run(shell, "%%llm -n 3 -o some\nName a colour.")[0] is None
    assert [r.text for r in shell.user_ns["some"]] == ["one", "two", "three"]


def test_an_error_that_no_repetition_mends_asks_once_and_still_shows_what_is_recorded(shell, server):
    server.add("one", "two")
    LLMCall(None, "Name a {{ x }}.", sample=2).call(x="colour")
    server.add(401)

    error, outputs = run(shell, "%%llm -n 4\nName a colour.")

    assert isinstance(error, errors.AuthError)
    assert "samples 2 and 4 of 4 failed; the other 2 are recorded" in str(error)
    assert "recorded" in outputs[-1].data["text/plain"]


def test_strict_replay_names_the_samples_that_are_missing(shell, monkeypatch):
    run(shell, "%%llm -n 2\nName a colour.")
    monkeypatch.setenv("TINYLLM_MODE", "replay")
    error, _ = run(shell, "%%llm -n 4\nName a colour.")
    assert isinstance(error, errors.ReplayMiss)
    assert "samples 3 and 4 of 4 failed; the other 2 are recorded" in str(error)
    assert "this sample is not recorded" in str(error)


def test_samples_stand_side_by_side_in_one_output_with_numbered_text_and_provenance(shell, server):
    server.add("**one**", "two")
    _, outputs = run(shell, "%%llm -n 2 -o some\nName a colour.")

    html, text = outputs[-1].data["text/html"], outputs[-1].data["text/plain"]
    assert html.count("<article") == 2
    assert "display:grid" in html
    assert html.count("<style>") == 1
    assert 'aria-label="sample 2: Answer of' in html
    assert text.startswith("(1) sample 1\n**one**\n-- ")
    assert "\n\n(2) sample 2\ntwo\n-- " in text
    answers = outputs[-1].metadata["tinyllm_magic"]["answers"]
    assert [a["key"] for a in answers] == [r.key for r in shell.user_ns["some"]]


def test_the_call_behind_a_sample_asks_for_that_sample_again(shell, server):
    server.add("one", "two")
    run(shell, "%%llm -n 2 -o some\nName a colour.")
    assert [r.call.call() for r in shell.user_ns["some"]] == ["one", "two"]
    assert len(server.bodies) == 2


def test_python_draws_samples_too(shell, server):
    server.add("one", "two")
    assert [client().send_message("Name a colour.", sample=k)["content"] for k in (0, 1, 0)] == ["one", "two", "one"]
    assert LLMCall(None, "Name a {{ x }}.", sample=1).call(x="colour") == "two"


def test_a_dry_run_tells_how_many_samples_are_recorded(shell, server):
    run(shell, "%%llm -n 2\nName a colour.")
    _, outputs = run(shell, "%%llm -n 5 --dry-run\nName a colour.")
    assert "5 samples, 2 of them recorded" in outputs[-1].data["text/plain"]
    assert len(server.bodies) == 2


def test_a_line_returns_the_list_and_quiet_shows_nothing(shell):
    error, outputs = run(shell, "some = %llm -n 2 Name a colour.")
    assert (error, len(shell.user_ns["some"]), outputs) == (None, 2, [])


@pytest.mark.parametrize("count", ["0", "-1", "2.5", "many"])
def test_a_count_that_is_none_is_refused(shell, server, count):
    error, _ = run(shell, f"%%llm -n {count}\nName a colour.")
    assert isinstance(error, errors.OptionError)
    assert not server.bodies


def test_no_stream_shows_the_row_once_it_is_complete(shell, server):
    _, outputs = run(shell, "%%llm -n 3 --no-stream\nName a colour.")
    assert len(outputs) == 1


def test_an_interrupt_stops_the_row_and_keeps_what_is_there(shell, server, monkeypatch):
    from tinyllm_magic.providers import openai

    real = openai.OpenAIProvider.send
    turns = iter([False, True])

    def send(self, request):
        if next(turns):
            raise KeyboardInterrupt
        yield from real(self, request)

    monkeypatch.setattr(openai.OpenAIProvider, "send", send)
    error, outputs = run(shell, "%%llm -n 3 -o colours\nName a colour.")

    assert isinstance(error, KeyboardInterrupt)
    assert [r.finish_reason for r in shell.user_ns["colours"]] == ["stop", "stopped"]
    assert outputs[-1].data["text/plain"].count("stopped") == 2
    assert len(session.store(session.settings())) == 1


def test_a_hint_tells_a_loop_of_draws_from_samples(shell, server):
    with pytest.warns(UserWarning, match="-n 5"):
        shell.run_cell("r = [__import__('tinyllm_magic').client().send_message('x', temperature=1) for _ in range(4)]")


def test_samples_make_no_hint(shell, recwarn):
    run(shell, "%%llm -n 5 --temperature 1\nName a colour.")
    run(shell, "%%llm -n 5 --temperature 1\nName a colour.")
    assert not list(recwarn)


def test_the_store_holds_a_line_for_each_sample(shell, server, tmp_path):
    run(shell, "%%llm -n 3\nName a colour.")
    records = list(Store(session.store(session.settings()).path).records())
    assert sorted(r.request.get("sample", 0) for r in records) == [0, 1, 2]


def test_a_replayed_answer_shows_at_once_with_the_recorded_duration(shell, server):
    server.add({"text": "one two three four", "chunk_delay": 0.05})
    _, live = run(shell, "%%llm\nCount.")
    _, again = run(shell, "%%llm\nCount.")
    assert len(live) > len(again) == 1
    footers = [outputs[-1].data["text/plain"].splitlines()[-1] for outputs in (live, again)]
    assert footers[0].removesuffix("live") == footers[1].removesuffix("recorded")
