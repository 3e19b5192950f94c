"""Rows through a batch service over HTTP (`batch=True`): left once, fetched by whoever comes back, recorded as live ones are."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from batchserver import CUT, LOST, SILENT, BatchServer
from fakeserver import Turn

from tinyllm_magic import LLMCall, Store, errors, map_rows, session
from tinyllm_magic.batch.job_state import JobFile
from tinyllm_magic.models.catalog import EMBEDDED
from tinyllm_magic.providers import batch_service

KEY = "sk-test-0123456789abcdef"
ROWS = [{"n": n} for n in range(4)]


@pytest.fixture
def service(monkeypatch):
    """A batch service at an address beyond this machine, so that its models have a price; each call is tried three times at most."""
    with BatchServer() as running:
        monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.example/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("TINYLLM_MODE", "auto")
        monkeypatch.setenv("TINYLLM_MAX_ATTEMPTS", "3")
        monkeypatch.setenv("TINYLLM_WAITING_TIME", "0.01")
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, running.root)
        yield running


def ask(rows=ROWS, text="Say {{ n }}", mode=None, samples=1, models=None, batch=True, **params):
    call = LLMCall(None, text, **{"model": "gpt-4o-mini", "max_tokens": 10, **params})
    return map_rows(call, rows, batch=batch, progress=False, mode=mode, samples=samples, models=models)


def leave(*args, **params):
    with pytest.raises(errors.BatchPending) as caught:
        ask(*args, **params)
    return caught.value


def lose_kernel():
    """What a kernel remembers is gone; files stay."""
    from conftest import _reset

    _reset()


def records(name="session.llm.jsonl"):
    return {record.key: record for record in Store(name).records()}


def state(name="session"):
    return JobFile(Path(f"{name}.llm.jsonl").absolute()).read()


def say(body):
    return body["messages"][-1]["content"]


def test_rows_are_left_once_and_fetched_when_they_are_answered(service):
    pending = leave()

    assert pending.batches == ("batch_1",)
    assert "4 requests wait for batch_1 (being checked by the vendor" in str(pending)
    leave()
    assert service.count("POST /batches") == 1

    service.finish(say)
    table = ask()

    assert table["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert table["source"] == ["live"] * 4
    assert ask()["source"] == ["recorded"] * 4
    assert service.n == 0
    assert [p.name for p in Path.cwd().iterdir() if "batch-" in p.name] == []


def test_another_kernel_fetches_what_one_has_left(service):
    leave()
    lose_kernel()
    service.finish(say)

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert len(service.asked) == 4


def test_a_batch_and_live_calls_make_the_same_records_but_for_the_price(service, monkeypatch):
    params = {"text": "{% system %}Be brief.{% endsystem %}Say {{ n }}", "temperature": 0.5, "seed": 7}
    leave(**params)
    service.finish(say)
    ask(**params)
    monkeypatch.setenv("TINYLLM_STORE", "live.llm.jsonl")
    service.add(*[Turn(echo=True)] * 4)
    ask(batch=False, **params)

    batch, live = records(), records("live.llm.jsonl")

    assert service.n == 4
    assert batch.keys() == live.keys()
    for key, record in batch.items():
        assert (record.request, record.answer, record.version) == (live[key].request, live[key].answer, live[key].version)
        assert record.cost == pytest.approx(live[key].cost / 2)
    bodies = [{**body, "stream": None, "stream_options": None} for body in service.bodies]
    assert [{**line["body"], "stream": None, "stream_options": None} for line in service.asked] == sorted(bodies, key=str)


def test_what_is_recorded_is_not_left_and_new_rows_are(service):
    service.add(*[Turn(echo=True)] * 2)
    ask(ROWS[:2], batch=False)

    leave()
    service.finish(say)

    assert ask()["source"] == ["recorded", "recorded", "live", "live"]
    assert [say(line["body"]) for line in service.asked] == ["Say 2", "Say 3"]
    leave([*ROWS, {"n": 9}])
    assert [say(line["body"]) for line in service.asked][2:] == ["Say 9"]


def test_rows_that_ask_the_same_are_left_once(service):
    leave([*ROWS, *ROWS])
    service.finish(say)

    assert ask([*ROWS, *ROWS])["source"] == ["live"] * 4 + ["recorded"] * 4
    assert len(service.asked) == 4


def test_a_table_that_is_partly_answered_comes_with_the_error(service):
    service.add(*[Turn(echo=True)] * 2)
    ask(ROWS[:2], batch=False)

    pending = leave()

    assert pending.table["answer"] == ["Say 0", "Say 1", None, None]
    assert "this row waits for batch_1" in pending.table["error"][2]
    assert session.last_table is pending.table


FAULTS = {
    401: errors.AuthError,
    400: errors.InvalidRequestError,
    404: errors.NotFoundError,
    429: errors.RateLimitError,
    500: errors.ServerError,
}


def test_rows_fail_with_the_errors_of_live_calls(service):
    rows = [{"n": status} for status in (*FAULTS, 200)]
    leave(rows)
    service.finish(lambda body: int(say(body).split()[-1]))

    table = ask(rows)

    assert [type(error) for error in table.errors] == [*FAULTS.values(), type(None)]
    assert table.errors[1].request_id == "req_1"
    assert session.budget.totals["gpt-4o-mini"].failed == 5


def test_what_would_fail_again_is_told_again_and_what_may_pass_is_left_anew(service):
    rows = [{"n": 400}, {"n": 429}, {"n": 200}]
    leave(rows)
    service.finish(lambda body: int(say(body).split()[-1]))
    ask(rows)
    lose_kernel()

    pending = leave(rows)

    assert [say(line["body"]) for line in service.asked][3:] == ["Say 429"]
    assert isinstance(pending.table.errors[0], errors.InvalidRequestError)
    assert "`--fresh`" in pending.table.errors[0].hint
    service.finish(lambda _: "at last")
    assert ask(rows)["answer"] == [None, "at last", "ok"]


def test_rows_that_a_batch_has_not_reached_are_left_anew(service):
    leave()
    service.finish(say, status="expired", answered=3)

    table = ask()

    assert isinstance(table.errors[3], errors.CallTimeoutError)
    assert table["answer"][:3] == ["Say 0", "Say 1", "Say 2"]
    leave()
    assert [say(line["body"]) for line in service.asked][4:] == ["Say 3"]


def test_a_batch_that_is_refused_says_why(service):
    leave()
    service.fail("token_limit_exceeded", "Enqueued token limit reached for gpt-4o-mini.")

    table = ask()

    assert all(isinstance(error, errors.RateLimitError) for error in table.errors)
    assert "batch_1 failed: Enqueued token limit reached" in str(table.errors[0])
    leave()
    assert len(service.batches) == 2


@pytest.mark.parametrize("lines", ["", '{"custom_id": "nobody", "response": null}\nnot JSON\n'])
def test_an_answer_that_is_in_no_file_is_a_failed_row(service, lines):
    leave()
    service.finish(say, answered=3)
    service.files[service.batches["batch_1"]["output_file_id"]]["content"] += lines.encode()

    assert [type(error) for error in ask().errors] == [type(None)] * 3 + [errors.BadResponseError]


class KernelLost(BaseException):
    """Nothing of the kernel's own runs any more."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["upload", "create"])
def test_a_kernel_that_is_lost_while_it_leaves_a_batch_asks_nothing_twice(service, monkeypatch, step, when):
    plain = getattr(batch_service.BatchService, step)

    def lose(self, *args):
        if when == "after":
            plain(self, *args)
        raise KernelLost

    with monkeypatch.context() as patch:
        patch.setattr(batch_service.BatchService, step, lose)
        with pytest.raises(KernelLost):
            ask()
    lose_kernel()
    assert len(state()) == 1

    leave()
    service.finish(say)

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert len(service.asked) == 4
    assert service.count("POST /files") == 1
    assert [job.status for job in state()] == ["completed"]


KERNEL = """
from tinyllm_magic import LLMCall, map_rows
map_rows(LLMCall(None, "Say {{ n }}", model="gpt-4o-mini", max_tokens=10), [{"n": n} for n in range(4)], batch=True, progress=False)
"""


def test_a_kernel_that_is_killed_before_it_is_told_of_its_batch_asks_nothing_twice(service):
    service.faults.append(("POST /batches", SILENT))
    kernel = subprocess.Popen([sys.executable, "-c", KERNEL])
    while not service.batches and kernel.poll() is None:
        time.sleep(0.01)
    kernel.kill()
    kernel.wait()
    assert state()[0].status == "submitting"

    leave()
    service.finish(say)

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert service.count("POST /files") == len(service.batches) == 1


def test_rows_that_have_changed_since_a_kernel_was_lost_are_left_as_they_are_now(service, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(batch_service.BatchService, "create", lambda *_: (_ for _ in ()).throw(KernelLost))
        with pytest.raises(KernelLost):
            ask()
    lose_kernel()

    leave(ROWS[:3])

    assert [say(line["body"]) for line in service.asked] == ["Say 0", "Say 1", "Say 2"]
    assert len(state()) == 1


def test_a_kernel_that_is_lost_while_it_fetches_leaves_nothing_out(service, monkeypatch):
    leave()
    service.finish(say)
    with monkeypatch.context() as patch:
        patch.setattr(JobFile, "save", lambda *_: (_ for _ in ()).throw(KernelLost))
        with pytest.raises(KernelLost):
            ask()
    lose_kernel()

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert len(service.asked) == len(records()) == 4


CALLS = ["GET /batches", "POST /files", "POST /batches", "GET /batches/", "GET /files/"]


@pytest.mark.parametrize("fault", [429, 500, CUT, LOST])
@pytest.mark.parametrize("call", CALLS)
def test_what_fails_on_the_way_is_tried_again_and_no_batch_is_made_twice(service, call, fault):
    service.faults.append((call, fault))

    leave()
    service.finish(say)

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert service.faults == []
    assert len(service.batches) == 1


def test_a_service_that_is_down_fails_the_call_and_the_next_one_goes_on(service):
    service.faults += [("POST /batches", 503)] * 3

    with pytest.raises(errors.ServerError, match="gave up after 3 attempts"):
        ask()
    leave()

    assert service.count("POST /files") == 1
    assert len(service.batches) == 1


def test_a_second_notebook_shares_the_batch_of_the_first(service, monkeypatch):
    monkeypatch.setenv("TINYLLM_STORE", "first.llm.jsonl")
    leave()
    monkeypatch.setenv("TINYLLM_STORE", "second.llm.jsonl")
    leave(list(reversed(ROWS)))
    service.finish(say)

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    monkeypatch.setenv("TINYLLM_STORE", "first.llm.jsonl")
    assert ask()["source"] == ["live"] * 4
    assert len(service.batches) == 1


def test_two_kernels_with_one_store_leave_one_batch(service):
    ready, found = threading.Barrier(4), []

    def run():
        ready.wait()
        try:
            ask()
        except errors.TinyLLMError as error:
            found.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [type(error) for error in found] == [errors.BatchPending] * 4
    assert len(service.batches) == 1
    assert len(state()) == 1


def test_rows_that_another_kernel_is_leaving_are_waited_for(service):
    leave()
    file = JobFile(Path("session.llm.jsonl").absolute())
    job = file.read()[0]
    job.batch, job.status = None, "uploading"
    file.save(job)

    with file.claim(job).held():
        pending = leave()

    assert "another kernel is leaving" in str(pending)
    assert len(service.batches) == 1


@pytest.mark.parametrize(("limit", "most"), [("MOST_REQUESTS", 3), ("MOST_BYTES", 600)])
def test_what_is_too_much_for_one_batch_is_left_in_several(service, monkeypatch, limit, most):
    monkeypatch.setattr(batch_service, limit, most)

    pending = leave()

    assert len(pending.batches) == len(service.batches) == 2
    service.finish(say)
    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert len(service.asked) == 4


def test_rows_of_several_models_are_left_in_a_batch_for_each(service):
    leave(models=["gpt-4o-mini", "gpt-4o"])
    service.finish(lambda body: body["model"])

    assert ask(models=["gpt-4o-mini", "gpt-4o"])["answer"] == ["gpt-4o-mini", "gpt-4o"] * 4
    assert len(service.batches) == 2


def test_samples_are_requests_of_their_own(service):
    leave(ROWS[:1], samples=3)
    said = iter("abc")
    service.finish(lambda _: next(said))

    assert sorted(ask(ROWS[:1], samples=3)["answer"]) == ["a", "b", "c"]
    assert ask(ROWS[:1], batch=False)["source"] == ["recorded"]


def test_a_batch_costs_half_and_counts_when_it_is_fetched(service):
    leave()
    assert session.budget.spent == 0
    service.finish(lambda _: Turn(usage={"prompt_tokens": 1000, "completion_tokens": 1000, "total_tokens": 2000}))

    table = ask()

    assert table.cost == pytest.approx(4 * (0.15e-3 + 0.6e-3) / 2)
    assert session.budget.spent == pytest.approx(table.cost)
    total = session.budget.totals["gpt-4o-mini"]
    assert (total.live, total.recorded) == (4, 0)


def test_a_budget_holds_for_what_is_left_in_a_batch(service):
    session.budget.set_limit(5e-6 * 4)
    with pytest.raises(errors.BudgetError):
        ask([{"n": n} for n in range(40)])
    assert service.calls == []

    leave()

    assert session.budget._reserved > 0
    with pytest.raises(errors.BudgetError, match="is reserved for calls under way"):
        ask([{"n": n} for n in range(4, 8)])
    service.finish(say)
    ask()
    assert session.budget._reserved == pytest.approx(0, abs=1e-12)


def test_strict_replay_asks_no_service(service):
    leave()
    service.finish(say)
    service.calls.clear()

    table = ask(mode="replay")

    assert all(isinstance(error, errors.ReplayMiss) for error in table.errors)
    assert service.calls == []
    ask()
    assert ask(mode="replay")["source"] == ["recorded"] * 4


def test_refresh_asks_anew_through_a_batch_and_replaces_the_records(service):
    leave()
    service.finish(lambda _: "old")
    ask()

    leave(mode="refresh")
    assert len(service.batches) == 2
    leave(mode="refresh")
    service.finish(lambda _: "new")

    assert ask(mode="refresh")["answer"] == ["new"] * 4
    assert ask()["answer"] == ["new"] * 4
    assert len(service.batches) == 2
    leave(mode="refresh")
    assert len(service.batches) == 3


def count(text: str) -> int:
    """Count the characters."""
    return len(text)


@pytest.mark.parametrize(
    ("params", "kind", "words"),
    [
        ({"mode": "off"}, errors.OptionError, "mode off records nothing"),
        ({"model": EMBEDDED}, errors.UnsupportedError, "answers on this machine"),
        ({"model": "anthropic:claude-sonnet-4-5"}, errors.UnsupportedError, "Anthropic has no batch service that is asked as OpenAI's"),
        ({"model": "ollama:llama3"}, errors.UnsupportedError, "Ollama has no batch service"),
        ({"tools": [count]}, errors.OptionError, "functions run between requests"),
    ],
)
def test_what_no_batch_can_do_is_refused_before_anything_is_sent(service, params, kind, words):
    with pytest.raises(kind, match=words) as caught:
        ask(**params)

    assert caught.value.hint
    assert service.calls == []
    assert not Path("session.batches.json").exists()


def test_a_client_with_a_transport_of_its_own_is_not_passed_by(service):
    from tinyllm_magic import OpenAIClient, register_client

    class Own(OpenAIClient):
        def _raw_model_call(self, model, chat_api_params):
            raise NotImplementedError

    register_client("own", Own())
    with session.override(api_type="own"), pytest.raises(errors.UnsupportedError, match="go past _raw_model_call of Own"):
        ask()


def test_a_server_without_a_batch_service_says_what_to_do(monkeypatch, start):
    start()
    monkeypatch.setenv("TINYLLM_MODE", "auto")

    with pytest.raises(errors.NotFoundError) as caught:
        ask()

    assert "without --batch" in caught.value.hint


def test_answers_are_checked_and_what_does_not_fit_is_asked_again_in_the_next_batch(service):
    typed = {"schema": "n int", "tries": 2, "text": "Which? {{ n }}"}
    leave(**typed)
    service.finish(lambda body: json.dumps({"n": int(say(body).split()[-1])}) if "3" not in say(body) else "three")

    pending = leave(**typed)

    assert pending.table["n"] == [0, 1, 2, None]
    assert len(service.asked) == 5
    service.finish(lambda _: '{"n": 3}')
    table = ask(**typed)
    assert table["n"] == [0, 1, 2, 3]
    assert len(table[3].steps) == 1
    assert ask(**typed)["source"] == ["recorded"] * 4
    assert [line["body"]["response_format"]["type"] for line in service.asked] == ["json_schema"] * 5


def test_what_does_not_fit_is_a_failed_row_that_keeps_its_text(service):
    typed = {"schema": "n int", "text": "Which? {{ n }}"}
    leave(ROWS[:1], **typed)
    service.finish(lambda _: "none")

    table = ask(ROWS[:1], **typed)

    assert isinstance(table.errors[0], errors.SchemaError)
    assert table["answer"] == ["none"]


def test_a_model_that_takes_no_schema_is_asked_without_at_the_next_time(service):
    typed = {"schema": "n int", "text": "Which? {{ n }}"}
    leave(ROWS[:1], **typed)
    words = {
        "error": {
            "message": "response_format is not supported with this model.",
            "param": "response_format",
            "code": "unsupported_parameter",
        }
    }
    service.finish(lambda _: Turn(status=400, body=words))
    assert isinstance(ask(ROWS[:1], **typed).errors[0], errors.UnsupportedError)

    leave(ROWS[:1], **typed)
    service.finish(lambda _: '{"n": 0}')

    assert "response_format" not in service.asked[-1]["body"]
    table = ask(ROWS[:1], **typed)
    assert table["n"] == [0]
    assert "its schema stands in the prompt" in table[0].notes[0]


def test_no_key_stands_in_what_is_kept_or_named(service, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "Very-Secret-9876543210")
    rows = [{"n": "harmless"}, {"n": "Very-Secret-9876543210"}]

    pending = leave(rows)

    assert [type(error) for error in pending.table.errors] == [errors.BatchPending, errors.StoreError]
    assert "MY_SECRET" in str(pending.table.errors[1])
    kept = "".join(p.read_text() for p in Path.cwd().iterdir() if "batch" in p.name and p.is_file())
    named = json.dumps([service.batches, [(f["filename"], f["purpose"]) for f in service.files.values()]])
    sent = "".join(f["content"].decode() for f in service.files.values())
    assert "harmless" in kept
    for text in (kept, named, sent):
        assert KEY not in text
        assert "Very-Secret" not in text


def test_answers_that_cannot_be_recorded_stay_with_the_vendor(service, monkeypatch):
    leave()
    service.finish(say)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "flush", lambda *_, **__: False)
        assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert not state()[0].fetched
    lose_kernel()

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]


def test_a_store_that_cannot_be_read_is_told_before_anything_is_left(service):
    Path("session.llm.jsonl").mkdir()

    with pytest.raises(errors.StoreError, match=r"session\.llm\.jsonl"):
        ask()

    assert service.calls == []


def test_an_error_that_is_kept_holds_no_key(service, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "Very-Secret-9876543210")
    leave()
    service.finish(lambda _: Turn(status=400, body={"error": {"message": "no Very-Secret-9876543210 here"}}))

    ask()

    assert len(state()[0].failures) == 4
    assert "Very-Secret" not in Path("session.batches.json").read_text()


def test_images_are_sent_whole_and_kept_as_their_digest_and_thumbnail(service, monkeypatch):
    from PIL import Image

    rows = [{"pic": Image.new("RGB", (40, 30), colour)} for colour in ("red", "blue")]
    text = "What colour? {{ pic | image }}"
    leave(rows, text)
    sent = [line["body"]["messages"][-1]["content"] for line in service.asked]
    assert all(part["image_url"]["url"].startswith("data:image/") for parts in sent for part in parts if part["type"] == "image_url")
    assert "base64" not in json.dumps([json.loads(line)["request"] for line in next(Path.cwd().glob("*.batch-*")).read_text().splitlines()])
    service.finish(lambda _: "red or blue")
    ask(rows, text)
    monkeypatch.setenv("TINYLLM_STORE", "live.llm.jsonl")
    service.add("red or blue", "red or blue")
    ask(rows, text, batch=False)

    batch, live = records(), records("live.llm.jsonl")

    assert {key: (r.request, r.thumbnails) for key, r in batch.items()} == {key: (r.request, r.thumbnails) for key, r in live.items()}
    assert all(record.thumbnails for record in batch.values())


def test_a_damaged_state_file_is_told_before_anything_is_sent(service):
    Path("session.batches.json").write_text('{"version": 1, "batches": [{"id": "../x"}]}')

    with pytest.raises(errors.StoreError, match="is damaged") as caught:
        ask()

    assert "found again" in caught.value.hint
    assert service.calls == []


def test_a_lost_state_file_asks_nothing_twice(service):
    leave()
    for path in [*Path.cwd().glob("session.batch*")]:
        path.unlink()

    leave()
    service.finish(say)

    assert ask()["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert len(service.batches) == 1


def test_azure_is_asked_at_its_own_paths_after_it_has_checked_the_file(service, monkeypatch):
    monkeypatch.setattr(batch_service, "PAUSE", 0)
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://name.example")
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    service.checks = 3
    leave(model="my-batch")
    service.finish(say)

    assert ask(model="my-batch")["answer"] == ["Say 0", "Say 1", "Say 2", "Say 3"]
    assert {line["url"] for line in service.asked} == {"/chat/completions"}
    assert service.batches["batch_1"]["endpoint"] == "/chat/completions"
    assert all("/openai/" in path and "api-version=2024-10-21" in path for path in service.paths)
    assert service.headers["api-key"] == KEY


def test_models_that_reason_are_asked_through_the_responses_api(service):
    Path("config.ini").write_text("[models.deep]\nmodel = o4-mini\napi = responses\n")
    leave(model="deep")
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Deep thought."}]}
    usage = {"input_tokens": 10, "output_tokens": 5}
    body = {"id": "resp_1", "object": "response", "status": "completed", "model": "o4-mini", "output": [item], "usage": usage}
    for batch in service.batches.values():
        lines = [
            {"custom_id": line["custom_id"], "response": {"status_code": 200, "body": body}, "error": None} for line in service.lines(batch)
        ]
        batch |= {"status": "completed", "output_file_id": service._put(lines)}

    assert ask(model="deep")["answer"] == ["Deep thought."] * 4
    assert "summary" in service.asked[0]["body"]["reasoning"]
    assert {line["url"] for line in service.asked} == {"/v1/responses"}
    assert all("input" in line["body"] for line in service.asked)


def test_a_model_that_shows_no_summary_of_its_reasoning_is_asked_without_at_the_next_time(service):
    Path("config.ini").write_text("[models.deep]\nmodel = o4-mini\napi = responses\n")
    leave(model="deep")
    words = {
        "message": "Your organization must be verified to generate reasoning summaries.",
        "param": "reasoning.summary",
        "code": "unsupported_value",
    }
    service.finish(lambda _: Turn(status=400, body={"error": words}))
    assert isinstance(ask(model="deep").errors[0], errors.UnsupportedError)

    leave(model="deep")

    assert ["summary" in (line["body"].get("reasoning") or {}) for line in service.asked] == [True] * 4 + [False] * 4
