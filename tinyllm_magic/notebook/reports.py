"""Makes the tables that ``%llm_config``, ``%llm_models``, ``%llm_usage``, ``%llm_cache`` and ``%llm_history`` show."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ..clients.budget import Total
from ..clients.chats import describe_stale
from ..clients.history import HistoryEntry
from ..clients.model_list import Offer, list_offers
from ..clients.sessions import session
from ..display import cards, tables
from ..display.bundle import Bundle
from ..display.cards import Card
from ..display.history import HistoryItem, bundle_history
from ..display.html_tables import NOTHING, Bar
from ..errors import ConfigError, NoJSONError, OptionError
from ..json_schema import find_schema, unwrap
from ..json_text import extract_json
from ..messages import Message, begins_key, last_prompt
from ..models import pricing
from ..providers import local_servers
from ..recording.modes import Mode
from ..redaction import excerpt, hide_private, is_secret, mask_data
from ..responses import Record, Response
from ..settings.definitions import BY_NAME, MODEL_KEYS, SETTINGS
from ..settings.fields import Setting
from ..settings.layers import Settings
from ..text_format import format_money, shorten

SettingRow = tuple[str, str, str]
"""What is set, its value, and where the value came from."""
_NOT_SET = "not set"


def list_settings() -> list[SettingRow]:
    """What will answer and where answers are recorded, then every setting with its value and where it came from, those set first.

    Nothing in it is a path of this machine.
    """
    current = session.settings()
    rows = [(s.name, *_describe_setting(current, s.name)) for s in SETTINGS.values()]
    for (name, key), origin in current.model_origins.items():
        shown = "(hidden)" if is_secret(key) else _show(current.models[name].get(key), current, is_path=_is_path(MODEL_KEYS, key))
        rows.append((f"models.{name}.{key}", shown, origin.label))
    try:
        route = session.route(None, current)
        first = ("answers now", f"{route.model} ({hide_private(route.endpoint.provider)})", route.why)
    except ConfigError as error:
        first = ("answers now", "unavailable with these settings", error.message)
    mode = session.mode(current)
    place = "nowhere" if mode is Mode.OFF else str(session.store(current).path.name)
    return [first, ("recorded in", place, f"mode {mode}"), *sorted(rows, key=lambda row: row[2] == _NOT_SET)]


def settings_table(rows: list[SettingRow]) -> Bundle:
    """All settings as a table."""
    unset = sum(row[2] == _NOT_SET for row in rows)
    caption = "%llm_config KEY=VALUE changes a setting for this session"
    return tables.bundle_table("Settings", ("setting", "value", "from"), rows, caption=caption, folded=unset, rest="that are not set")


def changes_table(before: list[SettingRow], now: list[SettingRow], done: str) -> Bundle:
    """What differs between two lists of settings, and a remark on what else was done."""
    was = {row[0]: row for row in before}
    rows = [(*row, was[row[0]][1] if row[0] in was else "") for row in now if row not in before]
    rows += [(name, "", _NOT_SET, value) for name, value, _ in before if name not in {row[0] for row in now}]
    if not rows:
        return {"text/plain": done or "nothing changed"}
    return tables.bundle_table("Settings changed", ("setting", "value", "from", "before"), rows, caption=done)


def _describe_setting(current: Settings, name: str) -> tuple[str, str]:
    """A setting's value as it may be shown, and its source; both say so where it is not set."""
    value = current.values.get(name)
    if value is None:
        return ("", current.source(name).label if current.named(name) else _NOT_SET)
    return (_show(value, current, is_path=_is_path(BY_NAME, name)), current.source(name).label)


def _is_path(known: Mapping[str, Setting], name: str) -> bool:
    return name in known and known[name].path


def _show(value: object, current: Settings, *, is_path: bool) -> str:
    """A value without logins; of a path, what lies below the working directory, else its name: the rest is another on every machine."""
    if not is_path or not Path(str(value)).is_absolute():
        return str(hide_private(value))
    place = Path(str(value))
    return str(place.relative_to(current.folder)) if place.is_relative_to(current.folder) else f"…{os.sep}{place.name}"


def models_table() -> Bundle:
    """What can be asked here and now, then what wants a key or a server: model, provider, window, prices, state.

    The servers of this machine are asked which models they have, but not in strict replay.
    """
    current = session.settings()
    served = None if session.mode(current) is Mode.REPLAY else local_servers.list_served()
    rows = [_describe_offer(offer) for offer in list_offers(session, current, os.environ, served)]
    columns = ("name", "model", "provider", "context window", "$ per million in / out", "key")
    caption = (
        "-m NAME asks one of them in a cell; a key that is missing is set by "
        "`import getpass, os; os.environ[VARIABLE] = getpass.getpass()`, which leaves it out of the notebook"
    )
    return tables.bundle_table("Models", columns, rows, caption=caption)


def _describe_offer(offer: Offer) -> tuple[str, ...]:
    if offer.vendor is not None:
        return (f"{offer.name}{'DEPLOYMENT' if offer.vendor.name == 'azure' else 'MODEL'}", "", offer.vendor.title, "", "", offer.state)
    name = f"{offer.name} (default)" if offer.is_default else offer.name
    if offer.route is None:
        return (name, "", "", "", "", offer.state)
    window = pricing.window(offer.route.model)
    prices = pricing.prices(offer.route.model, offer.route.endpoint)
    return (
        name,
        offer.route.model,
        offer.route.endpoint.provider,
        "" if window is None else f"{window:,}",
        "" if prices is None else f"${prices[0]:g} / ${prices[1]:g}",
        offer.state,
    )


def usage_table() -> Bundle:
    """Tokens and cost by model: live against recorded, spent against saved."""
    totals, ledger = session.budget.totals, session.budget
    rows = [_usage_row(model, total) for model, total in totals.items()]
    whole = _sum(list(totals.values()))
    if len(rows) > 1:
        rows.append(_usage_row("all", whole))
    asked = ("live calls", "recorded", "failed", "tokens in / out")
    columns = ("model", *asked, "spent", "tokens saved", "money saved", "calls replayed", "share of money saved")
    spent = format_money(ledger.spent or None, "≈ " if whole.estimated else "", whole.unpriced) or "nothing"
    budget = f"; budget {format_money(ledger.limit)}" if ledger.limit is not None else ""
    return tables.bundle_table("Usage", columns, rows, caption=f"this session spent {spent}{budget}")


def _usage_row(model: str, total: Total) -> tuple[object, ...]:
    mark = "≈ " if total.usage.estimated else ""
    return (
        model,
        total.live,
        total.recorded,
        total.failed,
        f"{mark}{total.usage.prompt_tokens:,} / {total.usage.completion_tokens:,}",
        format_money(total.cost or None, "≈ " if total.estimated else "", total.unpriced),
        f"{total.saved_usage.total_tokens:,}",
        format_money(total.saved) if total.saved else "",
        Bar(total.recorded, total.live + total.recorded),
        Bar(total.saved, total.cost + total.saved),
    )


def _sum(totals: list[Total]) -> Total:
    result = Total()
    for total in totals:
        for name in ("live", "recorded", "failed", "usage", "saved_usage", "cost", "saved", "unpriced"):
            setattr(result, name, getattr(result, name) + getattr(total, name))
        result.estimated = result.estimated or total.estimated
    return result


def store_stats(done: str = "") -> Bundle:
    """What the store holds, and below it what was just done to it."""
    current = session.settings()
    store = session.store(current)
    stats = store.stats()
    rows = [
        ("store", store.path.name),
        ("mode", str(session.mode(current))),
        ("records", f"{stats.records:,}"),
        ("size", f"{stats.size:,} bytes"),
        ("models", ", ".join(f"{model} ({count})" for model, count in stats.models.items())),
        ("first", stats.first or ""),
        ("last", stats.last or ""),
        ("cost", format_money(stats.cost, unpriced=stats.unpriced)),
    ]
    return tables.bundle_table("Recorded answers", ("what", "value"), rows, caption=done)


def store_record(key: str) -> Bundle:
    """One recorded answer, found by the beginning of its key, with the prompt that was asked."""
    store = session.store(session.settings())
    found = [k for k in list(store.keys()) if begins_key(key, k)]
    if len(found) != 1:
        raise OptionError(
            f"{len(found)} recorded answers have a key that begins with '{key}'",
            option=key,
            hint="`%llm_cache list` shows the keys; a few of their first digits are enough.",
        )
    record = store.get(found[0])
    if record is None:
        raise OptionError(f"the record {found[0]} is damaged", option=key, hint="`tinyllm-magic cache check` says more.")
    asked = tuple(Message.of(m) for m in record.request.get("messages", ()))
    answer = record.answer
    card = Card(
        text=answer.text or "", source="recorded", model=answer.model or "", usage=answer.usage, cost=record.cost,
        duration=record.duration, finish_reason=answer.finish_reason, tool_calls=answer.tool_calls, prompt=asked,
        title=f"recorded {record.created}", notes=(f"key {record.key}", *answer.notes), value=_recorded_value(record),
        images=cards.pair_recorded(asked, record.thumbnails),
    )  # fmt: skip
    return cards.bundle_card(card)


def _recorded_value(record: Record) -> Any:
    """The value of an answer that had to fit a schema, as plain data: a record does not say its type."""
    if find_schema(record.request.get("response_format")) is None:
        return NOTHING
    try:
        return mask_data(unwrap(extract_json(record.answer.text or "")))
    except NoJSONError:
        return NOTHING


def store_list() -> Bundle:
    """The recorded answers, the newest first."""
    records = sorted(session.store(session.settings()).records(), key=lambda r: r.created, reverse=True)
    rows = [
        (
            shorten(r.key, 16),
            r.created[:19].replace("T", " "),
            str(r.request.get("model", "")),
            excerpt(last_prompt(r.request), 60),
            excerpt(r.answer.text or "", 60),
        )
        for r in records
    ]
    return tables.bundle_table("Recorded answers", ("key", "recorded (UTC)", "model", "asked", "answered"), rows)


def card_of_response(response: Response) -> Card:
    """The card of an answer that is shown again: it says where the answer is a turn that has become stale."""
    return Card.of(response, notes=(*response.notes, *describe_stale(response)))


def _describe_calls(entries: Iterable[HistoryEntry]) -> HistoryItem:
    """The calls of one map, or one call."""
    calls = []
    for entry in entries:
        when = datetime.fromtimestamp(entry.when).astimezone().strftime("%H:%M:%S")
        prompt = "\n\n".join(m.text for m in entry.request.messages if m.role != "system")
        calls.append((prompt, _card_of(entry)))
    return HistoryItem(when, *calls[0], tuple(calls[1:]))


def history(count: int, words: str = "") -> Bundle:
    """This session's last calls that hold these words, folded, the newest first; a map or a comparison is one of them."""
    items = (_describe_calls(calls) for _, calls in itertools.groupby(tuple(session.history), lambda e: id(e.pool or e)))
    entries = [item for item in items if all(w.casefold() in item.words for w in words.split())]
    none = f"No call of this session holds '{words}'." if words and session.history else "No calls yet."
    return bundle_history(entries[-count:], first=max(1, len(entries) - count + 1), none=none)


def _card_of(entry: HistoryEntry) -> Card:
    """The card of a call: its answer, that it was stopped, or why it failed."""
    if entry.response is not None:
        return card_of_response(entry.response)
    if entry.error is None or isinstance(entry.error, (KeyboardInterrupt, GeneratorExit)):  # the second where its cell was stopped
        return Card(state="stopped", model=entry.request.model)
    return Card.failed(entry.error, asked=entry.request.model)
