"""A table as a log of Inspect: its own reader reads it, row by row and draw by draw."""

import sys

import pytest

from tinyllm_magic import LLMCall, compare, errors, map_rows

CITIES = [{"city": "Rome", "continent": "Europe"}, {"city": "Cairo", "continent": "Africa"}]


@pytest.fixture(scope="module")
def read():
    """Inspect's reader of logs."""
    return pytest.importorskip("inspect_ai.log").read_eval_log


def test_rows_are_samples_draws_are_epochs_and_right_answers_are_scored(read, start, tmp_path):
    start("Europe", "Asia", "Africa", "africa.")
    call = LLMCall("Name the continent.", "{{ city }}", model="gpt-4o-mini", temperature=1, max_tokens=5, stop="!")
    table = map_rows(call, CITIES, samples=2, workers=1, expect="continent")

    (path,) = table.to_inspect(tmp_path / "continents.eval")
    log = read(str(path))

    assert (log.status, log.eval.task, log.eval.model) == ("success", "continents", "openai/gpt-4o-mini")
    settings = log.eval.model_generate_config
    assert (settings.temperature, settings.max_tokens, settings.stop_seqs) == (1, 5, ["!"])
    assert (log.eval.dataset.samples, log.eval.config.epochs) == (2, 2)
    assert read(str(table.to_inspect(tmp_path / "again" / "continents.eval")[0])).eval.run_id == log.eval.run_id != ""
    assert log.eval.metadata["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
    samples = {(s.id, s.epoch): s for s in log.samples}
    assert set(samples) == {(1, 1), (1, 2), (2, 1), (2, 2)}
    first = samples[1, 1]
    assert [(m.role, m.text) for m in first.messages] == [("system", "Name the continent."), ("user", "Rome"), ("assistant", "Europe")]
    assert (first.target, first.output.completion, first.output.stop_reason) == ("Europe", "Europe", "stop")
    assert first.metadata["city"] == "Rome"
    assert first.metadata["tinyllm_magic"]["key"] == table[0].key
    assert {key: s.scores["accuracy"].value for key, s in samples.items()} == {(1, 1): "C", (1, 2): "I", (2, 1): "C", (2, 2): "C"}
    assert log.results.scores[0].metrics["accuracy"].value == 0.75
    assert log.stats.model_usage["openai/gpt-4o-mini"].input_tokens == sum(r.usage.prompt_tokens for r in table)


def test_a_failed_row_is_a_sample_with_its_error(read, start, tmp_path):
    start("Europe", {"status": 400, "body": {"error": {"message": "no such city"}}})
    table = map_rows(LLMCall(None, "{{ city }}", model="m"), CITIES, workers=1)

    (path,) = table.to_inspect(tmp_path / "half.eval")

    log = read(str(path))
    good, bad = log.samples
    assert (good.error, good.output.completion) == (None, "Europe")
    assert "no such city" in bad.error.message
    assert "Cairo" in bad.input
    assert (log.results.total_samples, log.results.completed_samples) == (2, 1)


def test_each_model_and_set_of_parameters_has_a_log_of_its_own(read, start, tmp_path):
    start("a", "b")
    table = compare(LLMCall(None, "Hello there", model="m"), grid={"temperature": [0, 1]}, workers=1)

    paths = table.to_inspect(tmp_path / "grid.eval")

    assert [path.name for path in paths] == ["grid-temperature-0.eval", "grid-temperature-1.eval"]
    logs = [read(str(path)) for path in paths]
    assert [log.eval.model_generate_config.temperature for log in logs] == [0, 1]
    assert [log.samples[0].output.completion for log in logs] == ["a", "b"]


def test_what_is_no_log_and_what_has_no_answer_are_one_clear_error(start, tmp_path, monkeypatch):
    start("Europe", "Africa")
    table = map_rows(LLMCall(None, "{{ city }}", model="m"), CITIES, workers=1)
    with pytest.raises(errors.OptionError, match=r"does not end in \.eval"):
        table.to_inspect(tmp_path / "table.json")
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(errors.MissingExtraError, match=r"inspect_ai is not installed[\s\S]*tinyllm-magic\[inspect\]"):
        table.to_inspect(tmp_path / "table.eval")
