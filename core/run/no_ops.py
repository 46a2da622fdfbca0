"""What a finished merge counted that says it did nothing, or not what was wanted. Nothing is read for it."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from statistics import median, median_low

from core.run.record import RunRecord, TensorRecord
from core.units import share_text

__all__ = ["not_looked_at", "orthogonal", "out_of_proportion", "result_warnings"]

_NOTABLE = 0.01
"""Of the elements, or of the tensors: fewer that nobody changed are how fine-tuning is."""

_FEW_TENSORS = 0.5

_OUT_OF_PROPORTION = 10.0
"""Times as long as the others, or as short."""

_ORTHOGONAL, _RELATED = 0.02, 0.1
"""Cosines below and above which task vectors go their own ways, or some way together."""


def result_warnings(record: RunRecord, untouched: Container[str] = ()) -> list[str]:
    """Sentences about a merge whose result, or a part of it, is no merge; none where nothing was counted.

    Args:
        record: of the merge.
        untouched: tensors that nobody expects to be changed, as no adapter goes on them.
    """
    names = [entry.name for entry in record.inputs if entry.role == "sub-model"]
    tensors = [tensor for tensor in record.tensors if tensor.action == "merged" and tensor.elements]
    counted = [tensor for tensor in tensors if tensor.zero_delta and tensor.changed_by]
    if not counted:
        return []
    elements = sum(tensor.elements for tensor in counted)
    tolerance = record.recipe.get("zero_tolerance")
    nearly = f" up to the zero_tolerance of {tolerance:g}" if isinstance(tolerance, int | float) else ""
    if sum(_unchanged(tensor) for tensor in counted) == elements:
        return [
            f"no sub-model changed anything: all {elements:,} merged numbers of each are the base's{nearly}, "
            "and so is the result"
        ]
    warnings = [
        f"{name} is the base{nearly} in every merged number: 100.0 % of its {elements:,} deltas are zero"
        + _but_copies(name, record)
        for at, name in enumerate(names)
        if sum(_zeros(tensor, at) for tensor in counted) == elements
    ]
    if len(counted) == len(tensors):
        warnings += _equal_to_one(names, counted, elements, exact=not nearly)
    return warnings + _unchanged_tensors(counted, elements, nearly, untouched)


def not_looked_at(record: RunRecord) -> tuple[str, ...]:
    """What could not be seen in what the merge counted, as sentences."""
    unseen = []
    roles = [entry.role for entry in record.inputs]
    if "base" in roles and roles.count("sub-model") > 1:
        unseen.append(
            "whether a task vector is out of proportion to the others, or orthogonal to them, was not looked "
            "at: a merge does not measure that, which `paramosaic inspect --details` does"
        )
    merged = [tensor for tensor in record.tensors if tensor.action == "merged" and tensor.elements]
    if any(tensor.zero_delta is None for tensor in merged):
        unseen.append(
            "whether a sub-model is equal to the base was not looked at: "
            f"{record.recipe.get('merge_method')} does not count deltas, which `paramosaic inspect` does"
        )
    return tuple(unseen)


def out_of_proportion(
    names: Sequence[str], norms: Sequence[float], cosines: Sequence[Sequence[float]], seen: str
) -> list[str]:
    """Sentences about sub-models whose task vector is not like the others'.

    Args:
        names: of the K sub-models.
        norms: of their task vectors. [K]
        cosines: between them. [K, K]
        seen: of what that is known, as "1.2 % of all elements".
    """
    warnings = []
    lengths = [norm for norm in norms if 0 < norm < math.inf]
    for at, name in enumerate(names):
        if norms[at] not in lengths or len(lengths) < 2:
            continue
        usual = median_low(lengths)  # where half of them are much longer than the rest, it is they that are
        factor = norms[at] / usual
        if factor >= _OUT_OF_PROPORTION or (len(lengths) > 2 and factor <= 1 / _OUT_OF_PROPORTION):
            unlike = "the other one" if len(lengths) == 2 else "is usual here"
            warnings.append(
                f"the task vector of {name} is {factor:,.3g} times as long as {unlike} ({norms[at]:.3g} and "
                f"{usual:.3g} in {seen}): was it fine-tuned from this base?"
            )
    warnings += [
        f"the task vector of {names[at]} is nearly orthogonal to all others: cosines of at most {most:.3f}, "
        f"where theirs with one another are {among:.2f} ({seen}): was it fine-tuned from this base?"
        for at, most, among in orthogonal(cosines)
    ]
    return warnings


def orthogonal(cosines: Sequence[Sequence[float]]) -> list[tuple[int, float, float]]:
    """Task vectors that go their own way where the others go some way together.

    Args:
        cosines: of each two of them. [K, K]

    Returns the number of each, its largest cosine with another, and the median of those among the others.
    """
    found = []
    models = range(len(cosines))
    for at in models:
        mine = [abs(cosines[at][other]) for other in models if other != at]
        theirs = [abs(cosines[i][j]) for i in models for j in models if i < j and at not in (i, j)]
        if not theirs or not all(map(math.isfinite, [*mine, *theirs])):
            continue
        if max(mine) < _ORTHOGONAL and median(theirs) >= _RELATED:
            found.append((at, max(mine), median(theirs)))
    return found


def _unchanged(tensor: TensorRecord) -> int:
    return tensor.changed_by[0] if tensor.changed_by is not None else 0


def _zeros(tensor: TensorRecord, model: int) -> int:
    return tensor.zero_delta[model] if tensor.zero_delta is not None else 0


def _but_copies(name: str, record: RunRecord) -> str:
    differing = sum(name in tensor.differs_in for tensor in record.tensors)
    if not differing:
        return ""
    tensors = "copied tensor of it differs" if differing == 1 else "copied tensors of it differ"
    return f"; {differing:,} {tensors}, and the base's were taken"


def _equal_to_one(
    names: Sequence[str], counted: Sequence[TensorRecord], elements: int, *, exact: bool
) -> list[str]:
    """That every number of the result is one sub-model's: it was always drawn, or nobody else changed any."""
    if any(tensor.selected is None or not tensor.zero_after_draw for tensor in counted):
        return []
    for at, name in enumerate(names):
        if sum((tensor.selected or ())[at] for tensor in counted) == elements:
            return [f"the result is {name}: all {elements:,} merged numbers were taken from it"]
    changing = [at for at in range(len(names)) if sum(_zeros(tensor, at) for tensor in counted) < elements]
    left = sum((tensor.zero_after_draw or (0,))[-1] for tensor in counted)
    if len(changing) == 1 and exact and left == sum(map(_unchanged, counted)):
        return [
            f"the result is {names[changing[0]]}: nobody else changed anything, and all "
            f"{elements - left:,} numbers that it changed were taken"
        ]
    return []


def _unchanged_tensors(
    counted: Sequence[TensorRecord], elements: int, nearly: str, untouched: Container[str]
) -> list[str]:
    unchanged = (tensor for tensor in counted if _unchanged(tensor) == tensor.elements)
    found = [tensor for tensor in unchanged if tensor.name not in untouched]
    numbers = sum(tensor.elements for tensor in found)
    if not found or (numbers < _NOTABLE * elements and len(found) < _FEW_TENSORS * len(counted)):
        return []
    return [
        f"{len(found):,} of {len(counted):,} merged tensors, with {share_text(numbers / elements)} of the "
        f"numbers, are the base's{nearly} in every sub-model, as {found[0].name!r}"
    ]
