"""What is known of an output tensor while its chunks come in, and its record when all have."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.digest import TensorDigest
from core.kernels.interface import Counts, Int64s, Values
from core.plan.merge_plan import MergePlan, TensorPlan
from core.run.record import TensorRecord
from core.run.work import Chunk
from core.sources.source import Absent

__all__ = ["Tally", "Written", "no_counts"]


@dataclass(frozen=True)
class Written:
    """What was written of a chunk to one output.

    Attributes:
        size_bytes: how much.
        digests: of its pieces, 16 bytes each.
        counts: what was counted; None for a tensor that is copied and has no numbers.
        differs: the sub-models whose copy differs, for a tensor that is copied.
    """

    size_bytes: int
    digests: bytes
    counts: Counts
    differs: frozenset[int] = frozenset()


class Tally:
    """What is known of one output tensor while its chunks come in."""

    def __init__(self, plan: TensorPlan, merge: MergePlan) -> None:
        self._plan, self._merge = plan, merge
        self._digest = TensorDigest(plan.output.size_bytes)
        self._counts: Counts | None = None
        self._differs: set[int] = set()
        self.left = plan.elements

    def add(self, chunk: Chunk, written: Written) -> None:
        self._digest.add(written.digests, chunk.first * self._plan.output.dtype.itemsize)
        self._differs |= written.differs
        self.left -= chunk.elements
        if self._counts is None:
            self._counts = copy.deepcopy(written.counts)  # it is added to, and the journal has the other
        else:
            self._counts.add(written.counts)

    def record(self) -> TensorRecord:
        plan, merge = self._plan, self._merge
        counts = self._counts or no_counts(plan)
        k = len(merge.models)
        present = range(k) if plan.present is None else plan.present
        if plan.present == ():  # what only the base has was not selected
            counts = Counts(counts.nonfinite)
        return TensorRecord(
            name=plan.output.name,
            shape=plan.output.shape,
            dtype=plan.output.dtype.name,
            action="copied" if plan.job is None or plan.present == () else "merged",
            elements=plan.elements,
            zero_delta=_spread(counts.zero_delta, present, k),
            changed_by=_padded(counts.changed_by, k + 1),
            zero_after_draw=_tuple(counts.zero_after_draw),
            selected=_spread(counts.selected, present, k),
            dropped=_spread(counts.dropped, present, k),
            elected_against=_spread(counts.elected_against, present, k),
            nonfinite=_nonfinite(plan, counts.nonfinite, present, k),
            digest=self._digest.hexdigest(),
            differs_in=tuple(merge.models[present[at]].name for at in sorted(self._differs)),
            tied_to=plan.tied_to,
            missing_in=()
            if merge.layers
            else tuple(merge.models[at].name for at in range(k) if at not in present),
            **_ruled(plan, merge),
        )


def no_counts(plan: TensorPlan) -> Counts:
    """The counts of a tensor of which nothing was counted."""
    return Counts(np.zeros(len(plan.inputs), np.int64)) if plan.job is None else Counts.zeros(plan.job)


def _ruled(plan: TensorPlan, merge: MergePlan) -> dict[str, Any]:
    """The values that rules may make differ between tensors, as a TensorRecord has them."""
    if plan.job is None or not plan.is_measured or plan.job.method != merge.recipe.method.name:
        return {}
    values = {name: plan.job.parameters[name] for name in merge.recipe.ruled}
    weights = values.pop("weight", None)
    return {"weights": weights, "parameters": Values.from_mapping(values)}


def _spread(counts: Int64s | None, present: Sequence[int], k: int) -> tuple[int, ...] | None:
    """Counts of the sub-models that have a tensor, as counts of all K: 0 for the others."""
    if counts is None:
        return None
    spread = [0] * k
    for at, number in zip(present, counts, strict=True):
        spread[at] = int(number)
    return tuple(spread)


def _padded(counts: Int64s | None, length: int) -> tuple[int, ...] | None:
    if counts is None:
        return None
    return (*(int(count) for count in counts), *([0] * (length - len(counts))))


def _nonfinite(plan: TensorPlan, counts: Int64s, present: Sequence[int], k: int) -> tuple[int | None, ...]:
    """[K+1]; None for a sub-model that lacks the tensor, and for a base that lacks it or was not read."""
    found: list[int | None] = [None] * (k + 1)
    if plan.present == ():
        found[k] = int(counts[0])
        return tuple(found)
    for at, number in zip(present, counts, strict=False):
        found[at] = int(number)
    if len(counts) > len(present) and not isinstance(plan.base, Absent):
        found[k] = int(counts[-1])
    return tuple(found)


def _tuple(counts: Int64s | None) -> tuple[int, ...] | None:
    return None if counts is None else tuple(int(count) for count in counts)
