"""What the tests of maps and comparisons share: a client that answers with what a function makes of the prompt."""

import threading

import pytest

from tinyllm_magic import OpenAIClient, override, register_client


class ScriptedClient(OpenAIClient):
    """Answers with what ``reply`` makes of the last message, and keeps the prompts that it is sent."""

    def __init__(self, reply=lambda text: f"<{text}>"):
        super().__init__()
        self.reply, self.prompts, self.guard = reply, [], threading.Lock()

    def _raw_model_call(self, model, params):
        text = params["messages"][-1]["content"]
        with self.guard:
            self.prompts.append(text)
        message = {"role": "assistant", "content": self.reply(text)}
        usage = {"prompt_tokens": 10, "completion_tokens": 2}
        return {"choices": [{"message": message, "finish_reason": "stop"}], "model": model, "usage": usage}


@pytest.fixture
def make_client():
    """``make_client(name)``: a scripted client that is registered under that name."""

    def make(name):
        client = ScriptedClient()
        register_client(name, client)
        return client

    return make


@pytest.fixture
def scripted(make_client):
    """The client that answers, in the mode ``auto``."""
    client = make_client("scripted")
    with override(api_type="scripted", mode="auto", waiting_time=0.001):
        yield client
