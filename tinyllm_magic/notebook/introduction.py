"""What the first card of a session tells of it, folded: who answers, where answers are recorded, and how to change either."""

from __future__ import annotations

from ..clients.prepared import PreparedCall
from ..recording.modes import Mode
from ..redaction import hide_private

_RECORDED = {
    Mode.AUTO: "a prompt that was asked before is answered from there, without a call; `--fresh` asks anew",
    Mode.REPLAY: "only recorded answers are shown, nobody is asked",
    Mode.REFRESH: "every prompt is asked anew and recorded again",
}


def describe_session(prepared: PreparedCall) -> tuple[str, ...]:
    """A headline, and sentences that explain it; no path of this machine stands in them."""
    route, mode, store = prepared.plan.route, prepared.mode, prepared.plan.store
    who = f"{route.model} ({hide_private(route.endpoint.provider)}) answers{f': {route.why}' if route.why else ''}."
    change = "`-m NAME` asks another model in one cell, `%llm_config model=NAME` in all; `%llm_models` lists them."
    if mode is Mode.OFF or store is None:
        return (f"{route.model} answers, nothing is recorded", who, change, "Answers are not recorded (mode off): `%llm_config mode=auto`.")
    kept = f"Answers are recorded in `{store.name}` (mode {mode}): {_RECORDED[mode]}."
    return (f"{route.model} answers, recorded in {store.name}", f"{who} {change}", kept)
