"""The luck of choosing (the winner's curse): how much of the gain of the best of several is there only
because it was chosen.

Whoever tries M seeds, or M values of n, on one set of samples and takes the best has picked, beside what is
better, what these samples happen to like. Chosen on one half of the samples and measured on the other, the
luck is gone; what is lost between the two is how much it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.evaluate.statistics.intervals import LEAST_UNITS
from core.evaluate.statistics.resampling import groups_as_numbers, halves
from core.evaluate.verdict.comparison import decimals_for, signed
from core.evaluate.verdict.pairing import pair_up

if TYPE_CHECKING:
    from core.evaluate.scores import Scores

__all__ = ["HALVINGS", "WinnersCurse", "winners_curse_of", "winners_curse_sentence"]

HALVINGS = 100
"""Halvings of the samples, each used in both directions: one alone says little, as its chance is great."""


@dataclass(frozen=True)
class WinnersCurse:
    """What choosing the best of several brings, in the unit of the losses.

    Attributes:
        best: the number of the candidate with the least mean loss on all samples, from 0; None without any.
        candidates: how many were chosen from.
        n: samples that all of them have a finite loss for.
        units: groups that these belong to; n where each stands for itself.
        gain: mean loss of the reference minus that of the best, on all samples.
        seen: the same, on the half that it was chosen on, averaged over halvings and directions.
        kept: that of the same choice on the other half.
        reference: "the mean of all" or what the gain is measured against.
        unit: of the losses.
    """

    best: int | None
    candidates: int
    n: int
    units: int
    gain: float
    seen: float
    kept: float
    reference: str = "the mean of all"
    unit: str = "nats a token"

    @property
    def luck(self) -> float:
        """How much of `seen` is the luck of choosing. It does not depend on the reference."""
        return self.seen - self.kept

    @property
    def sentence(self) -> str:
        """In plain words."""
        if self.candidates < 2:
            return "There is nothing to choose from, so that nothing of the gain is the luck of choosing."
        if self.units < LEAST_UNITS:
            what = "samples" if self.units == self.n else "groups"
            return f"{self.units} {what} are too few to say how much of the gain is the luck of choosing."
        if self.seen <= 0:
            return f"The best of {self.candidates} shows no gain over {self.reference}."
        decimals = max(4, decimals_for(self.seen))
        seen, luck, kept = (
            signed(value, decimals).removeprefix("+") for value in (self.seen, self.luck, self.kept)
        )
        if self.luck <= 0 or not float(luck):
            luck = "nothing"
        return (
            f"Of the gain of {seen} {self.unit} seen by the best of {self.candidates} (over "
            f"{self.reference}, on the half of the samples on which it was chosen), "
            f"{luck} is the luck of choosing; on the other half it is {kept}."
        )


def winners_curse_of(
    candidates: Sequence[NDArray[np.float64]],
    *,
    data_digest: str,
    reference: NDArray[np.float64] | None = None,
    reference_name: str = "the reference",
    groups: Sequence[str] | None = None,
    unit: str = "nats a token",
) -> WinnersCurse:
    """How much of the gain of the candidate with the least loss is the luck of choosing it.

    Each of 100 halvings of the samples (core.evaluate.statistics.resampling.halves; whole groups where there
    are groups) is used in both directions: the best on one half, by its mean loss there, is measured on the
    other.
    Samples for which any candidate has no finite loss are left out.

    Args:
        candidates: the losses of each, [N] each.
        reference: the losses that gains are measured against, [N]; without, the mean of all candidates.
        reference_name, unit: for the sentence.

    Raises:
        DataError: they are not of the same samples, or the digest is none.
    """
    if not candidates:
        return WinnersCurse(None, 0, 0, 0, 0.0, 0.0, 0.0, unit=unit)
    every = [*candidates, *([] if reference is None else [reference])]
    if len({len(losses) for losses in every}) > 1:
        raise DataError(
            "the candidates have not the same number of samples", hint="score all on the same data"
        )
    losses = np.stack([np.asarray(one, np.float64) for one in every])
    counts = np.isfinite(losses).all(axis=0)
    numbers = groups_as_numbers(groups, losses.shape[1])[counts]
    losses = losses[:, counts]
    n = losses.shape[1]
    if not n:
        return WinnersCurse(None, len(candidates), 0, 0, 0.0, 0.0, 0.0, unit=unit)
    against = losses[: len(candidates)].mean(axis=0) if reference is None else losses[-1]
    gains = against - losses[: len(candidates)]
    sums = np.stack([np.asarray(np.bincount(numbers, weights=one), np.float64) for one in gains])
    sizes = np.asarray(np.bincount(numbers), np.float64)
    sums, sizes = sums[:, sizes > 0], sizes[sizes > 0]
    whole = sums.sum(axis=1) / n
    best = int(whole.argmax())
    seen = kept = float(whole[best])
    if len(sizes) >= 2:
        seen, kept = _over_halvings(sums, sizes, data_digest)
    named = "the mean of all" if reference is None else reference_name
    return WinnersCurse(best, len(candidates), n, len(sizes), float(whole[best]), seen, kept, named, unit)


def winners_curse_sentence(
    reference: Scores, candidates: Sequence[Scores], *, groups: Sequence[str] | None = None
) -> str:
    """What must be known by whoever takes the best of several models that are compared with one reference.

    It is measured as verdicts are: the loss, bits a byte where tokenizers differ, right answers where there
    is no loss. "" where there is nothing to choose from, or no gain, or too few samples to speak of one.

    Raises:
        IncompatibleError: they are not comparable, as `core.evaluate.verdict.comparing.compare` says.
    """
    if len(candidates) < 2:
        return ""
    pairs = [pair_up(reference, candidate) for candidate in candidates]
    measures = {pair.candidate.measure for pair in pairs}
    by_the_byte = measures == {"loss", "bits a byte"}
    if len(measures) > 1 and not by_the_byte:
        return ""
    sign = -1.0 if pairs[0].candidate.higher_is_better else 1.0
    values = [
        np.where(
            pair.counts, candidate.bits_per_byte if by_the_byte else sign * pair.candidate.values, np.nan
        )
        for pair, candidate in zip(pairs, candidates, strict=True)
    ]
    found = winners_curse_of(
        values,
        data_digest=reference.data_digest,
        reference=reference.bits_per_byte if by_the_byte else sign * pairs[0].reference.values,
        reference_name=reference.name,
        groups=groups,
        unit="bits a byte" if by_the_byte else pairs[0].candidate.unit,
    )
    return found.sentence if found.units >= LEAST_UNITS and found.seen > 0 else ""


def _over_halvings(
    sums: NDArray[np.float64], sizes: NDArray[np.float64], data_digest: str
) -> tuple[float, float]:
    seen, kept = [], []
    for split in range(HALVINGS):
        parts = halves(data_digest, len(sizes), split)
        for chosen_on, measured_on in (parts, parts[::-1]):
            here = sums[:, chosen_on].sum(axis=1) / sizes[chosen_on].sum()
            there = sums[:, measured_on].sum(axis=1) / sizes[measured_on].sum()
            best = int(here.argmax())
            seen.append(float(here[best]))
            kept.append(float(there[best]))
    return float(np.mean(seen)), float(np.mean(kept))
