"""Arcee fusion: importance and quartiles against the formulas, and the same bits wherever an element lies."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_merges import torch_merge

from core.dtypes import DTYPES
from core.kernels.interface import SEGMENT, MapJob
from core.methods import METHODS
from core.methods.arcee_fusion import importance, quartile_places
from core.methods.order import codes_of, values_of
from core.table import trial_job

NAN, INF = float("nan"), float("inf")


def job_of(rows: Tensor) -> MapJob:
    names = {torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64"}
    job = trial_job(METHODS["arcee_fusion"], DTYPES[names[rows.dtype]], 1)
    return replace(job, row=rows.shape[-1], elements=rows.numel())


def pair(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A sub-model with 60 % of zero deltas, and the base."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(shape, generator=generator) * 0.5
    deltas = torch.randn(shape, generator=generator) * 0.1
    deltas *= torch.rand(shape, generator=generator) < 0.4
    return (base + deltas).to(dtype), base.to(dtype)


def by_mathematics(model: Tensor, base: Tensor) -> np.ndarray:
    """|theta_1 - theta_pre| times the divergence of its row, in Python's floats."""
    result = []
    for ours, theirs in zip(model.double().tolist(), base.double().tolist(), strict=True):
        shares = []
        for row in (ours, theirs):
            parts = [math.exp(value) for value in row]
            total = math.fsum(parts)
            shares.append([part / total + 1e-8 for part in parts])
        divergence = math.fsum(p * math.log(p / q) for p, q in zip(*shares, strict=True))
        result.append([abs(one - other) * divergence for one, other in zip(ours, theirs, strict=True)])
    return np.array(result)


@pytest.fixture
def threads() -> Iterator[None]:
    """Puts torch's number of threads back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_importance_of_two_rows_of_two() -> None:
    base = torch.zeros(2, 2, dtype=torch.float64)
    model = torch.tensor([[0.0, math.log(3)], [math.log(3), -math.log(3)]], dtype=torch.float64)
    # Shares of 1/4 and 3/4, and of 9/10 and 1/10, against 1/2 and 1/2.
    first = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    second = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    expected = [0.0, first * math.log(3), second * math.log(3), second * math.log(3)]
    found = importance(job_of(base), [model.view(-1)], base.view(-1))
    assert found.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(40, 7), (2, 4200)], ids=str)
def test_importance_against_the_formula(shape: tuple[int, int], dtype: torch.dtype) -> None:
    model, base = pair(shape, dtype)
    found = importance(job_of(base), [model.view(-1)], base.view(-1))
    assert found.dtype == (torch.float32 if dtype == torch.bfloat16 else torch.float64)
    error = 2e-7 if dtype == torch.bfloat16 else 1e-11
    expected = by_mathematics(model, base).ravel()
    np.testing.assert_allclose(found.numpy(), expected, rtol=error, atol=error * expected.max())
    np.testing.assert_array_equal(found.numpy() == 0, (model == base).numpy().ravel())


def test_small_changes_in_bfloat16_have_an_importance_that_is_no_rounding_error() -> None:
    base = (torch.randn(8, 300, generator=torch.Generator().manual_seed(1)) * 0.02).bfloat16()
    model = base.clone()
    model[:, ::3] *= 1.01
    found = importance(job_of(base), [model.view(-1)], base.view(-1))
    expected = by_mathematics(model, base).ravel()
    assert 0 < expected.max() < 1e-9
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_where_quartiles_are() -> None:
    found = {elements: quartile_places(elements) for elements in (1, 2, 3, 4, 5, 8, 9, 468_000_001)}
    assert found[1] == found[2] == (0, 0, 0)
    assert (found[3], found[4], found[5]) == ((0, 1, 1), (0, 1, 2), (1, 2, 3))
    assert (found[8], found[9]) == ((1, 3, 5), (2, 4, 6))
    assert found[468_000_001] == (117_000_000, 234_000_000, 351_000_000)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(29, 1500), (9, 5000), (5, 9000), (40_000, 1), (43_210,)], ids=str)
def test_changes_from_the_threshold_of_exact_quartiles_on_are_taken(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    model, base = pair(shape, dtype)
    whole = torch_merge("arcee_fusion", [model], base)
    assert torch.equal(torch_merge("arcee_fusion", [model], base, chunk=SEGMENT).values, whole.values)
    scores = importance(job_of(base), [model.view(-1)], base.view(-1))
    ordered = scores.sort().values
    first, median, third = (ordered[math.trunc(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75))
    taken = (scores >= median + 1.5 * (third - first)).view(base.shape)
    assert not taken.all() or shape == (40_000, 1), "rows of one have no divergence"
    wide = scores.dtype
    expected = torch.where(taken, base.to(wide) + (model.to(wide) - base.to(wide)), base.to(wide)).to(dtype)
    assert torch.equal(whole.values, expected)
    assert (whole.values != base).any()
    assert whole.counts.dropped is None


def test_what_is_not_taken_is_the_base_with_its_sign_of_zero() -> None:
    model, base = pair((16, 16), torch.float32)
    base[3, 3], model[3, 3] = -0.0, 2.0**-40
    merged = torch_merge("arcee_fusion", [model], base).values
    assert merged[3, 3] == 0
    assert merged[3, 3].signbit()


def test_few_changes_are_all_taken() -> None:
    base, model = torch.zeros(16, 16), torch.zeros(16, 16)
    model[5, 5], model[7, 6] = 1.0, -1.0
    model[9, :] = torch.arange(16) * 2.0**-10
    # The importance of most is 0, and so is the threshold.
    assert torch.equal(torch_merge("arcee_fusion", [model], base).values, model)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_a_single_number_is_the_models(shape: tuple[int, ...]) -> None:
    model, base = torch.full(shape, 3.0), torch.full(shape, 2.0)
    assert torch.equal(torch_merge("arcee_fusion", [model], base).values, model)


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("where", ["model", "base"])
def test_a_row_without_a_distribution_stays_the_bases(value: float, where: str) -> None:
    model, base = pair((20, 50), torch.float32)
    odd = model if where == "model" else base
    odd[4, 7] = value
    merged = torch_merge("arcee_fusion", [model], base).values
    assert torch.equal(merged[4].nan_to_num(7.0), base[4].nan_to_num(7.0))
    assert (merged != base)[torch.arange(20) != 4].any(), "other rows are merged"
    odd[:6, 0] = NAN
    merged = torch_merge("arcee_fusion", [model], base).values
    assert torch.equal(merged.nan_to_num(7.0), base.nan_to_num(7.0)), "the third quartile is not a number"


def test_the_share_of_minus_infinity_is_nothing() -> None:
    model, base = pair((20, 50), torch.float32)
    model[4, 7], base[4, 8] = -INF, -INF
    model[5, 9] = base[5, 9] = -INF
    scores = importance(job_of(base), [model.view(-1)], base.view(-1)).view(20, 50)
    assert scores[4, 7] == scores[4, 8] == INF
    assert scores[5].isnan().tolist() == [at == 9 for at in range(50)]
    merged = torch_merge("arcee_fusion", [model], base).values
    assert (merged[4, 7], merged[5, 9]) == (-INF, -INF)
    assert merged[4, 8].isnan(), "-infinity and a change of infinity"


@pytest.mark.parametrize("row", [1, 3, 63, 64, 100, 4097])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_bits_do_not_depend_on_where_an_element_lies(row: int, dtype: torch.dtype, threads: None) -> None:
    rows = max(9, 3000 // row)
    model, base = (values.view(-1) for values in pair((rows, row), dtype, seed=5))
    job = job_of(base.view(rows, row))
    whole = importance(job, [model], base)
    for count in (1, 3):
        torch.set_num_threads(count)
        for first, last in ((0, 1), (3, 9), (rows - 8, rows), (2, rows)):
            part = slice(first * row, last * row)
            found = importance(job, [model[part]], base[part])
            assert found.numpy().tobytes() == whole[part].numpy().tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_order_codes_give_their_values_back(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).smallest_normal
    values = torch.tensor(
        [-INF, -3.5, -1.0, -tiny, -tiny / 4, 0.0, tiny / 4, tiny, 1.0, 3.5, INF, NAN], dtype=dtype
    )
    codes = codes_of(values)
    assert (codes.diff() > 0).all()
    job = trial_job(METHODS["arcee_fusion"], DTYPES["BF16" if dtype == torch.float32 else "F64"], 1)
    assert job.computing.itemsize == values.itemsize
    np.testing.assert_array_equal(values_of(job, codes.tolist()), values.numpy())
    assert (
        codes_of(torch.tensor([-0.0], dtype=dtype)).tolist() == codes_of(torch.tensor([0.0])).tolist() == [0]
    )
