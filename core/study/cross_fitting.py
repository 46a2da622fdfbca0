"""Choosing on one half of the validation rows, and measuring on the other.

What is chosen on samples looks better on them than it is. So everything that a study chooses (a λ, the
members of a soup) is chosen twice, on each half alone, and each half is measured with what the other has
chosen. The losses of such a row are of all samples, as those of every other row, and none of them took part
in the choice of what it is measured with. Where both halves choose alike, it is the row of that one model.

Deviation from Wortsman et al. (arXiv:2203.05482), who choose on a validation set and measure on a test set:
both halves take both parts (cross-fitting), so that the rows of a table are of the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Halves", "chosen_by_halves", "greedy_soup", "measured_by_other_half"]

Floats = NDArray[np.float64]
Halves = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Which samples each half has. [N] each; every sample is in one."""

_Choice = TypeVar("_Choice")
_Value = TypeVar("_Value", bound=np.generic)


def chosen_by_halves(losses: Mapping[_Choice, Floats], halves: Halves) -> tuple[_Choice, _Choice]:
    """What has the least mean loss on each half; of equals the first.

    Args:
        losses: of each candidate, by sample. [N] each
        halves: of the samples.
    """
    first, second = (min(losses, key=lambda one: float(losses[one][half].mean())) for half in halves)
    return first, second


def measured_by_other_half(
    values: tuple[NDArray[_Value], NDArray[_Value]], halves: Halves
) -> NDArray[_Value]:
    """The values of each half's samples, of what the other half has chosen. [N]

    Args:
        values: of what the first half chose, and of what the second did, by sample. [N] each
        halves: of the samples.
    """
    return np.where(halves[0], values[1], values[0])


def greedy_soup(
    losses: Sequence[Floats], loss_of: Callable[[tuple[int, ...]], Floats], half: NDArray[np.bool_]
) -> tuple[int, ...]:
    """The members of a greedy soup, chosen on one half of the samples; numbers in ascending order.

    The models are taken in the order of their loss, least first; one stays if the average of those that
    stayed and it has no larger loss than without it. Source: Wortsman et al., arXiv:2203.05482, recipe 1.
    Deviation: by loss in the place of accuracy, which few samples tell apart.

    Args:
        losses: of each model alone, by sample. K of [N]
        loss_of: the losses of the average of two models or more, by their numbers in ascending order.
        half: which samples count.
    """

    def mean(of: Floats) -> float:
        return float(of[half].mean())

    order = sorted(range(len(losses)), key=lambda one: mean(losses[one]))
    soup: tuple[int, ...] = (order[0],)
    least = mean(losses[order[0]])
    for one in order[1:]:
        tried = tuple(sorted((*soup, one)))
        loss = mean(loss_of(tried))
        if loss <= least:
            soup, least = tried, loss
    return soup
