"""The task-vector family: sparsify each difference from the base, elect a sign, combine.

Ties: arXiv:2306.01708. Dare: arXiv:2311.03099. Della: arXiv:2406.11617. Breadcrumbs: arXiv:2312.06795.
Selection: arXiv:2410.03743.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from whole_tensor import words_of

from oracles.numbers import (
    Inputs,
    Made,
    converted,
    delta_is_zero,
    draw_words,
    drop_limit,
    elected,
    inputs_of,
    picks,
    positions_from_largest,
    ranks,
    rows_of,
    total,
)

__all__ = ["METHODS", "PRESETS", "parameter_selection", "task_vectors"]

PRESETS: dict[str, dict[str, Any]] = {
    "task_arithmetic": {"sparsify": "none", "elect": "none", "normalize": False, "rescale": False},
    "ties": {"sparsify": "magnitude", "elect": "mass", "normalize": True, "rescale": False},
    "dare_linear": {"sparsify": "random", "elect": "none", "normalize": False, "rescale": True},
    "dare_ties": {"sparsify": "random", "elect": "mass", "normalize": False, "rescale": True},
    "breadcrumbs": {"sparsify": "outliers", "elect": "none", "normalize": False, "rescale": False},
    "breadcrumbs_ties": {"sparsify": "outliers", "elect": "mass", "normalize": False, "rescale": False},
    "della": {"sparsify": "ranked", "elect": "mass", "normalize": True, "rescale": True},
    "della_linear": {"sparsify": "ranked", "elect": "none", "normalize": False, "rescale": True},
}
"""What each method of the field chooses."""


def task_vectors(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    *,
    sparsify: str = "none",
    elect: str = "none",
    combine: str = "sum",
    kind: Any = None,
    **parameters: Any,
) -> Made:
    """base + lambda * (the sparsified differences, those of the elected sign, added, averaged or drawn)."""
    inputs = inputs_of(models, base, dtype, out, kind)
    weight = parameters.setdefault("weight", [1.0] * len(models))
    with np.errstate(all="ignore"):
        sparse = [sparsified(at, delta, sparsify, **parameters) for at, delta in enumerate(inputs.deltas)]
        terms = [one.values for one in sparse]
        if combine != "selection":
            terms = [inputs.kind(factor) * term for factor, term in zip(weight, terms, strict=True)]
        chosen = [np.ones(len(base), bool) for _ in models]
        if elect != "none":
            chosen = elected(terms, elect)
        if combine == "selection":
            plain = elect == "none" and all(one.whole for one in sparse)
            away = [~(one.kept & mine) for one, mine in zip(sparse, chosen, strict=True)]
            drawn = selected(models, base, dtype, out, inputs, terms, away, plain, **parameters)
            words, counts, choices, largest = drawn
        else:
            words, largest = combined(
                inputs, terms, chosen, out, elect != "none", combine == "mean", **parameters
            )
            counts, choices = {}, []
    if sparsify != "none":
        counts["dropped"] = [
            int(((delta != 0) & ~one.kept).sum()) for delta, one in zip(inputs.deltas, sparse, strict=True)
        ]
    if elect != "none":
        counts["elected_against"] = [
            int((one.kept & (one.values != 0) & ~mine).sum())
            for one, mine in zip(sparse, chosen, strict=True)
        ]
    return Made(words, counts, [*choices, *(one.kept for one in sparse), *chosen], largest)


# -- sparsifying ---------------------------------------------------------------------------------------------


class Sparse(NamedTuple):
    """A difference of which a part is kept. `whole`: nothing can have been dropped."""

    kept: np.ndarray
    values: np.ndarray
    whole: bool


def sparsified(
    at: int,
    delta: np.ndarray,
    rule: str,
    *,
    shape: Sequence[int],
    key: tuple[int, int] = (0, 0),
    density: Sequence[float] = (),
    gamma: Sequence[float] = (),
    epsilon: Sequence[float] = (),
    rescale: bool = False,
    rescale_by: str = "norm",
    **others: Any,
) -> Sparse:
    """What is kept of the difference of sub-model `at`, the rest zero."""
    kind, share = delta.dtype.type, density[at] if density else 1.0
    if rule == "none" or share >= 1:
        return Sparse(np.ones(delta.size, bool), delta, True)
    probability = np.full(delta.size, share)
    if share <= 0:
        kept = np.zeros(delta.size, bool)
    elif rule == "magnitude":
        kept = positions_from_largest(np.abs(delta)) < max(1, math.trunc(share * delta.size))
    elif rule == "outliers":
        kept = between(np.abs(delta), share, gamma[at] if gamma else 0.01)
    elif rule == "random":
        kept = draw_words(delta.size, at, key, 2) >= drop_limit(1 - Fraction(share))
    else:
        probability = by_rank(np.abs(delta), shape, share, epsilon[at] if epsilon else 0.15)
        limits = np.ceil(2.0**32 * (1.0 - probability))  # a power of two: exact
        kept = draw_words(delta.size, at, key, 2) >= limits.astype(np.uint64)
    values = np.where(kept, delta, kind(0))
    if rescale and rescale_by == "density":
        values = np.where(kept, delta / probability.astype(kind), kind(0))
    elif rescale:
        before, after = total(np.abs(delta)), total(np.abs(values))
        if math.isfinite(before) and math.isfinite(after) and before >= 1e-7 and after >= 1e-7:
            values = np.where(kept, kind(before / after) * delta, kind(0))
    return Sparse(kept, values, False)


def between(sizes: np.ndarray, density: float, gamma: float) -> np.ndarray:
    """The middle of the order from the smallest on; of equal sizes at an end the first elements."""
    keep, top = math.trunc(density * sizes.size), math.trunc(gamma * sizes.size)
    low = max(0, sizes.size - keep - top)
    order = ranks(sizes)
    end = np.cumsum(np.bincount(order))[order]
    begin = end - np.bincount(order)[order]
    within = np.minimum(end, low + keep) - np.maximum(begin, low)  # as many of its size are kept
    places = np.empty(sizes.size, np.int64)
    places[np.argsort(order, kind="stable")] = np.arange(sizes.size)
    return places - begin < within


def by_rank(sizes: np.ndarray, shape: Sequence[int], density: float, epsilon: float) -> np.ndarray:
    """The probability to be kept, by the rank of the size in its row."""
    rows = rows_of(sizes, shape)
    last = rows.shape[1] - 1
    places = np.empty(rows.shape)
    order = np.argsort(ranks(rows), axis=1, kind="stable")
    np.put_along_axis(places, order, np.arange(last + 1.0)[None], axis=1)
    quantile = places / last if last else np.zeros(rows.shape)
    return ((density - epsilon) + quantile * (2 * epsilon)).reshape(-1)


# -- combining -----------------------------------------------------------------------------------------------


def combined(
    inputs: Inputs,
    terms: list[np.ndarray],
    chosen: list[np.ndarray],
    out: str,
    election: bool,
    mean: bool,
    *,
    weight: Sequence[float],
    **parameters: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """base + lambda * the sum of the chosen terms, or their mean by weight."""
    kind, scale = inputs.kind, parameters.get("lambda", 1.0)
    mix = np.zeros(inputs.base.shape, kind)
    for term, mine in zip(terms, chosen, strict=True):
        mix = np.where(mine, mix + term, mix)
    divisor = np.ones(inputs.base.shape, kind)
    if mean and election:
        divisor = np.zeros(inputs.base.shape, kind)
        for factor, mine in zip(weight, chosen, strict=True):
            divisor = np.where(mine, divisor + kind(factor), divisor)
        divisor = np.where(divisor == 0, kind(1), divisor)
    elif mean:
        exact = math.fsum(weight)
        divisor = divisor * kind(1.0 if abs(exact) < 1e-8 else exact)
    if mean:
        mix = mix / divisor
    if scale != 1:
        mix = kind(scale) * mix
    sizes = [np.abs(scale * term / divisor) for term in terms]
    return words_of(inputs.base + mix, out), np.max([np.abs(inputs.base), *sizes], axis=0)


def selected(
    models: Sequence[np.ndarray],
    base: np.ndarray,
    dtype: str,
    out: str,
    inputs: Inputs,
    values: list[np.ndarray],
    away: list[np.ndarray],
    plain: bool,
    *,
    weight: Sequence[float],
    resamples: int = 4,
    key: tuple[int, int] = (0, 0),
    zero_tolerance: float | None = None,
    **parameters: Any,
) -> tuple[np.ndarray, dict[str, list[int]], list[np.ndarray], np.ndarray]:
    """The difference of one sub-model, drawn again while there is none; what is `away` is none.

    `plain`: nothing can be away.
    """
    scale, everything = parameters.get("lambda", 1.0), np.arange(len(base))
    zero = np.array([delta_is_zero(model, base, dtype, zero_tolerance) for model in models])
    nothing = zero | np.array(away)
    drawn, missing, zero_after_draw = np.zeros(len(base), np.int64), np.ones(len(base), bool), []
    for draw in range(resamples + 1):
        words = draw_words(len(base), draw, key, 0)
        drawn = np.where(missing, picks(words, weight), drawn)
        missing = nothing[drawn, everything]
        zero_after_draw.append(int(missing.sum()))
    bits = np.array([converted(model, dtype, out) for model in models])[drawn, everything]
    mix = np.array(values)[drawn, everything]
    if scale != 1:
        mix = inputs.kind(scale) * mix
    result = bits if plain and scale == 1 else words_of(inputs.base + mix, out)
    result = np.where(missing, bits if plain else converted(base, dtype, out), result)
    counts = {
        "zero_delta": zero.sum(axis=1).tolist(),
        "changed_by": np.bincount((~zero).sum(axis=0), minlength=len(models) + 1).tolist(),
        "zero_after_draw": zero_after_draw,
        "selected": np.bincount(drawn, minlength=len(models)).tolist(),
    }
    return result, counts, [drawn, missing], np.maximum(np.abs(inputs.base), np.abs(mix))


def preset(name: str, *inputs: Any, normalize: bool | None = None, **parameters: Any) -> Made:
    """A method of the field: task vectors with its choices."""
    choices = {"rescale": PRESETS[name]["rescale"], **parameters}
    mean = PRESETS[name]["normalize"] if normalize is None else normalize
    return task_vectors(
        *inputs,
        sparsify=PRESETS[name]["sparsify"],
        elect=PRESETS[name]["elect"],
        combine="mean" if mean else "sum",
        **choices,
    )


def parameter_selection(*inputs: Any, resamples: int = 1, **parameters: Any) -> Made:
    """Task vectors of which nothing is done but drawing."""
    return task_vectors(*inputs, combine="selection", resamples=resamples, **parameters)


METHODS: dict[str, Callable[..., Made]] = {
    "task_vectors": task_vectors,
    "parameter_selection": parameter_selection,
    **{name: partial(preset, name) for name in PRESETS},
}
