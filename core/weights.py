"""The weights of an average."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum, isfinite

from core.errors import RecipeError

__all__ = ["normalised"]


def normalised(weights: Sequence[float]) -> list[float]:
    """w_i = weight_i / fsum(weights), in float64. Raises RecipeError when that is not finite."""
    try:
        total = fsum(weights)
        shares = [weight / total for weight in weights]
    except (ZeroDivisionError, OverflowError):
        shares = [float("nan")]
    if not all(isfinite(share) for share in shares):
        raise RecipeError(
            f"the weights of the sub-models ({', '.join(f'{weight:g}' for weight in weights)}) "
            "cannot be normalised, because their sum is zero or out of range",
            hint="give weights whose sum is not zero",
        )
    return shares
