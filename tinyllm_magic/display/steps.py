"""The requests on the way to an answer, as a card shows them: answers that did not fit, and tools that were called."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..redaction import mask, mask_data
from ..responses import Step, ToolResult
from ..text_format import shorten_line
from .html_text import NO_MATH, escape

_LONGEST_LINE, _LONGEST_RESULT = 160, 20_000


@dataclass(frozen=True)
class ToolRun:
    """A tool's call: in words, its arguments as indented JSON, what the model was told, and how it went."""

    call: str
    arguments: str
    result: str
    outcome: str
    error: str = ""

    @classmethod
    def of(cls, result: ToolResult) -> ToolRun:
        """The run behind a result, without secrets."""
        arguments = json.dumps(mask_data(result.arguments), ensure_ascii=False, indent=2)
        ending = "refused" if result.refusal else "failed" if result.error else ""
        seconds = "" if result.refusal else f"{result.duration:.2f} s"
        outcome = " · ".join(filter(None, (ending, seconds)))
        return cls(mask(result.call.describe()), arguments, mask(result.text), outcome, mask(result.error or result.refusal))


@dataclass(frozen=True)
class CardStep:
    """One request before the last: its text, why it was asked again, or the tools that its answer called."""

    text: str
    fault: str = ""
    runs: tuple[ToolRun, ...] = ()


def describe_steps(steps: Iterable[Step]) -> tuple[CardStep, ...]:
    """The steps of a response, without secrets."""
    return tuple(CardStep(mask(s.response.text), mask(s.fault), tuple(map(ToolRun.of, s.results))) for s in steps)


def list_faults(steps: Iterable[CardStep]) -> list[str]:
    """A line for each answer that did not fit, and for each tool that failed or was refused."""
    lines = []
    for number, step in enumerate(steps, 1):
        lines += [f"note: answer {number} did not fit: {step.fault}"] if step.fault else []
        lines += [f"note: {shorten_line(run.call, _LONGEST_LINE)}: {shorten_line(run.error, 500)}" for run in step.runs if run.error]
    return lines


def write_steps(steps: Iterable[CardStep]) -> list[str]:
    """A line for each tool that was called, with the text that came before it."""
    lines = []
    for step in steps:
        lines += [step.text] if step.runs and step.text else []
        for run in step.runs:
            call, result = shorten_line(run.call, _LONGEST_LINE), shorten_line(run.result, _LONGEST_LINE)
            lines.append(f"-> {call} = {result}" + (f" ({run.outcome})" if run.outcome else ""))
    return lines


def draw_step(number: int, step: CardStep) -> str:
    """A step, folded: arguments and results of its tools, or the answer that did not fit."""
    said = f'<pre class="tlm-said">{escape(step.text)}</pre>' if step.text else ""
    if not step.runs:
        return f'<details class="{NO_MATH}"><summary>answer {number}</summary>{said}</details>'
    title = ", ".join(f"{shorten_line(run.call, _LONGEST_LINE)} · {run.outcome}" for run in step.runs)
    runs = "".join(map(_draw_run, step.runs))
    return f'<details class="{NO_MATH}"><summary>{escape(f"step {number}: {title}")}</summary>{said}{runs}</details>'


def _draw_run(run: ToolRun) -> str:
    kept = run.result[:_LONGEST_RESULT]
    rest = len(run.result) - len(kept)
    more = f'<p class="tlm-note">… {rest:,} more characters; `.steps` has them</p>' if rest else ""
    name = run.call.partition("(")[0]
    return (
        f'<p class="tlm-role">{escape(name)} · {escape(run.outcome)}</p><pre class="tlm-said">{escape(run.arguments)}</pre>'
        f'<p class="tlm-role">result</p><pre class="tlm-said">{escape(kept)}</pre>{more}'
    )


def draw_tools(tools: Iterable[Mapping[str, Any]]) -> str:
    """The tools that go along with a request, folded as they are sent."""
    parts = []
    for tool in tools:
        name, about = _describe_tool(tool)
        text = json.dumps(tool, ensure_ascii=False, indent=2)
        summary = escape(f"tool {name}: {about}" if about else f"tool {name}")
        parts.append(f'<details><summary>{summary}</summary><pre class="tlm-said">{escape(text)}</pre></details>')
    return "".join(parts)


def write_tools(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    """The same in plain text, a line for each."""
    return [f"[tool {name}] {about}".rstrip() for name, about in map(_describe_tool, tools)]


def _describe_tool(tool: Mapping[str, Any]) -> tuple[str, str]:
    """A tool's name, and what it does in a line."""
    function = tool.get("function") or tool
    return str(function.get("name")), shorten_line(str(function.get("description") or ""), _LONGEST_LINE)
