"""What the counts of a merge say: shares, maps over layers and modules, expected curves.

Everything here is sums of counts; shares are formed last, so that roll-ups are exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.names import layer_of

__all__ = [
    "DeltaCounts",
    "LayerMap",
    "Position",
    "ResamplingCurve",
    "axes_of",
    "expected_on_zero_delta",
    "layer_number",
    "position_of",
    "resampling_curve",
    "stays_on_zero_delta",
    "zero_delta_map",
    "zero_delta_share",
]

_EXPERT = re.compile(r"\bexperts\.\d+\b")
_ORDER = re.compile(
    r"(?P<q>q_proj|query)|(?P<k>k_proj|key)|(?P<v>v_proj|value)|(?P<o>o_proj|out_proj)|(?P<attention>attn|attention)"
    r"|(?P<gate>gate|w1)|(?P<up>up_proj|w3|fc1)|(?P<down>down_proj|w2|fc2)|(?P<mlp>mlp|experts|feed_forward)"
)

Floats = NDArray[np.float64]


class DeltaCounts(Protocol):
    """What a TensorRecord and a TensorInspection have in common."""

    @property
    def name(self) -> str: ...
    @property
    def elements(self) -> int: ...
    @property
    def zero_delta(self) -> tuple[int, ...] | None: ...
    @property
    def changed_by(self) -> tuple[int, ...] | None: ...


class DrawCounts(DeltaCounts, Protocol):
    """Counts of a merge that drew."""

    @property
    def zero_after_draw(self) -> tuple[int, ...] | None: ...


@dataclass(frozen=True)
class Position:
    """Where a tensor is in the network: its layer (None outside the layers), and what it is there."""

    layer: int | None
    module: str


@dataclass(frozen=True)
class LayerMap:
    """Shares by layer and kind of module.

    Attributes:
        layers: the row labels. [L]
        modules: the column labels. [M]
        share: between 0 and 1; NaN where a layer has no such module. [L, M]
        elements: parameters behind each cell; 0 where there is none. [L, M]
        outside: (module, share) of the tensors outside the layers.
    """

    layers: tuple[int, ...]
    modules: tuple[str, ...]
    share: Floats
    elements: NDArray[np.int64]
    outside: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class ResamplingCurve:
    """The share of parameters on a zero delta after each draw.

    Attributes:
        observed: after draw 0..n; n is the largest of any tensor. [n+1]
        expected: what `changed_by` predicts; None where the weights were not equal. [n+1]
    """

    observed: tuple[float, ...]
    expected: tuple[float, ...] | None


def position_of(name: str) -> Position:
    """The layer and module of the tensor `name`: "model.layers.3.mlp.up_proj.weight" is (3, "mlp.up_proj").

    The experts of a layer are one module. Names of another form are kept as they are, outside the layers.
    """
    found = layer_of(name)
    if found is None:
        return Position(None, name.removesuffix(".weight").removeprefix("model."))
    _, layer, rest = found
    return Position(layer, _EXPERT.sub("experts", rest.removesuffix(".weight")))


def layer_number(name: str) -> int | None:
    """The layer of the tensor `name`; None outside the layers."""
    return position_of(name).layer


def axes_of(positions: Iterable[Position]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The layers and modules of a map: attention first, in the order of the computation, norms last."""
    inside = [position for position in positions if position.layer is not None]
    layers = sorted({position.layer for position in inside if position.layer is not None})
    modules = sorted(dict.fromkeys(position.module for position in inside), key=_rank)
    return tuple(layers), tuple(modules)


def _rank(module: str) -> int:
    if "norm" in module or "ln_" in module:
        return 99
    found = _ORDER.search(module.rpartition(".")[2]) or _ORDER.search(module)
    return list(_ORDER.groupindex).index(found.lastgroup) if found and found.lastgroup else 50


def zero_delta_share(tensors: Iterable[DeltaCounts], model: int | None = None) -> float | None:
    """The share of zero deltas: of one sub-model, or over all of them; None where nothing was counted."""
    zero = total = 0
    for tensor in tensors:
        if tensor.zero_delta is not None:
            counted = tensor.zero_delta if model is None else (tensor.zero_delta[model],)
            zero += sum(counted)
            total += tensor.elements * len(counted)
    return zero / total if total else None


def zero_delta_map(tensors: Iterable[DeltaCounts], model: int | None = None) -> LayerMap:
    """The share of zero deltas by layer and module: of one sub-model, or over all of them."""
    groups: dict[Position, list[DeltaCounts]] = {}
    for tensor in tensors:
        if tensor.zero_delta is not None and tensor.elements:
            groups.setdefault(position_of(tensor.name), []).append(tensor)
    layers, modules = axes_of(groups)
    row_of = {layer: row for row, layer in enumerate(layers)}
    column_of = {module: column for column, module in enumerate(modules)}
    share = np.full((len(layers), len(modules)), np.nan)
    elements = np.zeros(share.shape, np.int64)
    outside = []
    for position, group in groups.items():
        value = zero_delta_share(group, model)
        if value is None:
            continue
        if position.layer is None:
            outside.append((position.module, value))
        else:
            cell = row_of[position.layer], column_of[position.module]
            share[cell] = value
            elements[cell] = sum(tensor.elements for tensor in group)
    return LayerMap(layers, modules, share, elements, tuple(outside))


def expected_on_zero_delta(changed_by: Sequence[int], draws: int) -> Floats:
    """Expected elements on a zero delta after each of `draws` draws, for equal weights. [draws]

    After draw d: sum over m of H_m (1 - m/K)^(d+1), with H = `changed_by`, m = 0..K.
    """
    result: Floats = stays_on_zero_delta(len(changed_by) - 1, draws) @ np.asarray(changed_by, np.float64)
    return result


def stays_on_zero_delta(models: int, draws: int) -> Floats:
    """The chance to be on a zero delta after draw d, changed by m sub-models. [draws, models + 1]

    (1 - m/K)^(d+1) with K = `models`, for equal weights.
    """
    stays = 1.0 - np.arange(models + 1) / models
    powers: Floats = stays[None, :] ** np.arange(1, draws + 1)[:, None]
    return powers


def resampling_curve(tensors: Iterable[DrawCounts], *, equal_weights: bool) -> ResamplingCurve | None:
    """The share of parameters on a zero delta after each draw, over `tensors`; None where none was drawn.

    A tensor that has fewer draws than others stays as it is after its last one.

    Args:
        tensors: the tensors of a merge; those that were not drawn are passed over.
        equal_weights: whether every sub-model was as likely as any other, in every tensor.
    """
    observed: dict[int, NDArray[np.int64]] = {}  # by the number of draws
    overlap: dict[int, NDArray[np.int64]] = {}
    elements = 0
    for tensor in tensors:
        if tensor.zero_after_draw is None or tensor.changed_by is None:
            continue
        left, changed = np.array(tensor.zero_after_draw, np.int64), np.array(tensor.changed_by, np.int64)
        draws = len(left)
        observed[draws] = observed[draws] + left if draws in observed else left
        overlap[draws] = overlap[draws] + changed if draws in overlap else changed
        elements += tensor.elements
    if not elements:
        return None
    most = max(observed)
    expected = {draws: expected_on_zero_delta(counts.tolist(), draws) for draws, counts in overlap.items()}
    return ResamplingCurve(
        _share_of(observed.values(), most, elements),
        _share_of(expected.values(), most, elements) if equal_weights else None,
    )


def _share_of(counts: Iterable[NDArray[Any]], draws: int, elements: int) -> tuple[float, ...]:
    """The sum of `counts`, each going on with its last value to `draws` draws, as shares of `elements`."""
    padded = [np.pad(count, (0, draws - len(count)), mode="edge") for count in counts]
    return tuple((np.sum(padded, axis=0) / elements).tolist())
