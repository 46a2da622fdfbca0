"""What is said of two models on the same samples: the numbers, and one sentence or a few in plain words."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "HELPS",
    "HURTS",
    "LEVEL",
    "NO_DIFFERENCE",
    "TOO_FEW",
    "Comparison",
    "decimals_for",
    "decimals_of",
    "difference_text",
    "signed",
]

HELPS = "helps"
HURTS = "hurts"
NO_DIFFERENCE = "no difference shown"
TOO_FEW = "too few to say"

LEVEL = 0.05
"""A difference is shown where its adjusted p-value is not above it."""

_MANY = 1_000_000
_FEWEST_DECIMALS, _USUAL_DECIMALS, _MOST_DECIMALS = 2, 4, 6


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A candidate beside a reference, by samples that both were given.

    Attributes:
        name, reference: what the two are called.
        n: samples that the difference is the mean of.
        clusters: groups that they belong to; None where each stands for itself.
        measure: "loss", "bits a byte" or "right answers".
        difference: mean of candidate − reference, each sample counting as much; nan where n is 0.
        low, high: its 95 % interval, as if nothing else were compared; −inf and inf where n is 0 or 1.
        p: two-sided, of the same interval: ≤ 0.05 where 0 lies outside of it. Of right answers that of
            McNemar's test, and the interval is not its.
        p_holm: adjusted for all candidates compared.
        accuracy_difference: share of right answers, candidate − reference, of all samples; None where right
            and wrong were not looked at, and so the next four.
        mcnemar_p, mcnemar_mid_p: exact, and the less cautious mid-p.
        only_reference_right, only_candidate_right: samples that one alone answered rightly.
        mcnemar_p_holm: the exact one, adjusted for all candidates compared.
        verdict: HELPS, HURTS, NO_DIFFERENCE or TOO_FEW, by the measure.
        samples_needed: to show a difference of the size seen in four of five tries; None where there is none.
        accuracy_verdict: the same of right answers, by mcnemar_p_holm; None where there are none.
        answers_needed: as samples_needed, for right answers.
        unit: of the difference.
        higher_is_better: whether a positive difference is what helps.
        compared: how many candidates p was adjusted for.
        resamples: of the bootstrap; 0 where the interval is that of the paired t alone.
        left_out: samples that do not count because the loss of either is not a number.
        notes: sentences on what was left out, or done otherwise.
    """

    name: str
    reference: str
    n: int
    clusters: int | None
    measure: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    accuracy_difference: float | None = None
    mcnemar_p: float | None = None
    mcnemar_mid_p: float | None = None
    only_reference_right: int | None = None
    only_candidate_right: int | None = None
    mcnemar_p_holm: float | None = None
    verdict: str
    samples_needed: int | None
    accuracy_verdict: str | None = None
    answers_needed: int | None = None
    unit: str = "nats a token"
    higher_is_better: bool = False
    compared: int = 1
    resamples: int = 0
    left_out: int = 0
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """In plain words, for a person who never heard of p-values; p is there for one who did."""
        parts = [self._difference_sentence()]
        if self.verdict == NO_DIFFERENCE:
            parts += _needed_sentence(self.samples_needed, self.n)
        if self.accuracy_difference is not None and self.measure != "right answers":
            parts.append(self._answers_sentence())
        return " ".join([*parts, *self.notes])

    def as_json(self) -> dict[str, Any]:
        """For a document: what is not finite is None, the sentence is there too."""
        values = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in dataclasses.asdict(self).items()
        }
        return {**values, "notes": list(self.notes), "sentence": self.sentence}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Comparison:
        """The comparison that `as_json` wrote. Keys that are not known are left."""
        known = {key: value for key, value in values.items() if key in _KEYS}
        for key, missing in (("difference", math.nan), ("low", -math.inf), ("high", math.inf)):
            known[key] = missing if known[key] is None else known[key]
        return cls(**{**known, "notes": tuple(known.get("notes", ()))})

    def _difference_sentence(self) -> str:
        who = f"{self.name}, against {self.reference}"
        what = {"bits a byte": "numbers of bits", "right answers": "answers"}.get(self.measure, "losses")
        if not self.n:
            return f"{who}: {TOO_FEW}: there is no sample that both have {what} for."
        samples = _counted(self.n, "sample")
        if self.clusters is not None:
            samples += f" in {_counted(self.clusters, 'group')}"
        if self.difference == self.low == self.high == 0:
            which = f"all {what} are equal" if self.n > 1 else f"the {what} are equal"
            return f"{who}: {self.verdict} on {samples}: {which}."
        return f"{who}: {self.verdict} on {samples}: {difference_text(self, unit=True)}{self._chance()}."

    def _chance(self) -> str:
        """What the other candidates make of p, where there are any."""
        if self.verdict == TOO_FEW or self.compared < 2:
            return ""
        if self.verdict == NO_DIFFERENCE:
            if self.p > LEVEL or self.p_holm <= LEVEL:
                return ""
            return (
                f"; alone it would count as shown ({_p_text(self.p)}), "
                f"among {self.compared} compared it does not ({_p_text(self.p_holm)})"
            )
        return f"; {_p_text(self.p_holm)} among {self.compared} compared"

    def _answers_sentence(self) -> str:
        points = signed(100 * (self.accuracy_difference or 0.0), 1)
        text = (
            f"Right answers: {self.accuracy_verdict}, {points} points: {self.only_candidate_right:,} right by"
            f" {self.name} alone, {self.only_reference_right:,} by {self.reference} alone "
            f"({_p_text(self.mcnemar_p_holm or 0.0)}"
        )
        text += f" among {self.compared} compared)." if self.compared > 1 else ")."
        needed = (
            _needed_sentence(self.answers_needed, self.n) if self.accuracy_verdict == NO_DIFFERENCE else []
        )
        return " ".join([text, *needed])


_KEYS = frozenset(field.name for field in dataclasses.fields(Comparison))


def decimals_for(size: float) -> int:
    """So many that a number of this size is written with two digits."""
    return min(max(1 - math.floor(math.log10(abs(size))), 1), 9) if size else 4


def decimals_of(comparisons: Iterable[Comparison | None]) -> int:
    """With how many decimals a difference is written, or a column of them: so many that the narrowest
    interval has two digits, or the smallest difference, where no interval has a width."""
    known = [one for one in comparisons if one is not None and math.isfinite(one.difference)]
    halves = [half for one in known if math.isfinite(half := (one.high - one.low) / 2) and half]
    sizes = halves or [one.difference for one in known if one.difference]
    decimals = max((decimals_for(size) for size in sizes), default=_USUAL_DECIMALS)
    return min(max(decimals, _FEWEST_DECIMALS), _MOST_DECIMALS)


def difference_text(
    one: Comparison | None,
    decimals: int | None = None,
    *,
    unit: bool = False,
    interval: bool = True,
    sign: bool = True,
) -> str:
    """ "−0.0231 (−0.0253 to −0.0209)": how a difference is written wherever one is; "" where it is not known.

    Args:
        decimals: those of a column; as many as have a meaning unless given.
        unit: whether it is said: "−0.0231 nats a token (95 % from −0.0253 to −0.0209)".
        interval: whether that is written, too, where there is one.
        sign: whether there are signs, also where difference and interval all have the same: without, for
            "lowers the loss by …", 0.0231 (0.0209 to 0.0253).
    """
    if one is None or not math.isfinite(one.difference):
        return ""
    decimals = decimals_of([one]) if decimals is None else decimals
    mean, low, high = one.difference, one.low, one.high
    same = high < 0 or low > 0
    if not sign and same:
        low, high = sorted((abs(low), abs(high)))

    def written(value: float) -> str:
        return signed(value, decimals) if sign or not same else f"{abs(value):.{decimals}f}"

    text = f"{written(mean)} {one.unit}" if unit else written(mean)
    if not interval or not (math.isfinite(low) and math.isfinite(high)):
        return text
    return f"{text} ({'95 % from ' if unit else ''}{written(low)} to {written(high)})"


def signed(value: float, decimals: int) -> str:
    """ "+0.0015", "−0.0003", "0.0000": with a minus sign as wide as the plus."""
    text = f"{abs(value):.{decimals}f}"
    if not float(text):
        return text
    return f"{'−' if value < 0 else '+'}{text}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _p_text(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def _needed_sentence(needed: int | None, samples: int) -> list[str]:
    if needed is None or needed <= samples:
        return []
    if needed > _MANY:
        count = "more than a million"
    else:
        step = 10 ** max(0, len(str(needed)) - 2)
        count = f"about {step * round(needed / step):,}"
    return [f"A difference of this size would take {count} samples to show."]
