"""Which samples a resample takes, and which half of a data set each belongs to: the draw contract's stream 3.

A pure function of (digest of the data, element, draw): the same on every machine, and for every model that is
compared on the same data, so that two comparisons differ by their losses and never by their resamples.

The Philox key is the first 8 bytes of the data's digest as two little-endian 32-bit words; counter and lane
of element j are those of docs/design.md, 2.2 (core.draws.counter_of).

- Draw b, for b = 0, 1, …: resample b. Its element j takes unit (word · N) >> 32 of N units.
- Draw 2^32 − 1 − s, for s = 0, 1, …: halving s. The units in the order of their words, the lower number first
  where words are equal: the first N // 2 of them are one half, the rest the other.

A unit is a sample, or where samples belong to groups a whole group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.draws import BLOCK, RESAMPLING_STREAM, philox4x32
from core.errors import DataError

__all__ = [
    "MOST_RESAMPLES",
    "data_key",
    "draw_words",
    "groups_as_numbers",
    "halves",
    "resample_count",
    "resamples",
]

MOST_RESAMPLES = 9_999
"""One less than a round number: the end of a 95 % interval is then the 250th of them, nothing in between."""

_LEAST_RESAMPLES = 1_999
_MOST_WORDS = 200_000_000
"""A few seconds' work."""

_ROUND = 40
"""Resamples plus one are a multiple of it, so that 2.5 % of that is a whole number."""

_AT_ONCE = 1 << 16
"""Philox calls, or elements taken, in one go: the arrays then stay in the processor's cache."""

_LAST_DRAW = 2**32 - 1
_LANE = BLOCK // 4
_DIGEST = re.compile("[0-9a-fA-F]{16,}")


def data_key(digest: str) -> tuple[int, int]:
    """The Philox key (k0, k1) of the data with this digest, 16 or more hex digits. Raises DataError."""
    if not _DIGEST.fullmatch(digest):
        raise DataError(
            f"{digest!r} is no digest of data", hint="take the one that the data set has, of 32 hex digits"
        )
    words = bytes.fromhex(digest[:16])
    return int.from_bytes(words[:4], "little"), int.from_bytes(words[4:], "little")


def draw_words(key: tuple[int, int], draws: Sequence[int] | range, count: int) -> NDArray[np.uint64]:
    """The 32-bit words of elements 0 .. count−1 in each of `draws`, [len(draws), count].

    One Philox call serves four elements of a block of 4,096 that lie 1,024 apart, hence the shapes.
    """
    blocks = -(-count // BLOCK)
    offsets = min(count, _LANE)
    quads: NDArray[np.uint64] = (
        (np.arange(blocks)[:, None] * _LANE + np.arange(offsets)).ravel().astype(np.uint64)
    )
    rows = np.asarray(draws, np.uint64)[:, None]
    counter = (quads & np.uint64(_LAST_DRAW), quads >> np.uint64(32), rows, RESAMPLING_STREAM)
    lanes = philox4x32(counter, key)
    if count <= _LANE:
        return np.ascontiguousarray(lanes[0][:, :count])
    words = np.stack([lane.reshape(len(rows), blocks, offsets) for lane in lanes], axis=2)
    return np.ascontiguousarray(words.reshape(len(rows), blocks * BLOCK)[:, :count])


def resample_count(units: int) -> int:
    """B: 9,999, fewer where B · units would pass 2 · 10^8, and 0 where fewer than 1,999 would be left.

    With 100,000 units and more, resamples tell nothing that a paired t does not, and too few of them could
    show no difference between many models: p is 2 / (B + 1) or more.
    """
    count = min(MOST_RESAMPLES, _ROUND * (_MOST_WORDS // max(units, 1) // _ROUND) - 1)
    return count if count >= _LEAST_RESAMPLES else 0


def resamples(
    digest: str, units: int, *, count: int | None = None, cancel: CancelToken | None = None
) -> Iterator[NDArray[np.intp]]:
    """The units that resamples 0 .. count−1 take, some resamples at a time: [b, units] each.

    Raises:
        DataError: `digest` is none.
        Cancelled: `cancel` was.
    """
    key = data_key(digest)
    total = resample_count(units) if count is None else count
    step = max(1, _AT_ONCE // max(units, 1))
    for start in range(0, total, step):
        if cancel is not None:
            cancel.raise_if_cancelled()
        words = draw_words(key, range(start, min(start + step, total)), units)
        words *= np.uint64(units)
        words >>= np.uint64(32)
        yield words.astype(np.intp)


def halves(digest: str, units: int, split: int = 0) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The units of both halves of halving `split`, each in rising order; where `units` is odd, the second is
    larger.

    Raises DataError: `digest` is none.
    """
    words = draw_words(data_key(digest), [_LAST_DRAW - split], units)[0]
    order = np.argsort(words, kind="stable")
    return np.sort(order[: units // 2]), np.sort(order[units // 2 :])


def groups_as_numbers(groups: Sequence[str] | None, count: int) -> NDArray[np.intp]:
    """The unit of each of `count` samples, numbered in the order in which the groups first appear, [count].

    Without groups each sample is a unit of its own. Raises DataError: there is not one group for each sample.
    """
    if groups is None:
        return np.arange(count)
    if len(groups) != count:
        raise DataError(
            f"there are {len(groups)} groups for {count} samples",
            hint="give each row of the data a group, or none",
            field="groups",
        )
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.intp)
