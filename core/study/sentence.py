"""What the table says, in plain words: whether the best merge helps, and whether a control does as much."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from core.evaluate.verdict.comparison import (
    HELPS,
    HURTS,
    LEVEL,
    NO_DIFFERENCE,
    TOO_FEW,
    Comparison,
    difference_text,
    signed,
)
from core.study.controls import Control
from core.study.samples import samples_text
from core.study.values import StudyRow

__all__ = ["study_sentence"]

_MEDIAN = "the median single model"
_WORTH_NAMING = 0.5
"""A control that reaches this share of a gain is named, also where it is not the best of them."""

_ALL = 0.995
"""Of a gain: what is written as 100 %."""


def study_sentence(best: StudyRow | None, controls: Sequence[Control]) -> str:
    """What the table says.

    A control explains the gain where it is better than the merge, or shown to help and not far behind it at
    the very most. Where it is merely not told from the merge, it may explain the gain, and the sentence names
    the samples. A control that is told neither from the merge nor from the median single model explains
    nothing and leaves the question open, which is said as well. All controls are looked at. What is shown of
    right answers and own scores stands beside each model that is named.

    Args:
        best: the row of the best merge; None where nothing was merged.
        controls: of the best merge.
    """
    if best is None or best.comparison is None:
        return "Nothing was merged."
    comparison = best.comparison
    name = best.title[:1].lower() + best.title[1:]
    if not isfinite(comparison.difference):
        return f"The best merge, {name}, shares no sample with {_MEDIAN} that both can be compared on."
    known = sorted(
        (control for control in controls if isfinite(control.beside.difference)),
        key=lambda one: one.beside.difference,
    )
    said = difference_text(comparison, unit=True)
    samples = samples_text(comparison.n, comparison.clusters)
    if comparison.verdict == TOO_FEW:
        return f"{samples} are too few to say whether {name} helps: it differs from {_MEDIAN} by {said}."
    if comparison.verdict == HURTS:
        raised = difference_text(comparison, unit=True, sign=False)
        text = f"No merge helps: the best, {name}, raises the loss by {raised} against {_MEDIAN}"
        return f"{text}{_other_measures(best)}.{_helping_control(known)}"
    if comparison.verdict != HELPS:
        noise = _alone(comparison) or f"which {samples} cannot tell from noise"
        text = f"No merge is shown to help: the best, {name}, differs from {_MEDIAN} by {said}, {noise}"
        return f"{text}{_other_measures(best)}.{_helping_control(known)}"
    lowered = difference_text(comparison, unit=True, sign=False)
    gain = f"{best.title[:1].upper()}{best.title[1:]} lowers the loss by {lowered} against {_MEDIAN}"
    return f"{gain}{_other_measures(best)}.{_controls_text(comparison, known)}"


def _controls_text(gain: Comparison, controls: Sequence[Control]) -> str:
    """What follows the gain; of the controls, the best one first."""
    if not controls:
        return ""
    explaining = [
        one for one in controls if one.is_better or one.may_do_as_much or one.does_nearly_as_much(gain)
    ]
    # what is shown before what is not told apart
    explaining.sort(key=lambda one: (not one.is_better, not one.does_nearly_as_much(gain)))
    if explaining:
        return _explained(gain, explaining)
    open_ones = [one for one in controls if one.beside.verdict == NO_DIFFERENCE]
    if open_ones:
        first = open_ones[0].beside
        named = _listed([f"{_named(one)}, {_differing(one)}" for one in open_ones])
        itself = "That is" if len(open_ones) == 1 else "These are"
        counted = samples_text(first.n, first.clusters)
        return (
            f" {counted} cannot tell it from {named}. {itself} not shown to help either: whether a control "
            "explains the gain is open."
        )
    few = next((one for one in controls if one.beside.verdict == TOO_FEW), None)
    if few is not None:
        counted = samples_text(few.beside.n, few.beside.clusters)
        return f" {counted} are too few to compare it with {few.words}."
    best, *others = controls
    behind = difference_text(best.beside, unit=True, sign=False)
    text = f" No control explains it: the best of them, {_named(best)}, is worse by {behind}"
    text += f" and {_reaching(best, gain)}." if best.share_of(gain) is not None else "."
    for other in others:
        if (other.share_of(gain) or 0.0) >= _WORTH_NAMING:
            text += f" {_capital(_named(other))} {_reaching(other, gain)}."
    return text


def _explained(gain: Comparison, controls: Sequence[Control]) -> str:
    """One cause alone is said to be that of the gain: of two that do as much, neither is shown to be it."""
    text, asserted = "", False
    said: set[str] = set()
    for number, one in enumerate(controls):
        text += f" {'And' if number else 'But'} {_as_much(one, gain)}."
        if one.cause is None or one.cause.gain in said:
            continue
        said.add(one.cause.gain)
        if asserted:
            text += f" The gain may also be {one.cause.gain}."
        elif one.is_better or one.does_nearly_as_much(gain):
            part = "most of the gain" if one.beside.verdict == HURTS else "the gain"
            text += f" Here {part} is {one.cause.gain}{one.cause.instead}."
            asserted = True
        else:
            text += f" The gain may {'also ' if len(said) > 1 else ''}be {one.cause.gain}."
    return text


def _as_much(control: Control, gain: Comparison) -> str:
    beside = control.beside
    if control.is_better:
        size = difference_text(beside, interval=False, sign=False)
        return f"{control.words} lowers it by {size} {beside.unit} more{_other_measures(control.row)}"
    if beside.verdict == HURTS:
        return f"{_named(control)} {_reaching(control, gain)}, {_differing(control)}"
    counted = samples_text(beside.n, beside.clusters)
    share = control.share_of(gain)
    part = f" ({100 * share:.0f} % of it)" if share is not None and share < _ALL else ""
    return f"so does {_named(control)}{part}, as far as {counted} show, {_differing(control)}"


def _named(control: Control) -> str:
    other = _other_measures(control.row)
    return f"{control.words} ({other[2:]})" if other else control.words


def _reaching(control: Control, gain: Comparison) -> str:
    """ "reaches 81 % of it"."""
    share = control.share_of(gain) or 0.0
    return f"reaches {100 * share:.0f} % of it" if share > 0 else "reaches none of it"


def _helping_control(controls: Sequence[Control]) -> str:
    """Where no merge helps, a control may."""
    one = next((control for control in controls if control.helps), None)
    if one is None:
        return ""
    lowered = difference_text(one.row.comparison, unit=True, sign=False)
    return f" {_capital(one.words)} does: it lowers the loss by {lowered}{_other_measures(one.row)}."


def _differing(control: Control) -> str:
    alone = _alone(control.beside)
    return f"with a difference of {difference_text(control.beside, unit=True)}{', ' if alone else ''}{alone}"


def _alone(one: Comparison) -> str:
    """Where an interval leaves zero out and no difference is shown, why; else ""."""
    if one.verdict != NO_DIFFERENCE or one.p > LEVEL or one.p_holm <= LEVEL:
        return ""
    return f"alone it would be shown, among {one.compared} compared it is not"


def _other_measures(row: StudyRow) -> str:
    """What is shown of right answers and of own scores: "; right answers: hurts (−9.0 points)"."""
    loss, answers, own = row.comparison, row.accuracy_comparison, row.score_comparison
    text = ""
    if answers is not None and answers.verdict in (HELPS, HURTS):
        text += f"; right answers: {answers.verdict} ({signed(100 * answers.difference, 1)} points)"
    elif (
        loss is not None and loss.accuracy_verdict in (HELPS, HURTS) and loss.accuracy_difference is not None
    ):
        points = signed(100 * loss.accuracy_difference, 1)
        text += f"; right answers: {loss.accuracy_verdict} ({points} points)"
    if own is not None and own.verdict in (HELPS, HURTS):
        text += f"; score: {own.verdict} ({difference_text(own, interval=False)})"
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
