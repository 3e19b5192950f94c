"""The seeds' way of connecting: subclasses that assign, read and replace ``self.client``."""

import gc

import pytest

from tinyllm_magic import ModelManager, OpenAIClient, errors
from tinyllm_magic.providers import openai_client

M = [{"role": "user", "content": "hi"}]


def marked(client):
    return client.with_options(default_headers={"x-mine": "yes"})


class ReadsItsOwn(OpenAIClient):
    def _setup_from_config(self):
        self.client = marked(self.client)


class CallsSuper(OpenAIClient):
    def _setup_from_config(self):
        super()._setup_from_config()
        self.client = marked(self.client)


class ConnectsItself(OpenAIClient):
    def _setup_from_config(self):
        import openai

        self.client = marked(openai.OpenAI(max_retries=0))


class ConnectsAtOnce(OpenAIClient):
    def __init__(self):
        self._setup_from_config()

    def _setup_from_config(self):
        self.client = marked(self.client)


@pytest.mark.parametrize("kind", [ReadsItsOwn, CallsSuper, ConnectsItself, ConnectsAtOnce])
@pytest.mark.parametrize("calls", [1, 3])
def test_what_a_subclass_assigns_is_what_sends(start, kind, calls):
    fake = start()
    mine = kind()
    for _ in range(calls):
        gc.collect()
        assert mine.send_message(M)["content"] == "ok"
        assert fake.headers["x-mine"] == "yes"


def test_a_bug_in_a_subclass_is_told_as_it_is(start):
    class Mine(OpenAIClient):
        def _setup_from_config(self):
            self.client = self.nothing_of_the_kind

    start()
    with pytest.raises(errors.ConfigError, match="nothing_of_the_kind"):
        Mine().client  # noqa: B018


def test_a_subclass_without_super_init_works(start):
    class Mine(OpenAIClient):
        def __init__(self, mark):
            self.mark = mark

    start()
    mine = Mine("m")
    assert (mine.send_message(M)["content"], mine.cache_api_calls, mine.mark) == ("ok", False, "m")
    assert "Mine" in repr(mine)


def in_init(self):
    self.cache_api_calls, self.cache_file_name = True, "mine.jsonl"


def before_super_init(self):
    in_init(self)
    OpenAIClient.__init__(self)


@pytest.mark.parametrize(
    "body",
    [{"__init__": in_init}, {"__init__": before_super_init}, {"cache_api_calls": True, "cache_file_name": "mine.jsonl"}],
    ids=["in __init__", "before super", "in the class"],
)
def test_recording_can_be_assigned(start, tmp_path, body):
    fake = start()
    mine = type("Mine", (OpenAIClient,), body)()
    assert [mine.send_message(M)["content"] for _ in range(2)] == ["ok", "ok"]
    assert (fake.n, mine.cache_api_calls, mine.cache_file_name) == (1, True, str(tmp_path / "place" / "mine.jsonl"))


def manager(fake, **table):
    return ModelManager({"models": {"m1": {"base_url": fake.url, "api_key": "sk-a-key-of-one-model", "model": "gpt-x", **table}}})


def test_the_client_of_a_named_model_answers_as_the_sdks(start):
    fake = start("one", environ=False)
    mine = manager(fake).create_client("m1")
    answer = mine.chat.completions.create(model="gpt-x", messages=M)
    assert (answer.choices[0].message.content, type(answer).__name__) == ("one", "ChatCompletion")
    assert (fake.last["model"], fake.headers["authorization"]) == ("gpt-x", "Bearer sk-a-key-of-one-model")
    assert [m.id for m in mine.models.list()] == ["fake-model"]
    assert mine.embeddings.create(model="e", input="ab").data[0].embedding[0] == 2
    assert str(mine.base_url).rstrip("/") == fake.url


@pytest.mark.parametrize(("retries", "requests"), [(2, 2), (0, 1)])
def test_what_is_asked_through_the_sdk_is_repeated_as_the_model_says(start, retries, requests):
    import openai

    fake = start({"status": 500, "headers": {"Retry-After": "0.01"}}, 200, environ=False)
    create = manager(fake, max_retries=retries).create_client().chat.completions.create
    if retries:
        create(model="gpt-x", messages=M)
    else:
        with pytest.raises(openai.InternalServerError):
            create(model="gpt-x", messages=M)
    assert fake.n == requests


def test_the_names_of_the_sdks_parts_are_the_sdks():
    import openai

    assert [n for n in openai_client.RESOURCES if not hasattr(openai.OpenAI, n) and n != "base_url"] == []


def test_other_names_are_missing():
    with pytest.raises(AttributeError, match="'OpenAIClient' object has no attribute 'chatt'"):
        OpenAIClient().chatt  # noqa: B018


def test_a_model_in_this_process_has_no_client_of_the_sdk():
    with pytest.raises(errors.UnsupportedError, match="send_message"):
        ModelManager({"models": {"m1": {"provider": "echo"}}}).create_client().chat  # noqa: B018
