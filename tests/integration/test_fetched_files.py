"""`--fetch`: an address is fixed by its digest, and known without a network from then on."""

import json

import pytest
from filemaker import document, picture

from tinyllm_magic import errors, override, session
from tinyllm_magic.attachments.sources import Bytes
from tinyllm_magic.clients import fetched_files

URL = "https://example.org/photo.png"


@pytest.fixture
def web(monkeypatch):
    """What stands at web addresses; ``web.fetched`` are those that were fetched (`test_fetching.py` fetches over HTTP)."""

    class Web(dict):
        fetched = []  # noqa: RUF012  # of this test alone

        def fetch(self, url):
            self.fetched.append(url)
            if url not in self:
                raise errors.PromptError(f"{url} cannot be fetched")
            return Bytes(self[url], url.rpartition("/")[2])

    web = Web({URL: picture(), "https://example.org/bill.pdf": document()})
    web.fetched = []
    monkeypatch.setattr(fetched_files, "fetch", web.fetch)
    return web


@pytest.fixture(autouse=True)
def recording(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with override(mode="auto", model="gpt-4o"):
        yield


CELL = f"%%llm --fetch --image {URL}\nWhat is it?"


def test_without_it_the_address_itself_is_sent(run, start, web):
    fake = start("A corner.")

    run(CELL.replace("--fetch ", ""))

    assert fake.last["messages"][-1]["content"][0]["image_url"]["url"] == URL
    assert web.fetched == []


def test_an_address_is_fetched_once_and_its_content_sent(run, start, web):
    fake = start("A corner.")

    done = run(CELL)
    run(CELL)

    assert done.error is None
    assert fake.last["messages"][-1]["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert (fake.n, web.fetched) == (1, [URL])
    (kept,) = (r for r in map(json.loads, store().splitlines()) if r.get("request", {}).get("kind") == "file")
    assert kept["request"]["params"] == {"url": URL}
    assert kept["answer"]["raw"]["size"] == len(picture())


def store():
    return session.store(session.settings()).path.read_text("utf-8")


def test_a_replay_needs_no_network(run, start, web):
    fake = start("A corner.")
    run(CELL)
    web.clear()

    done = run(CELL.replace("--fetch", "--mode replay --fetch"))

    assert done.error is None
    assert "A corner." in done.text
    assert (fake.n, web.fetched) == (1, [URL])


def test_the_filters_fetch_too_and_a_template_file_does_not(run, start, web, tmp_path):
    fake = start("One.", "Two.")
    (tmp_path / "ask.j2").write_text(f"{{{{ '{URL}' | image }}}} What is it?", "utf-8")

    run(f"%%llm --fetch\n{{{{ '{URL}' | image }}}}\nWhat is it?")
    by_cell = fake.last["messages"][-1]["content"][0]["image_url"]["url"]
    run("%llm --fetch -t ask.j2")

    assert by_cell.startswith("data:image/png")
    assert fake.last["messages"][-1]["content"][0]["image_url"]["url"] == URL
    assert web.fetched == [URL]


def test_another_question_about_a_recorded_address_fetches_it_again_and_checks_it(run, start, web):
    fake = start("A corner.", "White.")
    run(CELL)

    done = run(CELL.replace("What is it?", "Which colour?"))

    assert done.error is None
    assert fake.last["messages"][-1]["content"][0]["image_url"]["url"].startswith("data:image/png")
    assert web.fetched == [URL, URL]


def test_an_address_with_another_file_by_now_is_an_error_and_fresh_takes_it(run, start, web):
    fake = start("A corner.", "Red.")
    run(CELL)
    web[URL] = picture(colour="red")

    done = run(CELL.replace("What is it?", "Which colour?"))
    fresh = run(CELL.replace("--fetch", "--fetch --fresh").replace("What is it?", "Which colour?"))

    assert "another file stands at https://example.org/photo.png" in str(done.error)
    assert (fake.n, fresh.error) == (2, None)
    assert "Red." in fresh.text


def test_a_strict_replay_of_an_address_that_is_not_recorded_is_a_miss(run, start, web):
    start()

    done = run(CELL.replace("--fetch", "--mode replay --fetch"))

    assert isinstance(done.error, errors.ReplayMiss)
    assert f"{URL} is not recorded" in str(done.error)
    assert web.fetched == []


def test_a_large_image_and_a_pdf_are_made_again_as_they_were(run, start, web):
    fake = start("One.", "Two.", "Three.", "Four.")
    web["https://example.org/wide.png"] = picture(3000, 10)
    cell = "%%llm -m llama3 --fetch --image https://example.org/wide.png --file https://example.org/bill.pdf\n{}"
    run(cell.format("One?"))
    first = fake.last["messages"][-1]["content"][:2]

    run(cell.format("Two?"))

    assert fake.last["messages"][-1]["content"][:2] == first
    assert first[1]["text"] == "bill.pdf:\nThe total is 42 euros."


def test_a_file_at_an_address_needs_it(run, start, web):
    start()

    done = run("%%llm --file https://example.org/bill.pdf\nHow much?")

    assert "--fetch" in done.error.hint


def test_what_was_fetched_is_listed_with_the_records(run, start, web):
    start("A corner.")
    run(CELL)

    done = run("%llm_cache list")

    assert done.error is None
    assert URL in done.text


def test_an_address_that_leads_nowhere_fails_the_cell(run, start, web):
    fake = start()

    done = run("%%llm --fetch --image https://example.org/none.png\nWhat is it?")

    assert "cannot be fetched" in str(done.error)
    assert fake.n == 0
