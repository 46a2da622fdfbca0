"""Conversions between floating-point types on the CPU, each rounded once.

numpy converts between F16, F32 and F64; bfloat16 and the 8-bit types, which numpy lacks, are done
here on their bits. Every NaN comes out canonical and no subnormal is flushed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from core.dtypes import DTYPES, DType

__all__ = ["WORDS", "convert_words", "float32_of_bits", "from_computing", "round_to_bfloat16", "to_computing"]

WORDS: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""The unsigned integer type of each element size."""

_NUMPY_FLOATS: dict[str, Any] = {"F16": np.float16, "F32": np.float32, "F64": np.float64}

Array = NDArray[Any]


def convert_words(words: Array, source: DType, target: DType) -> Array:
    """`words` (bits of `source` values, [elements]) as bits of `target`; the same array if they agree."""
    if source == target:
        return words
    if source.name == "F64":
        return from_computing(words.view(np.float64), target)
    return from_computing(to_computing(words, source), target)


def to_computing(words: Array, source: DType) -> Array:
    """The values of `words` in float32, or in float64 for F64: exact. [elements]."""
    if source.name in {"F32", "F64"}:
        return words.view(_NUMPY_FLOATS[source.name])
    if source.name == "F16":
        return words.view(np.float16).astype(np.float32)
    values = np.empty(words.shape, np.uint32)
    if source.name == "BF16":
        _widen_bfloat16(words, values)
        return values.view(np.float32)
    return _table_of_8_bit(source)[words]


def from_computing(values: Array, target: DType) -> Array:
    """float32 or float64 `values` rounded once to `target`, as bits. A new array. [elements]."""
    words = np.empty(values.shape, WORDS[target.itemsize])
    if target.name in _NUMPY_FLOATS:
        with np.errstate(all="ignore"):  # overflow to infinity and NaN are ordinary results here
            words.view(_NUMPY_FLOATS[target.name])[...] = values
        _canonicalise(
            words,
            words.dtype.type(target.magnitude_mask),
            words.dtype.type(target.infinity),
            words.dtype.type(target.nan),
        )
    elif target.name == "BF16" and values.dtype == np.float32:
        round_to_bfloat16(values.view(np.uint32), words)
    else:
        with np.errstate(invalid="ignore"):
            exact = values.astype(np.float64)
        _round_bits(
            exact.view(np.uint64),
            words,
            target.exponent_bits,
            target.mantissa_bits,
            target.infinity,
            target.nan,
            8 * target.itemsize - 1,
        )
    return words


@intrinsic
def float32_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float32 whose bits are the uint32 `bits`; unlike a view, it leaves a loop vectorised."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


@njit(nogil=True, cache=True)
def _widen_bfloat16(words: Array, bits: Array) -> None:
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
def _canonicalise(words: Array, magnitude_mask: Any, infinity: Any, nan: Any) -> None:
    for at in range(words.size):
        if (words[at] & magnitude_mask) > infinity:
            words[at] = nan


@njit(nogil=True, cache=True)
def _round_bits(
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


def _table_of_8_bit(source: DType) -> Array:
    """The 256 values of an 8-bit type in float32."""
    if source.name not in _TABLES:
        words = np.arange(256)
        exponent = (words & 0x7F) >> source.mantissa_bits
        mantissa = words & ((1 << source.mantissa_bits) - 1)
        bias = (1 << (source.exponent_bits - 1)) - 1
        scale = np.exp2(np.maximum(exponent, 1) - bias - source.mantissa_bits)
        values = (mantissa + (exponent > 0) * (1 << source.mantissa_bits)) * scale
        magnitude = words & 0x7F
        values[magnitude == source.infinity] = (
            np.inf if source.infinity == source.first_nonfinite else values[source.infinity]
        )
        values[magnitude > source.infinity] = np.nan
        _TABLES[source.name] = np.where(words & 0x80, -values, values).astype(np.float32)
    return _TABLES[source.name]


_TABLES: dict[str, Array] = {}
assert all(dtype.itemsize in WORDS for dtype in DTYPES.values())
