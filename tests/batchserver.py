"""A batch service on loopback, as OpenAI documents it: files, batches, output and error files; it answers chats live too.

Nothing is answered before ``finish`` says so. Does not know the package under test.

::

    with BatchServer() as service:
        ...                                   # a client uploads a file, makes a batch of it
        service.finish(lambda body: "yes")    # each request's turn, as of FakeServer
        ...                                   # the client downloads the answers
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fakeserver import FakeServer, Handler, Turn, failure, whole

_FILES = re.compile(r".*/files(?:/(?P<id>[^/]+)(?P<content>/content)?)?\Z")
_BATCHES = re.compile(r".*/batches(?:/(?P<id>[^/]+)(?P<cancel>/cancel)?)?\Z")
_NOW = 1_900_000_000
CUT = "cut"
"""A fault: the connection ends before anything is done."""
LOST = "lost"
"""A fault: all is done, but the connection ends before the answer."""
SILENT = "silent"
"""A fault: all is done, but no answer comes as long as the client waits."""


class BatchServer(FakeServer):
    """``files`` and ``batches`` by id, ``calls`` as ``"POST /batches"``; faults befall the calls that begin so, one each."""

    def __init__(self, script: Iterable[Any] = ()) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.faults: list[tuple[str, int | str]] = []
        self.checks = 0  # how often a file is said to be checked still, as Azure does
        super().__init__(script)

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The lines of all batches, in order: what was paid for."""
        return [line for batch in self.batches.values() for line in self.lines(batch)]

    def count(self, call: str) -> int:
        """How many calls began so."""
        return sum(done.startswith(call) for done in self.calls)

    def lines(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]]["content"].splitlines()]

    def finish(
        self, answer: Callable[[dict[str, Any]], Any] = lambda _body: "ok", status: str = "completed", answered: int | None = None
    ) -> None:
        """End all batches that are under way; of each only so many requests are ``answered``."""
        for batch in self.batches.values():
            if batch["status"] not in ("validating", "in_progress", "finalizing", "cancelling"):
                continue
            out, bad = [], []
            for number, line in enumerate(self.lines(batch)):
                if answered is not None and number >= answered:
                    if status == "expired":
                        fault = {
                            "code": "batch_expired",
                            "message": "This request could not be executed before the completion window expired.",
                        }
                        bad.append({"id": f"r{number}", "custom_id": line["custom_id"], "response": None, "error": fault})
                    continue
                turn = Turn.of(answer(line["body"]), line["body"])
                body = whole(turn, line["body"]) if turn.status == 200 else failure(turn, line["body"])
                response = {"status_code": turn.status, "request_id": f"req_{number}", "body": turn.body or body}
                entry = {"id": f"r{number}", "custom_id": line["custom_id"], "response": response, "error": None}
                (out if turn.status == 200 else bad).append(entry)
            out.reverse()  # the order of the answers is nobody's promise
            batch["status"] = status
            batch["request_counts"] = {"total": len(self.lines(batch)), "completed": len(out), "failed": len(bad)}
            batch["output_file_id"] = self._put(out)
            batch["error_file_id"] = self._put(bad)

    def fail(self, code: str, message: str) -> None:
        """End all batches as refused."""
        for batch in self.batches.values():
            batch["status"] = "failed"
            batch["errors"] = {"object": "list", "data": [{"code": code, "message": message, "param": None, "line": None}]}

    def _put(self, lines: list[dict[str, Any]]) -> str | None:
        return self.put("output.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()) if lines else None

    def put(self, name: str, content: bytes, purpose: str = "batch_output") -> str:
        file = f"file-{len(self.files) + 1}"
        self.files[file] = {"filename": name, "content": content, "purpose": purpose}
        return file

    def take_fault(self, call: str) -> int | str | None:
        with self._lock:
            self.calls.append(call)
            found = next((fault for fault in self.faults if call.startswith(fault[0])), None)
            if found is not None:
                self.faults.remove(found)
        return None if found is None else found[1]


class _BatchHandler(Handler):
    server: Any

    def do_GET(self) -> None:  # noqa: N802  # the standard library's name
        self._serve("GET") if self._is_ours() else super().do_GET()

    def do_POST(self) -> None:  # noqa: N802  # the same
        self._serve("POST") if self._is_ours() else super().do_POST()

    def _is_ours(self) -> bool:
        path = urlsplit(self.path).path
        return bool(_FILES.match(path) or _BATCHES.match(path))

    def _serve(self, method: str) -> None:
        service: BatchServer = self.server.fake
        path = urlsplit(self.path).path
        found = _FILES.match(path) or _BATCHES.match(path)
        short = path[path.rindex("/files" if _FILES.match(path) else "/batches") :]
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        service.paths.append(self.path)
        service.headers = {k.lower(): v for k, v in self.headers.items()}
        fault = service.take_fault(f"{method} {short}")
        if fault == CUT:
            self._hang_up()
            return
        if isinstance(fault, int):
            self._json(failure(Turn(status=fault), {}), fault)
            return
        status, body = (self._files if _FILES.match(path) else self._batches)(method, found, sent)
        if fault == SILENT:
            with contextlib.suppress(OSError):
                self._wait(60)
        if fault in (LOST, SILENT):
            self._hang_up()
        elif isinstance(body, bytes):
            self._whole(Turn(content_type="application/octet-stream"), body, lambda: None)
        else:
            self._json(body, status)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _json(self, body: Any, status: int = 200) -> None:
        self._whole(Turn(status=status), body, lambda: None)

    def _files(self, method: str, found: re.Match[str], sent: bytes) -> tuple[int, Any]:
        service: BatchServer = self.server.fake
        if method == "POST":
            message = BytesParser().parsebytes(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + sent)
            parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
            name = parts["file"].get_filename()
            content = parts["file"].get_payload(decode=True)
            return 200, self._file(service.put(name, content, parts["purpose"].get_payload(decode=True).decode()))
        if found["id"] is None:
            wanted = parse_qs(urlsplit(self.path).query)["purpose"]
            listed = [self._file(file) for file, known in service.files.items() if known["purpose"] in wanted]
            return 200, {"object": "list", "data": listed, "has_more": False}
        if found["id"] not in service.files:
            return 404, failure(Turn(status=404), {})
        return 200, service.files[found["id"]]["content"] if found["content"] else self._file(found["id"])

    def _file(self, file: str) -> dict[str, Any]:
        service: BatchServer = self.server.fake
        known = service.files[file]
        service.checks -= 1
        status = "pending" if service.checks >= 0 else "processed"
        facts = {"id": file, "object": "file", "created_at": _NOW, "status": status}
        return {**facts, "filename": known["filename"], "bytes": len(known["content"]), "purpose": known["purpose"]}

    def _batches(self, method: str, found: re.Match[str], sent: bytes) -> tuple[int, Any]:
        service: BatchServer = self.server.fake
        if found["id"] is not None:
            batch = service.batches.get(found["id"])
            if batch is None:
                return 404, failure(Turn(status=404), {})
            if found["cancel"]:
                batch["status"] = "cancelling"
            return 200, batch
        if method == "POST":
            asked = json.loads(sent)
            if asked["input_file_id"] not in service.files:
                return 400, failure(Turn(status=400), {})
            name = f"batch_{len(service.batches) + 1}"
            times = {"created_at": _NOW, "expires_at": _NOW + 86_400}
            service.batches[name] = {"id": name, "object": "batch", "status": "validating", "errors": None, **times, **asked}
            return 200, service.batches[name]
        query = {key: values[-1] for key, values in parse_qs(urlsplit(self.path).query).items()}
        listed = list(reversed(service.batches.values()))
        if "after" in query:
            listed = listed[[b["id"] for b in listed].index(query["after"]) + 1 :]
        page = listed[: int(query.get("limit", 20))]
        return 200, {"object": "list", "data": page, "has_more": len(page) < len(listed)}


BatchServer.handler = _BatchHandler
