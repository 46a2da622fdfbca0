"""Passthrough: the one sub-model as it is, or times a factor.

Source: none, it is mergekit's. What it is for are slices: a model that is put together from layers of others,
each taken over as it is. A factor of 1 takes the bits over where no type changes, NaN payloads included.
Deviation: mergekit multiplies in the models' own type, here the product is rounded to float32 (float64 for
F64) and then once to the output's type.
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

__all__ = ["SPEC", "pass_through"]


def pass_through(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The sub-model's values of one chunk, times `scale`.

    Args:
        job: what is asked.
        first_element: not used, the factor is the same everywhere.
        models: one tensor [elements] of the merge dtype.
        base: not used.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    (model,) = models
    (scale,) = job.parameters["scale"]
    if scale == 1 and job.out_dtype == job.merge_dtype:
        return model, Counts.zeros(job)
    values = arithmetic.to_computing(model, job)
    if scale != 1:
        values = arithmetic.scalar(scale, job, values) * values
    return arithmetic.from_computing(values, job), Counts.zeros(job)


def _check(values: Mapping[str, Any], computing: DType | None) -> None:
    for scale in values["scale"]:
        in_computing(scale, computing, "scale")


def _load_arithmetic() -> Arithmetic:
    return pass_through


SPEC = MethodSpec(
    name="passthrough",
    title="Passthrough",
    help="Takes one sub-model as it is: with slices, layers of several models become one deeper or "
    "shallower model.",
    source="mergekit",
    parameters=(
        ParameterSpec(
            "scale", "float", "model", 1.0, "Scale", "Factor of every element; 1 leaves them as they are."
        ),
    ),
    base="ignored",
    most_models=1,
    check=_check,
    load_arithmetic=_load_arithmetic,
    group="single",
)
