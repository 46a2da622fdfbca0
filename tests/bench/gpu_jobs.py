"""The jobs that the GPU kernels are checked and measured with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from core import table
from core.dtypes import DTYPES
from core.kernels.interface import MapJob
from core.methods import METHODS

_TYPES = ("BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2")


def make_job(
    method: str,
    models: int,
    resamples: int = 0,
    *,
    unequal: bool = False,
    dtype: str = "BF16",
    out: str | None = None,
    tolerance: float | None = None,
) -> MapJob:
    """A job on models of one type. Unequal weights are 0 to 2, some of them 0, in steps."""
    weights = [float(model % 3) + (model > 3) / 2 if unequal else 1.0 for model in range(models)]
    values: dict[str, object] = {"weight": weights if models > 1 else [1.0]}
    if method == "parameter_selection":
        values["resamples"] = resamples
    job = table.trial_job(METHODS[method], DTYPES[dtype], models, values, out_dtype=DTYPES[out or dtype])
    return replace(job, key=(11, 2**32 - 12), zero_tolerance=tolerance)


def check_jobs() -> Iterator[MapJob]:
    """Every kind: types, K from 1 to 100, n from 0 to 100, unequal weights, tolerances, output types."""
    for number, dtype in enumerate(_TYPES):
        for models, resamples in ((1, 0), (3, 4), (10, 0), (16, 1), (17, 100), (50, 9), (100, 2)):
            for unequal in (False, True):
                tolerance = (None, None, 0.01)[(number + models + unequal) % 3]
                out = _TYPES[(number + models) % len(_TYPES)] if models % 2 else dtype
                yield make_job(
                    "parameter_selection",
                    models,
                    resamples,
                    unequal=unequal,
                    dtype=dtype,
                    out=out,
                    tolerance=tolerance,
                )
        for out in _TYPES:
            for models in (1, 10, 100):
                yield make_job("linear", models, unequal=models > 1, dtype=dtype, out=out)
