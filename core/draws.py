"""The draw contract, version 1 (docs/design.md, 2.2): which sub-model a parameter is taken from.

Every random choice is a pure function of (seed, tensor name, element, draw). This module is
written to be read; the kernels compute the same words faster.

Streams in use: 0 selects sub-models; 1 chooses the blocks that `inspect --sample` reads; 2 drops elements of
task vectors, draw i those of sub-model i; 3 takes resamples of a data set's samples, draw b those of resample
b, counted from 0, and from draw 2^32 − 1 downwards halves of them, draw 2^32 − 1 − s those of halving s (the
key of stream 3 is the data's digest, see core/evaluate/statistics/resampling.py); 4 puts the rows of training
data into an order, draw e that of epoch e, counted from 1 (key: the seed and the name "order-i").
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from hashlib import blake2b
from math import ceil
from typing import Any

__all__ = [
    "BLOCK",
    "DROPPING_STREAM",
    "MAX_SEED",
    "ORDERING_STREAM",
    "RESAMPLING_STREAM",
    "SAMPLING_STREAM",
    "SELECTION_STREAM",
    "counter_of",
    "philox4x32",
    "philox_key",
    "selection_thresholds",
]

BLOCK = 4096
"""Elements that share 1,024 Philox calls: four lanes of 1,024 contiguous elements."""

MAX_SEED = 2**64 - 1
SELECTION_STREAM = 0
SAMPLING_STREAM = 1
DROPPING_STREAM = 2
RESAMPLING_STREAM = 3
ORDERING_STREAM = 4

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF


def philox4x32(counter: tuple[Any, Any, Any, Any], key: tuple[int, int]) -> tuple[Any, Any, Any, Any]:
    """Philox4x32-10: four random 32-bit words from a 128-bit counter and a 64-bit key.

    The counter's words are ints, or arrays of uint64 for as many calls as they have elements.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Random123).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0 = _MULTIPLIERS[0] * c0
        product1 = _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (product1 >> 32) ^ c1 ^ k0,
            product1 & _WORD,
            (product0 >> 32) ^ c3 ^ k1,
            product0 & _WORD,
        )
        k0 = (k0 + _WEYL[0]) & _WORD
        k1 = (k1 + _WEYL[1]) & _WORD
    return c0, c1, c2, c3


def philox_key(seed: int, name: str) -> tuple[int, int]:
    """The Philox key (k0, k1) of the tensor called `name`, for 0 <= seed < 2**64."""
    digest = blake2b(
        name.encode(), digest_size=8, salt=seed.to_bytes(8, "little"), person=b"paramosaic:v1"
    ).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def counter_of(
    element: int, draw: int, stream: int = SELECTION_STREAM
) -> tuple[tuple[int, int, int, int], int]:
    """The Philox counter and the lane of its output that serve flat element `element`."""
    block = element >> 12
    lane = (element >> 10) & 3
    quad = (block << 10) | (element & 1023)
    return (quad & _WORD, quad >> 32, draw, stream), lane


def selection_thresholds(weights: Sequence[float]) -> list[int]:
    """T_1 .. T_{K-1}: the drawn sub-model is the number of thresholds that are <= the word.

    T_i = ceil(2**32 (p_1 + .. + p_i) / (p_1 + .. + p_K)) in exact rational arithmetic, 33 bits wide.
    `weights` are finite and not negative, and their sum is positive.
    """
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    thresholds = []
    running = Fraction(0)
    for weight in exact[:-1]:
        running += weight
        thresholds.append(ceil(running * 2**32 / total))
    return thresholds
