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
        p: two-sided, of the same interval: ≤ 0.05 where 0 lies outside of it. Of right answers both are
            McNemar's test's, but for those in groups: it has the groups' votes, the interval the samples.
        p_holm: adjusted for all candidates compared.
        accuracy_difference: share of right answers, candidate − reference, of all samples; None where right
            and wrong were not looked at, and so whatever is of right answers.
        mcnemar_p, mcnemar_mid_p: exact, and the less cautious mid-p.
        only_reference_right, only_candidate_right: samples that one alone answered rightly.
        votes_reference, votes_candidate: groups in which one is right more often than the other: what is
            tested. The samples that one alone answered rightly where there are no groups.
        voters, answered: groups, or else samples; and samples of which right and wrong are known.
        mcnemar_p_holm: the exact one, adjusted for all candidates compared.
        verdict: HELPS, HURTS, NO_DIFFERENCE or TOO_FEW, by the measure.
        samples_needed: to show a difference of the size seen in four of five tries, among as many compared;
            None where there is none.
        accuracy_verdict: the same of right answers, by mcnemar_p_holm; None where there are none.
        answers_needed: as samples_needed, for right answers.
        error: the standard error of the difference; nan where it is not known.
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
    votes_reference: int | None = None
    votes_candidate: int | None = None
    voters: int | None = None
    answered: int | None = None
    mcnemar_p_holm: float | None = None
    verdict: str
    samples_needed: int | None
    accuracy_verdict: str | None = None
    answers_needed: int | None = None
    error: float = math.nan
    unit: str = "nats a token"
    higher_is_better: bool = False
    compared: int = 1
    resamples: int = 0
    left_out: int = 0
    notes: tuple[str, ...] = ()

    @property
    def votes_disagree(self) -> bool:
        """Whether the groups' votes go another way than the samples, or only one of both goes any: a few
        large groups against many small ones. A test of the votes then says nothing of the samples."""
        if self.only_candidate_right is None or self.votes_candidate is None:
            return False
        samples = self.only_candidate_right - (self.only_reference_right or 0)
        votes = self.votes_candidate - (self.votes_reference or 0)
        return samples * votes <= 0 and samples != votes

    @property
    def sentence(self) -> str:
        """In plain words, for a person who never heard of p-values; p is there for one who did."""
        parts = [self._difference_sentence()]
        if self.verdict == NO_DIFFERENCE:
            parts += _needed_sentence(self.samples_needed, self.n, self.compared)
        if self.measure == "right answers":
            parts += self._votes_sentence()
        elif self.accuracy_difference is not None:
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
        unknown = {"difference": math.nan, "low": -math.inf, "high": math.inf, "error": math.nan}
        for key, missing in unknown.items():
            known[key] = missing if known.get(key) is None else known[key]
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
        needed = []
        if self.accuracy_verdict == NO_DIFFERENCE:
            needed = _needed_sentence(self.answers_needed, self.answered or self.n, self.compared)
        return " ".join([text, *self._votes_sentence(), *needed])

    def _votes_sentence(self) -> list[str]:
        """What the groups say of right answers, where there are any: that is what is tested."""
        if self.clusters is None or self.votes_candidate is None or self.votes_reference is None:
            return []
        said = (
            f"Each group has one vote: {self.votes_candidate:,} for {self.name}, "
            f"{self.votes_reference:,} for {self.reference}."
        )
        if self.votes_disagree:
            said += (
                " All answers together go another way, as groups differ in size: a difference is shown only "
                "where both agree."
            )
        return [said]


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


def _needed_sentence(needed: int | None, samples: int, compared: int) -> list[str]:
    if needed is None or needed <= samples:
        return []
    if needed > _MANY:
        count = "more than a million"
    else:
        step = 10 ** max(0, len(str(needed)) - 2)
        count = f"about {step * round(needed / step):,}"
    among = f" among {compared} compared (p ≤ {LEVEL:g} / {compared})" if compared > 1 else ""
    return [f"A difference of this size would take {count} samples to show{among}."]
