"""Karcher mean: the direction in the middle of those of all sub-models on the sphere, and their mean length.

Source: Grove and Karcher, "How to conjugate C1-close group actions", Mathematische Zeitschrift 132, 1973, by
way of mergekit; see also arXiv:2603.04972. Parameters and defaults are mergekit's. Deviations: a base that
is no sub-model is not averaged, where mergekit takes it for one more input; mergekit iterates over whole
tensors in the models' own type, here the steps are taken in the span of the sub-models, in float64 from
their dot products, which are ordered sums, and only the products of the coefficients and their sum are
rounded to the computing type; a direction opposite to the mean pulls it nowhere, where mergekit divides a
rounding error by a sine of nearly 0; where a sum is no number, the result is the average with equal weights,
so that the elements that are sound stay so.
"""

from __future__ import annotations

from math import acos, cos, isfinite, pi, sin, sqrt
from typing import TYPE_CHECKING, Any

from core.kernels.interface import Counts, MapJob
from core.methods.folds import Fold, Found
from core.methods.spans import (
    ROUNDING,
    Matrix,
    as_it_is,
    combination,
    exact_sum,
    gram_matrix,
    gram_of_vectors,
    length,
    products,
    vectors,
)
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "combine", "karcher_mean"]

_OPPOSITE = 1e-5
"""Directions whose angle to the mean is within this of half a turn are opposite to it."""


def combine(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The combination of the sub-models that the fold found, of one chunk.

    mix = +0; mix = mix + c_i * theta_i in the recipe's order, every product and sum rounded to the computing
    type. One sub-model is taken as it is.

    Args:
        job: what is asked; `found` holds "coefficients", K numbers.
        first_element: not used, the coefficients are the same everywhere.
        models: K tensors [elements] of the merge dtype.
        base: not used.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    if len(models) == 1:
        return as_it_is(job, models[0]), Counts.zeros(job)
    inputs = vectors(job, models, None)
    mix = combination(job, job.found["coefficients"], inputs, inputs[0].new_zeros(inputs[0].shape))
    return arithmetic.from_computing(mix, job), Counts.zeros(job)


def karcher_mean(gram: Matrix, max_iter: int, tol: float) -> tuple[float, ...]:
    """The coefficients c_i of the sub-models; float64.

    With n_i = |theta_i| and U_i = theta_i / n_i of those with n_i > tol, of which there are 1 / a: m = sum
    of a U_i, divided by its length; the first U_i where that is below tol, or may be a rounding error. Then,
    up to `max_iter` times: with d_i = U_i . m clamped to [-1, 1] and t_i = acos(d_i), h_i = a t_i /
    sin(t_i), or 0 where t_i is below tol, or 0, or within 1e-5 of pi; G = sum of h_i U_i - (sum of
    h_i d_i) m; end where |G| < tol; m = cos(|G|) m + sin(|G|) G / |G|, divided by its length if that is
    above tol. The result is m times the mean of all n_i. m and G are held as coefficients of the U_i, whose
    dot products are fl(g_ij / fl(n_i n_j)); sums are exact, and rounded once. 1 / K for all where a dot
    product is no number; 0 where no n_i is above tol.

    Args:
        gram: the dot products of the sub-models [K][K].
        max_iter: most steps.
        tol: below which a length or an angle is none.
    """
    models = len(gram)
    even = (1.0 / models,) * models
    if not all(isfinite(value) for row in gram for value in row):
        return even
    norms = [sqrt(row[at]) for at, row in enumerate(gram)]
    kept = [at for at, norm in enumerate(norms) if norm > tol]
    if not kept:
        return (0.0,) * models
    units = [[gram[i][j] / (norms[i] * norms[j]) for j in kept] for i in kept]
    direction = _direction(units, max_iter, tol)
    mean_norm = exact_sum(norms) / models
    found = [0.0] * models
    for at, part in zip(kept, direction, strict=True):
        found[at] = mean_norm * part / norms[at]
    return tuple(found) if all(map(isfinite, found)) else even


def _direction(units: Matrix, max_iter: int, tol: float) -> list[float]:
    """m of `karcher_mean`, as coefficients of the U_i."""
    share = 1.0 / len(units)
    mean = [share] * len(units)
    long = length(units, mean)
    if long < tol or long <= ROUNDING:
        mean = [1.0, *[0.0] * (len(units) - 1)]
    else:
        mean = [part / long for part in mean]
    for _ in range(max_iter):
        cosines = [max(-1.0, min(1.0, cosine)) for cosine in products(units, mean)]
        pulls = [_pull(share, cosine, tol) for cosine in cosines]
        along = exact_sum([pull * cosine for pull, cosine in zip(pulls, cosines, strict=True)])
        tangent = [pull - along * part for pull, part in zip(pulls, mean, strict=True)]
        step = length(units, tangent)
        if step < tol or step == 0:
            break
        mean = [
            cos(step) * part + sin(step) * (other / step) for part, other in zip(mean, tangent, strict=True)
        ]
        long = length(units, mean)
        if long > tol:
            mean = [part / long for part in mean]
    return mean


def _pull(share: float, cosine: float, tol: float) -> float:
    """h_i: how much a direction with this cosine to the mean moves it."""
    angle = acos(cosine)
    if angle < tol or angle == 0 or pi - angle < _OPPOSITE:
        return 0.0  # of an opposite direction nobody can say along which arc it pulls
    return share * angle / sin(angle)


def _coefficients(job: MapJob, sums: Any) -> Found:
    gram = gram_matrix(job.models, sums)
    return {"coefficients": karcher_mean(gram, job.parameters["max_iter"], job.parameters["tol"])}


def _folds(job: MapJob) -> tuple[Fold, ...]:
    return (gram_of_vectors(job, _coefficients, ("coefficients",)),) if job.models > 1 else ()


def _load_arithmetic() -> Arithmetic:
    return combine


SPEC = MethodSpec(
    name="karcher",
    title="Karcher mean",
    help="Finds the direction in the middle of all sub-models on the sphere, and keeps their mean length.",
    source="arXiv:2603.04972",
    parameters=(
        ParameterSpec(
            "max_iter",
            "int",
            "merge",
            10,
            "Steps",
            "Most steps towards the middle; fewer are taken where it is reached before.",
            symbol="steps",
            minimum=0,
            maximum=10_000,
        ),
        ParameterSpec(
            "tol",
            "float",
            "merge",
            1e-5,
            "Tolerance",
            "A step below this ends the search; shorter sub-models and smaller angles do not count.",
            symbol="tol",
            minimum=0.0,
        ),
    ),
    base="ignored",
    folds=_folds,
    same_everywhere=False,
    load_arithmetic=_load_arithmetic,
    group="geometry",
)
