"""A web server that shows a folder below a path, as GitHub Pages does: compressed where it compresses, and it knows what it sent."""

from __future__ import annotations

import gzip
import http.server
import mimetypes
import threading
from pathlib import Path
from urllib.parse import unquote

_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}
_COMPRESSED = ("text/", "application/json", "application/wasm", "image/svg+xml")


class StaticServer:
    """Serves ``folder`` at ``address``; ``sent`` has the path and the transferred bytes of each answer."""

    def __init__(self, folder: Path, path: str = "/reader/site/") -> None:
        self.sent: list[tuple[str, int]] = []
        self._folder, self._path, self._packed = folder, path, {}
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}{path}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = unquote(handler.path.partition("?")[0])
        file = self._folder / asked.removeprefix(self._path)
        file = file / "index.html" if file.is_dir() else file
        if not asked.startswith(self._path) or not file.is_file():
            self.sent.append((asked, 0))
            handler.send_error(404)
            return
        kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        data = self._read(file, kind.startswith(_COMPRESSED))
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        if kind.startswith(_COMPRESSED):
            handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
        self.sent.append((asked, len(data)))

    def _read(self, file: Path, compressed: bool) -> bytes:
        if file not in self._packed:
            data = file.read_bytes()
            self._packed[file] = gzip.compress(data, 6) if compressed else data
        return self._packed[file]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
