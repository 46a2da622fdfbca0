"""What is advised on n: read off the share of parameters that is expected to be left on a zero delta."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.deltas.measures import flattens_at
from core.units import share_text

__all__ = ["advice_on_n"]


def advice_on_n(left: NDArray[np.float64]) -> str:
    """A sentence or two on where the curve of arXiv:2410.03743, equation (3), levels off.

    Args:
        left: the share on a zero delta with n = 0, 1, … resamples. [draws]

    Returns "" where the curve is not known.
    """
    if not len(left) or not np.isfinite(left).all():
        return ""
    first, last, most = share_text(float(left[0])), share_text(float(left[-1])), len(left) - 1
    flat = flattens_at(left)
    if flat == 0:
        return f"{first} whatever n is: already the first resample moves less than 0.5 % of the parameters."
    if flat is None:
        return f"{first} with n = 0, {last} with n = {most}, and each resample still moves more than 0.5 %."
    at = share_text(float(left[flat]))
    return (
        f"{first} with n = 0, {at} with n = {flat}, {last} with n = {most}. "
        f"From n = {flat} on, each resample moves less than 0.5 %."
    )
