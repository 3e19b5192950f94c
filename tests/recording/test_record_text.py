"""A store as text: what ``git diff`` shows."""

import subprocess
import sys
from dataclasses import replace

import pytest
from records import filled, make

from tinyllm_magic.cli.command_line import main
from tinyllm_magic.errors import StoreError
from tinyllm_magic.recording.record_text import format_record, write_store
from tinyllm_magic.responses import ToolCall


def test_each_call_is_a_block_under_its_question_with_all_that_decides_the_answer(store):
    store.append(make("Why?", "Because.", params={"temperature": 0.5}, tools=({"function": {"name": "look"}},), sample=2))

    text = "\n".join(write_store(store.path))

    head, _, rest = text.partition("== Why? (gpt-4o-mini)\n")
    assert head == "\n"
    assert rest.splitlines()[2:6] == ['params      {"temperature": 0.5}', "tools       look", "sample      3", rest.splitlines()[5]]
    assert "[system]\nBe brief.\n[user]\nWhy?\n[answer]\nBecause.\n" in rest


def test_the_order_depends_on_what_was_asked_alone(store, tmp_path):
    first, second = filled(store, "A?", "B?")
    lines = list(write_store(store.path))
    for record in (replace(second, created="2026-01-01T00:00:00Z"), first):
        store.append(record)
    store.tidy()

    assert [line for line in write_store(store.path) if not line.startswith("recorded")] == [
        line for line in lines if not line.startswith("recorded")
    ]


def test_files_stand_by_their_digest_and_tool_calls_as_they_were_written():
    image = {"type": "image_url", "image_url": {"url": {"$sha256": "ab" * 32, "type": "image/png", "size": 800}}}
    record = make()
    record = replace(
        record,
        request={**record.request, "messages": [{"role": "user", "content": [image, {"type": "text", "text": "What?"}]}]},
        answer=replace(record.answer, tool_calls=(ToolCall("1", "look", '{"at": 1}'),), model="gpt-4o-mini-2024", fingerprint="fp_1"),
    )

    lines = format_record(record)

    assert f"[image_url: image/png, 800 bytes, sha256:{'ab' * 32}]" in lines
    assert 'tool call: look({"at": 1})' in lines
    assert lines[1:3] == ["model       gpt-4o-mini → gpt-4o-mini-2024 (openai)", "fingerprint fp_1"]


@pytest.mark.parametrize("content", [b"", b"no store\n\xff\n", b"<<<<<<< HEAD\n", b'{"key":"k1:1","request":{}}\n'])
def test_whatever_the_file_holds_git_gets_text(tmp_path, content, capsys):
    (tmp_path / "a.llm.jsonl").write_bytes(content)
    assert main(["textconv", str(tmp_path / "a.llm.jsonl")]) == 0


def test_a_damaged_line_is_named_and_the_others_are_shown(store):
    filled(store, "A?", "B?")
    store.path.write_bytes(store.path.read_bytes().replace(b'"A?"', b'"A?'))

    lines = list(write_store(store.path))

    assert lines[0] == "line 2: not JSON"
    assert [line for line in lines if line.startswith("==")] == ["== B? (gpt-4o-mini)"]


def test_what_an_answer_holds_commands_no_terminal(store):
    store.append(make("Hi\x1b[2J", "\x9b31mred"))
    assert not set("".join(write_store(store.path))) & set("\x1b\x9b")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="there is no file"):
        list(write_store(tmp_path / "none.llm.jsonl"))


def test_git_shows_a_changed_answer_as_the_words_that_changed(store):
    def git(*arguments):
        name = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            f"diff.llm.textconv={sys.executable} -m tinyllm_magic.cli textconv",
        ]
        return subprocess.run(["git", *name, *arguments], cwd=store.path.parent, check=True, capture_output=True, text=True).stdout

    git("init", "-q")
    (store.path.parent / ".gitattributes").write_text("*.llm.jsonl diff=llm\n")
    filled(store, "A?", "B?")
    git("add", ".")
    git("commit", "-qm", "one")
    store.append(make("B?", "No"))
    store.tidy()

    changed = [line for line in git("diff", "-U0").splitlines() if line[0] in "+-"]

    assert changed[2:] == ["-Hi", "+No"]
