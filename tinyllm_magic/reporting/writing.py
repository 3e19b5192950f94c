"""Writes reports in the forms that they have: as text, or into a file or a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import OptionError, TinyLLMError
from .crate import write_crate
from .data import to_data, write_json
from .markdown import write_markdown
from .page import draw_page
from .report import Report

FORMATS = ("md", "html", "json", "ro-crate")
CRATE = "ro-crate-metadata.json"


def write_reports(reports: Sequence[Report], form: str) -> str:
    """Reports as one text; raises ``OptionError`` where several cannot stand in one text of this form."""
    if form == "ro-crate":
        return write_crate(reports)
    if form == "json" and len(reports) > 1:
        return json.dumps([to_data(report) for report in reports], ensure_ascii=False, indent=1, default=str) + "\n"
    if len(reports) > 1 and form != "md":
        raise OptionError(
            f"{len(reports)} reports cannot stand in one text of the format {form}",
            option="--format",
            hint="-o FOLDER writes one file for each.",
        )
    return "\n---\n\n".join(_WRITERS[form](report) for report in reports)


def save_reports(reports: Sequence[Report], form: str, place: Path) -> list[Path]:
    """Write a report into a file, several into a folder, which is made; returns the paths.

    Raises ``TinyLLMError`` where a file cannot be written.
    """
    if form == "ro-crate":  # one file describes a whole folder
        targets = {place if place.suffix == ".json" else place / CRATE: write_crate(reports)}
    else:
        targets = {place: write_reports(reports, form)} if len(reports) == 1 and not place.is_dir() else {}
    for report in reports if not targets else ():
        path = report.evidence.path
        targets[_free_name(place / f"{path.stem}.report.{form}", targets)] = write_reports([report], form)
    for target, text in targets.items():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TinyLLMError(f"{target} cannot be written: {error.strerror}") from error
    return list(targets)


def _free_name(path: Path, taken: Mapping[Path, str]) -> Path:
    """A name that no other report has: notebooks of several folders may be called alike."""
    number, name = 2, path
    while name in taken:
        name = path.with_name(f"{path.name.partition('.')[0]}-{number}.{path.name.partition('.')[2]}")
        number += 1
    return name


def _write_page(report: Report) -> str:
    return draw_page(report.blocks(), report.found.title, report.found.version)


def _write_text(report: Report) -> str:
    return write_markdown(report.blocks())


_WRITERS: dict[str, Callable[[Report], str]] = {"md": _write_text, "html": _write_page, "json": write_json}
