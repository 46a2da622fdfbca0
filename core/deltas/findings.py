"""What is known of the deltas of K sub-models and of their merge, layer by layer and kind by kind.

Two sources come together here: an inspection, of a sample or of everything, and the counts of a merge, as
far as it is. Of each cell the best is taken: what a merge has counted is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.deltas.layer_grid import Cell, LayerGrid
from core.deltas.measures import expected_on_zero_delta
from core.deltas.merge_name import MergeName
from core.deltas.statistics import DeltaStatistics, Estimate, total_of, zero_deltas_of
from core.run.record import RunRecord, TensorRecord

__all__ = [
    "Counted",
    "Drawn",
    "Findings",
    "LeftOut",
    "MergeName",
    "MergeTally",
    "MergedCell",
    "Part",
    "findings_of_record",
]

Floats = NDArray[np.float64]
Int64s = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a merge drew in some tensors, as sums over their elements.

    Attributes:
        elements: how many were drawn.
        zero_after_draw: those still on a zero delta after draw d, d = 0..n, where n is the largest of any of
            the tensors; one with fewer draws stays as it is after its last. [n+1]
        expected: what `changed_by` predicts for the same; None where the weights are not equal. [n+1]
        selected: those whose value came from sub-model i. [K]
    """

    elements: int
    zero_after_draw: Int64s
    expected: Floats | None
    selected: Int64s

    @property
    def left(self) -> Floats:
        """The share on a zero delta after each draw. [n+1]"""
        return _share(self.zero_after_draw, self.elements)

    @property
    def expected_left(self) -> Floats | None:
        """The share that was to be expected. [n+1]"""
        return None if self.expected is None else _share(self.expected, self.elements)

    @property
    def provenance(self) -> Floats:
        """The share of the result that came from each sub-model. [K]"""
        return _share(self.selected, self.elements)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What a merge left out of the task vectors in some tensors, as sums over their elements.

    Attributes:
        elements: how many the tensors have.
        dropped: of each sub-model, those with a delta that sparsifying set to zero; None where nothing was
            sparsified. [K]
        elected_against: of those that were left, the ones that the election of a sign left out; None where
            there was none. [K]
    """

    elements: int
    dropped: Int64s | None
    elected_against: Int64s | None

    @property
    def dropped_share(self) -> Floats | None:
        """The share of the elements that was dropped of each sub-model. [K]"""
        return None if self.dropped is None else _share(self.dropped, self.elements)

    @property
    def elected_against_share(self) -> Floats | None:
        """The share of the elements of each sub-model that has the sign that was not elected. [K]"""
        return None if self.elected_against is None else _share(self.elected_against, self.elements)


@dataclass(frozen=True, eq=False)
class MergedCell:
    """What a merge counted in the tensors of a cell that it has finished.

    Attributes:
        statistics: their counts; exact.
        drawn: what was drawn.
    """

    statistics: DeltaStatistics
    drawn: Drawn


@dataclass(frozen=True, eq=False)
class Counted:
    """What one merge counted; there are no such numbers without its name.

    Attributes:
        name: of the merge.
        cells: with the tensors that it has finished, of a method that draws sub-models.
        records: of these tensors, by name.
        left_out: what it dropped and elected against, by cell; empty for a method that does neither.
    """

    name: MergeName
    cells: Mapping[Cell, MergedCell]
    records: Mapping[str, TensorRecord] = field(repr=False)
    left_out: Mapping[Cell, LeftOut] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of some cells together.

    Attributes:
        place: what to call them.
        tensors: their names.
        counts: the best that is known of zero deltas and overlap; None for nothing.
        details: norms, cosines and the rest, from an inspection; None for nothing.
        predicted: the share on a zero delta with n = 0..20 resamples; None where it is not known. [21]
        drawn: of the tensors that a merge has finished; None where there is none.
        left_out: likewise, what it left out of the task vectors.
    """

    place: str
    tensors: tuple[str, ...]
    counts: DeltaStatistics | None
    details: DeltaStatistics | None
    predicted: Estimate | None
    drawn: Drawn | None
    left_out: LeftOut | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be known of it: no tensor, or no parameter in them."""
        return not self.tensors or (self.counts is not None and not self.counts.parameters)

    @property
    def merged_share(self) -> float:
        """The share of the parameters that a merge has finished, as far as these are known."""
        if self.drawn is None:
            return 0.0
        return self.drawn.elements / max(1, self.counts.parameters) if self.counts is not None else 1.0


@dataclass(frozen=True, eq=False)
class Findings:
    """Everything that the pictures show, at one moment.

    Attributes:
        models: the names of the sub-models. [K]
        base: that of the base.
        grid: what there is to be known.
        equal_weights: whether every sub-model is as likely to be drawn as any other, in every tensor.
        inspected: what an inspection found in each cell, but for what depends on weights. Only cells with
            elements are there.
        predicting: the same for unequal weights, with what depends on them; empty for equal ones.
        sample: the share of all elements that the inspection looked at.
        zero_tolerance: |delta| up to which a delta counts as zero; None for exact equality.
        counted: what a merge has counted of it; None where none has.
    """

    models: tuple[str, ...]
    base: str
    grid: LayerGrid
    equal_weights: bool
    inspected: Mapping[Cell, DeltaStatistics] = field(default_factory=dict)
    predicting: Mapping[Cell, DeltaStatistics] = field(default_factory=dict)
    sample: float = 0.0
    zero_tolerance: float | None = None
    counted: Counted | None = None
    _parts: dict[tuple[int | None, int | None], Part] = field(default_factory=dict, init=False, repr=False)

    @property
    def merged(self) -> Mapping[Cell, MergedCell]:
        """What a merge drew; empty where none has."""
        return self.counted.cells if self.counted is not None else {}

    @property
    def left_out(self) -> Mapping[Cell, LeftOut]:
        """What a merge dropped and elected against; empty where none has."""
        return self.counted.left_out if self.counted is not None else {}

    @property
    def records(self) -> Mapping[str, TensorRecord]:
        """Those of the tensors that a merge has finished, by name; empty where there is none."""
        return self.counted.records if self.counted is not None else {}

    @cached_property
    def counts(self) -> Mapping[Cell, DeltaStatistics]:
        """The best that is known of each cell: exact where a merge has finished all of its tensors."""
        best = {cell: statistics.counts for cell, statistics in self.inspected.items()}
        for cell, merged in self.merged.items():
            if cell not in best or merged.statistics.tensors == len(self.grid.tensors[cell]):
                best[cell] = merged.statistics
        return best

    @cached_property
    def zero_delta(self) -> Estimate:
        """The share of zero deltas of each sub-model, NaN where nothing is known. [C, M, K]"""
        return self._zero_deltas[0]

    @cached_property
    def mean_zero_delta(self) -> Estimate:
        """The share of zero deltas over all sub-models, NaN where nothing is known. [C, M]"""
        return self._zero_deltas[1]

    @cached_property
    def parameters(self) -> Int64s:
        """How many stand behind each cell of which something is known. [C, M]"""
        result = np.zeros(self.shape, np.int64)
        for cell, counts in self.counts.items():
            result[cell] = counts.parameters
        return result

    def left_out_share(self, name: str) -> Floats:
        """The share "dropped" or "elected_against" of each sub-model, NaN where no merge has. [C, M, K]"""
        result = np.full((*self.shape, len(self.models)), np.nan)
        for cell, left_out in self.left_out.items():
            share = getattr(left_out, f"{name}_share")
            if share is not None and left_out.elements:
                result[cell] = share
        return result

    @property
    def shape(self) -> tuple[int, int]:
        """(C, M)"""
        return len(self.grid.columns), len(self.grid.kinds)

    def prepare(self) -> Findings:
        """Compute what pictures show first, so that a window need not; returns itself."""
        _ = self.zero_delta, self.mean_zero_delta, self.parameters, self.part(), self.columns()
        return self

    def inspected_as(self, found: Mapping[Cell, DeltaStatistics]) -> Findings:
        """The same after another inspection; of each cell the one stays that has looked at more.

        Args:
            found: of cells of this grid, with what depends on the weights where these are unequal.
        """
        inspected = dict(self.inspected)
        for cell, statistics in found.items():
            if cell not in inspected or inspected[cell].elements <= statistics.elements:
                inspected[cell] = statistics.without_draws
        parameters = sum(statistics.parameters for statistics in inspected.values())
        elements = sum(statistics.elements for statistics in inspected.values())
        return replace(
            self,
            inspected=inspected,
            predicting={} if self.equal_weights else {**self.predicting, **found},
            sample=elements / parameters if parameters else 1.0,
        )

    def part(self, column: int | None = None, kind: int | None = None) -> Part:
        """What is known of a column, of a kind, of one cell or, for None and None, of everything."""
        if (column, kind) not in self._parts:
            self._parts[column, kind] = self._part(column, kind)
        return self._parts[column, kind]

    def part_of_tensor(self, name: str) -> Part:
        """What is known of one tensor by itself; of one that shares its cell, what a merge has counted."""
        cell = self.grid.cell_of[name]
        if len(self.grid.tensors[cell]) == 1:
            return replace(self.part(*cell), place=name)
        record = self.records.get(name)
        merged = None if record is None else _merged(record, self.equal_weights)
        counts = None if merged is None else merged.statistics
        return Part(
            place=name,
            tensors=(name,),
            counts=counts,
            details=None,
            predicted=counts.zero_after_draw if counts is not None and self.equal_weights else None,
            drawn=None if merged is None else merged.drawn,
            left_out=None if record is None else _left_out(record),
        )

    def columns(self, kind: int | None = None) -> tuple[Part, ...]:
        """The parts of all columns, of one kind or of all. [C]"""
        return tuple(self.part(column, kind) for column in range(len(self.grid.columns)))

    def _part(self, column: int | None, kind: int | None) -> Part:
        cells = self.grid.cells(column, kind)
        counts = [self.counts[cell] for cell in cells if cell in self.counts]
        inspected = [self.inspected[cell] for cell in cells if cell in self.inspected]
        merged = [self.merged[cell].drawn for cell in cells if cell in self.merged]
        left_out = [self.left_out[cell] for cell in cells if cell in self.left_out]
        total = total_of(counts) if counts else None
        details = total_of(inspected) if inspected else None
        weighted = [self.predicting[cell] for cell in cells if cell in self.predicting]
        predicting = total if self.equal_weights else total_of(weighted) if weighted else None
        return Part(
            place=self.grid.place(column, kind),
            tensors=tuple(name for cell in cells for name in self.grid.tensors[cell]),
            counts=total,
            details=details if details is not None and details.details else None,
            predicted=None if predicting is None else predicting.zero_after_draw,
            drawn=_sum_of(merged) if merged else None,
            left_out=_sum_of_left_out(left_out) if left_out else None,
        )

    @cached_property
    def _zero_deltas(self) -> tuple[Estimate, Estimate]:
        """Of each sub-model and over all, NaN where nothing is known. [C, M, K] and [C, M]"""
        shapes = (*self.shape, len(self.models)), self.shape
        each, mean = (Estimate(np.full(shape, np.nan), np.full(shape, np.nan)) for shape in shapes)
        known = [(cell, counts) for cell, counts in self.counts.items() if counts.parameters]
        if known:
            cells = tuple(np.array([cell for cell, _ in known]).T)
            found = zero_deltas_of([counts for _, counts in known])
            for whole, of_cells in zip((each, mean), found, strict=True):
                whole.value[cells], whole.error[cells] = of_cells.value, of_cells.error
        return each, mean


class MergeTally:
    """Gathers the tensors of the merge `name` by cells as they are finished. Used by one thread."""

    def __init__(self, name: MergeName, grid: LayerGrid, *, equal_weights: bool) -> None:
        self._name, self._grid, self._equal_weights = name, grid, equal_weights
        self._cells: dict[Cell, MergedCell] = {}
        self._left_out: dict[Cell, LeftOut] = {}
        self._records: dict[str, TensorRecord] = {}

    def add(self, tensor: TensorRecord) -> None:
        """Count a finished tensor in; one of which nothing was counted says nothing of deltas."""
        cell = self._grid.cell_of.get(tensor.name)
        merged, left_out = _merged(tensor, self._equal_weights), _left_out(tensor)
        if cell is None or (merged is None and left_out is None):
            return
        self._records[tensor.name] = tensor
        if left_out is not None:
            before = self._left_out.get(cell)
            self._left_out[cell] = left_out if before is None else _sum_of_left_out([before, left_out])
        if merged is not None:
            self._add_drawn(cell, merged)

    def _add_drawn(self, cell: Cell, merged: MergedCell) -> None:
        before = self._cells.get(cell)
        if before is not None:
            merged = MergedCell(
                total_of([before.statistics, merged.statistics]), _sum_of([before.drawn, merged.drawn])
            )
        self._cells[cell] = merged

    def added_to(self, findings: Findings) -> Findings:
        """`findings` of the same grid with what was counted so far, in place of another merge's."""
        if not self._records:
            return replace(findings, counted=None)
        counted = Counted(self._name, dict(self._cells), dict(self._records), dict(self._left_out))
        return replace(findings, counted=counted)


def findings_of_record(record: RunRecord) -> Findings | None:
    """What a finished merge found out; None where its method looks at no deltas."""
    counted = [
        tensor
        for tensor in record.tensors
        if None not in (tensor.zero_delta, tensor.changed_by, tensor.zero_after_draw, tensor.selected)
        or _left_out(tensor) is not None
    ]
    if not counted:
        return None
    grid = LayerGrid.of(tensor.name for tensor in counted)
    equal = record.draws_equally
    tally = MergeTally(MergeName.of_record(record), grid, equal_weights=equal)
    for tensor in counted:
        tally.add(tensor)
    base = next((entry.name for entry in record.inputs if entry.role == "base"), "")
    models = tuple(entry.name for entry in record.inputs if entry.role == "sub-model")
    tolerance = record.recipe.get("zero_tolerance")
    return tally.added_to(Findings(models, base, grid, equal, zero_tolerance=tolerance))


def _merged(tensor: TensorRecord, equal_weights: bool) -> MergedCell | None:
    if tensor.zero_delta is None or tensor.changed_by is None:
        return None
    if tensor.zero_after_draw is None or tensor.selected is None:
        return None
    left = np.array(tensor.zero_after_draw, np.int64)
    elements = sum(tensor.selected)  # without rows that no sub-model has, of which nothing was drawn
    changed_by = (max(0, tensor.changed_by[0] - (tensor.elements - elements)), *tensor.changed_by[1:])
    predictable = equal_weights and _left_out(tensor) is None  # what is left out counts as zero, too
    return MergedCell(
        DeltaStatistics.of_counts(elements, tensor.zero_delta, changed_by, tensor.nonfinite),
        Drawn(
            elements=elements,
            zero_after_draw=left,
            expected=expected_on_zero_delta(changed_by, len(left)) if predictable else None,
            selected=np.array(tensor.selected, np.int64),
        ),
    )


def _left_out(tensor: TensorRecord) -> LeftOut | None:
    if tensor.dropped is None and tensor.elected_against is None:
        return None
    return LeftOut(tensor.elements, _array(tensor.dropped), _array(tensor.elected_against))


def _array(counts: Sequence[int] | None) -> Int64s | None:
    return None if counts is None else np.array(counts, np.int64)


def _sum_of_left_out(parts: Sequence[LeftOut]) -> LeftOut:
    dropped, against = (
        [found for part in parts if (found := getattr(part, name)) is not None]
        for name in ("dropped", "elected_against")
    )
    return LeftOut(
        elements=sum(part.elements for part in parts),
        dropped=np.sum(dropped, axis=0) if dropped else None,
        elected_against=np.sum(against, axis=0) if against else None,
    )


def _sum_of(parts: Sequence[Drawn]) -> Drawn:
    draws = max(len(part.zero_after_draw) for part in parts)
    expected = [_padded(part.expected, draws) for part in parts if part.expected is not None]
    return Drawn(
        elements=sum(part.elements for part in parts),
        zero_after_draw=np.sum([_padded(part.zero_after_draw, draws) for part in parts], axis=0),
        expected=np.sum(expected, axis=0) if len(expected) == len(parts) else None,
        selected=np.sum([part.selected for part in parts], axis=0),
    )


def _padded(counts: NDArray[Any], draws: int) -> NDArray[Any]:
    """`counts`, going on with the last one to `draws` draws."""
    return np.pad(counts, (0, draws - len(counts)), mode="edge")


def _share(counts: NDArray[Any], elements: int) -> Floats:
    with np.errstate(invalid="ignore"):
        result: Floats = counts / np.float64(elements)
    return result
