"""Model stock: from the base towards the average of the sub-models, as far as the task vectors agree.

Source: Jang et al., "Model Stock: all we need is just a few fine-tuned models", arXiv:2403.19522, equation
5. Parameters and defaults are mergekit's, but for `epsilon`. Deviations: mergekit divides by products of
lengths as if they were at least 1e-6, which pulls tensors with small task vectors to the base; here they are
divided by as they are, and `epsilon: 1e-6` gives mergekit's. mergekit computes in the models' own type; here
cosines are found from ordered float64 sums, in float64, and the steps of the map are rounded to the
computing type. Where they are no number, because an input holds NaN or infinite values, the base is kept in
the elements that are sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.interface import Counts, MapJob
from core.methods.folds import Fold, Found, gram_index
from core.methods.spans import combination, factors, gram_of_vectors, row_gram, vectors
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "interpolate", "share_of_average"]

Array = NDArray[Any]

_SINGULAR = 1e-6
"""A denominator below this gives no share; the base is kept."""


def interpolate(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The point between the base and the average of the sub-models, of one chunk.

    avg = +0; avg = avg + theta_i in the recipe's order; avg = avg / K; t * avg + (1 - t) * base. Every sum,
    quotient and product is rounded to the computing type, and so are t and 1 - t.

    Args:
        job: what is asked; `found` holds "of_average" and "of_base", which are t and 1 - t, unless each row
        has
            its own.
        first_element: not used, t does not depend on it.
        models: K tensors [elements] of the merge dtype, whole rows of `job.row` with `filter_wise`.
        base: the base's values, likewise.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    if base is None:
        raise ValueError("model_stock needs a base")
    origin = arithmetic.to_computing(base, job)
    average = origin.new_zeros(origin.shape)
    for model in models:
        average = average + arithmetic.to_computing(model, job)
    average = average / arithmetic.scalar(len(models), job, average)
    if not job.parameters["filter_wise"]:
        mix = combination(job, (job.found["of_average"], job.found["of_base"]), (average, origin))
        return arithmetic.from_computing(mix, job), Counts.zeros(job)
    rows = [vector.reshape(-1, job.row) for vector in vectors(job, models, base)]
    t = share_of_average(len(models), row_gram(rows), job.parameters["epsilon"])
    shares = [factors(share, job, origin)[:, None] for share in (t, 1.0 - t)]
    mix = combination(job, shares, [values.reshape(-1, job.row) for values in (average, origin)])
    return arithmetic.from_computing(mix.reshape(-1), job), Counts.zeros(job)


def share_of_average(models: int, gram: Array, epsilon: float) -> Array:
    """t, the share of the average: K c / (1 + (K - 1) c) with the mean cosine c; float64.

    The cosine of task vectors i < j is their dot product divided by the product of their lengths, at least
    `epsilon`, clamped to [-1, 1]; 0 where that is divided by nothing. c is the sum of all in order, divided
    by their number. t is 0 where the denominator is nearly 0 and where t is not finite, and is not clamped.

    Args:
        models: K.
        gram: the dot products of the task vectors [K * (K + 1) / 2, …]; see `core.methods.folds.gram_index`.
        epsilon: what products of lengths are at least.

    Returns:
        […] the shape of one dot product.
    """
    with np.errstate(all="ignore"):
        norms = [np.sqrt(gram[gram_index(models, at, at)]) for at in range(models)]
        total = np.zeros(gram.shape[1:])
        for i in range(models):
            for j in range(i + 1, models):
                lengths = np.maximum(norms[i] * norms[j], epsilon)
                cosine = np.clip(gram[gram_index(models, i, j)] / lengths, -1.0, 1.0)
                total = total + np.where(lengths == 0, 0.0, cosine)
        mean = total / (models * (models - 1) // 2)
        denominator = 1.0 + (models - 1) * mean
        share = models * mean / denominator
        kept = np.isfinite(share) & ~(np.abs(denominator) < _SINGULAR)
    result: Array = np.where(kept, share, 0.0)
    return result


def _shares(job: MapJob, sums: Array) -> Found:
    t = float(share_of_average(job.models, sums, job.parameters["epsilon"]))
    return {"of_average": t, "of_base": 1.0 - t}


def _folds(job: MapJob) -> tuple[Fold, ...]:
    if job.parameters["filter_wise"]:
        return ()
    return (gram_of_vectors(job, _shares, ("of_average", "of_base")),)


def _by_rows(values: Mapping[str, Any]) -> bool:
    return bool(values["filter_wise"])


def _load_arithmetic() -> Arithmetic:
    return interpolate


SPEC = MethodSpec(
    name="model_stock",
    title="Model stock",
    help="Goes from the base towards the average of the sub-models, the further the more these agree.",
    source="arXiv:2403.19522",
    parameters=(
        ParameterSpec(
            "filter_wise",
            "flag",
            "merge",
            False,
            "Row by row",
            "Find the share of the average for each row of a tensor, instead of for the whole tensor.",
        ),
        ParameterSpec(
            "epsilon",
            "float",
            "merge",
            0.0,
            "Least length",
            "The least that the product of the lengths of two task vectors counts for; mergekit has 1e-6.",
            symbol="ε",
            minimum=0.0,
        ),
    ),
    base="needed",
    least_models=2,
    by_rows=_by_rows,
    folds=_folds,
    load_arithmetic=_load_arithmetic,
    group="geometry",
)
