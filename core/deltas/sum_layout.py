"""How the sums of deltas, and their covariances, lie in flat arrays."""

from __future__ import annotations

from functools import lru_cache
from math import prod

import numpy as np

from core.kernels.deltas.sums import MAGNITUDE_BINS

__all__ = ["Layout", "layout_of"]


class Layout:
    """Where each quantity lies in a flat array of all of them, and which pairs have a covariance.

    Both arrays begin with those of the layout without details and draws.

    Attributes:
        places: of each quantity, where it lies and its shape. size: of the array.
        pairs: the same for the array of covariances.
        left, right: of each covariance, where its two quantities lie.
    """

    def __init__(self, models: int, details: bool, draws: int) -> None:
        square = (models, models)
        shapes: dict[str, tuple[int, ...]] = {
            "nonfinite": (models + 1,),
            "zero_delta": (models,),
            "changed_by": (models + 1,),
            "unchanged_powers": (draws,),
        }
        if details:
            shapes |= {
                "left_out": (models,),
                "magnitudes": (models,),
                "squares": (models + 1,),  # the base last
                "dots": square,
                "both_changed": square,
                "signs_differ": square,
                "histogram": (models, MAGNITUDE_BINS),
            }
        self.places: dict[str, tuple[slice, tuple[int, ...]]] = {}
        self.size = 0
        for name, shape in shapes.items():
            self.places[name] = slice(self.size, self.size + prod(shape)), shape
            self.size += prod(shape)
        at = {
            name: np.arange(self.size)[place].reshape(shape) for name, (place, shape) in self.places.items()
        }
        pairs = {
            "zero_delta": (at["zero_delta"], at["zero_delta"]),
            "changed_by": np.meshgrid(at["changed_by"], at["changed_by"], indexing="ij"),
            "unchanged_powers": (at["unchanged_powers"], at["unchanged_powers"]),
        }
        if details:
            for name in ("left_out", "magnitudes", "dots", "both_changed", "signs_differ"):
                pairs[name] = at[name], at[name]
            pairs["magnitudes, left_out"] = at["magnitudes"], at["left_out"]
            pairs["signs_differ, both_changed"] = at["signs_differ"], at["both_changed"]
            pairs["squares"] = np.meshgrid(at["squares"], at["squares"], indexing="ij")
            rows = np.broadcast_to(at["squares"][:models, None], square)
            pairs["dots, squares"] = at["dots"], rows  # of τ_i τ_j with τ_i²
        self.pairs: dict[str, tuple[slice, tuple[int, ...]]] = {}
        start = 0
        for name, (left, _) in pairs.items():
            self.pairs[name] = slice(start, start + left.size), left.shape
            start += left.size
        self.left = np.concatenate([left.ravel() for left, _ in pairs.values()])
        self.right = np.concatenate([right.ravel() for _, right in pairs.values()])


layout_of = lru_cache(Layout)
"""The layout for K models, with or without details, and so many draws."""
