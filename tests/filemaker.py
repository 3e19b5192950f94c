"""Makers of image files and PDFs."""

import io

from PIL import Image


def picture(width=40, height=30, colour="teal", kind="PNG", **options):
    """The bytes of an image file of one colour with a white corner."""
    image = Image.new("RGB", (width, height), colour)
    image.paste("white", (0, 0, max(1, width // 4), max(1, height // 4)))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def document(text="The total is 42 euros."):
    """The bytes of a PDF of one page."""
    content = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 6\n0000000000 65535 f \n" + table
    return out + head + b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(out)
