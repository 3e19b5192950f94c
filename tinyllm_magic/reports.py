"""The session's state in, tables out: what ``%llm_config``, ``%llm_models`` and their kin show.

Knows which facts belong into which table.
Does not know how a line is parsed or a table drawn.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

from . import display, models
from .checks import is_secret, without_login
from .display import Bundle, Card
from .errors import OptionError
from .ledger import Total
from .markup import Bar
from .messages import Message
from .sessions import session
from .settings import SETTINGS, Settings


def money(amount: float | None) -> str:
    """US dollars for a reader; empty where unknown."""
    return "" if amount is None else f"${amount:.4f}"


def settings_table() -> Bundle:
    """Every setting with its value and where it came from, and what will answer."""
    current = session.settings()
    rows = [(s.name, *_setting(current, s.name)) for s in SETTINGS.values()]
    for (name, key), origin in current.model_origins.items():
        value = "(hidden)" if is_secret(key) else str(without_login(current.models[name].get(key)))
        rows.append((f"models.{name}.{key}", value, origin))
    route = session.route(None, current)
    rows.append(("answers now", f"{route.model} ({route.endpoint.provider})", route.why))
    rows.append(("recording", str(session.mode(current)), str(session.store(current).path.name)))
    return display.table_bundle(
        "Settings", ("setting", "value", "from"), rows, caption="%llm_config KEY=VALUE changes a setting for this session"
    )


def _setting(current: Settings, name: str) -> tuple[str, str]:
    """A setting's value without a login in it, and its origin; both say so where it is not set."""
    value = current.values.get(name)
    if value is None:
        return ("", "not set" if current.origin(name) == "packaged" else _origin(current, name))
    return (str(without_login(value)), _origin(current, name))


def _origin(current: Settings, name: str) -> str:
    """Where a value came from; a file by its kind, as its folder would be another on every machine."""
    origin = current.origin(name)
    return next((kind for kind in ("user file", "config.ini") if origin.startswith(f"{kind} ")), origin)


def models_table() -> Bundle:
    """Named models, the default and the embedded one: provider, window, prices, whether the key is there."""
    current = session.settings()
    default = session.route(None, current)
    names = list(dict.fromkeys([*current.models, default.name or default.model, models.EMBEDDED]))
    rows = []
    for name in names:
        route = session.route(name, current)
        window = models.window(route.model)
        prices = models.prices(route.model, vendor=route.endpoint.api_type)
        rows.append(
            (
                f"{name} (default)" if name == (default.name or default.model) else name,
                route.model,
                route.endpoint.provider,
                "" if window is None else f"{window:,}",
                "" if prices is None else f"${prices[0]:g} / ${prices[1]:g}",
                models.key_state(route.endpoint, os.environ),
            )
        )
    columns = ("name", "model", "provider", "context window", "$ per million in / out", "key")
    return display.table_bundle("Models", columns, rows, caption="-m NAME asks one of them in a cell")


def usage_table() -> Bundle:
    """Tokens and cost by model: live against recorded, spent against saved."""
    totals, ledger = session.ledger.totals, session.ledger
    rows = [_usage_row(model, total) for model, total in totals.items()]
    whole = _sum(list(totals.values()))
    if len(rows) > 1:
        rows.append(_usage_row("all", whole))
    asked = ("live calls", "recorded", "failed", "tokens in / out")
    columns = ("model", *asked, "spent", "tokens saved", "money saved", "calls replayed", "share of money saved")
    unknown = f" + {whole.unpriced} of unknown price" if whole.unpriced else ""
    spent = f"{'≈ ' if whole.estimated else ''}{money(ledger.spent) if ledger.spent else 'nothing'}{unknown}"
    budget = f"; budget {money(ledger.budget)}" if ledger.budget is not None else ""
    return display.table_bundle("Usage", columns, rows, caption=f"this session spent {spent}{budget}")


def _usage_row(model: str, total: Total) -> tuple[object, ...]:
    mark = "≈ " if total.usage.estimated else ""
    unknown = f" + {total.unpriced} of unknown price" if total.unpriced else ""
    return (
        model,
        total.live,
        total.recorded,
        total.failed,
        f"{mark}{total.usage.prompt_tokens:,} / {total.usage.completion_tokens:,}",
        (f"{'≈ ' if total.estimated else ''}{money(total.cost)}" if total.cost else "") + unknown,
        f"{total.saved_usage.total_tokens:,}",
        money(total.saved) if total.saved else "",
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
    unpriced = f" + {stats.unpriced} of unknown price" if stats.unpriced else ""
    rows = [
        ("store", store.path.name),
        ("mode", str(session.mode(current))),
        ("records", f"{stats.records:,}"),
        ("size", f"{stats.size:,} bytes"),
        ("models", ", ".join(f"{model} ({count})" for model, count in stats.models.items())),
        ("first", stats.first or ""),
        ("last", stats.last or ""),
        ("cost", f"{display.money(stats.cost)}{unpriced}".removeprefix(" + ")),
    ]
    return display.table_bundle("Recorded answers", ("what", "value"), rows, caption=done)


def store_record(key: str) -> Bundle:
    """One recorded answer, found by the beginning of its key, with the prompt that was asked."""
    store = session.store(session.settings())
    wanted = key.removeprefix("k1:")
    found = [k for k in list(store.keys()) if wanted and k.removeprefix("k1:").startswith(wanted)]
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
        title=f"recorded {record.created}", notes=(f"key {record.key}", *answer.notes),
    )  # fmt: skip
    return display.bundle(card)


def store_list() -> Bundle:
    """The recorded answers, the newest first."""
    records = sorted(session.store(session.settings()).records(), key=lambda r: r.created, reverse=True)
    rows = [
        (r.key[:15], r.created[:19].replace("T", " "), str(r.request.get("model", "")), _first_words(r.request), (r.answer.text or "")[:60])
        for r in records
    ]
    return display.table_bundle("Recorded answers", ("key", "recorded (UTC)", "model", "asked", "answered"), rows)


def _first_words(request: Any) -> str:
    messages = request.get("messages") or [{}]
    content = messages[-1].get("content")
    return (content if isinstance(content, str) else str(content))[:60]


def history(count: int, words: str = "") -> Bundle:
    """This session's last calls that hold these words, folded, the newest first."""
    entries = []
    for entry in session.history:
        request = entry.plan.request
        prompt = "\n\n".join(m.text for m in request.messages if m.role != "system")
        card = Card.of(entry.response) if entry.response else Card.failed(entry.error or RuntimeError("stopped"), asked=request.model)
        said = f"{prompt}\n{card.text}\n{card.model}\n{request.model}".casefold()
        if all(w.casefold() in said for w in words.split()):
            when = datetime.fromtimestamp(entry.when).astimezone().strftime("%H:%M:%S")
            entries.append(display.Entry(when, prompt, card))
    none = f"No call of this session holds '{words}'." if words and session.history else "No calls yet."
    return display.history_bundle(entries[-count:], first=max(1, len(entries) - count + 1), none=none)
