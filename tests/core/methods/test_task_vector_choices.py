"""Task vectors by their choices: selection, the field's methods as presets, and what random drops come to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from oracles.cases import CHARACTERISTIC
from oracles.data import tensor
from oracles.task_vectors import PRESETS
from whole_tensor import ByEngine, by_engine, numbers, torch_only, words_of

from core.kernels.interface import SEGMENT

KEY = (0xCAFE, 0xF00D)


def merge(method: str, data: str, dtype: str, out: str, models: int, **parameters: Any) -> ByEngine:
    shape, tuned, base = tensor(data, dtype, models)
    others = {name: parameters.pop(name) for name in ("zero_tolerance", "space") if name in parameters}
    inputs = [*tuned, base]
    return by_engine(method, inputs, dtype, out, parameters, shape=shape, key=KEY, chunk=SEGMENT, **others)


# -- selection -----------------------------------------------------------------------------------------------

NOTHING_DROPPED: list[dict[str, Any]] = [
    {},
    {"density": [1.0, 1.5, 1.0], "sparsify": "random", "rescale": True},
    {"density": [1.0, 1.0, 1.0], "sparsify": "magnitude"},
    {"density": [1.0, 1.0, 1.0], "sparsify": "ranked", "rescale": True, "rescale_by": "density"},
    {"density": [1.0, 1.0, 1.0], "sparsify": "outliers", "gamma": [0.5, 0.1, 0.0]},
]


@pytest.mark.parametrize(
    ("zero_tolerance", "weight", "kernels"),
    [(None, [1.0, 1.0, 1.0], True), (0.0, [0.3, 0.0, 0.9], False), (1e-4, [0.3, 0.6, 0.9], True)],
)
@pytest.mark.parametrize(
    ("dtype", "out"),
    [("BF16", "BF16"), ("F16", "F16"), ("F32", "F32"), ("F64", "F64"), ("F32", "BF16"), ("BF16", "F16")],
)
def test_selection_of_whole_differences_is_parameter_selection(
    dtype, out, zero_tolerance, weight, kernels
) -> None:
    for data in ("special", "untouched", "ordinary"):
        shared = {"weight": weight, "resamples": 2, "zero_tolerance": zero_tolerance}
        expected = merge("parameter_selection", data, dtype, out, 3, **shared)
        for others in NOTHING_DROPPED if (dtype, data) == ("BF16", "special") else NOTHING_DROPPED[:1]:
            parameters = {**shared, **others, "combine": "selection"}
            space = None if kernels else torch_only()
            ours = merge("task_vectors", data, dtype, out, 3, **parameters, space=space)
            np.testing.assert_array_equal(ours.words, expected.words)
            assert ours.counts == expected.counts | ({"dropped": [0, 0, 0]} if others else {})


@pytest.mark.parametrize(
    "other",
    [{"lambda": 1.0000001}, {"elect": "mass"}, {"sparsify": "magnitude", "density": [1.0, 0.999, 1.0]}],
    ids=["a lambda", "an election", "one dropped"],
)
def test_selection_of_anything_else_has_other_bits(other) -> None:
    plain = merge("task_vectors", "special", "BF16", "BF16", 3, combine="selection", resamples=2)
    merged = merge("task_vectors", "special", "BF16", "BF16", 3, combine="selection", resamples=2, **other)
    assert (plain.words != merged.words).any()


# -- presets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("name", PRESETS)
def test_a_method_of_the_field_is_task_vectors_with_its_choices(name, at) -> None:
    models, parameters, _ = CHARACTERISTIC[name][at]
    choices = {key: value for key, value in PRESETS[name].items() if key != "normalize"}
    given = {"rescale": choices.pop("rescale"), **parameters}
    mean = given.pop("normalize", PRESETS[name]["normalize"])
    free = {**choices, **given, "combine": "mean" if mean else "sum"}
    preset = merge(name, "special", "BF16", "BF16", models, **parameters)
    merged = merge("task_vectors", "special", "BF16", "BF16", models, **free)
    np.testing.assert_array_equal(preset.words, merged.words)
    assert preset.counts == merged.counts
    assert len(preset.counts) == (choices["sparsify"] != "none") + (choices["elect"] != "none")


# -- random drops --------------------------------------------------------------------------------------------

ROWS, ROW = 96, 43
SEEDS = 40


def kept_by_seed(method: str, **parameters: Any) -> np.ndarray:
    """Which elements two sub-models keep, by seed and by rank in the row. [SEEDS, 2, ROWS, ROW] bool

    The base is zero, the differences are 1, 2, ... in each row, in another order in each, and of the second
    sub-model so many times as large that sums show who kept what.
    """
    rng = np.random.default_rng(21)
    sizes = rng.permuted(np.tile(np.arange(1.0, ROW + 1), (ROWS, 1)), axis=1)
    models = [words_of(factor * sizes.reshape(-1), "F32") for factor in (1.0, -100.0)]
    order = np.argsort(sizes, axis=1)
    kept = []
    for seed in range(SEEDS):
        merged = by_engine(
            method,
            [*models, np.zeros_like(models[0])],
            "F32",
            "F32",
            {"rescale": False, **parameters},
            shape=(ROWS, ROW),
            key=(seed, 77),
        )
        values = numbers(merged.words, "F32").reshape(ROWS, ROW) / sizes
        both = np.array([np.isin(values, [1, -99]), np.isin(values, [-100, -99])])
        assert np.isin(values, [0, 1, -100, -99]).all()
        assert merged.counts["dropped"] == [int((~one).sum()) for one in both]
        kept.append(np.take_along_axis(both, order[None], axis=2))
    return np.array(kept)


def near(kept: np.ndarray, expected: Any, trials: int) -> bool:
    """Whether shares lie within four standard errors."""
    return bool((np.abs(kept - expected) <= 4 * np.sqrt(expected * (1 - expected) / trials)).all())


def test_dare_keeps_its_density_of_every_rank() -> None:
    kept = kept_by_seed("dare_linear", density=[0.3, 0.8])
    for one, density in enumerate((0.3, 0.8)):
        assert near(kept[:, one].mean(axis=(0, 1)), density, SEEDS * ROWS)
        assert near(kept[:, one].mean(axis=(1, 2)), density, ROWS * ROW)  # of each seed
        assert near(kept[:, one].mean(), density, kept[:, one].size)
    assert near(kept.all(axis=1).mean(), 0.3 * 0.8, SEEDS * ROWS * ROW), "sub-models drop for themselves"
    again = (kept[1:, 0] & kept[:-1, 0]).mean()
    assert near(again, 0.3 * 0.3, (SEEDS - 1) * ROWS * ROW), "seeds drop for themselves"


def test_della_keeps_more_of_the_larger() -> None:
    kept = kept_by_seed("della_linear", density=[0.3, 0.6], epsilon=[0.2, 0.1])
    for one, (density, epsilon) in enumerate(((0.3, 0.2), (0.6, 0.1))):
        expected = density - epsilon + np.arange(ROW) / (ROW - 1) * 2 * epsilon
        shares = kept[:, one].mean(axis=(0, 1))
        assert near(shares, expected, SEEDS * ROWS)
        assert near(shares.mean(), density, kept[:, one].size)
        assert not near(shares, density, SEEDS * ROWS)
        assert not near(shares, expected[::-1], SEEDS * ROWS)


@pytest.mark.parametrize("method", ["dare_linear", "della_linear"])
def test_rescaling_keeps_the_norm_or_the_expectation(method) -> None:
    shape, models, base = tensor("one row", "F32", 1)
    delta = numbers(models[0], "F32") - numbers(base, "F32")
    norms, sums = [], np.zeros(delta.size)
    for seed in range(SEEDS):
        for rescale_by in ("norm", "density") if seed < 5 else ("density",):
            parameters = {"density": [0.4], "epsilon": [0.3], "rescale": True, "rescale_by": rescale_by}
            if method == "dare_linear":
                del parameters["epsilon"]
            merged = by_engine(method, [*models, base], "F32", "F32", parameters, shape=shape, key=(seed, 5))
            made = numbers(merged.words, "F32") - numbers(base, "F32")
            if rescale_by == "norm":
                norms.append(np.abs(made).sum() / np.abs(delta).sum())
            else:
                sums += made
    assert np.abs(np.array(norms) - 1).max() < 1e-5
    # Where the least probability is 0.1 the variance of a difference is 9 of its squares.
    error = np.sqrt(9.0 / SEEDS * (delta**2).sum())
    assert abs((sums / SEEDS * np.sign(delta)).sum() - np.abs(delta).sum()) <= 4 * error
