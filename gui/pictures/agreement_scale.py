"""What the colours of pairs of sub-models mean, and whether what they show is good for a merge."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gui.pictures.scales import Scale, cosine_scale, share_scale, ticks_between
from gui.words import signed_text

__all__ = ["likeness_scale", "likeness_text", "signs_scale"]

Floats = NDArray[np.float64]

_LEAST_SPAN = 0.1
"""Of cosines, between the ends of the scale: pairs that hardly differ look alike."""

_LEAST_POINTS = 10.0
"""Percentage points between the ends of the scale of signs."""

_FINE_MODELS = 12
"""Of so many sub-models a third decimal has room."""

_ALIKE, _PARTLY, _UNRELATED = 0.5, 0.1, -0.1
_FEW_SIGNS, _SOME_SIGNS = 0.1, 0.3


@dataclass(frozen=True)
class _CosineScale(Scale):
    """From near the smallest to near the largest of cosines that are all positive.

    Attributes:
        decimals: of what is written into cells.
    """

    decimals: int = 2

    def text_of(self, value: float) -> str:
        """A cosine as it is written into a cell."""
        return signed_text(value, self.decimals)


def likeness_scale(cosines: Floats) -> Scale:
    """Of cosines of pairs, NaN for none. Near them where all are positive, or else around zero. [K, K]"""
    known = cosines[np.isfinite(cosines)]
    if not known.size or known.min() < 0:
        return cosine_scale(cosines)
    low, high = float(known.min()), float(known.max())
    missing = max(0.0, _LEAST_SPAN - (high - low)) / 2
    low, high = low - missing, high + missing
    step = 0.02 if high - low <= 0.12 else 0.05 if high - low <= 0.3 else 0.1
    high = min(1.0, step * math.ceil(high / step - 1e-9))
    low = max(0.0, min(step * math.floor(low / step + 1e-9), high - _LEAST_SPAN))
    high = max(high, low + _LEAST_SPAN)
    decimals = 3 if len(cosines) <= _FINE_MODELS and high - low < 0.3 else 2
    return _CosineScale(low, high, "viridis", "cosine", ticks_between(low, high), decimals=decimals)


def signs_scale(percent: Floats) -> Scale:
    """Of shares of different signs, in percent."""
    return share_scale(percent, "% of signs differ", least=_LEAST_POINTS)


def likeness_text(cosine: float, differ: float | None) -> str:
    """What a mean cosine, and the share of different signs where there is one, mean for a merge.

    The bounds are rules of thumb: at random, cosines are about 0 and half of the signs differ.
    """
    if cosine >= _ALIKE:
        way = "They went the same way: a merge keeps most"
    elif cosine >= _PARTLY:
        way = "They went partly the same way: a merge keeps what is common"
    elif cosine >= _UNRELATED:
        way = "They are unrelated: an average weakens each, selection keeps parts"
    else:
        way = "They went against each other: a merge cancels part"
    if differ is None:
        return way
    signs = "few" if differ < _FEW_SIGNS else "some" if differ < _SOME_SIGNS else "many"
    return f"{way}; {signs} signs conflict"
