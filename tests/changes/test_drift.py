"""Recorded questions are asked again: a whole run, by the command line, against a scripted server and the embedded model."""

import xml.etree.ElementTree as ET

import pytest
from recordedbook import record

from tinyllm_magic.cli.command_line import main
from tinyllm_magic.models.catalog import EMBEDDED

SENTENCE = "one recorded answer at the model's own temperature cannot tell"


@pytest.fixture
def drift(capsys):
    """Run the command; returns exit code, standard output and standard error, after a look at the store and the notebook."""

    def run(path, *arguments):
        files = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()}
        code = main(["drift", str(path), *map(str, arguments)])
        assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()} == files
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def answer_by_question(answers):
    """A turn of the server that answers by what was asked last."""

    def turn(body):
        found = answers[body["messages"][-1]["content"]]
        return found.pop(0) if isinstance(found, list) else found

    return turn


def test_what_is_the_same_and_what_changed_is_told_with_evidence_and_the_exit_code_is_one(book, start, drift, tmp_path):
    path = book([record("same?", "yes", temperature=0)], [record("changed?", "red", temperature=0), record("free?", "once")])
    server = start(*[answer_by_question({"same?": "yes", "changed?": "blue", "free?": "twice"})] * 5, far=True)

    code, out, _ = drift(path, "--budget", "1", "--junit", tmp_path / "out" / "junit.xml")

    assert code == 1
    assert out.splitlines()[2:] == [
        "✓ same  cell 1, gpt-4o-mini: same?",
        "      the same text",
        "✗ changed  cell 2, gpt-4o-mini: changed?",
        "      another text, 3 times",
        "      recorded  red",
        "      now       blue",
        "– could not tell  cell 2, gpt-4o-mini: free?",
        f"      {SENTENCE}: `-n 5` records more",
        "      recorded  once",
        "      now       twice",
        out.splitlines()[-1],
    ]
    assert out.splitlines()[-1].startswith("✗ analysis.ipynb  1 changed, 1 the same, 1 could not be told; 5 calls, $0.00")
    assert [r["messages"][-1]["content"] for r in server.bodies] == ["same?", "changed?", "changed?", "changed?", "free?"]
    suite = ET.parse(tmp_path / "out" / "junit.xml").getroot()
    assert [suite.get(n) for n in ("tests", "failures", "errors", "skipped")] == ["3", "1", "0", "1"]
    assert [f.get("message") for f in suite.iter("failure")] == ["another text, 3 times"]


def test_the_plan_says_before_what_is_asked_and_what_it_may_cost(book, start, drift):
    questions = [record(f"{n}?", "ok", temperature=0, max_tokens=10) for n in range(5)]
    start(far=True)

    code, out, _ = drift(book(questions), "--sample", "3", "--budget", "0.5", "--seed", "4")

    assert code == 0
    assert out.splitlines()[0] == "analysis.ipynb: 3 of 5 recorded questions, seed 4; 3 can be asked again, in 3 to 9 calls"
    assert out.splitlines()[1].startswith("    likely ≈ $0.00")
    assert " of the budget of $0.5000; a text that differs" in out.splitlines()[1]


def test_a_request_is_sent_as_it_was_recorded_with_its_tools_its_form_and_its_conversation(book, start, drift):
    from tinyllm_magic import Message

    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    form = {"type": "json_object"}
    turns = (Message("system", "Be brief."), Message("user", "1?"), Message("assistant", "one"), Message("user", "2?"))
    one = record(messages=turns, said='{"a": 1}', tools=(tool,), response_format=form, temperature=0, seed=5, extra_body={"k": "v"})
    server = start('{"a":1}', far=True)

    code, out, _ = drift(book([one]), "--budget", "9")

    assert code == 0, out
    body = server.bodies[0]
    assert [m["content"] for m in body["messages"]] == ["Be brief.", "1?", "one", "2?"]
    assert (body["tools"], body["response_format"], body["temperature"], body["seed"], body["k"]) == ([tool], form, 0, 5, "v")


def test_an_error_is_the_verdict_of_its_question_alone(book, start, drift, sleeps):
    path = book([record("bad?", "x")], [record("good?", "yes")], [record("cut?", "x")])
    start(404, "yes", *[{"no_choices": True}] * 9, far=True)

    code, out, _ = drift(path, "--budget", "9")

    assert code == 0
    assert "– could not tell  cell 1, gpt-4o-mini: bad?\n      NotFoundError: " in out
    assert "✓ same  cell 2" in out
    assert "– could not tell  cell 3, gpt-4o-mini: cut?\n      BadResponseError: " in out


def test_a_missing_key_and_an_unknown_provider_are_told_and_nothing_is_sent(book, drift, monkeypatch):
    path = book(
        [record("a?", provider="openai")], [record("b?", provider="looker")], [record("c?", provider="openai:https://x.example/v1")]
    )

    code, out, _ = drift(path, "--budget", "9")

    assert code == 2
    assert [line.strip()[:32] for line in out.splitlines() if line.startswith("      ")] == [
        "OPENAI_API_KEY is missing",
        "'looker' is no API type, vendor ",
        "it was asked at https://x.exampl",
    ]
    assert out.splitlines()[-1].startswith("– analysis.ipynb  3 could not be told; 0 calls")


def test_the_budget_is_never_passed(book, start, drift):
    path = book(*[[record(f"{n}?", "ok", temperature=0, max_tokens=1000)] for n in range(4)])
    counted = {"prompt_tokens": 5, "completion_tokens": 1000, "total_tokens": 1005}
    server = start(*[{"text": "ok", "usage": counted}] * 9, far=True)
    most = 0.0006  # what an answer of 1,000 tokens of this model costs

    code, out, _ = drift(path, "--budget", 2.5 * most)

    assert (code, server.n) == (0, 2)
    assert "never more than the budget of $0.0015: what could pass it is not asked" in out
    assert out.count("the budget does not allow it: this call could cost up to ≈ $0.0006") == 2
    assert "2 the same, 2 could not be told; 2 calls, $0.0012" in out


def test_without_a_budget_nothing_that_costs_is_asked(book, start, drift):
    server = start(far=True)
    code, out, _ = drift(book([record("a?", "ok", temperature=0, max_tokens=5)]))
    assert (code, server.n) == (2, 0)
    assert "the budget does not allow it" in out


def test_an_unknown_price_is_asked_only_where_that_is_allowed(book, start, drift):
    server = start("ok", "ok", far=True)
    path = book([record("a?", "ok", model="nobody-knows")])

    refused = drift(path, "--budget", "9")
    allowed = drift(path, "--budget", "9", "--allow-unpriced")

    assert (refused[0], allowed[0], server.n) == (2, 0, 1)
    assert "    the price of nobody-knows is unknown: the budget does not count it\n" in allowed[1]
    assert "the price of nobody-knows is unknown there, so that no budget holds it" in refused[1]


def test_a_folder_that_is_not_trusted_sends_nothing_anywhere(book, start, drift):
    server = start(far=True, environ=False)
    path = book([record("a?", "ok", provider="openai:http://gateway.example/v1")])
    (path.parent / "config.ini").write_text("[OpenAI]\nBASE_URL = http://gateway.example/v1\n", "utf-8")

    code, out, _ = drift(path, "--budget", "9", "--allow-unpriced")

    assert (code, server.n) == (2, 0)
    assert "that folder is not trusted" in out


@pytest.mark.parametrize("where", ["environment", "config.ini"])
def test_strict_replay_forbids_to_ask(book, drift, monkeypatch, where):
    path = book([record("a?", provider="echo", model="echo")])
    if where == "environment":
        monkeypatch.setenv("TINYLLM_MODE", "replay")
    else:
        (path.parent / "config.ini").write_text("[OpenAI]\nMODE = replay\n", "utf-8")

    code, out, err = drift(path)

    assert (code, out) == (2, "")
    assert "strict replay asks nobody" in err


def test_where_nothing_is_recorded_that_is_an_error(book, drift):
    code, _, err = drift(book([]))
    assert code == 2
    assert "no answer of a model is recorded for analysis.ipynb in analysis.llm.jsonl" in err


def test_a_damaged_line_is_told_and_the_other_records_are_asked(book, drift):
    path = book([record("a?", "a?", provider="echo", model="echo")], [record("b?", "b?", provider="echo", model="echo")])
    store = path.with_name("analysis.llm.jsonl")
    store.write_bytes(store.read_bytes() + b"no record\n")

    code, out, _ = drift(path)

    assert code == 0
    assert "    analysis.llm.jsonl, line 4: not JSON" in out
    assert "2 the same" in out


def test_an_interrupt_ends_the_asking_and_not_the_telling(book, drift, monkeypatch, tmp_path):
    from tinyllm_magic.providers.echo import EchoProvider

    asked = EchoProvider.send

    def send(self, request):
        if request.messages[-1].text == "b?":
            raise KeyboardInterrupt
        return asked(self, request)

    monkeypatch.setattr(EchoProvider, "send", send)
    path = book(*[[record(t, t, provider="echo", model="echo")] for t in ("a?", "b?", "c?")])

    code, out, err = drift(path, "--junit", tmp_path / "junit.xml")

    assert code == 130
    assert [line.split("  ")[0] for line in out.splitlines() if line[0] in "✓–✗"][:3] == ["✓ same", "– could not tell", "– could not tell"]
    assert err.endswith("tinyllm-magic: stopped\n")
    assert (tmp_path / "junit.xml").exists()


@pytest.mark.parametrize("arguments", [["--sample", "0"], ["--budget", "much"], ["--budget", "-1"], ["--budget", "nan"], []])
def test_a_wrong_argument_is_refused(drift, arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["drift", *(["a.ipynb", *arguments] if arguments else [])])


def test_images_embeddings_typed_answers_and_the_responses_api_are_asked_again(book, start, drift, tmp_path):
    from PIL import Image
    from responsesformat import answer, message, reasoning, whole

    from tinyllm_magic import LLMCall
    from tinyllm_magic.clients.sessions import session

    thought = answer(whole(reasoning("First this."), message("Four.")))
    server = start("blue", '{"n": 4}', {}, thought, *["green"] * 3, '{"n":4}', {}, thought)
    tables = f"[models.lab]\nbase_url = {server.url}\nmodel = o3\napi = responses\n[models.eyes]\nbase_url = {server.url}\nmodel = gpt-4o\n"
    folder = tmp_path / "book"
    folder.mkdir()
    for place in (folder, tmp_path / "place"):
        (place / "config.ini").write_text(tables, "utf-8")
        Image.new("RGB", (30, 20), "navy").save(place / "sea.png")
    look = LLMCall.from_text("Which colour? {{ 'sea.png' | image }}", model="eyes", temperature=0)
    typed = LLMCall.from_text("2 + 2?", model="eyes", temperature=0, schema="n int")
    think = LLMCall.from_text("2 + 2?", model="lab")
    look.call(), typed.call()
    embedded = session.prepare_embedding(["tea", "milk"], "eyes").answer()
    think.call()
    records = [look.response.record, typed.response.record, embedded.record, think.response.record]

    code, out, _ = drift(book(*[[r] for r in records]), "--allow-unpriced", "--budget", "1")

    assert [r.request["kind"] for r in records] == ["chat", "chat", "embedding", "responses"]
    assert (code, server.n) == (1, 10), out
    assert "✗ changed  cell 1, gpt-4o: Which colour? [image]\n      another text, 3 times" in out
    assert server.bodies[4] == server.bodies[0]
    assert [line.split("  ")[0] for line in out.splitlines() if line[:1] in "✓✗–"][1:4] == ["✓ same"] * 3


@pytest.mark.model
def test_the_embedded_model_is_the_same_and_with_other_weights_it_has_changed(book, drift, weights_folder, monkeypatch):
    from tinyllm_magic import LLMCall, override
    from tinyllm_magic.providers import weights

    monkeypatch.setenv("TINYLLM_CACHE_DIR", str(weights_folder))
    with override(model=EMBEDDED, mode="off"):
        call = LLMCall(None, "Name one colour.", temperature=0, max_tokens=12)
        call.call()
        free = LLMCall(None, "Name one colour.", temperature=0.9, seed=4, max_tokens=12)
        free.call()
    path = book([call.response.record], [free.response.record])

    same = drift(path)
    genuine = weights.find(cache_folder=weights_folder).read_bytes()
    other = path.parent / "other" / f"{EMBEDDED}.gguf"
    other.parent.mkdir()
    middle = len(genuine) // 2
    other.write_bytes(genuine[:middle] + bytes(1 << 20) + genuine[middle + (1 << 20) :])
    (path.parent / "config.ini").write_text(f"[models.other]\nprovider = local\npath = other/{other.name}\n", "utf-8")
    changed = main(["drift", str(path)])

    assert (same[0], same[1].count("✓ same")) == (0, 2), same[1]
    assert changed == 1
