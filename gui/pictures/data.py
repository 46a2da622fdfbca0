"""What the pictures show, computed outside the window's thread. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core import MergePlan, RunRecord, TensorRecord
from core.statistics import (
    LayerMap,
    ResamplingCurve,
    axes_of,
    position_of,
    resampling_curve,
    zero_delta_map,
    zero_delta_share,
)

__all__ = ["Pictures", "empty_pictures", "pictures_of", "pictures_of_record"]


@dataclass(frozen=True)
class Pictures:
    """The numbers behind both pictures, at one moment of a merge.

    Attributes:
        layer_map: the share of zero deltas by layer and module.
        curve: the share on a zero delta after each draw; None before the first tensor.
        share: of zero deltas over everything; None before the first tensor.
        draws: n + 1, where the curve ends; n is the largest of any tensor.
    """

    layer_map: LayerMap
    curve: ResamplingCurve | None
    share: float | None
    draws: int


def empty_pictures(plan: MergePlan) -> Pictures | None:
    """The frame that a merge will fill: every layer and module of `plan`, no numbers.

    None where the method looks at no deltas.
    """
    merged = [
        tensor for tensor in plan.tensors if tensor.job is not None and tensor.job.base_dtype is not None
    ]
    if not merged:
        return None
    layers, modules = axes_of(position_of(tensor.output.name) for tensor in merged if tensor.elements)
    shape = (len(layers), len(modules))
    frame = LayerMap(layers, modules, np.full(shape, np.nan), np.zeros(shape, np.int64), ())
    return Pictures(frame, None, None, plan.resamples[1] + 1)


def pictures_of(frame: Pictures, tensors: Sequence[TensorRecord], *, equal_weights: bool) -> Pictures:
    """`frame` with what the finished `tensors` say."""
    counted = [tensor for tensor in tensors if tensor.zero_delta is not None]
    return replace(
        frame,
        layer_map=_filled(frame.layer_map, zero_delta_map(counted)),
        curve=resampling_curve(counted, equal_weights=equal_weights),
        share=zero_delta_share(counted),
    )


def pictures_of_record(record: RunRecord) -> Pictures | None:
    """The pictures of a finished merge; None where its method looked at no deltas."""
    counted = [tensor for tensor in record.tensors if tensor.zero_delta is not None]
    if not counted or counted[0].zero_after_draw is None:
        return None
    return Pictures(
        layer_map=zero_delta_map(counted),
        curve=resampling_curve(counted, equal_weights=record.weights_are_equal),
        share=zero_delta_share(counted),
        draws=max(len(tensor.zero_after_draw or ()) for tensor in counted),
    )


def _filled(frame: LayerMap, partial: LayerMap) -> LayerMap:
    share, elements = frame.share.copy(), frame.elements.copy()
    if partial.layers and partial.modules:
        row_of = {layer: row for row, layer in enumerate(frame.layers)}
        column_of = {module: column for column, module in enumerate(frame.modules)}
        cells = np.ix_(
            [row_of[layer] for layer in partial.layers], [column_of[module] for module in partial.modules]
        )
        share[cells] = partial.share
        elements[cells] = partial.elements
    return LayerMap(frame.layers, frame.modules, share, elements, partial.outside)
