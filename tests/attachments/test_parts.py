"""Files as parts of messages: sent over real HTTP, fitted to the model, in keys by digest, in stores by thumbnail."""

import copy
import json
import pickle

import pytest
from filemaker import document, picture

from tinyllm_magic import ModelManager, client, errors, override, session
from tinyllm_magic.attachments.documents import read_pdf
from tinyllm_magic.attachments.images import read_image
from tinyllm_magic.attachments.parts import attach, draw_thumbnails, make_part
from tinyllm_magic.attachments.sources import read_file
from tinyllm_magic.file_text import read_data_url
from tinyllm_magic.messages import Message, Request


@pytest.fixture(autouse=True)
def recording():
    with override(mode="auto", model="gpt-4o-mini"):
        yield


def ask(*files, **params):
    text = {"type": "text", "text": "What is it?"}
    return client().send_message([{"role": "user", "content": [*map(make_part, files), text]}], **params)


def sent(fake):
    return fake.last["messages"][-1]["content"]


def store():
    return session.store(session.settings()).path.read_text("utf-8")


def test_an_image_is_sent_whole_and_recorded_by_digest_type_size_and_thumbnail(start):
    image = read_image(picture(900, 700), "photo.png")
    fake = start("A corner.")

    ask(image)
    again = ask(image)

    assert sent(fake)[0] == {"type": "image_url", "image_url": {"url": str(image)}}
    assert (fake.n, again["content"]) == (1, "A corner.")
    record = json.loads(store().splitlines()[-1])
    assert record["request"]["messages"][-1]["content"][0]["image_url"]["url"] == image.canonical()
    assert len(record["thumbnails"][image.facts.digest]) < 8192
    assert str(image)[30:] not in store()


def test_a_request_without_images_is_recorded_without_thumbnails(start):
    start("Hello")
    client().send_message("Hello")

    assert "thumbnails" not in store()


def test_a_large_image_is_sent_scaled(start):
    fake = start("Large.")

    ask(read_image(picture(3000, 10), "wide.png"))

    url = sent(fake)[0]["image_url"]["url"]
    assert read_image(read_data_url(url), "").facts.width == 2048
    assert '"as":"scaled to 2048 pixels"' in store()


def test_the_side_of_images_is_a_fact_of_a_model(start):
    fake = start("Small.")
    table = {"model": "gpt-4o-mini", "image_side": 20, "base_url": fake.url, "api_key": "k"}
    with_table = ModelManager({"models": {"small": table}}).create_client("small")

    with_table.send_message([{"role": "user", "content": [make_part(read_image(picture(40, 30), "a.png"))]}])

    assert read_image(read_data_url(sent(fake)[0]["image_url"]["url"]), "").facts.width == 20


def test_of_a_pdf_its_text_is_sent_with_a_note_where_the_model_is_not_known_to_take_any(start):
    fake = start("42 euros.")
    messages = [Message("user", (make_part(read_pdf(document(), "bill.pdf")), {"type": "text", "text": "How much?"}))]
    prepared = session.prepare(messages, "llama3", {})

    assert prepared.notes == ("llama3 is not known to take PDFs: the text of bill.pdf is sent",)
    prepared.answer()
    assert sent(fake)[0] == {"type": "text", "text": "bill.pdf:\nThe total is 42 euros."}
    assert "42 euros" not in json.dumps(json.loads(store().splitlines()[-1])["request"])


def test_a_data_url_in_a_callers_own_message_keeps_its_key():
    url = str(read_image(picture(900, 700), "photo.png"))
    own = Request("openai", "gpt-4o", (Message("user", ({"type": "image_url", "image_url": {"url": url}},)),))

    assert own.canonical()["messages"][0]["content"][0]["image_url"]["url"].keys() == {"$sha256", "type", "len"}


def test_a_file_goes_through_copies_and_to_other_processes():
    part = make_part(read_image(picture(), "photo.png"))

    for twin in (copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        assert twin["image_url"]["url"].canonical() == part["image_url"]["url"].canonical()


def test_files_stand_before_the_text_of_the_last_user_message():
    messages = (Message("system", "Be brief."), Message("user", "What is it?"), Message("assistant", "It is"))

    said = attach(messages, [make_part("https://example.org/a.png")])

    assert said[1].content == (
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "text", "text": "What is it?"},
    )
    assert attach(messages[:1], [make_part("https://example.org/a.png")])[1].role == "user"
    assert attach(messages, []) == messages


def test_an_image_that_pillow_cannot_decode_has_no_thumbnail():
    cut = read_image(picture(200, 200)[:120], "cut.png")

    assert draw_thumbnails([Message("user", (make_part(cut),))]) == {}


def test_text_files_are_parts_of_text(folder):
    notes = read_file("notes.txt", [folder])

    assert make_part(notes) == {"type": "text", "text": "notes.txt:\nMilk\nBread\n"}
    assert Message("user", (make_part(notes),)).text == "notes.txt:\nMilk\nBread\n"
    with pytest.raises(errors.PromptError):
        read_file("other.txt", [folder])
