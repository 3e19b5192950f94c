"""Where vocabularies come from, and counts that are estimates."""

import copy
import hashlib
import http.server
import logging
import pickle
import socket
import threading
from contextlib import contextmanager

import pytest

from tinyllm_magic.models import tokenizers
from tinyllm_magic.models.tokenizers import TokenCount


def test_a_count_keeps_its_mark_in_sums_copies_and_pickles():
    about = TokenCount(3, estimated=True)
    assert sum([TokenCount(1), about, 2]).estimated
    assert not (TokenCount(1) + 2).estimated
    assert copy.deepcopy(about).estimated
    assert pickle.loads(pickle.dumps(about)).estimated
    assert pickle.loads(pickle.dumps(about)) == 3


@contextmanager
def serving(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def apart(monkeypatch, tmp_path):
    """No cache file of tiktoken, and a network that is a proxy on this machine, to be set."""
    for name in ("NO_PROXY", "no_proxy", "https_proxy", "http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "vocabularies"
    folder.mkdir()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    return folder


def test_an_installed_vocabulary_needs_no_network_and_leaves_no_trace(apart):
    codec = tokenizers.Vocabularies(patience=0).get("cl100k_base")
    assert codec.encode_ordinary("hello world") == [15339, 1917]
    assert list(apart.iterdir()) == []


def test_a_network_that_refuses_gives_an_estimate_without_a_word(apart, caplog, recwarn):
    vocabularies = tokenizers.Vocabularies(patience=30)
    with caplog.at_level(logging.WARNING):
        assert vocabularies.get("r50k_base") is None
    assert caplog.records == []
    assert list(recwarn) == []


def test_a_network_that_never_answers_is_waited_for_once_a_session(apart, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        vocabularies = tokenizers.Vocabularies(patience=0.2)
        assert vocabularies.get("r50k_base") is None
        assert vocabularies._patience == 0
        assert vocabularies.get("p50k_base") is None
        assert [t.is_alive() and t.daemon for t in vocabularies._downloads.values()] == [True, True]
    for thread in vocabularies._downloads.values():
        thread.join(30)


def test_a_failure_is_remembered_for_the_session(apart):
    vocabularies = tokenizers.Vocabularies(patience=30)
    vocabularies.get("r50k_base")
    before = dict(vocabularies._downloads)
    vocabularies.get("r50k_base")
    assert vocabularies._downloads == before


def test_a_vocabulary_that_arrives_late_is_used_by_the_next_count(apart):
    body, release = b"YQ== 0\nYg== 1\n", threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            release.wait(30)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            return

    with serving(Slow) as address:
        vocabularies, url = tokenizers.Vocabularies(patience=0.05), f"{address}/tiny.tiktoken"
        with pytest.raises(tokenizers._NotHereError):
            vocabularies._ranks(url, hashlib.sha256(body).hexdigest())
        release.set()
        vocabularies._downloads[url].join(30)
        assert vocabularies._ranks(url, hashlib.sha256(body).hexdigest()) == {b"a": 0, b"b": 1}


def test_tiktokens_own_cache_file_is_used_and_a_damaged_one_is_not(apart):
    url, body = "https://vendor.example/x.tiktoken", b"YQ== 0\n"
    place = apart / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    place.write_bytes(body)
    assert tokenizers._on_disk(url, hashlib.sha256(body).hexdigest()) == body
    place.write_bytes(b"damaged")
    assert tokenizers._on_disk(url, hashlib.sha256(body).hexdigest()) is None


def test_an_encoding_that_nobody_knows_is_an_estimate():
    assert tokenizers.count("hello", "no_such_base").estimated
    assert tokenizers.Vocabularies(patience=0).get("gpt2") is None
