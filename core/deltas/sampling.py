"""Which blocks of a tensor a sample holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.draws import SAMPLING_STREAM, philox4x32, philox_key

__all__ = ["SAMPLE_BLOCK", "sampled_blocks", "spread_blocks"]

SAMPLE_BLOCK = 65_536
"""Elements of a block: the unit of reading of an inspection, and what a sample is made of."""

_FEW = 12
"""So many words are drawn faster one by one than as an array."""

_CHOOSES, _ORDERS = 0, 1
"""The draw in the counter of stream 1: of the word of each block, and of the words of `spread_blocks`."""


def sampled_blocks(name: str, elements: int, sample: float, *, seed: int = 0) -> list[int]:
    """The numbers of the blocks of tensor `name` that a sample holds; the same on every machine.

    Each block is in it with the chance `sample`, whatever the others are; one of them always is. A larger
    sample holds the smaller ones.
    """
    blocks = -(-elements // SAMPLE_BLOCK)
    if sample >= 1:
        return list(range(blocks))
    words = _words(name, blocks, _CHOOSES, seed)
    chosen: list[int] = np.flatnonzero(words < sample * 2**32).tolist()
    return chosen or [int(words.argmin())] if blocks else []


def spread_blocks(name: str, blocks: int, count: int, *, seed: int = 0) -> list[int]:
    """`count` of the `blocks` blocks of tensor `name` in random order; more of them begin with the same.

    Block (word * blocks) >> 32 of every word in turn, the ones that came before left out.
    """
    words = 2 * count
    while True:
        drawn = _words(name, words, _ORDERS, seed) * np.uint64(blocks) >> np.uint64(32)
        _, first = np.unique(drawn, return_index=True)
        if len(first) >= min(count, blocks):
            found: list[int] = drawn[np.sort(first)[:count]].tolist()
            return found
        words *= 2


def _words(name: str, count: int, draw: int, seed: int) -> NDArray[np.uint64]:
    key = philox_key(seed, name)
    if count <= _FEW:
        few = [philox4x32((number, 0, draw, SAMPLING_STREAM), key)[0] for number in range(count)]
        return np.array(few, np.uint64)
    numbers = np.arange(count, dtype=np.uint64)
    zeros = np.zeros_like(numbers)
    counter = (
        numbers & np.uint64(0xFFFFFFFF),
        numbers >> np.uint64(32),
        zeros + draw,
        zeros + SAMPLING_STREAM,
    )
    words: NDArray[np.uint64] = philox4x32(counter, key)[0]
    return words
