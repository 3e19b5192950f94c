"""A store in git: two branches that record, merged."""

import subprocess

import pytest

from tinyllm_magic import Message, Request, Store
from tinyllm_magic.cli.command_line import main
from tinyllm_magic.responses import Answer, Record


def record(text, said="Hi", created="2025-11-21T09:00:00.000Z"):
    request = Request("openai", "gpt-4o-mini", (Message("user", text),))
    return Record(request.key, request.canonical(), Answer(text=said, finish_reason="stop"), created)


@pytest.fixture
def repository(tmp_path):
    """A repository with a tidy store of forty records; ``branch(name, …)`` commits records on a branch."""
    store = Store(tmp_path / "analysis.llm.jsonl")

    def git(*arguments, check=True):
        name = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"]
        return subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=check, capture_output=True, text=True)

    def branch(name, *records):
        git("checkout", "-q", "-B", name, "base")
        for one in records:
            assert store.append(one)
        store.tidy()
        git("commit", "-qam", name)

    git("init", "-q")
    (tmp_path / ".gitignore").write_text(".*.lock\n*.rejected\n")
    for number in range(40):
        store.append(record(f"base {number}"))
    store.tidy()
    git("add", ".")
    git("commit", "-qm", "base")
    git("tag", "base")
    return store, git, branch


def far_apart(store):
    """Two new records whose keys have others between them."""
    known = store.keys()
    places = {}
    for number in range(200):
        new = record(f"new {number}")
        places.setdefault(sum(k < new.key for k in known), new)
    return places[min(places)], places[max(places)]


def test_additions_that_lie_apart_merge_by_themselves(repository):
    store, git, branch = repository
    one, other = far_apart(store)
    branch("ours", one)
    branch("theirs", other)

    git("merge", "-q", "ours", "-m", "merged")

    assert (len(store), store.check()) == (42, [])
    assert store.path.read_bytes().count(b"\n") == 43
    assert git("status", "--short").stdout == ""


def test_a_conflict_is_resolved_by_keeping_both_sides_and_tidy(repository, capsys):
    store, git, branch = repository
    neighbours = sorted((record(f"new {n}") for n in range(3)), key=lambda r: r.key)
    branch("ours", neighbours[0], record("base 7", "ours", "2025-12-01T00:00:00.000Z"))
    branch("theirs", *neighbours[1:], record("base 7", "theirs", "2025-12-02T00:00:00.000Z"))

    assert git("merge", "ours", check=False).returncode == 1
    assert b"<<<<<<<" in store.path.read_bytes()
    assert main(["cache", "check", str(store.path)]) == 1
    assert "git conflict marker" in capsys.readouterr().out
    assert main(["cache", "tidy", str(store.path)]) == 0

    assert (len(store), store.check()) == (43, [])
    assert store.get(record("base 7").key).answer.text == "theirs"  # the later answer of a key stays
    assert store.keys() == sorted(store.keys())
    assert git("status", "--short").stdout.split() == ["UU", "analysis.llm.jsonl"]


def test_the_same_answer_on_both_sides_is_no_conflict(repository):
    store, git, branch = repository
    branch("ours", record("the same"))
    branch("theirs", record("the same"))
    git("merge", "-q", "ours", "-m", "merged")
    assert (len(store), store.check()) == (41, [])
