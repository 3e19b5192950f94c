"""What is found in the evidence, summed up once for every form of the report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..responses import Record
from .cells import SavedCell
from .collection import TOOL, Evidence, Use
from .pinning import Unpinned, find_unpinned
from .summary import ModelUse, ParameterSet, Samples, Totals, count_samples, group_models, group_parameters, total


@dataclass(frozen=True)
class Findings:
    """The evidence with its sums; ``version`` is the version of this package that reports."""

    evidence: Evidence
    version: str

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """The answers that models gave to what the notebook asks, each once."""
        return tuple(use.record for use in self.evidence.answers)

    @cached_property
    def totals(self) -> Totals:
        """Their sums."""
        return total(self.records)

    @cached_property
    def models(self) -> tuple[ModelUse, ...]:
        """The models that gave them."""
        return group_models(self.records)

    @cached_property
    def parameters(self) -> tuple[ParameterSet, ...]:
        """The parameters with which they were asked."""
        return group_parameters(self.records)

    @cached_property
    def samples(self) -> Samples:
        """How often each question was asked."""
        return count_samples(self.records)

    @cached_property
    def unpinned(self) -> tuple[Unpinned, ...]:
        """What is not fixed."""
        return find_unpinned(self.evidence, self.records)

    @cached_property
    def unasked(self) -> Totals:
        """The sums of the answers that nothing asks any more."""
        return total(r for r in self.evidence.unasked if r.request.get("kind") not in ("tool", "file"))

    @cached_property
    def asking_cells(self) -> tuple[SavedCell, ...]:
        """The cells that ask a model, those whose answers were found by their words among them."""
        found = {use.cell.number for use in self.evidence.links}
        return tuple(cell for cell in self.evidence.cells if cell.kind in ("prompt cell", "%llm in Python") or cell.number in found)

    @cached_property
    def scores(self) -> tuple[tuple[SavedCell, Mapping[str, Any]], ...]:
        """The scores that outputs show, each with its cell."""
        return tuple((cell, score) for cell in self.evidence.cells for score in cell.scores)

    @cached_property
    def tool_results(self) -> tuple[Use, ...]:
        """The recorded results of tools."""
        return tuple(use for use in self.evidence.uses if use.record.request.get("kind") == TOOL)

    @cached_property
    def recorded_with(self) -> tuple[str, ...]:
        """The versions of this package that recorded the answers."""
        return tuple(sorted({r.version for r in self.records if r.version}))

    @cached_property
    def commands(self) -> tuple[str, ...]:
        """The three commands with which a reader proves it: install, compare the digests, run everything from the store."""
        extras = ["verify"]
        if self.scores:
            extras.append("stats")
        if any(".pdf" in cell.source.lower() for cell in self.asking_cells):
            extras.append("files")
        names = [self.evidence.notebook.name, *(store.name for store in self.evidence.stores)]
        return (
            f'pip install "tinyllm-magic[{",".join(extras)}]=={self.version}"',
            f"sha256sum {' '.join(map(shlex.quote, names))}",
            f"tinyllm-magic verify {shlex.quote(self.evidence.notebook.name)}",
        )

    @cached_property
    def title(self) -> str:
        """The notebook's first heading, or its file's name."""
        return self.evidence.headings[0][0] if self.evidence.headings else Path(self.evidence.notebook.name).stem
