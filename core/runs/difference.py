"""The maps of two runs, one minus the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.deltas.findings import Findings, MergedCell, MergeTally, findings_of_record
from core.deltas.layer_grid import LayerGrid
from core.run.record import RunRecord
from core.runs.comparison import TensorDifference

__all__ = ["RunDifference", "difference_of_runs"]

Floats = NDArray[np.float64]
_Value = Callable[[MergedCell], float]
Int64s = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RunDifference:
    """Two runs, layer by layer and kind by kind.

    Attributes:
        grid: of the tensors of both.
        maps: what can be compared, by what to call it: left minus right, in shares, NaN where one of them
            has nothing. [C, M] each
        draws: left minus right, in shares: what was left on a zero delta after each draw, up to the larger n;
            what has had its last draw stays as it is. NaN where one of them has nothing; None where one did
            not draw at all. [C, n+1]
        elements, differ: of the tensors of which the elements were compared, how many there are and how many
            differ; None before they were counted. [C, M]
        not_compared: the other tensors, and why.
        unlike: why nothing can be compared: "names" where no tensor of one has the name of one of the other,
            "shapes" where none of those has the same shape; "" otherwise.
    """

    grid: LayerGrid
    maps: Mapping[str, Floats]
    draws: Floats | None = None
    elements: Int64s | None = None
    differ: Int64s | None = None
    not_compared: tuple[TensorDifference, ...] = ()
    unlike: str = ""

    @property
    def share(self) -> Floats:
        """The share of elements that differ; NaN where none was compared. [C, M]"""
        if self.elements is None or self.differ is None:
            return np.full((len(self.grid.columns), len(self.grid.kinds)), np.nan)
        with np.errstate(invalid="ignore"):
            result: Floats = self.differ / np.where(self.elements, self.elements, np.nan)
        return result


def difference_of_runs(
    left: RunRecord, right: RunRecord, tensors: tuple[TensorDifference, ...] | None = None
) -> RunDifference:
    """Compare the counts of two runs and, where `tensors` says, the elements of their outputs."""
    names = dict.fromkeys(tensor.name for record in (left, right) for tensor in record.tensors)
    grid = LayerGrid.of(names)
    unlike = _unlike(left, right)
    found = _comparable(left, right, grid)
    maps, draws = ({}, None) if found is None else (_maps(*found), _draws(*found))
    if tensors is None:
        return RunDifference(grid, maps, draws, unlike=unlike)
    elements, differ = (np.zeros((len(grid.columns), len(grid.kinds)), np.int64) for _ in range(2))
    for tensor in tensors:
        if tensor.differ is not None:
            elements[grid.cell_of[tensor.name]] += tensor.elements
            differ[grid.cell_of[tensor.name]] += tensor.differ
    not_compared = tuple(tensor for tensor in tensors if tensor.differ is None)
    return RunDifference(grid, maps, draws, elements, differ, not_compared, unlike)


def _unlike(left: RunRecord, right: RunRecord) -> str:
    shapes = {tensor.name: tensor.shape for tensor in left.tensors}
    shared = [tensor for tensor in right.tensors if tensor.name in shapes]
    if not shared:
        return "names"
    return "" if any(tensor.shape == shapes[tensor.name] for tensor in shared) else "shapes"


def _comparable(left: RunRecord, right: RunRecord, grid: LayerGrid) -> tuple[Findings, Findings] | None:
    """What both counted, of the tensors that both drew; None where a method looks at no deltas."""
    one, other = findings_of_record(left), findings_of_record(right)
    if one is None or other is None or not (one.merged and other.merged):
        return None
    shared = [
        name
        for name, tensor in one.records.items()
        if name in other.records and tensor.elements == other.records[name].elements
    ]
    return _restricted(one, shared, grid), _restricted(other, shared, grid)


def _restricted(findings: Findings, names: Sequence[str], grid: LayerGrid) -> Findings:
    assert findings.counted is not None
    tally = MergeTally(findings.counted.name, grid, equal_weights=findings.equal_weights)
    for name in names:
        tally.add(findings.counted.records[name])
    return tally.added_to(replace(findings, grid=grid))


def _maps(left: Findings, right: Findings) -> dict[str, Floats]:
    both = [model for model in left.models if model in right.models]
    found = {
        "Left as in the base": _map_of(left, _left) - _map_of(right, _left),
        "Zero deltas, mean": _map_of(left, _zero) - _map_of(right, _zero),
        "Zero deltas, spread": _map_of(left, _spread) - _map_of(right, _spread),
    }
    for what, of in (("Taken from", _taken), ("Zero deltas of", _zero_of)):
        for model in both:
            at = left.models.index(model), right.models.index(model)
            found[f"{what} {model}"] = of(left, at[0]) - of(right, at[1])
    if len(left.models) == 1 or len(right.models) == 1:
        del found["Zero deltas, spread"]  # among one there is none
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _draws(left: Findings, right: Findings) -> Floats | None:
    draws = max(_most_draws(left), _most_draws(right))
    result: Floats = _left_by_draw(left, draws) - _left_by_draw(right, draws)
    return result if np.isfinite(result).any() else None


def _most_draws(findings: Findings) -> int:
    return max((len(merged.drawn.zero_after_draw) for merged in findings.merged.values()), default=0)


def _left_by_draw(findings: Findings, draws: int) -> Floats:
    """The share on a zero delta after each draw in each column; after the last one it stays. [C, draws]"""
    result = np.full((len(findings.grid.columns), draws), np.nan)
    for column, part in enumerate(findings.columns()):
        if part.drawn is not None and part.drawn.elements:
            left = part.drawn.left
            result[column, : len(left)], result[column, len(left) :] = left, left[-1]
    return result


def _taken(findings: Findings, model: int) -> Floats:
    return _map_of(findings, lambda cell: float(cell.drawn.provenance[model]))


def _left(cell: MergedCell) -> float:
    return float(cell.drawn.left[-1])


def _zero_of(findings: Findings, model: int) -> Floats:
    return _map_of(findings, lambda cell: float(cell.statistics.zero_delta.value[model]))


def _spread(cell: MergedCell) -> float:
    shares = cell.statistics.zero_delta.value
    return float(shares.max() - shares.min())


def _zero(cell: MergedCell) -> float:
    return float(cell.statistics.mean_zero_delta.value)


def _map_of(findings: Findings, of: _Value) -> Floats:
    """A value of each cell that was merged. [C, M]"""
    values = np.full(findings.shape, np.nan)
    for cell, merged in findings.merged.items():
        if merged.drawn.elements:
            values[cell] = of(merged)
    return values
