"""The loops of low-rank sums beside the same sums term by term, over shapes that no block divides."""

from __future__ import annotations

import numpy as np
import pytest

from core.sources import loops

ROWS = 11


def expected(
    values: np.ndarray, left: np.ndarray, right: np.ndarray, ends: list[int], scales: np.ndarray
) -> np.ndarray:
    """docs/design.md, 2.1, a LoRA row: each step an array operation in the type of the factors."""
    total, begin = None, 0
    for end, scale in zip(ends, scales, strict=True):
        sums = np.zeros(values.shape, values.dtype)
        for term in range(begin, end):
            sums = sums + left[:, term, None] * right[term][None]
        delta = sums * scale
        total, begin = delta if total is None else total + delta, end
    return values + total


@pytest.mark.parametrize("columns", [1, 5, 1023, 1024, 1025, 2600])
@pytest.mark.parametrize("ranks", [(1,), (4,), (7,), (3, 5), (8, 1, 2)], ids=str)
def test_any_run_of_rows(columns: int, ranks: tuple[int, ...]) -> None:
    random = np.random.default_rng(columns)
    ends, kind = np.cumsum(ranks), np.float32 if columns % 2 else np.float64
    left = random.standard_normal((ROWS + 1, ends[-1])).astype(kind)
    right = random.standard_normal((ends[-1], columns)).astype(kind)
    left[3] = -0.0  # sums of −0 begin at +0
    scales = random.standard_normal(len(ranks)).astype(kind)
    values = np.where(random.random((ROWS, columns)) < 0.2, -0.0, random.standard_normal((ROWS, columns)))
    whole = expected(values.astype(kind), left[:ROWS], right, list(ends), scales)
    words = (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    of_words = expected(
        (words.astype(np.uint32) << 16).view(np.float32),
        *(one.astype(np.float32) for one in (left[:ROWS], right)),
        list(ends),
        scales.astype(np.float32),
    )
    rounded = np.empty(words.size, np.uint16)
    loops.round_to_words(of_words.ravel(), rounded)
    for first, size in ((0, ROWS * columns), (columns // 3, 3 * columns + 1), (ROWS * columns - 1, 1)):
        first_row, at = divmod(first, columns)
        rows = -(-(at + size) // columns)
        own = np.zeros((-(-rows // 4) * 4, ends[-1]), kind)
        own[:rows] = left[first_row : first_row + rows]
        run = values.astype(kind).ravel()[first : first + size].copy()
        loops.add_low_rank_to_values(run, at, columns, own, right, ends, scales)
        assert run.tobytes() == whole.ravel()[first : first + size].tobytes()
        part = words.ravel()[first : first + size].copy()
        factors = own.astype(np.float32), right.astype(np.float32), ends, scales.astype(np.float32)
        loops.add_low_rank_to_words(part, at, columns, *factors)
        assert np.array_equal(part, rounded[first : first + size])
