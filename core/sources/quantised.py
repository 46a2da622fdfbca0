"""Checkpoints that are quantised: what of them can be read as numbers, and what is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.checkpoint.model import Checkpoint
from core.sources.source import Source

__all__ = ["QUANTISATION_FILES", "Unpacked", "read_quantised", "without_quantisation"]

QUANTISATION_FILES = (
    "hf_quant_config.json",
    "quant_config.json",
    "quantization_config.json",
    "quantize_config.json",
)
"""Files beside the weights that say how they are quantised, which the result is not."""


@dataclass(frozen=True)
class Unpacked:
    """How a checkpoint that is quantised is read; all empty for one that is not.

    Attributes:
        sources: what delivers the tensors that are dequantised, by name, in BF16.
        shapes: of those tensors whose shape is not that of what is stored.
        left_out: tensors that are no weights, and what they are ("scale of model.layers.0.mlp.up.weight").
        notes: sentences for the plan's warnings.
    """

    sources: Mapping[str, Source] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_quantised(checkpoint: Checkpoint) -> Unpacked:
    """How the weights of `checkpoint` are to be read, by its headers and its configs alone.

    Raises:
        CheckpointError: it is quantised in a way that cannot be read as numbers.
    """
    return Unpacked()


def without_quantisation(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config.json that does not say any more that the weights are quantised, nor do the parts of it."""
    return dict(config)
