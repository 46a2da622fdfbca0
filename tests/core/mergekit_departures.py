"""Where a merge here differs from mergekit's on purpose, or where mergekit leaves open what it keeps.

Each function takes the inputs of a tensor (numbers in float64, the base last where there is one) and the
parameters of the method by name, and returns a mask of the elements that are not compared. Its first line
says what they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = [
    "LeftOut",
    "border_of_magnitudes",
    "border_of_variances",
    "borders_of_elected_outliers",
    "borders_of_outliers",
    "cancelled",
    "near_the_fusion_threshold",
    "nearly_opposite",
    "nothing",
    "ram_absolute",
    "sce_absolute",
    "stock_absolute",
    "undecided",
]

Inputs = Sequence[np.ndarray]
Parameters = Mapping[str, Any]

LeftOut = Callable[[Inputs, Parameters], np.ndarray]
"""Which elements of a tensor are not compared."""

_F32 = 2.0**-24
"""Half a unit of float32 beside one."""


def nothing(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """nothing"""
    return np.zeros(inputs[0].shape, bool)


def cancelled(inputs: Inputs, merged: np.ndarray) -> np.ndarray:
    """Where mergekit's result is so small beside its terms that their rounding is much of a unit of bf16."""
    largest = np.abs(np.stack(inputs)).max(axis=0)
    mask: np.ndarray = np.abs(merged) < 2.0**-11 * largest
    return mask


def border_of_magnitudes(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """deltas as large as the smallest that is kept (mergekit keeps any of them), and undecided signs"""
    return _by_magnitude(inputs, parameters, 0.0, elects=True)


def borders_of_outliers(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """deltas as large as the smallest or the largest that is kept: mergekit keeps any of them"""
    return _by_magnitude(inputs, parameters, parameters.get("gamma", 0.01), elects=False)


def borders_of_elected_outliers(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """deltas as large as the smallest or the largest that is kept, and undecided signs"""
    return _by_magnitude(inputs, parameters, parameters.get("gamma", 0.01), elects=True)


def undecided(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """signs that weights rounded to float32 decide: with exact ones the deltas would cancel"""
    weights = _each(parameters["weight"], inputs)
    if all(weight == int(weight) for weight in weights):
        return nothing(inputs, parameters)  # the sums are exact, and the same in both
    terms = np.stack([weight * delta for weight, delta in zip(weights, _deltas(inputs), strict=True)])
    mask: np.ndarray = np.abs(terms.sum(axis=0)) <= 4 * _F32 * np.abs(terms).sum(axis=0)
    return mask & (np.abs(terms).max(axis=0) > 0)


def _by_magnitude(inputs: Inputs, parameters: Parameters, gamma: float, *, elects: bool) -> np.ndarray:
    mask, kept = nothing(inputs, parameters), []
    *models, base = inputs
    densities = _each(parameters["density"], inputs)
    for model, density in zip(models, densities, strict=True):
        sizes = np.abs(model - base)
        if not 0 < density < 1:
            kept.append(model if density >= 1 else base)
            continue
        many, top = int(density * sizes.size), int(gamma * sizes.size)
        many = max(1, many) if gamma == 0 else many
        low = max(0, sizes.size - many - top)
        mask |= _class_cut_at(sizes, low) | _class_cut_at(sizes, low + many)
        places = sizes.argsort(axis=None).argsort().reshape(sizes.shape)
        kept.append(np.where((places >= low) & (places < low + many), model, base))
    if elects and not parameters.get("rescale"):
        mask |= undecided([*kept, base], parameters)
    return mask


def border_of_variances(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """elements whose variance is that of the last one selected, up to the rounding of float32"""
    deltas = np.stack(_deltas(inputs)).astype(np.float32).astype(np.float64)
    variances = deltas.var(axis=0)
    kept = int(np.count_nonzero(variances) * parameters["select_topk"])
    if kept == 0:
        return nothing(inputs, parameters)
    border = np.sort(variances, axis=None)[variances.size - kept]
    close: np.ndarray = np.abs(variances - border) <= 16 * _F32 * (deltas**2).max(axis=0)
    return close & (variances > 0)


def sce_absolute(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """tensors whose mean squares add up to less than 1e-6: mergekit weighs all sub-models equally there"""
    total = sum(float(np.mean(delta**2)) for delta in _deltas(inputs))
    return np.full(inputs[0].shape, 0 < total < 1.0001e-6)


def ram_absolute(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """tensors with deltas of up to 1e-5, which mergekit drops and counts as unchanged"""
    tiny = [(delta != 0) & (np.abs(delta) <= 1.0001e-5) for delta in _deltas(inputs)]
    mask = np.logical_or.reduce(tiny)
    # The factors of ramplus_tl come from counts over the whole tensor.
    return mask | (bool(mask.any()) and "r" in parameters)


def stock_absolute(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """vectors with deltas shorter than 1e-3, or so: mergekit divides their dot products by 1e-6"""
    deltas = np.stack(_deltas(inputs))
    if not parameters["filter_wise"]:
        deltas = deltas.reshape(len(deltas), -1)
    lengths = np.sqrt((deltas**2).sum(axis=-1))
    short = np.zeros(lengths.shape[1:], bool)
    for one, other in itertools.combinations(lengths, 2):
        short |= (one * other > 0) & (one * other < 1.0001e-6)
    wide = short[..., None] if parameters["filter_wise"] else short
    return np.broadcast_to(wide, inputs[0].shape).copy()


def nearly_opposite(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """vectors that are opposite to each other up to the rounding of float32, where no arc is the shortest"""
    one, other, *base = inputs
    if base:
        one, other = one - base[0], other - base[0]
    axes: tuple[int, ...] = tuple(range(one.ndim))
    if not parameters.get("nuslerp_flatten", True):
        axes = (0,) if parameters["nuslerp_row_wise"] else (one.ndim - 1,)
    lengths = np.sqrt((one**2).sum(axis=axes, keepdims=True) * (other**2).sum(axis=axes, keepdims=True))
    products = (one * other).sum(axis=axes, keepdims=True)
    opposite = (lengths > 0) & (products <= -(1 - 64 * _F32) * lengths)
    return np.broadcast_to(opposite, inputs[0].shape).copy()


def near_the_fusion_threshold(inputs: Inputs, parameters: Parameters) -> np.ndarray:
    """importances that the rounding of float32 may take over the threshold: all, where the rows are close"""
    model, base = inputs
    rows = model.shape[-1] if model.ndim > 1 else model.size
    p, q = (_softmax(values.reshape(-1, rows)) + 1e-8 for values in (model, base))
    divergence = (p * np.log(p / q)).sum(axis=-1, keepdims=True)
    error = 8 * _F32 * (p * (1 + np.abs(np.log(p / q)))).sum(axis=-1, keepdims=True)
    sizes = np.abs(model - base).reshape(-1, rows)
    low, high = sizes * (divergence - error), sizes * (divergence + error)
    border_low, border_high = _threshold(low, high)
    return ((low < border_high) & (high >= border_low)).reshape(model.shape)


def _threshold(low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    quartiles = []
    for values in (low, high):
        ordered = np.sort(values, axis=None)
        quartiles.append([ordered[int(share * (ordered.size - 1))] for share in (0.25, 0.5, 0.75)])
    (q1, q2, q3), (r1, r2, r3) = quartiles
    return q2 + 1.5 * (q3 - r1), r2 + 1.5 * (r3 - q1)


def _softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return result


def _deltas(inputs: Inputs) -> list[np.ndarray]:
    *models, base = inputs
    return [model - base for model in models]


def _each(value: Any, inputs: Inputs) -> list[float]:
    return list(value) if isinstance(value, list) else [value] * (len(inputs) - 1)


def _class_cut_at(magnitudes: np.ndarray, position: int) -> np.ndarray:
    """The elements as large as those on both sides of a cut in the ascending order, if they are equal."""
    ordered = np.sort(magnitudes, axis=None)
    if not 0 < position < ordered.size or ordered[position - 1] != ordered[position]:
        return np.zeros(magnitudes.shape, bool)
    border: np.ndarray = magnitudes == ordered[position]
    return border & (magnitudes > 0)
