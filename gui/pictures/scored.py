"""What the picture of the scores shows, of a study or of an evaluation. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.evaluate.scores import Scores
from core.evaluate.verdict.comparison import HELPS, HURTS, NO_DIFFERENCE, Comparison, difference_text
from core.study.values import Spread, Study
from core.text import one_line
from core.units import duration_text
from gui.pictures.evaluated import Evaluation
from gui.words import plural

__all__ = ["Changed", "ChangedRow", "Scored", "ScoredRow", "of_evaluation", "of_study"]

Floats = NDArray[np.float64]
Tone = Literal["better", "worse", "neither", "reference"]

_MOST_SAMPLES = 20
_TONES: dict[str, Tone] = {HELPS: "better", HURTS: "worse"}


@dataclass(frozen=True)
class ScoredRow:
    """One line of the forest.

    Attributes:
        title: what it is called.
        members: the names of the models that it is of.
        comparison: with the reference; None for the reference itself.
        note: what must be known to read it; "" for nothing.
        loss: the mean, in words; "" where it is not known.
    """

    title: str
    members: frozenset[str]
    comparison: Comparison | None = None
    note: str = ""
    loss: str = ""

    @property
    def tone(self) -> Tone:
        """What the verdict says."""
        return "reference" if self.comparison is None else _TONES.get(self.comparison.verdict, "neither")

    @property
    def difference(self) -> float:
        """To the reference, which has 0; NaN where nothing is known."""
        return 0.0 if self.comparison is None else self.comparison.difference

    @property
    def interval(self) -> tuple[float, float]:
        """NaN and NaN where there is none."""
        if self.comparison is None or not (isfinite(self.comparison.low) and isfinite(self.comparison.high)):
            return nan, nan
        return self.comparison.low, self.comparison.high

    @property
    def stands_alone(self) -> bool:
        """Whether its interval leaves zero out and no difference is shown, since others are compared too."""
        low, high = self.interval
        beside = low > 0 or high < 0
        return beside and self.comparison is not None and self.comparison.verdict == NO_DIFFERENCE

    @property
    def verdict(self) -> str:
        return "reference" if self.comparison is None else self.comparison.verdict

    @property
    def numbers(self) -> str:
        """ "−0.0064 (−0.0074 to −0.0055)"; "" where there are none."""
        return difference_text(self.comparison)

    @property
    def told(self) -> str:
        """All of it in words."""
        loss = f"{self.loss[:1].upper()}{self.loss[1:]}." if self.loss else ""
        note = f"{self.note.rstrip('.')}." if self.note else ""
        if self.comparison is None:
            return " ".join(part for part in (f"{self.title}: {self.loss or 'the reference'}.", note) if part)
        return " ".join(part for part in (self.comparison.sentence, loss, note) if part)


@dataclass(frozen=True)
class ChangedRow:
    """A sample: its line in the data file, what it says, and its loss with the reference and with a model."""

    line: int
    text: str
    before: float
    after: float

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Changed:
    """Samples, the one that changed most first.

    Attributes:
        reference, model: what the two are called.
        unit: of the losses.
    """

    reference: str
    model: str
    unit: str
    rows: tuple[ChangedRow, ...]

    @property
    def title(self) -> str:
        """Which model against which."""
        return f"{self.model} against {self.reference}"


@dataclass(frozen=True, eq=False)
class Scored:
    """Models, each beside the reference on the same samples.

    Attributes:
        name: of the study or of the data, to choose it by.
        rows: of the forest, as they were given.
        reference: what the others are compared with.
        unit: of the differences of those rows that can be drawn on one scale.
        higher_is_better: whether what lies to the right of the reference is better.
        sentence: what was found, in plain words; "" where it is not said.
        source: where the numbers come from.
        best: the row whose samples are shown while none is marked; None for none.
    """

    name: str
    rows: tuple[ScoredRow, ...]
    reference: str
    unit: str
    higher_is_better: bool
    sentence: str
    source: str
    best: int | None
    study: Study | None = None
    evaluation: Evaluation | None = None

    def is_drawn(self, row: ScoredRow) -> bool:
        """Whether `row` has a place on the scale: it is measured as most are."""
        return row.comparison is None or (row.comparison.unit == self.unit and isfinite(row.difference))

    def changed(self, number: int | None) -> Changed | None:
        """The samples that row `number` changed most, or those of the best one.

        A study keeps those of its best merge, whichever row is asked for. None where none are known.
        """
        if self.study is not None:
            return _changed_of_study(self.study)
        number = self.best if number is None or self.rows[number].comparison is None else number
        if self.evaluation is None or number is None:
            return None
        return _changed_of_evaluation(self.evaluation, self.rows[number])


def of_study(study: Study, name: str = "") -> Scored:
    """The rows of a study; `name` is that of its folder."""
    rows = tuple(
        ScoredRow(
            row.title,
            frozenset(row.members),
            row.comparison,
            row.note
            or (f"The reference is the median of these, {study.reference}" * (row.comparison is None)),
            _loss_text(row.loss),
        )
        for row in study.rows
    )
    told = [study.samples_text]
    told += [
        part
        for part in (study.machine, f"measured in {duration_text(study.seconds)}" if study.seconds else "")
        if part
    ]
    best = next((at for at, row in enumerate(study.rows) if row.key == study.best), None)
    title = "Study" if name.casefold() in ("", "study") else f"Study {name}"
    return _scored(title, rows, study.reference, study.sentence, one_line("; ".join(told)), best, study=study)


def of_evaluation(evaluation: Evaluation) -> Scored:
    """The reference of an evaluation, and the models that are compared with it."""
    compared = {one.name: one for one in evaluation.comparisons}
    rows, reference = [], evaluation.reference
    for scores, name in zip(evaluation.scores, evaluation.names, strict=True):
        is_reference = scores.path == evaluation.reference
        comparison = None if is_reference else compared.get(scores.name)
        reference = name if is_reference else reference
        if is_reference or comparison is not None:
            rows.append(ScoredRow(name, frozenset({name}), comparison, "", f"loss {scores.mean_loss:.4f}"))
    known = [at for at, row in enumerate(rows) if row.comparison is not None and isfinite(row.difference)]
    first = rows[known[0]].comparison if known else None
    sign = -1 if first is not None and first.higher_is_better else 1
    best = min(known, key=lambda at: sign * rows[at].difference, default=None)
    samples = f", {plural(first.n, 'sample')}" if first is not None else ""
    source = f"{evaluation.data.name}{samples}"
    return _scored(evaluation.data.name, tuple(rows), reference, "", source, best, evaluation=evaluation)


def _scored(
    name: str,
    rows: tuple[ScoredRow, ...],
    reference: str,
    sentence: str,
    source: str,
    best: int | None,
    *,
    study: Study | None = None,
    evaluation: Evaluation | None = None,
) -> Scored:
    units = Counter(row.comparison.unit for row in rows if row.comparison is not None)
    usual = "nats a token" if study is None else study.unit
    unit = units.most_common(1)[0][0] if units else usual
    of_unit = (row.comparison for row in rows if row.comparison is not None and row.comparison.unit == unit)
    higher = any(one.higher_is_better for one in of_unit)
    return Scored(name, rows, reference, unit, higher, sentence, source, best, study, evaluation)


def _loss_text(loss: Spread) -> str:
    """What is not finite is None in a study that was read."""
    if loss.mean is None or not isfinite(loss.mean):
        return ""
    return f"loss {loss.mean:.4f}" + (f" ± {loss.spread:.4f}" if loss.spread is not None else "")


def _finite(value: float | None) -> float:
    return nan if value is None else float(value)


# -- samples


def _changed_of_study(study: Study) -> Changed | None:
    if not study.changed:
        return None
    best = study.row(study.best)
    rows = tuple(
        ChangedRow(one.line, one.text, _finite(one.reference_loss), _finite(one.loss))
        for one in study.changed[:_MOST_SAMPLES]
    )
    return Changed(study.reference, best.title if best is not None else "the best merge", study.unit, rows)


def _changed_of_evaluation(evaluation: Evaluation, row: ScoredRow) -> Changed | None:
    """NaN, which a row has where nothing is scored, did not change."""
    reference = evaluation.reference_scores
    number = evaluation.names.index(row.title) if row.title in evaluation.names else None
    if reference is None or number is None or row.comparison is None:
        return None
    scores, bits = evaluation.scores[number], row.comparison.measure == "bits a byte"
    before, after = _numbers(reference, bits=bits), _numbers(scores, bits=bits)
    if before.shape != after.shape:
        return None
    moved = np.abs(after - before)
    moved[~np.isfinite(moved)] = -1.0
    most = np.arange(len(moved))
    if len(moved) > _MOST_SAMPLES:  # a whole sort of very many would be felt
        least = np.partition(moved, -_MOST_SAMPLES)[-_MOST_SAMPLES]
        most = np.flatnonzero(moved >= least)
    most = most[np.argsort(-moved[most], kind="stable")][:_MOST_SAMPLES]
    rows = tuple(
        ChangedRow(int(scores.lines[at]), _text(evaluation.texts, at), float(before[at]), float(after[at]))
        for at in most.tolist()
        if moved[at] >= 0
    )
    names = dict(zip((one.path for one in evaluation.scores), evaluation.names, strict=True))
    unit = row.comparison.unit if bits or row.comparison.measure == "loss" else ""
    return Changed(names.get(reference.path, reference.name), row.title, unit, rows)


def _numbers(scores: Scores, *, bits: bool) -> Floats:
    return scores.bits_per_byte if bits else scores.loss


def _text(texts: Sequence[str], at: int) -> str:
    return texts[at] if at < len(texts) else ""
