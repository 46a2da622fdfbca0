"""How many samples a study has, in words, and whether they are enough."""

from __future__ import annotations

from core.data.rows import DataSet
from core.errors import DataError
from core.evaluate.statistics.intervals import LEAST_UNITS

__all__ = ["few_units_note", "samples_text"]

_LEAST_FOR_HALVES = 2


def samples_text(samples: int, groups: int | None) -> str:
    """ "1,000 samples in 337 groups": wherever a study says how many there are.

    Args:
        groups: that they belong to; None where each stands for itself.
    """
    text = f"{samples:,} sample{'' if samples == 1 else 's'}"
    return text if groups is None else f"{text} in {groups:,} group{'' if groups == 1 else 's'}"


def few_units_note(validation: DataSet) -> str:
    """A sentence where the data have too few samples to say anything; "" where they have enough.

    Groups are what counts where there are any. It can be asked before anything is measured.

    Raises:
        DataError: there are too few to choose on one half and to measure on the other.
    """
    groups = None if validation.groups is None else len(set(validation.groups))
    units = len(validation.rows) if groups is None else groups
    counted = samples_text(len(validation.rows), groups)
    if units < _LEAST_FOR_HALVES:
        what = "rows" if groups is None else "groups"
        raise DataError(
            f"{validation.path} has too few {what} ({counted}): half of them are chosen on, and half "
            "measured on",
            hint=f"give 2 {what} or more; below {LEAST_UNITS} nothing can be said of any merge",
            path=validation.path,
            field="validation",
        )
    if units < LEAST_UNITS:
        what = "samples" if groups is None else "groups"
        return (
            f"{validation.path.name} has {counted}: too few to say whether a merge helps, which takes "
            f"{LEAST_UNITS} {what} or more"
        )
    return ""
