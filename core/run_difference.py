"""The maps of two runs, one minus the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.comparison import TensorDifference
from core.deltas.findings import Findings, MergedCell, findings_of_record
from core.deltas.layer_grid import LayerGrid
from core.record import RunRecord

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
        draws: left minus right, in shares: what was left on a zero delta after each draw, NaN where one had
            no such draw; None where one did not draw at all. [C, n+1]
        elements, differ: of the tensors of which the elements were compared, how many there are and how many
            differ; None before they were counted. [C, M]
        not_compared: the other tensors, and why.
    """

    grid: LayerGrid
    maps: Mapping[str, Floats]
    draws: Floats | None = None
    elements: Int64s | None = None
    differ: Int64s | None = None
    not_compared: tuple[TensorDifference, ...] = ()

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
    found = findings_of_record(left), findings_of_record(right)
    maps, draws = _maps(*found, grid), _draws(*found, grid)
    if tensors is None:
        return RunDifference(grid, maps, draws)
    elements, differ = (np.zeros((len(grid.columns), len(grid.kinds)), np.int64) for _ in range(2))
    for tensor in tensors:
        if tensor.differ is not None:
            elements[grid.cell_of[tensor.name]] += tensor.elements
            differ[grid.cell_of[tensor.name]] += tensor.differ
    not_compared = tuple(tensor for tensor in tensors if tensor.differ is None)
    return RunDifference(grid, maps, draws, elements, differ, not_compared)


def _maps(left: Findings | None, right: Findings | None, grid: LayerGrid) -> dict[str, Floats]:
    if left is None or right is None:  # of a method that looks at no deltas
        return {}
    both = [model for model in left.models if model in right.models]
    found = {
        "Left as in the base": _minus(_left, left, right, grid),
        "Zero deltas, mean": _minus(_zero, left, right, grid),
        "Zero deltas, spread": _minus(_spread, left, right, grid),
    }
    for what, of in (("Taken from", _taken), ("Zero deltas of", _zero_of)):
        for model in both:
            at = left.models.index(model), right.models.index(model)
            found[f"{what} {model}"] = of(left, at[0], grid) - of(right, at[1], grid)
    return found


def _draws(left: Findings | None, right: Findings | None, grid: LayerGrid) -> Floats | None:
    if left is None or right is None:
        return None
    shares = [_left_by_draw(findings, grid) for findings in (left, right)]
    draws = max(share.shape[1] for share in shares)
    one, other = (
        np.pad(share, ((0, 0), (0, draws - share.shape[1])), constant_values=np.nan) for share in shares
    )
    result: Floats = one - other
    return result


def _left_by_draw(findings: Findings, grid: LayerGrid) -> Floats:
    """The share on a zero delta after each draw in each column of `grid`. [C, n+1]"""
    columns = [(column.stack, column.layer, column.label) for column in grid.columns]
    drawn = {number: part.drawn for number, part in enumerate(findings.columns())}
    draws = max((len(one.left) for one in drawn.values() if one is not None), default=0)
    result = np.full((len(columns), draws), np.nan)
    for number, one in drawn.items():
        column = findings.grid.columns[number]
        if one is not None and (column.stack, column.layer, column.label) in columns:
            result[columns.index((column.stack, column.layer, column.label)), : len(one.left)] = one.left
    return result


def _minus(of: _Value, left: Findings, right: Findings, grid: LayerGrid) -> Floats:
    return _map_of(left, of, grid) - _map_of(right, of, grid)


def _taken(findings: Findings, model: int, grid: LayerGrid) -> Floats:
    return _map_of(findings, lambda cell: float(cell.drawn.provenance[model]), grid)


def _left(cell: MergedCell) -> float:
    return float(cell.drawn.left[-1])


def _zero_of(findings: Findings, model: int, grid: LayerGrid) -> Floats:
    return _map_of(findings, lambda cell: float(cell.statistics.zero_delta.value[model]), grid)


def _spread(cell: MergedCell) -> float:
    shares = cell.statistics.zero_delta.value
    return float(shares.max() - shares.min())


def _zero(cell: MergedCell) -> float:
    return float(cell.statistics.mean_zero_delta.value)


def _map_of(findings: Findings, of: _Value, grid: LayerGrid) -> Floats:
    """A value of each cell that was merged, where it stands in `grid`."""
    values = np.full((len(grid.columns), len(grid.kinds)), np.nan)
    for cell, merged in findings.merged.items():
        if merged.drawn.elements:
            values[grid.cell_of[findings.grid.tensors[cell][0]]] = of(merged)
    return values
