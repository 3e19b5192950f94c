"""The file that says what was left with batch services."""

import json
import stat

import pytest

from tinyllm_magic.batch import job_state
from tinyllm_magic.batch.job_state import Job, JobFile
from tinyllm_magic.errors import StoreError


def make(name="1f", **facts):
    return Job(name, "digest", "openai", "gpt-4o-mini", "gpt-4o-mini", "chat", 3, "2026-11-28T08:00:00Z", **facts)


@pytest.fixture
def file(tmp_path):
    return JobFile(tmp_path / "analysis.llm.jsonl")


@pytest.mark.parametrize(("store", "name"), [("analysis.llm.jsonl", "analysis"), ("answers.jsonl", "answers"), ("answers", "answers")])
def test_it_lies_beside_its_store_and_the_questions_too(tmp_path, store, name):
    file = JobFile(tmp_path / store)

    assert file.path == tmp_path / f"{name}.batches.json"
    assert file.questions(make()) == tmp_path / f"{name}.batch-1f.jsonl"


def test_a_job_is_read_as_it_was_saved(file):
    job = make(batch="batch_1", status="in_progress", completed=2, refresh=True, failures={"k1:1": {"error": {"code": "x"}}})
    file.save(make("other"))
    file.save(make())

    file.save(job)

    assert file.read() == [make("other"), job]
    assert JobFile(file.path.with_name("none.llm.jsonl")).read() == []


def test_what_later_versions_may_add_to_a_job_is_passed_over(file):
    file.save(make())
    text = json.loads(file.path.read_text())
    text["batches"][0]["later"] = 1
    file.path.write_text(json.dumps(text))

    assert file.read() == [make()]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 1}',
        '{"version": 2, "batches": []}',
        '{"version": 1, "batches": [{"id": "1f"}]}',
        json.dumps({"version": 1, "batches": [{**vars(make()), "id": "../../x"}]}),
        json.dumps({"version": 1, "batches": [{**vars(make()), "requests": "3"}]}),
        json.dumps({"version": 1, "batches": [{**vars(make()), "batch": 3}]}),
    ],
)
def test_a_file_that_is_none_is_said_to_be_none_and_left_as_it_is(file, text):
    file.path.write_text(text)

    with pytest.raises(StoreError, match=r"analysis\.batches\.json cannot be used"):
        file.read()
    with pytest.raises(StoreError):
        file.save(make())
    assert file.path.read_text() == text


def test_a_link_in_its_place_is_not_followed(file, tmp_path):
    (tmp_path / "elsewhere").write_text('{"version": 1, "batches": []}')
    file.path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StoreError, match="symbolic link"):
        file.read()


def test_a_change_that_fails_changes_nothing(file):
    file.save(make())

    def fail():
        with file.changing() as jobs:
            jobs.clear()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert file.read() == [make()]
    assert stat.S_ISREG(file.path.stat().st_mode)


def test_a_change_waits_for_another_kernels_and_says_whom_it_has_waited_for(file, monkeypatch):
    monkeypatch.setattr(job_state, "PATIENCE", 0)
    with file.changing(), pytest.raises(StoreError, match="its lock is held by another process"):
        JobFile(file.path.with_name("analysis.llm.jsonl")).save(make())


def test_a_job_is_claimed_by_one_at_a_time(file):
    with file.claim(make()).held(), pytest.raises(TimeoutError), file.claim(make()).held():
        pass
    with file.claim(make()).held():
        pass


def test_only_the_last_batches_that_were_fetched_stay_listed(file, monkeypatch):
    monkeypatch.setattr(job_state, "KEPT", 2)
    for number in range(4):
        file.save(make(f"f{number}", fetched=True))
        file.save(make(f"u{number}"))

    assert [job.id for job in file.read()] == ["u0", "u1", "f2", "u2", "f3", "u3"]


def test_a_job_that_is_dropped_takes_its_questions_along(file):
    file.save(make())
    file.questions(make()).write_text("")

    file.drop(make())

    assert file.read() == []
    assert not file.questions(make()).exists()
