"""Tensors of many kinds, as words: for each of them a base and sub-models."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from whole_tensor import fine_tunes, numbers, special, words_of

__all__ = ["DATA", "Tensor", "tensor"]


class Tensor(NamedTuple):
    """A tensor in all models, as words."""

    shape: tuple[int, ...]
    models: list[np.ndarray]
    base: np.ndarray


def _tuned(shape: tuple[int, ...], deltas: float, unchanged: float = 0.0) -> Callable[..., Tensor]:
    """Models whose deltas are about so large, relative to the base's values, and this share of them zero."""

    def make(dtype: str, models: int) -> Tensor:
        elements = int(np.prod(shape))
        *tuned, base = fine_tunes(dtype, elements, models, deltas, seed=11)
        rng = np.random.default_rng(12)
        return Tensor(shape, [np.where(rng.random(elements) < unchanged, base, one) for one in tuned], base)

    return make


def _joined(shape: tuple[int, ...], *makes: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The elements of several, cut to one shape."""

    def make(dtype: str, models: int) -> Tensor:
        parts = [one(dtype, models) for one in makes]
        rows = [[*part.models, part.base] for part in parts]
        *tuned, base = (np.concatenate(some)[: int(np.prod(shape))] for some in zip(*rows, strict=True))
        return Tensor(shape, tuned, base)

    return make


def _special(elements: int, nonfinite: bool) -> Callable[..., Tensor]:
    def make(dtype: str, models: int) -> Tensor:
        *tuned, base = special(dtype, elements, models + 1, nonfinite=nonfinite, seed=13)
        return Tensor((elements,), tuned, base)

    return make


def _with_few_nonfinite(dtype: str, models: int) -> Tensor:
    """Ordinary, but for an infinity in one sub-model, a NaN in another, and one in the base."""
    shape, tuned, base = _tuned((60, 81), 0.1)(dtype, models)
    infinite, unknown = words_of(np.array([-np.inf, np.nan]), dtype)
    tuned[0][7], base[200] = infinite, unknown
    tuned[-1][[90, 4100]] = unknown
    return Tensor(shape, tuned, base)


def _tiny(dtype: str, models: int) -> Tensor:
    """Deltas that come to less than 1e-7 in all."""
    shape, tuned, base = _tuned((25, 200), 0.5)("F32", models)
    exponent = -40 if dtype != "F16" else -25
    return Tensor(
        shape,
        [words_of(np.ldexp(numbers(words, "F32"), exponent), dtype) for words in tuned],
        words_of(np.ldexp(numbers(base, "F32"), exponent), dtype),
    )


def _same(dtype: str, models: int) -> Tensor:
    """All sub-models are one."""
    shape, tuned, base = _tuned((25, 200), 0.5)(dtype, 1)
    return Tensor(shape, tuned * models, base)


def _untouched(dtype: str, models: int) -> Tensor:
    """No sub-model differs from the base, which has zeros of both signs."""
    shape, _, base = _tuned((25, 200), 0.5)(dtype, 1)
    base[:50:2], base[1:50:2] = words_of(np.array([0.0]), dtype), words_of(np.array([-0.0]), dtype)
    return Tensor(shape, [base.copy() for _ in range(models)], base)


def _opposite(*factors: int) -> Callable[..., Tensor]:
    """Deltas in one direction, so many times as long."""

    def make(dtype: str, models: int) -> Tensor:
        rng = np.random.default_rng(14)
        base, delta = rng.integers(1, 5, 5000) / 8, rng.integers(-3, 4, 5000) / 8
        tuned = [base + factor * delta for factor in (factors * models)[:models]]
        return Tensor((50, 100), [words_of(one, dtype) for one in tuned], words_of(base, dtype))

    return make


def _apart(dtype: str, models: int) -> Tensor:
    """Sub-models in directions far apart, the fourth one much shorter."""
    rng = np.random.default_rng(15)
    base, noise = rng.normal(0, 0.05, 5000), rng.normal(0, 0.05, (models, 5000))
    factors = [(1, 0.0), (1, 0.5), (-1, 0.3), (0, 0.002), (0.5, 1)]
    tuned = [along * base + aside * one for (along, aside), one in zip(factors, noise, strict=False)]
    return Tensor((50, 100), [words_of(one, dtype) for one in tuned], words_of(base, dtype))


DATA: dict[str, Callable[[str, int], Tensor]] = {
    "mixed": _joined(
        (37, 250),
        _tuned((4000,), 1.0),
        _tuned((2000,), 0.01),
        _tuned((2250,), 0.01, 0.68),
        _special(1000, nonfinite=False),
    ),
    "ordinary": _joined((37, 250), _tuned((5000,), 1.0), _tuned((1000,), 0.01), _tuned((3250,), 0.5, 0.68)),
    "special": _joined((30, 150), _tuned((1500,), 1.0), _special(3000, nonfinite=True)),
    "few not finite": _with_few_nonfinite,
    "tiny": _tiny,
    "same": _same,
    "untouched": _untouched,
    "opposite": _opposite(1, -1, 0),
    "opposite and longer": _opposite(1, -2, 1),
    "apart": _apart,
    "no dimension": _tuned((), 0.5),
    "one dimension": _tuned((4999,), 0.5, 0.3),
    "rows of one": _tuned((4100, 1), 0.5, 0.3),
    "one row": _tuned((1, 4100), 0.5),
    "long rows": _tuned((2, 4600), 0.5, 0.3),
    "three dimensions": _tuned((5, 7, 130), 0.5, 0.3),
    "chunks": _tuned((40, 1001), 0.5, 0.5),
    "large deltas": _tuned((30, 1000), 1.0),
    "small deltas": _tuned((30, 1000), 0.01),
}
"""Tensors by what is special in them, from a dtype and a number of sub-models."""


@lru_cache(maxsize=32)
def tensor(name: str, dtype: str, models: int) -> Tensor:
    """One of DATA."""
    return DATA[name](dtype, models)
