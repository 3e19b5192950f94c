"""What a table of answers can say of itself, ``Evaluable``: scores, agreement, comparison with others, blind rating."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from ..errors import OptionError
from .agreement import Agreement, measure_agreement
from .comparisons import Verdict, compare_scores
from .examples import read_answers, read_examples, read_own_row, split_combinations, split_samples
from .intervals import SEED
from .judges import score_table
from .labels import Normaliser, normalise_text, spell_label, write_label
from .ratings import BlindRating, prepare_rating, read_rating
from .scores import Score

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Evaluable:
    """The part of a table that evaluates its answers; the table itself says what its rows and answers are.

    ``axes`` are the columns that tell what was asked of each row (``model``, parameters, ``sample``); ``expect`` is the column
    that says the right answer. Of several samples of a row the mean counts: rows are what figures are of, not answers.
    """

    entries: Sequence[Any]
    axes: tuple[str, ...]
    expect: str | None
    ask_judge: ClassVar[Callable[[Any, list[dict[str, Any]]], Any] | None] = None
    """Asks a call for each of some rows, watched as any map; set by what maps rows."""

    @property
    @abstractmethod
    def typed_columns(self) -> Mapping[str, str]:
        """The fields of checked answers by the names of their columns."""

    @abstractmethod
    def read_typed(self, entry: Any) -> dict[str, Any]:
        """The columns of a row's checked answer."""

    @abstractmethod
    def select(self, places: Sequence[int]) -> Self:
        """Some rows, as a table."""

    @abstractmethod
    def ratings_path(self) -> Path:
        """The file beside the notebook that keeps ratings."""

    @property
    def parts(self) -> dict[str, Self]:
        """A table for each combination of model and parameters that its rows were asked of, by what tells it from the others."""
        return split_combinations(self)

    def score(
        self,
        expected: str | Sequence[Any] | None = None,
        metric: Any = "accuracy",
        *,
        answer: str | None = None,
        normalise: Normaliser | None = normalise_text,
        right: Any = None,
    ) -> Score:
        """How good the answers are against ``expected``: a column, or one value for each row (default: the column of ``--expect``).

        ``metric`` is ``"accuracy"`` (equal after ``normalise``, which takes case, quotes and the full stop away; ``None``: as it is),
        with confusions where the expected answers are classes; ``"exact"`` (the same for free texts), ``"f1"`` (of each class,
        and their mean), a function of the expected and the given answer that returns True, False or a number, or a judge: an
        ``LLMCall`` with ``choices`` that is asked for each row with its columns, ``expected`` and ``answer``, and recorded as all calls
        are. Of its choices ``right`` is the one that counts (default: the first); choices that are numbers are the score itself.
        ``answer`` names the column of typed answers that is scored, where there are several.

        Raises ``OptionError`` where there is nothing to score, and where the table has answers of several models or parameters:
        ``against`` compares those, ``parts`` has a table of each. Raises ``MissingExtraError`` without the extra ``stats``.
        """
        if len(self.parts) > 1:
            hint = "table.against() compares them; table.parts has a table of each."
            raise OptionError(f"these are answers of {len(self.parts)} combinations ({', '.join(self.parts)})", option="score", hint=hint)
        examples = read_examples(self, expected, answer, may_lack=not isinstance(metric, str))
        return score_table(self, examples, metric, normalise, right, Evaluable.ask_judge)

    def against(
        self,
        *others: Any,
        expected: str | Sequence[Any] | None = None,
        metric: Any = "accuracy",
        names: Sequence[str] | None = None,
        answer: str | None = None,
        normalise: Normaliser | None = normalise_text,
        right: Any = None,
    ) -> Verdict:
        """Whether these answers are better than ``others`` to the same rows: a paired comparison of each with each.

        Without others the combinations of this table (``--compare`` and ``--grid`` over rows) are compared. The tables are called A,
        B …, or by ``names``. The other arguments are those of ``score``. The difference of each pair has a 95 % interval and a
        test: McNemar's exact one where rows are right or wrong, else a permutation test; several are corrected by Holm's method.
        A blind rating of the same answers (``rate``) is part of the verdict.

        Raises ``OptionError`` where the tables are not of the same rows.
        """
        tables = self._gather(others, names)
        scored = {}
        for name, table in tables.items():
            column = table.expect or self.expect if expected is None else expected
            examples = read_examples(table, column, answer, may_lack=not isinstance(metric, str))
            scored[name] = score_table(table, examples, metric, normalise, right, Evaluable.ask_judge, label=name)
        rating = read_rating(read_answers(list(tables.values()))[1], list(tables), self.ratings_path())
        return compare_scores(list(scored.values()), rating)

    def agreement(self, labels: str | Sequence[Any] | None = None, *, level: str = "nominal", answer: str | None = None) -> Agreement:
        """Whether the answers to each row agree: between samples (``-n``), between models and parameters, and with ``labels``.

        ``labels`` is a column or one value for each row, which counts as one more rater; ``level`` ("nominal", "ordinal", "interval",
        "ratio") says what kind of values are compared. Cohen's kappa of two, Fleiss' of more, Krippendorff's alpha, each with a
        95 % interval.

        Raises ``OptionError`` where there is one answer to each row alone, and nobody else's.
        """
        said: dict[str, dict[int, Any]] = {}
        rows: dict[int, Mapping[str, Any]] = {}
        write = write_label if level == "nominal" else _read_number
        spelled: dict[Any, Any] = {}
        for name, table in self.parts.items():
            for sample, part in split_samples(table).items():
                numbered = f"sample {sample}" if sample else "answer"
                rater = " · ".join(filter(None, (name, numbered if sample or not name else "")))
                for example in read_examples(part, None, answer, may_lack=True):
                    said.setdefault(rater, {})[example.place] = label = write(example.answer)
                    spelled.setdefault(label, spell_label(example.answer))
                    rows.setdefault(example.place, example.row)
        if labels is not None:
            name = labels if isinstance(labels, str) else "label"
            labelled = read_examples(self, labels, answer)
            said[f"{name} (label)" if name in said else name] = {e.place: write(e.expected) for e in labelled}
            spelled.update({write(e.expected): spell_label(e.expected) for e in labelled})
        places = list(rows)
        given = [[s.get(p) for s in said.values()] for p in places]
        return measure_agreement(given, list(said), [rows[p] for p in places], level, spelled)

    def rate(
        self,
        *others: Any,
        names: Sequence[str] | None = None,
        rows: int | None = None,
        seed: int = SEED,
        path: str | Path | None = None,
    ) -> BlindRating:
        """Rate the answers of this table and ``others`` to the same rows blind: side by side, without names, in an order fixed by ``seed``.

        Without others the combinations of this table are rated. At the end of a cell the rating shows itself: the keys 1, 2 …
        choose the better answer, 0 says that none is better. Choices go at once into a file beside the notebook
        (``NAME.ratings.json``, or ``path``), and into what ``against`` says. ``rows`` is how many are rated at most.
        """
        tables = self._gather(others, names)
        asked, answers = read_answers(list(tables.values()))
        chosen_path = self.ratings_path() if path is None else Path(path).expanduser()
        return prepare_rating(asked, answers, list(tables), chosen_path, seed=seed, most=rows, beside=path is None)

    def _gather(self, others: Sequence[Any], names: Sequence[str] | None) -> dict[str, Self]:
        """The tables that are compared, by name; raises ``OptionError`` where they are not of the same rows."""
        if not others:
            parts = self.parts
            if len(parts) < 2:
                hint = "table.against(other), or a table of --map with --compare M1,M2."
                raise OptionError("there is nothing to compare these answers with", option="against", hint=hint)
            return parts if names is None else dict(zip(_demand_names(names, len(parts)), parts.values(), strict=True))
        tables = [self, *others]
        for table in tables:
            if not isinstance(table, Evaluable):
                raise OptionError(f"{type(table).__name__} is no table of answers", option="against")
            if len(table.parts) > 1:
                raise OptionError("a table of several combinations is compared by itself", option="against", hint="table.against()")
        own = [[read_own_row(table, entry) for entry in table.entries] for table in tables]
        for name, rows in zip(_LETTERS[1:], own[1:], strict=False):
            _demand_same(own[0], rows, name)
        return dict(zip(_LETTERS if names is None else _demand_names(names, len(tables)), tables, strict=names is not None))


def _demand_names(names: Sequence[str], count: int) -> Sequence[str]:
    if len(set(names)) != count or isinstance(names, str):
        raise OptionError(f"{count} names are needed, each another one", option="names")
    return names


def _demand_same(rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], name: str) -> None:
    """Raise ``OptionError`` where the rows of two tables are not the same."""
    if len(rows) != len(others):
        raise OptionError(
            f"the tables have {len(rows):,} and {len(others):,} rows", option="against", hint="Compare answers to the same rows."
        )
    for number, (one, other) in enumerate(zip(rows, others, strict=True)):
        differing = [c for c in one if c in other and not _are_same(one[c], other[c])]
        if differing:
            hint = "Compare answers to the same rows, in the same order."
            raise OptionError(f"row {number} of table {name} has another {differing[0]!r}", option="against", hint=hint)


def _are_same(one: Any, other: Any) -> bool:
    return one is other or spell_label(one) == spell_label(other)


def _read_number(value: Any) -> Any:
    """A value as a number where it is one, also as text."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return write_label(value)
