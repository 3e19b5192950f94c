"""A report as plain data: the JSON of ``report.schema.json``, with OpenTelemetry's gen_ai names where they exist."""

from __future__ import annotations

import json
from typing import Any

from ..evidence.collection import FileFact, Use
from ..evidence.pinning import is_dated, is_drawn
from ..evidence.summary import ModelUse, ParameterSet, Totals
from ..models.gen_ai import describe_answer, describe_question, describe_request, describe_said, describe_usage
from ..redaction import mask_data
from .report import Report

FORMAT, VERSION = "tinyllm_magic report", 1


def to_data(report: Report) -> dict[str, Any]:
    """The report as plain data, without secrets."""
    found, evidence = report.found, report.evidence
    data = {
        "format": FORMAT,
        "version": VERSION,
        "package_version": found.version,
        "title": found.title,
        "notebook": _file(evidence.notebook),
        "stores": [_file(store) for store in evidence.stores],
        "recorded_with": list(found.recorded_with),
        "python": (evidence.metadata.get("language_info") or {}).get("version"),
        "totals": _totals(found.totals),
        "models": [_model(use) for use in found.models],
        "parameters": [_parameters(group) for group in found.parameters],
        "samples": {
            "questions_by_samples": {str(number): questions for number, questions in found.samples.counts.items()},
            "repeated": found.samples.repeated,
            "repeated_with_one_text": found.samples.agreeing,
        },
        "unseeded": sum(map(is_drawn, found.records)),
        "cells": _cells(report),
        "records": [_record(use) for use in evidence.uses],
        "unasked": {"keys": [record.key for record in evidence.unasked], "totals": _totals(found.unasked)},
        "unpinned": [{"what": u.what, "why": u.why, "count": u.count} for u in found.unpinned],
        "methods": report.methods,
        "checklist": [
            {"guideline": r.guideline, "item": r.item, "must": r.must, "wants": r.wants, "state": r.state, "answer": r.answer}
            for r in report.checklist
        ],
        "commands": list(found.commands),
    }
    plain: dict[str, Any] = mask_data(data)
    return plain


def write_json(report: Report) -> str:
    """The report as JSON text."""
    return json.dumps(to_data(report), ensure_ascii=False, indent=1, default=str) + "\n"


def _file(fact: FileFact) -> dict[str, Any]:
    return {"name": fact.name, "bytes": fact.size, "sha256": fact.digest}


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "answers": totals.answers,
        **describe_usage(totals.usage),
        "answers_without_tokens": totals.untold,
        "answers_with_estimated_tokens": totals.estimated,
        "cost_usd": totals.cost,
        "answers_of_this_machine": totals.free,
        "answers_of_unknown_price": totals.unpriced,
        "seconds": round(totals.seconds, 4),
        "median_seconds": round(totals.median_seconds, 4),
        "first": totals.first or None,
        "last": totals.last or None,
    }


def _model(use: ModelUse) -> dict[str, Any]:
    names = describe_request({"kind": use.kind, "provider": use.provider, "model": use.asked})
    answered = {"gen_ai.response.model": use.answered or None, "openai.response.system_fingerprint": use.fingerprint}
    dated = is_dated(use.asked) or is_dated(use.answered)
    return {**names, **answered, "provider": use.provider, "vendor": use.vendor, "dated_name": dated, "totals": _totals(use.totals)}


def _parameters(group: ParameterSet) -> dict[str, Any]:
    named = describe_request({"model": group.asked, "params": group.params})
    known = {name: value for name, value in named.items() if name not in ("gen_ai.operation.name", "gen_ai.provider.name")}
    return {
        **known,
        "sent": dict(group.params),
        "response_format": group.form or None,
        "tools": list(group.tools),
        "questions": group.questions,
        "answers": group.answers,
    }


def _cells(report: Report) -> list[dict[str, Any]]:
    evidence, prompts = report.evidence, dict(report.prompts)
    found = []
    for cell in evidence.cells:
        uses = evidence.of_cell(cell)
        missing = [key for c, key in evidence.missing if c.number == cell.number]
        if not (uses or missing or cell.kind):
            continue
        asked = prompts.get(cell.number)
        found.append(
            {
                "number": cell.number,
                "id": cell.identity or None,
                "kind": cell.kind or None,
                "executed": cell.executed,
                "source": cell.source,
                "records": [{"key": use.record.key, "known_by": use.why or "saved output"} for use in uses],
                "missing": missing,
                "scores": [dict(score) for score in cell.scores],
                "first_prompt": asked.first if asked is not None else None,
            }
        )
    return found


def _record(use: Use) -> dict[str, Any]:
    record = use.record
    return {
        "key": record.key,
        "store": use.store,
        "cell": use.cell.number,
        **describe_request(record.request),
        **describe_answer(record.answer),
        **describe_question(record.request),
        **describe_said(record.answer, str(record.request.get("kind", "chat"))),
        "sample": int(record.request.get("sample", 0)),
        "created": record.created,
        "seconds": record.duration,
        "cost_usd": record.cost,
        "recorded_with": record.version,
    }
