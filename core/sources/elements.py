"""Elements of stored types as float32 or float64 numbers, and back, with one rounding."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.dtypes import DType

__all__ = ["canonical", "values_of", "values_of_codes", "write_values"]

Array = NDArray[Any]


def values_of(data: bytearray, dtype: DType, kind: np.dtype[Any]) -> Array:
    """The elements in `data` as numbers of the type `kind`, which may be `data` itself; F64 is rounded."""
    if dtype.itemsize == 1:
        return values_of_codes(dtype)[np.frombuffer(data, np.uint8)].astype(kind)
    if dtype.name == "BF16":
        wide = (np.frombuffer(data, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
        return wide.astype(kind, copy=False)
    if dtype.name == "F16" and kind == np.float32:
        from core.sources.loops import widen_halves

        halves = np.frombuffer(data, np.uint16)
        floats = np.empty(halves.size, np.float32)
        widen_halves(halves, floats)
        return floats
    with np.errstate(over="ignore"):
        stored = np.frombuffer(data, {"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype.name])
        return stored.astype(kind, copy=False)


def write_values(values: Array, dtype: DType, buffer: memoryview) -> None:
    """Round `values`, float32 or of the type itself, to F16, BF16, F32 or F64 and write them."""
    if dtype.name == "BF16":
        from core.sources.loops import round_to_words

        round_to_words(values, np.frombuffer(buffer, np.uint16))
        return
    if dtype.name == "F16" and values.dtype == np.float32:
        from core.sources.loops import round_to_halves

        round_to_halves(values, np.frombuffer(buffer, np.uint16))
        return
    kind = {"F16": np.float16, "F32": np.float32, "F64": np.float64}[dtype.name]
    with np.errstate(over="ignore"):
        target = np.frombuffer(buffer, kind)
        target[:] = values
    canonical(target)


def canonical(values: Array) -> None:
    """Give every NaN the bits that the contract says."""
    is_nan = np.isnan(values)
    if is_nan.any():
        values[is_nan] = np.nan


@lru_cache
def values_of_codes(dtype: DType) -> Array:
    """The 256 values of an FP8 type in float32."""
    words = np.arange(256)
    magnitude = words & 0x7F
    exponent, mantissa = magnitude >> dtype.mantissa_bits, magnitude & ((1 << dtype.mantissa_bits) - 1)
    lowest = 1 - ((1 << (dtype.exponent_bits - 1)) - 1) - dtype.mantissa_bits
    leading = np.where(exponent > 0, 1 << dtype.mantissa_bits, 0)
    values = np.ldexp(leading + mantissa, np.maximum(exponent - 1, 0) + lowest)
    values[magnitude >= dtype.first_nonfinite] = np.nan
    if dtype.infinity == dtype.first_nonfinite:
        values[magnitude == dtype.infinity] = np.inf
    result: Array = np.where(words & 0x80, -values, values).astype(np.float32)
    return result
