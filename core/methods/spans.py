"""What methods share whose results are combinations of their inputs: sums of c_i X_i with few numbers c_i.

The X_i are the sub-models' values, or their task vectors where the base takes part. Lengths and angles of all
that lies in the span of the X_i follow from the dot products of the X_i with one another, so that however
many steps a method takes, the tensor is read once for them and once for the map.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import fsum, isfinite, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.interface import MapJob
from core.methods.folds import Fold, Found, Reading, gram, gram_index
from core.methods.sparsify import task_vectors_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ROUNDING",
    "Matrix",
    "as_it_is",
    "combination",
    "dot",
    "exact_sum",
    "factors",
    "gram_matrix",
    "gram_of_vectors",
    "length",
    "products",
    "row_gram",
    "vectors",
]

Array = NDArray[Any]

Matrix = Sequence[Sequence[float]]
"""The dot products of vectors with one another, row by row."""

ROUNDING = 2.0**-24
"""A mean of directions that is no longer may be what rounding leaves of dot products that cancel."""


# -- of chunks -----------------------------------------------------------------------------------------------


def vectors(job: MapJob, models: list[Tensor], base: Tensor | None) -> list[Tensor]:
    """The X_i in the computing type: the task vectors where there is a base, else the values."""
    from core.methods import arithmetic

    if base is None:
        return [arithmetic.to_computing(model, job) for model in models]
    return task_vectors_of(job, models, base)


def combination(
    job: MapJob,
    coefficients: Sequence[float | Tensor],
    vectors: Sequence[Tensor],
    start: Tensor | None = None,
) -> Tensor:
    """c_1 X_1 + c_2 X_2 + … in order; every product and every sum is rounded to the computing type.

    Args:
        job: what is asked.
        coefficients: float64 numbers, which are rounded once to the computing type, or tensors of that type
            for vectors that have several; see `factors`.
        vectors: as many tensors of the computing type.
        start: what the first product is added to; the sum begins with that product where it is None, and
            then keeps the sign of zeros.
    """
    from core.methods import arithmetic

    mix = start
    for coefficient, vector in zip(coefficients, vectors, strict=True):
        factor = (
            arithmetic.scalar(coefficient, job, vector)
            if isinstance(coefficient, int | float)
            else coefficient
        )
        term = factor * vector
        mix = term if mix is None else mix + term
    if mix is None:
        raise ValueError("there is nothing to combine")
    return mix


def factors(values: Array, job: MapJob, like: Tensor) -> Tensor:
    """Float64 numbers rounded once to the computing type, on the device of `like`. The shape of `values`."""
    import torch

    from core.torch_values import torch_dtype

    return torch.from_numpy(values).to(torch_dtype(job.computing)).to(like.device)


def as_it_is(job: MapJob, model: Tensor) -> Tensor:
    """The only sub-model: its bits, or its values rounded once where the output has another type."""
    from core.methods import arithmetic

    if job.out_dtype == job.merge_dtype:
        return model
    return arithmetic.from_computing(arithmetic.to_computing(model, job), job)


# -- folds ---------------------------------------------------------------------------------------------------


def gram_of_vectors(job: MapJob, finish: Callable[[MapJob, Array], Found], finds: tuple[str, ...]) -> Fold:
    """The dot products of the X_i with one another: of the task vectors where `job` reads a base.

    `finish` gets them as float64 [K * (K + 1) / 2]: pair (i, j) with i <= j, row by row; see `gram_matrix`.
    Each is the ordered sum of the products; a product of task vectors in float32 is exact, one in float64 is
    rounded.
    """
    if job.base_dtype is None:
        return gram(finish, finds)
    return Fold("task_gram", _load_task_gram, finish, finds=finds)


def _load_task_gram() -> Reading:
    from core.methods import arithmetic

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        return arithmetic.dot_products(task_vectors_of(job, models, base))

    return read


def row_gram(vectors: Sequence[Tensor]) -> Array:
    """The dot products of each row of every X_i with the same row of itself and of those after it.

    Args:
        vectors: K tensors [rows, elements] of the computing type.

    Returns:
        [K * (K + 1) / 2, rows] float64: pairs as in `gram_of_vectors`, each an ordered sum of a row.
    """
    import torch

    from core.methods import arithmetic

    wide = [vector.to(torch.float64) for vector in vectors]
    # Into room that is there: small sums that stay between large products would keep each of these from
    # being used again, a gigabyte of 50 models.
    result: Array = np.empty((len(wide) * (len(wide) + 1) // 2, len(wide[0])))
    for i, one in enumerate(wide):
        for j in range(i, len(wide)):
            result[gram_index(len(wide), i, j)] = arithmetic.row_sums(one * wide[j]).cpu().numpy()
    return result


# -- in the span, on the host --------------------------------------------------------------------------------


def gram_matrix(models: int, products: Sequence[float]) -> list[list[float]]:
    """The dot products of K vectors as a fold finds them, as a matrix [K][K]."""
    return [
        [float(products[gram_index(models, min(i, j), max(i, j))]) for j in range(models)]
        for i in range(models)
    ]


def products(gram: Matrix, coefficients: Sequence[float]) -> list[float]:
    """The dot product of each vector with the sum of c_j X_j: of every i the exact sum of fl(g_ij c_j).

    NaN where that is no number, or not one of float64.
    """
    return [
        exact_sum([product * factor for product, factor in zip(row, coefficients, strict=True)])
        for row in gram
    ]


def dot(gram: Matrix, left: Sequence[float], right: Sequence[float]) -> float:
    """The dot product of two combinations: the exact sum of fl(l_i p_i), with p the `products` of `right`."""
    return exact_sum([one * other for one, other in zip(left, products(gram, right), strict=True)])


def length(gram: Matrix, coefficients: Sequence[float]) -> float:
    """How long the sum of c_j X_j is; 0 where rounding makes its square negative, NaN where it is none."""
    squared = dot(gram, coefficients, coefficients)
    return sqrt(max(squared, 0.0)) if isfinite(squared) else nan


def exact_sum(values: Sequence[float]) -> float:
    """Their sum, rounded once; NaN where `math.fsum` refuses: infinities of both signs, and overflows."""
    try:
        return fsum(values)
    except (OverflowError, ValueError):
        return nan
