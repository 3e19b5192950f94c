"""What a miss says of images and files that are not the recorded ones."""

import pytest
from filemaker import picture
from PIL import Image

from tinyllm_magic.attachments.images import encode_pixels, read_image
from tinyllm_magic.attachments.parts import make_part
from tinyllm_magic.attachments.sources import Bytes, read_content
from tinyllm_magic.messages import Message, Request
from tinyllm_magic.recording.misses import explain_miss


def ask(*files):
    return Request("openai", "gpt-4o", (Message("user", (*map(make_part, files), {"type": "text", "text": "What is it?"})),))


def drawn(colour):
    return encode_pixels(Image.new("RGB", (4, 3), colour))


def explain(old, new):
    return explain_miss(ask(*new), ask(*old).canonical())


def test_a_figure_that_changed_is_said_to_have():
    line, why = explain([drawn("red")], [drawn("blue")])

    red, blue = (drawn(colour).facts.digest[:12] for colour in ("red", "blue"))
    assert line == f"the figure in message 1 has changed: 4x3 pixels ({red}…) → 4x3 pixels ({blue}…)"
    assert "other data, another style or another version of the library" in why


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (read_image(picture(), "a"), read_image(picture(50), "a"), f"the image in message 1 has changed: {len(picture()):,} bytes"),
        (read_content(Bytes(b"Milk", "n.txt")), read_content(Bytes(b"Bread", "n.txt")), "the file in message 1 has changed: 4 bytes"),
    ],
)
def test_a_file_that_changed_is_said_to_have_in_one_line(old, new, says):
    (line,) = explain([old], [new])

    assert line.startswith(says)


def test_one_more_image_is_said_to_be_one():
    lines = explain([drawn("red")], [drawn("red"), drawn("blue")])

    assert any(line.startswith("the figure in message 1: not attached → 4x3 pixels") for line in lines)


def test_another_size_to_which_the_same_image_is_scaled_is_no_other_image():
    from tinyllm_magic.attachments.images import fit_image

    image = read_image(picture(400, 300), "a")
    lines = explain([fit_image(image, 100)], [fit_image(image, 200)])

    assert len(lines) == 1
    assert "scaled to 100 pixels" in lines[0]
