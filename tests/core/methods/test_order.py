"""Order statistics against sorts of whole tensors, by numpy."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from core.dtypes import DTYPES
from core.kernels.interface import SEGMENT, MapJob, Values
from core.methods import METHODS, order
from core.methods.folds import found_by
from core.methods.order import Target, codes_of, digits, kept_mask, order_folds
from core.table import trial_job

ELEMENTS = 5 * SEGMENT + 77


def job_of(dtype: str, elements: int = ELEMENTS) -> MapJob:
    return replace(trial_job(METHODS["linear"], DTYPES[dtype], 1), elements=elements)


def scores_of(kind: str, dtype: Any, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(ELEMENTS)
    if kind == "sparse":  # as deltas are: few magnitudes, mostly zeros
        values = np.where(rng.random(ELEMENTS) < 0.3, rng.integers(1, 6, ELEMENTS) * 2.0**-9, 0.0)
    elif kind == "one number":
        values = np.full(ELEMENTS, 0.5)
    elif kind == "zeros":
        values = np.zeros(ELEMENTS)
    elif kind == "special":
        ends = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.0]
        values = rng.choice(np.array(ends), ELEMENTS)
    return values.astype(dtype)


KINDS = ("dense", "sparse", "one number", "zeros", "special")


def find(job: MapJob, scores: np.ndarray, targets: Sequence[Target], cuts: Sequence[int]) -> MapJob:
    """The job with what the folds find in `scores` [rows, elements], read in chunks."""

    def read_scores(job: MapJob, first: int, models: Any, base: Any) -> list[torch.Tensor]:
        return [torch.from_numpy(row[first : first + models[0].numel()]) for row in scores]

    folds = order_folds("test", lambda: read_scores, lambda job: targets, job)  # type: ignore[arg-type, return-value]

    def read(job: MapJob, number: int) -> Iterator[Any]:
        reading = folds[number].load_reading()
        for begin, end in pairwise(cuts):
            yield reading(job, begin, [torch.empty(end - begin)], None)

    return found_by(folds, job, read)


def masks(job: MapJob, row: np.ndarray, target: int, keeps: str, cuts: Sequence[int]) -> np.ndarray:
    parts = [
        kept_mask(job, begin, codes_of(torch.from_numpy(row[begin:end])), target, keeps).numpy()
        for begin, end in pairwise(cuts)
    ]
    return np.concatenate(parts)


def ascending(row: np.ndarray) -> np.ndarray:
    """Elements in ascending order of their numbers, then in their own; NaNs last and equal."""
    with np.errstate(invalid="ignore"):
        return np.lexsort((np.arange(len(row)), row + 0.0))


def first_of_equals(row: np.ndarray, low: int, high: int) -> np.ndarray:
    """What lies from `low` to `high` in ascending order; of the numbers at both ends the first elements."""
    order = ascending(row)
    numbers = np.where(np.isnan(row), np.inf, row) + np.isnan(row)  # NaN is no number to compare with
    ranks = np.unique(np.stack([numbers, np.isnan(row)]), axis=1, return_inverse=True)[1].ravel()
    wanted = np.bincount(ranks[order[low : high + 1]], minlength=ranks.max() + 1)
    kept = (wanted == np.bincount(ranks))[ranks]
    for rank in np.flatnonzero((wanted > 0) & (wanted < np.bincount(ranks))):
        kept[np.flatnonzero(ranks == rank)[: wanted[rank]]] = True
    return kept


CUTS = (
    (0, ELEMENTS),
    (0, SEGMENT, 2 * SEGMENT, 3 * SEGMENT, 4 * SEGMENT, 5 * SEGMENT, ELEMENTS),
    (0, 3 * SEGMENT, ELEMENTS),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["BF16", "F64"])
def test_what_is_kept_is_what_a_sort_keeps(kind: str, dtype: str) -> None:
    row = scores_of(kind, np.float32 if dtype == "BF16" else np.float64)
    job = job_of(dtype)
    assert digits(job) == (2 if dtype == "BF16" else 4)
    low, high = ELEMENTS // 3, ELEMENTS - ELEMENTS // 50
    targets = [Target(0, low, "from"), Target(0, high, "up to")]
    expected = first_of_equals(row, low, high)
    for cuts in CUTS:
        found = find(job, row[None], targets, cuts)
        for cuts_of_map in CUTS:
            kept = masks(found, row, 0, "from", cuts_of_map) & masks(found, row, 1, "up to", cuts_of_map)
            zeros = row == 0  # of zeros nobody asks which are kept
            np.testing.assert_array_equal(kept[~zeros], expected[~zeros])


@pytest.mark.parametrize("kind", KINDS)
def test_a_number_is_found_at_its_place(kind: str) -> None:
    row = scores_of(kind, np.float32, seed=1)
    order = ascending(row)
    places = (0, 1, ELEMENTS // 4, ELEMENTS // 2, ELEMENTS - 1)
    found = find(job_of("BF16"), row[None], [Target(0, at, "none") for at in places], CUTS[1])
    expected = codes_of(torch.from_numpy(row[order[list(places)]])).tolist()
    assert list(found.found["codes"]) == expected


def test_codes_grow_with_the_numbers() -> None:
    for kind in (np.float32, np.float64):
        least = np.finfo(kind).smallest_subnormal
        rising = np.array([-np.inf, np.finfo(kind).min, -1, -least, 0, least, 1, np.inf, np.nan], kind)
        codes = codes_of(torch.from_numpy(rising))
        assert (codes[1:] > codes[:-1]).all()
        minus = torch.from_numpy(np.array([-0.0, np.nan, -np.nan], kind))
        assert codes_of(minus).tolist() == [0, int(codes[-1]), int(codes[-1])]


def test_rows_have_targets_of_their_own() -> None:
    scores = np.stack([scores_of("sparse", np.float32, seed=at) for at in range(3)])
    wanted = [Target(0, ELEMENTS - 500, "from"), Target(2, ELEMENTS - 9000, "from")]
    found = find(job_of("BF16"), scores, wanted, CUTS[1])
    for at, target in enumerate(wanted):
        expected = first_of_equals(scores[target.row], target.position, ELEMENTS - 1)
        np.testing.assert_array_equal(masks(found, scores[target.row], at, "from", CUTS[2]), expected)


def test_where_places_would_take_too_much_they_are_read_for(monkeypatch: pytest.MonkeyPatch) -> None:
    row = scores_of("sparse", np.float32)
    target = Target(0, ELEMENTS - 5000, "from")
    plain = find(job_of("BF16"), row[None], [target], CUTS[1])
    monkeypatch.setattr(order, "_MOST_ENTRIES", 4)
    assert find(job_of("BF16"), row[None], [target], CUTS[1]).found == plain.found


@pytest.mark.parametrize(("keeps", "has_places"), [("none", False), ("from", True)])
def test_numbers_of_which_nothing_is_kept_need_no_places(keeps: Any, has_places: bool) -> None:
    """There would be one for nearly each of the numbers near a quartile, in a tensor of a billion."""
    row, place = scores_of("dense", np.float32), 3 * ELEMENTS // 4
    target = Target(0, place, keeps)
    job = find(job_of("BF16"), row[None], [target], [0, 2 * SEGMENT, ELEMENTS])
    (code,) = job.found["codes"]
    assert code == int(codes_of(torch.from_numpy(np.sort(row)))[place])
    last = order_folds("test", lambda: lambda *_: [torch.from_numpy(row)], lambda job: [target], job)[1]  # type: ignore[arg-type, return-value]
    entries = last.load_reading()(
        replace(job, found=Values.of(prefixes=[code >> 16])), 0, [torch.empty(ELEMENTS)], None
    )
    assert entries[:, 3].sum() > 100
    assert entries[:, 1].any() == has_places


def test_counts_of_many_places_take_little_memory() -> None:
    """Variances of a billion elements have so many different codes near the border."""
    rng, total = np.random.default_rng(0), order.CodeTotal()
    tracemalloc.start()
    try:
        for segment in range(40):
            digits = np.sort(rng.choice(1 << 16, 60_000, replace=False))
            ones = np.ones_like(digits)
            total.add(np.column_stack([0 * ones, segment * ones, digits, ones]))
        found = total.result()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found[:, 3].sum() == 40 * 60_000
    assert peak < 96 * 1024**2


def test_rows_that_are_left_out_are_zeros_that_do_not_count() -> None:
    """A tensor of which only part is in all inputs has as many elements as that part."""
    row = np.abs(scores_of("dense", np.float32))
    row[SEGMENT : 2 * SEGMENT] = 0
    job = job_of("BF16", ELEMENTS - SEGMENT)
    found = find(job, row[None], [Target(0, job.elements // 2, "none")], CUTS[2])
    own = np.delete(row, slice(SEGMENT, 2 * SEGMENT))
    middle = torch.from_numpy(np.sort(own)[[job.elements // 2]])
    assert list(found.found["codes"]) == codes_of(middle).tolist()


def test_without_a_target_nothing_is_read() -> None:
    assert order_folds("test", lambda: pytest.fail("read"), lambda job: [], job_of("BF16")) == ()
