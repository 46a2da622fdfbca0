"""What the methods share: values in the computing type, ordered sums, orders of magnitudes, draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from whole_tensor import computing, numbers, words_of

__all__ = [
    "Inputs",
    "Made",
    "converted",
    "delta_is_zero",
    "draw_words",
    "drop_limit",
    "elected",
    "inputs_of",
    "picks",
    "positions_from_largest",
    "ranks",
    "row_sums",
    "rows_of",
    "total",
]

Words = np.ndarray


class Made(NamedTuple):
    """What a method makes of a tensor.

    Attributes:
        words: [elements] of the output dtype.
        counts: the run record's, by name.
        choices: what was decided of each element, arrays of [elements]. Where a threshold lies between
            values that differ by rounding alone, decisions differ between computing types.
        largest: [elements] the largest magnitude among the terms of the last sums.
    """

    words: Words
    counts: dict[str, list[int]]
    choices: list[np.ndarray]
    largest: np.ndarray


class Inputs(NamedTuple):
    """The inputs in the computing type. `base` is zeros where there is none."""

    kind: Any
    models: list[np.ndarray]
    base: np.ndarray
    deltas: list[np.ndarray]


def inputs_of(models: Sequence[Words], base: Words | None, dtype: str, out: str, kind: Any = None) -> Inputs:
    """The values in C, or in `kind`, and the differences from the base, rounded."""
    kind = kind or computing(dtype, out)
    values = [numbers(words, dtype).astype(kind) for words in models]
    origin = np.zeros(len(models[0]), kind) if base is None else numbers(base, dtype).astype(kind)
    with np.errstate(all="ignore"):
        return Inputs(kind, values, origin, [value - origin for value in values])


def converted(words: Words, dtype: str, out: str) -> Words:
    """The words as they are, or rounded once where the type changes."""
    return words if dtype == out else words_of(numbers(words, dtype), out)


# -- sums ----------------------------------------------------------------------------------------------------


def rows_of(values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """[rows, row] of the last dimension; one row for tensors of one dimension or none."""
    return values.reshape(-1, shape[-1] if len(shape) > 1 else max(values.size, 1))


def row_sums(values: np.ndarray) -> np.ndarray:
    """The sums of the rows of [rows, row] in float64: blocks of 4,096, of which 64 lanes, added by halves."""
    sums = np.zeros(len(values))
    with np.errstate(all="ignore"):
        for begin in range(0, values.shape[1], 4096):
            block = values[:, begin : begin + 4096]
            steps = -(-block.shape[1] // 64)
            padded = np.zeros((len(values), steps * 64))  # zeros that are added to +0 change nothing
            padded[:, : block.shape[1]] = block
            lanes = np.zeros((len(values), 64))
            for step in range(steps):
                lanes = lanes + padded[:, step * 64 : step * 64 + 64]
            for half in (32, 16, 8, 4, 2, 1):
                lanes = lanes[:, :half] + lanes[:, half:]
            sums = sums + lanes[:, 0]
    return sums


def total(values: np.ndarray) -> float:
    """The ordered sum of a whole tensor."""
    return float(row_sums(values.reshape(1, -1))[0])


# -- orders --------------------------------------------------------------------------------------------------


def ranks(values: np.ndarray) -> np.ndarray:
    """Whole numbers in the order of `values`: equal ones for equal values, the largest for every NaN."""
    unknown = np.isnan(values)
    known, at = np.unique(values[~unknown], return_inverse=True)
    result = np.full(values.shape, len(known))
    result[~unknown] = at
    return result


def positions_from_largest(values: np.ndarray) -> np.ndarray:
    """The place of each element from the largest on; of equal ones the first element comes first."""
    places = np.empty(len(values), np.int64)
    places[np.argsort(-ranks(values), kind="stable")] = np.arange(len(values))
    return places


# -- elections -----------------------------------------------------------------------------------------------


def elected(terms: Sequence[np.ndarray], rule: str) -> list[np.ndarray]:
    """Which terms have the sign that the sum of all, or their number, has; a sum of 0 is positive."""
    mass = np.zeros_like(terms[0])
    for term in terms:
        if rule == "mass":
            mass = mass + term
        else:
            mass = mass + ((term > 0).astype(int) - (term < 0).astype(int))
    positive = mass >= 0
    return [np.where(positive, term > 0, term < 0) for term in terms]


# -- draws ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def draw_words(elements: int, draw: int, key: tuple[int, int], stream: int) -> np.ndarray:
    """The 32-bit words of all elements of a tensor, in uint64: Philox4x32 of ten rounds."""
    element = np.arange(elements, dtype=np.uint64)
    quad = element >> 12 << 10 | element & 1023
    low = np.uint64(0xFFFFFFFF)
    c0, c1 = quad & low, quad >> 32
    c2, c3 = np.full_like(quad, draw), np.full_like(quad, stream)
    k0, k1 = (np.uint64(word) for word in key)
    for _ in range(10):
        first, second = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = second >> 32 ^ c1 ^ k0, second & low, first >> 32 ^ c3 ^ k1, first & low
        k0, k1 = k0 + np.uint64(0x9E3779B9) & low, k1 + np.uint64(0xBB67AE85) & low
    lane = (element >> 10 & 3).astype(np.int64)
    return np.choose(lane, [c0, c1, c2, c3])


def drop_limit(dropped: float | Fraction) -> int:
    """The words below it are dropped with this probability: exact."""
    return math.ceil(2**32 * Fraction(dropped))


def picks(words: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """The sub-model that each word draws, by its share."""
    shares = [Fraction(weight) for weight in weights]
    if not any(shares):
        shares = [Fraction(1)] * len(shares)
    chosen = np.zeros(len(words), np.int64)
    for count in range(1, len(shares)):
        chosen += words >= math.ceil(2**32 * sum(shares[:count]) / sum(shares))
    return chosen


def delta_is_zero(model: Words, base: Words, dtype: str, tolerance: float | None) -> np.ndarray:
    """Where the two compare as equal numbers, or differ by no more than `tolerance`."""
    one, other = numbers(model, dtype), numbers(base, dtype)
    zero = one == other
    if tolerance is not None:
        kind = np.float64 if dtype == "F64" else np.float32
        with np.errstate(all="ignore"):
            zero |= np.abs(one.astype(kind) - other.astype(kind)) <= kind(tolerance)
    return zero
