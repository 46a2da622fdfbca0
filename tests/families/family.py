"""A family of models of transformers, tiny, and what its forward takes.

A family is the auto class that people load it with, a config so small that a model is built in milliseconds,
and inputs. Nothing here knows what its tensors are called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers

__all__ = [
    "IMAGE",
    "VOCABULARY",
    "Family",
    "both",
    "image",
    "image_in_text",
    "pair",
    "patches_in_text",
    "spectrogram",
    "speech",
    "text",
    "tiles_in_text",
    "wave",
]

VOCABULARY, IMAGE = 67, 32

Inputs = Callable[[], dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        model_type: as its config.json says it.
        auto: the auto class that loads it.
        config: what differs from its config's defaults.
        inputs: what its forward takes.
    """

    model_type: str
    auto: str
    config: Mapping[str, Any]
    inputs: Inputs

    def new(self) -> Any:
        """A model with random weights, in float32."""
        config = transformers.AutoConfig.for_model(self.model_type, **self.config)
        return getattr(transformers, self.auto).from_config(config, attn_implementation="eager")

    def load(self, folder: Any, dtype: torch.dtype) -> tuple[Any, dict[str, Any]]:
        """The model in `folder`, as people load it, and what transformers says of its tensors."""
        return getattr(transformers, self.auto).from_pretrained(
            folder, dtype=dtype, output_loading_info=True, attn_implementation="eager", local_files_only=True
        )

    def run(self, model: Any) -> list[torch.Tensor]:
        """What the model computes in floating point, of the same inputs each time; nothing is dropped out."""
        found = model.eval()(**self.inputs())
        return [
            value for value in found.values() if torch.is_tensor(value) and torch.is_floating_point(value)
        ]


def _ids(length: int = 7, rows: int = 2) -> torch.Tensor:
    return 10 + torch.arange(length * rows).reshape(rows, length) * 5 % 50


def _ramp(*shape: int) -> torch.Tensor:
    return torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape)


def text() -> dict[str, torch.Tensor]:
    return {"input_ids": _ids()}


def pair() -> dict[str, torch.Tensor]:
    return {"input_ids": _ids(), "decoder_input_ids": _ids(5)}


def image() -> dict[str, torch.Tensor]:
    return {"pixel_values": _ramp(2, 3, IMAGE, IMAGE)}


def both() -> dict[str, torch.Tensor]:
    return {**text(), **image()}


def wave() -> dict[str, torch.Tensor]:
    return {"input_values": torch.sin(torch.arange(800.0) / 7).reshape(1, 800)}


def spectrogram() -> dict[str, torch.Tensor]:
    return {"input_values": _ramp(2, 32, 16)}


def speech(*shape: int) -> Inputs:
    return lambda: {"input_features": _ramp(2, *shape), "decoder_input_ids": _ids(5)}


def image_in_text(before: int, places: int, **more: torch.Tensor) -> Inputs:
    """An image's `places`, token 5, in a text, behind `before` tokens."""
    ids = torch.tensor([[1] * before + [5] * places + [9, 10]])
    return lambda: {"input_ids": ids, "pixel_values": _ramp(1, 3, IMAGE, IMAGE), **more}


def patches_in_text() -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.tensor([[7, 5, 5, 5, 5, 8, 9]]),
        "mm_token_type_ids": torch.tensor([[0, 1, 1, 1, 1, 0, 0]]),
        "pixel_values": _ramp(16, 96),
        "image_grid_thw": torch.tensor([[1, 4, 4]]),
    }


def tiles_in_text() -> dict[str, torch.Tensor]:
    return {"input_ids": torch.tensor([[1, 5, 5, 5, 5, 9]]), "pixel_values": _ramp(1, 1, 3, IMAGE, IMAGE)}
