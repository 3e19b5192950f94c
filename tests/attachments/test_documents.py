"""PDFs and their text."""

import sys

import pytest
from filemaker import document

from tinyllm_magic import errors
from tinyllm_magic.attachments.documents import extract_text, read_pdf


def test_the_text_of_a_pdf_stands_under_its_name_and_for_its_digest():
    pdf = read_pdf(document(), "bill.pdf")

    text = extract_text(pdf)

    assert text == "bill.pdf:\nThe total is 42 euros."
    assert text.canonical() == {**pdf.canonical(), "as": "pdf text", "name": "bill.pdf"}


def test_a_pdf_without_text_says_so():
    with pytest.raises(errors.PromptError, match="holds no text"):
        extract_text(read_pdf(document(""), "scan.pdf"))


def test_a_damaged_pdf_says_so():
    with pytest.raises(errors.PromptError, match="cannot be read"):
        extract_text(read_pdf(document()[:80], "cut.pdf"))


def test_without_pypdf_one_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(errors.MissingExtraError, match="not installed") as caught:
        extract_text(read_pdf(document("Another one."), "bill.pdf"))
    assert caught.value.hint == 'pip install "tinyllm-magic[files]"'
