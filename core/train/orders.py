"""The order in which a run sees its data: a permutation for each epoch, made once and written to a file.

What is in the file counts from then on, not how it was made. It has a row's number a line, from 0, in the
order in which the rows are seen; a batch is as many lines as the settings say, the last one of an epoch may
be smaller.

Source: arXiv:2410.03743, section 2 (sub-models from one base by different data orders) and Table 4 (the same
batches in other places). Deviation: the paper seeds a shuffle; here the order is data.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.draws import ORDERING_STREAM, philox4x32, philox_key
from core.errors import TrainingError
from core.small_files import read_small

__all__ = [
    "batches_of",
    "digest_of_order",
    "order_text",
    "permutation",
    "read_order",
    "rows_in_order",
]

_MOST_BYTES = 4_000_000_000


def permutation(seed: int, order: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The numbers 0 to count − 1 in the order in which run `order` sees them in `epoch`, both from 1. [count]

    Sorted by the words of the draw contract (docs/design.md, 2.2): stream 4, draw `epoch`, key of `seed` and
    "order-<order>"; equal words by their number.
    """
    elements = np.arange(count, dtype=np.uint64)
    block, rest = elements >> np.uint64(12), elements & np.uint64(1023)
    lane = ((elements >> np.uint64(10)) & np.uint64(3)).astype(np.int64)
    quad = (block << np.uint64(10)) | rest
    draw, stream = (np.full(count, value, np.uint64) for value in (epoch, ORDERING_STREAM))
    counter = (quad & np.uint64(0xFFFFFFFF), quad >> np.uint64(32), draw, stream)
    words = np.stack(philox4x32(counter, philox_key(seed, f"order-{order}")))
    return np.argsort(words[lane, np.arange(count)], kind="stable")


def rows_in_order(
    rows: NDArray[np.int64], *, seed: int, order: int, epoch: int, batch: int, same_batches: bool
) -> NDArray[np.int64]:
    """`rows` as run `order` sees them in `epoch`. [N]

    Args:
        rows: numbers of rows, ascending. [N]
        seed: of all orders.
        order, epoch: from 1.
        batch: rows of one step.
        same_batches: whether it has the batches of order 1, each with its rows in their places, one after the
            other in an order of its own. A last batch that is smaller stays the last.
    """
    if not same_batches or order == 1:
        return rows[permutation(seed, order, epoch, len(rows))]
    first = rows[permutation(seed, 1, epoch, len(rows))]
    whole = len(rows) // batch
    places = permutation(seed, order, epoch, whole)
    moved = first[: whole * batch].reshape(whole, batch)[places].reshape(-1)
    return np.concatenate([moved, first[whole * batch :]])


def batches_of(order: NDArray[np.int64], batch: int) -> list[NDArray[np.int64]]:
    """The rows of each step."""
    return [order[start : start + batch] for start in range(0, len(order), batch)]


def order_text(order: Sequence[int] | NDArray[np.int64]) -> bytes:
    """What a file of the order holds."""
    return b"".join(b"%d\n" % row for row in order)


def digest_of_order(data: bytes) -> str:
    """Of such a file: blake2b of 16 bytes as hex."""
    return blake2b(data, digest_size=16).hexdigest()


def read_order(path: Path, digest: str | None = None) -> NDArray[np.int64]:
    """The row numbers of a file of an order. [N]

    Args:
        path: the file.
        digest: what its digest has to be; None for any.

    Raises:
        TrainingError: it cannot be read, is no such file, or is another than the one that was trained with.
    """
    data = read_small(path, _MOST_BYTES, TrainingError)
    if digest is not None and digest_of_order(data) != digest:
        raise TrainingError(
            f"{path} is not the order that the training began with",
            hint="put the file back as it was, or train into a new folder",
            path=path,
        )
    lines = data.decode("ascii", "replace").split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not (line.isascii() and line.isdigit() and len(line) < 19):
            raise TrainingError(f"{path}: line {number} is not the number of a row", path=path)
    return np.array(lines, dtype=np.int64)
