"""The weighted average on a GPU (Triton), bit for bit what core.kernels.cpu.workspace computes."""

# No `from __future__ import annotations`: Triton reads the parameters' annotations. What is below is
# compiled by Triton, with types and tuples of its own, which the usual checks do not know.
# mypy: ignore-errors

import triton
import triton.language as tl

__all__ = ["average_kernel"]


@triton.jit
def _widen(words, KIND: tl.constexpr):
    """The values of words of KIND in the computing type: exact."""
    if KIND == "BF16":
        return (words.to(tl.uint16, bitcast=True).to(tl.uint32) << 16).to(tl.float32, bitcast=True)
    elif KIND == "F16":
        return words.to(tl.float16, bitcast=True).to(tl.float32)
    elif KIND == "F32":
        return words.to(tl.float32, bitcast=True)
    else:
        return words.to(tl.float64, bitcast=True)


@triton.jit
def _round(values, KIND: tl.constexpr):
    """float32 (float64 for F64) rounded once to nearest even to KIND, as a signed word; one NaN.

    On the bits, because no two devices agree on a NaN's, and none is to flush a subnormal.
    """
    if KIND == "F64":
        bits = values.to(tl.uint64, bitcast=True)
        is_nan = (bits & 0x7FFFFFFFFFFFFFFF) > 0x7FF0000000000000
        return tl.where(is_nan, 0x7FF8000000000000, bits).to(tl.int64, bitcast=True)
    else:
        bits = values.to(tl.uint32, bitcast=True)
        magnitude = bits & 0x7FFFFFFF
        is_nan = magnitude > 0x7F800000
        if KIND == "F32":
            return tl.where(is_nan, 0x7FC00000, bits).to(tl.int32, bitcast=True)
        elif KIND == "BF16":
            rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
            return tl.where(is_nan, 0x7FC0, rounded).to(tl.uint16).to(tl.int16, bitcast=True)
        else:
            exponent = magnitude >> 23
            # Normal: the exponent's bias goes from 127 to 15. Rounding may carry into it, up to infinity.
            normal = tl.maximum(magnitude, 0x38800000) - 0x38000000
            normal = tl.minimum((normal + 0x0FFF + ((normal >> 13) & 1)) >> 13, 0x7C00)
            # Subnormal: in units of 2**-24. From a shift of 25 on nothing is left of the 24 bits.
            shift = tl.minimum(126 - tl.minimum(exponent, 112), 25)
            significand = (magnitude & 0x007FFFFF) | 0x00800000
            half = ((significand * 0 + 1) << (shift - 1)) - 1
            subnormal = (significand + half + ((significand >> shift) & 1)) >> shift
            rounded = tl.where(magnitude >= 0x38800000, normal, subnormal) | ((bits >> 16) & 0x8000)
            return tl.where(is_nan, 0x7E00, rounded).to(tl.uint16).to(tl.int16, bitcast=True)


@triton.jit(do_not_specialize=["models", "tiles"])
def average_kernel(
    models_words,
    weights,
    output,
    counts,
    stride: tl.int64,
    models,
    tiles,
    KIND: tl.constexpr,
    OUT: tl.constexpr,
    TILE: tl.constexpr,
    MAGNITUDE: tl.constexpr,
    FIRST_NONFINITE: tl.constexpr,
):
    """Weighted average of a chunk: +0, then + weight * value for each sub-model in turn.

    Must be compiled without fused multiply-add: product and sum are rounded each by itself.

    Args:
        models_words: [models, stride] words of KIND, signed integers; padding is zero.
        weights: [models] in the computing type.
        output: [stride] words of OUT.
        counts: [models] int32, nonfinite elements are added to.
        KIND: "BF16", "F16", "F32" or "F64". OUT: likewise, and F64 with F64 only.
        tiles: of TILE elements.
        MAGNITUDE, FIRST_NONFINITE: of KIND, as words.
    """
    stride = stride.to(tl.int64)
    columns = tl.arange(0, TILE)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        at = tile * TILE + columns
        total = tl.zeros((TILE,), tl.float64 if KIND == "F64" else tl.float32)
        for model in range(models):
            value = _widen(tl.load(models_words + model * stride + at), KIND)
            total = total + tl.load(weights + model) * value
        tl.store(output + at, _round(total, OUT))
        # An input that is not finite leaves a total that is not: only then is there anything to count.
        if tl.max((tl.abs(total) < float("inf")).to(tl.int32) ^ 1) != 0:
            for model in range(models):
                words = tl.load(models_words + model * stride + at)
                found = tl.sum(((words & MAGNITUDE) >= FIRST_NONFINITE).to(tl.int32))
                tl.atomic_add(counts + model, found, sem="relaxed")
