"""Where keys lead among the cells of a map of which not all hold something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cell", "end_of_line", "next_cell"]

Cell = tuple[int, int]
"""Column and row."""

Cells = NDArray[np.intp]
"""[cells, (column, row)]"""

_FAR = 2**31


def next_cell(known: Cells, selected: tuple[int | None, int | None], right: int, down: int) -> Cell | None:
    """The next one in a direction.

    To the sides that is the next one of the row or, past its end, the nearest one of the next column; up and
    down it is the nearest one of the next row. No row is left out, and no cell of a row: all can be gone to.

    Args:
        known: the cells that hold something.
        selected: where to start. For a column or a row as a whole, the other number is None: go along it from
            its nearer end, or to what is beside it. Both are None for nothing.
        right, down: −1, 0 or 1; one of them is 0.

    Returns None where there is nothing in this direction.
    """
    column, row = selected
    if column is None and row is None:
        return _nearest(known, (0, 0))
    if row is None and column is not None:
        start = column, -_FAR * down
        return _nearest(known[known[:, 0] == column] if down else _beyond(known, 0, column, right), start)
    if column is None and row is not None:
        start = -_FAR * right, row
        return _nearest(known[known[:, 1] == row] if right else _beyond(known, 1, row, down), start)
    assert column is not None and row is not None
    if down:
        return _nearest(_beyond(known, 1, row, down), (column, row))
    in_row = _beyond(known[known[:, 1] == row], 0, column, right)
    return _nearest(in_row if len(in_row) else _beyond(known, 0, column, right), (column, row))


def end_of_line(known: Cells, selected: tuple[int | None, int | None], right: int, down: int) -> Cell | None:
    """The last one of the selected row or column in a direction, of the first at first; None for none."""
    column, row = (at or 0 for at in selected)
    line = known[known[:, 1] == row] if right else known[known[:, 0] == column]
    return _nearest(line, (column + _FAR * right, row + _FAR * down))


def _nearest(cells: Cells, place: Cell) -> Cell | None:
    if not len(cells):
        return None
    column, row = cells[np.abs(cells - place).sum(axis=1).argmin()]
    return int(column), int(row)


def _beyond(cells: Cells, axis: int, at: int, step: int) -> Cells:
    """Those in the first column (axis 0) or row (1) that holds any, beyond `at`; `step` is 1 or −1."""
    beyond = cells[step * (cells[:, axis] - at) > 0]
    return beyond[beyond[:, axis] == step * (step * beyond[:, axis]).min()] if len(beyond) else beyond
