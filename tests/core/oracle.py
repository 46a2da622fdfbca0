"""The contracts of values, draws and counts, written a second time: slow, obvious, and without the engine.

Words are plain integers, values are exact fractions, and every rounding is spelled out, so that nothing
here leans on the conversions of numpy or torch. What the engine computes must equal this bit for bit. Only
the float32 and float64 steps of an average use numpy's scalars, which round each product, each sum and the
quotient by itself, and only the hash functions come from libraries.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import xxhash

# -- formats -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Format:
    """A floating-point format: its width, and whether its largest exponent is kept for Inf and NaN."""

    bits: int
    exponent_bits: int
    has_inf: bool
    nan: int
    """The word written for every NaN that is produced."""

    @property
    def bytes(self) -> int:
        return self.bits // 8

    @property
    def mantissa_bits(self) -> int:
        return self.bits - 1 - self.exponent_bits

    @property
    def bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def min_exponent(self) -> int:
        """The exponent of the smallest normal number, and of every subnormal one."""
        return 1 - self.bias

    @property
    def sign_bit(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def largest(self) -> int:
        """The word of the largest finite number."""
        if self.has_inf:
            return (((1 << self.exponent_bits) - 1) << self.mantissa_bits) - 1
        return self.sign_bit - 2  # E4M3: only the all-ones word is no number


# The contract names four NaNs and says nothing of 8-bit floats. Here they take torch's: 7F in both; and what
# is too large for E4M3, Inf included, becomes its largest number.
FORMATS = {
    "F64": Format(64, 11, True, 0x7FF8000000000000),
    "F32": Format(32, 8, True, 0x7FC00000),
    "F16": Format(16, 5, True, 0x7E00),
    "BF16": Format(16, 8, True, 0x7FC0),
    "F8_E4M3": Format(8, 4, False, 0x7F),
    "F8_E5M2": Format(8, 5, True, 0x7F),
}

NAN, INF, NUMBER = "nan", "inf", "number"


@dataclass(frozen=True)
class Value:
    """What a word means: a NaN, a signed infinity, or a signed magnitude (so that −0 is not +0)."""

    kind: str
    negative: bool
    magnitude: Fraction = Fraction(0)

    @property
    def signed(self) -> Fraction:
        return -self.magnitude if self.negative else self.magnitude


@lru_cache(maxsize=1 << 18)
def decode(word: int, dtype: str) -> Value:
    form = FORMATS[dtype]
    negative = bool(word & form.sign_bit)
    rest = word & (form.sign_bit - 1)
    mantissa = rest & ((1 << form.mantissa_bits) - 1)
    exponent = rest >> form.mantissa_bits
    if form.has_inf and exponent == (1 << form.exponent_bits) - 1:
        return Value(NAN if mantissa else INF, negative)
    if not form.has_inf and rest == form.sign_bit - 1:
        return Value(NAN, negative)
    if exponent == 0:
        magnitude = Fraction(mantissa) * Fraction(2) ** (form.min_exponent - form.mantissa_bits)
    else:
        whole = mantissa | (1 << form.mantissa_bits)
        magnitude = Fraction(whole) * Fraction(2) ** (exponent - form.bias - form.mantissa_bits)
    return Value(NUMBER, negative, magnitude)


def _floor_log2(x: Fraction) -> int:
    guess = x.numerator.bit_length() - x.denominator.bit_length()
    while Fraction(2) ** guess > x:
        guess -= 1
    while Fraction(2) ** (guess + 1) <= x:
        guess += 1
    return guess


def encode(value: Value, dtype: str) -> int:
    """The nearest word, ties to even, subnormals kept; one rounding of the exact value."""
    form = FORMATS[dtype]
    if value.kind == NAN:
        return form.nan
    sign = form.sign_bit if value.negative else 0
    beyond = sign | (form.largest + 1 if form.has_inf else form.largest)  # E4M3 has no Inf and stops there
    if value.kind == INF:
        return beyond
    if value.magnitude == 0:
        return sign
    exponent = max(_floor_log2(value.magnitude), form.min_exponent)
    unit = Fraction(2) ** (exponent - form.mantissa_bits)
    steps = value.magnitude / unit
    whole = steps.numerator // steps.denominator
    rest = steps - whole
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole & 1):
        whole += 1
    # `whole` has its leading bit where the number is normal. Adding it to the exponent field makes a carry
    # out of the mantissa, and the step from subnormal to normal, come out by themselves.
    word = ((exponent - form.min_exponent) << form.mantissa_bits) + whole
    return beyond if word > form.largest else sign | word


@lru_cache(maxsize=1 << 18)
def convert(word: int, source: str, target: str) -> int:
    """One rounding straight from the source; a word that needs no conversion keeps its bits."""
    return word if source == target else encode(decode(word, source), target)


def is_nonfinite(word: int, dtype: str) -> bool:
    return decode(word, dtype).kind != NUMBER


def common_dtype(dtypes: Sequence[str]) -> str:
    """The merge dtype without a recipe's: the common dtype, or the smallest that holds them all."""
    distinct = set(dtypes)
    if len(distinct) == 1:
        return distinct.pop()
    wide = {dtype for dtype in distinct if FORMATS[dtype].bits > 8}
    if not wide:
        raise ValueError("8-bit floats that differ need a dtype")
    if wide == {"F16", "BF16"}:
        return "F32"
    return max(wide, key=lambda dtype: FORMATS[dtype].bits)


# -- words and bytes -----------------------------------------------------------------------------------------

_WORD_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


def words_from_bytes(data: bytes, dtype: str) -> list[int]:
    width = FORMATS[dtype].bytes
    return list(struct.unpack(f"<{len(data) // width}{_WORD_CODES[width]}", data))


def bytes_from_words(words: Sequence[int], dtype: str) -> bytes:
    return struct.pack(f"<{len(words)}{_WORD_CODES[FORMATS[dtype].bytes]}", *words)


# -- deltas --------------------------------------------------------------------------------------------------


def _as_float(word: int, dtype: str, wide: bool) -> np.floating:
    """The value of a word as float32, or float64 where `wide`, of a type that is no wider: exact."""
    if wide:
        return np.frombuffer(struct.pack("<Q", convert(word, dtype, "F64")), np.float64)[0]
    return np.frombuffer(struct.pack("<I", convert(word, dtype, "F32")), np.float32)[0]


def changed(a: int, b: int, dtype: str, zero_tolerance: float | None = None) -> bool:
    """Whether the delta between two words of the merge dtype is not zero."""
    left, right = decode(a, dtype), decode(b, dtype)
    if left.kind == NAN or right.kind == NAN:
        return True
    if left.kind == right.kind == INF and left.negative == right.negative:
        return False
    if left.kind == right.kind == NUMBER and left.signed == right.signed:
        return False
    if zero_tolerance is None:
        return True
    wide = dtype == "F64"
    with np.errstate(all="ignore"):
        limit = (np.float64 if wide else np.float32)(zero_tolerance)
        difference = abs(_as_float(a, dtype, wide) - _as_float(b, dtype, wide))
    return not difference <= limit


# -- draws ---------------------------------------------------------------------------------------------------

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF


def philox4x32_10(counter: Sequence[int], key: Sequence[int]) -> tuple[int, int, int, int]:
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (second >> 32) ^ c1 ^ k0, second & _MASK, (first >> 32) ^ c3 ^ k1, first & _MASK
        k0, k1 = (k0 + _W0) & _MASK, (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def key_for(seed: int, name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(
        name.encode(), digest_size=8, salt=seed.to_bytes(8, "little"), person=b"paramosaic:v1"
    ).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


@lru_cache(maxsize=1 << 16)
def _philox_cached(quad: int, draw: int, stream: int, key: tuple[int, int]) -> tuple[int, int, int, int]:
    return philox4x32_10((quad & _MASK, quad >> 32, draw, stream), key)


def word_at(element: int, draw: int, key: tuple[int, int], stream: int = 0) -> int:
    """The random word of one element and one draw."""
    block = element >> 12
    lane = (element >> 10) & 3
    quad = (block << 10) | (element & 1023)
    return _philox_cached(quad, draw, stream, key)[lane]


def thresholds(weights: Sequence[float]) -> list[int]:
    """T_1 .. T_{K−1}, in exact rational arithmetic; 2^32 itself can be among them."""
    exact = [Fraction(weight) for weight in weights]
    total = sum(exact)
    return [math.ceil(2**32 * sum(exact[: i + 1]) / total) for i in range(len(exact) - 1)]


def pick(word: int, limits: Sequence[int]) -> int:
    """The drawn sub-model, 0-based: the number of thresholds not above the word."""
    return sum(1 for limit in limits if limit <= word)


# -- methods -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """One model's copy of a tensor: its storage dtype and the words in row-major order."""

    dtype: str
    words: Sequence[int]

    def converted(self, dtype: str) -> list[int]:
        return [convert(word, self.dtype, dtype) for word in self.words]

    def count_nonfinite(self) -> int:
        return sum(is_nonfinite(word, self.dtype) for word in self.words)


@dataclass(frozen=True)
class Selected:
    """A selection's output words and every count of the run record."""

    words: list[int]
    zero_delta: list[int]
    changed_by: list[int]
    zero_after_draw: list[int]
    selected: list[int]
    nonfinite: list[int]


def select(
    base: Stored,
    models: Sequence[Stored],
    *,
    merge_dtype: str,
    out_dtype: str,
    weights: Sequence[float],
    resamples: int,
    key: tuple[int, int],
    first_element: int = 0,
    zero_tolerance: float | None = None,
) -> Selected:
    """Parameter selection with resampling of zero deltas, one element after the other."""
    count = len(models)
    limits = thresholds(weights)
    before = base.converted(merge_dtype)
    after = [model.converted(merge_dtype) for model in models]
    words: list[int] = []
    zero_delta = [0] * count
    changed_by = [0] * (count + 1)
    zero_after_draw = [0] * (resamples + 1)
    selected = [0] * count
    for j, was in enumerate(before):
        moved = [changed(model[j], was, merge_dtype, zero_tolerance) for model in after]
        for i in range(count):
            zero_delta[i] += not moved[i]
        changed_by[sum(moved)] += 1
        drawn = -1
        for draw in range(resamples + 1):
            drawn = pick(word_at(first_element + j, draw, key), limits)
            if moved[drawn]:
                break
            zero_after_draw[draw] += 1
        selected[drawn] += 1
        words.append(convert(after[drawn][j], merge_dtype, out_dtype))
    nonfinite = [stored.count_nonfinite() for stored in (*models, base)]
    return Selected(words, zero_delta, changed_by, zero_after_draw, selected, nonfinite)


@dataclass(frozen=True)
class Terms:
    """What an average adds up, of words of the computing type: v_i by sub-model, and the divisor.

    No factors: they are added as they are. No divisor: the sum is not divided.
    """

    models: list[int]
    factors: list[int] | None
    divisor: int | None


def _exact(value: Fraction) -> Value:
    return Value(NUMBER, value < 0, abs(value))


def average_terms(weights: Sequence[float], normalize: bool, computing: str) -> Terms:
    """The contract of averages, version 2; ValueError where it refuses the weights."""
    exact = [Fraction(weight) for weight in weights]
    if not normalize:
        words = [encode(_exact(weight), computing) for weight in exact]
        for weight, word in zip(exact, words, strict=True):
            value = decode(word, computing)
            if value.kind != NUMBER or (weight and not value.magnitude):
                raise ValueError("a weight does not fit the computing type")
        there = [at for at, weight in enumerate(exact) if weight]
        return Terms(there, [words[at] for at in there], None)
    if not any(exact):
        raise ValueError("the sum of the weights is 0")
    power = Fraction(2) ** -_floor_log2(max(abs(weight) for weight in exact))
    scaled = [weight * power for weight in exact]
    words = [encode(_exact(weight), computing) for weight in scaled]
    there = [at for at, word in enumerate(words) if decode(word, computing).magnitude]
    if all(exact[at] == exact[there[0]] for at in there):
        return Terms(there, None, encode(_exact(Fraction(len(there))), computing))
    as_float64 = [decode(encode(_exact(scaled[at]), "F64"), "F64").signed for at in there]
    divisor = convert(encode(_exact(sum(as_float64, Fraction(0))), "F64"), "F64", computing)
    if not decode(divisor, computing).magnitude:
        raise ValueError("the sum of the weights is 0")
    return Terms(there, [words[at] for at in there], divisor)


def average(
    models: Sequence[Stored],
    *,
    merge_dtype: str,
    out_dtype: str,
    weights: Sequence[float],
    normalize: bool = True,
) -> list[int]:
    """The weighted average: one product and one sum after the other, then one quotient, each rounded."""
    wide = bool({"F32", "F64"} & {merge_dtype, out_dtype})
    kind, computing = (np.float64, "F64") if wide else (np.float32, "F32")
    terms = average_terms(weights, normalize, computing)
    factors = None if terms.factors is None else [_as_float(v, computing, wide) for v in terms.factors]
    after = [models[at].converted(merge_dtype) for at in terms.models]
    words: list[int] = []
    with np.errstate(all="ignore"):
        for element in range(len(models[0].words)):
            acc = kind(0.0)
            for position, values in enumerate(after):
                theta = _as_float(values[element], merge_dtype, wide)
                term = theta if factors is None else factors[position] * theta
                acc = acc + term
                assert type(term) is type(acc) is kind
            if terms.divisor is not None:
                acc = acc / _as_float(terms.divisor, computing, wide)
                assert type(acc) is kind
            word = words_from_bytes(acc.tobytes(), computing)[0]
            if decode(word, computing).kind == NAN:
                word = FORMATS[computing].nan
            words.append(convert(word, computing, out_dtype))
    return words


# -- digests -------------------------------------------------------------------------------------------------

PIECE_BYTES = 256 * 1024


def tensor_digest(data: bytes) -> str:
    """XXH3-128 over the digests of the consecutive 256 KiB pieces."""
    pieces = [data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES)]
    return xxhash.xxh3_128(b"".join(xxhash.xxh3_128(piece).digest() for piece in pieces)).hexdigest()
