"""A recorded request is made into one that can be sent."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tinyllm_magic import Message, Request
from tinyllm_magic.attachments.images import fit_image
from tinyllm_magic.attachments.parts import make_part
from tinyllm_magic.attachments.sources import read_file, read_image
from tinyllm_magic.changes.restored_requests import FilesBelow, restore_request
from tinyllm_magic.errors import PromptError
from tinyllm_magic.file_text import to_data_url

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def restore(request, folder):
    return restore_request(json.loads(json.dumps(request.canonical())), FilesBelow(folder))


def asked(*parts, **more):
    return Request("openai", "gpt-4o", (Message("user", (*parts, {"type": "text", "text": "What?"})),), **more)


def draw(path, side=40, **more):
    Image.effect_noise((side, side), 60).save(path, **more)
    return path


def test_what_is_no_file_comes_back_as_it_was(tmp_path):
    turns = (
        Message("system", "Be brief."),
        Message("assistant", None, tool_calls=({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},)),
        Message("tool", "4", tool_call_id="1"),
        Message("assistant", "so", reasoning_content="hm", output_items=({"type": "reasoning", "id": "r"},)),
    )
    request = Request("openai", "o4", turns, {"seed": 2**60, "stop": ["a"]}, ({"name": "f"},), {"type": "json_object"}, 3, "responses")

    again = restore(request, tmp_path)

    assert again == request
    assert again.key == request.key


@pytest.mark.parametrize("what", ["image", "scaled image", "PDF", "text", "data URL"])
def test_a_file_is_found_below_the_notebooks_folder_whatever_it_is_called_now(tmp_path, what):
    below = tmp_path / "data"
    below.mkdir()
    path = below / "first.png"
    if what == "PDF":
        path.write_bytes((NOTEBOOKS / "09_bill.pdf").read_bytes())
    elif what == "text":
        path.write_text("Some words.\n")
    else:
        draw(path)
    file = read_image(path, [tmp_path]) if "image" in what else read_file(path, [tmp_path])
    part = make_part(fit_image(file, 16) if what == "scaled image" else file)
    if what == "data URL":
        part = {"type": "image_url", "image_url": {"url": to_data_url(path.read_bytes(), "image/png")}}
    request = asked(part)
    path.rename(below / "second")

    again = restore(request, tmp_path)

    assert [m.to_dict() for m in again.messages] == [m.to_dict() for m in request.messages]
    assert again.key == request.key


def test_a_file_that_has_changed_is_not_sent_in_its_place(tmp_path):
    request = asked(make_part(read_image(draw(tmp_path / "a.bmp"), [tmp_path])))
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a.bmp").write_bytes(data)

    with pytest.raises(PromptError, match="is not in the notebook's folder, or has changed"):
        restore(request, tmp_path)


def test_a_picture_that_was_drawn_in_python_cannot_be_had(tmp_path):
    request = asked(make_part(read_image(Image.new("RGB", (30, 20)), [tmp_path])))
    with pytest.raises(PromptError, match="a picture of 30x20 pixels was made by the notebook"):
        restore(request, tmp_path)


def test_links_and_hidden_folders_are_not_looked_into(tmp_path):
    (tmp_path / "outside").mkdir()
    request = asked(make_part(read_image(draw(tmp_path / "outside" / "a.png"), [tmp_path])))
    folder = tmp_path / "book"
    (folder / ".hidden").mkdir(parents=True)
    (folder / "link.png").symlink_to(tmp_path / "outside" / "a.png")
    (folder / ".hidden" / "a.png").write_bytes((tmp_path / "outside" / "a.png").read_bytes())

    with pytest.raises(PromptError):
        restore(request, folder)


def test_a_file_from_the_web_is_left_to_the_call_which_fetches_it_by_its_digest(tmp_path):
    facts = {"$sha256": "ab" * 32, "type": "image/png", "size": 10, "as": "scaled to 64 pixels", "url": "https://example.org/a.png"}
    canonical = asked().canonical()
    canonical["messages"][0]["content"].insert(0, {"type": "image_url", "image_url": {"url": facts}})

    again = restore_request(canonical, FilesBelow(tmp_path))

    file = again.messages[0].content[0]["image_url"]["url"]
    assert (str(file), file.facts.url, max(file.facts.width, file.facts.height)) == ("", "https://example.org/a.png", 64)


@pytest.mark.parametrize("canonical", [{}, {"provider": "openai"}, {"provider": "o", "model": "m", "messages": [{"role": "nobody"}]}])
def test_a_record_that_is_no_request_is_refused(tmp_path, canonical):
    with pytest.raises(PromptError, match="its record is no request"):
        restore_request(canonical, FilesBelow(tmp_path))


def test_a_record_that_nobody_could_have_asked_is_refused(tmp_path):
    canonical = {**asked().canonical(), "unknown": 1}
    with pytest.raises(PromptError, match="cannot be made into the same request"):
        restore_request(canonical, FilesBelow(tmp_path))
