"""What is part of a request's key and what is not, and keys that must never change."""

import base64
import hashlib
import pickle

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinyllm_magic import Message, Request, client, errors, messages, override, session
from tinyllm_magic.errors import MessageError, OptionError

SYSTEM, USER = Message("system", "Be brief."), Message("user", "Hello")
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
PIXEL = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 2).decode()


def ask(*messages, provider="openai", model="gpt-4o-mini", **more):
    return Request(provider, model, messages or (USER,), **more)


def image(url, detail="auto"):
    return Message("user", ({"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url, "detail": detail}}))


REQUESTS = [
    ask(),
    ask(SYSTEM, USER),
    ask(Message("user", "")),
    ask(Message("user", "Grüße, 世界 🌍")),
    ask(Message("user", "line\u2028separator\u0085and\tcontrol\x00")),
    ask(Message("user", "e\u0301")),
    ask(Message("user", "é")),
    ask(Message("user", "x" * 10_000)),
    ask(Message("developer", "Be brief."), USER),
    ask(USER, Message("assistant", "Hi"), Message("user", "And now?")),
    ask(Message("user", "Hello", name="alice")),
    ask(model="gpt-4o"),
    ask(provider="local", model="SmolLM2-135M-Instruct.Q4_1"),
    ask(provider="openai:http://127.0.0.1:8000/v1", model="qwen"),
    ask(provider="azure:https://lab.openai.azure.com", model="deployment"),
    ask(provider="echo", model="echo"),
    ask(params={"temperature": 0}),
    ask(params={"temperature": 0.7, "max_tokens": 100}),
    ask(params={"temperature": 1e-7}),
    ask(params={"seed": 7}),
    ask(params={"seed": 2**63}),
    ask(params={"seed": -(2**53)}),
    ask(params={"stop": ["a", "b"]}),
    ask(params={"stop": "a"}),
    ask(params={"logit_bias": {"50256": -100}}),
    ask(params={"extra_body": {"top_k": 5, "nested": {"a": [1, None, True]}}}),
    ask(sample=1),
    ask(sample=4, params={"seed": 7}),
    ask(tools=(TOOL,)),
    ask(response_format=SCHEMA),
    ask(response_format={"type": "json_object"}),
    ask(image("https://example.com/cat.png")),
    ask(image(PIXEL)),
    ask(image("data:image/png;base64,AAAA")),
    ask(USER, Message("assistant", None, tool_calls=({"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}},))),
    ask(USER, Message("tool", "3", tool_call_id="c1")),
    Request("openai", "text-embedding-3-small", (), {"input": ["one", "two"]}, kind="embedding"),
]
GOLDEN = [
    "6bfaf320a477b38b9d4824c8a89d51a52e34822dc2932ef7116b3805b1894040",
    "f08839426947a93c725bbe9372d3c1e024044698445fa3b3cb88b6dc09ed1d68",
    "280bd6447a2cb529a7c931a40bc556cc5679a1a61702db54738180dee0244bd5",
    "74889b9694422dcddc57fa192d8e1aebc2b399fab73407e1e620dea8316ad9a0",
    "01850cbe2d20e84327b76e5657f57024ad2fb5e7c7dc75566b2778f8839ff4f7",
    "aef1fb3b148d710d1a5b9301f99bacbb6174216927906777838274b6c151b773",
    "441e943eb9bdc133c9eb68c8ba4867f05158e2f6ea9f03d73fbb1dff34518be1",
    "b800b8614a964be7ddbc251b265f1cf24ecaa9903fb4977786553049bf0eea01",
    "94d7aba0c618eaa144c94186a17abf03b203dd3efe7ed85925b09b7228198362",
    "f98623837193bb494762287703d7d136d1145ae886d2cc5a9fd7f5358fdfbe99",
    "8d08f3dc9334734edcdb9b976a2aae4ef79cdb467984a6fe5cbff04589052f0f",
    "e7ea1c1ad1d43453881fe8abae6c465dfcae54a61dbe8a614bec25284485ac4c",
    "36e687e9ff30faa3d59b93725119823b9166917b606f73e9c8632124662ed312",
    "6271e40ff56b82cafb37598e66098a119cb937893afffc7a2462d3246ab728f4",
    "ba3663b16acbbd452d21c65c5ab0c3c816af5d925d0c154e25a99a7fa21ff9d9",
    "d7641f383c1a3cf15f8024afb942ba2c6c029cd1bc22dd0d8ae42c301c189c4c",
    "cec173202d4954aa8149317e83b4320f18b38f9c2ff7c52f6d7f7c32b6eb0e03",
    "f0545186669cb1ef2943b2c1ccd02861eaf3c21118129fa4fb04735eeab815ee",
    "aa2d34c912dfcf9793965cf2dbcab85cffa4264fbff8d56e33cd3bfc6adc7517",
    "4eee85f78ef7572399664a4426e4fc196269d4e8141b6a38277fe0c16a01c7d8",
    "0bb185062f8a34c81cfc98e5b9bd7adc8fc3e8744de4b6921005f2689da228ce",
    "10cc1748fd6bedbb3f034cc395c548cf6199570c962a2d85bd1eca421412b22e",
    "270ae8fce4a7a0eda266597756c3f2c1bd55f4ea8750e7bfd1cac31a4ccbe487",
    "93711ce1e8d99f019982cac7f03cbcbd945c7fde09547a61b4d73a28841ba7cc",
    "afd802172395b2bb27b6fa9e565feb93404edf35c37cdb9aa33ca85caf8b1392",
    "574238b00f8c93e6da91d0003ee4653bba4511384c1a1e8f50d4c633f7b74bef",
    "e50264cf26195e9b81c9563572d0cc7f0daf0060a1616eb5fad4e4c5d868d22e",
    "afce72ec9f2c76215e0ca16ed3c0feea709fd38cf89f31882f3bd90592d9bbb8",
    "848cd6b1a38d9caf40ed2ce85930c5bf431bec69798eff15fb4209656673aa73",
    "7a49c2346374e057d1cdabf8ab0a9630555ffd94744c03cce011e75339b73971",
    "aced101675e10c87315087ae33cdf327d144552c619d60bcd9aec6763b3d22d1",
    "85fa27f028d8472a081c7036a2e2e39dd83bd66f7555322ea47a870729affdc7",
    "9b919d7e7f43ba50db436133ad6603db013d9fa2cd06f5a069706598279f0248",
    "928bd09b0fd6632c30cc5a75dc165ef50c62f6c7463fb10b90c408f22942ba1b",
    "db8904a7ccac3e9d732f0a9381f4c6e5df6a2520e76a5eff7c3feafc2bedfcc1",
    "bc7f12da2c5dc519d01d72b3ec9ad91b1fa641982f11da57a10ce5b53b8cc10a",
    "bb8007e0a73da4e50b916b13824417209e3371e21844dc17b8877164f1151377",
]


def test_there_are_as_many_keys_as_requests_and_no_two_are_alike():
    assert len(GOLDEN) == len(REQUESTS) >= 30
    assert len(set(GOLDEN)) == len(GOLDEN)


@pytest.mark.parametrize(("request_", "key"), [*zip(REQUESTS, GOLDEN, strict=True)], ids=range(len(REQUESTS)))
def test_a_key_never_changes(request_, key):
    assert request_.key == f"k1:{key}"


def test_a_key_can_be_made_by_hand():
    text = '{"kind":"chat","messages":[{"content":"Hello","role":"user"}],"model":"gpt-4o-mini","params":{},"provider":"openai"}'
    assert ask().key == f"k1:{hashlib.sha256(text.encode()).hexdigest()}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
@example({"a": 1.0, "b": -0.0, "c": 1e-7, "d": 1e16, "e": 0.1 + 0.2, "f": 123456789012345.6, "g": 5e-324, "h": 1e-4})
@example({"\ue000": 1, "\U00010000": 2, "é": 3, "Z": 4, "a": '\x00\x1f\x7f\u2028"\\\t\n'})
def test_a_key_is_that_of_rfc_8785_however_it_is_written(value):
    assert messages.key_of(value) == f"k1:{hashlib.sha256(rfc8785.dumps(value)).hexdigest()}"


@given(st.lists(st.builds(Message, st.text(), st.none() | st.text(), st.none() | st.text(max_size=2)), min_size=1, max_size=3), JSON)
@example([Message("user", "\ud800")], 1)
@example([Message("user", "data:text/plain;base64," + "A" * 300)], 1)
@example([Message("user", '\x00\x1f\x7f\u2028"messages":[]\\\t\U0001f30d')], {"messages": []})
def test_a_request_of_other_messages_has_the_form_and_the_key_of_one_made_of_them(said, value):
    base = ask(params={"extra_body": value}, response_format=SCHEMA, sample=2)
    made = ask(*said, params={"extra_body": value}, response_format=SCHEMA, sample=2)

    varied = base.with_messages(tuple(said))

    assert varied == made
    assert list(varied.form) == list(made.canonical())
    assert varied.form == made.canonical()
    try:
        key = f"k1:{hashlib.sha256(rfc8785.dumps(made.canonical())).hexdigest()}"
    except rfc8785.CanonicalizationError:
        with pytest.raises(MessageError):
            assert varied.key
    else:
        assert varied.key == made.key == key


def test_a_request_travels_without_what_was_computed_of_it():
    request = ask(params={"temperature": 0.5}).with_messages((SYSTEM, USER))
    assert request.key

    back = pickle.loads(pickle.dumps(request))

    assert vars(back).keys() == {"provider", "model", "messages", "params", "tools", "response_format", "sample", "kind"}
    assert (back, back.key) == (request, request.key)


BASE = ask(SYSTEM, USER, params={"temperature": 1, "max_tokens": 50}, tools=(TOOL,), response_format=SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "azure:https://lab.openai.azure.com"},
        {"model": "gpt-4o"},
        {"messages": (USER,)},
        {"messages": (USER, SYSTEM)},
        {"messages": (SYSTEM, Message("user", "Hello "))},
        {"messages": (SYSTEM, Message("user", "hello"))},
        {"messages": (SYSTEM, Message("user", "Hello", name="alice"))},
        {"messages": (Message("developer", "Be brief."), USER)},
        {"messages": (SYSTEM, Message("user", ({"type": "text", "text": "Hello"},)))},
        {"messages": (SYSTEM, image(PIXEL))},
        {"params": {"temperature": 0.9, "max_tokens": 50}},
        {"params": {"temperature": 1, "max_tokens": 51}},
        {"params": {"temperature": 1}},
        {"params": {"temperature": 1, "max_completion_tokens": 50}},
        {"params": {"temperature": 1, "max_tokens": 50, "seed": 0}},
        {"params": {"temperature": 1, "max_tokens": 50, "user": "bob"}},
        {"params": {"temperature": 1, "max_tokens": 50, "extra_body": {"top_k": 5}}},
        {"params": {"temperature": "1", "max_tokens": 50}},
        {"params": {"temperature": True, "max_tokens": 50}},
        {"tools": ()},
        {"tools": (TOOL, TOOL)},
        {"response_format": None},
        {"response_format": {"type": "json_object"}},
        {"sample": 1},
        {"kind": "embedding"},
    ],
)
def test_what_decides_the_answer_is_in_the_key(change):
    assert Request(**{**_fields(BASE), **change}).key != BASE.key


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"max_tokens": 50, "temperature": 1}},
        {"params": {"temperature": 1.0, "max_tokens": 50.0}},
        {"params": {"temperature": 1, "max_tokens": 50, "top_p": None}},
        {"tools": [TOOL]},
        {"tools": ({"function": dict(reversed(TOOL["function"].items())), "type": "function"},)},
        {"response_format": dict(reversed(SCHEMA.items()))},
        {"sample": 0},
        {"messages": [SYSTEM, USER]},
    ],
)
def test_what_does_not_decide_the_answer_is_not_in_the_key(change):
    assert Request(**{**_fields(BASE), **change}).key == BASE.key


def _fields(request):
    return {name: getattr(request, name) for name in Request.__dataclass_fields__}


def planned(**params):
    return client().prepare([{"role": "user", "content": "Hello"}], "gpt-4o-mini", params).request.key


@pytest.mark.parametrize("control", [{"timeout": 5}, {"max_attempts": 9}, {"waiting_time": 0.1}, {"exponential_backoff_factor": 3}])
def test_how_a_call_is_made_is_not_in_the_key(control):
    assert planned(**control) == planned()


def test_credentials_are_not_in_the_key_and_a_vendors_address_is(monkeypatch):
    before = planned()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one-0123456789")
    assert planned() == before
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    assert planned() != before


def test_a_setting_counts_like_a_parameter_of_the_call():
    with override(temperature=0.3):
        assert planned() == planned(temperature=0.3)
    assert planned() != planned(temperature=0.3)


def test_seed_and_sample_are_told_apart():
    keys = {ask(params={"seed": s} if s else {}, sample=k).key for s in (0, 1, 2) for k in (0, 1, 2)}
    assert len(keys) == 9


def test_an_image_counts_by_its_content():
    other = PIXEL[:-8] + "AAAAAAA="
    assert ask(image(PIXEL)).key == ask(image(str(PIXEL))).key != ask(image(other)).key
    assert "base64" not in str(ask(image(PIXEL)).canonical())


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1, 2}, object(), b"bytes", {1: "a key that is no text"}, "half \ud800 of a pair", 1j]
)
def test_what_json_cannot_hold_is_refused_by_name(value):
    with pytest.raises(MessageError):
        _ = ask(params={"extra_body": {"x": value}}).key


def test_an_unserialisable_parameter_of_a_call_is_refused_before_anything_is_sent():
    with pytest.raises((MessageError, OptionError)) as caught:
        client().send_message("Hello", extra_body={"x": object()})
    assert isinstance(caught.value, errors.TinyLLMError)
    assert not session.history


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def shuffled(value):
    """The same value in another order of its dicts, whole numbers as floats."""
    if isinstance(value, dict):
        return {k: shuffled(v) for k, v in reversed(value.items())}
    if isinstance(value, list):
        return [shuffled(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    return value


@given(st.dictionaries(st.text(min_size=1, max_size=8), json_values.filter(lambda v: v is not None), max_size=5))
@settings(max_examples=150, deadline=None)
def test_order_of_dicts_and_the_type_of_a_whole_number_never_count(params):
    try:
        key = ask(params=params).key
    except MessageError:  # lone surrogates
        return
    assert ask(params=shuffled(params)).key == key
