"""What a study found: the rows of its table, its curves and what they say, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

from core.evaluate.verdict.comparison import Comparison
from core.study.samples import samples_text
from core.units import duration_text

__all__ = ["Advice", "ChangedSample", "Curve", "Spread", "Study", "StudyRow"]


@dataclass(frozen=True)
class Spread:
    """A number of several models of one kind: sub-models, or merges that differ in their seed.

    Attributes:
        mean: over the models.
        spread: their standard deviation (n − 1); None of one model.
        best: the best one's.
    """

    mean: float
    spread: float | None
    best: float

    @classmethod
    def of(cls, values: Sequence[float], *, larger_is_better: bool = False) -> Spread:
        """Of one value a model, of which there is at least one."""
        mean = sum(values) / len(values)
        spread = None
        if len(values) > 1:
            spread = sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
        return cls(mean, spread, max(values) if larger_is_better else min(values))


@dataclass(frozen=True)
class StudyRow:
    """One line of the table.

    Attributes:
        key: what it is called in files and by programs, as "selection-n4".
        title: what it is called for people.
        kind: "base", "single", "merge", "soup" or "control".
        members: the names of the models that it is of.
        loss: mean over the validation rows, in the study's unit.
        accuracy: the share of right answers; None where none are asked for.
        bits: bits a byte; None of classifiers.
        score: what the own scoring command said; None without one.
        comparison: with the median single model; None of the row of single models.
        accuracy_comparison: the same of the share of right answers of several seeds, by sample;
            None where `comparison` has McNemar's test of one model, or nothing is right or wrong.
        score_comparison: the same of the own scores; None where the command gives no scores of single lines.
        note: what must be known to read it, as which λ was chosen; "" for nothing.
    """

    key: str
    title: str
    kind: str
    members: tuple[str, ...]
    loss: Spread
    accuracy: Spread | None = None
    bits: Spread | None = None
    score: Spread | None = None
    comparison: Comparison | None = None
    accuracy_comparison: Comparison | None = None
    score_comparison: Comparison | None = None
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """A line of a figure, with the band that holds its true mean 95 times of 100.

    Attributes:
        role: "single", "mean", "anchor", "sub-model", "merge" or "base".
        x: positions in an epoch, from 1, or training steps.
        mean: mean loss there.
        low, high: the band; as `mean` where there is none.
    """

    label: str
    role: str
    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class ChangedSample:
    """A sample whose loss the best merge changed much.

    Attributes:
        line: in the validation file.
        text: its beginning.
        reference_loss, loss: of the median single model and of the merge, over its seeds.
    """

    line: int
    text: str
    reference_loss: float
    loss: float


@dataclass(frozen=True)
class Advice:
    """What is advised on n from the deltas alone, beside what turned out best.

    Attributes:
        advised: the n from which on the curve is flat; None where it is not by n = 20, or is not known.
        best: the n of least loss among those that were tried.
        left: the expected share of parameters on a zero delta with n = 0, 1, …; () where it is not known.
        sentence: both in words.
    """

    advised: int | None
    best: int
    left: tuple[float, ...]
    sentence: str


@dataclass(frozen=True)
class Study:
    """Everything that a study found.

    Attributes:
        rows: the table.
        sentence: what it says in plain words.
        advice: on n; None where no selection could be made.
        choosing: a sentence for each choice of the best of several, on how much of its gain is luck.
        positions: loss after training by position in the first epoch, a curve for each order (Figure 1).
        differences: the same for each order minus the mean of all orders on the same samples, and the mean of
            these differences.
        anchor: the same by the position in the first epoch of the anchor model, for it, the others and the
            best merge that is of one recipe (Figure 3).
        imbalance: a sentence on whether a sample's loss depends on its place in the first epoch; "" where
            that is not known.
        steps: validation loss by training step, of single models and merged (Figure 4).
        changed: the samples that changed most, the largest change first.
        reference: the name of the single model of median loss.
        reference_right: that of the one with the median of right answers; "" where there are none.
        best: the key of the best merge's row: "chosen" where halves of the samples choose different ones.
        n_samples: validation rows that count.
        n_groups: groups that they belong to; None where each stands for itself, or an earlier version did not
            write it.
        unit: of losses, as "nats a token"; of classifiers "nats a sample".
        notes: sentences on what was left out, and why.
        score: {"better": "higher" or "lower"} of an own scoring command; None without one.
        recipe: what was asked, models by their names.
        data: {"validation": {"name", "digest", "rows"}, "training": the same or None}.
        settings: of the evaluation, as far as numbers depend on them.
        software: versions of what took part.
        machine: where it ran.
        date: when it ended, UTC, ISO 8601.
        seconds: that measuring all models took, in this run or an earlier one.
    """

    rows: tuple[StudyRow, ...]
    sentence: str
    advice: Advice | None
    choosing: tuple[str, ...]
    positions: tuple[Curve, ...]
    differences: tuple[Curve, ...]
    anchor: tuple[Curve, ...]
    steps: tuple[Curve, ...]
    changed: tuple[ChangedSample, ...]
    reference: str
    best: str
    n_samples: int
    n_groups: int | None = None
    unit: str = "nats a token"
    imbalance: str = ""
    reference_right: str = ""
    notes: tuple[str, ...] = ()
    score: Mapping[str, str] | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    software: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    date: str = ""
    seconds: float = 0.0

    @property
    def samples_text(self) -> str:
        """ "1,000 samples in 337 groups of held-out.jsonl"."""
        name = self.data.get("validation", {}).get("name") or "the validation data"
        return f"{samples_text(self.n_samples, self.n_groups)} of {name}"

    @property
    def time_text(self) -> str:
        """ "measured in 16 min"; "" where that is not known."""
        return f"measured in {duration_text(self.seconds)}" if self.seconds else ""

    def row(self, key: str) -> StudyRow | None:
        """The row of that key; None where there is none."""
        return next((row for row in self.rows if row.key == key), None)
