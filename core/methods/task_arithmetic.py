"""Task arithmetic: theta = theta_pre + lambda * sum_i w_i (theta_i - theta_pre).

Source: Ilharco et al., "Editing models with task arithmetic", arXiv:2212.04089, section 2. Parameters and
defaults are mergekit's, but that `weight` has a default. Deviation: mergekit computes in the models' own
type, in bfloat16 for most; here every step is rounded to float32 (float64 for F64), and the result once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, inf
from typing import TYPE_CHECKING, Any

from core.dtypes import DType
from core.kernels.interface import Counts, MapJob
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec
from core.weights import in_computing

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "add_task_vectors"]

_NO_SUM = 1e-8
"""A sum of weights below this is not divided by."""


def add_task_vectors(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The base and the weighted sum of the task vectors, of one chunk.

    tau_i = theta_i - base; mix = +0; mix = mix + w_i * tau_i in the recipe's order; mix = mix / sum of w_i
    where it normalises; mix = lambda * mix where lambda is not 1; base + mix. Every difference, product, sum
    and quotient is rounded to the computing type.

    Args:
        job: what is asked.
        first_element: not used, the sum is the same everywhere.
        models: K tensors [elements] of the merge dtype.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    if base is None:
        raise ValueError("task arithmetic needs a base")
    values = job.parameters
    origin = arithmetic.to_computing(base, job)
    mix = origin.new_zeros(origin.shape)
    for weight, model in zip(values["weight"], models, strict=True):
        task_vector = arithmetic.to_computing(model, job) - origin
        mix = mix + arithmetic.scalar(weight, job, mix) * task_vector
    if values["normalize"]:
        mix = mix / arithmetic.scalar(_divisor(values["weight"]), job, mix)
    if values["lambda"] != 1:
        mix = arithmetic.scalar(values["lambda"], job, mix) * mix
    return arithmetic.from_computing(origin + mix, job), Counts.zeros(job)


def _check(values: Mapping[str, Any], computing: DType | None) -> None:
    for weight in values["weight"]:
        in_computing(weight, computing, "weight")
    in_computing(values["lambda"], computing, "lambda")
    if values["normalize"]:
        in_computing(_divisor(values["weight"]), computing, "the sum of the weights,", field="weight")


def _divisor(weights: Sequence[float]) -> float:
    """The sum of the weights in float64; 1 where it is nearly 0."""
    try:
        total = fsum(weights)
    except OverflowError:
        total = inf
    return 1.0 if abs(total) < _NO_SUM else total


def _load_arithmetic() -> Arithmetic:
    return add_task_vectors


SPEC = MethodSpec(
    name="task_arithmetic",
    title="Task arithmetic",
    help="Adds what each sub-model learned to the base, each with its weight.",
    source="arXiv:2212.04089",
    parameters=(
        ParameterSpec(
            "weight",
            "float",
            "model",
            1.0,
            "Weight",
            "Factor of this sub-model's task vector; a negative one takes away what it learned.",
        ),
        ParameterSpec(
            "lambda",
            "float",
            "merge",
            1.0,
            "λ, scale",
            "Factor of the sum of all task vectors.",
            symbol="λ",
        ),
        ParameterSpec(
            "normalize",
            "flag",
            "merge",
            False,
            "Normalise",
            "Divide the sum of the task vectors by the sum of their weights.",
        ),
    ),
    base="needed",
    weight="coefficient",
    check=_check,
    load_arithmetic=_load_arithmetic,
)
