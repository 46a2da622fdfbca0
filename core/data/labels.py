"""The labels of a data set as the classes of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.data.rows import DataSet
from core.errors import DataError
from core.text import nearest, shown

__all__ = ["class_numbers"]


def class_numbers(data: DataSet, labels: Sequence[str]) -> Mapping[str, int]:
    """The number of the class of each label in the data.

    A label is one of the model's, whatever its case; where none of the data's is, each is the number of one.

    Raises:
        DataError: there is no class for some of them.
    """
    exact = {label: number for number, label in enumerate(labels)}
    folded: dict[str, int] = {}
    for number, label in enumerate(labels):
        folded[label.casefold()] = -1 if label.casefold() in folded else number
    by_number = {str(number): number for number in range(len(labels))}
    given = dict.fromkeys(row.label or "" for row in data.rows)

    def number_of(label: str) -> int | None:
        if label in exact:
            return exact[label]
        found = folded.get(label.casefold(), -1)
        return found if found >= 0 else None

    numbers = {label: number_of(label) for label in given}
    if all(number is None for number in numbers.values()):
        numbers = {label: by_number.get(label) for label in given}
    unknown = [label for label, number in numbers.items() if number is None]
    if unknown:
        line = next(row.line for row in data.rows if row.label == unknown[0])
        more = f" (and {len(unknown) - 1} more labels)" if len(unknown) > 1 else ""
        raise DataError(
            f"{data.path}: line {line} has the label {shown(unknown[0])}{more}, which the model has not: "
            f"it has {', '.join(map(shown, labels[:10]))}{', …' if len(labels) > 10 else ''}",
            hint=nearest(unknown[0], labels) or "name its classes, or give their numbers from 0",
            path=data.path,
            field="data",
        )
    return {label: number for label, number in numbers.items() if number is not None}
