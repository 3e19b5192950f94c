"""Writes tables of answers as logs of Inspect (``.eval``), through Inspect's own writer: its viewer and its data frames read them.

One log holds what was asked of one model with one set of parameters. A row is a sample, a draw of its answer an epoch; where the
right answers are known, each answer is marked C or I, and their share is the accuracy, as Inspect has it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .errors import OptionError, TinyLLMError
from .evaluation.examples import SAMPLE, AnswerTable, Example, number_rows, read_examples, read_own_row
from .evaluation.labels import write_label
from .extras import load_library
from .models.gen_ai import find_vendor_name
from .redaction import mask, mask_data
from .responses import TRAINED_MEDIA, Response, Usage

_STOPS = {"stop": "stop", "length": "max_tokens", "tool_calls": "tool_calls", "content_filter": "content_filter"}
_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "reasoning_effort": "reasoning_effort",
}
_SCORER = "accuracy"


class AnsweredTable(AnswerTable, Protocol):
    """What a log needs of a table: its rows with their answers, and a table for each combination of model and parameters."""

    @property
    def responses(self) -> list[Response | None]:
        """The responses in the order of the rows, ``None`` where a row failed."""

    @property
    def parts(self) -> Mapping[str, Any]:
        """A table for each combination, by what tells it from the others."""


def write_logs(table: AnsweredTable, path: Path, version: str) -> list[Path]:
    """Write a table as a log, or as one for each combination of model and parameters, whose names the files then have.

    ``version`` is this package's.
    Raises ``OptionError`` where the name does not end in ``.eval`` or there is no answer, ``MissingExtraError`` without the extra
    ``inspect``, ``TinyLLMError`` where a file cannot be written.
    """
    if path.suffix != ".eval":
        raise OptionError(f"{path.name} does not end in .eval", option="path", hint="Inspect knows its logs by that name.")
    library = load_library("inspect_ai.log", "inspect")
    written = []
    for name, part in table.parts.items():
        target = path.with_name(f"{path.stem}-{re.sub(r'[^A-Za-z0-9_.]+', '-', name).strip('-')}.eval") if name else path
        log = _LogWriter(part, path.stem, version).build()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            library.write_eval_log(log, str(target))
        except OSError as error:
            raise TinyLLMError(f"{target} cannot be written: {error.strerror}") from error
        written.append(target)
    return written


class _LogWriter:
    """One log in Inspect's own classes."""

    def __init__(self, table: AnsweredTable, task: str, version: str) -> None:
        self._table, self._task, self._version = table, task, version
        self._log = load_library("inspect_ai.log", "inspect")
        self._model = load_library("inspect_ai.model", "inspect")
        self._responses = table.responses
        self._first = next((r for r in self._responses if r is not None), None)
        if self._first is None:
            raise OptionError("there is no answer to write", option="path", hint="table.failed has the rows that can be asked again.")

    def build(self) -> Any:
        """The log."""
        first = self._demand_first()
        samples = self._samples()
        dates = sorted(r.created for r in self._responses if r is not None and r.created)
        marks = {} if first.request.provider == "echo" else {"digitalSourceType": TRAINED_MEDIA}
        ids = list(dict.fromkeys(sample.id for sample in samples))
        spec = self._log.EvalSpec(
            created=dates[-1] if dates else "1970-01-01T00:00:00+00:00",
            task=self._task,
            task_id=self._task,
            run_id=self._identify(),
            eval_id=self._identify(),
            dataset=self._log.EvalDataset(name=self._task, samples=len(ids), sample_ids=ids, shuffled=False),
            model=f"{find_vendor_name(first.request.provider)}/{first.request.model}",
            model_generate_config=self._settings(),
            config=self._log.EvalConfig(epochs=max((sample.epoch for sample in samples), default=1)),
            packages={"tinyllm-magic": self._version},
            metadata={**marks, "answered_as": sorted({r.model for r in self._responses if r is not None})},
        )
        stats = self._log.EvalStats(
            started_at=dates[0] if dates else "", completed_at=dates[-1] if dates else "", model_usage={spec.model: self._sum_usage()}
        )
        return self._log.EvalLog(
            status="success" if all(e.answered or e.error is not None for e in self._table.entries) else "cancelled",
            eval=spec,
            plan=self._log.EvalPlan(name="tinyllm_magic", config=self._settings()),
            results=self._results(samples),
            stats=stats,
            samples=samples,
        )

    def _identify(self) -> str:
        """What tells this log from others: a digest of its answers' keys, so that the same table gives the same."""
        keys = "\n".join(r.key for r in self._responses if r is not None)
        return hashlib.sha256(f"{self._task}\n{keys}".encode()).hexdigest()[:22]

    def _demand_first(self) -> Response:
        if self._first is None:
            raise RuntimeError("a table without an answer was let through")
        return self._first

    def _settings(self) -> Any:
        """The parameters that all answers share, under Inspect's names."""
        asked = [dict(r.request.params) for r in self._responses if r is not None]
        shared = {name: value for name, value in asked[0].items() if all(a.get(name) == value for a in asked) and value is not None}
        known = {_SETTINGS[name]: value for name, value in shared.items() if name in _SETTINGS}
        stop = shared.get("stop")
        known |= {"stop_seqs": [stop] if isinstance(stop, str) else list(stop)} if stop else {}
        return self._model.GenerateConfig(**known)

    def _sum_usage(self) -> Any:
        usages = [r.usage for r in self._responses if r is not None and r.usage is not None]
        return self._usage(sum(usages, Usage()))

    def _usage(self, usage: Usage, cost: float | None = None) -> Any:
        return self._model.ModelUsage(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.total_tokens,
            input_tokens_cache_read=usage.cached_tokens or None,
            reasoning_tokens=usage.reasoning_tokens or None,
            total_cost=cost,
        )

    def _samples(self) -> list[Any]:
        examples: Sequence[Example] = read_examples(self._table, None, None, may_lack=True)
        numbered = zip(number_rows(self._table), self._responses, examples, strict=True)
        return [self._sample(place, entry, response, example) for (place, entry), response, example in numbered]

    def _sample(self, place: int, entry: Any, response: Response | None, example: Example) -> Any:
        row = {name: _to_json(value) for name, value in read_own_row(self._table, entry).items()}
        target = write_label(example.expected, None) if self._table.expect is not None else None
        known: dict[str, Any] = {"id": place + 1, "epoch": int(entry.row.get(SAMPLE, 0)) + 1, "target": target or ""}
        if response is None:
            message = mask(str(getattr(entry.error, "message", entry.error) or "this row was not asked"))
            failure = self._log.EvalError(message=message, traceback="", traceback_ansi="")
            question = mask(json.dumps(row, ensure_ascii=False))
            marks = self._scores(example, target)
            return self._log.EvalSample(**known, input=question, error=failure, metadata=mask_data(row), scores=marks)
        asked = [self._message(m.to_dict()) for m in response.request.messages]
        answer = self._answer(response)
        own = {"key": response.key, "source": response.source, "answered_as": response.model}
        return self._log.EvalSample(
            **known,
            input=asked,
            messages=[*asked, answer.choices[0].message],
            output=answer,
            metadata=mask_data({**row, "tinyllm_magic": own}),
            model_usage={answer.model: answer.usage} if answer.usage is not None else {},
            completed_at=response.created or None,
            total_time=response.duration,
            working_time=response.duration,
            scores=self._scores(example, target),
        )

    def _answer(self, response: Response) -> Any:
        calls = [call.to_dict() for call in response.tool_calls]
        message = self._message({"role": "assistant", "content": mask(response.text), "tool_calls": calls})
        if response.reasoning:
            thought = self._model.ContentReasoning(reasoning=mask(response.reasoning))
            message.content = [thought, self._model.ContentText(text=mask(response.text))]
        choice = self._model.ChatCompletionChoice(message=message, stop_reason=_STOPS.get(str(response.finish_reason), "unknown"))
        usage = None if response.usage is None else self._usage(response.usage, response.cost)
        return self._model.ModelOutput(model=response.model, choices=[choice], usage=usage, time=response.duration)

    def _message(self, message: Mapping[str, Any]) -> Any:
        role = "system" if message["role"] == "developer" else message["role"]
        content = message.get("content") or ""
        parts = mask(content) if isinstance(content, str) else [self._part(part) for part in content]
        if role == "tool":
            return self._model.ChatMessageTool(content=parts, tool_call_id=message.get("tool_call_id"))
        if role == "assistant":
            calls = [self._call(call) for call in message.get("tool_calls") or ()]
            return self._model.ChatMessageAssistant(content=parts, tool_calls=calls or None)
        return (self._model.ChatMessageSystem if role == "system" else self._model.ChatMessageUser)(content=parts)

    def _part(self, part: Mapping[str, Any]) -> Any:
        """Text as it is, an image that is at hand; what the record knows by its digest alone in words."""
        if isinstance(part.get("text"), str):
            return self._model.ContentText(text=mask(part["text"]))
        held = part.get("image_url")
        url = held.get("url") if isinstance(held, Mapping) else held
        if isinstance(url, str):
            return self._model.ContentImage(image=str(url))
        return self._model.ContentText(text=json.dumps(part, ensure_ascii=False, default=str))

    def _call(self, call: Mapping[str, Any]) -> Any:
        function = call.get("function") or {}
        try:
            given = json.loads(function.get("arguments") or "{}")
        except ValueError:
            given = None
        arguments = given if isinstance(given, dict) else {"arguments": function.get("arguments")}
        kind = load_library("inspect_ai.tool", "inspect").ToolCall
        return kind(id=str(call.get("id") or ""), function=str(function.get("name")), arguments=arguments)

    def _scores(self, example: Example, target: str | None) -> dict[str, Any] | None:
        """Whether an answer is right, where that is known."""
        if target is None:
            return None
        is_right = example.answer is not None and write_label(example.answer) == write_label(example.expected)
        said = None if example.answer is None else write_label(example.answer, None)
        return {_SCORER: load_library("inspect_ai.scorer", "inspect").Score(value="C" if is_right else "I", answer=said)}

    def _results(self, samples: Sequence[Any]) -> Any:
        finished = [sample for sample in samples if sample.error is None]
        scored = [sample for sample in samples if sample.scores]
        scores = [self._summary(scored)] if scored else []
        return self._log.EvalResults(total_samples=len(samples), completed_samples=len(finished), scores=scores)

    def _summary(self, scored: Sequence[Any]) -> Any:
        """The accuracy: of several draws of a row their mean counts, as everywhere here."""
        by_row: dict[Any, list[float]] = {}
        for sample in scored:
            by_row.setdefault(sample.id, []).append(float(sample.scores[_SCORER].value == "C"))
        value = _mean(map(_mean, by_row.values()))
        metric = self._log.EvalMetric(name=_SCORER, value=value)
        return self._log.EvalScore(name=_SCORER, scorer=_SCORER, scored_samples=len(scored), metrics={_SCORER: metric})


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _to_json(value: Any) -> Any:
    """A value of a row as JSON can hold it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return str(value)
    return value
