"""Errors of servers, of the SDK and of its HTTP library as this package's errors."""

from __future__ import annotations

import builtins
import email.utils
import http.client
import json
import time
import traceback
import urllib.error

import pytest
from chatcalls import KEY, TOOL, ask, both, complaint, fails
from fakeserver import Turn

from tinyllm_magic import errors
from tinyllm_magic.providers import openai_errors

pytestmark = pytest.mark.usefixtures("transport")


@both
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthError),
        (402, errors.QuotaError),
        (403, errors.AuthError),
        (404, errors.NotFoundError),
        (405, errors.InvalidRequestError),
        (408, errors.ServerError),
        (409, errors.ServerError),
        (422, errors.InvalidRequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_each_status_has_its_class_and_one_request_is_sent(serve, status, kind, stream):
    fake = serve(status)
    error = fails(fake, stream=stream)
    assert type(error) is kind
    assert (error.status, error.request_id, fake.n) == (status, "req_1", 1)
    assert f"({status}, request req_1)" in str(error)
    assert error.__cause__.status_code == status


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, complaint("too long", code="context_length_exceeded"), errors.ContextLengthError),
        (400, complaint("This model's maximum context length is 8192 tokens."), errors.ContextLengthError),
        (400, complaint("the request exceeds the available context size", type="exceed_context_size_error"), errors.ContextLengthError),
        (400, complaint("no", code="content_filter"), errors.ContentFilterError),
        (400, complaint("no", code="x", innererror={"code": "ResponsibleAIPolicyViolation"}), errors.ContentFilterError),
        (400, complaint("Invalid schema for function 'f': 'default' is not supported"), errors.InvalidRequestError),
        (400, complaint("messages with role 'tool' must follow 'tool_calls'"), errors.InvalidRequestError),
        (400, [complaint("in a list")], errors.InvalidRequestError),
        (400, {"error": "just text"}, errors.InvalidRequestError),
        (400, {"detail": "from a framework"}, errors.InvalidRequestError),
        (400, "<html><body>Bad Gateway?</body></html>", errors.InvalidRequestError),
        (429, complaint("You exceeded your current quota", code="insufficient_quota"), errors.QuotaError),
        (429, complaint("You exceeded your current quota", code=429), errors.RateLimitError),
        (500, complaint("boom"), errors.ServerError),
    ],
)
def test_the_providers_words_refine_the_class(serve, status, body, kind):
    assert type(fails(serve(Turn(status=status, body=body)))) is kind


@pytest.mark.parametrize(
    ("status", "body", "feature"),
    [
        (400, complaint("'tools' is not supported with this model", code="unsupported_parameter", param="tools"), "tools"),
        (400, {"error": "registry/gemma:latest does not support tools"}, "tools"),
        (404, complaint("No endpoints found that support tool use."), "tools"),
        (500, complaint("tools param requires --jinja flag"), "tools"),
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "tools"], "msg": "Extra inputs are not permitted"}]}, "tools"),
        (400, complaint("'response_format' of type 'json_schema' is not supported with this model."), "response_format"),
        (400, complaint("Unsupported parameter: 'max_tokens' is not supported with this model.", param="max_tokens"), "max_tokens"),
        (400, complaint("Unsupported value: 'temperature' does not support 0.2", param="temperature"), "temperature"),
        (400, complaint("Unrecognized request argument supplied: top_k"), "top_k"),
        (400, complaint("unknown field: stream_options"), "stream_options"),
    ],
)
def test_an_unsupported_feature_is_named(serve, status, body, feature):
    fake = serve(*[Turn(status=status, body=body)] * 2)
    error = fails(fake, errors.UnsupportedError)
    assert error.feature == feature


def test_the_servers_default_complaint_about_tools_is_understood(serve):
    assert fails(serve(400), errors.UnsupportedError, ask(tools=(TOOL,))).feature == "tools"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "7"}, 7), ({"retry-after-ms": "1500"}, 1.5), ({}, None)])
def test_the_wait_the_provider_asks_for_is_kept(serve, status, headers, seconds):
    assert fails(serve(Turn(status=status, headers=headers))).retry_after == seconds


def test_the_wait_may_be_a_date(serve):
    date = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert 30 < fails(serve(Turn(status=429, headers={"Retry-After": date}))).retry_after <= 61


def test_a_refused_connection_says_so(serve):
    fake = serve()
    fake.close()
    error = fails(fake, errors.ConnectionFailedError)
    assert "refused" in str(error).lower()
    assert type(error.__cause__).__name__ == "APIConnectionError"


def test_a_broken_connection_before_the_answer_is_told(serve):
    assert fails(serve(Turn(cut=0)), errors.ConnectionFailedError).retryable


@pytest.mark.parametrize("echoed", [KEY, "sk-proj-abcdef123456", "sk-abc***xyz"])
def test_no_key_appears_in_an_error_or_its_full_traceback(serve, echoed):
    error = fails(serve(Turn(status=401, body=complaint(f"Incorrect API key provided: {echoed}."))), errors.AuthError)
    everything = str(error) + repr(error) + repr(vars(error)) + "".join(traceback.format_exception(error)) + str(error.__cause__.body)
    assert "Incorrect API key provided: [key]" in str(error)
    assert echoed not in everything


def test_no_key_appears_in_an_unreadable_answer(serve):
    assert "sk-proj" not in str(fails(serve(Turn(garbage="your key sk-proj-abcdef123456"))))


HOSTILE = "\x1b]52;c;aGk=\x07\x1b[2Jgone\x9b31m\u202etxt"


def everything_of(error):
    """All that a cell, a full traceback or a debugger's glance would print."""
    return str(error) + repr(vars(error)) + "".join(traceback.format_exception(error)) + str(getattr(error.__cause__, "body", ""))


@both
@pytest.mark.parametrize(
    "turn",
    [
        Turn(status=400, body=complaint(HOSTILE, code=HOSTILE)),
        Turn(status=500, body={"detail": [{HOSTILE: HOSTILE}]}),
        Turn(status=502, body=f"<html><body>{HOSTILE}</body></html>"),
        Turn(body=complaint(HOSTILE)),
        Turn(garbage=f"no JSON {HOSTILE}"),
        Turn(garbage=f"<p>{HOSTILE}"),
        Turn(garbage=f"data: {json.dumps(complaint(HOSTILE))}\n\n", content_type="text/event-stream"),
        Turn(status=400, headers={"x-request-id": "r\x9b31m\x85"}),
    ],
    ids=["error", "detail", "page", "in a 200", "text", "page in a 200", "in a stream", "request id"],
)
def test_no_control_character_of_a_server_reaches_an_error_or_its_full_traceback(serve, turn, stream):
    said = everything_of(fails(serve(turn), stream=stream))
    assert not set(said) & {"\x1b", "\x07", "\x9b", "\x85", "\u202e"}


@pytest.mark.parametrize("turn", [Turn(status=500, body=complaint("x" * 99_999)), Turn(status=500, headers={"x-request-id": "x" * 9999})])
def test_what_a_server_says_has_an_end(serve, turn):
    assert len(str(fails(serve(turn)))) < 1000


@both
@pytest.mark.parametrize(
    "turn",
    [
        Turn(status=500, headers={"x-request-id": f"req-{KEY}"}),
        Turn(body=complaint(f"bad key {KEY}")),
        Turn(garbage=f"<p>Proxy: {KEY}</p>"),
        Turn(garbage="x" * 110 + KEY),
        Turn(status=502, body="x " * 295 + KEY),
        Turn(garbage=f"data: {json.dumps(complaint(f'bad key {KEY}', code=KEY))}\n\n", content_type="text/event-stream"),
        Turn(status=400, body=complaint(f"Unknown parameter: '{KEY}'", param=KEY)),
    ],
    ids=["request id", "in a 200", "page in a 200", "across the cut", "across the longer cut", "in a stream", "as the parameter"],
)
def test_a_key_that_a_server_echoes_reaches_no_error_and_no_full_traceback(serve, turn, stream):
    said = everything_of(fails(serve(turn), stream=stream))
    assert KEY[:8] not in said


def walk(kind):
    for child in kind.__subclasses__():
        yield child
        yield from walk(child)


def sdk_classes():
    import openai
    import openai.lib.azure

    return [c for c in walk(openai.OpenAIError) if not c.__module__.startswith(("openai.lib.beta", "openai._extras"))]


def test_every_error_class_of_the_sdk_is_translated():
    classes = sdk_classes()
    assert {"BadRequestError", "APITimeoutError", "MutuallyExclusiveAuthError"} <= {c.__name__ for c in classes}
    translated = {c.__name__: type(openai_errors.translate(c.__new__(c))) for c in classes}
    assert [name for name, kind in translated.items() if kind in (errors.ProviderError, errors.TinyLLMError)] == []


def test_the_table_names_no_class_that_nothing_has():
    """A line whose class was renamed upstream would catch nothing any more."""
    import httpx2
    import requests

    known = {c.__name__ for c in sdk_classes()} | {"OpenAIError", "JSONDecodeError"} | set(vars(builtins))
    known |= set(vars(httpx2)) | set(vars(requests.exceptions)) | set(vars(http.client))
    assert set(openai_errors.TABLE) - known == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ReadTimeout", errors.CallTimeoutError),
        ("ConnectTimeout", errors.CallTimeoutError),
        ("ReadError", errors.ConnectionFailedError),
        ("RemoteProtocolError", errors.ConnectionFailedError),
        ("ProxyError", errors.ConnectionFailedError),
        ("StreamClosed", errors.ConnectionFailedError),
    ],
)
def test_errors_of_the_http_library_are_in_the_table(name, kind):
    import httpx2

    error = getattr(httpx2, name)
    assert type(openai_errors.translate(error() if name == "StreamClosed" else error("words"))) is kind


def test_errors_of_requests_raised_by_a_transport_of_the_users_are_translated():
    import requests

    kinds = {
        requests.Timeout("words"): errors.CallTimeoutError,
        requests.ReadTimeout("words"): errors.CallTimeoutError,
        requests.ConnectTimeout("words"): errors.CallTimeoutError,
        requests.ConnectionError("words"): errors.ConnectionFailedError,
        requests.exceptions.ChunkedEncodingError("words"): errors.ConnectionFailedError,
        requests.exceptions.JSONDecodeError("words", "<html>", 0): errors.BadResponseError,
        requests.exceptions.MissingSchema("words"): errors.InvalidRequestError,
    }
    assert {type(e).__name__: type(openai_errors.translate(e)) for e in kinds} == {type(e).__name__: k for e, k in kinds.items()}


@pytest.mark.parametrize(("status", "kind"), [(401, errors.AuthError), (429, errors.RateLimitError), (503, errors.ServerError)])
def test_the_status_in_an_error_of_requests_decides(status, kind):
    import requests

    response = requests.Response()
    response.status_code = status
    assert type(openai_errors.translate(requests.HTTPError("words", response=response))) is kind


@pytest.mark.parametrize("error", [OSError("no route to host"), ConnectionResetError("reset"), BrokenPipeError("gone")], ids=repr)
def test_a_broken_connection_of_the_systems_may_pass(error):
    found = openai_errors.translate(error)
    assert isinstance(found, errors.ConnectionFailedError)
    assert str(error) in str(found)


def test_a_missing_file_in_a_transport_of_the_users_does_not_pass():
    assert not openai_errors.translate(FileNotFoundError("prices.csv")).retryable


@pytest.mark.parametrize("error", [http.client.IncompleteRead(b"half"), http.client.RemoteDisconnected("gone")], ids=repr)
def test_a_body_that_was_cut_under_a_transport_of_the_users_may_pass(error):
    found = openai_errors.translate(error)
    assert isinstance(found, errors.ConnectionFailedError)
    assert found.retryable


@pytest.mark.parametrize(("status", "kind"), [(401, errors.AuthError), (429, errors.RateLimitError), (503, errors.ServerError)])
def test_the_status_in_an_error_of_urllib_decides(status, kind):
    refused = urllib.error.HTTPError("http://127.0.0.1", status, "words", http.client.HTTPMessage(), None)
    with refused:
        found = openai_errors.translate(refused)
    assert (type(found), found.status) == (kind, status)


@pytest.mark.parametrize("status", [501, 505])
def test_what_a_server_does_not_implement_is_not_asked_for_again(serve, status):
    fake = serve(Turn(status=status, body=complaint("Not Implemented here")))
    assert not fails(fake, errors.InvalidRequestError).retryable
    assert fake.n == 1
