"""Tools for a model whose template knows none: what its prompt says, what its grammar allows, what is read of its answer."""

import json

import pytest

from tinyllm_magic.messages import Request, to_messages
from tinyllm_magic.providers.grammar_tools import demands_call, read_call, spell_tools
from tinyllm_magic.responses import Chunk, ChunkAccumulator

CITY = {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}, "$defs": {"City": {"type": "string"}}}
TOOLS = tuple({"type": "function", "function": {"name": n, "description": f"Do {n}.", "parameters": CITY}} for n in ("weather", "traffic"))
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}},
        {"id": "b", "type": "function", "function": {"name": "traffic", "arguments": '{"city": "Bonn"}'}},
    ],
}
RESULTS = [{"role": "tool", "tool_call_id": "a", "content": "sunny"}, {"role": "tool", "tool_call_id": "b", "content": "dense"}]
QUESTION = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How is it?"}]


def asked(*messages, choice="required", tools=TOOLS):
    return Request("local", "m", to_messages(messages or QUESTION), {"max_tokens": 9, "tool_choice": choice}, tools)


@pytest.mark.parametrize(
    ("choice", "demanded"),
    [("required", True), ({"type": "function", "function": {"name": "weather"}}, True), ("auto", False), ("none", False), (None, False)],
)
def test_a_call_is_demanded_where_the_request_says_so(choice, demanded):
    assert demands_call(asked(choice=choice)) is demanded


def test_the_prompt_describes_the_tools_and_the_grammar_holds_the_answer_to_a_call():
    spelt = spell_tools(asked())

    assert (spelt.tools, dict(spelt.params)) == ((), {"max_tokens": 9})
    assert spelt.messages[0].text.startswith("Be brief.\n\nYou can call these functions:\n")
    assert "Do weather." in spelt.messages[0].text
    schema = spelt.response_format["json_schema"]["schema"]
    assert [part["properties"]["name"]["const"] for part in schema["anyOf"]] == ["weather", "traffic"]
    assert [part["properties"]["arguments"]["$ref"] for part in schema["anyOf"]] == ["#/$defs/tool0", "#/$defs/tool1"]
    assert schema["$defs"]["tool1"]["properties"]["city"]["$ref"] == "#/$defs/tool1/$defs/City"


def test_one_tool_that_is_named_is_the_only_one_offered():
    spelt = spell_tools(asked(choice={"type": "function", "function": {"name": "traffic"}}))

    assert "weather" not in spelt.messages[0].text
    assert len(spelt.response_format["json_schema"]["schema"]["anyOf"]) == 1


def test_a_prompt_without_a_system_message_gets_one():
    assert [m.role for m in spell_tools(asked({"role": "user", "content": "Go."})).messages] == ["system", "user"]


def test_calls_and_results_are_told_in_words_and_answered_freely():
    spelt = spell_tools(asked(*QUESTION, CALLED, *RESULTS))

    assert [(m.role, m.text) for m in spelt.messages] == [
        ("system", "Be brief."),
        ("user", "How is it?"),
        ("assistant", "I call weather(city='Ulm'), traffic(city='Bonn')."),
        ("user", "weather(city='Ulm') = sunny\ntraffic(city='Bonn') = dense\n\nWhat is the answer to: How is it?"),
    ]
    assert spelt.response_format is None


def test_the_next_question_of_a_conversation_is_held_to_a_call_again():
    later = asked(*QUESTION, CALLED, *RESULTS, {"role": "assistant", "content": "Fine."}, {"role": "user", "content": "And now?"})

    assert spell_tools(later).response_format is not None


def read(*texts, finish="stop", number=0):
    folded = ChunkAccumulator()
    for chunk in read_call(iter([*(Chunk(text=t) for t in texts), Chunk(finish_reason=finish)]), number):
        folded.add(chunk)
    return folded.answer()


def test_an_answer_in_pieces_is_read_as_a_call():
    answer = read('{"name": "weather", "argu', 'ments": {"city": "Ulm"}}', number=2)

    (call,) = answer.tool_calls
    assert (call.id, call.name, json.loads(call.arguments)) == ("call_2", "weather", {"city": "Ulm"})
    assert (answer.text, answer.finish_reason) == (None, "tool_calls")


@pytest.mark.parametrize(("text", "finish"), [('{"name": "weather", "arguments": {"ci', "length"), ("something else", "stop")])
def test_what_is_no_whole_call_is_left_as_text(text, finish):
    answer = read(text, finish=finish)

    assert (answer.text, answer.tool_calls, answer.finish_reason) == (text, (), finish)
