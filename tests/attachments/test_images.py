"""Pictures scaled, converted and drawn small."""

import io

import pytest
from filemaker import picture
from PIL import Image

from tinyllm_magic import errors
from tinyllm_magic.attachments.images import draw_thumbnail, fit_image, read_image


def opened(file):
    return Image.open(io.BytesIO(file.data))


def test_an_image_that_fits_goes_as_it_is():
    image = read_image(picture(), "a.png")

    assert fit_image(image, 40) is image


@pytest.mark.parametrize(("kind", "sent"), [("PNG", "PNG"), ("JPEG", "JPEG"), ("GIF", "PNG"), ("WEBP", "PNG")])
def test_a_large_image_is_scaled_and_its_key_names_the_source_and_the_scaling(kind, sent):
    image = read_image(picture(400, 300, kind=kind), "a")

    fitted = fit_image(image, 100)

    assert (opened(fitted).size, opened(fitted).format) == ((100, 75), sent)
    assert fitted.startswith(f"data:image/{sent.lower()};base64,")
    assert fitted.canonical() == {**image.canonical(), "as": "scaled to 100 pixels"}
    assert fit_image(fitted, 100) is fitted
    assert fit_image(image, 100) == fitted


def test_a_photograph_stays_the_right_way_up():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = read_image(picture(400, 300, kind="JPEG", exif=exif), "a.jpg")

    assert opened(fit_image(image, 100)).getexif()[0x0112] == 6
    thumbnail = draw_thumbnail(image)
    assert opened(type(image)(thumbnail)).size == (120, 160)


def test_a_format_that_no_vendor_takes_is_sent_as_png():
    image = read_image(picture(kind="TIFF"), "scan.tiff")

    assert opened(image).format == "PNG"
    assert (image.canonical()["as"], image.facts.media_type) == ("png", "image/tiff")


@pytest.mark.parametrize("size", [(40, 30), (3000, 2000), (1, 4000), (500, 500)])
@pytest.mark.parametrize("kind", ["noise", "plain", "transparent"])
def test_a_thumbnail_takes_less_than_8_kb(size, kind):
    if kind == "noise":
        image = Image.effect_noise(size, 200).convert("RGB")
    else:
        image = Image.new("RGBA", size, "#12345600" if kind == "transparent" else "#123456")
    file = io.BytesIO()
    image.save(file, "PNG")

    thumbnail = draw_thumbnail(read_image(file.getvalue(), "a.png"))

    assert 0 < len(thumbnail) < 8192
    assert thumbnail.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))


def test_an_image_of_too_many_pixels_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(errors.PromptError, match="too many pixels"):
        read_image(picture(), "large.png")
