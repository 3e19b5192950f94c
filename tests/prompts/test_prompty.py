"""Prompt files: both forms of the format are read, what is wrong is named with its line, and what is written is read again."""

import pytest

from tinyllm_magic.errors import OptionError, PromptError, UndefinedError
from tinyllm_magic.prompts.prompty import read_prompty, write_prompty

FIRST = """---
name: Basic
model:
  api: chat
  configuration:
    type: azure_openai
    azure_endpoint: https://example.org
    azure_deployment: gpt-4o
    api_version: "2024-10-21"
  parameters:
    max_tokens: 128
    temperature: 0.2
    stream: true
inputs:
  question:
    type: string
    sample: Why?
sample:
  firstName: Seth
---
system:
You help {{firstName}}.

user:
{{question}}
"""
SECOND = """---
name: basic
model:
  id: gpt-4
  provider: openai
  connection:
    kind: key
    endpoint: https://example.org/v1
    apiKey: ${env:SOME_KEY}
  options:
    temperature: 0.7
    maxOutputTokens: 1000
    topP: 0.9
    topK: 5
    stopSequences: [END]
    additionalProperties: {user: bob}
inputs:
  - name: firstName
    kind: string
    default: Jane
  - name: chat
    kind: thread
---
You help {{firstName}}.
{{ chat }}
"""


@pytest.fixture
def read(tmp_path):
    def read(text, environ=None):
        (tmp_path / "a.prompty").write_text(text, encoding="utf-8")
        return read_prompty(tmp_path / "a.prompty", environ)

    return read


def test_the_first_form_says_model_parameters_and_samples(read):
    file = read(FIRST)
    assert (file.model, file.params) == ("gpt-4o", {"max_tokens": 128, "temperature": 0.2})
    assert file.samples == {"firstName": "Seth", "question": "Why?"}


def test_the_second_form_says_model_options_and_defaults(read):
    file = read(SECOND)
    assert file.model == "gpt-4"
    assert file.params == {
        "temperature": 0.7, "max_tokens": 1000, "top_p": 0.9, "extra_body": {"top_k": 5}, "stop": ["END"], "user": "bob",
    }  # fmt: skip
    assert file.fill({}, ()) == ({"firstName": "Jane", "chat": ()}, ())


def test_a_model_may_be_named_in_a_word_or_not_at_all(read):
    assert read("---\nmodel: gpt-4\n---\nHi").model == "gpt-4"
    assert read("---\nname: a\n---\nHi").model is None
    assert read("Hi").model is None


def test_a_file_that_is_not_trusted_chooses_neither_address_nor_key(read):
    for text, words in ((FIRST, "the endpoint is ignored"), (SECOND, r"model\.connection\.apiKey, the endpoint are ignored")):
        file = read(text)
        assert file.connection == {}
        with pytest.raises(AssertionError, match=words):
            raise AssertionError(*file.warnings)
        assert "example.org" not in str(file.warnings)


def test_a_trusted_file_chooses_its_address_and_key(read):
    azure = {"provider": "azure", "base_url": "https://example.org", "api_version": "2024-10-21", "model": "gpt-4o"}
    assert read(FIRST, {}).connection == azure
    assert read(SECOND, {"SOME_KEY": "k"}).connection == {
        "provider": "openai", "base_url": "https://example.org/v1", "api_key": "k", "model": "gpt-4",
    }  # fmt: skip
    assert read(SECOND, {"SOME_KEY": "k"}).warnings == ()


def test_a_default_and_then_a_sample_stands_for_what_nobody_gives(read):
    file = read(FIRST)
    values, notes = file.fill({"question": "How?"}, ())
    assert values == {"firstName": "Seth"}
    assert notes == ("`firstName` was not given: the sample of a.prompty was sent",)
    assert file.fill({"question": "How?", "firstName": "Ada"}, ()) == ({}, ())


def test_functions_become_tools_without_what_the_file_binds_and_other_kinds_are_left_out(read):
    file = read(
        "---\ntools:\n- name: weather\n  kind: function\n  description: Now\n  strict: true\n"
        "  parameters: [{name: city, kind: string, required: true}, {name: unit, kind: string}]\n  bindings: {unit: {input: u}}\n"
        "- {name: files, kind: mcp}\n---\nHi"
    )
    (tool,) = file.params["tools"]
    assert tool["function"]["name"] == "weather"
    assert tool["function"]["strict"] is True
    assert list(tool["function"]["parameters"]["properties"]) == ["city"]
    assert file.warnings == ("a.prompty: the tool files is left out, for it is of kind mcp",)


def test_outputs_of_the_second_form_are_the_schema_of_the_answer(read):
    schema = read("---\noutputs:\n- {name: n, kind: integer, required: true}\n---\nHi").params["response_format"]["json_schema"]
    assert schema["schema"]["properties"] == {"n": {"type": "integer"}}
    assert read("---\noutputs:\n  n: {type: integer}\n---\nHi").params == {}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("---\nname: a\nmodel:\n  api: embedding\n---\nHi", 4, "no chat"),
        ("---\nname: a\nmodel:\n  id: m\n  apiType: image\n---\nHi", 5, "no chat"),
        ("---\nname: a\ntemplate: mustache\n---\nHi", 3, "mustache, not in jinja2"),
        ("---\nname: a\ntemplate:\n  format:\n    kind: handlebars\n---\nHi", 3, "handlebars, not in jinja2"),
        ("---\nname: a\nbase: b.prompty\n---\nHi", 3, "`base` is not read"),
        ("---\nname: a\nmodel:\n  options: 3\n---\nHi", 4, "`options` takes keys with values, not int"),
        ("---\nname: a\nmodel: [1]\n---\nHi", 3, "`model` takes keys with values, not list"),
        ("---\nname: a\nsample: b.json\n---\nHi", 3, "`sample` takes keys with values, not str"),
        ("---\nname: a\ntools: 3\n---\nHi", 3, "list of tools"),
        ("---\nname: a\ninputs:\n  - {name: photo, kind: image}\n---\nHi", 3, "'photo' is of kind image"),
    ],
)
def test_what_cannot_be_asked_is_an_error_with_its_line(read, text, line, words):
    with pytest.raises(PromptError, match=words) as caught:
        read(text)
    assert (caught.value.line, f"line {line} of a.prompty" in str(caught.value)) == (line, True)


def test_errors_of_the_prompt_count_the_lines_of_the_file(read):
    with pytest.raises(UndefinedError, match=r"'question' is not defined \(line 25, column 3 of a\.prompty\)") as caught:
        read(FIRST).template(()).render({"firstName": "a"})
    assert caught.value.line == 25
    with pytest.raises(PromptError, match=r"line 6\b.* of a\.prompty"):
        read("---\nname: a\n---\nsystem:\na\n{% fi %}\n").template(())


def test_every_form_of_template_that_is_jinja_is_read(read):
    for form in ("jinja2", "{format: jinja2, parser: prompty}", "{type: jinja2}", "{format: {kind: jinja2}}"):
        assert read(f"---\ntemplate: {form}\n---\nHi {{{{ x }}}}").template(()).render({"x": 1})[0].content == "Hi 1"


def test_what_is_written_is_read_again(tmp_path):
    params = {"temperature": 0, "max_tokens": 5, "stop": ["\n"], "response_format": {"type": "json_object"}}
    inputs = [{"name": "x", "kind": "string", "default": "é: {{ y }}"}, {"name": "z", "kind": "string"}]
    write_prompty(tmp_path / "b.prompty", "system:\n---\nuser:\n{{ x }}", "m", params, inputs)

    file = read_prompty(tmp_path / "b.prompty")

    assert (file.model, file.params, list(file.inputs.values())) == ("m", params, inputs)
    assert [(m.role, m.content) for m in file.template(()).render({"x": "a"})] == [("system", "---"), ("user", "a")]


def test_only_a_prompt_file_is_written(tmp_path):
    with pytest.raises(OptionError, match=r"ends in \.prompty: b\.md"):
        write_prompty(tmp_path / "b.md", "Hi", None, {}, [])
    with pytest.raises(OptionError, match="cannot be written"):
        write_prompty(tmp_path / "missing" / "b.prompty", "Hi", None, {}, [])
