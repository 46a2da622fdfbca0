"""Values as torch tensors: types, bits, conversions and comparisons, as every part of the engine means them.

Written to be read. This is the reference on every device; the kernels must match it to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.dtypes import DTYPES, DType

__all__ = ["canonical", "changed", "convert", "is_nonfinite", "torch_dtype", "words_of"]

_SIGNED = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def torch_dtype(dtype: DType) -> torch.dtype:
    """The torch type of `dtype`."""
    found = getattr(torch, dtype.torch_name)
    assert isinstance(found, torch.dtype)
    return found


def words_of(values: Tensor) -> Tensor:
    """The bits of `values` as integers of the same width and shape."""
    return values.view(_SIGNED[values.element_size()])


def is_nonfinite(values: Tensor) -> Tensor:
    """Where `values` are NaN or infinite."""
    return ~torch.isfinite(_comparable(values))


def convert(values: Tensor, dtype: DType) -> Tensor:
    """`values` in `dtype`: rounded once to nearest even, subnormals kept, every NaN canonical.

    A conversion to the type that `values` have already returns them as they are, bit for bit.
    """
    target = torch_dtype(dtype)
    if values.dtype == target:
        return values
    source = values
    if values.dtype == torch.float64:
        if target != torch.float32:
            source = _round_to_odd(values)
    else:
        source = values.to(torch.float32)  # exact
    if dtype.name == "F8_E4M3":  # it has no infinity: larger values become the largest
        source = source.clamp(-448.0, 448.0)
    return _canonical_nan(source.to(target), _comparable(values).isnan(), dtype)


def canonical(values: Tensor, dtype: DType) -> Tensor:
    """`values`, which are of `dtype`, with every NaN made canonical."""
    return _canonical_nan(values.clone(), _comparable(values).isnan(), dtype)


def changed(model: Tensor, base: Tensor, zero_tolerance: float | None) -> Tensor:
    """Where the delta of `model` is not zero; both are of the merge dtype.

    Compared as numbers: -0 equals +0, and a NaN differs from everything.
    """
    differs = _comparable(model).ne(_comparable(base))
    if zero_tolerance is None:
        return differs
    computing = torch.float64 if model.dtype == torch.float64 else torch.float32
    tolerance = torch.tensor(zero_tolerance, dtype=torch.float64).to(computing)
    distance = (model.to(computing) - base.to(computing)).abs()
    return differs & ~(distance <= tolerance.to(distance.device))


def _comparable(values: Tensor) -> Tensor:
    """Torch has no comparisons for 8-bit floats; float32 holds them exactly."""
    return values.to(torch.float32) if values.element_size() == 1 else values


def _round_to_odd(values: Tensor) -> Tensor:
    """float64 to float32, inexact results to the neighbour whose last bit is odd.

    Rounding that to a still narrower type gives what one rounding from float64 gives, because
    float32 keeps at least two bits more than any of those types.
    """
    nearest = values.to(torch.float32)
    back = nearest.to(torch.float64)
    bits = words_of(nearest)
    bits = torch.where(back.abs() > values.abs(), bits - 1, bits)  # toward zero
    bits = torch.where(back != values, bits | 1, bits)
    return torch.where(values.isnan(), nearest, bits.view(torch.float32))


def _canonical_nan(values: Tensor, where: Tensor, dtype: DType) -> Tensor:
    words = words_of(values)
    words[where] = dtype.nan
    return words.view(values.dtype)


assert set(_SIGNED) == {dtype.itemsize for dtype in DTYPES.values()}
