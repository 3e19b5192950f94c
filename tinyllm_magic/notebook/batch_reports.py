"""Does what a line of ``%llm_batch`` says, and makes the table that it shows."""

from __future__ import annotations

from collections.abc import Sequence

from ..batch.job_answers import Outcomes
from ..batch.job_rows import describe_state
from ..batch.job_state import Job
from ..batch.jobs import BatchJobs, Seen
from ..clients.sessions import session
from ..display import tables
from ..display.bundle import Bundle
from ..errors import OptionError, TinyLLMError, near, suggest
from ..recording.modes import Mode
from ..redaction import excerpt

WORDS = {"list": "", "fetch": "", "cancel": "[BATCH|all]"}
"""What may be done with batches, and what each takes."""
_COLUMNS = ("batch", "model", "requests", "state", "answered", "failed", "left (UTC)", "until (UTC)")


def manage_batches(words: Sequence[str]) -> Bundle:
    """Do what the words say, and show what there is then. In strict replay nobody is asked: what was last known is shown."""
    word, rest = _read_words(words)
    current = session.settings()
    jobs = BatchJobs(session.store(current))
    if session.mode(current) is Mode.REPLAY:
        if word != "list":
            raise OptionError(f"%llm_batch {word} asks a vendor, and strict replay asks nobody", option=word)
        return _show([(job, None) for job in jobs.file.read()], "strict replay: as it was last known")
    if word == "fetch":
        found, outcomes = jobs.fetch_all()
        return _show(found, _describe_fetched(found, outcomes))
    if word == "cancel":
        chosen = _choose(jobs.file.read(), rest)
        for job in chosen:
            jobs.cancel(job)
        names = ", ".join(job.batch or job.id for job in chosen)
        return _show(jobs.look(), f"cancelled: {names}; `%llm_batch fetch` fetches what it had answered" if chosen else "")
    return _show(jobs.look())


def _read_words(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    word, *rest = words or ["list"]
    if word not in WORDS:
        hint = suggest(near(word, WORDS)) or f"Words are {', '.join(WORDS)}."
        raise OptionError(f"%llm_batch: unknown word '{word}'", option=word, hint=hint)
    if len(rest) > bool(WORDS[word]):
        hint = f"Write `{f'%llm_batch {word} {WORDS[word]}'.rstrip()}`."
        raise OptionError(f"%llm_batch {word} takes {WORDS[word] or 'no argument'}", option=word, hint=hint)
    return word, rest


def _choose(jobs: Sequence[Job], names: Sequence[str]) -> list[Job]:
    """The batches under way that are to be cancelled: the one that is named, all, or the only one."""
    under_way = {job.batch or job.id: job for job in jobs if not job.fetched}
    if names and names[0] not in ("all", *under_way):
        hint = suggest(near(names[0], under_way)) or "`%llm_batch list` shows which there are."
        raise OptionError(f"no batch '{names[0]}' is under way", option=names[0], hint=hint)
    if not names and len(under_way) > 1:
        hint = f"Write `%llm_batch cancel all`, or name one of {', '.join(under_way)}."
        raise OptionError(f"{len(under_way)} batches are under way", option="cancel", hint=hint)
    return [under_way[names[0]]] if names and names[0] != "all" else list(under_way.values())


def _describe_fetched(found: Seen, outcomes: Outcomes) -> str:
    if not any(job.fetched for job, _ in found):
        return "nothing has ended since" if found else ""
    answered, failed = len(outcomes.fresh) + len(outcomes.unrecorded), len(outcomes.errors)
    return f"fetched {answered:,} answers{f', {failed:,} failed' if failed else ''}; run their cells again for their tables"


def _show(found: Seen, done: str = "") -> Bundle:
    if not found:
        return {"text/plain": done or "No batches: `%%llm --map ROWS --batch` leaves one."}
    return tables.bundle_table("Batches", _COLUMNS, [_describe(job, error) for job, error in found], caption=done)


def _describe(job: Job, error: TinyLLMError | None) -> tuple[object, ...]:
    times = [(moment or "")[:16].replace("T", " ") for moment in (job.created, job.expires)]
    state = f"{describe_state(job)}, as last known: {excerpt(error.message, 200)}" if error is not None else describe_state(job)
    counts = [f"{count:,}" if count else "" for count in (job.completed, job.failed)]
    return (job.batch or "", job.model, f"{job.requests:,}", state, *counts, times[0], "" if job.fetched else times[1])
