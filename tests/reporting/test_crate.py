"""The RO-Crate is one that its library reads, names every file and model, and calls the answers what a model wrote."""

import json
import sys
from dataclasses import replace

import pytest
from notebookmaker import shown
from records import make

from tinyllm_magic.cli.command_line import main
from tinyllm_magic.errors import MissingExtraError
from tinyllm_magic.reporting.crate import write_crate


@pytest.fixture
def crate(study, tmp_path):
    """A crate of one notebook with a space in its name, read back by the library that anybody may read it with."""
    rocrate = pytest.importorskip("rocrate.rocrate")
    one = make("One")
    other = replace(make("Two"), answer=replace(one.answer, model="gpt-4o-mini-2024-07-18", fingerprint="fp_1"))
    study.record(one, other)
    study.cell("%%llm\nOne", shown(one))
    study.cell("%%llm\nTwo", shown(other))
    study.report()
    for suffix in (".ipynb", ".llm.jsonl"):
        (tmp_path / f"study{suffix}").rename(tmp_path / f"my study{suffix}")
    assert main(["report", str(tmp_path / "my study.ipynb"), "--format", "ro-crate", "-o", str(tmp_path)]) == 0
    return rocrate.ROCrate(tmp_path)


def test_the_crate_names_notebook_and_store_with_their_digests(crate, tmp_path):
    from hashlib import sha256

    files = {entity.id: entity for entity in crate.data_entities}
    assert set(files) == {"my%20study.ipynb", "my%20study.llm.jsonl"}
    for entity, name in ((files["my%20study.ipynb"], "my study.ipynb"), (files["my%20study.llm.jsonl"], "my study.llm.jsonl")):
        assert entity["sha256"] == sha256((tmp_path / name).read_bytes()).hexdigest()
        assert entity["contentSize"] == str((tmp_path / name).stat().st_size)
    assert files["my%20study.llm.jsonl"]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")


def test_each_model_is_an_instrument_of_an_action_between_two_dates(crate):
    actions = [entity for entity in crate.contextual_entities if entity.type == "CreateAction"]
    models = {action["instrument"][0]["softwareVersion"]: action for action in actions}
    assert set(models) == {"not told by the provider", "gpt-4o-mini-2024-07-18, fp_1"}
    action = models["gpt-4o-mini-2024-07-18, fp_1"]
    assert (action["startTime"], action["endTime"]) == ("2025-11-21T09:00:00+00:00",) * 2
    assert action["instrument"][0]["provider"]["name"] == "OpenAI"
    assert {fact["name"]: fact["value"] for fact in action["additionalProperty"]}["cost in US dollars"] == 0.001


def test_the_same_evidence_gives_the_same_crate(study):
    pytest.importorskip("rocrate")
    study.record(make("One"))
    study.cell("%%llm\nOne", shown(make("One")))
    report = study.report()
    assert write_crate([report]) == write_crate([report])
    assert json.loads(write_crate([report]))["@graph"][0]["datePublished"].startswith("2025-11-21")


def test_without_the_library_one_sentence_says_what_installs_it(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "rocrate.rocrate", None)
    with pytest.raises(MissingExtraError, match=r"rocrate is not installed[\s\S]*tinyllm-magic\[report\]"):
        write_crate([study.report()])
