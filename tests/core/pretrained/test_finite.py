"""Which tensor of a model holds what is no number."""

from __future__ import annotations

import pytest
import torch

from core.pretrained.finite import first_non_finite


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_first_tensor_that_is_not_finite_is_named_with_how_much(dtype: torch.dtype) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2)).to(dtype)
    model[0].register_buffer("mask", torch.tensor([0.0, -float("inf")]))  # which is meant
    assert first_non_finite(model) is None
    with torch.no_grad():
        model[1].bias[0] = float("-inf")
    found = first_non_finite(model)
    assert found is not None
    assert found.what == "1 of the 2 values of 1.bias is NaN or infinite"
    with torch.no_grad():
        model[0].weight[1, :2] = float("nan")
    found = first_non_finite(model)
    assert found is not None
    assert found.what == "2 of the 6 values of 0.weight are NaN or infinite"
