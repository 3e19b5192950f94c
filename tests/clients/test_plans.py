"""Messages, a route and parameters become a plan: which parameter wins, what is left out, what is refused."""

import pytest

from tinyllm_magic import errors
from tinyllm_magic.clients.plans import make_embedding_plan, make_plan
from tinyllm_magic.models.routing import choose_route
from tinyllm_magic.recording.modes import Mode
from tinyllm_magic.settings import layers
from tinyllm_magic.settings.origins import Origin

M = [{"role": "user", "content": "hi"}]


def plan(params=None, *, model="gpt-4o", tables=None, messages=M, current=None, **more):
    route = choose_route(model=model, packaged_model="p", models=tables or {})
    return make_plan(messages, route, current or layers.load(), params or {}, mode=Mode.OFF, **more)


def test_controls_are_no_part_of_the_request():
    made = plan({"timeout": 3, "max_attempts": 2, "waiting_time": 0.5, "exponential_backoff_factor": 4, "temperature": 0})
    assert made.request.params == {"temperature": 0.0}
    assert (made.timeout, made.policy.attempts, made.policy.waiting_time, made.policy.factor) == (3, 2, 0.5, 4)


def test_the_call_wins_over_the_table_and_the_table_over_the_files():
    tables = {"t": {"temperature": 0.2, "top_p": 0.2, "timeout": 5, "max_retries": 0}}
    current = layers.load().over({"temperature": 0.1, "seed": 1}, Origin.FOLDER_FILE)
    made = plan({"top_p": 0.3}, model="t", tables=tables, current=current)
    assert made.request.params == {"temperature": 0.2, "top_p": 0.3, "seed": 1}
    assert (made.timeout, made.policy.attempts) == (5, 1)
    assert plan({"timeout": 9, "max_attempts": 4}, model="t", tables=tables).policy.attempts == 4


@pytest.mark.parametrize("origin", [Origin.SESSION, Origin.OVERRIDE, Origin.CLIENT, Origin.CALL])
def test_what_is_chosen_by_hand_wins_over_the_table(origin):
    tables = {"t": {"temperature": 0.2, "timeout": 5, "max_retries": 0}}
    made = plan(model="t", tables=tables, current=layers.load().over({"temperature": 1, "timeout": 8, "max_attempts": 3}, origin))
    assert (made.request.params["temperature"], made.timeout, made.policy.attempts) == (1, 8, 3)


def test_none_is_not_sent_but_keeps_the_default():
    current = layers.load().over({"temperature": 0.1}, Origin.FOLDER_FILE)
    assert plan({"temperature": None, "stop": None}, current=current).request.params == {"temperature": 0.1}


def test_a_reasoning_model_gets_its_names_and_a_note_for_what_it_refuses():
    made = plan({"temperature": 0.5, "max_tokens": 9}, model="o3-mini")
    assert made.request.params == {"max_completion_tokens": 9}
    assert made.notes == ("o3-mini takes no temperature; it was left out",)


def test_max_completion_tokens_gets_the_name_that_the_model_takes():
    assert plan({"max_completion_tokens": 9}).request.params == {"max_tokens": 9}


@pytest.mark.parametrize(("model", "sent"), [("gpt-4o", {"max_tokens": 5}), ("o3", {"max_completion_tokens": 7})])
def test_of_two_limits_in_the_same_layer_the_one_counts_that_the_model_knows(model, sent):
    current = layers.load().over({"max_tokens": 5, "max_completion_tokens": 7}, Origin.FOLDER_FILE)
    assert plan(model=model, current=current).request.params == sent


@pytest.mark.parametrize(("first", "second"), [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")])
@pytest.mark.parametrize("model", ["gpt-4o", "o3"])
def test_of_two_limits_the_one_of_the_later_layer_counts(model, first, second):
    current = layers.load().over({first: 5}, Origin.FOLDER_FILE).over({second: 7}, Origin.SESSION)
    assert list(plan(model=model, current=current).request.params.values()) == [7]


@pytest.mark.parametrize(("origin", "sent"), [(Origin.ENVIRONMENT, 3), (Origin.SESSION, 7)])
def test_the_limit_of_a_named_model_is_stronger_than_files_and_weaker_than_a_choice(origin, sent):
    current = layers.load().over({"max_completion_tokens": 7}, origin)
    assert plan(model="t", tables={"t": {"max_tokens": 3}}, current=current).request.params == {"max_tokens": sent}


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_limit_of_a_call_counts_whatever_the_settings_say(name):
    current = layers.load().over({"max_tokens": 5, "max_completion_tokens": 7}, Origin.FOLDER_FILE)
    assert plan({name: 9}, current=current).request.params == {"max_tokens": 9}


def test_the_effort_of_the_settings_is_left_out_with_a_note_where_a_model_does_not_reason():
    made = plan(current=layers.load().over({"reasoning_effort": "high"}, Origin.FOLDER_FILE))
    assert made.request.params == {}
    assert made.notes == ("gpt-4o takes no reasoning_effort; it was left out",)


def test_parameters_stand_in_the_order_that_saved_notebooks_print():
    current = layers.load().over({"temperature": 0.8, "seed": 1}, Origin.FOLDER_FILE)
    assert list(plan({"max_tokens": 40}, current=current).request.params) == ["temperature", "max_tokens", "seed"]


def test_settings_that_nobody_sets_change_no_key():
    assert plan().request.params == {}


def test_other_keys_of_a_table_are_parameters():
    assert plan(model="t", tables={"t": {"reasoning_effort": "low"}}).request.params == {"reasoning_effort": "low"}


def test_a_system_message_comes_from_the_table_unless_there_is_one():
    tables = {"t": {"system": "Be brief."}}
    assert [m.role for m in plan(model="t", tables=tables).request.messages] == ["system", "user"]
    given = [{"role": "system", "content": "mine"}, *M]
    assert [m.text for m in plan(model="t", tables=tables, messages=given).request.messages] == ["mine", "hi"]


def test_an_unknown_parameter_is_a_type_error_with_near_matches():
    with pytest.raises(TypeError, match="Did you mean 'temperature'"):
        plan({"temprature": 1})
    with pytest.raises(errors.OptionError, match="extra_body"):
        plan({"wobble": 1})


@pytest.mark.parametrize(("name", "value"), [("temperature", "hot"), ("top_p", 2), ("max_tokens", 0), ("timeout", -1), ("max_attempts", 0)])
def test_a_value_out_of_range_is_a_value_error_that_names_it(name, value):
    with pytest.raises(ValueError, match=name.upper()):
        plan({name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_is_refused_before_anything_is_sent(value):
    with pytest.raises(errors.MessageError):
        plan({"logit_bias": {"1": value}})


def test_a_transport_of_ones_own_has_its_name_in_the_key():
    def mine(**params):
        return "x"

    assert plan(transport=mine).request.provider.startswith("call:")
    assert plan(transport=mine).request.key != plan().request.key


def test_a_plan_of_embeddings_holds_the_texts():
    route = choose_route(model="vectors", packaged_model="p")
    made = make_embedding_plan(["a", "b"], route, layers.load(), mode=Mode.OFF)
    assert (made.request.kind, made.request.params) == ("embedding", {"input": ["a", "b"]})


def test_parameters_stand_in_one_order_wherever_they_were_set():
    current = layers.load().over({"max_tokens": 9, "seed": 1}, Origin.SESSION)
    assert list(plan({"max_tokens": 5, "temperature": 0}, current=current).request.params) == ["temperature", "max_tokens", "seed"]
