"""Pictures by Pillow: their size, their pixels' digest, scaled and converted forms, and thumbnails."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any

from ..errors import PromptError
from ..file_text import FileFacts, FileText, read_data_url, to_data_url

SENT_AS_THEY_ARE = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
"""Formats that the vendors take, by Pillow's names; any other is sent as PNG."""
LONGEST_THUMBNAIL = 8 * 1024 - 1  # characters of its data URL
_SIDES = (160, 128, 96, 64, 32, 16)
_DIRECT_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


@contextmanager
def _open(data: bytes, name: str) -> Iterator[Any]:
    """The picture in a file's bytes; ``PromptError`` names the file that holds none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                yield image
    except UnidentifiedImageError:
        hint = "PNG, JPEG, GIF, WebP and what else Pillow reads; a PDF or a text is attached by `file`."
        raise PromptError(f"{name or 'this'} is no image that can be read", hint=hint) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise PromptError(f"the image {name} has too many pixels to be read ({Image.MAX_IMAGE_PIXELS:,} at most)") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise PromptError(f"the image {name} cannot be read: {error}") from error


def read_image(data: bytes, name: str) -> FileText:
    """The image in a file's bytes, as it is, or as PNG where the vendors do not take its format; raises ``PromptError``."""
    digest = hashlib.sha256(data).hexdigest()
    with _open(data, name) as image:
        width, height = image.size
        kind = SENT_AS_THEY_ARE.get(image.format)
        facts = FileFacts(digest, kind or f"image/{str(image.format).lower()}", len(data), name, width, height)
        if kind is None:
            return FileText.of(to_data_url(_write_png(image), "image/png"), replace(facts, process="png"))
    return FileText.of(to_data_url(data, kind), facts)


def read_drawn(data: bytes, name: str) -> FileText:
    """A picture that a library has drawn, from its image file: its pixels are its digest."""
    with _open(data, name) as image:
        return encode_pixels(image, name)


def encode_pixels(image: Any, name: str = "") -> FileText:
    """A Pillow image, sent as PNG; its pixels are its digest."""
    width, height = image.size
    if not width or not height:
        raise PromptError("an image without pixels cannot be sent")
    pixels = f"{width}x{height} RGBA ".encode() + image.convert("RGBA").tobytes()
    facts = FileFacts(hashlib.sha256(pixels).hexdigest(), "image/png", 0, name, width, height, drawn=True)
    return FileText.of(to_data_url(_write_png(image), "image/png"), facts)


def _write_png(image: Any) -> bytes:
    file = io.BytesIO()
    (image if image.mode in _DIRECT_MODES else image.convert("RGB")).save(file, "PNG")
    return file.getvalue()


def fit_image(image: FileText, longest_side: int) -> FileText:
    """The image with sides of at most so many pixels; one that fits goes as it is."""
    facts = image.facts
    if max(facts.width, facts.height) <= longest_side:
        return image
    width, height = fit_size(facts.width, facts.height, longest_side)
    fitting = replace(facts, width=width, height=height, process=f"scaled to {longest_side} pixels")
    return FileText.of(_scale(str(image), longest_side) if image else "", fitting)


def fit_size(width: int, height: int, longest_side: int) -> tuple[int, int]:
    """The size of a picture whose longer side is so many pixels.

    >>> fit_size(4000, 3000, 2000)
    (2000, 1500)
    """
    longer = max(width, height)
    return max(1, round(width * longest_side / longer)), max(1, round(height * longest_side / longer))


@lru_cache(maxsize=8)
def _scale(url: str, longest_side: int) -> str:
    """A data URL's picture scaled: once for all samples, models and rows that ask about it."""
    from PIL import Image

    with _open(read_data_url(url), "") as image:
        size = fit_size(image.width, image.height, longest_side)
        kind = image.format
        profile = {"icc_profile": image.info["icc_profile"]} if image.info.get("icc_profile") else {}
        exif = {"exif": image.getexif()} if kind == "JPEG" else {}  # which way up it is
        file = io.BytesIO()
        if kind == "JPEG":
            image.draft(image.mode, size)
            image.resize(size, Image.Resampling.LANCZOS).save(file, "JPEG", quality=90, **profile, **exif)
        else:
            smooth = image if image.mode in ("L", "LA", "RGB", "RGBA") else image.convert("RGBA")
            smooth.resize(size, Image.Resampling.LANCZOS).save(file, "PNG", **profile)
    return to_data_url(file.getvalue(), "image/jpeg" if kind == "JPEG" else "image/png")


def draw_thumbnail(image: FileText) -> str:
    """A small picture of an image as a data URL of less than 8 KB, the right way up; "" where it cannot be made."""
    from PIL import Image, ImageOps

    if not image or not image.facts.width:
        return ""
    with _open(image.data, image.facts.name) as opened:
        opened.draft("RGB", (2 * _SIDES[0], 2 * _SIDES[0]))  # a photograph is decoded at a fraction of its size
        upright = ImageOps.exif_transpose(opened).convert("RGBA")
        small = Image.new("RGB", upright.size, "white")
        small.paste(upright, mask=upright.getchannel("A"))
    for side in _SIDES:
        small.thumbnail((side, side))
        for kind, options in (("PNG", {"optimize": True}), ("JPEG", {"quality": 75})):
            file = io.BytesIO()
            small.save(file, kind, **options)
            url = to_data_url(file.getvalue(), f"image/{kind.lower()}")
            if len(url) <= LONGEST_THUMBNAIL:
                return url
    return ""
