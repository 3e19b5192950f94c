"""``LLMCall``: which texts are files, what it notes; as a value it is varied, and sent to another process."""

import pickle
import threading
from pathlib import Path

import pytest

from tinyllm_magic import LLMCall
from tinyllm_magic.errors import ConfigError, OptionError, PromptError
from tinyllm_magic.settings import trust


def test_a_call_travels_with_the_variables_that_it_names_alone():
    call = LLMCall.from_text("{{ a }} {{ w }}", namespace={"a": 1, "module": threading, "open": (n for n in ())})

    other = pickle.loads(pickle.dumps(call))

    assert other.namespace == {"a": 1}
    assert other.render(w=2)[0].text == "1 2"


def test_varied_leaves_the_original_as_it_is():
    call = LLMCall(None, "Say tea", temperature=0)

    assert call.with_params(temperature=1).model_params == {"temperature": 1}
    assert call.model_params == {"temperature": 0}


def test_a_path_is_a_file_whatever_its_name_holds():
    Path("my {odd} name.txt").write_text("Hello {{ who }}", encoding="utf-8")
    assert [m.content for m in LLMCall(None, Path("my {odd} name.txt")).render(who="Ada")] == ["Hello Ada"]
    assert "my {odd} name.txt" in repr(LLMCall(None, Path("my {odd} name.txt")))


def test_a_name_with_a_space_is_read_where_there_is_such_a_file():
    Path("my greeting.txt").write_text("Hello {{ who }}", encoding="utf-8")
    assert [m.content for m in LLMCall("my greeting.txt").render(who="Ada")] == ["Hello Ada"]


def test_a_template_name_with_a_space_that_is_missing_is_an_error_and_not_sent():
    with pytest.raises(PromptError, match=r"no template file 'my greeting\.j2'"):
        LLMCall("my greeting.j2").render()


def test_a_system_message_of_one_word_is_text_unless_it_names_a_file():
    assert [m.content for m in LLMCall.from_text("Hi", system="Rhyme!").render()] == ["Rhyme!", "Hi"]
    Path("rules").write_text("Be {{ mood }}.", encoding="utf-8")
    assert [m.content for m in LLMCall.from_text("Hi", system="rules").render(mood="kind")] == ["Be kind.", "Hi"]
    with pytest.raises(PromptError, match="no template file"):
        LLMCall.from_text("Hi", system="rules.j2").render()


def test_the_template_of_a_cell_is_always_a_file():
    with pytest.raises(PromptError, match="no template file 'my frame'"):
        LLMCall.from_text("Hello", template="my frame").render()


def test_notes_of_a_template_are_notes_of_the_plan():
    call = LLMCall("About {topic}.", "{{ topic }}", model="echo")
    assert call.prepare(topic="tea").notes == ("`{topic}` was sent as typed; `{{ topic }}` is the variable",)


def test_a_prompts_folder_that_is_a_link_to_elsewhere_is_not_searched(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "id_rsa").write_text("secret", encoding="utf-8")
    Path("prompts").mkdir()
    Path("prompts", "id_rsa").write_text("public", encoding="utf-8")
    call = LLMCall("{% include 'id_rsa' %}")
    assert call.render()[0].text == "public"
    Path("prompts").rename("before")
    Path("prompts").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(PromptError, match="no template file"):
        call.render()
    Path("prompts").unlink()
    Path("before").rename("prompts")
    assert call.render()[0].text == "public"


PROMPTY = """---
name: tea
model:
  id: model-7
  connection:
    endpoint: {url}
    apiKey: ${{env:TEA_KEY}}
  options:
    temperature: 0.5
    maxOutputTokens: 9
inputs:
  - name: topic
    kind: string
    default: tea
---
system:
Be brief.

user:
About {{{{ topic }}}}.
"""


@pytest.fixture
def prompty():
    """A ``.prompty`` file in the working directory, with an address of its own."""
    Path("tea.prompty").write_text(PROMPTY.format(url="https://example.org/v1"), encoding="utf-8")
    return Path("tea.prompty")


@pytest.mark.filterwarnings("ignore:tea.prompty.*not trusted")
@pytest.mark.parametrize("arguments", [(Path("tea.prompty"),), ("tea.prompty",), (None, "tea.prompty")])
def test_a_prompt_file_brings_messages_model_and_parameters(prompty, arguments):
    request = LLMCall(*arguments).prepare(topic="rain").request

    assert [(m.role, m.content) for m in request.messages] == [("system", "Be brief."), ("user", "About rain.")]
    assert (request.model, dict(request.params)) == ("model-7", {"temperature": 0.5, "max_tokens": 9})


@pytest.mark.filterwarnings("ignore:tea.prompty.*not trusted")
def test_what_is_said_in_code_overrules_a_prompt_file(prompty):
    call = LLMCall(prompty, model="model-8", temperature=0)
    assert call.model_params == {"model": "model-8", "temperature": 0, "max_tokens": 9}
    assert [m.content for m in pickle.loads(pickle.dumps(call)).with_params(temperature=1).render()] == ["Be brief.", "About tea."]


def test_a_prompt_file_of_a_folder_that_is_not_trusted_asks_the_users_own_address(prompty, serve, monkeypatch):
    server = serve("ok")
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("TEA_KEY", "sk-tea-0123456789abcdef")
    with pytest.warns(UserWarning, match=r"tea\.prompty: model\.connection\.apiKey, the endpoint are ignored"):
        call = LLMCall(prompty)

    assert call.call() == "ok"
    assert server.headers["authorization"] == "Bearer sk-test-0123456789abcdef"


@pytest.mark.parametrize("folder", [".", "prompts"])
def test_a_prompt_file_of_a_trusted_folder_asks_its_own_address_with_its_own_key(serve, monkeypatch, folder):
    server = serve("ok")
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "tea.prompty").write_text(PROMPTY.format(url=server.url), encoding="utf-8")
    monkeypatch.setenv("TEA_KEY", "sk-tea-0123456789abcdef")
    trust.trust(Path.cwd())

    assert LLMCall("tea.prompty").call() == "ok"
    assert server.headers["authorization"] == "Bearer sk-tea-0123456789abcdef"
    assert LLMCall("tea.prompty", model="echo", call=lambda **sent: sent["model"]).call() == "echo"
    assert server.n == 1


@pytest.mark.parametrize("name", ["mode", "sample", "call", "model", "timeout", "max_attempts"])
def test_a_prompt_file_does_not_say_how_it_is_asked(name):
    Path("a.prompty").write_text(f"---\nmodel:\n  parameters:\n    {name}: refresh\n---\nHi", encoding="utf-8")
    with pytest.raises(PromptError, match=rf"`{name}` is no parameter of a model.*\(line 4 of a\.prompty\)"):
        LLMCall("a.prompty")


@pytest.mark.parametrize(
    ("line", "words"), [("temperature: hot", "hot"), ("temprature: 1", "unknown parameter 'temprature'"), ("stop: 3", "stop takes")]
)
def test_a_wrong_parameter_of_a_prompt_file_is_named_with_its_line(line, words):
    Path("a.prompty").write_text(f"---\nmodel:\n  parameters:\n    {line}\n---\nHi", encoding="utf-8")
    with pytest.raises((OptionError, ConfigError), match=words) as caught:
        LLMCall("a.prompty").prepare()
    assert "(line 4 of a.prompty)" in str(caught.value)


def test_the_sample_of_a_prompt_file_is_sent_with_a_note():
    Path("a.prompty").write_text("---\nsample:\n  topic: rain\n---\nuser:\nAbout {{ topic }}", encoding="utf-8")
    call = LLMCall("a.prompty", model="echo")
    assert call.prepare().request.messages[0].content == "About rain"
    assert call.prepare().notes == ("`topic` was not given: the sample of a.prompty was sent",)
    assert call.prepare(topic="tea").notes == ()


@pytest.mark.parametrize(
    "call",
    [
        LLMCall("Be brief.", "Write about {{ topic }}.", temperature=0, model="m", max_tokens=3, mode="off", timeout=3),
        LLMCall.from_text("{% system %}Be brief.{% endsystem %} About\nuser:\n{{ topic }}", system="Be kind."),
        LLMCall.from_text("A {{ topic }}", template="frame.j2", temperature=1),
    ],
)
def test_a_call_written_to_a_prompt_file_is_read_again(call):
    Path("frame.j2").write_text("{% system %}F{% endsystem %}<{{ cell }}>", encoding="utf-8")

    again = LLMCall(call.to_prompty("out.prompty"))

    assert again.render(topic="{% raw %}") == call.render(topic="{% raw %}")
    assert again.model_params == {k: v for k, v in call.model_params.items() if k not in ("mode", "timeout")}
    assert list(again._prompts["out.prompty"].inputs) == ["topic"]


def test_a_cells_prompt_file_is_read_by_promptys_own_library():
    prompty = pytest.importorskip("prompty")
    source = (
        "{% system %}You name the continent of a city.{% endsystem %}\n"
        "{% for city, continent in known.items() %}\n"
        "{% user %}{{ city }}{% enduser %}{% assistant %}{{ continent }}{% endassistant %}\n"
        "{% endfor %}\n"
        "{{ place }}"
    )
    call = LLMCall.from_text(source, model="gpt-4o-mini", temperature=0.5, max_tokens=8, seed=3, stop=["END"])
    given = {"known": {"Rome": "Europe", "Cairo": "Africa"}, "place": "Ulm"}

    read = prompty.load(str(call.to_prompty("continents.prompty")))

    options = read.model.options
    assert (read.model.id, options.temperature, options.max_output_tokens) == ("gpt-4o-mini", 0.5, 8)
    assert (options.seed, options.stop_sequences) == (3, ["END"])
    assert sorted(given) == [each.name for each in read.inputs]
    assert [(m.role, m.parts[0].value) for m in prompty.prepare(read, given)] == [(m.role, m.content) for m in call.render(**given)]


@pytest.mark.filterwarnings("ignore:tea.prompty.*not trusted")
def test_a_prompt_file_written_again_keeps_its_defaults_and_holds_no_address(prompty):
    again = LLMCall(LLMCall(prompty).to_prompty("out.prompty"))
    assert [m.content for m in again.render()] == ["Be brief.", "About tea."]
    assert "example.org" not in Path("out.prompty").read_text("utf-8")


def test_variables_of_the_notebook_are_not_written_to_a_prompt_file():
    LLMCall.from_text("{{ secret }}", namespace={"secret": "hush"}).to_prompty("out.prompty")
    assert "hush" not in Path("out.prompty").read_text("utf-8")
