"""The contract of values: conversions, deltas, averages, merge dtypes, digests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from oracle import FORMATS, NAN, Stored, Value

from core import table
from core.digest import TensorDigest, piece_digests
from core.dtypes import DTYPES, promote
from core.kernels.cpu.convert import convert_words
from core.kernels.cpu.workspace import CpuWorkspace
from core.kernels.interface import MapJob
from core.methods import METHODS
from core.methods.reference import Reference
from core.torch_values import changed, convert, torch_dtype

NARROW = ["F16", "BF16", "F8_E4M3", "F8_E5M2"]
WIDER_PAIRS = [
    (source, target)
    for source in FORMATS
    for target in FORMATS
    if FORMATS[source].bits > FORMATS[target].bits or {source, target} == {"F16", "BF16"}
]
UNSIGNED = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}


def by_kernel(words: Sequence[int], source: str, target: str) -> list[int]:
    array = np.array(words, UNSIGNED[FORMATS[source].bits])
    return convert_words(array, DTYPES[source], DTYPES[target]).tolist()


def by_reference(words: Sequence[int], source: str, target: str) -> list[int]:
    data = torch.frombuffer(bytearray(oracle.bytes_from_words(words, source)), dtype=torch.uint8)
    values = data.view(torch_dtype(DTYPES[source]))
    converted = convert(values, DTYPES[target]).contiguous().view(torch.uint8)
    return oracle.words_from_bytes(converted.numpy().tobytes(), target)


def words_of(dtype: str) -> st.SearchStrategy[int]:
    """Words of `dtype`: any at all, and the ends of every kind of number."""
    form = FORMATS[dtype]
    ends = [0, 1, 2, (1 << form.mantissa_bits) - 1, 1 << form.mantissa_bits, form.largest - 1, form.largest]
    ends += [form.largest + 1, form.largest + 2, form.sign_bit - 1, form.nan]
    ends = [end for end in ends if end < form.sign_bit]
    return st.one_of(
        st.integers(0, 2**form.bits - 1), st.sampled_from(ends + [end | form.sign_bit for end in ends])
    )


@st.composite
def near_ties(draw: st.DrawFn, source: str, target: str) -> int:
    """A word of `source` at, or one step beside, the middle between two neighbours of `target`."""
    form = FORMATS[target]
    word = (draw(words_of(target)) & (form.sign_bit - 1)) % (form.largest + 1)
    here = oracle.decode(word, target).magnitude
    if word < form.largest:
        gap = oracle.decode(word + 1, target).magnitude - here
    else:  # from the middle beyond the largest number on, all is Inf
        gap = here - oracle.decode(word - 1, target).magnitude
    middle = Value(oracle.NUMBER, draw(st.booleans()), here + gap / 2)
    step = draw(st.sampled_from([-1, 0, 0, 1]))
    return (oracle.encode(middle, source) + step) % 2 ** FORMATS[source].bits


# -- the oracle itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "number"),
    [("F64", np.float64), ("F32", np.float32), ("F16", np.float16)],
)
@given(data=st.data())
def test_the_oracle_reads_and_rounds_as_ieee_does(dtype, number, data) -> None:
    word = data.draw(words_of(dtype))
    value = oracle.decode(word, dtype)
    same = np.frombuffer(oracle.bytes_from_words([word], dtype), number)[0]
    if value.kind == oracle.NUMBER:
        assert Fraction(float(same)) == value.signed
        assert bool(np.signbit(same)) == value.negative
        assert oracle.encode(value, dtype) == word
    else:
        assert np.isnan(same) == (value.kind == NAN)


@given(words_of("F32"), words_of("F32"), words_of("F32"))
def test_a_step_of_the_oracles_average_rounds_twice_and_exactly(share, theta, acc) -> None:
    values = [oracle.decode(word, "F32") for word in (share, theta, acc)]
    if any(value.kind != oracle.NUMBER for value in values):
        return

    def rounded(exact: Fraction) -> Value:
        word = oracle.encode(Value(oracle.NUMBER, exact < 0, abs(exact)), "F32")
        return oracle.decode(word, "F32")

    product = rounded(values[0].signed * values[1].signed)
    scalars = [
        np.frombuffer(oracle.bytes_from_words([word], "F32"), np.float32)[0] for word in (share, theta, acc)
    ]
    with np.errstate(all="ignore"):
        stepped = scalars[2] + scalars[0] * scalars[1]
    if product.kind == oracle.INF:
        assert np.isinf(stepped)
        return
    total = rounded(values[2].signed + product.signed)
    if total.kind == oracle.INF:
        assert np.isinf(stepped)
    else:
        assert Fraction(float(stepped)) == total.signed


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
@given(data=st.data())
def test_the_delta_formula_on_raw_16_bit_words(dtype, data) -> None:
    a = data.draw(words_of(dtype))
    b = data.draw(st.one_of(words_of(dtype), st.just(a), st.just(a ^ 0x8000)))

    def isnan(word: int) -> bool:
        return oracle.decode(word, dtype).kind == NAN

    assert oracle.changed(a, b, dtype) == ((a != b and (a | b) & 0x7FFF != 0) or isnan(a) or isnan(b))


# -- conversions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [by_kernel, by_reference])
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", NARROW)
def test_every_short_word_converts_as_the_oracle_does(source, target, by) -> None:
    bits = FORMATS[source].bits
    step = 1 if bits == 8 else 13
    words = sorted(
        {*range(0, 2**bits, step), *range(0, 2**bits, 2 ** (bits - 8)), 2 ** (bits - 1) - 1, 2**bits - 1}
    )
    expected = [oracle.convert(word, source, target) for word in words]
    assert by(words, source, target) == expected


@pytest.mark.parametrize("pair", WIDER_PAIRS, ids="-".join)
@settings(max_examples=25)
@given(data=st.data())
def test_conversions_round_once_to_nearest_even(pair, data) -> None:
    source, target = pair
    words = data.draw(
        st.lists(st.one_of(words_of(source), near_ties(source, target)), min_size=1, max_size=40)
    )
    expected = [oracle.convert(word, source, target) for word in words]
    assert by_kernel(words, source, target) == expected
    assert by_reference(words, source, target) == expected


@pytest.mark.parametrize("by", [by_kernel, by_reference])
def test_float64_does_not_go_to_bfloat16_by_way_of_float32(by) -> None:
    # 1 + 2^-8 + 2^-40: float32 would make it the tie 1 + 2^-8, which goes down to 1.
    word = oracle.encode(Value(oracle.NUMBER, False, 1 + Fraction(1, 2**8) + Fraction(1, 2**40)), "F64")
    assert by([word], "F64", "BF16") == [0x3F81]


@pytest.mark.parametrize("by", [by_kernel, by_reference])
@pytest.mark.parametrize("length", [1, 7, 8, 31, 64, 100])
@pytest.mark.parametrize(
    ("target", "nan"), [("F16", 0x7E00), ("BF16", 0x7FC0), ("F32", 0x7FC00000), ("F64", 0x7FF8000000000000)]
)
@pytest.mark.parametrize("source", FORMATS)
def test_every_converted_nan_is_the_canonical_one(source, target, nan, length, by) -> None:
    form = FORMATS[source]
    nans = (
        [0x7F, 0xFF]
        if source == "F8_E4M3"
        else [form.largest + 2, form.nan, form.sign_bit - 1, 2**form.bits - 1]
    )
    words = (nans * length)[:length]
    assert by(words, source, target) == (words if source == target else [nan] * length)


# -- deltas --------------------------------------------------------------------------------------------------


def tolerances() -> st.SearchStrategy[float | None]:
    return st.one_of(
        st.none(),
        st.sampled_from([0.0, 5e-324, 1e-45, 1e-8, 2.0**-9, 0.1, 1.0, 65504.0, 3.4e38, 1e300]),
        st.floats(0, 1e-2),
    )


@pytest.mark.parametrize("dtype", FORMATS)
@settings(max_examples=30)
@given(data=st.data())
def test_a_delta_is_zero_where_the_oracle_says_so(dtype, data) -> None:
    sign = FORMATS[dtype].sign_bit
    pairs = data.draw(
        st.lists(
            words_of(dtype).flatmap(
                lambda a: st.tuples(
                    st.just(a),
                    st.one_of(
                        st.just(a),
                        st.just(a ^ sign),
                        st.just(a ^ 1),
                        st.integers(0, 9).map(lambda i: a ^ i),
                        words_of(dtype),
                    ),
                )
            ),
            min_size=1,
            max_size=30,
        )
    )
    tolerance = data.draw(tolerances())
    expected = [oracle.changed(a, b, dtype, tolerance) for a, b in pairs]
    kind = torch_dtype(DTYPES[dtype])
    one, two = (
        torch.frombuffer(bytearray(oracle.bytes_from_words(words, dtype)), dtype=torch.uint8).view(kind)
        for words in zip(*pairs, strict=True)
    )
    assert changed(one, two, tolerance).tolist() == expected


def test_zero_tolerance_compares_the_rounded_difference_with_the_rounded_tolerance() -> None:
    # 1 + 2^-23 against 1 in float32, where a tolerance just below 2^-23 rounds up to it.
    one, next_one = 0x3F800000, 0x3F800001
    assert oracle.changed(next_one, one, "F32", 2.0**-24)
    below = math.nextafter(2.0**-23, 0)
    assert not oracle.changed(next_one, one, "F32", below)
    values = torch.tensor([next_one], dtype=torch.int32).view(torch.float32)
    assert not changed(values, torch.ones(1), below).item()


# -- averages ------------------------------------------------------------------------------------------------


def by_kernels(job: MapJob, models: Sequence[Sequence[int]]) -> list[int]:
    return averaged(table.workspace(), job, models)


def by_own_arithmetic(job: MapJob, models: Sequence[Sequence[int]]) -> list[int]:
    return averaged(CpuWorkspace({}, Reference()), job, models)


def averaged(workspace, job: MapJob, models: Sequence[Sequence[int]]) -> list[int]:
    buffers = workspace.begin(job.input_dtypes, len(models[0]))
    for buffer, words, dtype in zip(buffers, models, job.model_dtypes, strict=True):
        buffer[:] = oracle.bytes_from_words(words, dtype.name)
    return oracle.words_from_bytes(bytes(workspace.run(job, 0).data), job.out_dtype.name)


def average_job(merge: str, out: str, weights: Sequence[float], *, normalize: bool = True) -> MapJob:
    values = {"weight": weights, "normalize": normalize}
    return table.trial_job(METHODS["linear"], DTYPES[merge], len(weights), values, out_dtype=DTYPES[out])


finite_weights = st.one_of(
    st.sampled_from([1.0, 0.0, -1.0, 0.1, 1 / 3, 3.0, 1e-30, 1e30]), st.floats(-1e6, 1e6)
)


@pytest.mark.parametrize("merge", FORMATS)
@settings(max_examples=25)
@given(data=st.data())
def test_an_average_is_one_step_after_the_other_each_rounded(merge, data) -> None:
    out = data.draw(st.sampled_from([merge, merge, *FORMATS]))
    count = data.draw(st.integers(1, 6))
    weights = data.draw(
        st.one_of(
            st.lists(finite_weights, min_size=count, max_size=count),
            finite_weights.map(lambda weight: [weight] * count),
        )
    )
    normalize = data.draw(st.booleans())
    length = data.draw(st.integers(1, 20))
    moderate = st.integers(0, 2 ** FORMATS[merge].mantissa_bits - 1).map(
        lambda mantissa: mantissa | FORMATS[merge].bias << FORMATS[merge].mantissa_bits
    )
    models = data.draw(
        st.lists(
            st.lists(st.one_of(moderate, words_of(merge)), min_size=length, max_size=length),
            min_size=count,
            max_size=count,
        )
    )
    try:
        expected = oracle.average(
            [Stored(merge, words) for words in models],
            merge_dtype=merge,
            out_dtype=out,
            weights=weights,
            normalize=normalize,
        )
    except ValueError:
        reject()
    job = average_job(merge, out, weights, normalize=normalize)
    assert by_kernels(job, models) == expected
    assert by_own_arithmetic(job, models) == expected


@pytest.mark.parametrize("by", [by_kernels, by_own_arithmetic])
@pytest.mark.parametrize(("merge", "computing"), [("BF16", "F32"), ("F32", "F64"), ("F64", "F64")])
def test_an_average_uses_no_fused_multiply_add(merge, computing, by) -> None:
    # Enough elements that a vectorised body does the work, and not only what is left over at its end.
    generator = np.random.default_rng(1)
    values = generator.standard_normal((3, 257)).astype(np.float32).view(np.uint32).tolist()
    models = [[oracle.convert(word, "F32", merge) for word in words] for words in values]
    if merge == "F64":  # of all its bits
        models = generator.standard_normal((3, 257)).view(np.uint64).tolist()
    weights = (0.1, 0.7, 0.3)
    expected = oracle.average(
        [Stored(merge, words) for words in models], merge_dtype=merge, out_dtype=merge, weights=weights
    )
    terms = oracle.average_terms(weights, True, computing)
    divisor = oracle.decode(terms.divisor, computing).signed
    factors = [oracle.decode(factor, computing).signed for factor in terms.factors]

    def rounded(exact: Fraction) -> Fraction:
        word = oracle.encode(Value(oracle.NUMBER, exact < 0, abs(exact)), computing)
        return oracle.decode(word, computing).signed

    def average(fused: bool) -> list[int]:
        found = []
        for words in zip(*models, strict=True):
            acc = Fraction(0)
            for factor, word in zip(factors, words, strict=True):
                product = factor * oracle.decode(word, merge).signed
                acc = rounded(acc + (product if fused else rounded(product)))
            acc = rounded(acc / divisor)
            found.append(oracle.encode(Value(oracle.NUMBER, acc < 0, abs(acc)), computing))
        return found

    job = average_job(merge, merge, weights)
    assert by(job, models) == expected
    # And where the output is of the computing type, the data tell the two apart.
    wide = average_job(merge, computing, weights)
    if wide.computing.name == computing:
        assert average(fused=True) != average(fused=False) == by(wide, models)


@pytest.mark.parametrize("by", [by_kernels, by_own_arithmetic])
@pytest.mark.parametrize("merge", ["BF16", "F64"])
def test_weights_that_are_far_apart_or_cancel(merge, by) -> None:
    models = [[oracle.convert(word, "F32", merge) for word in (0x3F800000, 0, 0x7F800000)] for _ in range(3)]
    for weights in ((1e300, 1.0, -1e-300), (1e-300, 1e300, 1e300), (1.0, -1.0, 1e-10), (5e-324, 1.0, 5e-324)):
        expected = oracle.average(
            [Stored(merge, words) for words in models], merge_dtype=merge, out_dtype=merge, weights=weights
        )
        assert by(average_job(merge, merge, weights), models) == expected


@pytest.mark.parametrize("by", [by_kernels, by_own_arithmetic])
def test_an_average_in_float64_is_rounded_once(by) -> None:
    # 1 + 2^-8 + 2^-40: by way of float32 it would be the tie 1 + 2^-8, which goes down to 1.
    word = oracle.encode(Value(oracle.NUMBER, False, 1 + Fraction(1, 2**8) + Fraction(1, 2**40)), "F64")
    assert by(average_job("F64", "BF16", (1.0, 1.0)), [[word], [word]]) == [0x3F81]


# -- merge dtype ---------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(list(FORMATS)), min_size=1, max_size=6))
def test_without_a_dtype_the_common_or_promoted_one_is_taken(dtypes) -> None:
    found = promote(DTYPES[dtype] for dtype in dtypes)
    if {"F8_E4M3", "F8_E5M2"} <= set(dtypes):
        assert found is None
        return
    assert found is not None
    assert found.name == oracle.common_dtype(dtypes)
    if any(FORMATS[dtype].bits == 8 for dtype in dtypes):
        return  # torch promotes no 8-bit floats
    promoted = torch_dtype(DTYPES[dtypes[0]])
    for dtype in dtypes[1:]:
        promoted = torch.promote_types(promoted, torch_dtype(DTYPES[dtype]))
    assert torch_dtype(found) == promoted


# -- digests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2**18 - 1, 2**18, 2**18 + 1, 3 * 2**18, 3 * 2**18 + 4096])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_digest_depends_on_the_bytes_alone(size, cut) -> None:
    data = np.random.default_rng(size).bytes(size)
    digest = TensorDigest(size)
    for start in reversed(range(0, size, cut * 2**18)):
        digest.add(piece_digests(memoryview(data)[start : start + cut * 2**18]), start)
    assert digest.hexdigest() == oracle.tensor_digest(data)
