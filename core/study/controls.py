"""Other ways to the same effect as the best merge, and how far each of them explains its gain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from core.cancel import CancelToken
from core.evaluate.verdict.comparing import compare
from core.evaluate.verdict.comparison import HELPS, HURTS, NO_DIFFERENCE, Comparison
from core.study.rows import MeasuredRow
from core.study.table import Table
from core.study.values import StudyRow

__all__ = ["Cause", "Control", "best_beside_controls"]

_SMALL_SHARE = 0.25
"""A control that may be behind by less than this share of the gain does as much as the merge."""


@dataclass(frozen=True)
class Cause:
    """What a gain is where a control does as much.

    Attributes:
        gain: as "distance from the base", after "the gain may be".
        instead: what it is not then, as ", not choice", after "here the gain is …".
    """

    gain: str
    instead: str = ""


_AVERAGING = Cause("that of averaging", ", not of choice")
_FLOAT32_AVERAGES = ("average-float32", "float32-average")


@dataclass(frozen=True)
class Control:
    """A control beside the best merge.

    Attributes:
        words: what it is, as "the median single model with its task vector × 1.25".
        cause: what the gain is if this does as much; None where nothing is known of that.
        row: of the table, with its comparisons with the median single model.
        beside: it, compared with the best merge: below 0 where the control is better.
    """

    words: str
    cause: Cause | None
    row: StudyRow
    beside: Comparison

    @property
    def is_better(self) -> bool:
        """Whether it is shown to be better than the merge."""
        return self.beside.verdict == HELPS

    @property
    def helps(self) -> bool:
        """Whether it is shown to be better than the median single model."""
        return self.row.comparison is not None and self.row.comparison.verdict == HELPS

    @property
    def may_do_as_much(self) -> bool:
        """Whether it is shown to help, and not shown to differ from the merge."""
        return self.helps and self.beside.verdict == NO_DIFFERENCE

    def does_nearly_as_much(self, gain: Comparison) -> bool:
        """Whether it helps, and is behind the merge by a quarter of its gain at the very most.

        That it is merely not told from the merge is no proof: few samples tell nothing apart.

        Args:
            gain: the best merge, compared with the median single model.
        """
        known = self.beside.verdict in (NO_DIFFERENCE, HURTS) and self.beside.unit == gain.unit
        return self.helps and known and self.beside.high < _SMALL_SHARE * abs(gain.difference)

    def share_of(self, gain: Comparison) -> float | None:
        """The share of the merge's gain that it reaches; None where that is not known."""
        own = self.row.comparison
        if own is None or own.unit != gain.unit or not gain.difference < 0:
            return None
        return own.difference / gain.difference


def best_beside_controls(
    table: Table, rows: Sequence[StudyRow], *, groups: Sequence[str] | None, cancel: CancelToken
) -> tuple[Control, ...]:
    """The best merge's controls, compared with it by sample.

    The controls of an average are single models: the best of them, one before it was rounded, one whose task
    vector is scaled. Those of a selection are averages too.

    Args:
        rows: of the same table, compared with the median single model.
    """
    best = table.best_merge
    if best is None:
        return ()
    found = {row.key: row for row in rows}

    by_key = {row.key: row for row in table.rows}

    def beats(key: str, plain: str) -> bool:
        """Of what is of float32 sub-models only where all have a twin: fewer are not the same models."""
        one, other = by_key.get(key), by_key.get(plain)
        twins = by_key.get("float32-single")
        whole = twins is None or len(twins.members) == len(table.singles)
        if one is None or other is None or (key.startswith("float32-") and not whole):
            return False
        (between,) = compare(other.scores, [one.scores], groups=groups, cancel=cancel)
        return between.verdict == HELPS

    asked = [(row, *said) for row in table.rows if (said := _words(row, best, table, beats)) is not None]
    compared = compare(best.scores, [row.scores for row, *_ in asked], groups=groups, cancel=cancel)
    controls = [
        Control(words, cause, found[row.key], comparison)
        for (row, words, cause), comparison in zip(asked, compared, strict=True)
    ]
    if any(one.row.key == "average" and (one.is_better or one.may_do_as_much) for one in controls):
        # it pays for rounding, and does as much: that is not what the gain is, then
        controls = [
            replace(one, cause=_AVERAGING) if one.row.key in _FLOAT32_AVERAGES else one for one in controls
        ]
    return tuple(controls)


def _words(
    row: MeasuredRow, best: MeasuredRow, table: Table, beats: Callable[[str, str], bool]
) -> tuple[str, Cause | None] | None:
    """What a control is called in a sentence, and what it means; None of what is no control of `best`.

    Args:
        beats: whether the row of one key is shown to be better than that of another.
    """
    is_average = {*(best.chosen_rows or (best.key,))} <= {"average", "soup"}
    factors = dict.fromkeys(table.lambdas.get(row.key, ()))
    scaled = f"with its task vector × {' or '.join(f'{factor:g}' for factor in factors)}"
    distance = Cause("distance from the base", ", not averaging" if is_average else ", not choice")
    match row.key:
        case "best-single":
            if {member.model.key for member in row.members} == {table.reference.model.key}:
                return None  # the reference itself
            one_good = Cause("that of one good sub-model", ", not of merging")
            return "the best single model (by halves)", one_good
        case "single-scaled" if list(factors) != [1.0]:
            return f"the median single model {scaled}", distance
        case "float32-single":
            costs = Cause("what rounding costs a single model", ", not what merging gains")
            return "a single model before it was rounded", costs if beats(row.key, "single") else None
    if is_average:
        return None  # the others are averages, too
    match row.key:
        case "average":
            return "the average", _AVERAGING
        case "average-scaled" if list(factors) != [1.0]:
            return f"the average {scaled}", distance
        case "average-float32" | "float32-average":
            kept = "kept in float32" if row.key == "average-float32" else "of sub-models in float32"
            costs = Cause("what rounding costs the average", ", not choice")
            return f"the average {kept}", costs if beats(row.key, "average") else _AVERAGING
    return None
