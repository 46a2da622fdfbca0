"""The advice on n says where its curve levels off, in words."""

from __future__ import annotations

import numpy as np
import pytest

from core.deltas.advice import advice_on_n


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (
            [0.6, 0.5, 0.497, 0.496],
            "60.0 % with n = 0, 50.0 % with n = 1, 49.6 % with n = 3. "
            "From n = 1 on, each resample moves less than 0.5 %.",
        ),
        (
            [0.5, 0.498, 0.497],
            "50.0 % whatever n is: already the first resample moves less than 0.5 % of the parameters.",
        ),
        (
            [0.9, 0.8, 0.7],
            "90.0 % with n = 0, 70.0 % with n = 2, and each resample still moves more than 0.5 %.",
        ),
        ([0.9, np.nan], ""),
        ([], ""),
    ],
)
def test_advice(left: list[float], said: str) -> None:
    assert advice_on_n(np.array(left)) == said
