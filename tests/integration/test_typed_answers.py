"""`--schema`, `--choices` and `--tries` over real HTTP: one answer, samples, records, misses, dry runs, refusals."""

import html
import json
import re
from typing import Literal

import pytest
from fakeserver import Turn
from pydantic import BaseModel

from tinyllm_magic import LLMCall, OpenAIClient, client, errors, override, register_client, session

ADA = '{"name": "Ada", "age": 36}'
WRONG = '{"name": "Ada", "age": "old"}'
REFUSED = Turn(status=400, body={"error": {"message": "'response_format' of type 'json_schema' is not supported with this model."}})
PERSON = "class Person(pydantic.BaseModel):\n    name: str\n    age: int"


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(autouse=True)
def recording():
    with override(mode="auto", waiting_time=0.01, model="gpt-4o-mini"):
        yield


@pytest.fixture
def run(run):
    run(f"import pydantic\n{PERSON}")
    return run


def call(schema=Person, **params):
    made = LLMCall(None, "Who is it?", schema=schema, **params)
    made.call()
    return made.response


# -- one answer


def test_a_cells_answer_is_a_value_of_its_type_live_and_recorded(run, start, shell):
    fake = start(ADA)

    first = run("%%llm -o ada --schema Person\nWho wrote the first program?")
    ada = shell.user_ns["ada"]
    run("%%llm -o again --schema Person\nWho wrote the first program?")
    again = shell.user_ns["again"]

    assert first.error is None
    assert ada.parsed == shell.user_ns["Person"](name="Ada", age=36)
    assert ada.text == ADA
    assert (again.parsed, again.text, again.source) == (ada.parsed, ada.text, "recorded")
    assert again.record == ada.record
    assert fake.n == 1
    assert fake.last["response_format"]["json_schema"]["schema"]["required"] == ["name", "age"]


def test_a_line_takes_the_short_form(run, start, shell):
    start('{"name": "Ada", "age": 36, "tags": ["maths"]}')

    run('r = %llm --schema "name, age int, tags list[str]: free words" Who?')

    assert shell.user_ns["r"].parsed == {"name": "Ada", "age": 36, "tags": ["maths"]}


def test_a_schema_of_local_variables_and_of_an_expression_is_found(run, start, shell):
    fake = start('{"value": [3, 4]}', '{"value": [3, 4]}')

    done = run("def ask():\n    Number = int\n    r = %llm --schema list[Number] Which?\n    return r\nnumbers = ask().parsed")
    run("%%llm --schema {{ {'type': 'array'} }} -o r\nWhich?")

    assert done.error is None
    assert shell.user_ns["numbers"] == [3, 4]
    assert shell.user_ns["r"].parsed == [3, 4]
    assert fake.n == 2


@pytest.mark.parametrize("line", ["--choices positive,negative", "--choices {{labels}}", '--choices ["positive","negative"]'])
def test_the_answer_is_one_of_the_choices(run, start, shell, line):
    fake = start('{"value": "positive"}')
    run("labels = ('positive', 'negative')")

    assert run(f"%%llm {line} -o r\nGood film!").error is None

    assert shell.user_ns["r"].parsed == "positive"
    assert fake.last["response_format"]["json_schema"]["schema"]["properties"]["value"]["enum"] == ["positive", "negative"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--schema Persn", "Did you mean 'Person'?"),
        ("--schema Person --choices a,b", "give one of them"),
        ("--tries 2", "without one every answer fits"),
        ("--schema Person --tries 0", "whole number above 0"),
        ("--choices ,", "choices are texts or whole numbers"),
        ('--schema Person -p response_format={"type":"json_object"}', "say the same thing"),
        ("--schema pydantic", "cannot be checked against"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_sent(run, start, line, words):
    fake = start()

    done = run(f"%%llm {line}\nWho?")

    assert words in str(done.error)
    assert isinstance(done.error, errors.OptionError)
    assert fake.n == 0


def test_a_request_without_a_schema_is_as_it_was(start):
    fake = start("plain")

    plain = LLMCall(None, "Who is it?")
    plain.call()

    assert "response_format" not in plain.response.request.canonical()
    assert "response_format" not in fake.last
    assert plain.response.parsed is None


# -- an answer that does not fit


def test_an_answer_that_does_not_fit_fails_the_cell_and_keeps_its_text(run, start, shell):
    start(WRONG)

    done = run("%%llm -o ada --schema Person\nWho?")

    assert isinstance(done.error, errors.SchemaError)
    assert done.error.faults[0][0] == "age"
    assert shell.user_ns["ada"].text == WRONG
    assert shell.user_ns["ada"].parsed is None
    assert WRONG in done.text
    assert "age: Input should be a valid integer" in str(done.error)
    assert "age: Input should be a valid integer" not in done.text


def test_a_recorded_answer_that_does_not_fit_fails_in_the_same_way(run, start):
    fake = start(WRONG)
    live, recorded = (run("%%llm --schema Person\nWho?") for _ in range(2))

    assert fake.n == 1
    assert recorded.error.message == live.error.message
    assert WRONG in recorded.text


def test_what_does_not_fit_is_paid_for_and_counted(start):
    start(Turn(WRONG, usage={"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}), far=True)

    with pytest.raises(errors.SchemaError) as caught:
        call()

    total = session.budget.totals["gpt-4o-mini"]
    assert (total.live, total.failed) == (1, 0)
    assert total.cost == caught.value.response.cost > 0


def test_it_is_asked_again_with_the_answer_and_its_fault(start):
    fake = start(WRONG, '{"name": "Ada"}', ADA, "never")

    answered = call(tries=3)

    assert answered.parsed == Person(name="Ada", age=36)
    assert fake.n == 3
    assert [m["role"] for m in fake.last["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert fake.last["messages"][1]["content"] == WRONG
    assert "age: Input should be a valid integer" in fake.last["messages"][2]["content"]
    assert [(s.response.text, s.fault.partition(":")[0]) for s in answered.steps] == [(WRONG, "age"), ('{"name": "Ada"}', "age")]


def test_a_replay_of_several_tries_asks_nothing_and_is_the_same(start):
    fake = start(WRONG, ADA)
    live, recorded = call(tries=2), call(tries=2)

    with override(mode="replay"):
        strict = call(tries=2)

    assert fake.n == 2
    assert (live.source, recorded.source, strict.source) == ("live", "recorded", "recorded")
    assert [s.response.record for s in recorded.steps] == [s.response.record for s in live.steps]
    assert (strict.parsed, strict.text, strict.usage, strict.cost) == (live.parsed, live.text, live.usage, live.cost)


def test_the_tries_are_counted_together(start):
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    start(Turn(WRONG, usage=usage), Turn(ADA, usage=usage), far=True)

    answered = call(tries=2)

    assert (answered.usage.prompt_tokens, answered.usage.completion_tokens) == (2000, 200)
    assert answered.cost == pytest.approx(session.budget.spent)
    assert session.budget.totals["gpt-4o-mini"].live == 2
    assert len(session.history) == 2


def test_where_no_try_fits_the_last_one_is_told(start):
    fake = start(WRONG, '{"name": 5, "age": 5}', ADA)

    with pytest.raises(errors.SchemaError, match="name: ") as caught:
        call(tries=2)

    assert fake.n == 2
    assert len(caught.value.response.steps) == 1
    assert caught.value.hint.startswith("No try fits")


def test_more_tries_go_on_from_what_is_recorded(start):
    fake = start(WRONG, ADA)
    with pytest.raises(errors.SchemaError):
        call()

    answered = call(tries=2)

    assert fake.n == 2
    assert answered.source == "live"
    assert answered.parsed.age == 36


def test_a_refusal_is_not_asked_again(start):
    fake = start(Turn(None, refusal="I will not."), ADA)

    with pytest.raises(errors.SchemaError, match="I will not"):
        call(tries=3)

    assert fake.n == 1


def test_a_budget_refuses_a_try_that_would_pass_it(start):
    fake = start(Turn(WRONG, usage={"prompt_tokens": 10, "completion_tokens": 1_000_000, "total_tokens": 1_000_010}), ADA, far=True)
    session.budget.set_limit(0.5)

    with pytest.raises(errors.BudgetError):
        call(tries=2, max_tokens=10)

    assert fake.n == 1


def test_the_card_tells_the_answers_before_it(run, start):
    start(WRONG, ADA)

    live, recorded = (run("%%llm --schema Person --tries 2\nWho?") for _ in range(2))

    for shown in (live, recorded):
        assert "note: answer 1 did not fit: age: Input should be a valid integer" in shown.text
        assert "<summary>answer 1</summary>" in shown.html
        assert "old" in shown.html
    assert live.text.removesuffix("live") == recorded.text.removesuffix("recorded")


def test_samples_are_tried_one_by_one(run, start, shell):
    fake = start(ADA, WRONG, '{"name": "Bo", "age": 1}')

    assert run("%%llm -n 2 --schema Person --tries 2 -o some\nWho?").error is None

    assert [r.parsed.name for r in shell.user_ns["some"]] == ["Ada", "Bo"]
    assert [len(r.steps) for r in shell.user_ns["some"]] == [0, 1]
    assert fake.n == 3
    assert shell.user_ns["some"][1].request.sample == 1


def test_a_sample_that_does_not_fit_leaves_the_others(run, start):
    fake = start(WRONG, ADA)

    done = run("%%llm -n 2 --schema Person\nWho?")

    assert isinstance(done.error, errors.SchemaError)
    assert "sample 1 of 2 failed; the other 1 is recorded" in str(done.error)
    assert fake.n == 2


def test_send_message_checks_and_asks_again(start):
    fake = start(WRONG, ADA)

    assert client().send_message("Who is it?", schema=Person, tries=2)["content"] == ADA
    assert fake.n == 2


def test_a_client_with_a_send_message_of_its_own_is_told_the_response_format(start):
    told = []

    class Own(OpenAIClient):
        def send_message(self, current_messages, model=None, **params):
            told.append((len(current_messages), sorted(params)))
            return {"role": "assistant", "content": WRONG if len(told) == 1 else ADA}

    register_client("own", Own())
    with override(api_type="own"):
        assert call(tries=2).parsed.age == 36

    assert told == [(1, ["response_format"]), (3, ["response_format"])]


# -- models that take no schema


def test_a_model_that_refuses_the_schema_once_is_told_in_the_prompt_from_then_on(start):
    fake = start(REFUSED, f"Here you are:\n```json\n{ADA}\n```", ADA)

    first, second = call(), call(seed=1)

    assert first.parsed == second.parsed == Person(name="Ada", age=36)
    assert ["response_format" in body for body in fake.bodies] == [True, False, False]
    assert fake.last["messages"][0]["content"].startswith("Who is it?\n\nAnswer with JSON alone")
    assert '"required": ["name", "age"]' in fake.last["messages"][0]["content"]
    assert first.notes == second.notes == ("gpt-4o-mini does not take response format; its schema stands in the prompt",)
    assert len(first.request.messages) == 1


def test_a_model_that_refuses_schemas_may_take_plain_json(start):
    fake = start(REFUSED, ADA, "{}")
    call()

    LLMCall(None, "As JSON!", response_format={"type": "json_object"}).call()

    assert fake.last["response_format"] == {"type": "json_object"}


def test_a_model_that_is_known_to_take_none_is_never_sent_one(start):
    fake = start(ADA)

    answered = call(model="gpt-4")

    assert answered.parsed.age == 36
    assert fake.n == 1
    assert "response_format" not in fake.last
    assert "JSON Schema" in fake.last["messages"][0]["content"]


def test_the_key_is_that_of_the_schema_however_it_is_said(start):
    fake = start(REFUSED, ADA, ADA)
    before = LLMCall(None, "Who is it?", schema=Person).prepare().request.key

    assert call().key == before
    assert call(mode="refresh").key == before
    assert ["response_format" in body for body in fake.bodies] == [True, False, False]


# -- looking before and after


@pytest.mark.parametrize(("model", "told"), [("gpt-4o-mini", False), ("gpt-4", True)])
def test_a_dry_run_shows_the_schema_and_what_would_be_said_of_it(run, start, model, told):
    fake = start()

    shown = run(f"%%llm -m {model} --schema Person --dry-run\nWho?")

    assert fake.n == 0
    assert ("[schema]\nname: string\nage: integer" in shown.text) is not told
    assert ("Answer with JSON alone" in shown.text) is told
    assert ("its schema stands in the prompt" in shown.text) is told
    assert "not recorded: would be a live call" in shown.text


def test_a_dry_run_counts_the_schema_as_an_estimate(run, start):
    start()

    plain, typed = (run(f"%%llm {schema} --dry-run\nWho is it?").text for schema in ("", "--schema Person"))

    assert "\n11 tokens = 4 user + 7 for marks of the chat format\n" in plain
    assert int(re.search(r"\n≈ (\d+) tokens = 4 user \+ \d+ for marks of the chat format and the schema\n", typed)[1]) > 40


def test_a_stop_in_the_second_try_keeps_the_first_and_records_no_more(start):
    fake = start(WRONG, Turn(ADA, chunk_delay=0.05), ADA)
    stream = LLMCall(None, "Who is it?", schema=Person, tries=2).prepare().stream()
    for chunk in stream:
        if chunk.restart:
            break
    next(stream)
    stream.close()

    assert call(tries=2).parsed.age == 36
    assert fake.n == 3
    assert [body["messages"][-1]["role"] for body in fake.bodies] == ["user"] * 3
    assert [len(body["messages"]) for body in fake.bodies] == [1, 3, 3]


def test_a_dry_run_says_recorded_only_where_no_try_is_missing(run, start):
    start(WRONG, ADA)
    run("%%llm --schema Person\nWho?")

    assert "recorded: answered without a call" in run("%%llm --schema Person --dry-run\nWho?").text
    assert "not recorded" in run("%%llm --schema Person --tries 2 --dry-run\nWho?").text
    run("%%llm --schema Person --tries 2\nWho?")
    assert "recorded: answered without a call" in run("%%llm --schema Person --tries 2 --dry-run\nWho?").text


def test_a_changed_schema_is_a_miss_that_shows_its_fields(run, start):
    start(ADA, "another")
    run("%%llm --schema Person\nWho?")
    run("%%llm\nWho was it then?")

    done = run('%%llm --mode replay --schema "name, age float: in years, mood"\nWho?')

    assert isinstance(done.error, errors.ReplayMiss)
    assert done.error.difference == (
        "schema Person → answer:",
        "  age: integer → number: in years",
        "  mood: new, string",
    )


def test_a_schema_that_was_added_is_said_in_one_line(run, start):
    start("Ada")
    run("%%llm\nWho?")

    done = run("%%llm --mode replay --schema Person\nWho?")

    assert done.error.difference == ("schema: (none) → Person (name: string, age: integer)", "  A schema was added.")


def test_the_card_shows_fields_and_folds_the_json(run, start):
    start(ADA, '{"value": [{"name": "Ada", "age": 36}, {"name": "Bo", "age": 1}]}', '{"value": "yes"}')

    one = run("%%llm --schema Person\nWho?").html
    many = run("%%llm --schema list[Person]\nWho?").html
    word = run("%%llm --choices yes,no\nWho?").html

    assert "<td>name</td><td>Ada</td>" in one
    assert '<th scope="col">name</th><th scope="col" class="tlm-num">age</th>' in many
    assert '<p class="tlm-text">yes</p>' in word
    for page in (one, many, word):
        assert "<details><summary>JSON</summary>" in page


def test_a_format_of_ones_own_is_kept(run, start):
    start(ADA)

    assert "<td>" not in run("%%llm --schema Person -f json\nWho?").html


def test_history_and_the_store_show_typed_answers(run, start, shell):
    start(ADA)
    run("%%llm --schema Person -o ada\nWho?")

    assert "<td>name</td><td>Ada</td>" in run("%llm_history").html
    assert "<td>name</td><td>Ada</td>" in run(f"%llm_cache show {shell.user_ns['ada'].key[3:12]}").html


def test_a_value_shows_itself_as_its_card(run, start):
    start(ADA)

    assert "<td>name</td><td>Ada</td>" in run("r = %llm --schema Person Who?\ndisplay(r)").html


def test_an_answer_is_drawn_as_text_while_it_grows(run, start):
    start(Turn('{"name": "_Ada_ the *first*", "age": 36}', chunk_delay=0.12))

    shown = run("%%llm --schema Person\nWho?")

    assert shown.error is None
    assert "_Ada_ the *first*" in shown.html


def test_a_comparison_has_a_typed_value_for_each_model(run, start, shell):
    start('{"value": "yes"}', '{"value": "no"}')

    assert run("%%llm --compare gpt-4o,gpt-4o-mini --choices yes,no -o both --workers 1\nWell?").error is None

    assert [r.parsed for r in shell.user_ns["both"]] == ["yes", "no"]


def test_a_literal_of_numbers_is_compared_as_numbers(start):
    start('{"value": 2}')
    assert call(Literal[1, 2]).parsed == 2


def test_a_call_with_a_schema_can_be_written_down(start, tmp_path):
    fake = start(ADA)
    LLMCall(None, "Who is it?", schema=Person, tries=2).to_prompty(tmp_path / "who.prompty")

    again = LLMCall(None, str(tmp_path / "who.prompty"))
    again.call()

    assert json.loads(again.response.text) == json.loads(ADA)
    assert fake.last["response_format"]["json_schema"]["name"] == "Person"


# -- many rows in a cell


def test_a_mapped_cell_shows_its_typed_columns_and_the_text_only_of_what_does_not_fit(run, start, shell):
    start(*[lambda body: ADA if "Ada" in body["messages"][0]["content"] else '{"name": "Bo"}'] * 4)

    good = run("%%llm --map \"[{'who': 'Ada'}]\" --schema Person -o t\nWho is {{ who }}?")
    mixed = run("%%llm --map \"[{'who': 'Ada'}, {'who': 'Bo'}]\" --schema Person -o t\nWho is {{ who }}?")

    assert good.text.splitlines()[0].split() == ["who", "name", "age"]
    assert mixed.text.splitlines()[0].split() == ["who", "name", "age", "answer", "error", "source"]
    assert html.escape('{"name": "Bo"}') in mixed.html
    assert html.escape(ADA) not in mixed.html
    assert "2 rows · 1 failed" in mixed.text
    assert shell.user_ns["t"]["age"] == [36, None]
    assert mixed.error is None


def test_a_dry_run_of_a_map_says_the_schema(run, start):
    fake = start()

    told = run("%%llm --map \"[{'who': 'Ada'}]\" -m gpt-4 --schema Person --dry-run\nWho is {{ who }}?")

    assert "name: string, age: integer" in told.text
    assert "Answer with JSON alone" in told.text
    assert fake.n == 0


def test_a_map_in_which_no_row_fits_fails_and_hands_over_its_table(run, start, shell):
    start(WRONG, WRONG)

    done = run("%%llm --map [{'n':1},{'n':2}] --choices yes,no -o t\nIs {{ n }} even?")

    assert isinstance(done.error, errors.SchemaError)
    assert "all 2 rows failed" in done.error.message
    assert shell.user_ns["t"]["answer"] == [WRONG, WRONG]


# -- the embedded model


@pytest.mark.model
def test_the_embedded_model_is_held_to_a_schema_by_its_grammar(run, shell, weights_folder, monkeypatch):
    monkeypatch.setenv("TINYLLM_CACHE_DIR", str(weights_folder))
    fields = "born: datetime.date\n    field: Literal['maths', 'music']"
    run(f"import datetime\nfrom typing import Literal\nclass Life(pydantic.BaseModel):\n    {fields}")

    with override(api_type="local", model=None):
        typed = run("%%llm --schema Life --temperature 0 --max-tokens 100 -o ada\nWho was Ada Lovelace?")
        choice = run("%%llm --choices yes,no --temperature 0 --max-tokens 50 -o said\nIs tea a drink?")
        again = run("%%llm --schema Life --temperature 0 --max-tokens 100 -o ada_again\nWho was Ada Lovelace?")

    assert (typed.error, choice.error, again.error) == (None, None, None)
    ada, said = shell.user_ns["ada"], shell.user_ns["said"]
    assert isinstance(ada.parsed, shell.user_ns["Life"])
    assert ada.notes == ()
    assert json.loads(ada.text).keys() == {"born", "field"}
    assert said.parsed in ("yes", "no")
    assert (shell.user_ns["ada_again"].parsed, shell.user_ns["ada_again"].source) == (ada.parsed, "recorded")
