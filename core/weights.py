"""The weights of averages and of sums, as the arithmetic wants them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, frexp, fsum, inf, isfinite, ldexp

from core.dtypes import DType
from core.errors import RecipeError

__all__ = ["AverageTerms", "average_terms", "in_computing", "shares"]


@dataclass(frozen=True)
class AverageTerms:
    """How an average is computed: acc = +0, acc = acc + v_i * theta_i in order, acc / divisor.

    Attributes:
        models: the sub-models that take part, in order; those of weight 0 are left out.
        factors: v_i of each of these; None where they are added as they are.
        divisor: of their sum; None where it is not divided. Both hold values of the computing type.
    """

    models: tuple[int, ...]
    factors: tuple[float, ...] | None
    divisor: float | None


def average_terms(weights: Sequence[float], normalize: bool, computing: DType) -> AverageTerms:
    """The terms of an average, version 2, in the type `computing` ("F32" or "F64").

    Normalised: equal weights are added as they are and divided by their number. Unequal ones are multiplied
    by the power of two that brings the largest magnitude into [1, 2), and rounded once; the divisor is their
    sum in float64, before that rounding, rounded once. Not normalised: the weights rounded once, and no
    division.

    Raises:
        RecipeError: the sum of normalised weights is 0, or a weight does not fit the computing type.
    """
    if not normalize:
        rounded = [in_computing(weight, computing, "weight") for weight in weights]
        taking_part = tuple(at for at, weight in enumerate(rounded) if weight)
        return AverageTerms(taking_part, tuple(rounded[at] for at in taking_part), None)
    largest = max((abs(weight) for weight in weights), default=0.0)
    if not largest:
        raise _no_sum(weights)
    scale = 1 - frexp(largest)[1]
    scaled = [ldexp(weight, scale) for weight in weights]
    factors = [_rounded(weight, computing) for weight in scaled]
    taking_part = tuple(at for at, factor in enumerate(factors) if factor)
    if len({weights[at] for at in taking_part}) == 1:
        return AverageTerms(taking_part, None, float(len(taking_part)))
    divisor = _rounded(fsum(scaled[at] for at in taking_part), computing)
    if not divisor:
        raise _no_sum(weights)
    return AverageTerms(taking_part, tuple(factors[at] for at in taking_part), divisor)


def in_computing(value: float, computing: DType | None, parameter: str, *, field: str | None = None) -> float:
    """`value` rounded once to the computing type; as it is where that is None.

    Raises:
        RecipeError: it becomes infinite, or 0 from something else.
    """
    rounded = _rounded(value, computing)
    if not isfinite(rounded) or (value and not rounded):
        kind = "too large" if value and rounded else "too small"
        name = "float64" if computing is None or computing.name == "F64" else "float32"
        raise RecipeError(
            f"{parameter} {value:g} is {kind} for {name}, the type in which is computed",
            hint="give a number between 1e-37 and 1e37 in magnitude, or 0",
            field=field or parameter,
        )
    return rounded


def shares(weights: Sequence[float]) -> tuple[float, ...]:
    """w_i / sum of w_i in float64, of weights >= 0 with a sum > 0: how likely each is drawn."""
    try:
        total = fsum(weights)
    except OverflowError:
        return shares([weight / 2**64 for weight in weights])
    return tuple(weight / total for weight in weights)


def _rounded(value: float, computing: DType | None) -> float:
    if computing is None or computing.name == "F64":
        return value
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return copysign(inf, value)


def _no_sum(weights: Sequence[float]) -> RecipeError:
    said = ", ".join(f"{weight:g}" for weight in weights[:8]) + (", …" if len(weights) > 8 else "")
    return RecipeError(
        f"the weights of the sub-models ({said}) cannot be normalised, because their sum is zero",
        hint="give weights whose sum is not zero, or set parameters.normalize to false",
        field="weight",
    )
