"""One tensor, looked at element by element: its statistics, and where in the matrix its deltas are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.deltas.statistics import DeltaStatistics
from core.deltas.survey import Survey
from core.plan.merge_plan import MergePlan
from core.plan.whole_rows import whole_rows
from core.progress import ProgressCallback

if TYPE_CHECKING:
    from core.kernels.deltas.workspace import DeltaWorkspace

__all__ = ["MOST_COLUMNS", "MOST_ROWS", "TensorView", "view_tensor"]

MOST_ROWS, MOST_COLUMNS = 64, 96
"""Tiles of a thumbnail."""

_BLOCK = 262_144
"""Elements that are read at once, as far as rows allow."""

_WIDEST = 2**20
"""Rows of more elements are not cut into tiles: no matrix of a network has such."""

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TensorView:
    """What is known of one tensor.

    The tensor counts as a matrix: its last dimension are the columns, all others together the rows; a vector
    is one row. Tile (r, c) holds the rows from rows[r] to rows[r + 1] and the columns from columns[c] to
    columns[c + 1].

    Attributes:
        name, shape: of the tensor.
        rows, columns: where the tiles begin, and where the last one ends. [R + 1], [C + 1]
        changed: elements with a delta that is not zero in each tile, of those that were read. [K, R, C]
        rows_read: of each row of tiles. [R]
        statistics: of all elements; None as long as not all were read.
    """

    name: str
    shape: tuple[int, ...]
    rows: Int64s
    columns: Int64s
    changed: Int64s
    rows_read: Int64s
    statistics: DeltaStatistics | None = None

    @property
    def share(self) -> Floats:
        """The share of elements that each sub-model changed; NaN where nothing was read. [K, R, C]"""
        elements = self.rows_read[:, None] * np.diff(self.columns)[None, :]
        with np.errstate(invalid="ignore"):
            result: Floats = self.changed / np.where(elements, elements, np.nan)
        return result


ViewCallback = Callable[[TensorView], None]
"""Called in the thread that called the job."""


def view_tensor(
    plan: MergePlan,
    name: str,
    *,
    threads: int | None = None,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
    on_view: ViewCallback | None = None,
) -> TensorView:
    """Read one tensor of all models, and count where its deltas are not zero.

    Args:
        plan: of a method that reads the base; `name` is one of its tensors, and is merged.
        threads: workers; None for as many as get the most done, up to one a core.
        cancel: looked at between blocks.
        progress: called about ten times a second in this thread.
        on_view: called just before `progress`, with what is known so far; rows come in from all over the
            tensor.

    Raises:
        CheckpointError: a file cannot be read, or has changed since it was planned with.
        Cancelled: after `cancel.cancel()`.
    """
    tensor = whole_rows(next(tensor for tensor in plan.tensors if tensor.output.name == name))
    tiles = _Tiles(tensor.output.shape, len(plan.models))
    survey = Survey(
        plan,
        [[tensor]],
        details=True,
        threads=threads,
        block=tiles.block,
        sampling=False,
        look=tiles.count,
        on_block=tiles.add,
    )
    started = time.perf_counter()
    bytes_total = sum(source.bytes_to_read for source in tensor.inputs)

    def view(statistics: DeltaStatistics | None = None) -> TensorView:
        changed, rows_read = tiles.counts()
        return TensorView(
            name, tensor.output.shape, tiles.rows, tiles.columns, changed, rows_read, statistics
        )

    def report() -> None:
        if on_view is not None:
            on_view(view())
        if progress is not None:
            progress(survey.progress(bytes_total, len(survey.finished()), time.perf_counter() - started))

    survey.read([_spread(survey.groups[0].blocks)], cancel or CancelToken(), report)
    return view(survey.statistics(0))


class _Tiles:
    """Counts by tiles.

    Attributes:
        block: elements of a block, whole rows of one row of tiles.
        rows, columns: as TensorView has them.
    """

    def __init__(self, shape: tuple[int, ...], models: int) -> None:
        width = shape[-1] if shape else 1
        height = prod(shape[:-1])
        self._width = width
        too_wide = width > _WIDEST
        per_block = max(1, min(_BLOCK // max(1, width), -(-height // MOST_ROWS)))
        self.block = _BLOCK if too_wide else per_block * max(1, width)
        blocks = -(-height // per_block)
        self._per_tile = max(1, -(-blocks // MOST_ROWS)) * per_block
        empty = too_wide or not prod(shape)
        starts = np.arange(0, 0 if empty else height, self._per_tile)
        self.rows = np.append(starts, height if len(starts) else 0).astype(np.int64)
        columns = 0 if empty else min(width, MOST_COLUMNS)
        self.columns = np.arange(columns + 1, dtype=np.int64) * width // max(1, columns)
        self._changed = np.zeros((models, len(starts), columns), np.int64)
        self._rows_read = np.zeros(len(starts), np.int64)

    def count(self, workspace: DeltaWorkspace) -> Int64s | None:
        """Count the block that `workspace` has just measured; called in any thread. [K, columns]"""
        return workspace.tiles(self._width, self.columns) if self._rows_read.size else None

    def add(self, first: int, counts: Int64s | None) -> None:
        """Take the counts of the block from element `first` on."""
        if counts is None:
            return
        row = first // self._width
        tile = row // self._per_tile
        self._changed[:, tile] += counts
        self._rows_read[tile] += min(self.block // self._width, int(self.rows[-1]) - row)

    def counts(self) -> tuple[Int64s, Int64s]:
        return self._changed.copy(), self._rows_read.copy()


def _spread(count: int) -> list[int]:
    """0 to count - 1, each one far from those before it, so that a picture fills in all over."""
    bits = max(1, (count - 1).bit_length())
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [number for number in turned if number < count]
