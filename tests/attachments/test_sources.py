"""What values stand for: paths, addresses, bytes, Pillow images, figures, IPython images, documents."""

import base64
import hashlib
import io
from types import SimpleNamespace

import pytest
from filemaker import document, picture
from IPython.display import Image as Shown
from PIL import Image

from tinyllm_magic import errors
from tinyllm_magic.attachments import sources
from tinyllm_magic.attachments.sources import read_file, read_image

PIXELS = Image.open(io.BytesIO(picture()))


def draw_figure(height=3):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.add_subplot().bar(["a", "b"], [1, height])
    return figure


@pytest.mark.parametrize(
    "value",
    [
        lambda folder: "photo.png",
        lambda folder: folder / "photo.png",
        lambda folder: (folder / "photo.png").read_bytes(),
        lambda folder: bytearray((folder / "photo.png").read_bytes()),
        lambda folder: io.BytesIO((folder / "photo.png").read_bytes()),
        lambda folder: Shown(data=(folder / "photo.png").read_bytes()),
        lambda folder: Shown(filename=str(folder / "photo.png")),
        lambda folder: "data:image/png;base64," + base64.b64encode((folder / "photo.png").read_bytes()).decode(),
    ],
    ids=["text", "path", "bytes", "bytearray", "file", "ipython", "ipython-file", "data-url"],
)
def test_an_image_is_its_files_bytes_however_it_is_given(value, folder):
    found = read_image(value(folder), [folder])

    assert found.data == picture()
    assert found.facts.digest == hashlib.sha256(picture()).hexdigest()
    assert (found.facts.media_type, found.facts.size, found.facts.width, found.facts.height) == ("image/png", len(picture()), 40, 30)


def test_an_address_stays_one(folder):
    assert read_image("https://example.org/a.png", [folder]) == "https://example.org/a.png"
    assert read_image(Shown(url="https://example.org/a.png"), [folder]) == "https://example.org/a.png"


def test_a_pillow_image_is_its_pixels_whatever_file_they_came_from(folder):
    from_png = read_image(PIXELS, [folder])
    from_bmp = read_image(Image.open(io.BytesIO(picture(kind="BMP"))), [folder])

    assert from_png.facts.digest == from_bmp.facts.digest
    assert from_png.canonical() == {"$sha256": from_png.facts.digest, "type": "image/png", "pixels": "40x30"}
    assert Image.open(io.BytesIO(from_png.data)).convert("RGB").tobytes() == PIXELS.tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_a_pillow_image_of_any_mode_can_be_sent(mode, folder):
    found = read_image(PIXELS.convert("L").convert(mode) if mode in ("I", "F") else PIXELS.convert(mode), [folder])

    assert Image.open(io.BytesIO(found.data)).size == (40, 30)


def test_a_figure_drawn_again_has_the_same_digest_and_another_one_has_not(folder):
    first, again, other = (read_image(draw_figure(height), [folder]) for height in (3, 3, 4))

    assert first.facts.digest == again.facts.digest
    assert first.facts.digest != other.facts.digest
    assert first.facts.drawn


def test_axes_stand_for_their_figure(folder):
    figure = draw_figure()

    assert read_image(figure.axes[0], [folder]).canonical() == read_image(figure, [folder]).canonical()


def test_a_plotly_figure_is_the_picture_that_it_draws(folder, monkeypatch):
    import plotly.graph_objects as go

    figure = go.Figure(data=[go.Bar(x=["a"], y=[1])])
    monkeypatch.setattr(go.Figure, "to_image", lambda self, **options: picture())  # kaleido and its browser are not here

    assert read_image(figure, [folder]).facts.digest == read_image(PIXELS, [folder]).facts.digest


def test_a_plotly_figure_that_cannot_be_drawn_says_what_is_needed(folder, monkeypatch):
    import plotly.graph_objects as go

    def fail(self, **options):
        raise ValueError("Image export requires the Kaleido package")

    monkeypatch.setattr(go.Figure, "to_image", fail)
    with pytest.raises(errors.PromptError, match="Kaleido package") as caught:
        read_image(go.Figure(), [folder])
    assert "pip install kaleido" in caught.value.hint


def test_what_shows_itself_as_a_picture_is_one(folder):
    chart = SimpleNamespace(_repr_png_=lambda: base64.b64encode(picture()).decode())

    assert read_image(chart, [folder]).facts.digest == read_image(PIXELS, [folder]).facts.digest


def test_a_file_is_what_it_holds(folder):
    assert read_file("bill.pdf", [folder]).facts.media_type == "application/pdf"
    assert read_file("photo.png", [folder]).facts.width == 40
    notes = read_file("notes.txt", [folder])
    assert notes == "notes.txt:\nMilk\nBread\n"
    assert notes.canonical() == {
        "$sha256": hashlib.sha256(b"Milk\nBread\n").hexdigest(), "type": "text/plain", "size": 11, "as": "text", "name": "notes.txt",
    }  # fmt: skip


def test_a_text_may_be_utf_16(folder):
    assert read_file("Größe".encode("utf-16"), [folder]) == "Größe"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("foto.png", "there is no file 'foto.png'"),
        ("bill.pdf", "bill.pdf is no image"),
        (picture()[:20], "cannot be read|no image"),
        (b"", "no image"),
        ("x" * 5000, "this is no path|there is no file"),
        ("a\0b", "this is no path|there is no file"),
        (3, "`image` takes a path, a URL, bytes, a PIL image, a matplotlib or plotly figure, not int"),
        (None, "not NoneType"),
        (Image.Image, "not type"),
        (Image.new("RGB", (0, 0)), "without pixels"),
    ],
    ids=["missing", "pdf", "cut", "empty", "long", "nul", "number", "none", "class", "no-pixels"],
)
def test_what_is_no_image_is_refused_in_words(value, says, folder):
    with pytest.raises(errors.PromptError, match=says):
        sources.read_image(value, [folder])


def test_a_missing_file_names_similar_ones(folder):
    with pytest.raises(errors.PromptError) as caught:
        read_image("foto.png", [folder])
    assert "photo.png" in caught.value.hint


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"\xff\xfe\xfa", b"PK\x03\x04\x00\x00"])
def test_what_is_no_document_is_refused(data, folder):
    (folder / "blob.bin").write_bytes(data)
    with pytest.raises(errors.PromptError, match=r"blob.bin is neither a PDF nor a text"):
        read_file("blob.bin", [folder])


def test_a_file_that_is_too_large_is_refused(folder, monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 2**20)
    (folder / "large.txt").write_bytes(b"a" * (2**20 + 1))
    with pytest.raises(errors.PromptError, match=r"large.txt is larger than 1 MB"):
        read_file("large.txt", [folder])


@pytest.mark.parametrize("path", ["../photo.png", "link.png", "folder/../../photo.png"])
def test_below_a_folder_nothing_outside_is_read(path, folder):
    inner = folder / "inner"
    (inner / "folder").mkdir(parents=True)
    (inner / "link.png").symlink_to(folder / "photo.png")
    with pytest.raises(errors.PromptError, match="lies outside"):
        read_image(path, [inner], below=inner)
    with pytest.raises(errors.PromptError, match="lies outside"):
        read_image(str(folder / "photo.png"), [inner], below=inner)


def test_below_a_folder_its_own_files_are_read(folder):
    assert read_image("photo.png", [folder], below=folder).data == picture()
    assert read_file(folder / "bill.pdf", [folder], below=folder).data == document()
