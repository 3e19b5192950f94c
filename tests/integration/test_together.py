"""Typed answers, conversations, tools and images in one cell, and each beside samples, comparisons, meters, budgets and stops."""

from pathlib import Path

import pytest
from fakeserver import Turn
from filemaker import picture
from PIL import Image

from tinyllm_magic import Chat, errors, override, session

LOOKS = {"tool_calls": [("look", {"place": "roof"})], "text": None}
FITS = '{"colour": "teal", "sure": true}'


def look_first(body):
    """Calls the tool, and answers once its result has come."""
    return FITS if body["messages"][-1]["role"] == "tool" else LOOKS


ALL = '%%llm -o r --chat house --tools look --image photo.png --schema "colour, sure bool"'
DEFINITION = '''
ran = []
def look(place: str) -> str:
    """Look at a place."""
    ran.append(place)
    return f"the {place} is teal"
'''


@pytest.fixture(autouse=True)
def recording():
    Path("photo.png").write_bytes(picture())
    with override(mode="auto", waiting_time=0.01, model="gpt-4o"):
        yield


@pytest.fixture
def run(run):
    run(DEFINITION)
    return run


def restart():
    session.reset_for_tests()
    session.choose(mode="auto", model="gpt-4o")


# -- all four in one cell


def test_a_turn_with_an_image_a_tool_and_a_schema_is_answered_and_replayed(run, start, shell):
    fake = start(LOOKS, FITS, "Because it is.")
    first = run(f"{ALL}\nWhich colour has the roof?")
    follow = run("%%llm --chat house\nWhy?")

    assert (first.error, follow.error) == (None, None)
    assert shell.user_ns["r"].parsed == {"colour": "teal", "sure": True}
    assert [m["role"] for m in fake.last["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    assert fake.last["messages"][0]["content"][0]["type"] == "image_url"
    restart()
    again = run(f"{ALL}\nWhich colour has the roof?")
    follow_again = run("%%llm --chat house\nWhy?")

    assert (fake.n, shell.user_ns["ran"]) == (3, ["roof"])
    assert again.text == first.text.replace("live", "recorded")
    assert follow_again.text == follow.text.replace("live", "recorded")
    assert shell.user_ns["r"].parsed == {"colour": "teal", "sure": True}


def test_the_card_of_all_four_shows_the_turn_the_thumbnail_the_step_and_the_fields(run, start):
    start(LOOKS, FITS)

    card = run(f"{ALL}\nWhich colour has the roof?")

    assert '<p class="tlm-title' in card.html
    assert 'src="data:image/' in card.html
    assert "<summary>step 1: look(place=&#x27;roof&#x27;)" in card.html
    assert "<summary>JSON</summary>" in card.html
    assert card.text.startswith("house · turn 1\n[photo.png, 40×30]\n-> look(place='roof') = the roof is teal")


def test_a_dry_run_of_all_four_sends_and_runs_nothing(run, start, shell):
    fake = start(LOOKS, FITS)
    run(f"{ALL}\nWhich colour has the roof?")

    card = run(f"{ALL} --dry-run\nAnd the door?")

    assert card.error is None
    assert (fake.n, shell.user_ns["ran"]) == (2, ["roof"])
    assert all(words in card.text for words in ("[photo.png, 40×30]", "[tool look]", "[schema]", "Which colour has the roof?"))
    assert len(Chat("house").turns) == 1


def test_samples_of_all_four_go_on_with_the_first(run, start, shell):
    other = FITS.replace("teal", "red")
    start(LOOKS, FITS, LOOKS, other)

    card = run(f"{ALL} -n 2\nWhich colour has the roof?")

    assert card.error is None
    assert [r.parsed["colour"] for r in shell.user_ns["r"]] == ["teal", "red"]
    assert Chat("house").turns[0].answer == FITS
    assert len(shell.user_ns["ran"]) == 2


def test_history_and_usage_count_each_request_of_all_four(run, start):
    start(LOOKS, "no JSON at all", FITS)

    assert run(f"{ALL} --tries 2\nWhich colour has the roof?").error is None

    assert len(session.history) == 3
    assert session.budget.totals["gpt-4o"].live == 3
    history, usage = run("%llm_history"), run("%llm_usage")
    assert history.text.count("gpt-4o") >= 3
    assert "gpt-4o" in usage.text


def test_a_stop_between_two_requests_of_all_four_keeps_the_conversation(run, start, shell, monkeypatch):
    start("First.", LOOKS, FITS)
    run("%%llm --chat house\nHello")

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyllm_magic.tools.runner.follow_up", interrupt)
    card = run(f"{ALL}\nWhich colour has the roof?")

    assert isinstance(card.error, errors.Stopped)
    assert len(Chat("house").turns) == 1
    assert shell.user_ns["ran"] == ["roof"]


def test_the_stores_commands_show_all_four(run, start, shell):
    start(LOOKS, FITS)
    run(f"{ALL}\nWhich colour has the roof?")
    record = shell.user_ns["r"].record

    listed, shown = run("%llm_cache list"), run(f"%llm_cache show {record.key}")

    assert (listed.error, shown.error) == (None, None)
    assert 'look({"place": "roof"})' in listed.text
    assert all(words in shown.text for words in ("the roof is teal", "teal", "[image/png, "))


# -- the budget


@pytest.mark.parametrize("options", ["--tools look", '--schema "colour, sure bool" --tries 3', "--chat house", "--image photo.png", "-n 3"])
def test_a_budget_ends_each_kind_of_run_between_two_requests(run, start, options):
    turn = {"text": "no JSON", "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 1}}
    fake = start(*[{**turn, **LOOKS} if "tools" in options else turn] * 4, far=True)
    session.budget.limit = 1

    first = run(f"%%llm {options} --max-tokens 10\nHow is it?")
    second = run(f"%%llm {options} --max-tokens 10\nAnd now?")

    assert isinstance(second.error, errors.BudgetError)
    assert fake.n == 1
    assert first.error is None or isinstance(first.error, errors.BudgetError)


# -- comparisons, panel, streaming


def test_a_comparison_shows_steps_thumbnails_and_fields_for_each_model(run, start, shell):
    start(*[look_first] * 4)

    card = run('%%llm -o t --compare gpt-4o,gpt-4o-mini --tools look --image photo.png --schema "colour, sure bool"\nHow is it?')

    assert card.error is None
    assert [r.parsed["colour"] for r in shell.user_ns["t"]] == ["teal", "teal"]
    assert card.html.count("<summary>step 1: look") == 2
    assert card.html.count('src="data:image/') == 2
    assert card.html.count("<summary>JSON</summary>") == 2


def test_a_map_with_all_but_a_conversation_has_typed_columns(run, start, shell):
    start(*[look_first] * 4)
    run("rows = [{'who': 'Ada'}, {'who': 'Grace'}]")

    card = run('%%llm -o t --map rows --tools look --image photo.png --schema "colour, sure bool" --workers 1\nHow is it, {{ who }}?')

    assert card.error is None
    frame = shell.user_ns["t"].to_pandas()
    assert (list(frame["colour"]), str(frame["sure"].dtype)) == (["teal", "teal"], "boolean")
    assert shell.user_ns["ran"] == ["roof", "roof"]


def test_images_are_drawn_in_samples_and_known_when_they_are_asked_again(run, start, shell):
    fake = start("one", "two")

    both = run("%%llm -n 2 --image photo.png\nWhat is it?")
    again = run("%%llm -n 2 --image photo.png\nWhat is it?")

    assert both.html.count('src="data:image/') == 2
    assert fake.n == 2
    assert again.text == both.text.replace("live", "recorded")


def test_a_stopped_answer_about_an_image_is_not_recorded(run, start, shell, monkeypatch):
    fake = start("one two three", "four")
    from tinyllm_magic.display import views

    def interrupt(_, card, so_far=None):
        if so_far is not None and so_far.text:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(views.NotebookView, "push", interrupt)
        stopped = run("%%llm --image photo.png\nWhat is it?")
    again = run("%%llm --image photo.png\nWhat is it?")

    assert isinstance(stopped.error, errors.Stopped)
    assert (again.error, fake.n) == (None, 2)
    assert again.text.startswith("[photo.png, 40×30]\nfour")


def test_an_answer_that_is_stopped_while_it_is_drawn_is_hung_up_on_at_once(run, start, shell, monkeypatch):
    fake = start(Turn("word " * 400, chunk_delay=0.05))
    from tinyllm_magic.display import views

    def interrupt(_, card, so_far=None):
        if so_far is not None and so_far.text:
            raise KeyboardInterrupt

    monkeypatch.setattr(views.NotebookView, "push", interrupt)
    stopped = run("%%llm\nWhat is it?")

    assert isinstance(stopped.error, errors.Stopped)
    assert fake.hung_up.wait(60)
    assert "gpt-4o · stopped · What is it?" in run("%llm_history").text


def test_the_panel_knows_the_answer_of_a_run_of_tools_and_of_an_image(run, start, shell):
    fake = start(LOOKS, FITS)
    run(f"{ALL.replace('--chat house ', '')}\nWhich colour has the roof?")

    run("%llm_panel")

    panel = session.panel
    assert panel.recorded["text"] == FITS
    panel.temperature = 0.5
    assert panel.recorded["text"] == ""
    panel.temperature = None
    assert panel.recorded["text"] == FITS
    assert (fake.n, shell.user_ns["ran"]) == (2, ["roof"])


def test_the_history_and_the_store_tell_of_images(run, start, shell):
    start("a house")
    run("%%llm -o r --image photo.png\nWhat is it?")

    history, shown = run("%llm_history"), run(f"%llm_cache show {shell.user_ns['r'].key}")

    assert "What is it?" in history.text
    assert "[image/png, " in shown.text
    assert 'src="data:image/' in shown.html
    assert "base64" not in shown.text


def test_a_table_shows_images_and_other_objects_without_their_addresses(run, shell):
    shell.user_ns.update(rows=[{"tile": Image.new("RGB", (8, 6)), "thing": object(), "raw": b"abc"}])

    with override(api_type="echo"):
        table = run("%%llm --map rows\nHello")

    assert "[image, 8×6]" in table.text
    assert "<object object>" in table.text
    assert "[3 bytes]" in table.text
    assert "0x" not in table.text
