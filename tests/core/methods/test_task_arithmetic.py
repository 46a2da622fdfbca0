"""Task arithmetic against the same steps on whole tensors in numpy, and against the mathematics."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import whole_tensor
from whole_tensor import FORMATS, by_engine, fine_tunes, numbers, ordinary_and_special, quantum, words_of

PAIRS = [
    ("BF16", "BF16"),
    ("F16", "F16"),
    ("F32", "F32"),
    ("F64", "F64"),
    ("BF16", "F32"),
    ("F16", "BF16"),
    ("F32", "BF16"),
    ("F64", "BF16"),
    ("F64", "F32"),
    ("F16", "F64"),
]

ORDINARY: dict[str, dict[str, Any]] = {
    "one": {"weight": [1.0]},
    "one taken away": {"weight": [-0.7], "lambda": 1.0},
    "two normalised": {"weight": [0.3, 0.6], "lambda": 0.7, "normalize": True},
    "three with a 0": {"weight": [1.0, 0.0, -0.45], "lambda": 1.9, "normalize": True},
    "three": {"weight": [0.1, 0.2, 0.3], "normalize": False},
    "four backwards": {"weight": [0.9, 0.35, 1.1, 0.6], "lambda": -0.35},
    "five": {"weight": [0.9, 0.1, 0.4, -0.2, 0.25], "lambda": 1 / 3, "normalize": True},
    "lambda 0": {"weight": [0.3, 0.6], "lambda": 0.0},
    "sum below 0": {"weight": [-1.0, 0.3141592], "normalize": True},
}
EXTREME: dict[str, dict[str, Any]] = {
    "a sum whose steps would be rounded": {"weight": [0.1, 0.2, 0.3], "normalize": True},
    "sum 0": {"weight": [0.4, -0.4], "lambda": 1.5, "normalize": True},
    "sum nearly 0": {"weight": [0.3 + 5e-9, -0.3], "normalize": True},
    "sum nearly 0 from below": {"weight": [0.3 - 5e-9, -0.3], "normalize": True},
    "small sum": {"weight": [0.5, -0.5 + 1e-6], "normalize": True},
    "small sum below 0": {"weight": [0.5, -0.5 - 2e-8], "normalize": True},
    "no weight": {"weight": [0.0, 0.0, 0.0], "normalize": True},
    "large": {"weight": [3e38, 1e-30], "lambda": 1e-38},
}
CASES = ORDINARY | EXTREME


@lru_cache(maxsize=64)
def data(dtype: str, models: int) -> tuple[np.ndarray, ...]:
    return tuple(ordinary_and_special(dtype, models))


@lru_cache(maxsize=256)
def engine_words(dtype: str, out: str, case: str) -> np.ndarray:
    parameters = CASES[case]
    return by_engine("task_arithmetic", data(dtype, len(parameters["weight"])), dtype, out, parameters).words


# -- the same steps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_every_bit_is_that_of_the_steps_on_the_whole_tensor(pair, case) -> None:
    parameters = CASES[case]
    expected = whole_tensor.task_arithmetic(data(pair[0], len(parameters["weight"])), *pair, **parameters)
    np.testing.assert_array_equal(engine_words(*pair, case), expected)


@pytest.mark.parametrize("elements", [1, 63, 4095, 4096, 4097, 8191])
@pytest.mark.parametrize("pair", [("BF16", "BF16"), ("F64", "F32")], ids="-".join)
def test_any_number_of_elements(pair, elements) -> None:
    inputs = fine_tunes(pair[0], elements, 2, 1.0)
    parameters = {"weight": [0.3, -0.6], "lambda": 0.7, "normalize": True}
    merged = by_engine("task_arithmetic", inputs, *pair, parameters).words
    np.testing.assert_array_equal(merged, whole_tensor.task_arithmetic(inputs, *pair, **parameters))


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_chunks_of_any_size_give_the_same_bytes(dtype) -> None:
    inputs = fine_tunes(dtype, 300_001, 2, 0.1)
    parameters = {"weight": [0.3, 0.9], "lambda": 0.7, "normalize": True}
    expected = whole_tensor.task_arithmetic(inputs, dtype, dtype, **parameters)
    for chunk in (4096 * 32, 4096 * 64, None):
        merged = by_engine("task_arithmetic", inputs, dtype, dtype, parameters, chunk=chunk).words
        np.testing.assert_array_equal(merged, expected)


def test_inputs_are_first_converted_to_the_merge_dtype() -> None:
    stored = ["F32", "BF16", "F16"]
    inputs = [fine_tunes(dtype, 5000, 0, 0.0, seed)[0] for seed, dtype in enumerate(stored)]
    parameters = {"weight": [0.3, 0.9], "lambda": 0.7}
    merged = by_engine("task_arithmetic", inputs, "BF16", "BF16", parameters, stored=stored).words
    converted = [words_of(numbers(*one), "BF16") for one in zip(inputs, stored, strict=True)]
    expected = whole_tensor.task_arithmetic(converted, "BF16", "BF16", **parameters)
    np.testing.assert_array_equal(merged, expected)
    in_float32 = [words_of(numbers(*one), "F32") for one in zip(inputs, stored, strict=True)]
    late = whole_tensor.task_arithmetic(in_float32, "F32", "BF16", **parameters)
    assert (merged != late).any()


@pytest.mark.parametrize("dtype", FORMATS)
def test_what_is_not_finite_is_counted_and_stays_in_its_element(dtype) -> None:
    inputs = [words.copy() for words in fine_tunes(dtype, 5000, 2, 0.1)]
    clean = by_engine("task_arithmetic", inputs, dtype, dtype, {"weight": [0.5, 0.5]})
    form = FORMATS[dtype]
    inputs[0][7], inputs[1][8], inputs[1][4099], inputs[2][9] = (
        form.infinity,
        form.nan,
        form.nan + 1,
        form.nan,
    )
    merged = by_engine("task_arithmetic", inputs, dtype, dtype, {"weight": [0.5, 0.5]})
    assert (clean.nonfinite, merged.nonfinite) == ([0, 0, 0], [1, 2, 1])
    assert np.flatnonzero(merged.words != clean.words).tolist() == [7, 8, 9, 4099]
    assert merged.words[[7, 8, 9, 4099]].tolist() == [form.infinity, form.nan, form.nan, form.nan]


# -- the mathematics -----------------------------------------------------------------------------------------


def by_mathematics(
    inputs: list[np.ndarray], dtype: str, parameters: dict[str, Any], kind: Any
) -> tuple[np.ndarray, np.ndarray]:
    """The formula without a thought for rounding, and the largest of its terms; both of `kind`."""
    *models, base = (numbers(words, dtype).astype(kind) for words in inputs)
    total = kind(math.fsum(parameters["weight"])) if parameters.get("normalize") else kind(1)
    factor = kind(parameters.get("lambda", 1.0)) / total
    terms = [
        factor * kind(weight) * (model - base)
        for weight, model in zip(parameters["weight"], models, strict=True)
    ]
    return base + sum(terms), np.max(np.abs([base, *terms]), axis=0)


@pytest.mark.parametrize("case", ORDINARY)
@pytest.mark.parametrize("deltas", [1.0, 0.01])
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[1] != "F64"], ids="-".join)
def test_nearly_all_elements_are_the_mathematics_rounded_once(pair, deltas, case) -> None:
    dtype, out = pair
    parameters = ORDINARY[case]
    inputs = fine_tunes(dtype, 30_000, len(parameters["weight"]), deltas, seed=5)
    merged = by_engine("task_arithmetic", inputs, dtype, out, parameters).words
    exact, largest = by_mathematics(inputs, dtype, parameters, np.float64)
    equal = np.mean(merged == words_of(exact, out))
    assert equal >= (0.999 if deltas == 1.0 else 0.9999)
    unit = np.ldexp(1.0, quantum(exact, out))
    unit_of_computing = largest * np.finfo(whole_tensor.computing(dtype, out)).eps
    assert (np.abs(numbers(merged, out) - exact) <= unit + 4 * unit_of_computing).all()


@pytest.mark.parametrize("case", ORDINARY)
@pytest.mark.parametrize("deltas", [1.0, 0.01])
@pytest.mark.parametrize("dtype", ["F64", "F16"])
def test_float64_is_exact_to_twelve_digits_of_the_largest_term(dtype, deltas, case) -> None:
    parameters = ORDINARY[case]
    inputs = fine_tunes(dtype, 30_000, len(parameters["weight"]), deltas, seed=6)
    merged = by_engine("task_arithmetic", inputs, dtype, "F64", parameters).words
    exact, largest = by_mathematics(inputs, dtype, parameters, np.longdouble)
    assert (np.abs(numbers(merged, "F64") - exact) <= 1e-12 * largest).all()


# -- no step can be left out ---------------------------------------------------------------------------------

VECTOR = "task_vector = model - base"
TERM = "mix = mix + kind(factor) * task_vector"
DIVISION = "mix = mix / kind(1.0 if abs(total) < 1e-8 else total)"
SCALING = "mix = kind(scale) * mix"
RESULT = "return words_of(base + mix, out)"

MUTATIONS: dict[str, list[tuple[str, str]]] = whole_tensor.ROUNDING_MUTATIONS | {
    "no difference": [(VECTOR, "task_vector = model")],
    "the difference the other way round": [(VECTOR, "task_vector = base - model")],
    "the difference not rounded": [
        (VECTOR, "task_vector = model.astype(np.float64) - base"),
        (TERM, "mix = mix + (kind(factor) * task_vector).astype(kind)"),
    ],
    "the difference rounded to the merge dtype": [
        (VECTOR, "task_vector = numbers(words_of(model - base, dtype), dtype).astype(kind)")
    ],
    "no weight": [(TERM, "mix = mix + task_vector")],
    "the weight without its sign": [(TERM, "mix = mix + kind(abs(factor)) * task_vector")],
    "the weight not rounded": [
        (TERM, "mix = mix + (np.float64(factor) * task_vector.astype(np.float64)).astype(kind)")
    ],
    "the weight rounded to the merge dtype": [
        (TERM, "mix = mix + kind(numbers(words_of(np.array([factor]), dtype), dtype)[0]) * task_vector")
    ],
    "product and sum fused": [
        (TERM, "mix = (mix + np.longdouble(kind(factor)) * task_vector).astype(kind)"),
    ],
    "the sum not rounded": [
        ("mix = np.zeros(base.shape, kind)", "mix = np.zeros(base.shape, np.longdouble)"),
        (DIVISION, "mix = (mix / kind(1.0 if abs(total) < 1e-8 else total))"),
        (SCALING, "mix = kind(scale) * mix.astype(kind)"),
        (RESULT, "return words_of(base + mix.astype(kind), out)"),
    ],
    "the sum begins with -0": [("np.zeros(base.shape, kind)", "-np.zeros(base.shape, kind)")],
    "the sum begins with the base": [
        ("mix = np.zeros(base.shape, kind)", "mix = base.copy()"),
        (RESULT, "return words_of(mix, out)"),
    ],
    "a term overwrites": [(TERM, "mix = kind(factor) * task_vector")],
    "the order of the models": [("zip(weight, models, strict=True)", "zip(weight[::-1], models[::-1])")],
    "weights of 0 left out": [(TERM, TERM + " if factor else mix")],
    "never normalised": [("if normalize:", "if False:")],
    "always normalised": [("if normalize:", "if True:")],
    "divided by the sum of magnitudes": [
        ("total = math.fsum(weight)", "total = math.fsum(map(abs, weight))")
    ],
    "divided by the number of models": [("total = math.fsum(weight)", "total = len(weight)")],
    "divided by a sum in the computing type": [
        ("total = math.fsum(weight)", "total = np.add.accumulate(np.array(weight, kind))[-1]")
    ],
    "divided by a sum whose steps are rounded": [
        ("total = math.fsum(weight)", "total = np.add.accumulate(np.array(weight))[-1]")
    ],
    "divided by any sum": [(DIVISION, "mix = mix / kind(total)")],
    "divided by positive sums alone": [("if abs(total) < 1e-8", "if total < 1e-8")],
    "a higher limit for sums": [("< 1e-8 else total", "< 3e-8 else total")],
    "a lower limit for sums": [("< 1e-8 else total", "< 3e-9 else total")],
    "the sum of weights not rounded": [(DIVISION, "mix = (mix / np.float64(total or 1)).astype(kind)")],
    "multiplied by the reciprocal": [(DIVISION, "mix = mix * (kind(1) / kind(total or 1))")],
    "the weights normalised": [
        (TERM, "mix = mix + kind(factor / (math.fsum(weight) or 1) if normalize else factor) * task_vector"),
        (DIVISION, "pass"),
    ],
    "no lambda": [("if scale != 1:", "if False:")],
    "lambda not rounded": [(SCALING, "mix = (np.float64(scale) * mix).astype(kind)")],
    "lambda in the weights": [
        (TERM, "mix = mix + kind(scale * factor) * task_vector"),
        ("if scale != 1:", "if False:"),
    ],
    "lambda before the division": [
        ("if normalize:", "mix = kind(scale) * mix\n        if normalize:"),
        ("if scale != 1:", "if False:"),
    ],
    "no base": [(RESULT, "return words_of(mix, out)")],
    "the last sum not rounded": [(RESULT, "return words_of(base.astype(np.float64) + mix, out)")],
    "rounded to the merge dtype first": [
        (RESULT, "return words_of(numbers(words_of(base + mix, dtype), dtype), out)")
    ],
    "rounded to float32 first": [(RESULT, "return words_of((base + mix).astype(np.float32), out)")],
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_no_step_can_be_left_out_or_changed(mutation) -> None:
    # What the test of every bit says, of a computation in which one step is another.
    changed = whole_tensor.rewritten(*MUTATIONS[mutation]).task_arithmetic

    def differs(pair: tuple[str, str], case: str) -> bool:
        parameters = CASES[case]
        words = changed(data(pair[0], len(parameters["weight"])), *pair, **parameters)
        return bool((words != engine_words(*pair, case)).any())

    assert any(differs(pair, case) for pair in PAIRS for case in CASES)
