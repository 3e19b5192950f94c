"""What is sent to the Responses API, of requests that speak as chat does."""

import inspect

from tinyllm_magic.messages import Message, Request
from tinyllm_magic.providers import chat_format, responses_request
from tinyllm_magic.providers.responses_request import responses_params

TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object"}, "strict": True}}


def write(*messages, stream=False, without=(), tools=(), form=None, **params):
    said = messages or (Message("user", "hi"),)
    return responses_params(Request("openai", "o3", said, params, tools, form, kind="responses"), stream=stream, without=without)


def test_every_parameter_of_chat_is_sent_or_known_not_to_be_taken():
    from openai.resources.responses import Responses

    taken = set(inspect.signature(Responses.create).parameters)
    elsewhere = {"response_format", "tools", "reasoning_effort", "verbosity", "logprobs", "max_tokens", "max_completion_tokens"}
    assert taken.isdisjoint(responses_request.NOT_TAKEN)
    assert chat_format.known_params() - elsewhere - responses_request.NOT_TAKEN <= taken
    assert taken >= responses_request.OWN_PARAMETERS | responses_request.NOT_ALONE


def test_a_question_is_sent_so_that_the_vendor_keeps_nothing():
    assert write(stream=True) == {
        "model": "o3",
        "input": [{"role": "user", "content": "hi"}],
        "store": False,
        "reasoning": {"summary": "auto"},
        "stream": True,
    }


def test_parameters_have_their_names_here():
    sent = write(max_completion_tokens=5, reasoning_effort="low", verbosity="low", logprobs=True, top_logprobs=2, top_p=0.5)
    assert sent["max_output_tokens"] == 5
    assert sent["reasoning"] == {"summary": "auto", "effort": "low"}
    assert sent["text"] == {"verbosity": "low"}
    assert (sent["include"], sent["top_logprobs"], sent["top_p"]) == (["message.output_text.logprobs"], 2, 0.5)


def test_what_is_said_in_this_apis_own_words_wins():
    sent = write(reasoning={"summary": "detailed"}, reasoning_effort="low", text={"verbosity": "high"}, store=True, truncation="auto")
    assert sent["reasoning"] == {"summary": "detailed", "effort": "low"}
    assert (sent["text"], sent["store"], sent["truncation"]) == ({"verbosity": "high"}, True, "auto")


def test_what_is_not_known_by_name_goes_into_the_body():
    assert write(prompt_cache_key="k", extra_body={"x": 1})["extra_body"] == {"prompt_cache_key": "k", "x": 1}


def test_a_function_is_not_strict_unless_it_says_so():
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    other = {"type": "web_search"}
    sent = write(tools=(TOOL, strict, other), tool_choice={"type": "function", "function": {"name": "add"}})
    assert [tool.get("strict") for tool in sent["tools"]] == [False, True, None]
    assert sent["tools"][0] == {
        "type": "function",
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object"},
        "strict": False,
    }
    assert sent["tool_choice"] == {"type": "function", "name": "add"}
    assert sent["include"] == ["reasoning.encrypted_content"]


def test_a_schema_is_the_format_of_the_text():
    assert write(form=FORM)["text"] == {"format": {"type": "json_schema", "name": "city", "schema": {"type": "object"}, "strict": True}}
    assert write(form={"type": "json_object"})["text"] == {"format": {"type": "json_object"}}


def test_images_and_files_are_parts_of_the_input():
    parts = (
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
    )
    assert write(Message("user", parts))["input"][0]["content"] == [
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
    ]


CALLS = tuple({"id": f"call_{n}", "type": "function", "function": {"name": "add", "arguments": "{}"}} for n in range(2))


def test_calls_and_results_are_items_of_their_own():
    said = write(Message("assistant", "Let me see.", tool_calls=CALLS[:1]), Message("tool", "3", tool_call_id="call_0"))["input"]
    assert said == [
        {"role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "call_0", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_0", "output": "3"},
    ]


def test_reasoning_goes_back_in_its_place_before_the_calls():
    items = ({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}, {"type": "function_call", "index": 0})
    more = ({"type": "message"}, {"type": "reasoning", "id": "rs_2", "summary": []}, {"type": "function_call", "index": 1})
    said = write(Message("assistant", "Well.", tool_calls=CALLS, output_items=(*items, *more)))["input"]
    assert [item.get("id") or item.get("call_id") or item["content"] for item in said] == ["rs_1", "call_0", "Well.", "rs_2", "call_1"]


def test_what_was_refused_is_left_out():
    sent = write(tools=(TOOL,), without=("reasoning_summary", "include"))
    assert "reasoning" not in sent
    assert "include" not in sent


def test_params_are_fresh_copies():
    request = Request("openai", "o3", (Message("user", "hi"),), {"metadata": {"a": "b"}}, kind="responses")
    responses_params(request, stream=False)["metadata"]["a"] = "c"
    assert responses_params(request, stream=False)["metadata"] == {"a": "b"}
