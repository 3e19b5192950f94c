"""How a batch service is asked and its files are read; what is odd in its answers is told, never guessed."""

import pytest
from batchserver import BatchServer

from tinyllm_magic import errors
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.providers.batch_service import BatchAnswer, BatchService, BatchState, explain_fault, name_request, read_lines

ASKED = Request("openai", "gpt-4o-mini", (Message("user", "Why?"),), {"max_tokens": 3, "top_k": 4, "extra_body": {"own": 5}})


@pytest.fixture
def server():
    with BatchServer() as running:
        yield running


@pytest.fixture
def service(server):
    import openai

    client = openai.OpenAI(base_url=server.url, api_key="sk-1", max_retries=0)
    return BatchService(lambda send: send(client), lambda call: call(), seconds=60)


def test_a_line_asks_as_a_live_call_would(service):
    import json

    line = json.loads(service.write_line(ASKED, ASKED.key))

    messages = [{"role": "user", "content": "Why?"}]
    assert line == {
        "custom_id": ASKED.key[3:],
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o-mini", "messages": messages, "max_tokens": 3, "top_k": 4, "own": 5},
    }
    assert len(name_request(ASKED.key)) == 64


def test_an_upload_is_found_again_by_its_name_and_size(service, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b'{"custom_id": "1"}\n')

    file = service.upload(path, "ours.jsonl")

    assert service.find_upload("ours.jsonl", 19) == file
    assert service.find_upload("ours.jsonl", 18) is None
    assert service.find_upload("other.jsonl", 19) is None


def test_a_batch_is_found_among_many_by_what_its_metadata_say(service, server):
    file = server.put("a", b"", "batch")
    for number in range(250):
        server.batches[f"b{number}"] = {"id": f"b{number}", "status": "completed", "metadata": {"n": str(number)}}

    assert service.find(lambda _, metadata: metadata.get("n") == "7").id == "b7"
    assert service.find(lambda _, metadata: metadata.get("n") == "x") is None
    assert service.create(file, "chat", {"n": "x"}) == service.find(lambda _, metadata: metadata.get("n") == "x")


def test_files_and_batches_that_are_not_there_are_not_found(service, tmp_path):
    for ask in (lambda: service.retrieve("b/../../files"), lambda: service.cancel("b"), lambda: service.download("f", tmp_path / "f")):
        with pytest.raises(errors.NotFoundError) as caught:
            ask()
        assert "without --batch" in caught.value.hint


@pytest.mark.parametrize("told", [None, [], "ok", {}, {"id": "b"}, {"id": 1, "status": "x"}])
def test_what_is_no_batch_is_told_so(told):
    with pytest.raises(errors.BadResponseError, match="as a batch service does"):
        BatchState.of(told)


def test_what_a_service_leaves_out_of_a_batch_is_nothing():
    odd = {"id": "b", "status": "s", "request_counts": {"completed": "3"}, "errors": ["x"], "expires_at": "soon", "output_file_id": ""}

    assert BatchState.of(odd) == BatchState("b", "s")


def test_lines_that_are_none_are_passed_over(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b'\n{"custom_id": "1", "x": 2}\nnothing\n[1]\n{"custom_id": 3}\n\xff\n')

    assert list(read_lines(path)) == [("1", {"custom_id": "1", "x": 2})]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"response": {"status_code": 400, "body": {"error": {"code": "context_length_exceeded"}}}}, errors.ContextLengthError),
        ({"response": {"status_code": 400, "body": {"error": {"code": "content_filter"}}}}, errors.ContentFilterError),
        ({"response": {"status_code": 429, "body": {"error": {"code": "insufficient_quota"}}}}, errors.QuotaError),
        ({"response": {"status_code": 503, "body": "busy"}}, errors.ServerError),
        ({"response": {"status_code": 200, "body": {}}}, errors.BadResponseError),
        ({"response": {"status_code": 200, "body": None}}, errors.BadResponseError),
        ({"response": None, "error": {"code": "batch_expired", "message": "late"}}, errors.CallTimeoutError),
        ({"response": None, "error": {"code": "batch_cancelled", "message": "over"}}, errors.NotAsked),
        ({"response": None, "error": {"code": "odd", "message": "words"}}, errors.ServerError),
        ({"response": 3}, errors.BadResponseError),
        ({}, errors.BadResponseError),
    ],
)
def test_a_line_without_an_answer_raises_what_a_live_call_would(line, kind):
    with pytest.raises(kind) as caught:
        list(BatchAnswer(line).send(ASKED))
    assert type(caught.value) is kind


def test_no_control_character_or_key_of_a_service_reaches_a_message(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-Very-Secret-0123456789")

    error = explain_fault({"code": "odd", "message": "bad \x1b[31m key sk-Very-Secret-0123456789"})

    assert "\x1b" not in str(error)
    assert "Very-Secret" not in str(error)
