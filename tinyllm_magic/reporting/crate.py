"""Describes notebooks, their stores and the models behind them as an RO-Crate: the JSON-LD of ``ro-crate-metadata.json``.

The profile is Process Run Crate (https://w3id.org/ro/wfrun/process): each model with each set of dates is an action, whose instrument is
the model, whose object the notebook and whose result the store. ``digitalSourceType`` marks the stores as what a model wrote.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ..evidence.collection import FileFact
from ..evidence.summary import ModelUse
from ..evidence.wording import count, describe_cost, describe_tokens, join, name_model
from ..extras import load_library
from ..models.gen_ai import describe_usage, find_vendor_name
from ..models.vendors import find_vendor
from ..redaction import mask_data
from ..responses import TRAINED_MEDIA
from .report import Report

VERSION = "1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_TERMS = {
    "digitalSourceType": "https://schema.org/digitalSourceType",
    "sha256": "https://w3id.org/ro/terms/workflow-run#sha256",
}


def write_crate(reports: Sequence[Report]) -> str:
    """The text of ``ro-crate-metadata.json`` for the folder of these notebooks.

    Raises ``MissingExtraError`` where the library rocrate is not installed.
    """
    crate = load_library("rocrate.rocrate", "report").ROCrate(version=VERSION)
    crate.metadata.extra_terms.update(_TERMS)
    _describe_root(crate, reports)
    actions = [action for report in reports for action in _describe_notebook(crate, report)]
    if actions:
        crate.root_dataset["mentions"] = _one_or_all(actions)
    return json.dumps(mask_data(crate.metadata.generate()), ensure_ascii=False, indent=2, default=str) + "\n"


def _describe_root(crate: Any, reports: Sequence[Report]) -> None:
    dates = [report.found.totals.last for report in reports if report.found.totals.last]
    names = join([report.found.title for report in reports])
    crate.name = names
    crate.description = " ".join(report.methods for report in reports)
    crate.datePublished = datetime.fromisoformat(max(dates)) if dates else datetime.fromtimestamp(0, UTC)
    unknown = "Neither notebook nor store names a licence: a person must say."
    crate.license = _add(crate, "#license", "CreativeWork", name="no licence stated", description=unknown)
    profile = _add(crate, _PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
    crate.root_dataset["conformsTo"] = profile


def _one_or_all(values: list[Any]) -> Any:
    """A single value as itself: RO-Crate's JSON-LD has no lists of one."""
    return values[0] if len(values) == 1 else values


def _describe_notebook(crate: Any, report: Report) -> list[Any]:
    """The files of a notebook and the models that answered it; returns the actions in which they did."""
    evidence, found = report.evidence, report.found
    python = _add(crate, "https://www.python.org/", "ComputerLanguage", name="Python", url="https://www.python.org/")
    notebook = _add_file(crate, evidence.notebook, "application/x-ipynb+json", ["File", "SoftwareSourceCode"], name=found.title)
    notebook["programmingLanguage"], notebook["version"] = python, f"sha256:{evidence.notebook.digest}"
    stores = [
        _add_file(crate, store, "application/jsonl", ["File", "CreativeWork"], name=f"Recorded answers of {evidence.notebook.name}")
        for store in evidence.stores
    ]
    for store in stores:
        store["digitalSourceType"] = {"@id": TRAINED_MEDIA}
    recorder = _add(
        crate,
        "-".join(("#tinyllm-magic", *found.recorded_with)),
        "SoftwareApplication",
        name="tinyllm-magic",
        softwareVersion=", ".join(found.recorded_with) or "unknown",
    )
    actions = []
    for number, use in enumerate(found.models, 1):
        action = _describe_use(crate, use, f"{_identify(evidence.notebook.name)}-{number}")
        action["instrument"] = [_describe_model(crate, use), recorder]
        action["object"], action["result"] = notebook, _one_or_all(stores)
        actions.append(action)
    return actions


def _describe_use(crate: Any, use: ModelUse, identity: str) -> Any:
    totals = use.totals
    usage = describe_usage(totals.usage)
    facts = [
        _add(crate, f"#{identity}-{_identify(name)}", "PropertyValue", name=name, value=value)
        for name, value in {**usage, "answers": totals.answers, "cost in US dollars": totals.cost}.items()
        if value is not None
    ]
    return _add(
        crate,
        f"#answers-{identity}",
        "CreateAction",
        name=f"{count(totals.answers, 'answer')} of {name_model(use)}",
        description=f"{describe_tokens(totals)}; cost: {describe_cost(totals)}",
        startTime=_to_seconds(totals.first),
        endTime=_to_seconds(totals.last),
        additionalProperty=facts,
    )


def _describe_model(crate: Any, use: ModelUse) -> Any:
    """A model as a ``SoftwareApplication``; its version is the name under which it answered, with the fingerprint."""
    identity = _identify(f"{use.provider} {use.asked} {use.answered} {use.fingerprint or ''}")
    version = ", ".join(filter(None, (use.answered, use.fingerprint))) or "not told by the provider"
    address = _address_of(use.provider)
    provider = _add(crate, address, "Organization", name=use.vendor, url=address) if address else None
    return _add(
        crate,
        f"#model-{identity}",
        "SoftwareApplication",
        name=use.asked,
        softwareVersion=version,
        url=address,
        provider=provider,
        description=f"A language model, asked as {use.asked} at {use.vendor}",
    )


def _address_of(provider: str) -> str | None:
    """Where a provider is asked; ``None`` for this machine and for a name that the notebook gave."""
    vendor = find_vendor(find_vendor_name(provider))
    address = provider.partition(":")[2] or (vendor.base_url if vendor is not None else None) or ""
    return address if address.startswith(("http://", "https://")) else None


def _to_seconds(moment: str) -> str | None:
    """A moment to the second: the profile's form of ISO 8601 knows no fractions."""
    return datetime.fromisoformat(moment).isoformat(timespec="seconds") if moment else None


def _add_file(crate: Any, fact: FileFact, media_type: str, types: list[str], *, name: str) -> Any:
    properties = {
        "@type": types,
        "name": name,
        "encodingFormat": media_type,
        "contentSize": str(fact.size),
        "sha256": fact.digest,
    }
    known = crate.dereference(quote(fact.name))
    return known if known is not None else crate.add_file(dest_path=fact.name, properties=properties)


def _add(crate: Any, identity: str, kind: str, **properties: Any) -> Any:
    known = crate.dereference(identity)
    if known is not None:
        return known
    plain = {name: value for name, value in properties.items() if value is not None and not _is_entity(value)}
    entity = crate.add_jsonld({"@id": identity, "@type": kind, **plain})
    for name, value in properties.items():
        if value is not None and _is_entity(value):
            entity[name] = value
    return entity


def _is_entity(value: Any) -> bool:
    return hasattr(value, "id") or (isinstance(value, list) and all(hasattr(part, "id") for part in value))


def _identify(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-") or "unknown"
