"""Asks a vendor's batch service, as OpenAI's Batch API has it, through the SDK: ``BatchService``, and the format of its lines.

A file of requests is uploaded, a batch is made of it, and within a day its answers stand in an output file, its failures in
an error file: https://developers.openai.com/api/docs/guides/batch. Knows nothing of rows, records and the state of a batch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import BadResponseError, CallTimeoutError, NotAsked, NotFoundError, ProviderError, RateLimitError, TinyLLMError
from ..messages import Request
from ..redaction import clean_message
from ..responses import Chunk
from .chat_format import chat_params, to_chunks
from .openai_errors import from_body, translate
from .responses_format import read_answer
from .responses_request import responses_params

MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
"""What one batch may hold at most, and how large its file may be."""
ENDED = frozenset(("completed", "failed", "expired", "cancelled"))
"""The states in which a batch stays."""
USELESS = frozenset(("failed", "expired", "cancelled", "cancelling"))
"""The states of a batch of which not all answers can be had."""
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses"}
"""Where the requests of each kind are asked."""
_CHECKED = ("pending", "running", "uploading")  # Azure's words for a file of which no batch can be made yet
_LOOKS, PAUSE = 30, 1.0  # how often a file is looked at until it is checked, and the seconds between
_PAGE, _PAGES = 100, 10  # of the list of batches: how many stand on a page, and how many pages are looked through
_LONGEST_CUSTOM_ID = 64


@dataclass(frozen=True)
class BatchState:
    """What a batch service tells of a batch; ``errors`` say why it failed as a whole, ``expires`` is in seconds since 1970."""

    id: str
    status: str
    completed: int = 0
    failed: int = 0
    output_file: str | None = None
    error_file: str | None = None
    expires: float | None = None
    errors: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, told: Any) -> BatchState:
        """The state in a vendor's answer; raises ``BadResponseError`` where it is none."""
        if not isinstance(told, Mapping) or not isinstance(told.get("id"), str) or not isinstance(told.get("status"), str):
            raise BadResponseError("the server does not answer as a batch service does: it tells neither id nor status of a batch")
        counts, errors, expires = told.get("request_counts"), told.get("errors"), told.get("expires_at")
        counts = counts if isinstance(counts, Mapping) else {}
        listed = errors.get("data") if isinstance(errors, Mapping) else errors
        return cls(
            told["id"],
            told["status"],
            completed=_read_count(counts.get("completed")),
            failed=_read_count(counts.get("failed")),
            output_file=told.get("output_file_id") or None,
            error_file=told.get("error_file_id") or None,
            expires=float(expires) if isinstance(expires, (int, float)) else None,
            errors=tuple(e for e in listed if isinstance(e, Mapping)) if isinstance(listed, list) else (),
        )


def _read_count(value: Any) -> int:
    return value if isinstance(value, int) else 0


class BatchService:
    """The batch service of one endpoint.

    ``ask`` calls a function with the SDK's client for the endpoint, ``repeat`` makes a call again after failures that may pass;
    ``seconds`` bound each single read and write (a file may take its time), ``learnt`` are extras of the Responses API that its
    model was found to refuse. All raise ``ProviderError`` and its kinds.
    """

    def __init__(
        self,
        ask: Callable[[Callable[[Any], Any]], Any],
        repeat: Callable[[Callable[[], Any]], Any],
        *,
        seconds: float,
        is_azure: bool = False,
        learnt: set[str] | None = None,
    ) -> None:
        self._ask, self._seconds, self._is_azure = ask, seconds, is_azure
        self.repeat = repeat
        """Makes a call again after failures that may pass."""
        self.learnt = set() if learnt is None else learnt

    def path_of(self, kind: str) -> str:
        """Where requests of a kind are asked, as their lines and the batch say it."""
        return PATHS[kind].removeprefix("/v1") if self._is_azure else PATHS[kind]

    def write_line(self, request: Request, key: str) -> bytes:
        """The line of a request in a file of requests: what a live call would send, under the name that its key gives it."""
        if request.kind == "responses":
            params = responses_params(request, stream=False, without=self.learnt)
        else:
            params = chat_params(request, stream=False)
        extra = params.pop("extra_body", None) or {}
        line = {"custom_id": name_request(key), "method": "POST", "url": self.path_of(request.kind), "body": {**params, **extra}}
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"

    def upload(self, path: Path, name: str) -> str:
        """Upload a file of requests under a name; returns its id."""

        def send(client: Any) -> Any:
            with path.open("rb") as file:
                return client.files.create(file=(name, file, "application/jsonl"), purpose="batch").to_dict()

        return self._read_id(self.repeat(lambda: self._send(send)))

    def find_upload(self, name: str, size: int) -> str | None:
        """The id of a file of requests that was uploaded under a name, with so many bytes; ``None`` where there is none."""
        listed = self._get("/files", {"purpose": "batch", "limit": 1000})
        files = listed.get("data") if isinstance(listed, Mapping) else None
        found = [f for f in files or () if isinstance(f, Mapping) and f.get("filename") == name and f.get("bytes") == size]
        return self._read_id(found[0]) if found else None

    def wait_until_checked(self, file: str) -> bool:
        """Whether a batch can be made of an uploaded file; Azure checks it first, which is waited for a while."""
        if not self._is_azure:
            return True
        for _ in range(_LOOKS):
            told = self._get(f"/files/{_quote(file)}")
            if not isinstance(told, Mapping) or told.get("status") not in _CHECKED:
                return True
            time.sleep(PAUSE)
        return False

    def create(self, file: str, kind: str, metadata: Mapping[str, str]) -> BatchState:
        """Make a batch of an uploaded file. Asked once: a failure leaves open whether there is one now, which ``find`` tells."""
        body = {"input_file_id": file, "endpoint": self.path_of(kind), "completion_window": "24h", "metadata": dict(metadata)}
        return BatchState.of(self._send(lambda client: client.post("/batches", cast_to=object, body=body)))

    def find(self, is_wanted: Callable[[str, Mapping[str, Any]], bool]) -> BatchState | None:
        """The newest batch whose id and metadata are wanted, among the last thousand; ``None`` where there is none."""
        params: dict[str, Any] = {"limit": _PAGE}
        for _ in range(_PAGES):
            page = self._get("/batches", params)
            batches = page.get("data") if isinstance(page, Mapping) else None
            for told in batches or ():
                if (
                    isinstance(told, Mapping)
                    and isinstance(told.get("metadata"), Mapping)
                    and is_wanted(told.get("id", ""), told["metadata"])
                ):
                    return BatchState.of(told)
            if not batches or not page.get("has_more"):
                break
            params["after"] = BatchState.of(batches[-1]).id
        return None

    def retrieve(self, batch: str) -> BatchState:
        """How far a batch has come."""
        return BatchState.of(self._get(f"/batches/{_quote(batch)}"))

    def cancel(self, batch: str) -> BatchState:
        """End a batch; what it has answered can be read."""
        path = f"/batches/{_quote(batch)}/cancel"
        return BatchState.of(self.repeat(lambda: self._send(lambda client: client.post(path, cast_to=object))))

    def download(self, file: str, path: Path) -> None:
        """Write an output file or an error file to a path."""

        def read(client: Any) -> None:
            with client.files.with_streaming_response.content(_quote(file)) as answer, path.open("wb") as written:
                for part in answer.iter_bytes():
                    written.write(part)

        self.repeat(lambda: self._send(read))

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        options = {"params": dict(params)} if params else {}
        return self.repeat(lambda: self._send(lambda client: client.get(path, cast_to=object, options=options)))

    def _send(self, send: Callable[[Any], Any]) -> Any:
        try:
            return self._ask(lambda client: send(client.with_options(timeout=self._seconds)))
        except TinyLLMError:
            raise
        except Exception as error:
            found = translate(error)
            if isinstance(found, NotFoundError):
                found.hint = "There may be no batch service at this address: without --batch the same rows are asked live."
            raise found from error

    @staticmethod
    def _read_id(told: Any) -> str:
        if not isinstance(told, Mapping) or not isinstance(told.get("id"), str):
            raise BadResponseError("the server does not answer as a batch service does: it tells no id of the file")
        return str(told["id"])


def _quote(name: str) -> str:
    return quote(name, safe="")


def name_request(key: str) -> str:
    """The name of a request in a file of requests, from its key."""
    return key.rpartition(":")[2][:_LONGEST_CUSTOM_ID]


def read_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The lines of an output file or an error file, each with the name of its request; what is no such line is passed over."""
    with path.open("rb") as file:
        for line in file:
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and isinstance(found.get("custom_id"), str):
                yield found["custom_id"], found


class BatchAnswer:
    """The provider of one answered line: yields the answer as a live call would, or raises its error."""

    def __init__(self, line: Mapping[str, Any], notes: Iterable[str] = ()) -> None:
        self._line, self._notes = line, tuple(notes)

    def send(self, request: Request) -> Iterator[Chunk]:
        """Yield the answer in pieces; raises what a live call raises of the same status and body."""
        yield from (Chunk(note=note) for note in self._notes)
        response = self._line.get("response")
        response = response if isinstance(response, Mapping) else {}
        status, body = response.get("status_code"), response.get("body")
        if self._line.get("error") and not isinstance(body, Mapping):
            raise explain_fault(self._line["error"])
        if isinstance(status, int) and status >= 300:
            failure = from_body(body, status)
            failure.request_id = clean_message(str(response.get("request_id") or "")) or None
            raise failure
        if not isinstance(body, Mapping):
            raise BadResponseError("the batch holds no answer to this row")
        yield from read_answer(body) if request.kind == "responses" else to_chunks(body)


def explain_fault(fault: Any) -> TinyLLMError:
    """The error for what a batch service says of a row, or of a whole batch, that it has not asked."""
    code = str(fault.get("code") or "") if isinstance(fault, Mapping) else ""
    found: ProviderError = from_body({"error": fault})
    if code == "batch_expired":
        return CallTimeoutError(found.message, hint="The batch ended before this row's turn came: run the same again to leave it anew.")
    if code == "batch_cancelled":
        return NotAsked(found.message)
    if code == "token_limit_exceeded":
        return RateLimitError(found.message, hint="Too much is under way with the vendor: run the same again when a batch has ended.")
    return found
