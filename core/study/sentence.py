"""What the table says, in plain words: whether the best merge helps, and whether a control does as much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from core.deltas.advice import advice_on_n
from core.deltas.measures import flattens_at
from core.evaluate.verdict.comparison import (
    HELPS,
    HURTS,
    NO_DIFFERENCE,
    TOO_FEW,
    Comparison,
    difference_text,
)
from core.study.values import Advice

__all__ = ["Control", "advice_of", "study_sentence"]


@dataclass(frozen=True)
class Control:
    """A control beside the best merge.

    Attributes:
        words: what it is, as "one sub-model with its task vector × 1.25".
        means: what it means where it does as much, as "here the gain is distance from the base, not choice".
        beside: it, compared with the best merge: below 0 where the control is better.
        against: it, compared with the median single model, as the table has it; None where it is not there.
    """

    words: str
    means: str
    beside: Comparison
    against: Comparison | None = None

    @property
    def is_better(self) -> bool:
        """Whether it is shown to be better than the merge."""
        return self.beside.verdict == HELPS

    @property
    def does_as_much(self) -> bool:
        """Whether it is shown to help, and not shown to differ from the merge."""
        helps = self.against is not None and self.against.verdict == HELPS
        return helps and self.beside.verdict == NO_DIFFERENCE


def study_sentence(title: str, comparison: Comparison | None, controls: Sequence[Control]) -> str:
    """What the table says.

    A control explains the gain where it is at least as good as the merge: better, or itself shown to help
    and not shown to differ from it. That no difference is shown is no proof that there is none, and so the
    sentence names the samples. A control that is told neither from the merge nor from the single model
    explains nothing and leaves the question open, which is said as well. All controls are looked at.

    Args:
        title: of the best merge's row.
        comparison: of it with the median single model; None where nothing was merged.
        controls: of the best merge.
    """
    if comparison is None:
        return "Nothing was merged."
    name = title[:1].lower() + title[1:]
    if not isfinite(comparison.difference):
        return f"The best merge, {name}, shares no sample with a single model that both can be compared on."
    said = difference_text(comparison, unit=True, sign=False)
    if comparison.verdict == TOO_FEW:
        return f"{_few(comparison)} are too few to say whether {name} helps: it differs by {said}."
    if comparison.verdict == HURTS:
        return f"No merge helps: the best, {name}, raises the loss by {said} against a single model."
    if comparison.verdict != HELPS:
        return (
            f"No merge is shown to help: the best, {name}, differs from a single model by {said}, "
            f"which {comparison.n:,} samples cannot tell from noise."
        )
    gain = f"{title[:1].upper()}{title[1:]} lowers the loss by {said} against a single model"
    return gain + _controls_text(
        sorted(
            (control for control in controls if isfinite(control.beside.difference)),
            key=lambda one: one.beside.difference,
        )
    )


def _controls_text(controls: Sequence[Control]) -> str:
    """What follows the gain; of the controls, the best one first."""
    if not controls:
        return "."
    explaining = [one for one in controls if one.is_better or one.does_as_much]
    explaining.sort(key=lambda one: not one.is_better)  # what is shown before what is not told apart
    few = [one for one in controls if one.beside.verdict == TOO_FEW]
    open_ones = [one for one in controls if one.beside.verdict == NO_DIFFERENCE and not one.does_as_much]
    if explaining:
        first, *others = explaining
        text = f", but {_as_much(first)}: {first.means}."
        said = {first.means}
        for other in others:
            means = "" if other.means in said else f": {other.means}"
            said.add(other.means)
            text += f" And {_as_much(other)}{means}."
        return text
    if open_ones:
        first = open_ones[0]
        named = _listed([f"{one.words}, {_differing(one)}" for one in open_ones])
        itself = "that is" if len(open_ones) == 1 else "these are"
        return (
            f"; {first.beside.n:,} samples cannot tell it from {named}, but {itself} not shown to help "
            "either: whether a control explains the gain is open."
        )
    if few:
        return f"; {_few(few[0].beside)} are too few to compare it with {few[0].words}."
    best = controls[0]
    return (
        f", and no control explains it: the best of them, {best.words}, is worse by "
        f"{difference_text(best.beside, unit=True, sign=False)}."
    )


def _as_much(control: Control) -> str:
    beside = control.beside
    if control.is_better:
        size = difference_text(beside, interval=False, sign=False)
        return f"{control.words} lowers it by {size} {beside.unit} more"
    return f"so does {control.words}, as far as {beside.n:,} samples show, {_differing(control)}"


def _differing(control: Control) -> str:
    return f"with a difference of {difference_text(control.beside, unit=True)}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def advice_of(left: Sequence[float], losses: dict[int, float]) -> Advice | None:
    """The advice from the deltas beside what turned out best; None where no selection was made.

    Args:
        left: the expected share on a zero delta with n = 0, 1, … resamples; () where it is not known.
        losses: the mean loss of each n that was tried.
    """
    if not losses:
        return None
    best = min(losses, key=lambda n: losses[n])
    curve = np.asarray(left, np.float64)
    advised = flattens_at(curve) if len(curve) else None
    known = advice_on_n(curve)
    known = f"Parameters left as in the base: {known}" if known else ""
    tried = ", ".join(str(n) for n in losses)
    outcome = f"Of n = {tried}, n = {best} has the least loss." if len(losses) > 1 else ""
    if advised is not None and outcome:
        outcome += " The advice and the outcome agree." if advised == best else _apart(advised, best, losses)
    return Advice(advised, best, tuple(map(float, left)), " ".join(part for part in (known, outcome) if part))


def _apart(advised: int, best: int, losses: dict[int, float]) -> str:
    if advised not in losses:
        return f" The advised n = {advised} was not tried."
    return f" The advised n = {advised} is {losses[advised] - losses[best]:.4f} behind it."


def _few(comparison: Comparison) -> str:
    """Groups where there are any: they are what is counted."""
    if comparison.clusters is None:
        return f"{comparison.n} samples"
    return f"{comparison.clusters} groups"
