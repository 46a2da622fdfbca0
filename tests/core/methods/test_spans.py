"""The sums of rows and task vectors, in the one order that all machines keep to."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from whole_tensor import ordered_sum

from core.dtypes import DTYPES
from core.kernels.interface import MapJob
from core.methods.folds import FoldTotal
from core.methods.spans import combination, exact_sum, gram_of_vectors, length, row_gram


@pytest.mark.parametrize("elements", [1, 70, 5000])
def test_rows_have_the_products_of_all_pairs(elements) -> None:
    vectors = np.random.default_rng(1).normal(0, 1, (3, 5, elements)).astype(np.float32)
    found = row_gram([torch.tensor(one) for one in vectors])
    pairs = itertools.combinations_with_replacement(vectors.astype(np.float64), 2)
    expected = [[ordered_sum(*rows) for rows in zip(one, other, strict=True)] for one, other in pairs]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("dtype", "out", "single"), [("BF16", "BF16", True), ("F64", "F64", False)])
def test_task_vectors_are_rounded_to_the_computing_type_before_they_are_multiplied(
    dtype, out, single
) -> None:
    values = torch.tensor(np.random.default_rng(2).normal(0, 1, (3, 9000)))
    values = values.to(torch.bfloat16 if single else torch.float64)
    job = MapJob("any", (DTYPES[dtype],) * 2, DTYPES[dtype], DTYPES[dtype], DTYPES[out])
    fold = gram_of_vectors(job, lambda job, sums: {"sums": tuple(sums)}, ("sums",))
    total = FoldTotal(fold)
    for start in (0, 4096):
        part = [one[start : start + 4096 if start == 0 else None] for one in values]
        total.add(fold.load_reading()(job, start, part[:2], part[2]))
    kind = np.float32 if single else np.float64
    first, second, base = (one.to(torch.float64).numpy().astype(kind) for one in values)
    deltas = [(one - base).astype(np.float64) for one in (first, second)]
    pairs = itertools.combinations_with_replacement(deltas, 2)
    assert total.finish(job)["sums"] == tuple(ordered_sum(*pair) for pair in pairs)


def test_a_combination_rounds_every_step_and_keeps_the_sign_of_zeros() -> None:
    job = MapJob("any", (DTYPES["BF16"],) * 3, None, DTYPES["BF16"], DTYPES["BF16"])
    vectors = np.random.default_rng(3).normal(0, 1, (3, 100)).astype(np.float32)
    vectors[:, 0] = -0.0
    factors = np.float32([0.1, 0.7, 1 / 3])
    expected = factors[0] * vectors[0] + factors[1] * vectors[1] + factors[2] * vectors[2]
    tensors = [torch.tensor(one) for one in vectors]
    merged = combination(job, (0.1, 0.7, 1 / 3), tensors).numpy()
    np.testing.assert_array_equal(merged, expected)
    assert np.signbit(merged[0])
    assert not np.signbit(combination(job, (0.1, 0.7, 1 / 3), tensors, torch.zeros(100)).numpy()[0])


def test_lengths_of_combinations() -> None:
    gram = [[9.0, 12.0], [12.0, 25.0]]  # of (3, 0) and (4, 3)
    assert length(gram, (2.0, -1.0)) == pytest.approx(np.hypot(2.0, 3.0))
    assert length([[1.0, -1.0], [-1.0, 1.0 - 1e-16]], (1.0, 1.0)) == 0.0
    assert np.isnan(length([[np.inf]], (1.0,)))
    assert np.isnan(exact_sum([1e308, 1e308]))
    assert np.isnan(exact_sum([np.inf, -np.inf]))
