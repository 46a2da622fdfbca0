"""SCE: selection, weights and signs worked out by hand, and the border of selection in a long tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch_merges import TorchMerge, torch_merge

from core.kernels.interface import SEGMENT
from core.methods.sce import weights_of

NAN, INF = float("nan"), float("inf")

FIRST = [1.0, 1.0, 1.0, -1.0, -2.0, 0.0, 0.0, 0.0]
SECOND = [3.0, -1.0, 1.0, 1.0, 1.0, 3.0, -1.0, -1.0]
"""Deltas whose squares come to 8 and 24: the weights are 1/4 and 3/4. Their variances are 1, 1, 0, 1, 9/4,
9/4, 1/4 and 1/4."""
MIXED = [2.5, 1.0, 1.0, 1.0, -2.0, 3.0, -1.0, -1.0]


def merged(deltas: Sequence[Sequence[float]], scale: float = 1.0, **parameters: Any) -> TorchMerge:
    base = torch.full((len(deltas[0]),), 8.0, dtype=torch.float64)
    models = [base + scale * torch.tensor(row, dtype=torch.float64) for row in deltas]
    return torch_merge("sce", models, base, **parameters)


def deltas_of(result: TorchMerge, scale: float = 1.0) -> list[float]:
    mixed: list[float] = ((result.values - 8.0) / scale).tolist()
    return mixed


def counts_of(result: TorchMerge) -> tuple[list[int], list[int]]:
    counts = result.counts
    assert counts.dropped is not None
    assert counts.elected_against is not None
    return counts.dropped.tolist(), counts.elected_against.tolist()


def test_deltas_of_the_elected_sign_are_averaged_by_the_squares_of_their_task_vectors() -> None:
    result = merged([FIRST, SECOND])
    assert result.found["weights"] == (0.25, 0.75)
    # The sign of a sum of 0 is +; -2 and 1 come to -1.
    assert deltas_of(result) == MIXED
    assert counts_of(result) == ([0, 0], [1, 2])


def test_small_deltas_are_weighted_alike_unless_a_recipe_asks_for_mergekits_number() -> None:
    scale = 2.0**-12
    assert deltas_of(merged([FIRST, SECOND], scale), scale) == MIXED
    equal = merged([FIRST, SECOND], scale, epsilon=1e-6)
    assert equal.found["weights"] == (0.5, 0.5)
    assert deltas_of(equal, scale) == [2.0, *MIXED[1:]]


def test_what_is_divided_by_is_not_below_epsilon() -> None:
    # Mean squares of 1 and 3 are not more than 5, and the weights 1/2 and 1 that are left are below it.
    assert deltas_of(merged([FIRST, SECOND], epsilon=5.0)) == pytest.approx(
        [0.4, 0.1, 0.2, 0.1, -0.2, 0.3, -0.1, -0.1], rel=1e-14
    )


def test_a_share_of_what_varies_is_selected() -> None:
    # Half of 7: the two of variance 9/4, and of three of variance 1 the first.
    result = merged([FIRST, SECOND], select_topk=0.5)
    assert result.found["weights"] == pytest.approx((5 / 24, 19 / 24), rel=1e-15)
    assert deltas_of(result) == pytest.approx([62 / 24, 0.0, 0.0, 0.0, -2.0, 3.0, 0.0, 0.0], rel=1e-14)
    assert counts_of(result) == ([3, 5], [0, 1])
    backwards = merged([FIRST[::-1], SECOND[::-1]], select_topk=0.5)
    assert np.flatnonzero(deltas_of(backwards)).tolist() == [2, 3, 4]


@pytest.mark.parametrize("topk", [0.0, 0.1])
def test_nothing_is_selected_of_too_small_a_share(topk: float) -> None:
    result = merged([FIRST, SECOND], select_topk=topk)
    assert deltas_of(result) == [0.0] * 8
    assert counts_of(result) == ([5, 8], [0, 0])


@pytest.mark.parametrize("topk", [1.0, 1.5])
def test_a_share_of_1_selects_what_does_not_vary_too(topk: float) -> None:
    assert deltas_of(merged([FIRST, SECOND], select_topk=topk)) == MIXED


def test_one_model_and_equal_models() -> None:
    assert deltas_of(merged([SECOND])) == SECOND
    assert deltas_of(merged([SECOND, SECOND, SECOND])) == SECOND
    assert deltas_of(merged([SECOND], select_topk=0.9)) == [0.0] * 8, "nothing varies"
    none = merged([[0.0] * 8, [0.0] * 8])
    assert (deltas_of(none), none.found["weights"]) == ([0.0] * 8, (0.5, 0.5))


def test_opposite_deltas_of_equal_weight() -> None:
    result = merged([FIRST, [-delta for delta in FIRST]])
    assert deltas_of(result) == np.abs(FIRST).tolist(), "the sign of a sum of 0 is +"
    assert counts_of(result) == ([0, 0], [2, 3])


def test_a_nan_varies_most_and_takes_no_part() -> None:
    first, second = FIRST.copy(), SECOND.copy()
    first[1] = first[6] = NAN
    result = merged([first, second], select_topk=0.5)  # of 7: the NaNs, and the first of the variance 9/4
    assert result.found["weights"] == (0.5, 0.5), "no sum of squares is a number"
    assert deltas_of(result) == [0.0, -1.0, 0.0, 0.0, -2.0, 0.0, -1.0, 0.0]
    assert counts_of(result) == ([3, 5], [2, 1])


def test_infinite_deltas_stay_in_their_elements() -> None:
    first = [INF, -INF, *FIRST[2:]]
    assert deltas_of(merged([first, SECOND])) == [INF, -INF, 1.0, 1.0, -2.0, 3.0, -1.0, -1.0]


@pytest.mark.parametrize(
    ("squares", "epsilon", "expected"),
    [
        ([2.0, 6.0], 0.0, (0.25, 0.75)),
        ([2.0, 6.0], 1.999, (0.25, 0.75)),
        ([2.0, 6.0], 2.0, (0.5, 0.5)),
        ([0.0, 0.0, 0.0], 0.0, (1 / 3, 1 / 3, 1 / 3)),
        ([0.0, 5e-300], 0.0, (0.0, 1.0)),
        ([NAN, 1.0], 0.0, (0.5, 0.5)),
        ([INF, 1.0], 0.0, (0.5, 0.5)),
        ([1.7e308, 1.7e308, 1.7e308, 1.7e308, 1.7e308], 0.0, (0.2,) * 5),
    ],
)
def test_weights(squares: list[float], epsilon: float, expected: tuple[float, ...]) -> None:
    assert weights_of(squares, 4, epsilon) == expected


def test_weights_of_a_tensor_none_of_whose_rows_all_models_have() -> None:
    assert weights_of([0.0, 0.0], 0, 0.0) == (0.5, 0.5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_of_equal_variances_the_first_of_a_long_tensor_are_selected(dtype: torch.dtype) -> None:
    elements = 3 * SEGMENT + 1234
    rng = np.random.default_rng(3)
    first, second = rng.integers(-3, 4, (2, elements)).astype(np.float64)
    base = torch.zeros(elements, dtype=dtype)
    models = [torch.from_numpy(row).to(dtype) for row in (first, second)]
    whole = torch_merge("sce", models, base, select_topk=0.4)
    chunks = torch_merge("sce", models, base, select_topk=0.4, chunk=SEGMENT)
    variance = (first - second) ** 2  # four times as much, and exact
    order = np.lexsort((np.arange(elements), -variance))
    expected = np.zeros(elements, bool)
    expected[order[: int(np.count_nonzero(variance) * 0.4)]] = True
    border = variance[order[np.count_nonzero(expected) - 1]]
    assert (~expected & (variance == border)).any(), "not all of the border's are selected"
    np.testing.assert_array_equal((whole.values != 0).numpy(), expected)
    assert torch.equal(chunks.values, whole.values)
    assert chunks.found["weights"] == whole.found["weights"]
    assert counts_of(chunks) == counts_of(whole)
    assert counts_of(whole)[0] == [np.count_nonzero(~expected & (row != 0)) for row in (first, second)]
