"""Tokens of images, by the vendors' published examples."""

import pytest

from tinyllm_magic.file_text import FileFacts, FileText
from tinyllm_magic.messages import Message
from tinyllm_magic.models.tokens import count_images, count_messages


def picture(width, height, **detail):
    url = FileText.of("data:image/png;base64,", FileFacts("d", "image/png", 1, width=width, height=height))
    return Message("user", ({"type": "image_url", "image_url": {"url": url, **detail}},))


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),  # OpenAI's guide
        ("gpt-4o", (2048, 4096), 1105),
        ("gpt-4o-mini", (1024, 1024), 2833 + 4 * 5667),
        ("o3", (1024, 1024), 75 + 4 * 150),
        ("gpt-5", (512, 512), 210),
        ("gpt-4.1-mini", (1024, 1024), 1659),
        ("gpt-5-nano", (1800, 2400), 3572),
        ("gemini-2.5-flash", (384, 300), 258),
    ],
)
def test_published_formulas_are_exact(model, size, tokens):
    counted = count_images(picture(*size), model)

    assert (counted, counted.estimated) == (tokens, False)


def test_low_detail_costs_the_base_alone():
    assert count_images(picture(4096, 4096, detail="low"), "gpt-4o") == 85


@pytest.mark.parametrize(("model", "tokens"), [("claude-sonnet-4-5", 1334), ("llava", 765)])
def test_an_approximation_and_a_guess_are_marked(model, tokens):
    counted = count_images(picture(1000, 1000), model)

    assert (counted, counted.estimated) == (tokens, True)


def test_an_image_of_unknown_size_makes_the_count_an_estimate():
    by_address = Message("user", ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},))

    assert count_messages([by_address], "gpt-4o").estimated
    assert not count_messages([picture(10, 10)], "gpt-4o").estimated
