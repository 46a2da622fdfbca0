"""NearSwap: where a sub-model is near the base its value is taken, and less of it the further it is away.

Source: alchemonaut, "QuartetAnemoi-70B-t0.0001", huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001;
parameters are mergekit's, but that `t` has a default. Deviation: mergekit computes in the models' own type,
in bfloat16 for most; here every step is rounded to float32 (float64 for F64), and the result once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.dtypes import DType
from core.kernels.interface import Counts, MapJob
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec
from core.weights import in_computing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["NEAREST", "SPEC", "swap_near"]

NEAREST = 1e-6
"""A smaller distance counts as this: mergekit's number, which keeps t / 0 from being infinite."""


def swap_near(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """A mean of the sub-model and the base for each element, of one chunk.

    d = |theta_pre - theta_1|; g = t / max(d, 1e-6), at least 0 and at most 1; then
    g * theta_1 + (1 - g) * theta_pre. Every difference, product, sum and quotient is rounded to the computing
    type, and so are t and 1e-6; the result is rounded once to the output's. Where d is NaN the result is.

    Args:
        job: what is asked.
        first_element: not used, each element goes by itself.
        models: one tensor [elements] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    import torch

    from core.methods import arithmetic

    if base is None:
        raise ValueError("nearswap needs a base")
    (model,) = (arithmetic.to_computing(model, job) for model in models)
    origin = arithmetic.to_computing(base, job)
    distance = (origin - model).abs()
    nearest = arithmetic.scalar(NEAREST, job, origin)
    share = arithmetic.scalar(job.parameters["t"], job, origin) / torch.maximum(distance, nearest)
    share = share.clamp(0, 1)  # a NaN stays one
    return arithmetic.from_computing(share * model + (1 - share) * origin, job), Counts.zeros(job)


def _check(values: Mapping[str, Any], computing: DType | None) -> None:
    in_computing(values["t"], computing, "t")


def _load_arithmetic() -> Arithmetic:
    return swap_near


SPEC = MethodSpec(
    name="nearswap",
    title="NearSwap",
    help="Takes the sub-model's value where it is near the base's, and less of it the further away it is.",
    source="huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
    parameters=(
        ParameterSpec(
            "t",
            "float",
            "merge",
            0.001,
            "t",
            "Distance up to which the sub-model's value is taken whole; at d, further away, t / d of it.",
            minimum=0.0,
        ),
    ),
    base="needed",
    most_models=1,
    check=_check,
    load_arithmetic=_load_arithmetic,
    group="single",
)
