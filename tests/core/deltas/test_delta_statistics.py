"""The measures of deltas equal plain numpy computations, and samples find the truth within their errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from delta_inputs import measure, random_words, values_of
from hypothesis import given, settings
from hypothesis import strategies as st

from core.deltas.block_sums import SumsOfBlocks
from core.deltas.measures import widening
from core.deltas.module_kinds import position_of
from core.deltas.sampling import spread_blocks
from core.deltas.statistics import PREDICTED_DRAWS, DeltaStatistics, roll_up, total_of, zero_deltas_of
from core.dtypes import DTYPES
from core.kernels.deltas.loops import count_tiles, mark_deltas, measure_deltas
from core.kernels.deltas.sums import LOWEST_EXPONENT, MAGNITUDE_BINS, DeltaSums
from core.kernels.deltas.workspace import DeltaWorkspace, compile_measures
from core.methods import METHODS
from core.table import trial_job, workspace

# -- plain computations --------------------------------------------------------------------------------------


def plain(values: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Every sum of DeltaSums from its formula; the base is the last of `values`."""
    *models, base = values
    count, size = len(models), len(base)
    with np.errstate(all="ignore"):
        changed = np.array([~(model == base) for model in models]).reshape(count, size)
        rounded = np.array([model - base for model in models]).reshape(count, size)
    finite = np.isfinite(rounded)
    tau = np.where(finite, rounded, 0).astype(np.float64)
    moved = tau != 0
    histogram = np.zeros((count, MAGNITUDE_BINS), np.int64)
    bins = (np.frexp(tau)[1] - 1 - LOWEST_EXPONENT).clip(0, MAGNITUDE_BINS - 1)
    for model in range(count):
        histogram[model] = np.bincount(bins[model][moved[model]], minlength=MAGNITUDE_BINS)
    rows = np.array([*tau, np.where(np.isfinite(base), base, 0)], np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        products = rows @ rows.T
        magnitude_products = np.abs(rows) @ np.abs(rows).T
        magnitudes = np.abs(tau).sum(axis=1)
    above, below = (tau > 0).astype(np.float64), (tau < 0).astype(np.float64)  # whose sums are exact
    differ = above @ below.T
    differ += differ.T.copy()
    both = above @ above.T + below @ below.T + differ
    return {
        "zero_delta": (~changed).sum(axis=1),
        "changed_by": np.bincount(changed.sum(axis=0), minlength=count + 1),
        "changed": changed,
        "left_out": (~finite).sum(axis=1),
        "magnitudes": magnitudes,
        "largest": np.abs(tau).max(axis=1, initial=0),
        "histogram": histogram,
        "products": products,
        "magnitude_products": magnitude_products,
        "both_changed": both,
        "signs_differ": differ,
    }


def check(sums: DeltaSums, expected: dict[str, np.ndarray], elements: int) -> None:
    for name in (
        "zero_delta",
        "changed_by",
        "left_out",
        "largest",
        "histogram",
        "both_changed",
        "signs_differ",
    ):
        np.testing.assert_array_equal(getattr(sums, name), expected[name], err_msg=name)
    bound = 2 * max(1, elements) * 2.0**-53
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(sums.products - expected["products"])
        wrong = error > bound * expected["magnitude_products"] + 1e-300
        # products beyond float64's range have no bound; only F64 has such
        assert not (wrong & np.isfinite(expected["magnitude_products"])).any()
        finite = np.isfinite(expected["magnitudes"])
        np.testing.assert_allclose(sums.magnitudes[finite], expected["magnitudes"][finite], rtol=bound)


dtype_names = st.sampled_from(["BF16", "BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"])


@settings(max_examples=60)
@given(
    dtype_names,
    st.one_of(st.integers(1, 5), st.sampled_from([11, 16, 17, 33])),
    st.one_of(st.integers(0, 40), st.sampled_from([4095, 4096, 4097, 9000])),
    st.sampled_from(["fine-tuned", "mixed", "frozen", "bits"]),
    st.integers(0, 2**32),
)
def test_sums_equal_a_plain_computation(dtype, models, elements, kind, seed) -> None:
    dtypes = [dtype] * (models + 1)
    inputs = random_words(kind, dtypes, elements, seed)
    expected = plain([values_of(words, dtype, dtype) for words in inputs])
    check(measure(inputs, dtypes, dtype), expected, elements)


@settings(max_examples=30)
@given(st.data(), dtype_names, st.integers(0, 200), st.sampled_from(["mixed", "bits"]))
def test_sums_are_those_of_the_converted_values(data, merge, elements, kind) -> None:
    dtypes = data.draw(st.lists(dtype_names, min_size=2, max_size=5))
    inputs = random_words(kind, dtypes, elements, seed=data.draw(st.integers(0, 2**32)))
    expected = plain([values_of(words, dtype, merge) for words, dtype in zip(inputs, dtypes, strict=True)])
    check(measure(inputs, dtypes, merge), expected, elements)


@settings(max_examples=30)
@given(st.lists(dtype_names, min_size=2, max_size=6), st.integers(0, 5000), st.integers(0, 2**32))
def test_counts_are_those_of_a_merge(dtypes, elements, seed) -> None:
    inputs = random_words("mixed", dtypes, elements, seed)
    merge = "F32"
    kinds = [DTYPES[name] for name in dtypes]
    job = trial_job(METHODS["parameter_selection"], DTYPES[merge], len(dtypes) - 1)
    job = replace(job, model_dtypes=tuple(kinds[:-1]), base_dtype=kinds[-1])
    space = workspace()
    for buffer, words in zip(space.begin(kinds, elements), inputs, strict=True):
        buffer[:] = words.tobytes()
    counts = space.run(job, 0).counts
    for details in (False, True):
        sums = measure(inputs, dtypes, merge, details=details)
        for name in ("nonfinite", "zero_delta", "changed_by"):
            np.testing.assert_array_equal(getattr(sums, name), getattr(counts, name))


@settings(max_examples=25)
@given(
    st.lists(st.sampled_from([0.0, 1.0, 1.0, 2.5, 1e-3, 7.0]), min_size=1, max_size=20).filter(any),
    st.sampled_from([0, 1, 77, 4096, 5000]),
    st.booleans(),
)
def test_unequal_weights_leave_powers_of_the_share_that_changed_nothing(weights, elements, details) -> None:
    dtypes = ["BF16"] * (len(weights) + 1)
    inputs = random_words("mixed", dtypes, elements, seed=len(weights))
    shares = np.array(weights) / math.fsum(weights)
    changed = plain([values_of(words, "BF16", "BF16") for words in inputs])["changed"]
    unchanged = ((~changed) * shares[:, None]).sum(axis=0)
    expected = [np.sum(unchanged ** (draw + 1)) for draw in range(PREDICTED_DRAWS)]
    sums = measure(inputs, dtypes, "BF16", details=details, shares=shares.tolist())
    np.testing.assert_allclose(sums.unchanged_powers, expected, rtol=1e-12)


def test_a_difference_that_overflows_is_left_out() -> None:
    huge, negative = np.array([0x7F7FFFFF, 0], np.uint32), np.array([0xFF7FFFFF, 0x3F800000], np.uint32)
    sums = measure([huge, negative], ["F32"] * 2, "F32")
    assert sums.left_out.tolist() == [1]
    assert sums.largest.tolist() == [1.0]
    assert sums.zero_delta.tolist() == [0]


def test_zeros_of_either_sign_are_no_change_and_have_no_sign() -> None:
    zeros, ones = np.array([0x8000, 0, 0x3F80], np.uint16), np.array([0, 0x8000, 0x3F80], np.uint16)
    base = np.array([0, 0, 0x4000], np.uint16)
    sums = measure([zeros, ones, base], ["BF16"] * 3, "BF16")
    assert sums.zero_delta.tolist() == [2, 2]
    assert sums.both_changed.tolist() == [[1, 1], [1, 1]]
    assert sums.signs_differ.tolist() == [[0, 0], [0, 0]]
    assert sums.histogram[:, -LOWEST_EXPONENT].tolist() == [1, 1]


def test_infinities_that_nothing_changed_are_left_out() -> None:
    base = np.array([0x3F800000, 0x7F800000, 0xFF800000, 0], np.uint32)
    sums = measure([base, base], ["F32"] * 2, "F32")
    assert sums.zero_delta.tolist() == [4]
    assert sums.left_out.tolist() == [2]
    assert sums.products.tolist() == [[0, 0], [0, 1]]


def test_a_workspace_remembers_nothing_of_the_chunk_before() -> None:
    workspace = DeltaWorkspace(details=True)
    for seed, (dtype, models, elements) in enumerate(
        [("BF16", 9, 9000), ("F64", 2, 5000), ("F32", 4, 4100), ("BF16", 9, 10), ("F16", 3, 0), ("F16", 3, 5)]
    ):
        dtypes = [dtype] * (models + 1)
        inputs = random_words("mixed", dtypes, elements, seed)
        again, alone = measure(inputs, dtypes, dtype, workspace=workspace), measure(inputs, dtypes, dtype)
        for field in fields(DeltaSums):
            if field.name != "unchanged_powers":
                np.testing.assert_array_equal(getattr(again, field.name), getattr(alone, field.name))


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64", "F8_E5M2"])
def test_what_is_compiled_beforehand_is_what_measuring_takes(dtype) -> None:
    kernels = (mark_deltas, measure_deltas, count_tiles)
    compile_measures(DTYPES[dtype])
    before = [len(kernel.signatures) for kernel in kernels]
    workspace = DeltaWorkspace(details=True)
    measure(random_words("mixed", [dtype] * 4, 100, seed=0), [dtype] * 4, dtype, workspace=workspace)
    workspace.tiles(10, [0, 3, 10])
    assert [len(kernel.signatures) for kernel in kernels] == before


# -- statistics ----------------------------------------------------------------------------------------------


def sums_of(inputs: Sequence[np.ndarray], **options) -> SumsOfBlocks:
    sums = SumsOfBlocks(len(inputs) - 1, details=True, draws=0, sampling=True)
    return add(sums, inputs, **options)


def add(sums: SumsOfBlocks, inputs: Sequence[np.ndarray], *, block: int, chosen=None) -> SumsOfBlocks:
    for number in range(-(-len(inputs[0]) // block)) if chosen is None else chosen:
        part = [words[number * block : (number + 1) * block] for words in inputs]
        sums.add(measure(part, ["BF16"] * len(inputs), "BF16"))
    return sums


@pytest.fixture(scope="module")
def inputs() -> list[np.ndarray]:
    return random_words("fine-tuned", ["BF16"] * 4, 20_000, seed=3)


def truth_of(inputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    values = [values_of(words, "BF16", "BF16") for words in inputs]
    found, base = plain(values), values[-1].astype(np.float64)
    tau = np.array([model.astype(np.float64) - base for model in values[:-1]])
    norms = np.sqrt((tau**2).sum(axis=1))
    size, count = len(base), len(tau)
    stays = [
        sum(n * (1 - m / count) ** (d + 1) for m, n in enumerate(found["changed_by"])) for d in range(21)
    ]
    return {
        "zero_delta": found["zero_delta"] / size,
        "changed_by": found["changed_by"] / size,
        "zero_after_draw": np.array(stays) / size,
        "mean_magnitude": np.abs(tau).mean(axis=1),
        "norm": norms,
        "base_norm": np.sqrt((base**2).sum()),
        "relative_norm": norms / np.sqrt((base**2).sum()),
        "cosine": (tau @ tau.T) / np.outer(norms, norms),
        "sign_disagreement": found["signs_differ"] / found["both_changed"],
    }


NUMBERS = (
    "zero_delta",
    "changed_by",
    "zero_after_draw",
    "mean_magnitude",
    "norm",
    "base_norm",
    "relative_norm",
    "cosine",
    "sign_disagreement",
)


def test_every_number_is_its_formula_and_exact_where_all_was_read(inputs) -> None:
    statistics = sums_of(inputs, block=4096).statistics(20_000, 5)
    for name, expected in truth_of(inputs).items():
        estimate = getattr(statistics, name)
        np.testing.assert_allclose(estimate.value, expected, rtol=1e-7, err_msg=name)
        assert estimate.error.shape == estimate.value.shape, name
        assert (estimate.error == 0).all(), name


def test_the_predicted_shares_of_unequal_weights_are_used() -> None:
    data = random_words("fine-tuned", ["BF16"] * 3, 9000, seed=1)
    sums = SumsOfBlocks(2, details=False, draws=PREDICTED_DRAWS, sampling=False)
    block = measure(data, ["BF16"] * 3, "BF16", details=False, shares=(0.75, 0.25))
    sums.add(block)
    predicted = sums.statistics(9000, 1).zero_after_draw
    np.testing.assert_allclose(predicted.value, block.unchanged_powers / 9000)


def test_deltas_that_are_all_zero_have_no_direction() -> None:
    base = random_words("fine-tuned", ["BF16"], 5000, seed=2)[0]
    statistics = sums_of([base, base, base], block=4096).statistics(5000, 2)
    assert statistics.norm.value.tolist() == [0, 0]
    assert statistics.norm.error.tolist() == [0, 0]
    assert np.isnan(statistics.cosine.value).all()
    assert np.isnan(statistics.sign_disagreement.value).all()


def test_an_empty_tensor_has_no_shares() -> None:
    statistics = SumsOfBlocks(2, details=True, draws=0, sampling=False).statistics(0, 0)
    assert np.isnan(statistics.zero_delta.value).all()
    assert statistics.norm.value.tolist() == [0, 0]


def test_one_block_of_several_tells_no_error(inputs) -> None:
    statistics = sums_of(inputs, block=4096, chosen=[2]).statistics(20_000, 5)
    assert np.isnan(statistics.zero_delta.error).all()
    assert np.isfinite(statistics.zero_delta.value).all()
    one_block = sums_of(inputs, block=65_536).statistics(20_000, 1)
    assert (one_block.zero_delta.error == 0).all()


# -- roll-ups ------------------------------------------------------------------------------------------------


@dataclass
class Named:
    name: str
    statistics: DeltaStatistics


def test_a_roll_up_equals_one_pass_over_all_elements(inputs) -> None:
    cuts = {"model.layers.0.mlp.up_proj.weight": 300, "model.layers.0.input_layernorm.weight": 9000}
    cuts |= {"model.layers.1.mlp.up_proj.weight": 20_000}
    tensors, start = [], 0
    for name, stop in cuts.items():
        part = [words[start:stop] for words in inputs]
        tensors.append(Named(name, sums_of(part, block=4096).statistics(stop - start, 9)))
        start = stop
    layers = roll_up(tensors, lambda name: position_of(name).layer)
    assert list(layers) == [0, 1]
    assert layers[0].parameters == 9000
    assert layers[0].tensors == 2
    for rolled, part in (
        (layers[0], [words[:9000] for words in inputs]),
        (total_of(tensor.statistics for tensor in tensors), inputs),
    ):
        for name, expected in truth_of(part).items():
            np.testing.assert_allclose(getattr(rolled, name).value, expected, rtol=1e-7, err_msg=name)
        alone = plain([values_of(words, "BF16", "BF16") for words in part])
        np.testing.assert_array_equal(rolled.largest, alone["largest"])
        np.testing.assert_array_equal(rolled.histogram, alone["histogram"])


# -- samples -------------------------------------------------------------------------------------------------

BLOCKS, BLOCK, LAST = 120, 256, 100


@pytest.fixture(scope="module")
def uneven() -> tuple[list[np.ndarray], list[DeltaSums]]:
    """Three sub-models that changed some blocks more than others, and the blocks' sums; the last is short."""
    generator = np.random.default_rng(11)
    size = (BLOCKS - 1) * BLOCK + LAST
    base = generator.standard_normal(size).astype(np.float32) * 0.02
    share = np.repeat(generator.uniform(0.1, 0.9, BLOCKS), BLOCK)[:size]
    common = generator.standard_normal(size)
    values = []
    for _ in range(3):
        step = (common + generator.standard_normal(size)) * 1e-3 * (1 + share)
        values.append(np.where(generator.random(size) < share, base + step, base))
    words = [(np.asarray(v, np.float32).view(np.uint32) >> 16).astype(np.uint16) for v in [*values, base]]
    words[0][::997] = 0x7FC0
    blocks = [
        measure([row[n * BLOCK : (n + 1) * BLOCK] for row in words], ["BF16"] * 4, "BF16")
        for n in range(BLOCKS)
    ]
    return words, blocks


def estimated(blocks: Sequence[DeltaSums], chosen: Sequence[int]) -> DeltaStatistics:
    sums = SumsOfBlocks(3, details=True, draws=0, sampling=True)
    for number in chosen:
        sums.add(blocks[number])
    return sums.statistics((BLOCKS - 1) * BLOCK + LAST, BLOCKS)


def test_errors_are_those_of_the_textbook(uneven) -> None:
    """Computed block by block from the residuals, as core.deltas.statistics has them."""
    _, blocks = uneven
    chosen = [3, 8, 17, 40, 41, 77, 101, BLOCKS - 1]
    found = estimated(blocks, chosen)
    sizes = np.array([blocks[number].elements for number in chosen], float)
    scale = BLOCKS**2 * (1 - len(chosen) / BLOCKS) / (len(chosen) * (len(chosen) - 1))
    scale *= (4.52997 / 3) ** 2  # Student's distribution, 7 degrees of freedom
    whole = (BLOCKS - 1) * BLOCK + LAST

    def residuals(values):
        values = np.array(values, float)
        return values - values.sum(axis=0) / sizes.sum() * sizes.reshape(-1, *[1] * (values.ndim - 1))

    zero = residuals([blocks[number].zero_delta for number in chosen])
    np.testing.assert_allclose(found.zero_delta.error, np.sqrt(scale * (zero**2).sum(axis=0)) / whole)
    squares = residuals([blocks[number].squares for number in chosen])
    error = np.sqrt(scale * (squares**2).sum(axis=0)) / (2 * np.sqrt(found.total("squares")))
    np.testing.assert_allclose(found.norm.error, error[:-1], rtol=1e-6)
    np.testing.assert_allclose(found.base_norm.error, error[-1], rtol=1e-6)
    above = residuals([blocks[number].magnitudes for number in chosen])
    below = residuals([blocks[number].elements - blocks[number].left_out for number in chosen])
    linear = above - found.mean_magnitude.value * below
    error = np.sqrt(scale * (linear**2).sum(axis=0)) / (whole - found.left_out)
    np.testing.assert_allclose(found.mean_magnitude.error, error, rtol=1e-6)
    dots = residuals([blocks[number].dots for number in chosen])
    a, d = found.total("squares")[:-1], found.total("dots")
    norms = np.sqrt(np.outer(a, a))
    relative = squares[:, :-1] / a
    linear = dots / norms - d / norms / 2 * (relative[:, :, None] + relative[:, None, :])
    np.testing.assert_allclose(found.cosine.error, np.sqrt(scale * (linear**2).sum(axis=0)), atol=1e-7)
    stays = np.array([[(1 - m / 3) ** (n + 1) for m in range(4)] for n in range(21)])
    left = residuals([stays @ blocks[number].changed_by for number in chosen])
    error = np.sqrt(scale * (left**2).sum(axis=0)) / whole
    np.testing.assert_allclose(found.zero_after_draw.error, error, rtol=1e-6)


@pytest.mark.parametrize("samples", [250, pytest.param(1000, marks=pytest.mark.slow)])
def test_samples_find_the_truth(uneven, samples, monkeypatch) -> None:
    from core.deltas import sampling

    monkeypatch.setattr(sampling, "SAMPLE_BLOCK", BLOCK)
    _, blocks = uneven
    size = (BLOCKS - 1) * BLOCK + LAST
    truth = estimated(blocks, range(BLOCKS))
    within = {name: np.zeros(getattr(truth, name).value.shape) for name in NUMBERS}
    ratios = []
    for seed in range(samples):
        found = estimated(blocks, sampling.sampled_blocks("w", size, 0.4, seed=seed))
        for name in NUMBERS:
            estimate, true = getattr(found, name), getattr(truth, name).value
            within[name] += np.abs(estimate.value - true) <= 3 * estimate.error + 1e-9
        ratios.append((found.zero_delta.value - truth.zero_delta.value) / found.zero_delta.error)
    for name, hits in within.items():
        assert (hits >= 0.99 * samples).all(), (name, hits.min())
    spread = np.std(ratios, axis=0)  # errors are neither too small nor too large
    assert ((spread > 0.9) & (spread < 1.1)).all()


def test_errors_of_tensors_add_up_as_of_strata(uneven) -> None:
    _, blocks = uneven
    one, other = estimated(blocks, range(0, BLOCKS, 3)), estimated(blocks, range(1, BLOCKS, 4))
    both = total_of([one, other])
    errors = [part.zero_delta.error / widening(part.freedom) for part in (one, other)]
    assert both.freedom == one.freedom + other.freedom == 39 + 29
    np.testing.assert_allclose(
        both.zero_delta.error, widening(68) * np.sqrt(errors[0] ** 2 + errors[1] ** 2) / 2
    )
    np.testing.assert_allclose(both.zero_delta.value, (one.zero_delta.value + other.zero_delta.value) / 2)
    exact = estimated(blocks, range(BLOCKS))
    np.testing.assert_allclose(total_of([one, exact]).zero_delta.error, one.zero_delta.error / 2)


@pytest.mark.parametrize(
    "count", [2, *(pytest.param(count, marks=pytest.mark.slow) for count in (3, 4, 5, 6, 8)), 10]
)
def test_few_blocks_say_that_they_know_little(uneven, count) -> None:
    """Three errors hold the truth of a share in 99 % of 1,000 samples of so few blocks, too."""
    _, blocks = uneven
    truth = estimated(blocks, range(BLOCKS)).zero_delta.value
    hits = np.zeros(3)
    for seed in range(1000):
        found = estimated(blocks, spread_blocks("w", BLOCKS, count, seed=seed)).zero_delta
        hits += np.abs(found.value - truth) <= 3 * found.error
    assert hits.mean() >= 990, hits


def test_blocks_that_are_all_alike_tell_no_error(uneven) -> None:
    _, blocks = uneven
    same = [replace(blocks[0]) for _ in range(4)]
    found = estimated(same, [0, 1, 2, 3])
    assert np.isnan(found.zero_delta.error).all()
    assert np.isnan(found.norm.error).all()
    assert np.diagonal(found.cosine.error).tolist() == [0, 0, 0]  # with itself it is 1


def test_many_are_computed_at_once_as_one_by_one(uneven) -> None:
    _, blocks = uneven
    parts = [estimated(blocks, chosen).counts for chosen in (range(len(blocks)), [0, 3, 5], [2], [1, 4])]
    found = zero_deltas_of(parts)
    for estimate, name in zip(found, ("zero_delta", "mean_zero_delta"), strict=True):
        one_by_one = [getattr(part, name) for part in parts]
        np.testing.assert_allclose(estimate.value, [one.value for one in one_by_one], rtol=1e-14)
        np.testing.assert_allclose(estimate.error, [one.error for one in one_by_one], rtol=1e-12)
    assert (found[0].error[0] == 0).all()
    assert np.isnan(found[1].error[2])


def test_what_depends_on_weights_can_be_taken_away() -> None:
    data = random_words("fine-tuned", ["BF16"] * 4, 9000, seed=1)
    both = []
    for draws in (PREDICTED_DRAWS, 0):
        sums = SumsOfBlocks(3, details=True, draws=draws, sampling=True)
        for start in (0, 3000):
            part = [words[start : start + 3000] for words in data]
            sums.add(measure(part, ["BF16"] * 4, "BF16", shares=(0.5, 0.25, 0.25) if draws else ()))
        both.append(sums.statistics(9000, 3))
    with_draws, without = both
    assert with_draws.without_draws.totals.tolist() == without.totals.tolist()
    assert with_draws.without_draws.covariances.tolist() == without.covariances.tolist()
    assert with_draws.counts.totals.tolist() == without.counts.totals.tolist()
