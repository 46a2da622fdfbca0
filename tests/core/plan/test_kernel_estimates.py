"""Estimates of methods that combine their inputs: by their kernels, and by torch where these decline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.dtypes import DTYPES
from core.methods import METHODS
from core.table import element_s, trial_job


@pytest.mark.parametrize("method", ["slerp", "nuslerp", "multislerp", "karcher", "model_stock"])
def test_a_matrix_is_combined_by_the_kernel(method: str) -> None:
    models = METHODS[method].most_models or 2
    job = trial_job(METHODS[method], DTYPES["BF16"], models)
    matrix = replace(job, columns=4096, elements=4096 * 4096)
    assert element_s(matrix) == element_s(job) < 7e-9


def test_columns_of_their_own_are_left_to_torch() -> None:
    values = {"nuslerp_flatten": False, "nuslerp_row_wise": True}
    job = trial_job(METHODS["nuslerp"], DTYPES["BF16"], 2, values)
    assert element_s(replace(job, columns=4096, elements=4096 * 4096)) > 14e-9
