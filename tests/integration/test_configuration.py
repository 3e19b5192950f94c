"""Every setting reaches where it should, from each of its places; and which folders get a key."""

import os
from pathlib import Path

import pytest
from fakeserver import FakeServer
from IPython.utils.capture import capture_output

from tinyllm_magic import Mode, OpenAIClient, client, default, errors, override, session
from tinyllm_magic.clients.environment import version
from tinyllm_magic.settings import trust

M = [{"role": "user", "content": "hi"}]
FAR = "http://gateway.invalid/v1"


def send(**params):
    return client().send_message(M, **params)


def write(text, folder="."):
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "config.ini").write_text(text, encoding="utf-8")


def in_file(monkeypatch, key, value):
    write(f"[OpenAI]\n{key} = {value}\n")


def in_environment(monkeypatch, key, value):
    monkeypatch.setenv(f"TINYLLM_{key}", value)


def in_user_file(monkeypatch, key, value):
    write(f"[OpenAI]\n{key} = {value}\n", os.environ["TINYLLM_CONFIG_DIR"])


def in_session(monkeypatch, key, value):
    session.choose(**{key: value})


def in_override(monkeypatch, key, value):
    override(**{key: value})


everywhere = pytest.mark.parametrize("place", [in_user_file, in_file, in_environment, in_session, in_override])


# -- every key, from every place --------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize(
    ("key", "value", "name", "sent"),
    [
        ("MODEL", "gpt-4.1", "model", "gpt-4.1"),
        ("MAX_TOKENS", "9", "max_tokens", 9),
        ("MAX_COMPLETION_TOKENS", "9", "max_tokens", 9),
        ("TEMPERATURE", "0.5", "temperature", 0.5),
        ("TOP_P", "0.9", "top_p", 0.9),
        ("FREQ_PENALTY", "0.1", "frequency_penalty", 0.1),
        ("PRESENCE_PENALTY", "-0.1", "presence_penalty", -0.1),
        ("SEED", "7", "seed", 7),
    ],
)
def test_what_is_sent_reaches_the_wire(start, monkeypatch, place, key, value, name, sent):
    fake = start()
    place(monkeypatch, key, value)
    send()
    assert fake.last[name] == sent


@everywhere
def test_attempts_and_waits_reach_the_retries(start, sleeps, monkeypatch, place):
    fake = start(*[500] * 9)
    if place is in_file or place is in_user_file:
        folder = "." if place is in_file else os.environ["TINYLLM_CONFIG_DIR"]
        write("[OpenAI]\nMAX_ATTEMPTS=3\nWAITING_TIME=4\nEXPONENTIAL_BACKOFF_FACTOR=3\n", folder)
    else:
        for key, value in {"MAX_ATTEMPTS": "3", "WAITING_TIME": "4", "EXPONENTIAL_BACKOFF_FACTOR": "3"}.items():
            place(monkeypatch, key, value)
    with pytest.raises(errors.ServerError):
        send()
    assert fake.n == 3
    assert sleeps == [pytest.approx(4.5, abs=0.51), pytest.approx(12.5, abs=0.51)]


@everywhere
def test_the_timeout_reaches_the_call(start, monkeypatch, place):
    start({"hang": 0})
    place(monkeypatch, "TIMEOUT", "0.3")
    with pytest.raises(errors.CallTimeoutError, match=r"0\.3 s"):
        send(max_attempts=1)


@everywhere
def test_the_effort_of_a_reasoning_model_reaches_the_wire_and_no_other_models(start, monkeypatch, place):
    fake = start()
    place(monkeypatch, "REASONING_EFFORT", "low")
    send(model="o3")
    assert fake.last["reasoning_effort"] == "low"
    send(model="gpt-4o")
    assert "reasoning_effort" not in fake.last


@everywhere
def test_the_largest_answer_reaches_the_call(start, monkeypatch, place):
    start("x" * 2000)
    place(monkeypatch, "MAX_ANSWER_BYTES", "1000")
    with pytest.raises(errors.AnswerTooLargeError, match=r"MAX_ANSWER_BYTES \(1,000 bytes\)"):
        send(max_attempts=1)


def test_the_largest_answer_may_be_set_for_one_call(start):
    start("x" * 2000)
    with pytest.raises(errors.AnswerTooLargeError):
        send(max_attempts=1, max_answer_bytes=1000)


@everywhere
def test_the_store_and_its_mode_reach_the_record(start, monkeypatch, place):
    fake = start()
    if place is in_file or place is in_user_file:
        write("[OpenAI]\nMODE=auto\nCACHE_FILE_NAME=kept.jsonl\n", "." if place is in_file else os.environ["TINYLLM_CONFIG_DIR"])
    else:
        place(monkeypatch, "MODE", "auto")
        place(monkeypatch, "CACHE_FILE_NAME", "kept.jsonl")
    send()
    send()
    assert Path("kept.jsonl").exists()
    assert fake.n == 1


@everywhere
def test_api_type_base_url_and_the_others_reach_their_places(start, monkeypatch, place):
    fake = start(environ=False)
    place(monkeypatch, "BASE_URL", fake.url)
    send(model="m")
    assert fake.n == 1
    place(monkeypatch, "API_TYPE", "echo")
    assert send()["content"] == "hi"
    place(monkeypatch, "API_TYPE", "azure")
    place(monkeypatch, "AZURE_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", fake.root)
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k")
    send(model="deployed")
    assert fake.path == "/openai/deployments/deployed/chat/completions?api-version=2024-10-21"


@everywhere
def test_the_embedding_model_and_the_cap_reach_their_places(start, monkeypatch, place):
    fake = start()
    place(monkeypatch, "EMBEDDING_MODEL", "vectors")
    client().get_embedding("x")
    assert fake.last["model"] == "vectors"
    place(monkeypatch, "MAX_CONCURRENT_MODEL_CALLS", "1")
    assert default["max_concurrent_model_calls"] == 1


def test_each_layer_lies_over_the_one_before(start, monkeypatch):
    fake = start()
    layers = (in_user_file, in_file, in_environment, in_session, in_override)
    for temperature, place in enumerate(layers, 1):
        place(monkeypatch, "TEMPERATURE", f"0.{temperature}")
        send()
        assert fake.last["temperature"] == temperature / 10
    send(temperature=1)
    assert fake.last["temperature"] == 1


def test_replay_from_outside_beats_every_other_mode(start, monkeypatch):
    fake = start()
    monkeypatch.setenv("TINYLLM_MODE", "replay")
    for client_of_mine in (client(), OpenAIClient(cache_api_calls=False)):
        for mode in (None, "off", "refresh"):
            with override(mode="refresh"), pytest.raises(errors.ReplayMiss):
                client_of_mine.send_message(M, mode=mode)
    assert fake.n == 0


def test_recording_is_off_in_a_script_and_on_in_ipython(shell):
    assert session.mode(session.settings()) is Mode.AUTO


def test_a_named_model_gives_its_own_parameters_and_the_session_wins(start):
    fake = start()
    write(f"[OpenAI]\nTEMPERATURE=0.1\n[models.mine]\nmodel=big\nbase_url={fake.url}\ntemperature=0.9\nmax_tokens=7\nsystem=Be brief.\n")
    send()
    assert (fake.last["model"], fake.last["temperature"], fake.last["max_tokens"]) == ("big", 0.9, 7)
    assert fake.last["messages"][0] == {"role": "system", "content": "Be brief."}
    session.choose(temperature=0.5)
    send()
    assert fake.last["temperature"] == 0.5


def test_a_key_of_a_named_variable_is_sent(start, monkeypatch):
    fake = start()
    monkeypatch.setenv("MY_KEY", "mine")
    write(f"[models.mine]\nbase_url={fake.url}\napi_key_env=MY_KEY\n", os.environ["TINYLLM_CONFIG_DIR"])
    send()
    assert fake.headers["authorization"] == "Bearer mine"


def test_a_missing_named_variable_is_named_and_nothing_else_is_sent(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not this one")
    session.choose(base_url=FAR)
    write("[models.mine]\napi_key_env=MY_KEY\n", os.environ["TINYLLM_CONFIG_DIR"])
    with pytest.raises(errors.AuthError, match="MY_KEY is not set"):
        send(model="mine")


# -- where a value came from ------------------------------------------------------------------------


def shown(shell, line):
    with capture_output() as out:
        shell.run_line_magic("llm_config", line)
    return out.outputs[0].data["text/plain"]


def row(text, name):
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def test_llm_config_shows_where_each_value_came_from(shell, monkeypatch):
    write("[OpenAI]\nTEMPERATURE=0.5\n[models.mine]\nprovider=echo\n")
    write("[OpenAI]\nTIMEOUT=9\n", os.environ["TINYLLM_CONFIG_DIR"])
    monkeypatch.setenv("TINYLLM_MAX_TOKENS", "8")
    session.choose(top_p=0.5)
    text = shown(shell, "")
    assert row(text, "temperature")[2:] == ["config.ini"]
    assert row(text, "timeout")[2:] == ["user", "config.ini"]
    assert row(text, "max_tokens")[2:] == ["environment", "TINYLLM_MAX_TOKENS"]
    assert row(text, "top_p")[2:] == ["session"]
    assert row(text, "max_attempts")[2:] == ["default"]
    assert row(text, "seed")[1:] == ["not", "set"]
    assert row(text, "models.mine.provider")[1:] == ["echo", "config.ini"]


def test_a_change_shows_that_change_with_the_value_before(shell):
    shown(shell, "temperature=0.2")
    assert shown(shell, "temperature=0.5").splitlines()[3:] == ["temperature  0.5    session  0.2"]


def test_a_reset_shows_what_it_took_back(shell):
    shown(shell, "temperature=0.2 seed=3")
    assert [line.split() for line in shown(shell, "--reset").splitlines()[3:]] == [
        ["temperature", "not", "set", "0.2"],
        ["seed", "not", "set", "3"],
    ]


@pytest.mark.parametrize(("line", "text"), [("--reset", "nothing changed"), ("trust", "this folder is trusted from now on")])
def test_what_changes_no_value_is_said_in_a_sentence(shell, line, text):
    assert shown(shell, line) == text


def test_a_change_of_what_answers_is_shown_with_its_reason(shell):
    first = shown(shell, "model=gpt-4o").splitlines()[3]
    assert first.split("  ")[0] == "answers now"
    assert "gpt-4o (openai)" in first


def test_llm_config_begins_with_what_answers_and_where_it_is_recorded_and_folds_what_is_not_set(shell):
    with capture_output() as out:
        shell.run_line_magic("llm_config", "temperature=0.2")
        shell.run_line_magic("llm_config", "")
    lines, html = out.outputs[-1].data["text/plain"].splitlines(), out.outputs[-1].data["text/html"]
    assert lines[3].startswith("answers now")
    assert lines[4].split() == ["recorded", "in", session.store(session.settings()).path.name, "mode", "auto"]
    folded = html.index("<summary>")
    assert html.index(">temperature<") < folded < html.index(">seed<")
    assert row("\n".join(lines), "seed")[1:] == ["not", "set"]


def test_a_trusted_key_name_shows_up_among_the_changes(shell):
    write("[models.named]\nprovider=echo\napi_key_env=MY_KEY\n")
    with pytest.warns(UserWarning, match="api_key_env"):
        assert "api_key_env" not in shown(shell, "")
    assert "models.named.api_key_env" in shown(shell, "trust")


def test_llm_config_holds_no_absolute_path_of_this_machine(shell, tmp_path):
    here = Path.cwd()
    write(
        f"[OpenAI]\nCACHE_FILE_NAME={here / 'sub' / 'kept.jsonl'}\n[models.mine]\nprovider=local\npath={tmp_path / 'weights' / 'm.gguf'}\n"
    )
    write("[OpenAI]\nTIMEOUT=9\n", os.environ["TINYLLM_CONFIG_DIR"])
    with capture_output() as out:
        shell.run_line_magic("llm_config", "")
    assert str(tmp_path) not in str(out.outputs[0].data)
    assert row(out.outputs[0].data["text/plain"], "cache_file_name")[1] == str(Path("sub", "kept.jsonl"))
    assert row(out.outputs[0].data["text/plain"], "models.mine.path")[1] == f"…{os.sep}m.gguf"


def test_a_setting_that_leads_to_no_model_is_refused_and_changes_nothing(shell):
    with pytest.raises(errors.ConfigError, match="unknown API type 'zz'"):
        shell.run_line_magic("llm_config", "api_type=zz")
    assert session.chosen == {}


def test_settings_of_a_file_that_lead_to_no_model_are_shown_with_the_reason(shell):
    write("[OpenAI]\nAPI_TYPE=zz\n")
    assert "unavailable with these settings" in shown(shell, "")


def test_a_wrong_setting_names_key_and_place_and_changes_nothing(shell):
    with pytest.raises(errors.ConfigError, match=r"TOP_P.*session.*from 0 to 1"):
        shell.run_line_magic("llm_config", "model=x top_p=7")
    with pytest.raises(errors.ConfigError, match="'temperature'"):
        shell.run_line_magic("llm_config", "temprature=0")
    assert session.chosen == {}


# -- trust ------------------------------------------------------------------------------------------


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-do-not-send-this")
    return "sk-do-not-send-this"


@pytest.mark.parametrize(
    "text", [f"[OpenAI]\nBASE_URL={FAR}\n", f"[models.m]\nbase_url={FAR}\n", f"[models.m]\nprovider=azure\nbase_url={FAR}\napi_version=v\n"]
)
def test_an_address_of_somebody_elses_folder_gets_no_key_until_it_is_trusted(shell, secret, monkeypatch, text):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", secret)
    write(text)
    with pytest.raises(errors.AuthError, match="llm_config trust"):
        send(model="m", max_attempts=1)
    with capture_output():
        shell.run_line_magic("llm_config", "trust")
    with pytest.raises(errors.ConnectionFailedError):  # it is asked now; the network of tests is closed
        send(model="m", max_attempts=1)


@pytest.mark.filterwarnings("ignore:.*holds a key")
def test_a_key_of_the_users_file_does_not_go_to_an_address_of_somebody_elses_folder():
    write("[models.m]\napi_key=sk-of-the-user\n", os.environ["TINYLLM_CONFIG_DIR"])
    write(f"[models.m]\nbase_url={FAR}\n")
    with pytest.raises(errors.AuthError, match="no key was sent there"):
        send(model="m", max_attempts=1)


def key_sent(start, text, users=""):
    """What stands after ``Bearer`` where a folder's file leads to a server on this machine (``HERE`` in the texts)."""
    fake = start(environ=False)
    write(users.replace("HERE", fake.url), os.environ["TINYLLM_CONFIG_DIR"])
    write(text.replace("HERE", fake.url))
    send(model="m", max_attempts=1)
    return fake.headers["authorization"].removeprefix("Bearer ")


@pytest.fixture
def own_key(monkeypatch):
    monkeypatch.setenv("MY_KEY", "of-another-service")


def test_a_folder_does_not_name_the_variable_that_is_sent_until_it_is_trusted(start, shell, secret, own_key):
    text = "[models.m]\nbase_url=HERE\napi_key_env=MY_KEY\n"
    with pytest.warns(UserWarning, match=r"api_key_env of \[models.m\] is ignored.*llm_config trust"):
        assert key_sent(start, text) == secret
    with capture_output():
        shell.run_line_magic("llm_config", "trust")
    assert key_sent(start, text) == "of-another-service"


@pytest.mark.filterwarnings("ignore:.*api_key_env")
def test_a_folder_does_not_change_the_variable_that_the_user_names(start, secret, own_key, monkeypatch):
    monkeypatch.setenv("THEIR_KEY", "wanted")
    users = "[models.m]\nbase_url=HERE\napi_key_env=MY_KEY\n"
    assert key_sent(start, "[models.m]\napi_key_env=THEIR_KEY\n", users) == "of-another-service"


@pytest.mark.filterwarnings("ignore:.*holds a key")
@pytest.mark.parametrize("theirs", ["[models.m]\nbase_url=HERE\n", "[OpenAI]\nBASE_URL=HERE\n"], ids=["of the model", "of all"])
@pytest.mark.parametrize("users", ["api_key_env=MY_KEY", "api_key=of-another-service"])
def test_an_address_of_a_folder_on_this_machine_gets_the_usual_key_and_no_key_of_a_named_model(start, secret, own_key, theirs, users):
    assert key_sent(start, theirs, f"[models.m]\n{users}\n") == secret


@pytest.mark.filterwarnings("ignore:.*holds a key")
@pytest.mark.parametrize("theirs", ["[models.m]\nbase_url=HERE\n", "[OpenAI]\nBASE_URL=HERE\n[models.m]\n"], ids=["of the model", "of all"])
def test_a_key_that_stands_in_the_folder_itself_is_sent_to_its_address_on_this_machine(start, secret, theirs):
    assert key_sent(start, f"{theirs}api_key=lm-studio\n") == "lm-studio"


def test_an_address_of_the_users_own_file_gets_the_key(secret):
    write(f"[models.m]\nbase_url={FAR}\n", os.environ["TINYLLM_CONFIG_DIR"])
    with pytest.raises(errors.ConnectionFailedError):
        send(model="m", max_attempts=1)


def test_an_address_in_a_store_is_never_sent_to(start, secret, monkeypatch):
    from tinyllm_magic.recording.codec import header_line

    remembered, in_force = start(), start()
    Path("session.llm.jsonl").write_bytes(header_line({"api_type": "openai", "model": "theirs", "endpoint": remembered.url}))
    trust.trust(Path.cwd())
    monkeypatch.setenv("OPENAI_BASE_URL", in_force.url)
    with override(cache_api_calls=True):
        send(max_attempts=1)
    assert (in_force.last["model"], in_force.n, remembered.n) == ("theirs", 1, 0)


def test_an_address_that_is_corrected_in_the_environment_holds_for_the_next_call(start, secret, monkeypatch):
    first, second = start(), start()
    with override(cache_api_calls=True):
        for question, fake in (("one", first), ("two", second)):
            monkeypatch.setenv("OPENAI_BASE_URL", fake.url)
            session.client().send_message([{"role": "user", "content": question}])
    assert (first.n, second.n) == (1, 1)


def test_what_a_store_remembers_of_the_vendor_does_not_go_to_the_users_gateway(start, secret):
    from tinyllm_magic.models.endpoints import Endpoint
    from tinyllm_magic.providers import openai_client

    gateway = start()
    sdk = openai_client.connect(Endpoint("openai"), environ=os.environ)
    assert str(sdk.base_url) == "https://api.openai.com/v1/"
    assert gateway.n == 0


def test_a_password_in_an_address_is_not_remembered_by_the_store(monkeypatch):
    with FakeServer() as fake:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.url.replace("//", "//user:password@"))
        with override(cache_api_calls=True):
            assert send()["content"] == "ok"
    text = Path("session.llm.jsonl").read_text(encoding="utf-8")
    assert fake.url in text
    assert "password" not in text


def test_the_version_is_that_of_the_installation():
    from importlib import metadata

    assert version() == metadata.version("tinyllm-magic")
