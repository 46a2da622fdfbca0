"""NuSLERP: spherical interpolation of two sub-models or task vectors, by whole tensors, rows or columns.

Source: mergekit, after Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985. Parameters,
defaults and thresholds are mergekit's, but that `weight` has a default. As there, `nuslerp_flatten` wins over
`nuslerp_row_wise`, and without both the vectors are rows, with `nuslerp_row_wise` columns: mergekit's
documentation names the two the other way round.

Deviations: mergekit computes in the models' own type, in bfloat16 the angle has 8 bits; here angles are
found from ordered float64 sums, in float64, and only the two products and their sum are rounded to the
computing type. Where a sum is no number, because an input holds NaN or infinite values or sums overflow, the
vector is interpolated along the line, so that the elements that are sound stay so. In a tensor of more than
two dimensions a row is what runs along the last dimension, and a column what runs along the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.kernels.interface import Counts, MapJob
from core.methods.folds import Fold, Found, Reading
from core.methods.spans import combination, factors, gram_of_vectors, row_gram, vectors
from core.methods.spec import Arithmetic, MethodSpec, ParameterSpec

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SPEC", "ColumnSums", "interpolate", "place_between", "shares_of_arc", "shares_of_arcs"]

Array = NDArray[Any]

_NO_SUM = 1e-6
"""Weights whose sum is no larger than this say nothing of a place; it is the middle."""

_NO_LENGTH = 1e-7
"""Lengths are divided by as if they were at least this."""

_STRAIGHT = 1e-16
"""Up to this squared sine the arc is taken for the line."""

_STEP = 1 << 14
"""Elements that are added to the sums of columns at one time, at most: they stay in the cache."""

_SHORT = 1024
"""Rows that are shorter are added many at a time, longer ones one after the other: each is faster there."""


def interpolate(
    job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None
) -> tuple[Tensor, Counts]:
    """The point between the two sub-models, of one chunk.

    X_i = theta_i, or theta_i - base with a base; a X_1 + c X_2 with the shares a and c of the vector in
    which the element lies; with a base, base plus that. Every difference, product and sum is rounded to the
    computing type.

    Args:
        job: what is asked. `found` holds "coefficients", the shares of a whole tensor; or "of_first" and
            "of_second", those of each of `job.columns` columns; nothing where the vectors are rows, of
            `job.row` elements.
        first_element: says with which column the chunk begins.
        models: two tensors [elements] of the merge dtype, whole rows where the vectors are rows.
        base: the base's values, likewise; None without a base.

    Returns:
        [elements] of the output dtype, and empty counts.
    """
    from core.methods import arithmetic

    inputs = vectors(job, models, base)
    values = job.parameters
    if values["nuslerp_flatten"]:
        mix = combination(job, job.found["coefficients"], inputs)
    elif values["nuslerp_row_wise"]:
        mix = combination(job, _of_columns(job, first_element, inputs[0]), inputs)
    else:
        rows = [vector.reshape(-1, job.row) for vector in inputs]
        shares = shares_of_arcs(place_between(values["weight"]), *row_gram(rows))
        mix = combination(job, [factors(share, job, rows[0])[:, None] for share in shares], rows).reshape(-1)
    if base is not None:
        mix = arithmetic.to_computing(base, job) + mix
    return arithmetic.from_computing(mix, job), Counts.zeros(job)


def place_between(weights: Sequence[float]) -> float:
    """How far from the first (0) to the second (1): w_2 / (w_1 + w_2); 0.5 where that sum is nearly 0."""
    first, second = weights
    if math.isinf(first + second):
        first, second = first / 4, second / 4
    total = first + second
    return 0.5 if abs(total) < _NO_SUM else second / total


def shares_of_arc(t: float, first: float, dot: float, second: float) -> tuple[float, float]:
    """The factors of two vectors at `t` of the way from the first to the second; float64.

    Args:
        t: not clamped.
        first, second: the sums of their squares.
        dot: the sum of their products.
    """
    if not all(map(math.isfinite, (first, dot, second))):
        return 1.0 - t, t
    lengths = max(math.sqrt(first), _NO_LENGTH) * max(math.sqrt(second), _NO_LENGTH)
    cosine = dot / lengths
    if 1.0 - cosine * cosine <= _STRAIGHT:  # also what rounding brought beyond 1
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


def shares_of_arcs(t: float, first: Array, dot: Array, second: Array) -> tuple[Array, Array]:
    """`shares_of_arc` of many pairs of vectors at once, by numpy. [vectors] float64 each"""
    with np.errstate(all="ignore"):
        lengths = np.maximum(np.sqrt(first), _NO_LENGTH) * np.maximum(np.sqrt(second), _NO_LENGTH)
        cosine = dot / lengths
        sound = np.isfinite(first) & np.isfinite(dot) & np.isfinite(second)
        bent = sound & (1.0 - cosine * cosine > _STRAIGHT)
        angle = np.arccos(np.where(bent, cosine, 0.0))
        of_first = np.sin((1.0 - t) * angle) / np.sin(angle)
        of_second = np.sin(t * angle) / np.sin(angle)
    return np.where(bent, of_first, 1.0 - t), np.where(bent, of_second, t)


# -- columns -------------------------------------------------------------------------------------------------


class ColumnSums:
    """The sums of squares and products of the columns of two tensors: a core.methods.folds.Total.

    What is added are the X_i of chunks, [2, elements] of the computing type. Each column's products, rounded
    to float64, are added row after row; the result is [3, columns]: first, dot, second. All columns are held
    at once, which of a matrix are few, but of experts in one tensor as many as one expert has elements.
    """

    def __init__(self, columns: int) -> None:
        self._sums = np.zeros((3, columns))
        self._column = 0

    def add(self, rows: Array) -> None:
        columns, elements, at = self._sums.shape[1], rows.shape[1], 0
        while at < elements:
            whole = 0 if self._column or columns >= _SHORT else (elements - at) // columns
            taken = min(columns - self._column, elements - at, _STEP)
            if whole:
                taken = columns * min(whole, _STEP // columns)
            with np.errstate(all="ignore"):  # signalling NaNs included
                first, second = rows[:, at : at + taken].astype(np.float64)
                products = np.stack([first * first, first * second, second * second])
                if whole:
                    # One after the other: numpy's own sums go by pairs where it pleases them.
                    ordered = [self._sums[:, None], products.reshape(3, -1, columns)]
                    self._sums = np.add.accumulate(np.concatenate(ordered, axis=1), axis=1)[:, -1].copy()
                else:
                    self._sums[:, self._column : self._column + taken] += products
            self._column = (self._column + taken) % columns
            at += taken

    def result(self) -> Array:
        return self._sums


@dataclass(frozen=True)
class _ColumnSumsOf:
    """Makes the sums of so many columns; equal for equal jobs, as folds are compared."""

    columns: int

    def __call__(self) -> ColumnSums:
        return ColumnSums(self.columns)


def _load_columns() -> Reading:
    import torch

    def read(job: MapJob, first_element: int, models: list[Tensor], base: Tensor | None) -> Array:
        inputs: Array = torch.stack(vectors(job, models, base)).cpu().numpy()
        return inputs

    return read


def _of_columns(job: MapJob, first_element: int, like: Tensor) -> list[Tensor]:
    """The shares of each element of a chunk, by its column."""
    import torch

    columns = torch.arange(first_element, first_element + like.numel(), device=like.device) % job.columns
    return [factors(np.array(job.found[name]), job, like)[columns] for name in ("of_first", "of_second")]


def _shares(job: MapJob, sums: Array) -> Found:
    first, dot, second = map(float, sums)
    return {"coefficients": shares_of_arc(place_between(job.parameters["weight"]), first, dot, second)}


def _column_shares(job: MapJob, sums: Array) -> Found:
    of_first, of_second = shares_of_arcs(place_between(job.parameters["weight"]), *sums)
    return {"of_first": tuple(of_first.tolist()), "of_second": tuple(of_second.tolist())}


def _folds(job: MapJob) -> tuple[Fold, ...]:
    values = job.parameters
    if values["nuslerp_flatten"]:
        return (gram_of_vectors(job, _shares, ("coefficients",)),)
    if values["nuslerp_row_wise"]:
        total = _ColumnSumsOf(job.columns)
        return (Fold("columns", _load_columns, _column_shares, total, ("of_first", "of_second")),)
    return ()


def _by_rows(values: Mapping[str, Any]) -> bool:
    return not values["nuslerp_flatten"] and not values["nuslerp_row_wise"]


def _load_arithmetic() -> Arithmetic:
    return interpolate


SPEC = MethodSpec(
    name="nuslerp",
    title="NuSLERP",
    help="Goes from one sub-model to another along the arc between them, or between their task vectors.",
    source="Shoemake 1985",
    parameters=(
        ParameterSpec(
            "weight",
            "float",
            "model",
            1.0,
            "Weight",
            "Share of this sub-model; that of the second is how far the way goes towards it.",
        ),
        ParameterSpec(
            "nuslerp_flatten",
            "flag",
            "merge",
            True,
            "Whole tensors",
            "Take each tensor for one vector, instead of each of its rows or columns.",
        ),
        ParameterSpec(
            "nuslerp_row_wise",
            "flag",
            "merge",
            False,
            "By columns",
            "Take each column for a vector, instead of each row; only where whole tensors are not.",
            matters=lambda values: not values["nuslerp_flatten"],
        ),
    ),
    base="allowed",
    weight="share",
    least_models=2,
    most_models=2,
    by_rows=_by_rows,
    folds=_folds,
    same_everywhere=False,
    load_arithmetic=_load_arithmetic,
    group="geometry",
)
