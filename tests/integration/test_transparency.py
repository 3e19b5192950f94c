"""What a miss gives and what the hit gives: the same, deep and typed, whoever answered."""

from dataclasses import asdict, is_dataclass

import pytest
from fakeserver import FakeServer

from tinyllm_magic import LLMCall, client, override, register_client, session
from tinyllm_magic.clients.client import EchoClient
from tinyllm_magic.clients.stores import Stores
from tinyllm_magic.responses import Chunk, ToolPiece, Usage

pytestmark = pytest.mark.usefixtures("transport")

TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
LONG = {"text": "Grüße 🌍 \u2028 " + "long " * 3000, "chunk_delay": 0}
TURNS = {
    "text": "A plain answer.",
    "long and beyond ASCII": LONG,
    "tools": {"text": None, "tool_calls": [("add", {"a": 1}), ("add", {"a": 2.5, "b": None})]},
    "cut": {"text": "half", "finish_reason": "length"},
    "no usage": {"text": "x", "usage": None},
    "empty": {"text": ""},
    "usage of zeros": {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
    "usage that is no number": {"usage": {"prompt_tokens": float("nan"), "completion_tokens": float("inf")}},
    "more than we have names for": {
        "body": {
            "choices": [
                {
                    "message": {"content": "x", "annotations": [{"type": "url_citation"}], "audio": {"id": "a", "data": "QUJD"}},
                    "logprobs": {"content": [{"token": "x", "logprob": float("-inf"), "top_logprobs": []}]},
                    "finish_reason": "stop",
                }
            ],
            "citations": ["https://example.org"],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.5},
        }
    },
}


def types(value):
    """The types of a value and of all within it."""
    if is_dataclass(value):
        return type(value), {k: types(v) for k, v in vars_of(value).items()}
    if isinstance(value, dict):
        return dict, {k: types(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [types(v) for v in value]
    return type(value)


def vars_of(value):
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def twice(**params):
    """The response of a miss and that of the hit."""
    responses = []
    for _ in range(2):
        session.stores = Stores()  # as a new kernel would begin
        call = LLMCall(None, "Ask {{ 'this' }}.", mode="auto", **params)
        call.call()
        responses.append((call.response, call.model_output))
    return responses


def same(miss, hit):
    (live, output), (recorded, again) = miss, hit
    assert (live.source, recorded.source) == ("live", "recorded")
    assert live.record == recorded.record
    assert types(live.record) == types(recorded.record)
    assert asdict(live.record) == asdict(recorded.record)
    assert output == again
    assert types(output) == types(again)
    names = ("text", "tool_calls", "reasoning", "usage", "cost", "model", "finish_reason", "notes", "duration", "created", "key", "request")
    for name in (*names, "logprobs", "raw"):
        assert getattr(live, name) == getattr(recorded, name)


@pytest.mark.parametrize("turn", TURNS)
def test_openai(turn, monkeypatch):
    with FakeServer([TURNS[turn]]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        same(*twice(tools=TOOLS, model="gpt-4o-mini"))
        assert server.n == 1


PIECES = (
    '{"choices": [{"delta": {"content": "one"}, "logprobs": {"content": [{"token": "one", "logprob": -1}]}}]}',
    '{"choices": [{"delta": {"content": " two", "annotations": [{"type": "t"}]}, "logprobs": {"content": [{"token": " two"}]}}]}',
    '{"choices": [], "citations": ["c"], "usage": {"prompt_tokens": NaN, "completion_tokens": 1e400}}',
    "[DONE]",
)


def test_a_stream_without_a_finish_reason_and_with_fields_of_the_vendor(monkeypatch):
    with FakeServer([{"body": "".join(f"data: {p}\n\n" for p in PIECES), "content_type": "text/event-stream"}]) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        responses = [LLMCall(None, "Ask this.", mode="auto", model="gpt-4o-mini").prepare().stream().finish() for _ in range(2)]
        same(*((r, r.to_dict()) for r in responses))
        assert server.n == 1
    answer = responses[1]
    assert (answer.text, answer.finish_reason, answer.usage.estimated) == ("one two", None, True)
    assert answer.notes == ("the stream ended without a finish reason",)
    assert answer.raw == {"annotations": [{"type": "t"}], "citations": ["c"]}
    assert answer.logprobs == {"content": [{"token": "one", "logprob": -1}, {"token": " two"}]}


def test_azure(monkeypatch):
    with FakeServer(["An answer."]) as server:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.root)
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "a-test-key-0123456789")
        monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
        with override(api_type="azure"):
            same(*twice(model="deployment"))


def test_echo_with_everything_an_answer_can_hold():
    script = [
        [
            Chunk(note="a fallback was taken"),
            Chunk(reasoning="Let me think. "),
            Chunk(reasoning="Yes."),
            Chunk(text="Yes"),
            Chunk(text=", no."),
            Chunk(refusal="but not that"),
            Chunk(tool_pieces=(ToolPiece(0, "c1", "add", '{"a":'),)),
            Chunk(tool_pieces=(ToolPiece(0, "", "", " 1}"), ToolPiece(1, "c2", "sub", "{}"))),
            Chunk(finish_reason="tool_calls", usage=Usage(7, 5, 2, 3), model="echo-2", fingerprint="fp_1"),
        ]
    ]
    register_client("scripted", EchoClient(script=script))
    with override(api_type="scripted"):
        same(*twice())


@pytest.mark.model
def test_local(monkeypatch, weights_folder):
    monkeypatch.setenv("TINYLLM_CACHE_DIR", str(weights_folder))
    with override(api_type="local"):
        same(*twice(temperature=0, max_tokens=8))


def test_embeddings(monkeypatch):
    with FakeServer([]) as server, override(mode="auto"):
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
        first = client().get_embedding(["one", "two"], model="text-embedding-3-small")
        session.stores = Stores()
        again = client().get_embedding(["one", "two"], model="text-embedding-3-small")
        assert (first, types(first)) == (again, types(again))
        assert server.n == 1


def test_a_row_that_is_known_to_be_recorded_is_answered_and_counted_as_by_the_whole_pipeline():
    with override(api_type="echo", mode="auto"):
        live = session.prepare("Hello").answer()
        known = session.prepare("Hello").resolved()
        ways = (known.answer, known.stream().finish)
        counted = [(answer(), session.budget.totals[live.request.model].recorded) for answer in ways]
    (short, _), (whole, _) = counted
    assert short == whole
    assert (short.source, short.text) == ("recorded", "Hello")
    assert [times for _, times in counted] == [1, 2]
