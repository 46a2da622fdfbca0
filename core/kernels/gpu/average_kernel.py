"""The weighted average on a GPU (Triton), bit for bit what core.kernels.cpu.averaging computes."""

# No `from __future__ import annotations`: Triton reads the parameters' annotations. What is below is
# compiled by Triton, with types and tuples of its own, which the usual checks do not know.
# mypy: ignore-errors

import triton
import triton.language as tl

__all__ = ["average_kernel"]


@triton.jit
def _widen(words, KIND: tl.constexpr, WIDE: tl.constexpr):
    """The values of words of KIND in the computing type: exact."""
    if KIND == "BF16":
        values = (words.to(tl.uint16, bitcast=True).to(tl.uint32) << 16).to(tl.float32, bitcast=True)
    elif KIND == "F16":
        values = words.to(tl.float16, bitcast=True).to(tl.float32)
    elif KIND == "F32":
        values = words.to(tl.float32, bitcast=True)
    else:
        values = words.to(tl.float64, bitcast=True)
    if WIDE:
        values = values.to(tl.float64)
    return values


@triton.jit
def _round(values, exponent_bits, mantissa_bits, infinity, nan, WIDE: tl.constexpr):
    """float32 (float64 where WIDE) rounded once to nearest even to another type, as unsigned words.

    On the bits, because no two devices agree on a NaN's, and none is to flush a subnormal. The type is no
    constant, lest each were compiled by itself.
    """
    SIGN: tl.constexpr = 63 if WIDE else 31
    MANTISSA: tl.constexpr = 52 if WIDE else 23
    UNSIGNED: tl.constexpr = tl.uint64 if WIDE else tl.uint32
    SIGNED: tl.constexpr = tl.int64 if WIDE else tl.int32
    exponent_bits = exponent_bits.to(SIGNED)
    mantissa_bits = mantissa_bits.to(SIGNED)
    one = tl.full((), 1, SIGNED)
    lost = MANTISSA - mantissa_bits
    lower = (1 << (SIGN - MANTISSA - 1)) - (one << (exponent_bits - 1))  # how much the bias is
    bits = values.to(UNSIGNED, bitcast=True)
    magnitude = (bits & ((1 << SIGN) - 1)).to(SIGNED)
    normal = magnitude
    if lower > 0:
        normal = tl.maximum(magnitude, (lower + 1) << MANTISSA) - (lower << MANTISSA)
    # Rounding may carry into the exponent, up to infinity. Where no bits are lost nothing is added.
    odd = (normal >> lost) & tl.minimum(lost, 1)
    rounded = (normal + (tl.maximum((one << lost) >> 1, 1) - 1) + odd) >> lost
    rounded = tl.minimum(rounded, infinity.to(SIGNED))
    if lower > 0:
        # What is subnormal there, in units of the smallest. Beyond the largest shift nothing is left.
        exponent = tl.minimum(magnitude >> MANTISSA, lower)
        shift = tl.minimum((lost + 1 + lower) - exponent, MANTISSA + 2)
        significand = (magnitude & ((1 << MANTISSA) - 1)) | (1 << MANTISSA)
        half = ((significand * 0 + 1) << (shift - 1)) - 1
        subnormal = (significand + half + ((significand >> shift) & 1)) >> shift
        rounded = tl.where(magnitude >= ((lower + 1) << MANTISSA), rounded, subnormal)
    rounded |= (bits >> SIGN).to(SIGNED) << (exponent_bits + mantissa_bits)
    return tl.where(magnitude > (((1 << (SIGN - MANTISSA)) - 1) << MANTISSA), nan.to(SIGNED), rounded)


@triton.jit(
    do_not_specialize=[
        "models",
        "terms",
        "tiles",
        "out_exponent_bits",
        "out_mantissa_bits",
        "out_infinity",
        "out_nan",
    ]
)
def average_kernel(
    models_words,
    order,
    factors,
    output,
    counts,
    stride: tl.int64,
    models,
    terms,
    tiles,
    out_exponent_bits,
    out_mantissa_bits,
    out_infinity,
    out_nan,
    KIND: tl.constexpr,
    WIDE: tl.constexpr,
    TILE: tl.constexpr,
):
    """Weighted average of a chunk: +0, then + factor * value for each term in turn, then / divisor.

    Must be compiled without fused multiply-add: product, sum and quotient are rounded each by itself.

    Args:
        models_words: [models, stride] words of KIND, signed integers; padding is zero.
        order: [models] int32, the sub-models that take part, then the others.
        factors: [models + 1] in the computing type: of each that takes part; the divisor last.
        output: [stride] words of the output type, signed integers.
        counts: [models] int32, nonfinite elements are added to.
        terms: how many sub-models take part.
        tiles: of TILE elements.
        out_exponent_bits, out_mantissa_bits, out_infinity, out_nan: of the output type; see DType.
        KIND: "BF16", "F16", "F32" or "F64".
        WIDE: whether to compute in float64, as "F64" must; else in float32.
    """
    stride = stride.to(tl.int64)
    columns = tl.arange(0, TILE)
    divisor = tl.load(factors + models)
    for tile in range(tl.program_id(0), tiles, tl.num_programs(0)):
        at = tile * TILE + columns
        total = tl.zeros((TILE,), tl.float64 if WIDE else tl.float32)
        for term in range(terms):
            words = tl.load(models_words + tl.load(order + term) * stride + at)
            total = total + tl.load(factors + term) * _widen(words, KIND, WIDE)
        # On float32 a plain / is approximate.
        quotient = total / divisor if WIDE else tl.math.div_rn(total, tl.zeros_like(total) + divisor)
        rounded = _round(quotient, out_exponent_bits, out_mantissa_bits, out_infinity, out_nan, WIDE)
        tl.store(output + at, rounded)
        # A value that is not finite leaves a total that is not, for no factor is 0: only then is there
        # anything to count. The total knows nothing of those that take no part.
        first = terms
        if tl.max((tl.abs(total) < float("inf")).to(tl.int32) ^ 1) != 0:
            first = terms * 0
        for term in range(first, models):
            model = tl.load(order + term)
            words = tl.load(models_words + model * stride + at)
            found = tl.sum((tl.abs(_widen(words, KIND, WIDE)) < float("inf")).to(tl.int32) ^ 1)
            tl.atomic_add(counts + model, found, sem="relaxed")
