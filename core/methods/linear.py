"""Weighted average: theta = sum_i w_i theta_i.

Source: Wortsman et al., "Model soups", arXiv:2203.05482; equation 1 of arXiv:2410.03743.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from core.errors import RecipeError
from core.kernels.interface import Counts, MapJob
from core.methods.spec import MethodSpec, ParameterSpec
from core.weights import normalised

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "average"]


def average(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The weighted average of one chunk.

    acc = +0; acc = acc + (w_i * theta_i) in the recipe's order, product and sum each rounded to
    float32 (float64 for F64), never fused; then one rounding to the output type.

    Args:
        job: what is asked.
        first_element: not used, the average is the same everywhere.
        models: K tensors [elements] of the merge dtype.
        base: not used.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    import torch

    from core.dtypes import DTYPES
    from core.methods import arithmetic

    computing = DTYPES[job.merge_dtype.computing_name]
    computing_dtype = arithmetic.torch_dtype(computing)
    accumulator = torch.zeros(models[0].shape, dtype=computing_dtype, device=models[0].device)
    for share, model in zip(normalised(job.weights), models, strict=True):
        weight = torch.tensor(share, dtype=torch.float64).to(computing_dtype).to(accumulator.device)
        product = model.to(computing_dtype) * weight
        accumulator = accumulator + product
    if job.out_dtype == computing:
        merged = arithmetic.canonical(accumulator, computing)
    else:
        merged = arithmetic.convert(accumulator, job.out_dtype)
    return merged, Counts.zeros(len(job.input_dtypes), job.models, None)


def _check(per_model: Mapping[str, Sequence[Any]], merge_wide: Mapping[str, Any]) -> None:
    normalised(per_model["weight"])
    if not merge_wide["normalize"]:
        raise RecipeError(
            "parameters.normalize is false, and weights that are not normalised are not supported",
            hint="leave it out: the weights are divided by their sum",
        )


def _load_reference() -> Callable[..., Any]:
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
            "normalize", "flag", "merge", True, "Normalise", "Divide the weights by their sum. Always on."
        ),
    ),
    needs_base=False,
    check=_check,
    load_reference=_load_reference,
)
