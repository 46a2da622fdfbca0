"""Student's t distribution, in float64 and without scipy."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

__all__ = ["t_quantile", "two_sided_p"]

_STEPS = 10_000
"""The continued fraction needs about the square root of the degrees of freedom."""


def two_sided_p(t: float, freedom: float) -> float:
    """The chance of a value at least as far from 0 as `t`, with `freedom` > 0 degrees of freedom.

    It is I_x(freedom / 2, 1 / 2), x = freedom / (freedom + t²): Abramowitz and Stegun, 26.7.1 and 26.5.27.
    Within 1e-12 of it, relatively, where it is not below 1e-300.
    """
    if math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0
    square = t * t
    return _incomplete_beta(
        freedom / 2,
        0.5,
        freedom / (freedom + square),
        square / (freedom + square),
        -math.log1p(square / freedom),
    )


@cache
def t_quantile(confidence: float, freedom: float) -> float:
    """The t > 0 that |t| stays below with the chance `confidence`: 2.045 for 0.95 and 29.

    Newton's method on the logarithm of the tail, from the normal distribution's quantile, which lies below.
    """
    tail = 1 - confidence
    t = NormalDist().inv_cdf(1 - tail / 2)
    for _ in range(200):
        p = two_sided_p(t, freedom)
        slope = 2 * math.exp(_log_density(t, freedom)) / p
        step = math.log(p / tail) / slope
        t += step
        if abs(step) <= 1e-15 * t:
            break
    return t


def _log_density(t: float, freedom: float) -> float:
    return (
        _log_gamma_ratio(freedom / 2)
        - 0.5 * math.log(math.pi * freedom)
        - (freedom + 1) / 2 * math.log1p(t * t / freedom)
    )


def _log_gamma_ratio(a: float) -> float:
    """ln(Γ(a + ½) / Γ(a)); for large a by its asymptotic series, as the difference would have few digits."""
    if a < 30:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    inverse = 1 / a
    square = inverse * inverse
    series = inverse * (-1 / 8 + square * (1 / 192 + square * (-1 / 640 + square * 17 / 14336)))
    return 0.5 * math.log(a) + series


def _incomplete_beta(a: float, b: float, x: float, rest: float, log_x: float) -> float:
    """I_x(a, b) for b = ½, with rest = 1 − x and log_x = ln x as the caller knows them exactly."""
    if rest <= 0:
        return 1.0
    front = math.exp(_log_gamma_ratio(a) - 0.5 * math.log(math.pi) + a * log_x + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by the modified method of Lentz.

    Press et al., Numerical Recipes, 3rd edition, section 6.4.
    """
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            value *= c * d
        if abs(c * d - 1) <= 1e-16:
            break
    return value
