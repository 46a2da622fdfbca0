"""Passthrough: the bits as they are, or times a factor that is rounded once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.dtypes import DTYPES
from core.errors import RecipeError
from core.methods import METHODS
from core.methods.passthrough import pass_through
from core.table import trial_job

PASSTHROUGH = METHODS["passthrough"]


def passed(values: torch.Tensor, dtype: str, scale: float = 1.0, out: str | None = None) -> torch.Tensor:
    job = trial_job(PASSTHROUGH, DTYPES[dtype], 1, {"scale": [scale]}, out_dtype=DTYPES[out or dtype])
    merged, counts = pass_through(job, 0, [values], None)
    assert (counts.zero_delta, counts.selected) == (None, None)
    return merged


def test_every_bit_of_16_is_taken_over() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    values = torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
    assert torch.equal(passed(values, "BF16").view(torch.int16), values.view(torch.int16)), "NaNs included"


@pytest.mark.parametrize("scale", [0.5, -1.0, 0.3, 0.0])
def test_a_factor_is_rounded_to_float32_and_the_product_once(scale: float) -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(1)).bfloat16()
    expected = (torch.tensor(scale, dtype=torch.float32) * values.float()).bfloat16()
    assert torch.equal(passed(values, "BF16", scale), expected)


def test_another_output_type() -> None:
    values = torch.tensor([1.0, 1 + 2**-8, 3e38])
    assert torch.equal(passed(values, "F32", out="BF16"), values.bfloat16())


def test_a_factor_that_float32_cannot_hold() -> None:
    with pytest.raises(RecipeError) as raised:
        PASSTHROUGH.check({"scale": (1e-60,)}, DTYPES["BF16"])
    assert raised.value.field == "scale"
