"""Spherical interpolation against the same steps on whole tensors in numpy, and against the mathematics."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import whole_tensor
from whole_tensor import FORMATS, by_engine, fine_tunes, numbers, quantum, special, words_of

from core.methods.slerp import shares_of_arc
from core.table import workspace

Tensors = tuple[np.ndarray, np.ndarray]

PAIRS = [
    ("BF16", "BF16"),
    ("F16", "F16"),
    ("F32", "F32"),
    ("F64", "F64"),
    ("BF16", "F32"),
    ("F16", "BF16"),
    ("F32", "F16"),
    ("F64", "BF16"),
]
PLACES = [0.3, 0.0, 1.0, -0.5, 1.5]
ELEMENTS = 4500
STRAIGHT = 0.9995


# -- two vectors ---------------------------------------------------------------------------------------------


def cosine_of(inputs: Tensors, dtype: str) -> Any:
    """The cosine of the angle between what is stored."""
    model, base = (numbers(words, dtype).astype(np.longdouble) for words in inputs)
    return (model @ base) / np.sqrt(model @ model) / np.sqrt(base @ base)


def apart(dtype: str, cosine: float) -> Tensors:
    """Two vectors whose cosine is `cosine` but for the rounding, the sub-model 1.3 times as long.

    Zeros of both signs and subnormals are among their elements.
    """
    rng = np.random.default_rng(11)
    base, other = rng.normal(0, 0.02, (2, ELEMENTS))
    base[:64] = other[:64] = 0
    other -= (other @ base) / (base @ base) * base
    other *= math.sqrt((base @ base) / (other @ other))
    model = 1.3 * (cosine * base + math.sqrt(1.0 - cosine * cosine) * other)
    pair = words_of(model, dtype), words_of(base, dtype)
    for words, ends in zip(pair, special(dtype, ELEMENTS, 2, nonfinite=False), strict=True):
        tiny = np.abs(numbers(ends, dtype)) < 2.0 ** FORMATS[dtype].least_exponent
        words[:64] = ends[tiny][:64]
    return pair


def at_angle(degrees: float) -> Callable[[str], Tensors]:
    return lambda dtype: apart(dtype, math.cos(math.radians(degrees)))


def beside(limit: float, step: float) -> Callable[[str], Tensors]:
    """Vectors whose cosine, as they are stored, is within 2 * |step| of `limit` on the side of `step`."""

    def search(dtype: str) -> Tensors:
        asked = limit + step
        for _ in range(50):
            inputs = apart(dtype, asked)
            off = float(cosine_of(inputs, dtype)) - (limit + step)
            if abs(off) < abs(step):
                return inputs
            asked -= off
        raise AssertionError("no such vectors were found")

    return search


def scaled(of_model: float, of_base: float) -> Callable[[str], Tensors]:
    """Two multiples of one vector."""

    def both(dtype: str) -> Tensors:
        _, base = apart(dtype, 0.0)
        values = numbers(base, dtype)
        return words_of(of_model * values, dtype), words_of(of_base * values, dtype)

    return both


def long(of_model: float, of_base: float) -> Callable[[str], Tensors]:
    """Vectors with an angle of 60 degrees that are so many times as long."""

    def both(dtype: str) -> Tensors:
        model, base = (numbers(words, dtype) for words in apart(dtype, 0.5))
        return words_of(of_model * model, dtype), words_of(of_base * base, dtype)

    return both


def ends(nonfinite: bool) -> Callable[[str], Tensors]:
    return lambda dtype: tuple(special(dtype, ELEMENTS, 2, nonfinite=nonfinite, seed=4))  # type: ignore


def with_nan(dtype: str) -> Tensors:
    model, base = apart(dtype, 0.5)
    base[17], model[4400] = FORMATS[dtype].nan + 1, FORMATS[dtype].infinity
    return model, base


VECTORS: dict[str, Callable[[str], Tensors]] = {
    "2 degrees": at_angle(2),
    "10 degrees": at_angle(10),
    "60 degrees": at_angle(60),
    "90 degrees": at_angle(90),
    "178 degrees": at_angle(178),
    "179 degrees": at_angle(179),
    "just an arc": beside(STRAIGHT, -1.5e-6),
    "just a line": beside(STRAIGHT, 1.5e-6),
    "just an arc backwards": beside(-STRAIGHT, 1.5e-6),
    "just a line backwards": beside(-STRAIGHT, -1.5e-6),
    "equal": scaled(1.0, 1.0),
    "collinear": scaled(2.5, 1.0),
    "antipodal": scaled(-1.0, 1.0),
    "antipodal and longer": scaled(-2.5, 1.0),
    "no base": scaled(1.0, 0.0),
    "no model": scaled(0.0, 1.0),
    "nothing": scaled(0.0, -0.0),
}
ONLY_LONG_TYPES: dict[str, Callable[[str], Tensors]] = {
    # The vectors of 60 degrees are 1.3 and 1.7 long.
    "short base": long(1.0, 5e-9),
    "short model": long(5e-9, 1.0),
    "both short": long(4e-9, 5e-9),
    "not quite short": long(9e-9, 9e-9),
}
NOT_FINITE: dict[str, Callable[[str], Tensors]] = {
    "a NaN and an infinity": with_nan,
    "ends of numbers": ends(False),
    "ends with NaNs": ends(True),
}
OVERFLOWING: dict[str, Callable[[str], Tensors]] = {
    "all sums overflow": long(1e170, 1e170),
    "the base's squares overflow": long(1e-5, 1e170),
    "the model's squares overflow": long(1e170, 1e-5),
}
CASES = VECTORS | ONLY_LONG_TYPES | NOT_FINITE | OVERFLOWING


def cases(dtype: str) -> list[str]:
    """Those whose vectors `dtype` can hold."""
    without = (ONLY_LONG_TYPES if dtype == "F16" else {}) | (OVERFLOWING if dtype != "F64" else {})
    return [case for case in CASES if case not in without]


@lru_cache(maxsize=256)
def data(dtype: str, case: str) -> Tensors:
    return CASES[case](dtype)


@lru_cache(maxsize=2000)
def engine(dtype: str, out: str, case: str, t: float) -> whole_tensor.ByEngine:
    return by_engine("slerp", data(dtype, case), dtype, out, {"t": t})


PAIRS_AND_CASES = [
    pytest.param(pair, case, id=f"{pair[0]}-{pair[1]}-{case}") for pair in PAIRS for case in cases(pair[0])
]


# -- the same steps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pair", "case"), PAIRS_AND_CASES)
def test_every_bit_is_that_of_the_steps_on_the_whole_tensor(pair, case) -> None:
    inputs = data(pair[0], case)
    for t in PLACES:
        merged = engine(*pair, case, t)
        shares = whole_tensor.slerp_shares(t, *whole_tensor.slerp_sums(inputs, pair[0]))
        assert (merged.found["of_base"], merged.found["of_model"]) == shares
        np.testing.assert_array_equal(merged.words, whole_tensor.slerp(inputs, *pair, t=t))


@pytest.mark.parametrize("case", VECTORS)
@pytest.mark.parametrize("dtype", FORMATS)
def test_torch_alone_gives_the_same_bytes(dtype, case) -> None:
    space = whole_tensor.torch_only()
    merged = by_engine("slerp", data(dtype, case), dtype, dtype, {"t": 0.3}, space=space)
    np.testing.assert_array_equal(merged.words, engine(dtype, dtype, case, 0.3).words)
    assert merged.found == engine(dtype, dtype, case, 0.3).found


@pytest.mark.parametrize("elements", [1, 63, 4095, 4096, 4097, 8191])
@pytest.mark.parametrize("pair", [("BF16", "BF16"), ("F64", "F32")], ids="-".join)
def test_any_number_of_elements(pair, elements) -> None:
    inputs = fine_tunes(pair[0], elements, 1, 1.0)
    merged = by_engine("slerp", inputs, *pair, {"t": 0.3}).words
    np.testing.assert_array_equal(merged, whole_tensor.slerp(inputs, *pair, t=0.3))


@pytest.mark.parametrize("dtype", ["BF16", "F64"])
def test_chunks_of_any_size_give_the_same_bytes(dtype) -> None:
    inputs = fine_tunes(dtype, 300_001, 1, 1.0)
    expected = whole_tensor.slerp(inputs, dtype, dtype, t=0.3)
    for chunk in (4096 * 32, 4096 * 64, None):
        merged = by_engine("slerp", inputs, dtype, dtype, {"t": 0.3}, chunk=chunk).words
        np.testing.assert_array_equal(merged, expected)


def test_inputs_are_first_converted_to_the_merge_dtype() -> None:
    stored = ["F32", "F16"]
    inputs = [fine_tunes(dtype, 5000, 0, 0.0, seed)[0] for seed, dtype in enumerate(stored)]
    converted = [words_of(numbers(*one), "BF16") for one in zip(inputs, stored, strict=True)]
    expected = whole_tensor.slerp(converted, "BF16", "F64", t=0.3)
    for space in (workspace(), whole_tensor.torch_only()):
        merged = by_engine("slerp", inputs, "BF16", "F64", {"t": 0.3}, stored=stored, space=space)
        np.testing.assert_array_equal(merged.words, expected)
        shares = whole_tensor.slerp_shares(0.3, *whole_tensor.slerp_sums(converted, "BF16"))
        assert (merged.found["of_base"], merged.found["of_model"]) == shares


@pytest.mark.parametrize("dtype", FORMATS)
def test_a_nan_or_an_infinity_is_counted_and_makes_the_arc_a_line(dtype) -> None:
    merged = engine(dtype, dtype, "a NaN and an infinity", 0.3)
    assert merged.nonfinite == [1, 1]
    assert dict(merged.found) == {"of_base": 0.7, "of_model": 0.3}
    assert np.flatnonzero(~np.isfinite(numbers(merged.words, dtype))).tolist() == [17, 4400]
    assert merged.words[[17, 4400]].tolist() == [FORMATS[dtype].nan, FORMATS[dtype].infinity]


@pytest.mark.parametrize("case", [*VECTORS, *ONLY_LONG_TYPES])
@pytest.mark.parametrize("dtype", ["BF16", "F32", "F64"])
def test_the_ends_of_the_arc_are_the_models(dtype, case) -> None:
    model, base = (numbers(words, dtype) for words in data(dtype, case))
    np.testing.assert_array_equal(numbers(engine(dtype, dtype, case, 0.0).words, dtype), base)
    np.testing.assert_array_equal(numbers(engine(dtype, dtype, case, 1.0).words, dtype), model)


# -- the shares ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t", [*PLACES, 0.5, 7.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_cosine_of_exactly_the_limit_is_still_an_arc(sign, t) -> None:
    arc, line = sign * STRAIGHT, sign * math.nextafter(STRAIGHT, 1)
    angle = math.acos(arc)
    expected = (math.sin((1 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle))
    assert shares_of_arc(t, 1.0, 1.0, arc) == expected
    assert shares_of_arc(t, 1.0, 1.0, line) == (1 - t, t)
    assert t in (0.0, 1.0) or expected != (1 - t, t)


def test_vectors_of_no_length_are_at_a_right_angle() -> None:
    quarter = math.sin(0.3 * math.pi / 2)
    for base, model in [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1e-16, 1.0), (1.0, 1e-16)]:
        dot = math.sqrt(base) * math.sqrt(model)
        assert shares_of_arc(0.3, base, model, dot)[1] == pytest.approx(quarter, abs=1e-7)
    longer = math.nextafter(1e-8, 1) ** 2
    longer = longer if math.sqrt(longer) > 1e-8 else math.nextafter(longer, 1)
    assert shares_of_arc(0.3, longer, 1.0, math.sqrt(longer)) == (0.7, 0.3)
    assert shares_of_arc(0.3, 1.0, longer, math.sqrt(longer)) == (0.7, 0.3)


@pytest.mark.parametrize("rounding", [1.0 + 2e-16, 1.0 + 1e-9, -1.0 - 2e-16])
def test_a_cosine_that_rounding_brought_beyond_one_is_a_line(rounding) -> None:
    assert shares_of_arc(0.3, 1.0, 1.0, rounding) == (0.7, 0.3)


@pytest.mark.parametrize(
    ("base", "model", "dot"),
    [
        (math.nan, 1.0, math.nan),
        (1.0, math.nan, math.nan),
        (math.inf, 1.0, math.inf),
        (math.inf, math.inf, math.inf),
        (math.inf, math.inf, math.nan),
        (1e300, 1e300, math.inf),
        (1e300, 1e300, -math.inf),
        (math.inf, 1.0, 3.0),
        (1.0, math.inf, -3.0),
        (math.inf, math.inf, 0.0),
    ],
)
def test_sums_that_are_no_numbers_or_overflow_make_a_line(base, model, dot) -> None:
    assert shares_of_arc(0.3, base, model, dot) == (0.7, 0.3)


# -- the mathematics -----------------------------------------------------------------------------------------


def by_mathematics(inputs: Tensors, dtype: str, t: float) -> tuple[np.ndarray, np.ndarray]:
    """The point on the arc and the larger of its terms; the angle is found without a cosine."""
    model, base = (numbers(words, dtype).astype(np.longdouble) for words in inputs)
    lengths = [np.sqrt(values @ values) for values in (model, base)]
    to_model, to_base = (
        values / (length if length > 1e-8 else np.longdouble(1))
        for values, length in zip((model, base), lengths, strict=True)
    )
    place, whole = np.longdouble(t), np.longdouble(1)
    if abs(to_model @ to_base) > np.longdouble(STRAIGHT):
        shares = (whole - place, place)
    else:
        if min(lengths) > 1e-8:
            apart, together = to_model - to_base, to_model + to_base
            angle = 2 * np.arctan2(np.sqrt(apart @ apart), np.sqrt(together @ together))
        else:
            angle = np.arccos(to_model @ to_base)
        shares = (np.sin((whole - place) * angle) / np.sin(angle), np.sin(place * angle) / np.sin(angle))
    terms = np.stack([shares[0] * base, shares[1] * model])
    return terms[0] + terms[1], np.abs(terms).max(axis=0)


def within(merged: np.ndarray, inputs: Tensors, dtype: str, out: str, t: float) -> bool:
    """Whether no element is off by more than one unit of the output and four of C at the larger term."""
    exact, largest = by_mathematics(inputs, dtype, t)
    unit = np.ldexp(1.0, quantum(exact.astype(np.float64), out))
    unit_of_computing = largest * np.finfo(whole_tensor.computing(dtype, out)).eps
    return bool((np.abs(numbers(merged, out) - exact) <= unit + 4 * unit_of_computing).all())


# With a t of few digits (0.3) many elements of the line are ties, to which the last bit of t gives a side.
@pytest.mark.parametrize("t", [0.2718281828, 0.5772156649, -0.4142135624])
@pytest.mark.parametrize("deltas", [1.0, 0.01])
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[1] != "F64"], ids="-".join)
def test_nearly_all_elements_are_the_mathematics_rounded_once(pair, deltas, t) -> None:
    dtype, out = pair
    model, base = fine_tunes(dtype, 30_000, 1, deltas, seed=5)
    merged = by_engine("slerp", [model, base], dtype, out, {"t": t})
    assert (merged.found["of_model"] == t) == (deltas == 0.01)
    exact, _ = by_mathematics((model, base), dtype, t)
    # What was not changed may be a tie of a coarser output's, to which the last bits of C give a side.
    equal = np.mean((merged.words == words_of(exact, out))[model != base])
    assert equal >= (0.999 if deltas == 1.0 else 0.9999)
    assert within(merged.words, (model, base), dtype, out, t)


@pytest.mark.parametrize(
    ("pair", "case"),
    [
        pytest.param(pair, case, id=f"{pair[0]}-{pair[1]}-{case}")
        for pair in PAIRS
        for case in (VECTORS if pair[0] == "F16" else VECTORS | ONLY_LONG_TYPES)
        if pair[1] != "F64"
    ],
)
def test_no_element_is_far_from_the_mathematics(pair, case) -> None:
    for t in PLACES:
        assert within(engine(*pair, case, t).words, data(pair[0], case), *pair, t)


@pytest.mark.parametrize("case", VECTORS | ONLY_LONG_TYPES)
def test_float64_is_exact_to_twelve_digits_of_the_largest_term(case) -> None:
    for t in PLACES:
        exact, largest = by_mathematics(data("F64", case), "F64", t)
        merged = numbers(engine("F64", "F64", case, t).words, "F64")
        assert (np.abs(merged - exact) <= 1e-12 * largest + 5e-324).all()


def test_the_point_on_the_arc_of_equal_lengths_is_as_long() -> None:
    model, base = (numbers(words, "F64") for words in data("F64", "60 degrees"))
    inputs = [words_of(values / np.linalg.norm(values), "F64") for values in (model, base)]
    for t in np.linspace(0, 1, 6):
        merged = numbers(by_engine("slerp", inputs, "F64", "F64", {"t": float(t)}).words, "F64")
        assert np.linalg.norm(merged) == pytest.approx(1, abs=1e-12)
        assert merged @ numbers(inputs[1], "F64") == pytest.approx(math.cos(t * math.pi / 3), abs=1e-12)


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_vectors_are_where_their_names_say(dtype) -> None:
    for case, low, high in [
        ("2 degrees", 0.9993, STRAIGHT),
        ("10 degrees", 0.984, 0.986),
        ("60 degrees", 0.49, 0.51),
        ("90 degrees", -0.001, 0.001),
        ("just an arc", STRAIGHT - 3e-6, STRAIGHT),
        ("just a line", STRAIGHT, STRAIGHT + 3e-6),
        ("just an arc backwards", -STRAIGHT, -STRAIGHT + 3e-6),
        ("just a line backwards", -STRAIGHT - 3e-6, -STRAIGHT),
    ]:
        assert low < cosine_of(data(dtype, case), dtype) < high
    line = {"of_base": 0.7, "of_model": 0.3}
    for case in VECTORS:
        straight = "line" in case or case in {
            "179 degrees",
            "equal",
            "collinear",
            "antipodal",
            "antipodal and longer",
        }
        assert (dict(engine(dtype, dtype, case, 0.3).found) == line) == straight


# -- no step can be left out ---------------------------------------------------------------------------------

COSINE = "cosine = dot / base_length / model_length"
LIMIT = "if abs(cosine) > 0.9995:"
ARC = "return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)"
FINITE = "if not all(math.isfinite(total) for total in (base, model, dot)):"
FROM_BASE = "from_base = kind(of_base) * base"
FROM_MODEL = "from_model = kind(of_model) * model"
RESULT = "return words_of(from_base + from_model, out)"
LANE = "lanes = lanes + steps[:, step]"

MUTATIONS: dict[str, list[tuple[str, str]]] = whole_tensor.ROUNDING_MUTATIONS | {
    "the cosine without lengths": [(COSINE, "cosine = max(min(dot, 1.0), -1.0)")],
    "the cosine with one length": [(COSINE, "cosine = max(min(dot / base_length, 1.0), -1.0)")],
    "the cosine with the squares": [(COSINE, "cosine = dot / (base or 1.0) / (model or 1.0)")],
    "any base has a length": [("if base_length <= 1e-8:", "if base_length == 0:")],
    "any model has a length": [("if model_length <= 1e-8:", "if model_length == 0:")],
    "shorter vectors have a length": [
        ("if base_length <= 1e-8:", "if base_length <= 5e-9:"),
        ("if model_length <= 1e-8:", "if model_length <= 5e-9:"),
    ],
    "longer vectors have no length": [
        ("if base_length <= 1e-8:", "if base_length <= 2e-8:"),
        ("if model_length <= 1e-8:", "if model_length <= 2e-8:"),
    ],
    "a lower limit for lines": [(LIMIT, "if abs(cosine) > 0.9995 - 4e-6:")],
    "a higher limit for lines": [(LIMIT, "if 1 >= abs(cosine) > 0.9995 + 4e-6:")],
    "no line backwards": [(LIMIT, "if cosine > 0.9995 or cosine < -0.9999:")],
    "always a line": [(LIMIT, "if True:")],
    "numbers that are none": [
        (FINITE, "if False:"),
        (COSINE, "cosine = dot / base_length / model_length if dot == dot else 0.5"),
        (LIMIT, "if abs(cosine) > 0.9995 or cosine != cosine:"),
    ],
    "t from the other end": [
        (ARC, "return math.sin(t * angle) / math.sin(angle), math.sin((1.0 - t) * angle) / math.sin(angle)")
    ],
    "shares of the arc that are not divided": [
        (ARC, "return math.sin((1.0 - t) * angle), math.sin(t * angle)")
    ],
    "shares of the arc that sum to 1": [
        (ARC, "share = math.sin(t * angle) / math.sin(angle); return 1.0 - share, share")
    ],
    "t clamped": [(ARC, "t = min(max(t, 0.0), 1.0)\n    " + ARC)],
    "the angle in float32": [("math.acos(cosine)", "math.acos(np.float32(cosine))")],
    "a line for the shares from the other end": [
        (LIMIT, LIMIT + "\n        return t, 1.0 - t\n    if False:")
    ],
    "no base": [(RESULT, "return words_of(from_model, out)")],
    "no model": [(RESULT, "return words_of(from_base, out)")],
    "the base's share not rounded": [
        (FROM_BASE, "from_base = (np.float64(of_base) * base.astype(np.float64)).astype(kind)")
    ],
    "the model's share not rounded": [
        (FROM_MODEL, "from_model = (np.float64(of_model) * model.astype(np.float64)).astype(kind)")
    ],
    "the base's product not rounded": [(FROM_BASE, "from_base = np.longdouble(kind(of_base)) * base")],
    "the model's product not rounded": [(FROM_MODEL, "from_model = np.longdouble(kind(of_model)) * model")],
    "the sum not rounded": [(RESULT, "return words_of(from_base.astype(np.float64) + from_model, out)")],
    "rounded to the merge dtype first": [
        (RESULT, "return words_of(numbers(words_of(from_base + from_model, dtype), dtype), out)")
    ],
    "rounded to float32 first": [
        (RESULT, "return words_of((from_base + from_model).astype(np.float32), out)")
    ],
    "from the base by a difference": [
        (RESULT, "return words_of(base + kind(of_model) * (model - base), out)")
    ],
    "directions instead of vectors": [
        (FROM_BASE, "from_base = kind(of_base) * (base / max(np.linalg.norm(base), kind(1e-8)))"),
        (FROM_MODEL, "from_model = kind(of_model) * (model / max(np.linalg.norm(model), kind(1e-8)))"),
    ],
    "sums in float32": [(LANE, "lanes = (lanes + steps[:, step]).astype(np.float32).astype(np.float64)")],
    "sums in another order": [(LANE, "lanes = lanes + steps[:, :, step]")],
    "the first block alone": [("lanes[:, 0].tolist()", "lanes[:1, 0].tolist()")],
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_no_step_can_be_left_out_or_changed(mutation) -> None:
    # What the test of every bit says, of a computation in which one step is another.
    changed = whole_tensor.rewritten(*MUTATIONS[mutation]).slerp

    def differs(pair: tuple[str, str], case: str, t: float) -> bool:
        return bool((changed(data(pair[0], case), *pair, t=t) != engine(*pair, case, t).words).any())

    assert any(differs(pair, case, t) for pair in PAIRS for case in cases(pair[0]) for t in PLACES)
