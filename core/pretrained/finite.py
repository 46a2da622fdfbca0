"""Whether the weights of a model in memory are numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["NonFinite", "first_non_finite"]


@dataclass(frozen=True)
class NonFinite:
    """A tensor that holds values which are no finite numbers.

    Attributes:
        tensor: its name in the model.
        values: how many are NaN or infinite.
        elements: how many it has in all.
    """

    tensor: str
    values: int
    elements: int

    @property
    def what(self) -> str:
        """ "3 of the 4,096 values of model.norm.weight are NaN or infinite"."""
        are = "is" if self.values == 1 else "are"
        return f"{self.values:,} of the {self.elements:,} values of {self.tensor} {are} NaN or infinite"


def first_non_finite(model: Any) -> NonFinite | None:
    """The first of the model's parameters that is not all finite; None where all are.

    Args:
        model: of torch, on any device. Its buffers are left alone: a mask may well be infinite.
    """
    import torch

    for name, tensor in model.named_parameters():
        count = tensor.numel() - int(torch.isfinite(tensor).sum())
        if count:
            return NonFinite(name, count, tensor.numel())
    return None
