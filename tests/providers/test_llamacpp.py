"""The embedded model, run by the real engine: answers, counts, errors, stopping, forks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tinyllm_magic import LLMCall
from tinyllm_magic.errors import (
    AnswerTooLargeError,
    CallTimeoutError,
    ConnectionFailedError,
    ContextLengthError,
    InvalidRequestError,
    LocalModelError,
    MissingExtraError,
    UnsupportedError,
)
from tinyllm_magic.messages import Message, Request, to_messages
from tinyllm_magic.models.catalog import EMBEDDED
from tinyllm_magic.providers import llamacpp, llamacpp_server, weights
from tinyllm_magic.providers.llamacpp import LocalProvider
from tinyllm_magic.responses import ChunkAccumulator

pytestmark = pytest.mark.model

MODEL = "SmolLM2-135M-Instruct.Q4_1"
SYSTEM = Message("system", "You are a helpful assistant.")
FOX = (SYSTEM, Message("user", "Write a long story about a fox."))
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}}, "required": ["city", "people"]}


@pytest.fixture(scope="session")
def gguf(weights_folder):
    return weights.find(cache_folder=weights_folder)


@pytest.fixture
def local(gguf):
    return LocalProvider(gguf)


def asked(messages=FOX, *, tools=(), response_format=None, kind="chat", **params):
    return Request("local", MODEL, to_messages(messages), {"max_tokens": 16, **params}, tools, response_format, kind=kind)


def ask(provider, *args, **options):
    folder = ChunkAccumulator()
    for chunk in provider.send(asked(*args, **options)):
        folder.add(chunk)
    return folder.answer()


def refusal(error, provider, *args, **options):
    with pytest.raises(error) as caught:
        ask(provider, *args, **options)
    assert "127.0.0.1" not in str(caught.value)
    assert os.sep not in caught.value.message.replace("llama.cpp", "")
    return caught.value


# answers


def test_an_answer_names_the_model_by_its_files_stem_and_says_why_it_ended(local):
    answer = ask(local)
    assert (answer.model, answer.finish_reason, answer.fingerprint.split("-")[0]) == (MODEL, "length", "xllamacpp")
    assert answer.text


def test_log_probabilities_are_those_of_the_answers_tokens_and_the_engines_timings_are_left_out(local):
    answer = ask(local, logprobs=True, top_logprobs=2)
    assert "".join(t["token"] for t in answer.logprobs["content"]) == answer.text
    assert all(len(t["top_logprobs"]) == 2 for t in answer.logprobs["content"])
    assert answer.raw is None


def test_an_answer_arrives_in_pieces(local):
    texts = [chunk.text for chunk in local.send(asked(temperature=0)) if chunk.text]
    assert len(texts) > 10


def test_usage_is_exact(local):
    usage = ask(local, max_tokens=7).usage
    assert (usage.completion_tokens, usage.estimated, usage.cached_tokens) == (7, False, 0)


def test_an_answer_can_hold_no_text_and_is_still_a_value(local):
    assert ask(local, temperature=0, logit_bias=[[2, 100]]).text == ""


@pytest.mark.parametrize("sampling", [{"seed": 7, "temperature": 1}, {"temperature": 0}])
def test_a_seeded_answer_repeats_whatever_was_asked_between(local, sampling):
    first = ask(local, **sampling)
    ask(local, "Something else entirely", seed=3)
    ask(local, [*FOX, Message("assistant", "Once"), Message("user", "Go on")], seed=5)
    assert ask(local, **sampling) == first


def test_another_seed_gives_another_answer(local):
    assert ask(local, seed=1, temperature=1).text != ask(local, seed=2, temperature=1).text


def test_a_seeded_answer_repeats_in_a_fresh_process(local, gguf):
    code = (
        "import sys; from tinyllm_magic.messages import *; from tinyllm_magic.providers.llamacpp import LocalProvider\n"
        "r = Request('local', 'm', to_messages(sys.argv[2]), {'seed': 7, 'temperature': 1, 'max_tokens': 16})\n"
        "sys.stdout.write(''.join(c.text or '' for c in LocalProvider(sys.argv[1]).send(r)))"
    )
    fresh = subprocess.run([sys.executable, "-c", code, str(gguf), "Tell me about foxes"], capture_output=True, text=True, check=True)
    assert fresh.stdout == ask(local, "Tell me about foxes", seed=7, temperature=1).text
    assert fresh.stderr == ""


def test_a_json_schema_binds_the_answer(local):
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY}}
    answer = json.loads(ask(local, "Paris", response_format=form, temperature=0, max_tokens=200).text)
    assert set(answer) == {"city", "people"}
    assert isinstance(answer["people"], int)


@pytest.mark.parametrize(
    ("pattern", "stays"), [("^[a-z]+$", True), ("^(a|b)$", True), (r"^\d+$", False), ("^(?!x)[a-z]+$", False), ("[a-z]+", False)]
)
def test_a_pattern_that_the_grammar_cannot_hold_is_not_sent(pattern, stays):
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object", "properties": {"a": {"pattern": pattern}}}}}

    sent = llamacpp._body(asked(response_format=form))["response_format"]

    assert ("pattern" in sent["json_schema"]["schema"]["properties"]["a"]) is stays
    assert form["json_schema"]["schema"]["properties"]["a"] == {"pattern": pattern}


def test_parameters_of_the_engine_are_passed_on(local):
    assert ask(local, temperature=2, top_k=1, seed=1).text == ask(local, temperature=2, top_k=1, seed=2).text


def test_max_completion_tokens_is_understood(local):
    assert ask(local, max_tokens=None, max_completion_tokens=3).usage.completion_tokens == 3


def test_a_parameter_that_is_none_is_not_sent(local):
    assert ask(local, temperature=0, top_k=None).text == ask(local, temperature=0).text


def test_many_threads_are_answered_as_one_is(local):
    alone, answers = ask(local, seed=4).text, []
    threads = [threading.Thread(target=lambda: answers.append(ask(local, seed=4).text)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [alone] * 6


# counts


@pytest.mark.parametrize(
    "messages",
    ["Hi", FOX, [*FOX, Message("assistant", "Grüße, 🦊!"), Message("user", "日本語 <|im_end|> \n\n x")], [Message("user", " a\tb ")]],
    ids=["text", "system", "many", "white space"],
)
def test_counted_messages_are_what_a_call_uses(local, messages):
    assert local.count_messages(messages) == ask(local, messages, max_tokens=1).usage.prompt_tokens


TEXTS = [
    "",
    "Hello world, how are you?",
    "Grüße 🦊 日本語 👩‍👩‍👧",
    "  two  spaces\n\ttabs ",
    "a\0b",
    "<|im_start|>user",
    "{{ x }} %% 12345",
]


@pytest.mark.parametrize("text", TEXTS)
def test_split_gives_one_piece_a_token_and_joins_to_the_text(local, text):
    pieces = local.split(text)
    assert "".join(pieces) == text
    assert len(pieces) == local.count_text(text)


def test_a_template_cuts_alike_with_and_without_the_weights(weights_folder, tmp_path, monkeypatch):
    """What is cut is part of a request's key: a reader who has no weights must ask the same as the author."""
    call = LLMCall(None, "{{ text|tokens(7) }}", model=EMBEDDED)
    text = "Grüße 🦊 日本語, and some English words after them"
    rendered = []
    for folder in (weights_folder, tmp_path / "empty"):
        monkeypatch.setenv("TINYLLM_CACHE_DIR", str(folder))
        rendered.append(call.render(text=text))
    with_weights, without = rendered
    assert with_weights == without
    assert 0 < len(without[-1].text) < len(text)


def test_a_lone_surrogate_is_refused(local):
    with pytest.raises(InvalidRequestError):
        local.count_text("\ud800")


# refusals


def test_a_prompt_longer_than_the_window_says_both_numbers(local):
    error = refusal(ContextLengthError, local, "fox " * 3000)
    assert error.message == f"the prompt has 3031 tokens, and the window of {MODEL} has 2048"


def test_a_wrong_parameter_is_named(local):
    assert "temperature" in refusal(InvalidRequestError, local, temperature="hot").message


def test_a_wrong_grammar_is_explained_in_the_error_and_nowhere_else(local, capfd):
    assert "expecting ')'" in refusal(InvalidRequestError, local, grammar="root ::= x ((").message
    assert capfd.readouterr() == ("", "")


def test_tools_to_choose_from_are_refused_by_a_template_that_has_none(local):
    error = refusal(UnsupportedError, local, tools=(TOOL,))
    assert error.feature == "tools"
    assert "tool_choice=required" in error.hint


def test_a_call_that_is_demanded_is_made_and_its_result_answered(local):
    def population(country: str) -> int:
        """Look up how many people live in a country."""
        asked.append(country)
        return 10639726

    asked = []
    held = {"model": "tiny", "temperature": 0, "max_tokens": 60, "tool_choice": "required"}
    call = LLMCall(None, "How many people live in Portugal?", tools=[population], **held)

    call.call()

    (step,) = call.response.steps
    assert asked == ["Portugal"]
    assert (step.response.finish_reason, step.results[0].text) == ("tool_calls", "10639726")
    assert call.response.text
    assert not any("take tools" in note for note in call.response.notes)


def test_the_tokens_of_calls_and_results_are_counted_as_they_are_told(local):
    called = {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    before = [m.to_dict() for m in FOX]
    plain = local.count_messages(before)
    assert local.count_messages([*before, called, {"role": "tool", "tool_call_id": "a", "content": "29"}]) > plain + 20
    assert local.count_request(asked(tools=(TOOL,), tool_choice="required")) > plain + 20
    assert local.count_request(asked(tools=(TOOL,))) == plain


def test_images_are_refused(local):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert refusal(UnsupportedError, local, [{"role": "user", "content": [image]}]).feature == "images"


def test_embeddings_are_refused(local):
    assert refusal(UnsupportedError, local, kind="embedding", input=["a"]).feature == "embeddings"


def slot(local):
    """What the engine says of the one answer that it can work on."""
    return local._engine()._exchange("GET", "/slots", None)[0]


def tokens_until_idle(local, pause=0.01):
    """How many tokens of the answer under way were seen to be made before the engine rests."""
    seen = 0
    while (now := slot(local))["is_processing"]:
        seen = max(seen, *(part["n_decoded"] for part in now["next_token"]))
        time.sleep(pause)
    return seen


def test_the_timeout_bounds_the_whole_call_and_stops_the_engine(local, gguf):
    local._engine()  # loading takes its own time
    error = refusal(CallTimeoutError, LocalProvider(gguf, timeout=0.4), max_tokens=1500, ignore_eos=True)
    assert "within 0.4 s" in error.message
    assert tokens_until_idle(local) < 1000


# the engine


def test_an_answer_that_is_too_large_is_a_clear_error(gguf):
    error = refusal(AnswerTooLargeError, LocalProvider(gguf, max_answer_bytes=1000), max_tokens=64)
    assert "MAX_ANSWER_BYTES (1,000 bytes)" in str(error)


def test_an_answer_that_is_held_and_not_read_blocks_nobody(local):
    held = local.send(asked(max_tokens=200))
    next(held)
    assert ask(local, max_tokens=2).text
    held.close()


def test_closing_an_answer_stops_the_engine(local):
    answer = local.send(asked(max_tokens=1500, ignore_eos=True))
    assert next(answer).text
    answer.close()
    assert tokens_until_idle(local) < 1000
    assert ask(local, max_tokens=1)


def test_an_interrupt_is_felt_while_the_prompt_is_still_being_read(local):
    def interrupt():
        while not slot(local)["is_processing"]:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    def ask_and_interrupt():
        thread.start()
        ask(local, "fox " * 1900)

    slot(local)
    thread = threading.Thread(target=interrupt, daemon=True)
    with pytest.raises(KeyboardInterrupt):
        ask_and_interrupt()
    thread.join()
    # while it reads a prompt, the engine looks for a closed connection after each second in which it was asked nothing else
    assert tokens_until_idle(local, pause=1.5) == 0
    assert ask(local, max_tokens=1)


def test_an_engine_that_closes_within_an_answer_does_not_wait_for_its_end(gguf):
    own = LocalProvider(gguf, window=1024)  # an engine of its own
    answer = own.send(asked(max_tokens=900, ignore_eos=True))
    pieces = [next(answer)]
    own._engine().close()
    with pytest.raises(ConnectionFailedError):
        pieces += answer
    assert len(pieces) < 900
    llamacpp_server._registry.engines.pop((gguf.resolve(), 1024))


def test_an_interpreter_that_ends_within_an_answer_ends_cleanly(gguf):
    code = (
        "import sys; from tinyllm_magic.messages import *; from tinyllm_magic.providers.llamacpp import LocalProvider\n"
        "r = Request('local', 'm', to_messages('Hi'), {'max_tokens': 1900, 'ignore_eos': True})\n"
        "answer = LocalProvider(sys.argv[1]).send(r); next(answer)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(gguf)], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_starts_its_own_engine_and_both_end_cleanly(gguf):
    code = (
        "import os, sys; from tinyllm_magic.messages import *; from tinyllm_magic.providers.llamacpp import LocalProvider\n"
        "r = Request('local', 'm', to_messages('Hi'), {'max_tokens': 8, 'temperature': 0})\n"
        "say = lambda: ''.join(c.text or '' for c in LocalProvider(sys.argv[1]).send(r))\n"
        "first = say(); child = os.fork(); again = say()\n"
        "if child: assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3\n"
        "assert again == first; sys.exit(0 if child else 3)"
    )
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(gguf)], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_providers_of_one_file_share_an_engine(gguf, tmp_path):
    link = tmp_path / "same.gguf"
    link.symlink_to(gguf)
    assert LocalProvider(link)._engine() is LocalProvider(gguf)._engine()
    assert LocalProvider(link).model == "same"


def test_the_engine_is_silent_and_its_door_wants_the_key(local, capfd):
    import http.client

    ask(local, max_tokens=2)
    server = local._engine()._pool.server
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.request("POST", "/v1/chat/completions", "{}", {"Authorization": "Bearer wrong"})
    assert connection.getresponse().status == 401
    connection.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(slice(50_000_000), "corrupted or incomplete"), (slice(3000), "key-value"), (b"hello", "magic"), (b"", "magic")],
    ids=["truncated", "header only", "no GGUF", "empty"],
)
def test_a_file_that_is_no_whole_model_is_one_clear_sentence(gguf, tmp_path, content, reason, capfd):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content if isinstance(content, bytes) else gguf.read_bytes()[content])
    error = refusal(LocalModelError, LocalProvider(broken))
    assert error.message.startswith("the engine cannot load 'broken.gguf' (llama.cpp: ")
    assert reason in error.message
    assert error.path == str(broken)
    assert capfd.readouterr() == ("", "")


def test_a_window_that_memory_cannot_hold_is_a_clear_error(gguf):
    resource = pytest.importorskip("resource")
    code = (
        "import sys; from tinyllm_magic.errors import LocalModelError; from tinyllm_magic.providers.llamacpp import LocalProvider\n"
        "try: LocalProvider(sys.argv[1], window=2_000_000).count_text('x')\n"
        "except LocalModelError as error: print(error.message)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(gguf)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000)),
    )
    assert ended.stdout.startswith("the engine cannot load 'SmolLM2")
    assert ended.stderr == ""


def test_a_missing_engine_names_the_install_line_and_fetches_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(MissingExtraError, match=r'pip install "tinyllm-magic\[local\]"') as caught:
        ask(LocalProvider(cache_folder=tmp_path / "cache"))
    assert caught.value.extra == "local"
    assert not (tmp_path / "cache").exists()


def test_without_the_engine_a_prompt_is_counted_by_estimate(gguf, monkeypatch):
    monkeypatch.setenv("TINYLLM_CACHE_DIR", str(Path(gguf).parent))
    monkeypatch.setitem(sys.modules, "xllamacpp", None)

    preview = LLMCall(None, "How tall is it?").prepare().preview()

    assert preview["estimated"]
    assert preview["total"] > 0


def test_the_embedded_model_answers_from_the_cache_folder(gguf):
    provider = LocalProvider(cache_folder=Path(gguf).parent)
    assert provider.ready
    assert ask(provider, max_tokens=1).model == MODEL
