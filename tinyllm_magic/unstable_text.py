"""What in a text is another in every run (``UUID``, ``MEMORY_ADDRESS``, ``TEMPORARY_PATH``): no difference, and a reason for a miss."""

from __future__ import annotations

import re

UUID = re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b", re.IGNORECASE)
MEMORY_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{4,}\b")
TEMPORARY_PATH = re.compile(r"(?:(?:/private)?/var/folders/|/tmp/|[A-Za-z]:\\[^\s'\"<>]*\\Temp\\)[^\s'\"<>),;]+")
