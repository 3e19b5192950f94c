"""Rows 40 to 50 of the seeds' table: counting, model facts, Azure, keys, logs, ``ModelManager``, ``call_llm``; and the kernel test."""

import configparser
import logging
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from notebookmaker import printed

import tinyllm_magic
from tinyllm_magic import ModelManager, call_llm, client, count_tokens, errors, override, session
from tinyllm_magic.settings import layers

pytestmark = pytest.mark.usefixtures("transport")

M = [{"role": "user", "content": "hi"}]
REF = [{"role": "system", "content": "You are helpful."}, {"role": "user", "name": "bob", "content": "hello world"}]
TOOLS = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]


def send(messages=M, **params):
    return client().send_message(messages, **params)


# -- 40 to 42: counting and model facts -----------------------------------------------------------


OVERHEAD_OF_THREE = ("gpt-3.5-turbo-0613", "gpt-3.5-turbo-16k-0613", "gpt-4-0314", "gpt-4-32k-0314", "gpt-4-0613", "gpt-4-32k-0613")


@pytest.mark.parametrize("model", [*OVERHEAD_OF_THREE, "gpt-4", "gpt-3.5-turbo", "gpt-3.5-turbo-0301"])
@pytest.mark.row(40)
def test_the_reference_messages_count_as_in_the_seeds(model):
    assert count_tokens(REF, model) == 19
    assert not count_tokens(REF, model).estimated


@pytest.mark.row(40)
def test_no_message_counts_three():
    assert count_tokens([], "gpt-4") == 3


@pytest.mark.row(40)
def test_the_oldest_model_has_four_a_message_and_one_less_a_name():
    bare = [{"role": "user", "content": "hello world"}]
    named = [{"role": "user", "content": "hello world", "name": "bob"}]
    assert count_tokens(bare, "gpt-3.5-turbo-0301") == count_tokens(bare, "gpt-4-0613") + 1
    assert count_tokens(named, "gpt-3.5-turbo-0301") - count_tokens(bare, "gpt-3.5-turbo-0301") == count_tokens("bob", "gpt-4") - 1


@pytest.mark.parametrize("model", ["llama3", "gpt-4o", "gpt-5-mini", "o1-mini", "gpt-35-turbo", "prod-ppo"])
@pytest.mark.row(41)
def test_every_model_gets_a_number_or_an_estimate_without_a_word(model, caplog):
    count = count_tokens(REF, model)
    assert isinstance(count, int)
    assert 10 < count < 30
    assert str(count).startswith("≈") is count.estimated
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "messages",
    [
        [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            }
        ],
        [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        [{"role": "user", "content": "<|endoftext|>"}],
    ],
    ids=["no content", "parts", "special token"],
)
@pytest.mark.row(41)
def test_odd_contents_are_counted(messages):
    assert count_tokens(messages, "gpt-4") > 3


@pytest.mark.row(41)
def test_without_any_vocabulary_a_count_is_an_estimate_and_no_error_is_logged(monkeypatch, caplog):
    monkeypatch.setattr("tinyllm_magic.models.tokenizers._vocabularies.get", lambda _name: None)
    count = count_tokens(REF, "gpt-4")
    assert count.estimated
    assert 10 < count < 30
    assert caplog.records == []


@pytest.mark.row(41)
def test_sending_counts_nothing(start, monkeypatch):
    start()
    monkeypatch.setattr("tinyllm_magic.models.tokenizers.count", lambda *_: pytest.fail("counted"))
    monkeypatch.setattr("tinyllm_magic.models.tokenizers.count_messages", lambda *_, **__: pytest.fail("counted"))
    assert send()["content"] == "ok"


@pytest.mark.row(42)
def test_a_reasoning_model_gets_its_own_parameters(start):
    fake = start()
    with override(temperature=0.3, top_p=0.5):
        send(model="o3-mini", max_tokens=5)
    assert fake.last["max_completion_tokens"] == 5
    assert not {"max_tokens", "temperature", "top_p"} & set(fake.last)


@pytest.mark.row(42)
def test_what_was_left_out_is_told_on_the_card(shell, start):
    from IPython.utils.capture import capture_output

    start()
    for source in ("live", "recorded"):
        with capture_output() as shown:
            shell.run_cell_magic("llm", "-m o3-mini --temperature 0.5", "hi")
        card = shown.outputs[-1].data["text/plain"]
        assert "o3-mini takes no temperature" in card
        assert source in card


@pytest.mark.row(42)
def test_the_rules_are_data_that_a_named_model_may_change(start):
    fake = start()
    table = f"[models.mine]\nbase_url={fake.url}\nmax_tokens_name=max_completion_tokens\nrefuses=temperature\n"
    Path("config.ini").write_text(table, encoding="utf-8")
    send(model="mine", max_tokens=5, temperature=1)
    assert fake.last["max_completion_tokens"] == 5
    assert "temperature" not in fake.last


# -- 43 to 46: Azure, keys, logs, input -----------------------------------------------------------


@pytest.mark.parametrize("name", ["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_KEY"])
@pytest.mark.row(43)
def test_azure_is_asked_at_its_deployment(start, monkeypatch, name):
    fake = start(environ=False)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.root)
    monkeypatch.setenv(name, "azure-secret")
    Path("config.ini").write_text("[OpenAI]\nAPI_TYPE=azure\nAZURE_API_VERSION=2024-10-21\n", encoding="utf-8")
    assert send(model="my-deployment")["content"] == "ok"
    assert fake.path == "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    assert fake.headers["api-key"] == "azure-secret"


@pytest.mark.row(43)
def test_azures_version_may_stand_in_the_environment_and_embeddings_go_there_too(start, monkeypatch):
    fake = start(environ=False)
    for name, value in {"ENDPOINT": fake.root, "API_KEY": "k"}.items():
        monkeypatch.setenv(f"AZURE_OPENAI_{name}", value)
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-01-01")
    with override(api_type="azure"):
        client().get_embedding("x", model="vectors")
    assert fake.path == "/openai/deployments/vectors/embeddings?api-version=2025-01-01"


@pytest.mark.parametrize("missing", ["AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "AZURE_API_VERSION"])
@pytest.mark.row(43)
def test_what_azure_misses_is_named(monkeypatch, missing):
    present = {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:9", "AZURE_OPENAI_API_KEY": "k", "AZURE_API_VERSION": "v"}
    present.pop(missing)
    version = present.pop("AZURE_API_VERSION", None)
    for name, value in present.items():
        monkeypatch.setenv(name, value)
    with override(api_type="azure", azure_api_version=version), pytest.raises(errors.TinyLLMError, match=missing):
        send(model="m")


@pytest.mark.row(43)
def test_an_entra_token_may_come_from_a_callable(start):
    fake = start(environ=False)
    table = {"provider": "azure", "base_url": fake.root, "api_version": "v", "api_key": lambda: "entra-token"}
    assert ModelManager({"models": {"m": table}}).create_client().send_message(M)["content"] == "ok"
    assert fake.headers["authorization"] == "Bearer entra-token"


@pytest.mark.row(44)
def test_the_key_is_looked_up_when_it_is_needed_and_its_variable_is_named():
    with pytest.raises(errors.AuthError, match="OPENAI_API_KEY"):
        send(model="gpt-4o")


@pytest.mark.row(44)
def test_no_key_is_shown_anywhere(start, caplog):
    fake = start(401)
    with caplog.at_level(logging.DEBUG), pytest.raises(errors.AuthError) as caught:
        send()
    key = os.environ["OPENAI_API_KEY"]
    assert fake.headers["authorization"] == f"Bearer {key}"
    import traceback

    shown = [repr(client()), repr(session), str(caught.value), repr(caught.value), caplog.text, *traceback.format_exception(caught.value)]
    shown += [repr(e) for e in session.history]
    assert key not in "".join(shown)


@pytest.mark.row(44)
def test_a_changed_key_is_used_at_once(start, monkeypatch):
    fake = start()
    send()
    monkeypatch.setenv("OPENAI_API_KEY", "another")
    send()
    assert fake.headers["authorization"] == "Bearer another"


@pytest.mark.row(44)
def test_a_key_in_a_file_is_warned_of_and_not_shown(start, monkeypatch):
    monkeypatch.setattr(layers, "_warned", set())
    fake = start()
    Path("config.ini").write_text(f"[models.mine]\nbase_url={fake.url}\napi_key=sk-in-a-file\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"config\.ini.*holds a key") as told:
        send(model="mine")
    assert fake.headers["authorization"] == "Bearer sk-in-a-file"
    assert "sk-in-a-file" not in str([str(w.message) for w in told]) + repr(session.settings()) + repr(session.settings().models)


@pytest.mark.row(44)
def test_the_base_url_comes_from_a_setting_too(start):
    fake = start(environ=False)
    with override(base_url=fake.url):
        send(model="m")
    assert fake.n == 1


QUIET = """
import logging, sys
before = (list(logging.getLogger().handlers), logging.getLogger().level)
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "tinyllm_magic")
import tinyllm_magic
for name in tinyllm_magic.__all__:
    getattr(tinyllm_magic, name)
assert (list(logging.getLogger().handlers), logging.getLogger().level) == before
assert [type(h) for h in logging.getLogger("tinyllm_magic").handlers] == [logging.NullHandler]
assert logging.getLogger("tinyllm_magic").level == logging.NOTSET
assert "openai" not in sys.modules
"""


@pytest.mark.row(45)
def test_nothing_is_printed_and_no_log_is_touched_on_import_or_load():
    done = subprocess.run([sys.executable, "-W", "error", "-c", QUIET], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("messages", "params"),
    [
        ([{"role": "x", "content": "hi"}], {}),
        ([{"role": "x"}], {}),
        ([{"role": "user"}], {}),
        ([], {}),
        (["hi"], {}),
        (M, {"temperature": "hot"}),
        (M, {"temperature": 3}),
        (M, {"max_tokens": 0}),
        (M, {"top_p": -1}),
        (M, {"timeout": 0}),
        (M, {"max_attempts": 0}),
        (M, {"seed": float("nan")}),
        (M, {"logit_bias": {"1": float("nan")}}),
        (M, {"stop": 3}),
        (M, {"stop": ["a", 3]}),
        (M, {"tools": "add"}),
        (M, {"tools": {"type": "function"}}),
        (M, {"tools": 5}),
        (M, {"response_format": "json"}),
    ],
)
@pytest.mark.row(46)
def test_wrong_input_is_refused_before_any_request(start, messages, params):
    fake = start()
    with pytest.raises(ValueError, match=r"\w"):
        send(messages, **params)
    assert fake.n == 0


@pytest.mark.row(46)
def test_public_names_are_documented():
    undocumented = [
        n
        for n in tinyllm_magic.__all__
        if not isinstance(getattr(tinyllm_magic, n), SimpleNamespace) and not (getattr(tinyllm_magic, n).__doc__ or "").strip()
    ]
    assert undocumented == []


@pytest.mark.row(46)
def test_the_main_calls_have_examples():
    for name in ("LLMCall", "ModelManager", "override", "send_message", "call_llm", "register_client"):
        thing = getattr(tinyllm_magic, name, None) or getattr(tinyllm_magic.OpenAIClient, name)
        assert ">>>" in thing.__doc__, name


# -- 47 to 50: the second seed --------------------------------------------------------------------


TABLES = {"m1": {"temperature": 0}, "m2": {"model": "big"}}


def ini(text):
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


@pytest.mark.parametrize(
    "config",
    [
        {"models": TABLES},
        SimpleNamespace(models=TABLES),
        SimpleNamespace(models=SimpleNamespace(m1=SimpleNamespace(temperature=0), m2={"model": "big"})),
        ini("[models.m1]\ntemperature=0\n[models.m2]\nmodel=big"),
    ],
    ids=["dict", "object", "nested objects", "ConfigParser"],
)
@pytest.mark.row(47)
def test_many_shapes_of_a_configuration_are_read(config):
    manager = ModelManager(config)
    assert manager.config is config
    assert manager.clients == {}
    assert float(manager.get_model_config()["temperature"]) == 0
    assert manager.get_model_config("m2") == {"model": "big"}


@pytest.mark.row(47)
def test_the_value_errors_of_the_seeds():
    with pytest.raises(ValueError, match=r"^No models found in configuration\.$"):
        ModelManager({}).get_model_config()
    with pytest.raises(ValueError, match=re.escape("Model 'm3' not found in configuration. Available models: ['m1', 'm2']")):
        ModelManager({"models": TABLES}).get_model_config("m3")


@pytest.mark.row(47)
def test_the_returned_table_is_a_copy():
    manager = ModelManager({"models": {"m": {"a": {"b": 1}}}})
    manager.get_model_config()["a"]["b"] = 2
    assert manager.get_model_config() == {"a": {"b": 1}}


@pytest.mark.row(48)
def test_the_same_client_each_time_and_shared_with_call_llm(start):
    fake = start()
    config = {"models": {"m1": {"base_url": fake.url, "api_key": "k"}}}
    manager = ModelManager(config)
    assert manager.create_client() is manager.create_client("m1") is manager.clients["m1"]
    assert ModelManager(config).create_client() is manager.create_client()
    call_llm("m1", "hi", config)
    assert session.history[-1].route.endpoint == manager.create_client().pinned.endpoint
    assert manager.create_client().client is ModelManager(config).create_client("m1").client


@pytest.mark.row(48)
def test_the_first_table_is_the_default_and_every_other_name_leads_elsewhere(start):
    default, one, two = start(), start(environ=False), start(environ=False)
    Path("config.ini").write_text(f"[models.one]\nbase_url={one.url}\n[models.two]\nbase_url={two.url}\nmodel=second\n", encoding="utf-8")
    send()
    send(model="two")
    send(model="gpt-4o")
    assert [(f.n, f.last["model"]) for f in (one, two, default)] == [(1, "one"), (1, "second"), (1, "gpt-4o")]


@pytest.mark.row(48)
def test_a_managers_client_stays_at_its_endpoint(start):
    fake = start(environ=False)
    made = ModelManager({"models": {"m": {"base_url": fake.url}}}).create_client()
    made.send_message(M, model="another")
    assert fake.last["model"] == "another"


@pytest.mark.row(48)
def test_timeout_and_retries_of_the_model_then_of_all_then_120_seconds(start, sleeps):
    fake = start(*[500] * 9)
    tables = {"own": {"base_url": fake.url, "timeout": 7, "max_retries": 1}, "plain": {"base_url": fake.url}}
    manager = ModelManager({"models": tables, "max_retries": 2})
    assert manager.create_client("own").pinned.endpoint.timeout == 7
    assert manager.create_client("plain").pinned.endpoint.timeout == 120
    assert ModelManager({"models": tables, "timeout": 9}).create_client("plain").pinned.endpoint.timeout == 9
    for name, count in (("own", 2), ("plain", 5)):
        with pytest.raises(errors.ServerError):
            manager.create_client(name).send_message(M)
        assert fake.n == count


@pytest.mark.row(48)
def test_without_max_retries_and_with_an_empty_base_url_the_defaults_hold(start):
    fake = start()
    assert ModelManager({"models": {"m": {"base_url": ""}}}).create_client().send_message(M)["content"] == "ok"
    assert (fake.n, fake.last["model"]) == (1, "m")


@pytest.mark.row(48)
def test_a_registered_type_serves_named_models_too():
    class Mine(tinyllm_magic.OpenAIClient):
        def _raw_model_call(self, model, chat_api_params):
            return f"mine {model}"

    tinyllm_magic.register_client("mine", Mine())
    assert call_llm("m", "hi", {"models": {"m": {"provider": "mine"}}}).content == "mine m"


@pytest.mark.row(49)
def test_call_llm_takes_text_messages_and_generators(start):
    fake = start("a", "b", "c")
    config = {"models": {"m1": {"base_url": fake.url}}}
    assert call_llm("m1", "hi", config).content == "a"
    assert "tools" not in fake.last
    assert "temperature" not in fake.last
    assert "max_tokens" not in fake.last
    assert call_llm("m1", M, config).content == "b"
    assert call_llm(None, (m for m in M), config).content == "c"
    assert fake.bodies[0]["messages"] == fake.bodies[1]["messages"] == fake.bodies[2]["messages"] == M


@pytest.mark.row(49)
def test_the_tables_parameters_are_sent_and_the_result_is_the_sdks_message(start):
    from openai.types.chat import ChatCompletionMessage

    fake = start({"text": None, "tool_calls": [("add", {"a": 1})]})
    config = {"models": {"m1": {"base_url": fake.url, "temperature": 0.2, "max_tokens": 50, "model": "big"}}}
    message = call_llm("m1", "hi", config, TOOLS)
    assert isinstance(message, ChatCompletionMessage)
    assert message.content is None
    assert message.tool_calls[0].function.name == "add"
    assert (fake.last["temperature"], fake.last["max_tokens"], fake.last["model"], fake.last["tools"]) == (0.2, 50, "big", TOOLS)


@pytest.mark.row(49)
def test_a_refused_port_is_our_error_with_the_sdks_as_its_cause(sleeps):
    import openai

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with pytest.raises(errors.ConnectionFailedError) as caught:
            call_llm("m1", "hi", {"models": {"m1": {"base_url": url}}})
    assert isinstance(caught.value.__cause__, openai.APIConnectionError)
    assert caught.value.attempts == 5


@pytest.mark.row(49)
def test_errors_of_the_configuration_are_value_errors():
    with pytest.raises(ValueError, match="No models found"):
        call_llm("m", "hi", {})
    with pytest.raises(ValueError, match="role"):
        call_llm("m", [{"role": "x"}], {"models": {"m": {}}})


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.row(50)
def test_tools_that_are_refused_are_left_out_once(start, status, caplog):
    fake = start(status, "without")
    messages = [{"role": "system", "content": "s"}, *M]
    assert call_llm("m1", messages, {"models": {"m1": {"base_url": fake.url}}}, TOOLS).content == "without"
    assert fake.n == 2
    assert "tools" in fake.bodies[0]
    assert "tools" not in fake.bodies[1]
    assert fake.bodies[1]["messages"] == messages
    assert "does not take tools" in caplog.text
    assert session.history[-1].response.notes == ("m1 does not take tools; asked without",)


@pytest.mark.row(50)
def test_without_tools_there_is_no_second_request(start):
    fake = start(400)
    with pytest.raises(errors.InvalidRequestError):
        call_llm("m1", "hi", {"models": {"m1": {"base_url": fake.url}}})
    assert fake.n == 1


@pytest.mark.row(50)
def test_an_error_that_does_not_concern_the_tools_is_raised(start):
    fake = start({"status": 400, "body": {"error": {"message": "messages[0]: too long for us", "code": "invalid"}}})
    with pytest.raises(errors.InvalidRequestError, match="too long for us"):
        call_llm("m1", "hi", {"models": {"m1": {"base_url": fake.url}}}, TOOLS)
    assert fake.n == 1


# -- all of them together, in a kernel ------------------------------------------------------------


def test_rows_together_a_cell_with_a_variable_is_asked_once_and_answered_without_a_key(start, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    from tinyllm_magic.verify import kernels

    fake = start("Tea is a leaf.")
    cells = ["%load_ext tinyllm_magic", "topic = 'tea'", "%%llm -o first\nWhat is {{ topic }}?", "%%llm -o second\nWhat is {{ topic }}?"]
    cells += ["import os\ndel os.environ['OPENAI_API_KEY']", "%%llm -o third\nWhat is {{ topic }}?"]
    cells += ["print(first.source, second.source, third.source, str(first) == str(second) == str(third))\nprint(third.call.messages)"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": fake.url, "TINYLLM_CONFIG_DIR": str(tmp_path / "user")}
    kernels.execute(notebook, tmp_path, environ, timeout=60)
    shown = [o.data["text/plain"] for c in notebook.cells for o in c.outputs if o.output_type == "display_data"]
    assert len(shown) == 3
    assert all("Tea is a leaf." in text for text in shown)
    told = printed(notebook.cells[-1])
    assert told.startswith("live recorded recorded True")
    assert "What is tea?" in told
    assert fake.n == 1
