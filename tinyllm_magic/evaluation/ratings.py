"""Blind rating: answers to the same rows side by side without names, in an order fixed by a seed; what was chosen, in a JSON file.

The file holds the sets of answers that were rated, by a digest of all of them, and of each row the number of the answers that
were chosen (``None``: none is better). As a notebook may have got another name since, what its own file lacks is looked for in the
other files of ratings beside it.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import OptionError, StoreError
from ..extras import load_library
from ..files import replace_whole
from .intervals import LEVEL, Estimate, estimate_share
from .wording import count_rows, write_probability, write_range, write_value

_VERSION = 1
_SUFFIX = ".ratings.json"
TIE: None = None
"""Is chosen where no answer is better than the others."""


@dataclass(frozen=True)
class RatedItem:
    """One row to be rated: its columns, its answers as they are shown, and for each of them whose it is."""

    key: str
    row: Mapping[str, Any]
    answers: tuple[str, ...]
    order: tuple[int, ...]


@dataclass(frozen=True)
class RatingResult:
    """What a blind rating came to: how often each was chosen, and of the first choice its share with a 95 % interval.

    ``share`` is that of the most chosen one among the rows where one was chosen, ``p`` of the test that all are as good:
    an exact binomial test of two, a chi-square test of more.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    ties: int
    open: int
    share: Estimate | None
    p: float | None

    @property
    def sentence(self) -> str:
        """What a person may write."""
        if self.share is None or self.p is None:
            return f"blind rating: no row was decided ({count_rows(self.ties)} without a preference, {self.open:,} open)"
        best = self.names[max(range(len(self.names)), key=self.counts.__getitem__)]
        others = " and ".join(n for n in self.names if n != best)
        facts = f"{write_value(self.share.value, is_share=True)} of {count_rows(self.share.n)}"
        facts += f", {write_range(self.share.low, self.share.high, is_share=True)}"
        facts += f", {self.ties:,} without a preference" if self.ties else ""
        facts += f", {self.open:,} not rated yet" if self.open else ""
        told = f"{best} is preferred to {others}" if self.p < 1 - LEVEL else f"no preference shown between {best} and {others}"
        return f"blind rating: {told}: {facts}"

    def __str__(self) -> str:
        return self.sentence if self.p is None else f"{self.sentence} ({write_probability(self.p)})"

    __repr__ = __str__


@dataclass(eq=False)
class BlindRating:
    """A blind rating under way: its ``items`` in the order in which they are shown, and what was chosen of them.

    ``choose(number, shown)`` takes the answer that is shown at a place (0 is the first one, ``None`` is none), and writes the file.
    ``result`` says what it came to. At the end of a cell it shows itself: answers side by side, chosen by the keys 1, 2 … and 0.
    """

    items: Sequence[RatedItem]
    names: tuple[str, ...]
    path: Path
    digest: str
    alike: int = 0
    """Rows whose answers are all the same: there is nothing to choose."""
    chosen: dict[str, int | None] = field(default_factory=dict)

    def choose(self, number: int, shown: int | None) -> None:
        """Choose the answer shown at this place of an item (``None``: none is better); raises ``OptionError`` for what is not there."""
        if not 0 <= number < len(self.items) or (shown is not None and not 0 <= shown < len(self.names)):
            raise OptionError(f"there is no answer {shown} of item {number}", option="choose")
        item = self.items[number]
        self.chosen[item.key] = TIE if shown is None else item.order[shown]
        self._write()

    def withdraw(self, number: int) -> None:
        """Take a choice back."""
        if self.chosen.pop(self.items[number].key, self) is not self:
            self._write()

    def shown_choice(self, number: int) -> int | None:
        """At which place the answer stands that was chosen; ``None`` for none. Ask ``is_rated`` first."""
        item = self.items[number]
        chosen = self.chosen.get(item.key)
        return None if chosen is None else item.order.index(chosen)

    def is_rated(self, number: int) -> bool:
        """Whether an item was rated."""
        return self.items[number].key in self.chosen

    @property
    def result(self) -> RatingResult:
        """What the rating has come to so far."""
        return count_choices(self.names, [self.chosen.get(i.key, self) for i in self.items])

    def _write(self) -> None:
        kept = {"names": list(self.names), "chosen": dict(sorted(self.chosen.items()))}
        sets = {**_read_file(self.path), self.digest: kept}
        data = {"version": _VERSION, "ratings": dict(sorted(sets.items()))}
        replace_whole(self.path, [f"{json.dumps(data, indent=1, ensure_ascii=False)}\n".encode()])

    def __repr__(self) -> str:
        rated = sum(map(self.is_rated, range(len(self.items))))
        return f"BlindRating({rated:,} of {count_rows(len(self.items))} rated)"


def prepare_rating(
    rows: Sequence[Mapping[str, Any]],
    answers: Sequence[Sequence[str]],
    names: Sequence[str],
    path: Path,
    *,
    seed: int,
    most: int | None,
    beside: bool = False,
) -> BlindRating:
    """The rating of some answers to each row, with what was chosen before; ``most`` rows at most, which a seed picks and puts in order.

    ``beside`` says whether what was chosen may stand in another file beside ``path``.
    """
    told = [(row, tuple(said)) for row, said in zip(rows, answers, strict=True)]
    digest = _digest(*(text for _, said in told for text in said))
    differing = [(_digest(*map(str, row.values()), *said), row, said) for row, said in told if len(set(said)) > 1]
    chance = random.Random(seed)  # noqa: S311  # nothing is kept secret by it
    chance.shuffle(differing)
    items = []
    for key, row, said in differing[:most]:
        order = chance.sample(range(len(said)), len(said))
        items.append(RatedItem(key, row, tuple(said[i] for i in order), tuple(order)))
    rating = BlindRating(items, tuple(names), path, digest, len(told) - len(differing))
    rating.chosen = read_choices(path, digest, len(names), beside=beside)
    return rating


def read_rating(answers: Sequence[Sequence[str]], names: Sequence[str], path: Path) -> RatingResult | None:
    """What a rating of these answers came to, under other names, also in a file beside ``path``; ``None`` where there is none."""
    chosen = read_choices(path, _digest(*(text for said in answers for text in said)), len(names), beside=True)
    return count_choices(tuple(names), list(chosen.values())) if chosen else None


def read_choices(path: Path, digest: str, count: int, *, beside: bool = False) -> dict[str, int | None]:
    """What was chosen of a set of answers, by row; nothing where it was never rated.

    With ``beside`` also what a file of ratings beside this one says, where this one says nothing of these answers: of several
    the one with the most choices.
    """
    kept = _read_file(path).get(digest)
    if kept is None and beside:
        kept = max(_find_beside(path, digest), key=lambda found: len(found["chosen"]), default=None)
    chosen = {} if kept is None else kept["chosen"]
    return {str(k): v for k, v in chosen.items() if v is None or (isinstance(v, int) and 0 <= v < count)}


def _find_beside(path: Path, digest: str) -> Iterator[dict[str, Any]]:
    """What the other files of ratings in the folder say of a set of answers; links, and files that cannot be read, are left out."""
    for other in sorted(path.parent.glob(f"*{_SUFFIX}")):
        if other != path and not other.is_symlink():
            with suppress(StoreError):
                found = _read_file(other).get(digest)
                if found is not None:
                    yield found


def _read_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text("utf-8"))["ratings"]
        return {str(digest): {**kept, "chosen": dict(kept["chosen"])} for digest, kept in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        hint = "Move it away to begin anew."
        raise StoreError(f"{path.name} is no file of ratings", hint=hint, path=str(path)) from error


def count_choices(names: tuple[str, ...], chosen: Sequence[Any]) -> RatingResult:
    """The result of choices: the number of an answer, ``None`` for none, anything else where nothing was chosen yet."""
    counts = tuple(sum(c is not None and c == i for c in chosen) for i in range(len(names)))
    ties, decided = sum(c is None for c in chosen), sum(counts)
    still_open = len(chosen) - ties - decided
    if not decided:
        return RatingResult(names, counts, ties, still_open, None, None)
    stats = load_library("scipy.stats")
    test = stats.binomtest(counts[0], decided, 0.5) if len(names) == 2 else stats.chisquare(counts)
    return RatingResult(names, counts, ties, still_open, estimate_share(max(counts), decided), float(test.pvalue))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()[:16]
