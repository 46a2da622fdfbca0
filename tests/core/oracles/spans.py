"""Methods whose result is a weighted sum of the inputs, by angles and lengths of tensors, rows or columns.

Slerp: Shoemake, SIGGRAPH 1985. Model stock: arXiv:2403.19522. The design fixes no order of steps for the
factors of karcher and multislerp: here they are computed in long double.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import whole_tensor
from whole_tensor import words_of

from oracles.numbers import Made, converted, inputs_of, row_sums, rows_of

__all__ = ["METHODS", "karcher", "model_stock", "multislerp", "nuslerp"]


def weighted(
    values: Sequence[np.ndarray], factors: Sequence[Any], base: np.ndarray | None, kind: Any, out: str
) -> Made:
    """+0, then each value times its factor added in order, then the base where there is one."""
    mix, sizes = np.zeros(len(values[0]), kind), []
    for value, factor in zip(values, factors, strict=True):
        mix = mix + np.asarray(factor).astype(kind) * value
        sizes.append(np.abs(np.asarray(factor).astype(kind) * value))
    if base is not None:
        mix = base + mix
        sizes.append(np.abs(base))
    return Made(words_of(mix, out), {}, [], np.max(sizes, axis=0))


def alone(words: np.ndarray, values: np.ndarray, dtype: str, out: str) -> Made:
    """One model as it is."""
    return Made(converted(words, dtype, out), {}, [], np.abs(values))


# -- nuslerp -------------------------------------------------------------------------------------------------


def nuslerp(
    models: Sequence[np.ndarray],
    base: np.ndarray | None,
    dtype: str,
    out: str,
    *,
    shape: Sequence[int],
    weight: Sequence[float] = (1.0, 1.0),
    nuslerp_flatten: bool = True,
    nuslerp_row_wise: bool = False,
    kind: Any = None,
    **others: Any,
) -> Made:
    """Two models, or their differences from the base, along the arc between them."""
    inputs = inputs_of(models, base, dtype, out, kind)
    one, other = inputs.models if base is None else inputs.deltas
    whole = weight[0] + weight[1]
    t = 0.5 if abs(whole) < 1e-6 else weight[1] / whole
    with np.errstate(all="ignore"):
        if nuslerp_flatten:
            grids = [values.reshape(1, -1) for values in (one, other)]
        elif nuslerp_row_wise:
            grids = [values.reshape(shape[0] if shape else 1, -1) for values in (one, other)]
        else:
            grids = [rows_of(values, shape) for values in (one, other)]
        left, right = (grid.astype(np.float64) for grid in grids)
        sums = column_sums if nuslerp_row_wise and not nuslerp_flatten else row_sums
        shares = arc(t, sums(left * left), sums(right * right), sums(left * right), nuslerp_flatten)
        if sums is row_sums:
            shares = [share[:, None] for share in shares]
        factors = [np.broadcast_to(share, left.shape).reshape(-1) for share in shares]
        first, second = (
            factor.astype(inputs.kind) * values for factor, values in zip(factors, (one, other), strict=True)
        )
        mix = first + second
        words = words_of(mix if base is None else inputs.base + mix, out)
        largest = np.max(np.abs([first, second, inputs.base]), axis=0)
    return Made(words, {}, [], largest)


def column_sums(values: np.ndarray) -> np.ndarray:
    """The sums over dimension 0, row after row in float64."""
    sums = np.zeros(values.shape[1])
    for row in values:
        sums = sums + row
    return sums


def arc(t: float, left: np.ndarray, right: np.ndarray, dot: np.ndarray, alone: bool) -> list[np.ndarray]:
    """The shares of two vectors, of many pairs at once, from their squares and products.

    One pair is computed with Python's functions, many are with numpy's.
    """
    lengths = np.maximum(np.sqrt(left), 1e-7) * np.maximum(np.sqrt(right), 1e-7)
    cosine = np.clip(dot / lengths, -1.0, 1.0)
    straight = ~(1 - cosine * cosine > 1e-16)
    for sums in (left, right, dot):
        straight = straight | ~np.isfinite(sums)
    if alone:
        angle = math.acos(0.0 if straight[0] else cosine[0])
        sines = [np.array([math.sin(part * angle)]) for part in (1 - t, t, 1)]
    else:
        angles = np.arccos(np.where(straight, 0.0, cosine))
        sines = [np.sin(part * angles) for part in (1 - t, t, 1)]
    return [np.where(straight, 1 - t, sines[0] / sines[2]), np.where(straight, t, sines[1] / sines[2])]


# -- the mean on the sphere ----------------------------------------------------------------------------------


class Span:
    """Weighted sums of vectors, by their weights. Not `sound`: their products are no numbers in float64."""

    def __init__(self, values: Sequence[np.ndarray]) -> None:
        rows = np.array(values, np.longdouble)
        self._products = rows @ rows.T
        self.sound = bool(np.isfinite(self._products.astype(np.float64)).all())

    def dot(self, one: np.ndarray, other: np.ndarray) -> Any:
        """The product of two sums."""
        return one @ self._products @ other

    def length(self, one: np.ndarray) -> Any:
        return np.sqrt(max(self.dot(one, one), np.longdouble(0)))


def multislerp(
    models: Sequence[np.ndarray],
    base: np.ndarray | None,
    dtype: str,
    out: str,
    *,
    weight: Sequence[float] | None = None,
    normalize_weights: bool = True,
    eps: float = 1e-8,
    kind: Any = None,
    **others: Any,
) -> Made:
    """The weighted mean of directions, brought back to the weighted mean of lengths."""
    inputs = inputs_of(models, base, dtype, out, kind)
    values = inputs.models if base is None else inputs.deltas
    parts = np.array([1.0] * len(models) if weight is None else weight, np.longdouble)
    with np.errstate(all="ignore"):
        if len(models) == 1:
            return alone(models[0], inputs.models[0], dtype, out)
        if normalize_weights:
            parts = parts / parts.sum()
        factors = on_sphere(Span(values), parts, np.longdouble(eps))
        return weighted(values, factors, None if base is None else inputs.base, inputs.kind, out)


def on_sphere(span: Span, parts: np.ndarray, eps: Any) -> np.ndarray:
    """The factors of the vectors."""
    each = np.eye(len(parts), dtype=np.longdouble)
    lengths = np.array([span.length(one) for one in each])
    units = each / (lengths + eps)[:, None]
    mean = parts @ units
    if not span.sound or not span.length(mean) >= eps:
        return parts
    mean = mean / span.length(mean)
    tangents = np.array([unit - span.dot(unit, mean) * mean for unit in units])
    tangent = parts @ tangents
    step = span.length(tangent) + eps
    factors = (mean * np.cos(step) + tangent * np.sin(step) / step) * (parts @ lengths)
    return factors


def karcher(
    models: Sequence[np.ndarray],
    base: np.ndarray | None,
    dtype: str,
    out: str,
    *,
    max_iter: int = 10,
    tol: float = 1e-5,
    kind: Any = None,
    **others: Any,
) -> Made:
    """The mean direction on the sphere by steps along it, as long as the inputs are on average."""
    inputs = inputs_of(models, None, dtype, out, kind)
    with np.errstate(all="ignore"):
        if len(models) == 1:
            return alone(models[0], inputs.models[0], dtype, out)
        factors = karcher_factors(Span(inputs.models), len(models), max_iter, np.longdouble(tol))
        return weighted(inputs.models, factors, None, inputs.kind, out)


def karcher_factors(span: Span, many: int, max_iter: int, tol: Any) -> np.ndarray:
    """The factors of the vectors."""
    each = np.eye(many, dtype=np.longdouble)
    lengths = np.array([span.length(one) for one in each])
    if not span.sound:
        return np.full(many, 1 / many)
    units = [one / length for one, length in zip(each, lengths, strict=True) if length > tol]
    if not units:
        return np.zeros(many)
    share = 1 / np.longdouble(len(units))
    mean = share * np.sum(units, axis=0)
    mean = units[0] if span.length(mean) < tol else mean / span.length(mean)
    for _ in range(max_iter):
        step = np.zeros(many, np.longdouble)
        for unit in units:
            cosine = np.clip(span.dot(mean, unit), -1, 1)
            angle = np.arccos(cosine)
            if angle < tol or np.sin(angle) == 0:
                continue
            step = step + share * angle / np.sin(angle) * (unit - cosine * mean)
        far = span.length(step)
        if far < tol:
            break
        mean = np.cos(far) * mean + np.sin(far) * step / far
        if span.length(mean) > tol:
            mean = mean / span.length(mean)
    return lengths.sum() / many * mean


# -- slerp, model stock --------------------------------------------------------------------------------------


def slerp(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    *,
    t: float = 0.5,
    kind: Any = None,
    **others: Any,
) -> Made:
    """From the base to the sub-model along the arc."""
    inputs = inputs_of(models, base, dtype, out, kind)
    shares = whole_tensor.slerp_shares(t, *whole_tensor.slerp_sums([*models, base], dtype))
    with np.errstate(all="ignore"):
        ours, theirs = (
            inputs.kind(share) * value
            for share, value in zip(shares, [inputs.base, *inputs.models], strict=True)
        )
        return Made(words_of(ours + theirs, out), {}, [], np.maximum(np.abs(ours), np.abs(theirs)))


def model_stock(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    *,
    shape: Sequence[int],
    filter_wise: bool = False,
    epsilon: float = 0.0,
    kind: Any = None,
    **others: Any,
) -> Made:
    """Between base and average, by the angle between the differences."""
    inputs = inputs_of(models, base, dtype, out, kind)
    kind, many = inputs.kind, len(models)
    with np.errstate(all="ignore"):
        grid = (
            (lambda values: rows_of(values, shape)) if filter_wise else lambda values: values.reshape(1, -1)
        )
        deltas = [grid(delta).astype(np.float64) for delta in inputs.deltas]
        lengths = [np.sqrt(row_sums(delta * delta)) for delta in deltas]
        cosines, pairs = np.zeros(len(deltas[0])), 0
        for i in range(many):
            for j in range(i + 1, many):
                scale = np.maximum(lengths[i] * lengths[j], epsilon)
                cosine = np.clip(row_sums(deltas[i] * deltas[j]) / scale, -1.0, 1.0)
                cosines = cosines + np.where(scale == 0, 0.0, cosine)
                pairs += 1
        mean = cosines / pairs
        below = 1 + (many - 1) * mean
        part = np.where(np.abs(below) < 1e-6, 0.0, many * mean / below)
        part = np.where(np.isfinite(part), part, 0.0)
        parts = np.broadcast_to(part[:, None], deltas[0].shape).reshape(-1)
        average = np.zeros(len(base), kind)
        for model in inputs.models:
            average = average + model
        average = average / kind(many)
        ours, theirs = parts.astype(kind) * average, (1 - parts).astype(kind) * inputs.base
        words = words_of(ours + theirs, out)
        sizes = [ours, theirs, *(parts * model / many for model in inputs.models)]
    return Made(words, {}, [], np.max(np.abs(sizes), axis=0))


METHODS: dict[str, Callable[..., Made]] = {
    "nuslerp": nuslerp,
    "multislerp": multislerp,
    "karcher": karcher,
    "slerp": slerp,
    "model_stock": model_stock,
}
