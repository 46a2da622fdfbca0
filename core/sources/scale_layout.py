"""Which scale belongs to which weight of a tensor, by the shapes of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

__all__ = ["Blocks", "lay_out_scales"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Blocks:
    """A tensor as matrices that are cut into blocks of one scale each; see core.sources.dequantised."""

    rows: int
    columns: int
    block: tuple[int, int]


def lay_out_scales(
    shapes: Mapping[str, tuple[Shape, Shape]], sizes: Sequence[tuple[int, int]]
) -> dict[str, Blocks | str]:
    """How the scales of each tensor lie on it, or why that cannot be known.

    Args:
        shapes: of each tensor and of its scales, by name.
        sizes: rows and columns of blocks that the model's config speaks of. Without any, the one size is
            looked for that fits all tensors.
    """
    whole = {name: _without_blocks(*pair) for name, pair in shapes.items()}
    grids = {name: pair for name, pair in shapes.items() if whole[name] is None and _is_grid(*pair)}
    common = None
    if not sizes:
        common = tuple(
            _common_size([(shape[axis], scales[axis]) for shape, scales in grids.values()])
            for axis in (-2, -1)
        )
    result: dict[str, Blocks | str] = {}
    for name, (shape, scales) in shapes.items():
        layout = whole[name]
        if layout is not None:
            result[name] = layout
        elif name not in grids:
            result[name] = "they fit neither its rows nor blocks of it"
        else:
            result[name] = _of_grid(shape, scales, sizes, common)
    return result


def _without_blocks(shape: Shape, scales: Shape) -> Blocks | None:
    """One scale for all, or one for each row, or for each matrix of several; None for anything else."""
    elements = prod(shape)
    if prod(scales) == 1:
        return Blocks(1, max(1, elements), (1, max(1, elements)))
    for dimensions in range(1, len(shape)):
        leading = shape[:dimensions]
        if scales[:dimensions] == leading and all(size == 1 for size in scales[dimensions:]):
            columns = max(1, prod(shape[dimensions:]))
            return Blocks(max(1, prod(leading)), columns, (1, columns))
    return None


def _is_grid(shape: Shape, scales: Shape) -> bool:
    return len(shape) == len(scales) >= 2 and shape[:-2] == scales[:-2] and 0 not in (*shape, *scales)


def _of_grid(
    shape: Shape, scales: Shape, sizes: Sequence[tuple[int, int]], common: tuple[int | None, ...] | None
) -> Blocks | str:
    rows, columns = shape[-2:]
    wanted = scales[-2:]
    if common is not None:
        block = tuple(
            _plain_size(size, count) or known
            for size, count, known in zip((rows, columns), wanted, common, strict=True)
        )
        if None in block:
            return "blocks of several sizes have so many scales, or of none"
        return Blocks(rows, columns, (block[0] or 1, block[1] or 1))
    fits = {size for size in sizes if (-(-rows // size[0]), -(-columns // size[1])) == wanted}
    if not fits and rows % wanted[0] == columns % wanted[1] == 0:
        fits = {(rows // wanted[0], columns // wanted[1])}  # as transformers' finegrained_fp8.py takes them
    if len(fits) != 1:
        said = " or ".join(f"{size[0]} × {size[1]}" for size in sizes)
        return f"that is not one scale for each block of {said}, which its config speaks of"
    return Blocks(rows, columns, fits.pop())


def _plain_size(size: int, count: int) -> int | None:
    """Of one block that is all, or of blocks of one."""
    return size if count == 1 else 1 if count == size else None


def _common_size(pairs: Sequence[tuple[int, int]]) -> int | None:
    """The one block size by which all of (size, blocks) are cut, the last blocks smaller; None for no such.

    It is a power of two, or one that leaves no smaller block anywhere.
    """
    pairs = [pair for pair in pairs if _plain_size(*pair) is None]
    if not pairs:
        return None
    least = max(-(-size // count) for size, count in pairs)
    most = min(-(-size // (count - 1)) - 1 for size, count in pairs)
    found = {1 << power for power in range(31) if least <= 1 << power <= most}
    if least <= most and all(size % least == 0 for size, _ in pairs):
        found.add(least)
    return found.pop() if len(found) == 1 else None
