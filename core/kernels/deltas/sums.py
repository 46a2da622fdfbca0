"""What is measured of the deltas of one chunk, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LOWEST_EXPONENT", "MAGNITUDE_BINS", "DeltaSums"]

MAGNITUDE_BINS = 64
"""Bins of the histogram of |τ|."""

LOWEST_EXPONENT = -48
"""Bin b holds floor(log2 |τ|) = b + LOWEST_EXPONENT, the ends what lies beyond them too: the numbers of
float16 all have bins of their own, and the steps of float32 down to values of 1e-7."""

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class DeltaSums:
    """What one chunk holds. Counts are exact; the rest are sums in float64.

    With θ_i and θ_pre converted as in docs/design.md, 2.1, τ_i = θ_i − θ_pre is rounded once to the computing
    type: float64 for F64, float32 for all others. Where it is not finite, because θ_i or θ_pre is not or
    their difference overflows, the element is left out of all that follows `left_out`, as if τ_i were 0.

    With a zero_tolerance, `zero_delta`, `changed_by` and `unchanged_powers` are those of a merge with it:
    deltas up to it count as zero. All that follows `left_out` is of τ_i itself, so that both_changed[i, i]
    and the histogram hold deltas that the tolerance makes zeros.

    A sum of N products or magnitudes errs by at most N 2**-53 of the sum of their absolute values: they
    are exact themselves unless the type is F64, whose products overflow beyond 1e154.

    Attributes:
        elements: of the chunk.
        nonfinite: [K+1] NaN and infinite elements of each input as stored, the base last.
        zero_delta: [K] elements of each sub-model with zero delta.
        changed_by: [K+1] elements that exactly m sub-models changed, m = 0..K.
        unchanged_powers: [draws] the sum of u**(d+1), d = 0.., where u is the share of the weights that
            belongs to the sub-models that did not change the element; [0] where it was not asked for.
        left_out: [K] elements with a delta that is not finite.
        magnitudes: [K] the sum of |τ_i|.
        largest: [K] the largest |τ_i|.
        histogram: [K, 64] deltas that are not zero by floor(log2 |τ_i|); see LOWEST_EXPONENT.
        products: [K+1, K+1] the sums of τ_i τ_j, and in the last row and column of τ_i θ_pre and θ_pre²
            (where θ_pre is finite).
        both_changed: [K, K] elements that sub-models i and j both changed.
        signs_differ: [K, K] those of them in which τ_i and τ_j have different signs.
        From `left_out` on they are None where only counts were asked for.
    """

    elements: int
    nonfinite: Array
    zero_delta: Array
    changed_by: Array
    unchanged_powers: Array
    left_out: Array | None = None
    magnitudes: Array | None = None
    largest: Array | None = None
    histogram: Array | None = None
    products: Array | None = None
    both_changed: Array | None = None
    signs_differ: Array | None = None

    @property
    def squares(self) -> Array:
        """The sums of τ_i² and, last, of θ_pre². [K+1]"""
        assert self.products is not None
        return np.diagonal(self.products)

    @property
    def dots(self) -> Array:
        """The sums of τ_i τ_j. [K, K]"""
        assert self.products is not None
        return self.products[:-1, :-1]
