"""Writes verdicts as JUnit XML, which CI services show."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass

PASSED, FAILURE, ERROR, SKIPPED = "passed", "failure", "error", "skipped"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """One test case: its name, its outcome, and where it did not pass a message, all that is to say, and the kind of failure."""

    name: str
    outcome: str = PASSED
    message: str = ""
    text: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Suite:
    """The cases of one notebook, whose path is ``place``."""

    name: str
    place: str
    cases: Sequence[Case]
    seconds: float = 0.0


def write_junit(title: str, suites: Sequence[Suite]) -> bytes:
    """JUnit XML of these suites, with their counts and sums."""
    root = ET.Element("testsuites", name=title)
    for suite in suites:
        counts = {name: str(sum(c.outcome == outcome for c in suite.cases)) for name, outcome in _COUNTED}
        facts = {"name": _legal(suite.name), "tests": str(len(suite.cases)), **counts, "time": f"{suite.seconds:.3f}"}
        element = ET.SubElement(root, "testsuite", facts)
        for case in suite.cases:
            _write_case(element, suite, case)
    for name in ("tests", *(name for name, _ in _COUNTED)):
        root.set(name, str(sum(int(element.get(name, "0")) for element in root)))
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


_COUNTED = (("failures", FAILURE), ("errors", ERROR), ("skipped", SKIPPED))


def _write_case(element: ET.Element, suite: Suite, case: Case) -> None:
    written = ET.SubElement(element, "testcase", classname=_legal(suite.place), name=_legal(case.name))
    if case.outcome != PASSED:
        kind = {"type": _legal(case.kind)} if case.kind else {}
        outcome = ET.SubElement(written, case.outcome, {**kind, "message": _legal(case.message)})
        outcome.text = _legal(case.text) or None


def _legal(text: str) -> str:
    """Text that XML may hold."""
    return _NOT_XML.sub("\ufffd", text)
