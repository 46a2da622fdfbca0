"""The loops over values: conversions, averages.

What is compiled calls nothing that is compiled from other files; see core.kernels.cpu.instructions.

Branch-free where it counts, and kept to narrow integers, so that LLVM vectorises them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.draws import BLOCK
from core.kernels.cpu.instructions import float32_of_bits

__all__ = [
    "add_values",
    "average",
    "average_bfloat16",
    "canonicalise",
    "count_nonfinite",
    "divide",
    "round_bits",
    "round_to_bfloat16",
    "widen_bfloat16",
]

Array = NDArray[Any]

_INSTRUCTIONS = "4005ae8c3f201f50"
"""The version of the instructions that these loops are compiled with."""


@njit(nogil=True, cache=True)
def widen_bfloat16(words: Array, bits: Array) -> None:
    for at in range(words.size):
        bits[at] = np.uint32(words[at]) << np.uint32(16)


@njit(nogil=True, cache=True)
def round_to_bfloat16(bits: Array, words: Array) -> None:
    """The bits of float32 values to those of bfloat16, to nearest even, into `words`."""
    for at in range(bits.size):
        value = bits[at]
        rounded = (value + np.uint32(0x7FFF) + ((value >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        is_nan = (value & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
        words[at] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)


@njit(nogil=True, cache=True)
def canonicalise(words: Array, magnitude_mask: Any, infinity: Any, nan: Any) -> None:
    for at in range(words.size):
        if (words[at] & magnitude_mask) > infinity:
            words[at] = nan


@njit(nogil=True, cache=True)
def round_bits(
    bits: Array,
    words: Array,
    exponent_bits: int,
    mantissa_bits: int,
    largest: int,
    nan: int,
    sign_shift: int,
) -> None:
    """float64 bits to a narrower type, one rounding to nearest even.

    A magnitude that rounds beyond `largest` becomes it: infinity, or the largest number of a type
    that has no infinity, as torch does it.
    """
    one = np.uint64(1)
    bias = (1 << (exponent_bits - 1)) - 1
    for at in range(bits.size):
        sign = (bits[at] >> np.uint64(63)) << np.uint64(sign_shift)
        magnitude = bits[at] & np.uint64(0x7FFFFFFFFFFFFFFF)
        if magnitude > np.uint64(0x7FF0000000000000):
            words[at] = nan
            continue
        exponent = np.int64(magnitude >> np.uint64(52)) - 1023 + bias
        mantissa = magnitude & np.uint64(0xFFFFFFFFFFFFF)
        shift = np.int64(52 - mantissa_bits)
        if exponent >= 1:
            exact = (np.uint64(exponent) << np.uint64(52)) | mantissa
        else:  # a subnormal of the target; those of float64 are far below half of the smallest
            exact = mantissa | np.uint64(0x10000000000000)
            shift = min(shift + 1 - exponent, np.int64(62))
        half = (one << np.uint64(shift - 1)) - one
        rounded = (exact + half + ((exact >> np.uint64(shift)) & one)) >> np.uint64(shift)
        words[at] = min(rounded, np.uint64(largest)) | sign


@njit(nogil=True, cache=True)
def count_nonfinite(words: Array, magnitude_mask: Any, first_nonfinite: Any) -> Any:
    total = np.int64(0)
    for start in range(0, words.size, BLOCK):
        block = words[start : min(start + BLOCK, words.size)]
        found = np.uint16(0)
        for at in range(block.size):
            found = np.uint16(found + np.uint16((block[at] & magnitude_mask) >= first_nonfinite))
        total += found
    return total


@njit(nogil=True, cache=True)
def add_values(values: Array, weighted: bool, factor: Any, accumulator: Array) -> None:
    """accumulator += values, or += factor * values with product and sum each rounded to its type."""
    kind = accumulator.dtype.type
    if weighted:
        for at in range(accumulator.size):
            product = kind(factor * kind(values[at]))
            accumulator[at] = accumulator[at] + product
    else:
        for at in range(accumulator.size):
            accumulator[at] = accumulator[at] + kind(values[at])


@njit(nogil=True, cache=True, error_model="numpy")
def divide(accumulator: Array, divisor: Any) -> None:
    """accumulator /= divisor, which is not 0, each quotient rounded to its type."""
    if divisor != 1:
        for at in range(accumulator.size):
            accumulator[at] = accumulator[at] / divisor


@njit(nogil=True, cache=True)
def average(
    values: Array, models: Array, weighted: bool, factors: Array, divisor: Any, accumulator: Array
) -> None:
    """The average of some of the rows of `values`, block by block; see core.weights.AverageTerms.

    Args:
        values: [K, elements].
        models: [terms] the rows that take part.
        weighted, factors: whether they are multiplied, and by what. [terms]
        divisor: 1 for no division.
        accumulator: [elements] of the computing type, is set.
    """
    for start in range(0, accumulator.size, BLOCK):
        stop = min(start + BLOCK, accumulator.size)
        block = accumulator[start:stop]
        block[:] = 0
        for term in range(models.size):
            factor = factors[term] if weighted else divisor
            add_values(values[models[term], start:stop], weighted, factor, block)
        divide(block, divisor)


@njit(nogil=True, cache=True)
def average_bfloat16(
    words: Array,
    models: Array,
    weighted: bool,
    factors: Array,
    divisor: Any,
    merged: Array,
    nonfinite: Array,
) -> None:
    """The same from and to the bits of bfloat16 values; the sums stay in the nearest cache.

    Adds to `nonfinite` [K] the NaN and infinite elements of each sub-model that takes part. They are looked
    for only where a sum is not finite: as no factor is 0, no sum gets rid of one.
    """
    magnitude, infinity = np.uint16(0x7FFF), np.uint16(0x7F80)
    accumulator = np.empty(BLOCK, np.float32)
    for start in range(0, merged.size, BLOCK):
        size = min(BLOCK, merged.size - start)
        accumulator[:] = 0
        for term in range(models.size):
            row = words[models[term], start : start + size]
            if weighted:
                factor = factors[term]
                for at in range(size):
                    bits = np.uint32(np.uint32(row[at]) << np.uint32(16))
                    product = factor * float32_of_bits(bits)  # type: ignore[call-arg]
                    accumulator[at] = accumulator[at] + product
            else:
                for at in range(size):
                    bits = np.uint32(np.uint32(row[at]) << np.uint32(16))
                    accumulator[at] = accumulator[at] + float32_of_bits(bits)  # type: ignore[call-arg]
        divide(accumulator, divisor)
        rounded = merged[start : start + size]
        round_to_bfloat16(accumulator.view(np.uint32)[:size], rounded)
        if count_nonfinite(rounded, magnitude, infinity):
            for term in range(models.size):
                row = words[models[term], start : start + size]
                nonfinite[models[term]] += count_nonfinite(row, magnitude, infinity)
