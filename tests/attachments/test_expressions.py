"""What `--image` and `--file` name: a variable, a file, an address, an expression."""

import pytest
from filemaker import picture

from tinyllm_magic import errors
from tinyllm_magic.attachments.expressions import Attached


def url(part):
    return part["image_url"]["url"]


@pytest.mark.parametrize(
    ("given", "width"),
    [("photo", 20), ("photo.png", 40), ("shots[1]", 60), ("shots[0] if photo else None", 50), (picture(70, 7), 70)],
    ids=["variable", "path", "item", "expression", "value"],
)
def test_a_variable_comes_before_a_path_and_a_path_before_an_expression(given, width, folder):
    variables = {"photo": picture(20, 20), "shots": [picture(50, 5), picture(60, 6)]}

    (part,) = Attached("--image", given).read(variables, [folder])

    assert url(part).facts.width == width


def test_a_list_attaches_each(folder):
    parts = Attached("--image", "both").read({"both": ["photo.png", "https://example.org/a.png"]}, [folder])

    assert [url(part).facts.width if hasattr(url(part), "facts") else url(part) for part in parts] == [40, "https://example.org/a.png"]


@pytest.mark.parametrize(
    ("option", "given", "says"),
    [
        ("--image", "foto.png", "--image foto.png: this is no file"),
        ("--image", "3", "--image 3: `image` takes"),
        ("--image", "1 / 0", "ZeroDivisionError"),
        ("--image", "notes.txt", "notes.txt is no image"),
        ("--file", "https://example.org/a.pdf", "is an address"),
    ],
)
def test_what_cannot_be_attached_is_an_error_of_the_option(option, given, says, folder):
    with pytest.raises(errors.OptionError, match=says) as caught:
        Attached(option, given).read({}, [folder])
    assert caught.value.option == option


def test_a_slip_names_similar_files(folder):
    with pytest.raises(errors.OptionError) as caught:
        Attached("--image", "foto.png").read({}, [folder])
    assert "photo.png" in caught.value.hint
