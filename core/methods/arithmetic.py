"""Plain torch arithmetic that the methods share: conversions, deltas, draws.

Written to be read. This is the reference on every device; the kernels must match it to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.draws import BLOCK
from core.dtypes import DTYPES, DType

__all__ = [
    "canonical",
    "changed",
    "convert",
    "draw_words",
    "is_nonfinite",
    "pick_models",
    "torch_dtype",
    "words_of",
]

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


def draw_words(
    first_element: int, elements: int, draw: int, key: tuple[int, int], stream: int, device: torch.device
) -> Tensor:
    """The random 32-bit words of a run of elements, as int64. Shape [elements].

    Source: core.draws, which does the same for one element at a time.
    """
    flat = torch.arange(first_element, first_element + elements, dtype=torch.int64, device=device)
    lane = (flat >> 10) & 3
    quad = ((flat // BLOCK) << 10) | (flat & 1023)
    counter = [
        quad & 0xFFFFFFFF,
        quad >> 32,
        torch.full_like(quad, draw),
        torch.full_like(quad, stream),
    ]
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _multiply(0xD2511F53, counter[0])
        high1, low1 = _multiply(0xCD9E8D57, counter[2])
        counter = [high1 ^ counter[1] ^ k0, low1, high0 ^ counter[3] ^ k1, low0]
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return torch.stack(counter).gather(0, lane.unsqueeze(0)).squeeze(0)


def pick_models(words: Tensor, thresholds: Sequence[int]) -> Tensor:
    """The drawn sub-model of each word: the number of thresholds that are <= the word. int64."""
    picks = torch.zeros_like(words)
    for threshold in thresholds:
        picks += words >= threshold
    return picks


def _multiply(constant: int, values: Tensor) -> tuple[Tensor, Tensor]:
    """High and low words of constant * values; the product wraps as int64 and keeps its 64 bits."""
    product = values * constant
    return (product >> 32) & 0xFFFFFFFF, product & 0xFFFFFFFF


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
