"""Where the layers of a result come from that is put together from slices."""

from __future__ import annotations

from dataclasses import dataclass

from core.checkpoint.model import Checkpoint

__all__ = ["LayerOrigin"]


@dataclass(frozen=True)
class LayerOrigin:
    """Where a layer of the result comes from: the first source of its slice.

    Attributes:
        model: that model.
        layer: which of its layers it is.
        stack: how many it has.
    """

    model: Checkpoint
    layer: int
    stack: int
