from __future__ import annotations

import configparser
import copy
import datetime as dt
import hashlib
import http.server
import logging
import pickle
import socket
import threading
import tomllib
from contextlib import contextmanager
from importlib.resources import files
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyllm_magic import tokens
from tinyllm_magic.answers import Usage
from tinyllm_magic.errors import ConfigError
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.models import (
    EMBEDDED,
    Endpoint,
    Facts,
    ModelTable,
    TokenCount,
    choose_route,
    count_messages,
    count_text,
    cut_text,
    estimate_usage,
    facts,
    is_loopback,
    key_state,
    most_expensive,
    output_limit,
    price,
    prices,
    split_tokens,
    window,
)

REF = [{"role": "system", "content": "You are helpful."}, {"role": "user", "name": "bob", "content": "hello world"}]
KEY = {"OPENAI_API_KEY": "sk-1"}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com"}
AZURE_KEY = {**AZURE, "AZURE_OPENAI_API_KEY": "k"}
GATEWAY = "https://gateway.example/v1"
BY_HAND = {"temperature", "top_p", "frequency_penalty", "presence_penalty"}


# ── facts ────────────────────────────────────────────────────────────────────────────────────────


def test_every_block_of_the_data_is_dated_and_can_be_read():
    data = tomllib.loads(files("tinyllm_magic").joinpath("models.toml").read_text("utf-8"))
    for block in data["facts"]:
        assert isinstance(block["as_of"], dt.date)
        assert set(block) - {"match"} <= set(vars(Facts()))
        assert all(pattern == pattern.lower() for pattern in block["match"])
        sample = block["match"][0].replace("*", "").replace("[0-9]", "1").replace("[124]", "1")
        assert facts(sample.rpartition(":")[2], api_type="local" if ":" in sample else None).as_of


@pytest.mark.parametrize(
    "model", ["o1", "o3", "o3-mini", "o4-mini", "gpt-5", "gpt-5-mini-2025-08-07", "ft:o4-mini:o::1", "openai/o3", "O3-Mini"]
)
def test_reasoning_models_take_max_completion_tokens_and_no_sampling(model):
    assert facts(model).max_tokens_name == "max_completion_tokens"
    assert facts(model).refuses >= BY_HAND


@pytest.mark.parametrize("model", ["gpt-5-chat-latest", "gpt-5.1", "gpt-5.2-2025-12-11", "gpt-4o", "gpt-4.1-mini", "llama3", "o", "my-o1"])
def test_models_that_sample_take_the_sampling_parameters(model):
    assert not facts(model).refuses & BY_HAND


@pytest.mark.parametrize("model", ["gpt-4-0314", "gpt-4-32k-0314", "gpt-3.5-turbo-0301", "gpt-35-turbo-0301", "o1-mini"])
def test_models_from_before_tools_take_none(model):
    assert not facts(model).tools
    assert not facts(model).json_schema


def test_an_unknown_model_is_taken_for_a_capable_one():
    assert facts("llama3") == Facts()


def test_the_embedded_model_has_its_system_message_and_window():
    known = facts(EMBEDDED)
    assert (known.system, known.window, known.local, known.tools, known.images) == (
        "You are a helpful assistant.",
        2048,
        True,
        False,
        False,
    )


def test_whatever_runs_in_this_process_is_local_and_takes_the_samplers_parameters():
    known = facts("qwen", api_type="local")
    assert known.local
    assert "top_k" in known.params
    assert "top_k" not in facts("qwen").params


def test_a_named_models_table_wins_over_the_data_also_as_text():
    table = {"refuses": "seed, n", "tools": "no", "window": "4096", "max_tokens_name": "max_tokens", "temperature": 1}
    known = facts("o3", table)
    assert (known.refuses, known.tools, known.window, known.max_tokens_name) == ({"seed", "n"}, False, 4096, "max_tokens")


@pytest.mark.parametrize("table", [{"window": "large"}, {"tools": "perhaps"}, {"refuses": 3}])
def test_a_fact_that_cannot_be_read_names_its_key(table):
    with pytest.raises(ConfigError, match=next(iter(table))):
        facts("o3", table)


# ── counting ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "model", ["gpt-4-0613", "gpt-4", "gpt-3.5-turbo", "gpt-3.5-turbo-0301", "gpt-4o", "gpt-35-turbo", "ft:gpt-4o-mini:o::1"]
)
def test_the_reference_messages_count_nineteen_exactly(model):
    counted = count_messages(REF, model)
    assert (counted, counted.estimated, str(counted)) == (19, False, "19")


def test_messages_and_dicts_count_alike():
    assert count_messages(map(Message.of, REF), "gpt-4") == count_messages(iter(REF), "gpt-4") == 19


def test_no_message_counts_three():
    assert count_messages([], "gpt-4") == 3


def test_the_oldest_model_has_four_tokens_a_message_and_one_less_a_name():
    assert count_messages([{"role": "user", "content": ""}], "gpt-3.5-turbo-0301") == 3 + 4 + 1
    assert count_messages([{"role": "user", "name": "bob", "content": ""}], "gpt-3.5-turbo-0301") == 3 + 4 + 1 + 1 - 1


@pytest.mark.parametrize("model", ["llama3", EMBEDDED, "gpt-6", ""])
def test_an_unknown_model_gets_an_estimate_that_says_so(model):
    counted = count_messages(REF, model)
    assert isinstance(counted, int)
    assert counted.estimated
    assert f"{counted}" == f"≈ {int(counted)}"
    assert 14 <= counted <= 26


@pytest.mark.parametrize("model", ["gpt-5", "o3-mini"])
def test_a_known_vocabulary_with_an_unpublished_overhead_counts_text_exactly_and_messages_about(model):
    assert not count_text("hello world", model).estimated
    assert count_messages(REF, model).estimated


def test_a_special_token_in_a_text_is_counted_as_text():
    assert count_text("<|endoftext|>", "gpt-4") > 1


def test_fine_tuned_gpt_41_has_its_own_vocabulary_and_not_that_of_gpt_4():
    text = "こんにちは世界、元気ですか"
    assert count_text(text, "ft:gpt-4.1-mini:o::1") == count_text(text, "gpt-4.1") != count_text(text, "gpt-4")


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}]])
def test_empty_content_counts_its_frame_alone(content):
    assert count_messages([{"role": "user", "content": content}], "gpt-4") == 3 + 3 + 1


def test_text_parts_count_exactly():
    parts = [{"type": "text", "text": "hello"}, {"type": "text", "text": " world"}]
    counted = count_messages([{"role": "user", "content": parts}], "gpt-4")
    assert (counted, counted.estimated) == (3 + 3 + 1 + 2, False)


@pytest.mark.parametrize(("detail", "tokens_of_it"), [("low", 85), ("high", 765), ("auto", 765)])
def test_an_image_is_counted_by_its_detail_and_marked(detail, tokens_of_it):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": detail}}
    counted = count_messages([{"role": "user", "content": [image]}], "gpt-4o")
    assert (counted, counted.estimated) == (3 + 3 + 1 + tokens_of_it, True)


def test_tools_and_tool_calls_add_tokens_and_mark_the_count():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    with_tool, with_call = count_messages(REF, "gpt-4", tools=[tool]), count_messages([asked], "gpt-4")
    assert with_tool > 19
    assert with_tool.estimated
    assert with_call > 7
    assert with_call.estimated


def test_a_count_keeps_its_mark_in_sums_copies_and_pickles():
    about = TokenCount(3, estimated=True)
    assert sum([TokenCount(1), about, 2]).estimated
    assert not (TokenCount(1) + 2).estimated
    assert copy.deepcopy(about).estimated
    assert pickle.loads(pickle.dumps(about)).estimated
    assert pickle.loads(pickle.dumps(about)) == 3


@pytest.mark.parametrize(
    ("text", "real"),
    [
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("敏捷的棕色狐狸跳过了那只懒狗", 14),
        ("Съешь ещё этих мягких французских булок", 18),
    ],
)
def test_an_estimate_is_of_the_right_size_in_several_scripts(text, real):
    assert real * 0.5 <= count_text(text, "llama3") <= real * 1.6


def test_an_estimate_of_any_text_is_at_least_one():
    assert count_text("a", "llama3") == 1
    assert count_text("", "llama3") == 0


@given(st.text(max_size=60))
def test_the_pieces_are_as_many_as_the_tokens_and_join_to_the_text(text):
    pieces = split_tokens(text, "gpt-4")
    assert "".join(pieces) == text
    assert len(pieces) == count_text(text, "gpt-4")


def test_without_an_exact_tokenizer_there_are_no_pieces():
    assert split_tokens("hello", "llama3") is None


@given(st.text(max_size=60), st.integers(-1, 12), st.sampled_from(["gpt-4o", "llama3"]))
def test_a_cut_text_is_a_beginning_within_the_limit(text, limit, model):
    cut = cut_text(text, limit, model)
    assert text.startswith(cut)
    assert count_text(cut, "gpt-4o") <= max(limit, 0)  # whose vocabulary stands in for an unknown one


def test_a_text_within_the_limit_is_not_cut():
    assert cut_text("hello big world", 3, "gpt-4") == "hello big world"
    assert cut_text("hello big world", 2, "gpt-4") == "hello big"


def test_usage_without_a_report_is_an_estimate():
    assert estimate_usage(REF, "hello world", "gpt-4") == Usage(19, 2, estimated=True)


# ── vocabularies ─────────────────────────────────────────────────────────────────────────────────


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
    codec = tokens.Vocabularies(patience=0).get("cl100k_base")
    assert codec.encode_ordinary("hello world") == [15339, 1917]
    assert list(apart.iterdir()) == []


def test_a_network_that_refuses_gives_an_estimate_without_a_word(apart, caplog, recwarn):
    shelf = tokens.Vocabularies(patience=30)
    with caplog.at_level(logging.WARNING):
        assert shelf.get("r50k_base") is None
    assert caplog.records == []
    assert list(recwarn) == []


def test_a_network_that_never_answers_is_waited_for_once_a_session(apart, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{silent.getsockname()[1]}")
        shelf = tokens.Vocabularies(patience=0.2)
        assert shelf.get("r50k_base") is None
        assert shelf._patience == 0
        assert shelf.get("p50k_base") is None
        assert [t.is_alive() and t.daemon for t in shelf._downloads.values()] == [True, True]
    for thread in shelf._downloads.values():
        thread.join(30)


def test_a_failure_is_remembered_for_the_session(apart):
    shelf = tokens.Vocabularies(patience=30)
    shelf.get("r50k_base")
    before = dict(shelf._downloads)
    shelf.get("r50k_base")
    assert shelf._downloads == before


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
        shelf, url = tokens.Vocabularies(patience=0.05), f"{address}/tiny.tiktoken"
        with pytest.raises(tokens._NotHereError):
            shelf._ranks(url, hashlib.sha256(body).hexdigest())
        release.set()
        shelf._downloads[url].join(30)
        assert shelf._ranks(url, hashlib.sha256(body).hexdigest()) == {b"a": 0, b"b": 1}


def test_tiktokens_own_cache_file_is_used_and_a_damaged_one_is_not(apart):
    url, body = "https://vendor.example/x.tiktoken", b"YQ== 0\n"
    place = apart / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    place.write_bytes(body)
    assert tokens._on_disk(url, hashlib.sha256(body).hexdigest()) == body
    place.write_bytes(b"damaged")
    assert tokens._on_disk(url, hashlib.sha256(body).hexdigest()) is None


def test_an_encoding_that_nobody_knows_is_an_estimate():
    assert tokens.count("hello", "no_such_base").estimated
    assert tokens.Vocabularies(patience=0).get("gpt2") is None


# ── prices and windows ───────────────────────────────────────────────────────────────────────────


def test_a_known_model_has_its_price_with_cached_tokens_cheaper():
    full, cached = price("gpt-4o", Usage(1000, 1000)), price("gpt-4o", Usage(1000, 1000, cached_tokens=200))
    assert full == pytest.approx(0.0125)
    assert cached == pytest.approx(0.01225)


def test_reasoning_is_paid_once_as_part_of_the_output():
    assert price("o3", Usage(10, 1000, reasoning_tokens=900)) == price("o3", Usage(10, 1000))


@pytest.mark.parametrize("vendor", ["openai", "azure", "mine"])
def test_a_price_goes_by_the_models_id(vendor):
    assert price("gpt-4o", Usage(1000, 1000), vendor=vendor) == pytest.approx(0.0125)
    assert price("openai/gpt-4o", Usage(1000, 1000), vendor=vendor) == pytest.approx(0.0125)


@pytest.mark.parametrize(
    ("model", "vendor"), [("llama3", "openai"), (EMBEDDED, "local"), ("gpt-4o", "echo"), ("gpt-4o", "local"), ("ft:gpt-4o:o::1", "openai")]
)
def test_an_unknown_price_is_none_and_so_is_that_of_this_machine(model, vendor, caplog):
    assert price(model, Usage(1000, 1000), vendor=vendor) is None
    assert prices(model, vendor=vendor) is None
    assert caplog.records == []


def test_cached_tokens_beyond_the_prompt_are_no_error():
    assert price("gpt-4o", Usage(10, 0, cached_tokens=20)) == price("gpt-4o", Usage(10, 0, cached_tokens=10))


def test_prices_are_for_a_million_tokens():
    assert prices("gpt-4o") == (2.5, 10.0)


@pytest.mark.parametrize(
    ("model", "tokens_of_it"),
    [("gpt-4o", 128_000), ("gpt-4", 8192), ("o3", 200_000), (EMBEDDED, 2048), ("ft:gpt-3.5-turbo:o::1", 16_385), ("llama3", None)],
)
def test_a_window_comes_from_the_facts_else_from_the_price_list(model, tokens_of_it):
    assert window(model) == tokens_of_it


def test_an_output_limit_is_known_or_none():
    assert (output_limit("gpt-4o-mini"), output_limit("llama3")) == (16_384, None)


def _ask(model, *, environ=KEY, kind="chat", **params):
    return Request("openai", model, tuple(map(Message.of, REF)) if kind == "chat" else (), params, kind=kind), _choose(
        model=model, environ=environ
    )


def test_the_most_a_request_can_cost_is_prompt_and_longest_answer():
    assert most_expensive(*_ask("gpt-4o", max_tokens=1000)) == pytest.approx(19 * 2.5e-6 + 0.01)
    assert most_expensive(*_ask("gpt-4o", max_tokens=1000, n=2)) == pytest.approx(19 * 2.5e-6 + 0.02)
    assert most_expensive(*_ask("gpt-4o")) == pytest.approx(19 * 2.5e-6 + 16_384e-5)


def test_the_most_an_embedding_can_cost_is_its_text():
    assert most_expensive(*_ask("text-embedding-3-small", kind="embedding", input=["hello world"])) == pytest.approx(2 * 0.02e-6)


def test_the_most_of_an_unknown_price_is_none_and_of_this_machine_nothing():
    assert most_expensive(*_ask("llama3")) is None
    assert most_expensive(*_ask(EMBEDDED)) == 0.0


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("endpoint", "identity"),
    [
        (Endpoint("openai"), "openai"),
        (Endpoint("openai", "https://api.openai.com/v1/"), "openai"),
        (Endpoint("openai", f"{GATEWAY}/"), f"openai:{GATEWAY}"),
        (Endpoint("openai", "https://me:secret@gateway.example/v1"), f"openai:{GATEWAY}"),
        (Endpoint("openai", GATEWAY, identity="shared"), "shared"),
        (Endpoint("azure", "https://res.openai.azure.com/"), "azure:https://res.openai.azure.com"),
        (Endpoint("azure"), "azure"),
        (Endpoint("local", path="/x/y.gguf"), "local"),
        (Endpoint("echo"), "echo"),
        (Endpoint("mine"), "mine"),
    ],
)
def test_the_identity_of_an_endpoint_decides_keys_and_holds_none(endpoint, identity):
    assert endpoint.provider == identity


def test_no_key_appears_in_the_repr_of_an_endpoint_or_its_route():
    route = _choose(model="a", models={"a": {"api_key": "sk-hidden", "base_url": "https://u:sk-hidden@gateway.example/v1"}})
    assert route.endpoint.api_key == "sk-hidden"
    assert "sk-hidden" not in repr(route)


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "http://127.0.0.2", "http://[::1]:8000", "http://a.localhost"])
def test_addresses_of_this_machine_are_loopback(url):
    assert is_loopback(url)


@pytest.mark.parametrize(
    "url", ["https://localhost@example.org", "http://127.0.0.1.example.org", "http://10.0.0.1", "", "http://[", "localhost"]
)
def test_other_addresses_are_not_loopback(url):
    assert not is_loopback(url)


@pytest.mark.parametrize(
    ("endpoint", "environ", "state"),
    [
        (Endpoint("openai"), KEY, "OPENAI_API_KEY is set"),
        (Endpoint("openai"), {}, "OPENAI_API_KEY is missing"),
        (Endpoint("azure"), {"AZURE_OPENAI_KEY": "k"}, "AZURE_OPENAI_KEY is set"),
        (Endpoint("openai", api_key_env="MINE"), KEY, "MINE is missing"),
        (Endpoint("openai", api_key="k"), {}, "given"),
        (Endpoint("openai", GATEWAY, trusted=False), KEY, "not sent: this folder is not trusted"),
        (Endpoint("openai", "http://localhost:1/v1"), {}, "not needed"),
        (Endpoint("local"), KEY, "not needed"),
    ],
)
def test_the_state_of_a_key_is_said_without_showing_it(endpoint, environ, state):
    assert key_state(endpoint, environ) == state


# ── routes ───────────────────────────────────────────────────────────────────────────────────────


def _choose(**given):
    return choose_route(**{"model": None, "packaged_model": "gpt-4o-mini", **given})


TABLES = {"small": {"provider": "local", "path": "/w/tiny.Q4.gguf", "temperature": 0}, "big": {"model": "gpt-4o", "base_url": GATEWAY}}
REMEMBERED = {"api_type": "azure", "model": "gpt-4o", "endpoint": "https://author.openai.azure.com"}


@pytest.mark.parametrize(
    ("given", "api_type", "model", "base_url"),
    [
        # a name that no table has: OpenAI or Azure, key or no key
        ({"model": "gpt-4o"}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "environ": KEY}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "environ": AZURE}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "environ": AZURE_KEY}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "environ": {**AZURE_KEY, **KEY}}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "environ": {**AZURE, "OPENAI_API_KEY": " "}}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "base_url": GATEWAY}, "openai", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "base_url": GATEWAY, "environ": AZURE_KEY}, "openai", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "environ": {"OPENAI_BASE_URL": GATEWAY}}, "openai", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "memory": REMEMBERED}, "openai", "gpt-4o", None),
        ({"model": "echo", "environ": KEY}, "openai", "echo", None),
        ({"model": "azure"}, "openai", "azure", None),
        # the embedded model's own name
        ({"model": EMBEDDED, "environ": KEY}, "local", EMBEDDED, None),
        # tables
        ({"model": "small", "models": TABLES, "environ": KEY}, "local", "tiny.Q4", None),
        ({"model": "big", "models": TABLES, "environ": AZURE}, "openai", "gpt-4o", GATEWAY),
        ({"models": TABLES, "environ": KEY, "memory": REMEMBERED}, "local", "tiny.Q4", None),
        ({"model": "t", "models": {"t": {}}}, "openai", "t", None),
        ({"model": "t", "models": {"t": {}}, "environ": AZURE}, "azure", "t", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "t", "models": {"t": {"base_url": ""}}, "base_url": GATEWAY}, "openai", "t", GATEWAY),
        ({"model": "t", "models": {"t": {"provider": "local"}}}, "local", EMBEDDED, None),
        ({"model": "t", "models": {"t": {"model": EMBEDDED}}}, "local", EMBEDDED, None),
        ({"model": "t", "models": {"t": {"provider": "echo", "model": "e"}}}, "echo", "e", None),
        ({"model": "t", "models": {"t": {"provider": "azure", "base_url": "https://a.example"}}}, "azure", "t", "https://a.example"),
        ({"model": "t", "models": {"t": {"azure_endpoint": "https://a.example"}}}, "azure", "t", "https://a.example"),
        ({"model": "t", "models": {"t": {"provider": "mine"}}, "registered": ["mine"]}, "mine", "t", None),
        # API_TYPE wins
        ({"model": "gpt-4o", "api_type": "azure", "environ": {**AZURE, **KEY}}, "azure", "gpt-4o", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"model": "gpt-4o", "api_type": "azure", "base_url": GATEWAY}, "azure", "gpt-4o", GATEWAY),
        ({"model": "gpt-4o", "api_type": "azure", "environ": {"OPENAI_BASE_URL": GATEWAY}}, "azure", "gpt-4o", None),
        ({"model": "gpt-4o", "api_type": "OpenAI", "environ": AZURE_KEY}, "openai", "gpt-4o", None),
        ({"model": "gpt-4o", "api_type": "echo"}, "echo", "gpt-4o", None),
        ({"api_type": "echo", "environ": KEY, "memory": REMEMBERED}, "echo", "echo", None),
        ({"api_type": "local", "environ": KEY}, "local", EMBEDDED, None),
        ({"api_type": "local", "model": "/w/other.gguf"}, "local", "other", None),
        ({"api_type": "local", "models": TABLES}, "local", "tiny.Q4", None),
        ({"api_type": "openai", "models": TABLES}, "openai", "gpt-4o", GATEWAY),
        ({"api_type": "echo", "models": TABLES}, "echo", "echo", None),
        ({"api_type": "openai"}, "openai", "gpt-4o-mini", None),
        ({"api_type": "mine", "registered": ["mine"]}, "mine", "gpt-4o-mini", None),
        ({"api_type": " ", "environ": KEY}, "openai", "gpt-4o-mini", None),
        ({"api_type": "openai", "model": "small", "models": TABLES}, "openai", "small", None),
        # nothing names a model: memory, then keys, then the embedded model
        ({"memory": REMEMBERED}, "azure", "gpt-4o", REMEMBERED["endpoint"]),
        ({"memory": REMEMBERED, "environ": KEY}, "azure", "gpt-4o", REMEMBERED["endpoint"]),
        ({"memory": {"api_type": "local", "model": EMBEDDED}, "environ": KEY}, "local", EMBEDDED, None),
        ({"memory": {"api_type": "openai", "model": "gpt-4o"}, "environ": AZURE_KEY}, "openai", "gpt-4o", None),
        ({"memory": {"api_type": "openai", "model": "gpt-4o"}, "base_url": GATEWAY}, "openai", "gpt-4o", GATEWAY),
        ({"memory": {"api_type": "gone", "model": "x"}, "environ": KEY}, "openai", "gpt-4o-mini", None),
        ({"memory": {"api_type": "openai"}}, "local", EMBEDDED, None),
        ({"environ": KEY}, "openai", "gpt-4o-mini", None),
        ({"environ": {**KEY, **AZURE_KEY}}, "openai", "gpt-4o-mini", None),
        ({"environ": AZURE_KEY}, "azure", "gpt-4o-mini", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"environ": {**AZURE, "AZURE_OPENAI_KEY": "k"}}, "azure", "gpt-4o-mini", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({"environ": AZURE}, "local", EMBEDDED, None),
        ({"base_url": GATEWAY}, "openai", "gpt-4o-mini", GATEWAY),
        ({"environ": {"OPENAI_BASE_URL": GATEWAY}}, "openai", "gpt-4o-mini", GATEWAY),
        ({"environ": {"OPENAI_BASE_URL": GATEWAY, **AZURE_KEY}}, "azure", "gpt-4o-mini", AZURE["AZURE_OPENAI_ENDPOINT"]),
        ({}, "local", EMBEDDED, None),
    ],
)
def test_the_route_follows_what_is_named_then_remembered_then_present(given, api_type, model, base_url):
    route = _choose(**given)
    assert (route.endpoint.api_type, route.model, route.endpoint.base_url) == (api_type, model, base_url)
    assert route.why


@pytest.mark.parametrize("given", [{"api_type": "zz"}, {"model": "t", "models": {"t": {"provider": "zz"}}}])
def test_an_unknown_api_type_is_an_error_that_names_the_known_ones(given):
    with pytest.raises(ValueError, match=r"zz.*openai"):
        _choose(**given)


def test_the_local_engine_does_not_answer_in_the_name_of_another_model():
    with pytest.raises(ConfigError, match="no local model 'gpt-4o'"):
        _choose(model="gpt-4o", api_type="local")


def test_a_table_gives_address_defaults_and_facts_each_to_its_place():
    table = {
        "provider": "azure",
        "model": "deployed",
        "base_url": "https://a.example",
        "api_key_env": "MY_KEY",
        "api_version": "2024-10-21",
        "identity": "team",
        "timeout": "30",
        "max_retries": 2,
        "temperature": 0.2,
        "max_tokens": 50,
        "system": "Be brief.",
        "top_k": 3,
        "refuses": ["seed"],
        "window": 4096,
    }
    route = _choose(model="t", models={"t": table})
    assert route.endpoint == Endpoint("azure", "https://a.example", "MY_KEY", None, "2024-10-21", "team", None, 30.0, 2)
    assert dict(route.defaults) == {"temperature": 0.2, "max_tokens": 50, "system": "Be brief.", "top_k": 3}
    assert (route.facts.refuses, route.facts.window, route.facts.system) == ({"seed"}, 4096, "Be brief.")
    assert (route.name, route.endpoint.provider) == ("t", "team")


def test_the_path_of_a_table_is_the_file_and_its_stem_the_model():
    route = _choose(model="small", models=TABLES)
    assert (route.endpoint.path, route.model, route.endpoint.provider, route.facts.local) == ("/w/tiny.Q4.gguf", "tiny.Q4", "local", True)


def test_a_table_for_another_vendor_gives_no_address_or_key_to_a_set_api_type():
    table = {
        "provider": "azure",
        "base_url": "https://a.example",
        "api_key": "k",
        "api_key_env": "K",
        "identity": "i",
        "timeout": 9,
        "seed": 1,
    }
    route = _choose(model="t", models={"t": table}, api_type="openai")
    assert route.endpoint == Endpoint("openai", timeout=9.0)
    assert dict(route.defaults) == {"seed": 1}


def test_an_unreadable_number_of_a_table_names_its_key():
    with pytest.raises(ConfigError, match="timeout"):
        _choose(model="t", models={"t": {"timeout": "soon"}})


def test_an_api_version_goes_to_azure_alone():
    assert _choose(model="m", environ=AZURE, api_version="v").endpoint.api_version == "v"
    assert _choose(model="m", api_version="v").endpoint.api_version is None


def _never(_):
    return False


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ({"model": "big", "models": TABLES, "is_trusted": _never}, False),
        ({"model": "big", "models": TABLES, "is_trusted": lambda name: name == "big"}, True),
        ({"model": "t", "models": {"t": {"base_url": "http://localhost:1/v1"}}, "is_trusted": _never}, True),
        ({"model": "t", "models": {"t": {}}, "is_trusted": _never}, True),
        ({"model": "m", "base_url": GATEWAY, "is_trusted": _never}, False),
        ({"model": "m", "base_url": GATEWAY, "is_trusted": lambda name: name is None}, True),
        ({"model": "m", "base_url": GATEWAY, "environ": {"OPENAI_BASE_URL": GATEWAY}, "is_trusted": _never}, True),
        ({"model": "m", "environ": AZURE, "is_trusted": _never}, True),
        ({"model": "m", "is_trusted": _never}, True),
        ({"memory": REMEMBERED}, False),
        ({"memory": REMEMBERED, "environ": AZURE_KEY}, False),
        ({"memory": REMEMBERED, "store_trusted": True}, True),
        ({"memory": REMEMBERED, "environ": {"AZURE_OPENAI_ENDPOINT": REMEMBERED["endpoint"]}}, True),
        ({"memory": {"api_type": "openai", "model": "m", "endpoint": "http://127.0.0.1:1/v1"}}, True),
        ({"memory": {"api_type": "openai", "model": "m", "endpoint": GATEWAY}, "environ": KEY}, False),
        ({"memory": {"api_type": "openai", "model": "m"}, "environ": KEY}, True),
    ],
)
def test_an_address_that_the_user_has_not_named_gets_no_key_unless_trusted(given, trusted):
    assert _choose(**given).endpoint.trusted is trusted


@pytest.mark.parametrize("given", [{"environ": KEY}, {"environ": AZURE_KEY}, {"base_url": GATEWAY}, {}])
def test_what_the_keys_decide_is_remembered_and_leads_a_reader_without_any_the_same_way(given):
    author = _choose(**given)
    reader = _choose(memory=author.memory)
    assert (reader.endpoint.provider, reader.model) == (author.endpoint.provider, author.model)


@pytest.mark.parametrize("given", [{"model": "gpt-4o"}, {"models": TABLES}, {"api_type": "echo"}])
def test_what_is_named_is_not_remembered(given):
    assert not _choose(**given).memory


def test_a_route_leads_to_another_model_of_the_same_endpoint():
    route = _choose(model="big", models=TABLES)
    other = route.for_model("o3")
    assert (other.endpoint, other.model, other.facts) == (route.endpoint, "o3", facts("o3"))
    assert route.for_model("big") is route


# ── the seeds' table of named models ─────────────────────────────────────────────────────────────


def _ini(text):
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


CONFIGS = {
    "dict": {"models": {"a": {"temperature": 0}, "b": {}}},
    "flat mapping": {"models.a": {"temperature": 0}, "models.b": {}},
    "attributes": SimpleNamespace(models=SimpleNamespace(a=SimpleNamespace(temperature=0), b=SimpleNamespace())),
    "attribute with a mapping": SimpleNamespace(models={"a": {"temperature": 0}, "b": None}),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_may_have_several_shapes(config):
    table = ModelTable(config)
    assert table.config is config
    assert list(table.models) == ["a", "b"]
    assert table.get_model_config() == table.get_model_config("a") == {"temperature": 0}
    assert table.get_model_config("b") == {}


def test_an_ini_file_has_a_section_for_each_model_and_percent_signs_are_text():
    table = ModelTable(_ini("[OpenAI]\nMODEL = x\n[models.a]\nmodel = m\ntemperature = 0.5\napi_key = 100%s\n"))
    assert table.get_model_config() == {"model": "m", "temperature": "0.5", "api_key": "100%s"}


@pytest.mark.parametrize("config", [{}, {"models": {}}, {"models": None}, SimpleNamespace(), _ini("[OpenAI]\n")])
def test_no_model_at_all_is_said_in_the_seeds_words(config):
    with pytest.raises(ValueError, match=r"^No models found in configuration\.$"):
        ModelTable(config).get_model_config()


def test_an_unknown_model_is_said_in_the_seeds_words():
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared below
        ModelTable({"models": {"a": {}, "b": {}}}).get_model_config("x")
    assert str(caught.value) == "Model 'x' not found in configuration. Available models: ['a', 'b']"


def test_the_returned_table_is_a_copy_in_depth():
    config = {"models": {"a": {"extra_body": {"k": [1]}}}}
    ModelTable(config).get_model_config()["extra_body"]["k"].append(2)
    assert config == {"models": {"a": {"extra_body": {"k": [1]}}}}


def test_a_named_model_leads_to_its_route_with_timeout_and_retries_of_its_own_then_of_the_top_level():
    table = ModelTable({"models": {"a": {"timeout": 5}, "b": {}}, "timeout": 60, "max_retries": 1})
    a, b = table.route(environ=KEY), table.route("b", environ=KEY)
    assert (a.name, a.endpoint.timeout, a.endpoint.max_retries) == ("a", 5.0, 1)
    assert (b.name, b.endpoint.timeout, b.endpoint.max_retries) == ("b", 60.0, 1)


def test_an_ini_file_has_its_general_timeout_in_its_first_section():
    table = ModelTable(_ini("[OpenAI]\nTIMEOUT = 7\n[models.a]\n"))
    assert table.route(environ={}).endpoint.timeout == 7.0


def test_a_timeout_that_nothing_sets_is_two_minutes_and_retries_stay_open():
    endpoint = ModelTable({"models": {"a": {"base_url": None, "max_retries": None}}}).route(environ={}).endpoint
    assert (endpoint.timeout, endpoint.max_retries, endpoint.base_url) == (120.0, None, None)
