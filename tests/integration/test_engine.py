"""The engine under load, under limits and under a budget, over real HTTP: threads, waits, fallbacks, money."""

import gc
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from IPython.utils.capture import capture_output

from tinyllm_magic import LLMCall, ModelManager, OpenAIClient, client, count_tokens, errors, override, register_client, session

M = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
REFUSED = {"status": 400, "body": {"error": {"message": "response_format json_schema is not supported", "code": "unsupported_parameter"}}}


def send(messages=M, **params):
    return client().send_message(messages, **params)


def at_once(count, do):
    """Call ``do(i)`` in so many threads that start together; results and errors in order."""
    gate = threading.Barrier(count)

    def one(i):
        gate.wait(30)
        try:
            return do(i)
        except Exception as error:  # noqa: BLE001  # an outcome like any other
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


# -- threads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("recording", [True, False])
def test_64_threads_on_one_client_lose_and_double_no_request(start, recording):
    fake = start(*[{"echo": True}] * 64)
    shared = OpenAIClient(cache_api_calls=recording, cache_file_name="many.jsonl")
    answers = at_once(64, lambda i: shared.send_message(f"question {i}")["content"])
    assert answers == [f"question {i}" for i in range(64)]
    assert sorted(b["messages"][0]["content"] for b in fake.bodies) == sorted(answers)


def test_64_threads_with_one_question_make_one_request_and_get_one_answer(start):
    fake = start({"text": "once", "delay": 0.1}, *["again"] * 63)
    shared = OpenAIClient(cache_api_calls=True, cache_file_name="many.jsonl")
    assert at_once(64, lambda _: shared.send_message(M)["content"]) == ["once"] * 64
    assert fake.n == 1


def test_64_threads_of_which_many_fail_first_ask_again_each_for_itself(start, sleeps):
    fake = start(*[429] * 20, *[500] * 20, *[{"echo": True}] * 64)
    answers = at_once(64, lambda i: send(f"question {i}", max_attempts=41)["content"])
    assert answers == [f"question {i}" for i in range(64)]
    assert fake.n == 64 + 40


def test_one_client_serves_several_endpoints_at_once_without_mixing_them(start):
    class Mine(OpenAIClient):
        """A registered client: it serves every named model of its type itself."""

    fakes = [start(*[{"echo": True}] * 16, environ=False) for _ in range(4)]
    mine = Mine()
    register_client("mine", mine)
    tables = "".join(f"[models.m{i}]\nprovider=mine\nbase_url={f.url}\nidentity=gateway {i}\n" for i, f in enumerate(fakes))
    Path("config.ini").write_text(tables, encoding="utf-8")
    assert not [e for e in at_once(64, lambda i: mine.send_message(f"for {i % 4}", model=f"m{i % 4}")) if isinstance(e, Exception)]
    for i, fake in enumerate(fakes):
        assert [b["messages"][0]["content"] for b in fake.bodies] == [f"for {i}"] * 16


def test_no_more_calls_are_under_way_than_the_cap(start):
    fake = start(*[{"delay": 0.05}] * 12)
    with override(max_concurrent_model_calls=3):
        at_once(12, lambda i: send(f"question {i}"))
    assert fake.n == 12
    assert fake.most_active == 3


def test_an_override_holds_in_all_threads_until_its_block_ends(start):
    fake = start()
    with override(model="everywhere"):
        at_once(4, lambda _: send())
    assert {b["model"] for b in fake.bodies} == {"everywhere"}
    send()
    assert fake.last["model"] == "gpt-4o-mini"


def test_overrides_of_two_threads_end_each_with_its_own_block():
    entered, left = threading.Event(), threading.Event()

    def other():
        with override(temperature=1):
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=other)
    with override(temperature=0):
        thread.start()
        entered.wait(10)
    assert session.settings().temperature == 1
    left.set()
    thread.join()
    assert session.settings().temperature is None


# -- waits ----------------------------------------------------------------------------------------


INTERRUPTED = """
import os, signal, sys, threading, time
from tinyllm_magic import client
import tenacity.nap
asleep, awake = threading.Event(), threading.Event()
class Clock:
    @staticmethod
    def sleep(seconds):
        assert seconds == 250, seconds
        asleep.set()
        time.sleep(seconds)
tenacity.nap.time = Clock
def interrupt():
    asleep.wait(30)
    while not awake.wait(0.5):  # again, because a signal just before the system call is only seen after it
        os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with interrupts off
threading.Thread(target=interrupt, daemon=True).start()
try:
    client().send_message("hi")
except KeyboardInterrupt:
    awake.set()
    print("interrupted")
"""


def test_interrupting_a_wait_between_attempts_works_at_once(start):
    fake = start({"status": 429, "headers": {"Retry-After": "250"}}, 200)
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)
    assert fake.n == 1


def test_an_interrupt_in_a_stream_ends_it_hangs_up_and_records_nothing(start):
    fake = start({"text": "one two three", "hang": 2})
    mine = OpenAIClient(cache_api_calls=True, cache_file_name="a.jsonl")
    plan = mine.prepare(M)
    stream = plan.stream()
    assert next(stream) is not None
    with pytest.raises(KeyboardInterrupt):
        iter(stream).throw(KeyboardInterrupt())
    assert fake.hung_up.wait(10)
    assert not Path("a.jsonl").exists()
    assert session.budget.totals[plan.request.model].failed == 1


def test_no_retry_is_logged_to_the_screen_and_staminas_switches_stay(start, capfd):
    import stamina

    start(429, 200)
    hooks, active, testing = stamina.instrumentation.get_on_retry_hooks(), stamina.is_active(), stamina.is_testing()
    send(waiting_time=0)
    assert stamina.instrumentation.get_on_retry_hooks() == hooks
    assert (stamina.is_active(), stamina.is_testing()) == (active, testing)
    assert capfd.readouterr() == ("", "")


def test_hooks_that_the_user_gave_stamina_are_called(start):
    import stamina

    start(429, 200)
    before, seen = stamina.instrumentation.get_on_retry_hooks(), []
    stamina.instrumentation.set_on_retry_hooks([seen.append])
    try:
        send(waiting_time=0)
    finally:
        stamina.instrumentation.set_on_retry_hooks(before)
    assert [d.retry_num for d in seen] == [1]


SEVERAL = """
from tinyllm_magic import client, errors, OpenAIClient
for text in ("a", "b", "c"):
    client().send_message(text, waiting_time=0)
client().get_embedding("x")
try:
    client().send_message("d", timeout=0.3, max_attempts=1)
except errors.CallTimeoutError:
    pass
stream = OpenAIClient().prepare("e").stream()
next(stream)
del stream
"""


def test_nothing_is_left_open_or_printed(start):
    start("a", 429, "b", {"cut": 1}, "c", 200, {"hang": 1}, {"text": "one two", "hang": 2})
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", SEVERAL], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- what a model does not take -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "params", "words"),
    [(400, {"tools": TOOLS}, "does not take tools"), (REFUSED, {"response_format": SCHEMA}, "does not take response format")],
)
def test_a_feature_that_is_refused_is_left_out_once_and_remembered(start, turn, params, words, caplog):
    fake = start(turn, "first", "second")
    first, second = LLMCall("Say {{ x }}", model="m", **params), LLMCall("Say {{ x }}", model="m", **params)
    assert first.call(x="one") == "first"
    assert second.call(x="two") == "second"
    assert fake.n == 3
    (feature,) = params
    assert [feature in b for b in fake.bodies] == [True, False, False]
    assert any(words in n for n in first.response.notes)
    assert first.response.notes == second.response.notes
    assert caplog.text.count(words) == 1


def test_what_was_left_out_is_told_on_the_card_and_by_the_record(shell, start):
    start(REFUSED, "free text")
    for source in ("live", "recorded"):
        with capture_output() as shown:
            shell.run_cell_magic("llm", '-p response_format={"type":"json_object"}', "hi")
        card = shown.outputs[-1].data["text/plain"]
        assert "note: gpt-4o-mini does not take response format; asked without" in card
        assert source in card


def test_a_retry_after_the_fallback_keeps_its_note(start, sleeps):
    start(REFUSED, 429, "at last")
    call = LLMCall("Say x", model="m", response_format=SCHEMA)
    assert call.call() == "at last"
    assert len(call.response.notes) == 1


# -- money ----------------------------------------------------------------------------------------

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, "prompt_tokens_details": {"cached_tokens": 800}}


def call(**params):
    made = LLMCall("Say x", **{"model": "gpt-4o", **params})
    made.call()
    return made.response


def test_cached_input_has_its_own_price(start):
    start({"usage": USAGE}, {"usage": {**USAGE, "prompt_tokens_details": None}}, far=True)
    cached, plain = call(), call(sample=1)
    assert cached.usage.cached_tokens == 800
    assert 0 < cached.cost < plain.cost
    assert cached.cost_estimated  # the endpoint is not the vendor's


def test_the_price_of_an_unknown_model_is_none_and_never_0(start):
    start()
    assert call(model="nobody-knows-it").cost is None


def test_tokens_are_estimated_where_the_provider_reports_none(start):
    start({"usage": None}, far=True)
    response = call()
    assert response.usage.estimated
    assert response.usage.prompt_tokens > 3
    assert response.cost > 0


def test_a_price_behind_a_foreign_endpoint_counts_and_is_marked(shell, start):
    start({"usage": USAGE}, far=True)
    with capture_output() as shown:
        shell.run_cell_magic("llm", "-m gpt-4o", "hi")
    assert "≈ $0.00" in shown.outputs[-1].data["text/plain"]
    assert session.budget.spent > 0
    with capture_output() as shown:
        shell.run_line_magic("llm_usage", "")
    assert "≈ $0.00" in shown.outputs[0].data["text/plain"]


def test_a_server_on_this_machine_has_no_price_whatever_its_model_is_called(shell, start):
    start({"usage": USAGE})
    assert call().cost is None
    with capture_output() as shown:
        shell.run_line_magic("llm_usage", "")
    assert "1 of unknown price" in shown.outputs[0].data["text/plain"]


@pytest.mark.parametrize(
    ("provider", "estimated"), [("openai", False), ("azure:https://x", False), ("openai:http://g", True), ("ours", True)]
)
def test_the_vendors_own_price_is_no_estimate(provider, estimated):
    from tinyllm_magic.messages import Request
    from tinyllm_magic.responses import Answer, Record, Response, Usage

    answer = Answer("x", finish_reason="stop", usage=Usage(1, 1))
    assert Response(Request(provider, "gpt-4o", ()), Record("k", {}, answer, cost=0.1)).cost_estimated is estimated


def test_usage_tells_live_from_recorded(shell, start):
    start({"usage": USAGE}, far=True)
    shell.run_cell_magic("llm", "-q -m gpt-4o", "hi")
    shell.run_cell_magic("llm", "-q -m gpt-4o", "hi")
    total = session.budget.totals["gpt-4o"]
    assert (total.live, total.recorded, total.failed) == (1, 1, 0)
    assert (total.usage.prompt_tokens, total.saved_usage.prompt_tokens) == (1000, 1000)
    assert total.cost == total.saved > 0
    shell.run_line_magic("llm_usage", "--reset")
    assert session.budget.totals == {}


def test_a_budget_refuses_before_anything_is_sent(shell, start):
    fake = start(far=True)
    shell.run_line_magic("llm_usage", "--budget 0.0001")
    with pytest.raises(errors.BudgetError, match="budget of") as caught:
        call(max_tokens=1000)
    assert (caught.value.budget, caught.value.spent, fake.n) == (0.0001, 0, 0)
    assert "--budget" in caught.value.hint
    shell.run_line_magic("llm_usage", "--budget off")
    call(max_tokens=1000)
    assert fake.n == 1


def test_a_recorded_answer_is_within_every_budget(start):
    fake = start({"usage": USAGE}, far=True)
    with override(cache_api_calls=True, cache_file_name="a.jsonl"):
        call()
        session.budget.set_limit(0)
        assert call().source == "recorded"
    assert fake.n == 1


def test_an_unknown_price_passes_the_budget_with_one_warning(start):
    fake = start()
    session.budget.set_limit(0.0001)
    with pytest.warns(UserWarning, match="price of nobody-knows-it is unknown"):
        call(model="nobody-knows-it")
    call(model="nobody-knows-it", sample=1)  # warnings are errors here
    assert fake.n == 2


def test_what_runs_here_is_within_every_budget():
    session.budget.set_limit(0)
    with override(api_type="echo"):
        assert str(call(model="echo")) == "Say x"


@pytest.mark.parametrize("amount", ["much", "-1", "nan", "inf"])
def test_a_budget_is_an_amount(amount):
    with pytest.raises(ValueError, match="US dollars"):
        session.budget.set_limit(amount)


def test_threads_cannot_pass_a_budget_together(start):
    fake = start(*[{"usage": USAGE, "delay": 2}] * 16, far=True)
    count_tokens("the vocabulary is read before the threads begin", model="gpt-4o")
    most = 0.0105  # 1000 tokens of answer at 10 dollars a million, and a short prompt
    session.budget.set_limit(3 * most)
    outcomes = at_once(16, lambda i: send(f"question {i}", model="gpt-4o", max_tokens=1000))
    refused = [o for o in outcomes if isinstance(o, errors.BudgetError)]
    assert fake.n == 3
    assert len(refused) == 13
    assert "reserved" in str(refused[0])
    assert session.budget.spent <= 3 * most


def test_what_was_reserved_is_free_again_when_a_call_has_ended(start, sleeps):
    fake = start({"usage": USAGE}, 401, {"usage": USAGE}, {"usage": USAGE}, far=True)
    session.budget.set_limit(0.0145)  # one call at a time, and the price of what it cost
    call(max_tokens=1000)
    with pytest.raises(errors.AuthError):
        call(max_tokens=900)
    call(max_tokens=900)
    assert fake.n == 3


def test_a_stream_that_nobody_reads_to_its_end_frees_what_it_reserved(start):
    start({"text": "one two", "hang": 2}, 200, far=True)
    session.budget.set_limit(0.0145)
    mine = OpenAIClient()
    stream = mine.prepare(M, "gpt-4o", {"max_tokens": 1000}).stream()
    next(stream)
    stream.close()
    assert send(model="gpt-4o", max_tokens=1000)["content"] == "ok"


# -- logs -----------------------------------------------------------------------------------------


def test_a_failed_call_is_kept_in_the_history_with_its_error(start):
    start(401)
    with pytest.raises(errors.AuthError):
        send()
    assert isinstance(session.history[-1].error, errors.AuthError)


def test_the_sdk_does_not_retry_by_itself_nor_log(start, sleeps, caplog):
    fake = start(500, 500)
    with caplog.at_level(logging.WARNING, "openai"), pytest.raises(errors.ServerError):
        ModelManager({"models": {"m": {"max_retries": 1, "base_url": fake.url}}}).create_client().send_message(M)
    assert fake.n == 2
    assert not [r for r in caplog.records if r.name.startswith("openai")]


def test_an_answer_in_one_piece_is_asked_for_as_the_sdk_asks(start, monkeypatch):
    """Over the SDK it goes past its typed models, but with its headers, its address and its parameters."""
    import openai

    monkeypatch.setenv("TINYLLM_TRANSPORT", "sdk")
    server = start(200, 200)
    said = client().send_message("hi", model="gpt-4o-mini", temperature=0.5, mode="off")
    ours = dict(server.headers)
    openai.OpenAI(max_retries=0).chat.completions.create(model="gpt-4o-mini", messages=M, temperature=0.5)
    assert said["content"]
    assert server.bodies[0] == server.bodies[1]
    assert server.paths[0] == server.paths[1]
    assert ours | {"x-stainless-read-timeout": "600"} == dict(server.headers)  # the limit of a call is ours to keep
    assert ours["authorization"].startswith("Bearer sk-")


def test_whoever_stands_in_the_place_of_the_sdks_create_is_asked(start, monkeypatch):
    import openai

    start()
    seen = []

    def traced(**params):
        seen.append(params["model"])
        return {"choices": [{"message": {"role": "assistant", "content": "by the tracer"}, "finish_reason": "stop"}]}

    monkeypatch.setattr(openai.resources.chat.completions.Completions, "create", lambda self, **params: traced(**params))
    assert client().send_message("hi", model="gpt-4o-mini", mode="off")["content"] == "by the tracer"
    assert seen == ["gpt-4o-mini"]


@pytest.mark.parametrize("mode", ["off", "refresh"])
def test_a_call_leaves_nothing_for_the_garbage_collector(start, mode):
    start()
    client().send_message("first", mode=mode)
    gc.collect()
    gc.disable()
    try:
        for n in range(50):
            client().send_message(f"Number {n}", mode=mode)
        circles = gc.collect()
    finally:
        gc.enable()

    assert circles < 50
