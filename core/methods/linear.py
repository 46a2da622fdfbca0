"""Weighted average: theta = sum_i w_i theta_i / sum_i w_i.

Source: Wortsman et al., "Model soups", arXiv:2203.05482; equation 1 of arXiv:2410.03743. Deviations from
mergekit: a base that is no sub-model is not averaged; products and sums are rounded each, never fused;
equal weights are added as they are, and sub-models of weight 0 are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.dtypes import DTYPES, DType
from core.kernels.interface import Counts, MapJob
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec
from core.weights import average_terms

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "average"]


def average(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The weighted average of one chunk, version 2.

    acc = +0; acc = acc + v_i * theta_i in the recipe's order, product and sum each rounded to the computing
    type, never fused; acc / divisor; then one rounding to the output type. `core.weights.average_terms`
    says what the v_i and the divisor are, and which sub-models take part.

    Args:
        job: what is asked.
        first_element: not used, the average is the same everywhere.
        models: K tensors [elements] of the merge dtype.
        base: not used.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    terms = average_terms(job.parameters["weight"], job.parameters["normalize"], job.computing)
    accumulator = arithmetic.to_computing(models[0], job).new_zeros(models[0].shape)
    for position, at in enumerate(terms.models):
        values = arithmetic.to_computing(models[at], job)
        if terms.factors is not None:
            values = arithmetic.scalar(terms.factors[position], job, values) * values
        accumulator = accumulator + values
    if terms.divisor is not None:
        accumulator = accumulator / arithmetic.scalar(terms.divisor, job, accumulator)
    return arithmetic.from_computing(accumulator, job), Counts.zeros(job)


def _check(values: Mapping[str, Any], computing: DType | None) -> None:
    average_terms(values["weight"], values["normalize"], computing or DTYPES["F64"])


def _load_arithmetic() -> Arithmetic:
    return average


SPEC = MethodSpec(
    name="linear",
    title="Weighted average",
    help="Averages every parameter over the sub-models, each with its weight.",
    source="arXiv:2203.05482",
    parameters=(
        ParameterSpec(
            "weight", "float", "model", 1.0, "Weight", "Share of this sub-model; divided by the sum of all."
        ),
        ParameterSpec(
            "normalize",
            "flag",
            "merge",
            True,
            "Normalise",
            "Divide by the sum of the weights. Without it the weights are factors as they are.",
        ),
    ),
    base="ignored",
    weight="share",
    check=_check,
    load_arithmetic=_load_arithmetic,
    group="selection",
)
