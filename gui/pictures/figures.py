"""The figures of a training: which curves of a study each has, and its words. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.study.values import Curve, Study

__all__ = ["FIGURES", "Figure"]


@dataclass(frozen=True)
class Figure:
    """One of the figures that can be chosen.

    Attributes:
        field: of Study.
        name: to choose it by. title: above it. file_name: to save it by.
        x_label, y_label: of the axes; {unit} is that of the study's losses.
        how: how to read it.
        place: what is said of a place on the lower axis.
        relative: whether each curve is drawn minus the mean of the sub-models.
        beside: what the numbers are differences to; "" where they are losses.
        tells_apart: whether it is the one to look at first.
    """

    field: str
    name: str
    title: str
    file_name: str
    x_label: str
    y_label: str
    how: str
    place: str
    relative: bool = False
    beside: str = ""
    tells_apart: bool = False

    def curves(self, study: Study) -> tuple[Curve, ...]:
        """What is drawn of a study; () for nothing."""
        known = tuple(_known(curve) for curve in getattr(study, self.field))
        if self.relative:
            known = _relative(known)
        return known if any(curve.x for curve in known) else ()


FIGURES = (
    Figure(
        "positions",
        "By place, each order",
        "Does a sample's place matter?",
        "positions",
        "place in its own first epoch",
        "loss after training, {unit}",
        "Each order: the mean loss after training of the samples that its first epoch had around a place. "
        "Bands: 95 % intervals of these means.",
        "around place {}",
    ),
    Figure(
        "differences",
        "By place, each order's differences",
        "Does a sample's place matter?",
        "positions-differences",
        "place in its own first epoch",
        "loss minus the orders' mean, {unit}",
        "Each order minus the mean of all orders on the same samples, so that how hard samples are takes no "
        "part. Thick: the mean of the orders, with its 95 % interval.",
        "around place {}",
        beside="the mean of all orders",
        tells_apart=True,
    ),
    Figure(
        "anchor",
        "By place in one order",
        "The same samples in other orders",
        "anchor",
        "place in the first epoch of {anchor}",
        "loss after training, {unit}",
        "Where lines lie on each other, “By place, differences” tells them apart. By the place that the "
        "first epoch of {anchor} had for samples. Lines: it and the merge, with 95 % intervals. ×: the other "
        "sub-models.",
        "around place {}",
    ),
    Figure(
        "anchor",
        "By place, differences",
        "How far do they differ on the same samples?",
        "anchor-differences",
        "place in the first epoch of {anchor}",
        "loss minus the sub-models' mean, {unit}",
        "The same samples for all models, by the place that the first epoch of {anchor} had for them: each "
        "minus the mean of the sub-models, so that how hard samples are takes no part.",
        "around place {}",
        relative=True,
        beside="the mean of the sub-models",
    ),
    Figure(
        "steps",
        "By training step",
        "Single and merged, step by step",
        "steps",
        "training step",
        "validation loss, {unit}",
        "Mean validation loss of what was kept at a step. Band: 95 % interval of the mean over orders.",
        "after {} steps",
    ),
)
"""Figures 1, 3 and 4 of arXiv:2410.03743, and beside the first two of them one of differences. Deviation: the
paper has no bands and no differences. Bands of means over samples are wide where samples are not equally
hard, and then hide what the same samples show."""


def _known(curve: Curve) -> Curve:
    """Without the places at which nothing is known; what is not finite is None in a study that was read."""
    x, mean, low, high = (
        np.array(numbers, np.float64) for numbers in (curve.x, curve.mean, curve.low, curve.high)
    )
    known = np.isfinite(x) & np.isfinite(mean)
    low, high = (np.where(np.isfinite(end), end, mean) for end in (low, high))
    numbers = (tuple(part[known].tolist()) for part in (x, mean, low, high))
    return Curve(curve.label, curve.role, *numbers)


def _relative(curves: Sequence[Curve]) -> tuple[Curve, ...]:
    """Each minus the mean of the sub-models, the anchor among them, at the places that all of them have.

    Without bands: those of the curves are of means over samples, which the differences are not.
    """
    of_models = [dict(zip(one.x, one.mean, strict=True)) for one in curves if one.role != "merge"]
    if len(of_models) < 2:
        return ()
    common = sorted(set.intersection(*(set(one) for one in of_models)))
    level = {x: sum(one[x] for one in of_models) / len(of_models) for x in common}
    result = []
    for curve in curves:
        points = [(x, mean - level[x]) for x, mean in zip(curve.x, curve.mean, strict=True) if x in level]
        means = tuple(mean for _, mean in points)
        result.append(Curve(curve.label, curve.role, tuple(x for x, _ in points), means, means, means))
    return tuple(result)
