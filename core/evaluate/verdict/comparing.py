"""Does it help? Models compared on the same samples, and what can be told from noise.

Every candidate is compared with one reference by the differences of the two on each sample. That is what
makes small differences visible: most of the spread of losses is between samples, and both models have it
alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.evaluate.statistics.holm import holm
from core.evaluate.statistics.intervals import LEAST_UNITS, Interval, paired_intervals
from core.evaluate.statistics.mcnemar import discordance, exact_p, mid_p, net_interval
from core.evaluate.statistics.power import answers_needed, samples_needed
from core.evaluate.statistics.resampling import MOST_RESAMPLES, groups_as_numbers
from core.evaluate.verdict.comparison import HELPS, HURTS, LEVEL, NO_DIFFERENCE, TOO_FEW, Comparison
from core.evaluate.verdict.pairing import Pair, SampleValues, pair_up, samples_of

if TYPE_CHECKING:
    from core.evaluate.scores import Scores

__all__ = ["adjusted_together", "compare", "readjusted"]

_OF_SAMPLES = "The interval is of the mean over samples, and the verdict by the votes of groups."


def compare(
    reference: Scores | SampleValues,
    candidates: Sequence[Scores | SampleValues],
    *,
    groups: Sequence[str] | None = None,
    cancel: CancelToken | None = None,
) -> tuple[Comparison, ...]:
    """Each candidate beside the reference, in the order given; p-values are adjusted for all of them.

    What is compared is the loss; bits a byte where two language models have different tokenizers; right
    answers where no model has a loss. A sample counts where both models have a finite number for it and were
    given the same text. A candidate that has none where the reference has one never "helps".

    Args:
        groups: of each sample, [N]: samples of one group are not independent of one another (sentences of one
            text). Then groups are what is drawn and counted, and in McNemar's test each has one vote.

    Raises:
        IncompatibleError: they are not comparable: other data, other rows, a classifier and a language model.
        DataError: there is not one group for each sample, or the data's digest is none.
        Cancelled: `cancel` was.
    """
    pairs = [pair_up(reference, candidate) for candidate in candidates]
    numbers = groups_as_numbers(groups, samples_of(reference))
    units = [pair.units(numbers) for pair in pairs]
    intervals = paired_intervals(units, reference.data_digest, cancel=cancel)
    compared = [
        _compared(pair, interval, numbers, grouped=groups is not None)
        for pair, interval in zip(pairs, intervals, strict=True)
    ]
    adjusted = holm([one.p for one in compared])
    answers = iter(holm([one.mcnemar_p for one in compared if one.mcnemar_p is not None]))
    return tuple(
        _judged(one, p_holm, None if one.mcnemar_p is None else next(answers), len(compared), interval, pair)
        for one, p_holm, interval, pair in zip(compared, adjusted, intervals, pairs, strict=True)
    )


def adjusted_together(several: Sequence[Sequence[Comparison]]) -> tuple[tuple[Comparison, ...], ...]:
    """What several calls of `compare` found, adjusted for all of it: a call of its own for each of ten tasks
    is ten chances of one in twenty."""
    every = [one for found in several for one in found]
    adjusted = iter(holm([one.p for one in every]))
    answers = iter(holm([one.mcnemar_p for one in every if one.mcnemar_p is not None]))
    return tuple(
        tuple(
            readjusted(
                one, next(adjusted), None if one.mcnemar_p is None else next(answers), compared=len(every)
            )
            for one in found
        )
        for found in several
    )


def readjusted(one: Comparison, p_holm: float, mcnemar_p_holm: float | None, *, compared: int) -> Comparison:
    """The same among more candidates than it was adjusted for: what was shown may be shown no more.

    Args:
        p_holm, mcnemar_p_holm: as adjusted for all of them; not less than they were.
        compared: how many there are.
    """

    def still(verdict: str, p: float) -> str:
        return NO_DIFFERENCE if verdict in (HELPS, HURTS) and p > LEVEL else verdict

    answers = one.accuracy_verdict
    if answers is not None and mcnemar_p_holm is not None:
        answers = still(answers, mcnemar_p_holm)
    return dataclasses.replace(
        _among(one, compared),
        p_holm=p_holm,
        mcnemar_p_holm=mcnemar_p_holm,
        verdict=still(one.verdict, p_holm),
        accuracy_verdict=answers,
    )


def _among(one: Comparison, compared: int) -> Comparison:
    """The same with the samples that it takes where so many are compared."""
    needed = samples_needed(one.difference, one.error, one.clusters or one.n, one.n, compared=compared)
    for_reference, for_candidate, voters = one.votes_reference, one.votes_candidate, one.voters
    if for_reference is None or for_candidate is None or voters is None:
        return dataclasses.replace(one, compared=compared, samples_needed=needed)
    answers = None
    if not one.votes_disagree:
        answers = answers_needed(for_reference, for_candidate, voters, one.answered or 0, compared=compared)
    by_votes = one.measure == "right answers"
    return dataclasses.replace(
        one, compared=compared, samples_needed=answers if by_votes else needed, answers_needed=answers
    )


def _compared(pair: Pair, interval: Interval, numbers: NDArray[np.intp], *, grouped: bool) -> Comparison:
    """Without what depends on the other candidates."""
    n = int(pair.counts.sum())
    notes = pair.notes
    if 0 < interval.resamples < MOST_RESAMPLES:
        notes += (f"{interval.resamples:,} resamples instead of {MOST_RESAMPLES:,}, for the many samples.",)
    one = Comparison(
        name=pair.candidate.name,
        reference=pair.reference.name,
        n=n,
        clusters=interval.units if grouped else None,
        measure=pair.candidate.measure,
        difference=interval.mean,
        low=interval.low,
        high=interval.high,
        p=interval.p,
        p_holm=interval.p,
        verdict=TOO_FEW,
        samples_needed=None,
        error=interval.error,
        unit=pair.candidate.unit,
        higher_is_better=pair.candidate.higher_is_better,
        resamples=interval.resamples,
        left_out=pair.left_out,
        notes=notes,
    )
    reference, candidate = pair.reference.correct, pair.candidate.correct
    if reference is None or candidate is None or not len(reference):
        return one
    found = discordance(reference, candidate, numbers)
    exact = exact_p(found.units_reference, found.units_candidate)
    voters = int(numbers.max()) + 1
    if one.measure == "right answers":
        one = dataclasses.replace(one, p=exact)
        if not grouped:
            low, high = net_interval(found.only_reference, found.only_candidate, len(reference))
            one = dataclasses.replace(one, low=low, high=high)
        else:
            one = dataclasses.replace(one, notes=(*notes, _OF_SAMPLES))
    return dataclasses.replace(
        one,
        accuracy_difference=(found.only_candidate - found.only_reference) / len(reference),
        mcnemar_p=exact,
        mcnemar_mid_p=mid_p(found.units_reference, found.units_candidate),
        only_reference_right=found.only_reference,
        only_candidate_right=found.only_candidate,
        votes_reference=found.units_reference,
        votes_candidate=found.units_candidate,
        voters=voters,
        answered=len(reference),
        accuracy_verdict=TOO_FEW if voters < LEAST_UNITS else NO_DIFFERENCE,
    )


def _judged(
    one: Comparison,
    p_holm: float,
    mcnemar_p_holm: float | None,
    compared: int,
    interval: Interval,
    pair: Pair,
) -> Comparison:
    verdict = TOO_FEW
    if interval.units >= LEAST_UNITS:
        verdict = _verdict(one.difference if one.higher_is_better else -one.difference, p_holm)
        if one.measure == "right answers" and one.votes_disagree:
            verdict = NO_DIFFERENCE
        if verdict == HELPS and pair.candidate_lacks:
            verdict = NO_DIFFERENCE
            one = dataclasses.replace(
                one,
                notes=(*one.notes, f"That is why {one.name} is not said to help, whatever the rest shows."),
            )
    answers = one.accuracy_verdict
    tested = one.accuracy_difference is not None and mcnemar_p_holm is not None and not one.votes_disagree
    if answers == NO_DIFFERENCE and tested:
        answers = _verdict(one.accuracy_difference or 0.0, mcnemar_p_holm or 0.0)
    return dataclasses.replace(
        _among(one, compared),
        p_holm=p_holm,
        mcnemar_p_holm=mcnemar_p_holm,
        verdict=verdict,
        accuracy_verdict=answers,
    )


def _verdict(gain: float, p: float) -> str:
    if p > LEVEL or gain == 0:
        return NO_DIFFERENCE
    return HELPS if gain > 0 else HURTS
