"""The scripted server of the tests itself."""

from __future__ import annotations

import threading

from chatcalls import answer, ask, fold, provider

from tinyllm_magic.models.endpoints import Endpoint
from tinyllm_magic.providers import openai_client


def test_the_server_counts_requests_that_run_at_one_time(serve):
    gate = threading.Barrier(3)

    def together(_body):
        gate.wait(10)
        return "x"

    fake = serve(together, together, together)
    one = provider(fake)
    threads = [threading.Thread(target=lambda: fold(one.send(ask()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (fake.n, fake.most_active, fake.active) == (3, 3, 0)


def test_the_server_lists_models_and_uses_no_turn_for_it(serve):
    fake = serve("kept")
    client = openai_client.connect(Endpoint("openai", fake.url), environ={}, timeout=5)
    assert [m.id for m in client.models.list()] == ["fake-model"]
    assert (fake.n, answer(fake).text) == (0, "kept")


def test_the_server_answers_ok_when_its_script_is_used_up_and_echoes_on_demand(serve):
    fake = serve({"echo": True})
    assert [answer(fake, ask("say this")).text, answer(fake).text] == ["say this", "ok"]
