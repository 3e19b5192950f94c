"""What tokens cost, windows, and the most that a request can cost."""

import pytest
from modelmaker import GATEWAY, KEY, REF, choose

from tinyllm_magic.messages import Message, Request
from tinyllm_magic.models.catalog import EMBEDDED
from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.models.pricing import most_expensive, price, price_answer, prices, window
from tinyllm_magic.responses import Answer, Usage


def test_a_known_model_has_its_price_with_cached_tokens_cheaper():
    full, cached = price("gpt-4o", Usage(1000, 1000)), price("gpt-4o", Usage(1000, 1000, cached_tokens=200))
    assert full == pytest.approx(0.0125)
    assert cached == pytest.approx(0.01225)


def test_reasoning_is_paid_once_as_part_of_the_output():
    assert price("o3", Usage(10, 1000, reasoning_tokens=900)) == price("o3", Usage(10, 1000))


@pytest.mark.parametrize("vendor", ["openai", "azure", "mine"])
def test_a_price_goes_by_the_models_id(vendor):
    assert price("gpt-4o", Usage(1000, 1000), Endpoint(vendor)) == pytest.approx(0.0125)
    assert price("openai/gpt-4o", Usage(1000, 1000), Endpoint(vendor)) == pytest.approx(0.0125)


@pytest.mark.parametrize(
    ("model", "vendor"), [("llama3", "openai"), (EMBEDDED, "local"), ("gpt-4o", "echo"), ("gpt-4o", "local"), ("ft:gpt-4o:o::1", "openai")]
)
def test_an_unknown_price_is_none_and_so_is_that_of_this_machine(model, vendor, caplog):
    assert price(model, Usage(1000, 1000), Endpoint(vendor)) is None
    assert prices(model, Endpoint(vendor)) is None
    assert caplog.records == []


ON_THIS_MACHINE = Endpoint("openai", "http://127.0.0.1:8000/v1")


def test_a_server_on_this_machine_has_no_vendors_price_whatever_its_model_is_called():
    assert price("gpt-4o", Usage(1000, 1000), ON_THIS_MACHINE) is None
    assert prices("gpt-4o", ON_THIS_MACHINE) is None


def test_the_most_that_a_server_on_this_machine_can_cost_is_unknown():
    assert most_expensive(*_ask("gpt-4o", environ={**KEY, "OPENAI_BASE_URL": "http://localhost:1/v1"}, max_tokens=9)) is None


def test_a_gateway_beyond_this_machine_has_the_price_of_its_model():
    assert price("gpt-4o", Usage(1000, 1000), Endpoint("openai", GATEWAY)) == pytest.approx(0.0125)


def test_cached_tokens_beyond_the_prompt_are_no_error():
    assert price("gpt-4o", Usage(10, 0, cached_tokens=20)) == price("gpt-4o", Usage(10, 0, cached_tokens=10))


GROQ = Endpoint("openai", "https://api.groq.com/openai/v1", vendor="groq")
ANTHROPIC = Endpoint("openai", "https://api.anthropic.com/v1", vendor="anthropic")


@pytest.mark.parametrize("tier", ["flex", "batch"])
def test_flex_and_batch_cost_half_also_of_cached_tokens(tier):
    usage = Usage(1000, 1000, cached_tokens=200)
    assert price("gpt-5", usage, tier=tier) == pytest.approx(price("gpt-5", usage) / 2)


@pytest.mark.parametrize("tier", [None, "auto", "default", "standard"])
def test_the_usual_tier_has_the_listed_price(tier):
    assert price("gpt-4o", Usage(1000, 1000), tier=tier) == pytest.approx(0.0125)


@pytest.mark.parametrize(("endpoint", "tier"), [(Endpoint("openai"), "priority"), (ANTHROPIC, "flex")])
def test_a_tier_of_unknown_price_has_none(endpoint, tier):
    model = "claude-sonnet-4-5" if endpoint.vendor else "gpt-4o"
    assert price(model, Usage(1000, 1000), endpoint, tier) is None


def test_the_tier_that_the_answer_names_counts_before_the_one_that_was_asked_for():
    route = choose(model="gpt-4o", environ=KEY)
    asked = Request("openai", "gpt-4o", (), {"service_tier": "flex"})

    def paid(**answer):
        return price_answer(route, asked, Answer("x", usage=Usage(1000, 1000), **answer))

    assert paid() == pytest.approx(0.00625)
    assert paid(raw={"service_tier": "default"}) == pytest.approx(0.0125)
    assert most_expensive(*_ask("gpt-4o", max_tokens=1000, service_tier="flex")) == pytest.approx((19 * 2.5e-6 + 0.01) / 2)


def test_a_vendors_model_has_that_vendors_price_and_no_others():
    assert price("claude-sonnet-4-5", Usage(1000, 1000), ANTHROPIC) > 0
    assert price("llama-3.3-70b-versatile", Usage(1000, 1000), GROQ) > 0
    assert price("claude-sonnet-4-5", Usage(1000, 1000), GROQ) is None


def test_a_server_that_people_run_themselves_has_no_price_wherever_it_is():
    assert price("gpt-4o", Usage(1000, 1000), Endpoint("openai", "http://10.0.0.9:11434/v1", vendor="ollama")) is None


def test_prices_are_for_a_million_tokens():
    assert prices("gpt-4o") == (2.5, 10.0)


@pytest.mark.parametrize(
    ("model", "tokens_of_it"),
    [("gpt-4o", 128_000), ("gpt-4", 8192), ("o3", 200_000), (EMBEDDED, 2048), ("ft:gpt-3.5-turbo:o::1", 16_385), ("llama3", None)],
)
def test_a_window_comes_from_the_facts_else_from_the_price_list(model, tokens_of_it):
    assert window(model) == tokens_of_it


def _ask(model, *, environ=KEY, kind="chat", **params):
    return Request("openai", model, tuple(map(Message.of, REF)) if kind == "chat" else (), params, kind=kind), choose(
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
