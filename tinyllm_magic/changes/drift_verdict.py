"""Whether a model still answers a question as recorded, from the answers alone: ``same``, ``changed`` or ``could not tell``.

The model that says it answers counts first, then the text, and of several samples a test of both distributions. Where these cannot
decide, the vendor's fingerprint does; where there is none, nothing does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..errors import MissingExtraError
from ..evaluation.distributions import compare_distributions, correct_probabilities, smallest_p
from ..evaluation.intervals import LEVEL
from ..evaluation.wording import write_probability
from ..redaction import excerpt
from ..responses import Answer
from .drift_sample import TIMES, Question

SAME, CHANGED, UNKNOWN = "same", "changed", "could not tell"
ENOUGH = 5
"""How many samples of each kind a test must have seen before it may say that nothing has changed."""
_LONGEST = 110  # characters of an answer in a line
_NEAR, _FAR = 0.9999, 0.999  # cosines: vendors compute embeddings on different machines, which changes their last digits


@dataclass(frozen=True)
class DriftVerdict:
    """What became of one question: the verdict, why in a few words, and lines of evidence.

    ``cost`` is what asking it again has cost in US dollars, ``calls`` how many answers came. ``p`` is that of the test over samples,
    where the verdict hangs on one.
    """

    question: Question
    verdict: str
    why: str
    lines: tuple[str, ...] = ()
    calls: int = 0
    p: float | None = None


def judge(question: Question, now: Sequence[Answer]) -> DriftVerdict:
    """The verdict on a question that was asked again: what it says of a test is said as if it were the only one."""
    before = [record.answer for record in question.records]
    models = _name_change([a.model for a in before], [a.model for a in now])
    if models:
        return _decide(question, now, CHANGED, f"another model answered: {models}")
    if question.request.get("kind") == "embedding":
        return _judge_embeddings(question, now)
    said, says = [read_answer(a, question) for a in before], [read_answer(a, question) for a in now]
    if sorted(said) == sorted(says) or len({*said, *says}) == 1:
        prints = _name_change([a.fingerprint for a in before], [a.fingerprint for a in now])
        also = f", though the fingerprint is another: {prints}" if prints else ""
        return _decide(question, now, SAME, f"the same text{_count_times(len(says))}{also}")
    return _judge_samples(question, now, said, says) if len(said) > 1 and len(says) > 1 else _judge_one(question, now, says)


def _judge_samples(question: Question, now: Sequence[Answer], said: Sequence[str], says: Sequence[str]) -> DriftVerdict:
    """Several samples: a test of both distributions."""
    if smallest_p(len(said), len(says)) > 1 - LEVEL:
        return _judge_by_fingerprint(question, now, f"{len(said)} recorded and {len(says)} new answers are too few for a test")
    try:
        p = compare_distributions(said, says)
    except MissingExtraError as error:
        return _judge_by_fingerprint(question, now, f"a test over samples needs more: {error.message}. {error.hint}")
    return settle(_decide(question, now, UNKNOWN, f"{len(said)} recorded and {len(says)} new answers", p=p), p)


def settle(verdict: DriftVerdict, p: float) -> DriftVerdict:
    """The verdict of a test, its p value corrected for all tests that were made."""
    question, new = verdict.question, verdict.calls
    facts = f"{write_probability(p)}, {len(question.records)} recorded and {new} new answers"
    if p < 1 - LEVEL:
        return replace(verdict, verdict=CHANGED, why=f"the answers are distributed otherwise: {facts}")
    if min(len(question.records), new) >= ENOUGH:
        return replace(verdict, verdict=SAME, why=f"no difference shown: {facts}")
    return replace(verdict, verdict=UNKNOWN, why=f"no difference shown, but {ENOUGH} of each would be needed to say so: {facts}")


def correct_tests(verdicts: Sequence[DriftVerdict]) -> list[DriftVerdict]:
    """The verdicts, those of tests corrected for their number."""
    tested = [v for v in verdicts if v.p is not None]
    corrected = iter(correct_probabilities([v.p for v in tested if v.p is not None]))
    return [v if v.p is None else settle(v, next(corrected)) for v in verdicts]


def _judge_one(question: Question, now: Sequence[Answer], says: Sequence[str]) -> DriftVerdict:
    """One recorded answer, and another text now: that tells something only of a question that has one answer."""
    if question.is_held_still and len(set(says)) > 1:
        return _judge_by_fingerprint(question, now, "other texts, but the model does not repeat itself with these parameters either")
    if question.is_held_still and len(says) >= TIMES:
        return _decide(question, now, CHANGED, f"another text{_count_times(len(says))}")
    if question.is_held_still:
        return _judge_by_fingerprint(question, now, f"another text, but not {TIMES} times: it may be chance")
    temperature = question.params.get("temperature")
    how = "at the model's own temperature" if temperature is None else f"at temperature {temperature}"
    return _judge_by_fingerprint(question, now, f"one recorded answer {how} cannot tell: `-n {ENOUGH}` records more")


def needs_more(question: Question, now: Sequence[Answer]) -> bool:
    """Whether one more answer would tell whether another text is the model's one answer now, or a matter of chance."""
    return len(now) < question.most_draws and len({read_answer(a, question) for a in now}) == 1 and judge(question, now).verdict == UNKNOWN


def _judge_by_fingerprint(question: Question, now: Sequence[Answer], why: str) -> DriftVerdict:
    prints = _name_change([r.answer.fingerprint for r in question.records], [a.fingerprint for a in now])
    if prints:
        return _decide(question, now, CHANGED, f"another fingerprint: {prints}")
    return _decide(question, now, UNKNOWN, why)


def _judge_embeddings(question: Question, now: Sequence[Answer]) -> DriftVerdict:
    """Vectors by the smallest cosine of any pair, recorded and new."""
    old, new = question.records[0].answer.embeddings, now[0].embeddings
    if [len(v) for v in old] != [len(v) for v in new]:
        return _decide(question, now, CHANGED, "vectors of another length")
    if old == new:
        return _decide(question, now, SAME, "the same vectors")
    least = min(_measure_cosine(a, b) for a, b in zip(old, new, strict=True))
    verdict = SAME if least >= _NEAR else CHANGED if least < _FAR else UNKNOWN
    return _decide(question, now, verdict, f"cosine of recorded and new vectors {'at least ' if len(old) > 1 else ''}{least:.6f}")


def _measure_cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / ((math.hypot(*one) * math.hypot(*other)) or 1.0)


def _decide(question: Question, now: Sequence[Answer], verdict: str, why: str, *, p: float | None = None) -> DriftVerdict:
    lines: tuple[str, ...] = ()
    if question.request.get("kind") != "embedding" and verdict != SAME:
        lines = (
            f"recorded  {_quote([r.answer for r in question.records], question)}",
            f"now       {_quote(now, question)}",
        )
    return DriftVerdict(question, verdict, why, lines, len(now), p)


def _quote(answers: Sequence[Answer], question: Question) -> str:
    """The first texts of some answers, each once, in about a line."""
    texts = list(dict.fromkeys(read_answer(a, question) for a in answers))
    shown = " | ".join(excerpt(text, max(20, _LONGEST // min(len(texts), 4))) or "(nothing)" for text in texts[:4])
    return f"{shown}{f' | … {len(texts) - 4} more' if len(texts) > 4 else ''}"


def read_answer(answer: Answer, question: Question) -> str:
    """What an answer says: its text, a typed one by its value, and the calls of tools by name and arguments."""
    text = answer.text or ""
    if question.request.get("response_format") is not None:
        text = _normalize(text)
    calls = [f"{call.name}({_normalize(call.arguments or '{}')})" for call in answer.tool_calls]
    return "\n".join(filter(None, (text, answer.refusal, *calls)))


def _normalize(text: str) -> str:
    """JSON in one spelling; what is none as it is."""
    try:
        return json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _name_change(before: Sequence[str | None], now: Sequence[str | None]) -> str:
    """What names have become, where both are known and none of the new ones was there before."""
    old, new = {b for b in before if b}, {n for n in now if n}
    return "" if not old or not new or old & new else f"{', '.join(sorted(old))} → {', '.join(sorted(new))}"


def _count_times(count: int) -> str:
    return f", {count} times" if count > 1 else ""
