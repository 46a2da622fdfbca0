"""Multi-SLERP: the weighted mean of directions, as long as the sub-models are on average.

Source: mergekit; Goddard, "Multi-SLERP", goddard.blog/posts/multislerp-wow-what-a-cool-idea. Directions are
averaged, the directions themselves are moved into the tangent space of their mean, averaged there, and
brought back to the sphere. As the tangent space is that of the weighted mean itself, the mean of the
tangents is zero but for rounding, here as there.

Parameters and defaults are mergekit's, but that `weight` has a default. Deviations: mergekit computes in the
models' own type, in bfloat16 for most; here the coefficients are found in float64 from ordered sums of the
values (of the task vectors with a base) in the computing type, and only their products and sum are rounded
to it. Where the mean of the directions has no length, or is no number, the sub-models (the task vectors) are
added with their weights for any number of sub-models, where mergekit gives up for three and more: so a
tensor that no sub-model changed stays the base's. Weights whose sum is zero are refused instead of making
everything NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import cos, isfinite, sin, sqrt
from typing import TYPE_CHECKING, Any

from core.dtypes import DType
from core.errors import RecipeError
from core.kernels.interface import Counts, MapJob
from core.methods.folds import Fold, Found
from core.methods.spans import (
    ROUNDING,
    Matrix,
    as_it_is,
    combination,
    dot,
    exact_sum,
    gram_matrix,
    gram_of_vectors,
    length,
    vectors,
)
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec
from core.weights import in_computing, shares

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "combine", "on_the_sphere"]


def combine(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The combination of the sub-models that the fold found, of one chunk.

    X_i = theta_i, or theta_i - base with a base; mix = +0; mix = mix + c_i * X_i in the recipe's order; with
    a base, base + mix. Every difference, product and sum is rounded to the computing type. One sub-model is
    taken as it is.

    Args:
        job: what is asked; `found` holds "coefficients", K numbers.
        first_element: not used, the coefficients are the same everywhere.
        models: K tensors [elements] of the merge dtype.
        base: the base's values, likewise; None without a base.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    if len(models) == 1:
        return as_it_is(job, models[0]), Counts.zeros(job)
    inputs = vectors(job, models, base)
    mix = combination(job, job.found["coefficients"], inputs, inputs[0].new_zeros(inputs[0].shape))
    if base is not None:
        mix = arithmetic.to_computing(base, job) + mix
    return arithmetic.from_computing(mix, job), Counts.zeros(job)


def on_the_sphere(weights: Sequence[float], gram: Matrix, eps: float) -> tuple[float, ...]:
    """The coefficients c_i of the X_i; float64.

    With n_i = |X_i| and directions U_i = X_i / (n_i + eps): m = sum of W_i U_i, of length |m|, then m / |m|;
    q = sum of W_i (U_i . m); v = sum of W_i U_i - q m; s = |v| + eps; r = cos(s) m + sin(s) / s v; the
    result is r times the sum of W_i n_i. m, v and r are held as coefficients of the U_i, whose dot products
    are fl(g_ij / fl((n_i + eps) (n_j + eps))); sums are exact, and rounded once. The W_i themselves where
    |m| is below eps, or so short beside the sum of |W_i| that it may be a rounding error, or where a number
    is not finite; 0 for an X_i of no length.

    Args:
        weights: W_i.
        gram: the dot products of the X_i.
        eps: what is added to lengths, and below which the mean has none.
    """
    plain = tuple(weights)
    if not all(isfinite(value) for row in gram for value in row):
        return plain
    norms = [sqrt(row[at]) for at, row in enumerate(gram)]
    lengths = [norm + eps for norm in norms]
    units = [
        # What has no length has no direction, also without eps.
        [value / (one * other) if one * other else 0.0 for value, other in zip(row, lengths, strict=True)]
        for row, one in zip(gram, lengths, strict=True)
    ]
    mean_length = length(units, plain)
    parts = exact_sum([abs(weight) for weight in plain])
    if not isfinite(mean_length) or mean_length < eps or mean_length <= ROUNDING * parts:
        return plain
    mean = [weight / mean_length for weight in plain]
    along = dot(units, plain, mean)
    tangent = [weight - along * part for weight, part in zip(plain, mean, strict=True)]
    angle = length(units, tangent) + eps
    stretch = sin(angle) / angle if angle else 1.0
    average = exact_sum([weight * norm for weight, norm in zip(plain, norms, strict=True)])
    found = tuple(
        average * (cos(angle) * part + stretch * other) / whole if norm else 0.0
        for part, other, whole, norm in zip(mean, tangent, lengths, norms, strict=True)
    )
    return found if all(map(isfinite, found)) else plain


def _weights(values: Mapping[str, Any]) -> tuple[float, ...]:
    """W_i: the weights, or their shares of the sum; float64."""
    weights: tuple[float, ...] = tuple(values["weight"])
    return shares(weights) if values["normalize_weights"] else weights


def _coefficients(job: MapJob, sums: Any) -> Found:
    gram = gram_matrix(job.models, sums)
    return {"coefficients": on_the_sphere(_weights(job.parameters), gram, job.parameters["eps"])}


def _folds(job: MapJob) -> tuple[Fold, ...]:
    return (gram_of_vectors(job, _coefficients, ("coefficients",)),) if job.models > 1 else ()


def _check(values: Mapping[str, Any], computing: DType | None) -> None:
    if not values["normalize_weights"]:
        for weight in values["weight"]:
            in_computing(weight, computing, "weight")
        return
    total = exact_sum(values["weight"])
    if total == 0 or not all(map(isfinite, shares(values["weight"]))):
        raise RecipeError(
            "the weights of the sub-models cannot be normalised, because their sum is zero",
            hint="give weights whose sum is not zero, or set parameters.normalize_weights to false",
            field="weight",
        )


def _load_arithmetic() -> Arithmetic:
    return combine


SPEC = MethodSpec(
    name="multislerp",
    title="Multi-SLERP",
    help="Averages the directions of the sub-models, each with its weight, and keeps their mean length.",
    source="goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    parameters=(
        ParameterSpec(
            "weight",
            "float",
            "model",
            1.0,
            "Weight",
            "Share of this sub-model's direction in the mean.",
        ),
        ParameterSpec(
            "normalize_weights",
            "flag",
            "merge",
            True,
            "Normalise weights",
            "Divide the weights by their sum. Without it they are factors as they are.",
        ),
        ParameterSpec(
            "eps",
            "float",
            "merge",
            1e-8,
            "Least length",
            "Added to lengths before they are divided by; a mean of directions that is shorter has none.",
            symbol="eps",
            minimum=0.0,
        ),
    ),
    base="allowed",
    weight="share",
    folds=_folds,
    same_everywhere=False,
    check=_check,
    load_arithmetic=_load_arithmetic,
    group="geometry",
)
