"""PDFs and text files: sent as they are, or their text."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from functools import lru_cache

from ..errors import MissingExtraError, PromptError
from ..file_text import FileFacts, FileText, read_data_url, to_data_url

PDF = "application/pdf"
_START_OF_PDF = b"%PDF-"
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def is_pdf(data: bytes) -> bool:
    """Whether these are the bytes of a PDF, which may begin with some that are not its own."""
    return _START_OF_PDF in data[:1024]


def read_pdf(data: bytes, name: str) -> FileText:
    """A PDF as a data URL."""
    return FileText.of(to_data_url(data, PDF), FileFacts(hashlib.sha256(data).hexdigest(), PDF, len(data), name or "document.pdf"))


def read_text(data: bytes, name: str) -> FileText:
    """A text file under its name, in UTF-8 or with a byte order mark; raises ``PromptError`` where it is none."""
    encoding = next((e for bom, e in _BOMS.items() if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        hint = "An image is attached by `image`; of another file, pass the text that it holds."
        raise PromptError(f"{name or 'this'} is neither a PDF nor a text in UTF-8", hint=hint)
    facts = FileFacts(hashlib.sha256(data).hexdigest(), "text/plain", len(data), name, process="text")
    return FileText.of(_put_under_name(text.replace("\r\n", "\n"), name), facts)


def extract_text(pdf: FileText) -> FileText:
    """The text of a PDF, page by page.

    Raises ``PromptError`` where it holds none or cannot be read, ``MissingExtraError`` without pypdf.
    """
    text = _extract(str(pdf)) if pdf else ""
    return FileText.of(_put_under_name(text, pdf.facts.name) if pdf else "", replace(pdf.facts, process="pdf text"))


@lru_cache(maxsize=8)
def _extract(url: str) -> str:
    try:
        import pypdf
    except ImportError as error:
        raise MissingExtraError(
            "the text of a PDF is read by pypdf, which is not installed", extra="files", hint='pip install "tinyllm-magic[files]"'
        ) from error

    try:
        pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(read_data_url(url))).pages]
    except Exception as error:  # a damaged PDF makes it raise anything
        raise PromptError(f"the PDF cannot be read: {error}") from error
    if not any(page.strip() for page in pages):
        hint = "Its pages may be pictures: ask a model that takes PDFs, or attach the pages as images."
        raise PromptError("the PDF holds no text", hint=hint)
    return "\n\n".join(pages)


def _put_under_name(text: str, name: str) -> str:
    return f"{name}:\n{text}" if name else text
