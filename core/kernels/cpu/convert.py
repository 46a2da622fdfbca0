"""Conversions between floating-point types on the CPU, each rounded once.

numpy converts between F16, F32 and F64; bfloat16 and the 8-bit types, which numpy lacks, are done
here on their bits. Every NaN comes out canonical and no subnormal is flushed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DTYPES, DType
from core.kernels.cpu.loops import canonicalise, round_bits, round_to_bfloat16, widen_bfloat16

__all__ = ["WORDS", "convert_words", "from_computing", "to_computing"]

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
        widen_bfloat16(words, values)
        return values.view(np.float32)
    return _table_of_8_bit(source)[words]


def from_computing(values: Array, target: DType) -> Array:
    """float32 or float64 `values` rounded once to `target`, as bits. A new array. [elements]."""
    words = np.empty(values.shape, WORDS[target.itemsize])
    if target.name in _NUMPY_FLOATS:
        with np.errstate(all="ignore"):  # overflow to infinity and NaN are ordinary results here
            words.view(_NUMPY_FLOATS[target.name])[...] = values
        canonicalise(
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
        round_bits(
            exact.view(np.uint64),
            words,
            target.exponent_bits,
            target.mantissa_bits,
            target.infinity,
            target.nan,
            8 * target.itemsize - 1,
        )
    return words


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
