"""Which deltas count as zero, with a tolerance and without, and where in a matrix the others are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import pytest
from delta_inputs import measure, random_words, values_of
from hypothesis import given, settings
from hypothesis import strategies as st

from core import table
from core.deltas.statistics import PREDICTED_DRAWS
from core.dtypes import DTYPES
from core.kernels.deltas.sums import DeltaSums
from core.kernels.deltas.workspace import DeltaWorkspace
from core.methods import METHODS

COUNTS = ("zero_delta", "changed_by", "unchanged_powers")

dtype_names = st.sampled_from(["BF16", "BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"])


def changed_elements(values: Sequence[np.ndarray], tolerance: float | None) -> np.ndarray:
    """Where each sub-model has a delta that is not zero; the base is the last of `values`. [K, elements]"""
    *models, base = values
    with np.errstate(all="ignore"):
        zero = [model == base for model in models]
        if tolerance is not None:
            limit = base.dtype.type(tolerance)
            zero = [same | (np.abs(model - base) <= limit) for same, model in zip(zero, models, strict=True)]
    return ~np.array(zero).reshape(len(models), len(base))


def tolerances_for(values: Sequence[np.ndarray], seed: int) -> list[float]:
    """Among them the magnitudes of deltas, and what rounds to them in float32."""
    generator = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        sizes = np.abs(np.concatenate([model - values[-1] for model in values[:-1]]).astype(np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    some = generator.choice(sizes, 2).tolist() if sizes.size else []
    return [0.0, 1e300, 3e-5, *some, *(float(np.nextafter(size, 0)) for size in some)]


@settings(max_examples=100)
@given(
    dtype_names,
    st.one_of(st.integers(1, 5), st.sampled_from([16, 17, 40])),
    st.sampled_from([1, 63, 64, 65, 700, 4097, 9000]),
    st.sampled_from(["fine-tuned", "mixed", "frozen", "bits"]),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_a_tolerance_decides_what_counts_as_zero(dtype, models, elements, kind, seed, details) -> None:
    dtypes = [dtype] * (models + 1)
    inputs = random_words(kind, dtypes, elements, seed)
    values = [values_of(words, dtype, dtype) for words in inputs]
    shares = np.random.default_rng(seed).dirichlet(np.ones(models))
    for tolerance in tolerances_for(values, seed):
        sums = measure(
            inputs, dtypes, dtype, details=details, shares=shares.tolist(), zero_tolerance=tolerance
        )
        changed = changed_elements(values, tolerance)
        np.testing.assert_array_equal(sums.zero_delta, (~changed).sum(axis=1))
        np.testing.assert_array_equal(sums.changed_by, np.bincount(changed.sum(axis=0), minlength=models + 1))
        unchanged = ((~changed) * shares[:, None]).sum(axis=0)
        expected = [np.sum(unchanged ** (draw + 1)) for draw in range(PREDICTED_DRAWS)]
        np.testing.assert_allclose(sums.unchanged_powers, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=60)
@given(
    st.lists(dtype_names, min_size=2, max_size=6), dtype_names, st.integers(0, 5000), st.integers(0, 2**32)
)
def test_counts_with_a_tolerance_are_those_of_a_merge(dtypes, merge, elements, seed) -> None:
    inputs = random_words("mixed", dtypes, elements, seed)
    values = [values_of(words, dtype, merge) for words, dtype in zip(inputs, dtypes, strict=True)]
    for tolerance in tolerances_for(values, seed):
        merging = table.workspace()
        plain = table.trial_job(METHODS["parameter_selection"], DTYPES[merge], len(dtypes) - 1)
        *models, base = (DTYPES[dtype] for dtype in dtypes)
        job = replace(plain, model_dtypes=tuple(models), base_dtype=base, zero_tolerance=tolerance)
        for buffer, words in zip(merging.begin(job.input_dtypes, elements), inputs, strict=True):
            buffer[:] = words.tobytes()
        counts = merging.run(job, 0).counts
        for details in (False, True):
            sums = measure(inputs, dtypes, merge, details=details, zero_tolerance=tolerance)
            for name in ("nonfinite", "zero_delta", "changed_by"):
                np.testing.assert_array_equal(getattr(sums, name), getattr(counts, name), err_msg=name)


@pytest.mark.parametrize("kind", ["fine-tuned", "mixed"])
@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64", "F8_E5M2"])
def test_a_tolerance_leaves_all_other_measures_as_they_are(dtype, kind) -> None:
    dtypes = [dtype] * 6
    inputs = random_words(kind, dtypes, 9000, seed=5)
    exact = measure(inputs, dtypes, dtype)
    tolerant = measure(inputs, dtypes, dtype, zero_tolerance=0.01)
    assert tolerant.zero_delta.sum() > exact.zero_delta.sum() + 100
    for field in fields(DeltaSums):
        if field.name not in COUNTS:
            np.testing.assert_array_equal(
                getattr(tolerant, field.name), getattr(exact, field.name), field.name
            )


@settings(max_examples=150)
@given(
    st.data(),
    dtype_names,
    st.one_of(st.integers(1, 5), st.sampled_from([17, 40])),
    st.one_of(st.integers(1, 200), st.integers(200, 5000)),
    st.one_of(st.none(), st.sampled_from([0.0, 3e-5, 1e-3])),
    st.booleans(),
)
def test_tiles_count_the_deltas_that_are_not_zero(data, dtype, models, width, tolerance, details) -> None:
    rows = data.draw(st.integers(0, max(1, 9000 // width)))
    bounds = sorted(data.draw(st.lists(st.integers(0, width), min_size=1, max_size=70)))
    dtypes, seed = [dtype] * (models + 1), data.draw(st.integers(0, 2**32))
    inputs = random_words("mixed", dtypes, rows * width, seed)
    workspace = DeltaWorkspace(details=details)
    sums = measure(inputs, dtypes, dtype, zero_tolerance=tolerance, workspace=workspace)
    changed = changed_elements([values_of(words, dtype, dtype) for words in inputs], tolerance)
    matrix = changed.reshape(models, rows, width)
    expected = [matrix[:, :, a:b].sum(axis=(1, 2)) for a, b in itertools.pairwise(bounds)]
    tiles = workspace.tiles(width, bounds)
    assert tiles.dtype == np.int64
    np.testing.assert_array_equal(tiles, np.array(expected, np.int64).reshape(-1, models).T)
    np.testing.assert_array_equal(
        workspace.tiles(width, [0, width])[:, 0], rows * width - sums.zero_delta, "one tile holds all"
    )


def test_a_workspace_tells_tolerances_and_types_apart() -> None:
    workspace = DeltaWorkspace(details=True)
    inputs = random_words("fine-tuned", ["BF16"] * 4, 700, seed=1)
    for merge, tolerance in [("BF16", None), ("BF16", 1e-3), ("F32", 1e-3), ("F32", 0.0), ("BF16", None)]:
        sums = measure(inputs, ["BF16"] * 4, merge, zero_tolerance=tolerance, workspace=workspace)
        changed = changed_elements([values_of(words, "BF16", merge) for words in inputs], tolerance)
        np.testing.assert_array_equal(sums.zero_delta, (~changed).sum(axis=1))


def test_tiles_are_those_of_the_last_run() -> None:
    workspace = DeltaWorkspace(details=False)
    for seed, elements in enumerate([600, 600, 6000, 60]):
        inputs = random_words("mixed", ["BF16"] * 4, elements, seed)
        measure(inputs, ["BF16"] * 4, "BF16", workspace=workspace)
        changed = changed_elements([values_of(words, "BF16", "BF16") for words in inputs], None)
        expected = changed.reshape(3, -1, 20)[:, :, 5:].sum(axis=(1, 2))
        np.testing.assert_array_equal(workspace.tiles(20, [5, 20])[:, 0], expected)


@pytest.mark.parametrize(
    ("width", "bounds"), [(7, [0, 7]), (0, [0]), (6, [0, 7]), (6, [-1, 6]), (6, [0, 4, 3, 6]), (6, [])]
)
def test_tiles_of_another_matrix_are_refused(width, bounds) -> None:
    workspace = DeltaWorkspace(details=False)
    measure(random_words("mixed", ["F32"] * 2, 60, seed=0), ["F32"] * 2, "F32", workspace=workspace)
    with pytest.raises(ValueError, match="are not"):
        workspace.tiles(width, bounds)
