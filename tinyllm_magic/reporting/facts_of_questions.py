"""What was asked of whom, and how: each fact as one or two sentences made of what notebook and store hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..evidence.findings import Findings
from ..evidence.pinning import list_undated
from ..evidence.summary import is_free
from ..evidence.wording import (
    capitalize,
    count,
    describe_parameters,
    join,
    name_cells,
    name_model,
    period,
    some,
)
from ..models.gen_ai import title_provider
from ..responses import Record

_QUANTIZED = re.compile(r"\b(?:I?Q\d(?:_[A-Z0-9]+)*|[FB]F?16|int[48]|gptq|awq)\b", re.IGNORECASE)
_MOST = 6  # of a kind that a sentence names


# ---- what was asked of whom


def declaration(f: Findings) -> str:
    """Which models were used, for how many answers, where."""
    if not f.records:
        return "No answer of a model is recorded for this notebook."
    names = some(f"{name_model(m)} ({m.vendor})" for m in f.models)
    return (
        f"{count(f.totals.answers, 'answer')} of {names}, in {name_cells(use.cell.number for use in f.evidence.answers)} of the notebook."
    )


def tasks(f: Findings) -> str:
    """What the prompts say; what they are for, people say."""
    return f"The notebook is called “{f.title}”; its prompts are given in full in this report."


def models(f: Findings) -> str:
    """The models as asked and answered, with vendor and fingerprint."""
    if not f.models:
        return "No answer of a model is recorded."
    said = (f"{name_model(m)}, {m.vendor}, {m.fingerprint or 'no fingerprint'} ({count(m.totals.answers, 'answer')})" for m in f.models)
    undated = list_undated(f.records)
    rest = f" Without a date in its name: {some(undated)}." if undated else ""
    return f"{'; '.join(said)}.{rest}"


def dates(f: Findings) -> str:
    """When the answers were given."""
    return f"Answered {period(f.totals)} (UTC); the store dates each answer to the millisecond." if f.records else "No answer is recorded."


def parameters(f: Findings) -> str:
    """The parameters as they were sent."""
    sets = [f"{describe_parameters(p.params)} ({p.asked}, {count(p.answers, 'answer')})" for p in f.parameters]
    rest = [f"{len(sets) - _MOST} more sets in this report"] if len(sets) > _MOST else []
    return f"Sent: {' · '.join([*sets[:_MOST], *rest])}." if sets else "Nothing was sent."


def defaults(f: Findings) -> str:
    """What was not sent, so that the provider chose it."""
    known = ("temperature", "top_p", "seed", "max_tokens")
    names = Counter[str]()
    for record in f.records:
        sent = {"max_tokens" if n.startswith("max_") else n for n in record.request.get("params") or {}}
        names.update(name for name in known if name not in sent)
    if not names:
        return "None of temperature, top_p, seed and the limit of tokens was left to the provider."
    told = join([f"{name} in {count(n, 'answer')}" for name, n in names.items()])
    return f"Left to the provider: {told}."


def fingerprints(f: Findings) -> str:
    """The fingerprints that providers sent."""
    found = Counter(r.answer.fingerprint for r in f.records if r.answer.fingerprint)
    bare = len(f.records) - sum(found.values())
    parts = [f"{name} ({count(n, 'answer')})" for name, n in found.most_common(_MOST)]
    parts += [f"none for {count(bare, 'answer')}"] if bare and parts else []
    return f"{'; '.join(parts) or 'None was sent'}."


def unpinned(f: Findings) -> str:
    """What is not fixed."""
    return f"Not pinned: {'; '.join(u.what for u in f.unpinned)}." if f.unpinned else "Everything is pinned."


def finetuned(f: Findings) -> str:
    """Models that are named as fine-tuned; empty where none is."""
    tuned = [m.asked for m in f.models if m.asked.startswith("ft:") or ":ft-" in m.asked]
    return (
        f"Fine-tuned by its name: {some(tuned)}."
        if tuned
        else "No model is fine-tuned by its name; the notebook sends prompts, and changes no weights."
    )


def quantization(f: Findings) -> str:
    """The quantization that the names of models on this machine say."""
    local = [m.asked for m in f.models if m.provider == "local"]
    named = [f"{name}: {match[0]}" for name in dict.fromkeys(local) if (match := _QUANTIZED.search(name))]
    remote = [m.asked for m in f.models if m.provider not in ("local", "echo")]
    parts = [f"By the name of the file, {some(named)}"] if named else []
    parts += [f"not told by the providers of {some(remote)}"] if remote else []
    return f"{'; '.join(parts)}." if parts else "No model's name tells one."


def open_models(f: Findings) -> str:
    """Which models ran here and which at a vendor."""
    here = list(dict.fromkeys(m.asked for m in f.models if m.provider == "local"))
    there = list(dict.fromkeys(f"{m.asked} ({m.vendor})" for m in f.models if m.provider not in ("local", "echo")))
    told = f"On this machine, from a file of open weights: {some(here) if here else 'none'}"
    return f"{told}; at a provider: {some(there) if there else 'none'}."


def access(f: Findings) -> str:
    """How models were reached."""
    ways = Counter(title_provider(str(r.request.get("provider", ""))) for r in f.records)
    kinds = Counter(
        "the Responses API" if r.request.get("kind") == "responses" else "chat completions" for r in f.records if not is_free(r)
    )
    how = f" through {join(list(kinds))}" if kinds else ""
    told = "; ".join(f"{way} ({count(n, 'answer')})" for way, n in ways.most_common(_MOST))
    return (
        f"{told}{how}; asked by tinyllm-magic {join(list(f.recorded_with)) or 'of an unknown version'}, no web page."
        if f.records
        else "None."
    )


# ---- how it was asked


def architecture(f: Findings) -> str:
    """What stands between the notebook and the model."""
    around = [word for word, there in (("tools", _tools(f)), ("checked formats", any(p.form for p in f.parameters))) if there]
    kept = f"with {join(around)}" if around else "with no tools and no demanded format"
    return f"Templates in the notebook become messages, which go to the model as they are, {kept}; answers return unchanged."


def shots(f: Findings) -> str:
    """How many examples stood in the prompts, conversations apart."""
    talks = {c.number for c in f.evidence.cells if "--chat" in c.options}
    counts: Counter[int] = Counter()
    turns = 0
    for use in f.evidence.answers:
        if use.cell.number in talks:
            turns += 1
        else:
            counts[_examples(use.record)] += 1
    words = [
        f"{'zero-shot' if n == 0 else 'one-shot' if n == 1 else f'few-shot ({n} examples)'}: {count(c, 'answer')}"
        for n, c in sorted(counts.items())
    ]
    words += [f"in conversations: {count(turns, 'answer')}"] if turns else []
    return f"{capitalize('; '.join(words))}. An example is an assistant's message in the prompt." if words else "Nothing was asked."


def _examples(record: Record) -> int:
    messages = record.request.get("messages", ())
    return sum(m.get("role") == "assistant" and not m.get("tool_calls") for m in messages)


def few_shot(f: Findings) -> str:
    """Whether there are examples; empty where there are none."""
    return "The examples stand in the prompts, in this report." if any(_examples(r) for r in f.records) else ""


def reuse(f: Findings) -> str:
    """Which cells' prompts went to which models."""
    pairs: dict[int, list[str]] = {}
    for use in f.evidence.answers:
        name = str(use.record.request.get("model", ""))
        if name not in pairs.setdefault(use.cell.number, []):
            pairs[use.cell.number].append(name)
    same = Counter(tuple(sorted(names)) for names in pairs.values())
    told = "; ".join(f"{some(names)} got the prompts of {count(n, 'cell')}" for names, n in same.most_common(_MOST))
    return f"{told}. The table of cells has the models and parameters of each." if told else "Nothing was asked."


def prompts(f: Findings) -> str:
    """How many prompts there are, and where."""
    questions, cells = sum(f.samples.counts.values()), len(f.asking_cells)
    return f"{count(questions, 'question')} of {count(cells, 'cell')}: templates and instances in this report, all messages in the store."


def templates(f: Findings) -> str:
    """Where prompts and their data come from."""
    dynamic = [c.number for c in f.asking_cells if "{{" in c.source or "{%" in c.source]
    return (
        f"The templates of {name_cells(dynamic)} are filled from variables that the cells before them make."
        if dynamic
        else "The prompts are fixed texts, without variables."
    )


def variants(f: Findings) -> str:
    """How many prompts were put side by side."""
    cells = [c.number for c in f.asking_cells if c.kind == "prompt cell"]
    gone = f.unasked.answers
    rest = f" {count(gone, 'recorded answer')} of earlier versions nothing asks any more." if gone else ""
    return f"{count(len(cells), 'prompt cell')} in the notebook as it is.{rest}"


def tools(f: Findings) -> str:
    """The tools that were offered, and what was called."""
    names = _tools(f)
    if not names:
        return "No tool was offered."
    called = Counter(str(use.record.request.get("model", "")) for use in f.tool_results)
    results = f"; results are recorded: {some(f'{n} × {name}' for name, n in called.most_common())}" if called else ""
    return f"Tools: {some(names)}{results}."


def _tools(f: Findings) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for p in f.parameters for name in p.tools))


def files(f: Findings) -> str:
    """What else than text was sent."""
    kinds = _input_kinds(f)
    others = [kind for kind in kinds if kind != "text"]
    return f"Sent with the prompts: {join(others)}, known by their digests." if others else "Nothing but text was sent."


def inputs(f: Findings) -> str:
    """The types of what was sent."""
    kinds = _input_kinds(f)
    told = join([f"{kind} in {count(n, 'answer')}" for kind, n in kinds.items()])
    return f"{capitalize(told)}." if told else "Nothing was sent."


def _input_kinds(f: Findings) -> Counter[str]:
    found: Counter[str] = Counter()
    for record in f.records:
        parts: list[Any] = [m.get("content") for m in record.request.get("messages", ())]
        kinds = {"text"} if any(isinstance(p, str) and p for p in parts) or record.request.get("kind") == "embedding" else set()
        for content in parts:
            if isinstance(content, list):
                kinds |= {_name_kind(part) for part in content if isinstance(part, dict)}
        found.update(sorted(kinds, key=lambda kind: kind != "text"))
    return found


def _name_kind(part: dict[str, Any]) -> str:
    if isinstance(part.get("text"), str):
        return "text"
    return {"image_url": "images", "input_image": "images", "input_audio": "audio"}.get(str(part.get("type")), "documents")


def sessions(f: Findings) -> str:
    """Whether questions stand alone."""
    talks = [c.number for c in f.evidence.cells if "--chat" in c.options]
    alone = "Every question is a request of its own that carries nothing over"
    return f"{alone}, but in {name_cells(talks)}, whose conversations are sent as far as the prompts show." if talks else f"{alone}."


def outputs(f: Findings) -> str:
    """The form of the answers."""
    forms = Counter(p.form for p in f.parameters for _ in range(p.answers))
    demanded = [f"{form}: {count(n, 'answer')}" for form, n in forms.most_common() if form]
    free = forms.get("", 0)
    parts = [*demanded, *([f"free text: {count(free, 'answer')}"] if free else [])]
    endings = Counter(str(r.answer.finish_reason) for r in f.records if r.answer.finish_reason not in (None, "stop", "tool_calls"))
    rest = f" Ended otherwise than by the model: {join([f'{name} × {n}' for name, n in endings.most_common()])}." if endings else ""
    return f"Form: {'; '.join(parts)}; each answer is in the store as it came.{rest}" if parts else "Nothing was answered."


FACTS: Mapping[str, Callable[[Findings], str]] = {
    function.__name__: function
    for function in (
        declaration,
        tasks,
        models,
        dates,
        parameters,
        defaults,
        fingerprints,
        unpinned,
        finetuned,
        quantization,
        open_models,
        access,
        architecture,
        shots,
        few_shot,
        reuse,
        prompts,
        templates,
        variants,
        tools,
        files,
        inputs,
        sessions,
        outputs,
    )
}
"""By the names that `checklists.toml` calls them."""
