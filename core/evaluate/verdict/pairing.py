"""Two models' numbers on the same samples, made comparable, or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.errors import IncompatibleError
from core.evaluate.statistics.intervals import Units, units_of

if TYPE_CHECKING:
    from core.evaluate.scores import Scores

__all__ = ["Pair", "SampleValues", "pair_up", "samples_of"]

_SHOWN_LINES = 5


@dataclass(frozen=True, eq=False)
class SampleValues:
    """One number a sample, from wherever: the mean over seeds, an own scoring command.

    Attributes:
        name: what to call it.
        values: [N], not finite where there is none.
        data_digest: of the data, 32 hex digits: what resamples are drawn by.
        correct: whether the answer is right, [N]; None where nobody looked.
        measure, unit: of the values, as in Comparison.
        higher_is_better: whether a larger value is a better one.
    """

    name: str
    values: NDArray[np.float64]
    data_digest: str
    correct: NDArray[np.bool_] | None = None
    measure: str = "loss"
    unit: str = "nats a token"
    higher_is_better: bool = False


@dataclass(frozen=True, eq=False)
class Pair:
    """Both models on the same samples, in one measure.

    Attributes:
        counts: which samples the difference is the mean of, [N].
        notes: sentences on those that are left out, and on the measure.
        left_out: how many have no finite number.
        candidate_lacks: whether the candidate has none where the reference has one.
    """

    reference: SampleValues
    candidate: SampleValues
    counts: NDArray[np.bool_]
    notes: tuple[str, ...]
    left_out: int
    candidate_lacks: bool

    def units(self, numbers: NDArray[np.intp]) -> Units:
        """The differences, candidate − reference, given the unit of each sample, [N]."""
        differences = self.candidate.values[self.counts] - self.reference.values[self.counts]
        return units_of(differences, numbers[self.counts])


def pair_up(reference: Scores | SampleValues, candidate: Scores | SampleValues) -> Pair:
    """Both in the measure in which they can be compared.

    Raises:
        IncompatibleError: there is none, or they are not of the same samples.
    """
    _refuse_other_data(reference, candidate)
    if isinstance(reference, SampleValues) or isinstance(candidate, SampleValues):
        notes: tuple[str, ...] = ()
        same_text = np.ones(samples_of(reference), bool)
        first, second = (
            one if isinstance(one, SampleValues) else _values_of(one, "loss")
            for one in (reference, candidate)
        )
        expected = np.isfinite(first.values) | np.isfinite(second.values)
    else:
        measure, notes = _measure_for(reference, candidate)
        first, second = _values_of(reference, measure), _values_of(candidate, measure)
        expected = (reference.tokens > 0) | (candidate.tokens > 0)
        same_text = (
            (_given_bytes(reference) == _given_bytes(candidate)) | ~expected
            if reference.task == "causal"
            else np.ones(len(expected), bool)
        )
        notes += _unlike_note(reference, candidate, int((~same_text).sum()))
        if (
            measure == "bits a byte"
            and ((reference.text_bytes != candidate.text_bytes) & expected & same_text).any()
        ):
            notes += ("A text's first token counts only where the tokenizer puts a token before it.",)
    if (first.unit, first.higher_is_better) != (second.unit, second.higher_is_better):
        raise IncompatibleError(
            f"{first.name} is measured in {first.unit} and {second.name} in {second.unit}",
            hint="measure both in the same way",
        )
    finite = np.isfinite(first.values) & np.isfinite(second.values)
    lost = expected & same_text & ~finite
    notes += _lost_note(reference, first, second, lost)
    return Pair(
        first,
        second,
        finite & same_text,
        notes,
        int(lost.sum()),
        bool((np.isfinite(first.values) & ~np.isfinite(second.values) & same_text).any()),
    )


def _refuse_other_data(reference: Scores | SampleValues, candidate: Scores | SampleValues) -> None:
    rows, others = samples_of(reference), samples_of(candidate)
    hint = "score both on the same data, with the same settings"
    if reference.data_digest != candidate.data_digest:
        raise IncompatibleError(f"{candidate.name} was scored on other data than {reference.name}", hint=hint)
    if rows != others:
        raise IncompatibleError(
            f"{candidate.name} has {others:,} samples and {reference.name} {rows:,}", hint=hint
        )
    if isinstance(reference, SampleValues) or isinstance(candidate, SampleValues):
        return
    if not np.array_equal(reference.lines, candidate.lines):
        raise IncompatibleError(
            f"{candidate.name} was scored on other rows of the data than {reference.name}", hint=hint
        )
    if reference.task != candidate.task:
        kinds = {"classifier": "a classifier", "causal": "a language model"}
        one, other = (kinds.get(scores.task, scores.task) for scores in (candidate, reference))
        raise IncompatibleError(
            f"{candidate.name} is {one} and {reference.name} is {other}: their losses are different things",
            hint="compare models of one kind",
        )


def _measure_for(reference: Scores, candidate: Scores) -> tuple[str, tuple[str, ...]]:
    if not np.isfinite(reference.loss).any() and not np.isfinite(candidate.loss).any():
        if reference.correct is not None and candidate.correct is not None:
            return "right answers", ()
        return "loss", ()
    one, other = reference.tokenizer_digest, candidate.tokenizer_digest
    if reference.task != "causal" or not one or not other or one == other:
        return "loss", ()
    return "bits a byte", (
        "The tokenizers differ, so that losses a token are not comparable: bits a byte are compared.",
    )


def _values_of(scores: Scores, measure: str) -> SampleValues:
    if measure == "right answers" and scores.correct is not None:
        values, unit = scores.correct.astype(np.float64), "of the answers"
    elif measure == "bits a byte":
        values, unit = scores.bits_per_byte, "bits a byte"
    else:
        values, unit = scores.loss, scores.loss_unit
    higher = measure == "right answers"
    return SampleValues(scores.name, values, scores.data_digest, scores.correct, measure, unit, higher)


def samples_of(scores: Scores | SampleValues) -> int:
    """N, those included for which there is no number."""
    return len(scores.values if isinstance(scores, SampleValues) else scores.loss)


def _given_bytes(scores: Scores) -> NDArray[np.int64]:
    return scores.text_bytes if scores.given_bytes is None else scores.given_bytes


def _unlike_note(reference: Scores, candidate: Scores, count: int) -> tuple[str, ...]:
    if not count:
        return ()
    which = "One sample is" if count == 1 else f"{count:,} samples are"
    return (
        f"{which} left out of which {reference.name} and {candidate.name} were given different parts: "
        "score both with a greatest length that both allow.",
    )


def _lost_note(
    reference: Scores | SampleValues, first: SampleValues, second: SampleValues, lost: NDArray[np.bool_]
) -> tuple[str, ...]:
    if not lost.any():
        return ()
    of = [one.name for one in (second, first) if (lost & ~np.isfinite(one.values)).any()]
    count = int(lost.sum())
    which = "One sample is" if count == 1 else f"{count:,} samples are"
    lines = "" if isinstance(reference, SampleValues) else f" ({_lines_text(reference.lines[lost])})"
    return (f"{which} left out for which {' and '.join(of)} gave no finite number{lines}.",)


def _lines_text(lines: NDArray[np.int64]) -> str:
    shown = ", ".join(str(line) for line in lines[:_SHOWN_LINES].tolist())
    return f"line{'s' if len(lines) > 1 else ''} {shown}{', …' if len(lines) > _SHOWN_LINES else ''}"
