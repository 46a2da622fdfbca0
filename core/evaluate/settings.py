"""What an evaluation can be told, and what of that its numbers depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import MergeError
from core.text import nearest, shown

__all__ = ["DTYPES", "MOST_POSITIONS", "WIDENINGS", "Settings"]

DTYPES = ("float32", "bfloat16")
WIDENINGS = ("auto", "whole", "layers")

MOST_POSITIONS = 2048
"""Tokens of a window where nothing else is asked for: what most evaluations of language models take."""

_MATCH = 2
"""One more whenever other answers count as right; the answers themselves are taken over."""

_LIMITS: Mapping[str, tuple[int, int]] = {
    "batch_tokens": (1, 2**24),
    "max_length": (2, 2**24),
    "max_new_tokens": (1, 2**16),
    "limit": (1, 2**31),
    "threads": (1, 1024),
}


@dataclass(frozen=True)
class Settings:
    """How models are evaluated.

    Attributes:
        dtype: what the model computes in: "float32", or "bfloat16", whose numbers differ by what the
            evaluation measures and says.
        batch_tokens: the most tokens of one batch, padding among them; a sample that is longer is a batch
            of its own. None for what suits the device.
        max_length: the most tokens of one sample; None for what the model takes, but no more than
            MOST_POSITIONS.
        device: "auto" for the first card that is there, else the CPU; "cpu", "cuda", "cuda:1", "mps".
        threads: of the CPU; None for torch's own choice.
        widening: how weights that are stored in 16 bits are widened to float32: "whole" when they are
            loaded, "layers" for each layer while it works, which gives the same numbers and needs half the
            memory, or "auto" for layers only where memory lacks.
        chat_prompts: whether a prompt goes through the chat template of models that have one, as a turn of
            the user, and its response as one of the assistant.
        exact_match: whether answers are generated and compared with the responses as well.
        max_new_tokens: of such an answer.
        limit: of the file's rows only so many, from the first; None for all.
        padding_side: "right" or "left", of language models; the numbers are the same.
        work_folder: where recipes and adapters are merged for the time being; None for a folder beside the
            scores.
    """

    dtype: str = "float32"
    batch_tokens: int | None = None
    max_length: int | None = None
    device: str = "auto"
    threads: int | None = None
    widening: str = "auto"
    chat_prompts: bool = True
    exact_match: bool = False
    max_new_tokens: int = 32
    limit: int | None = None
    padding_side: str = "right"
    work_folder: Path | None = None

    def __post_init__(self) -> None:
        """Raises MergeError: a value is none of those that are possible."""
        choices = {"dtype": DTYPES, "widening": WIDENINGS, "padding_side": ("right", "left")}
        for name, possible in choices.items():
            value = getattr(self, name)
            if value not in possible:
                raise MergeError(
                    f"{name} {shown(value)} is not known",
                    hint=nearest(value, possible) or f"one of: {', '.join(possible)}",
                    field=name,
                )
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise MergeError(
                    f"{name} {shown(value)} is out of range",
                    hint=f"choose a number from {least} to {most}",
                    field=name,
                )

    def key(self) -> Mapping[str, Any]:
        """What the numbers depend on: two evaluations with equal keys of the same model and data give the
        same, within 1e-5 in float32.

        In bfloat16 they depend on what computes as well.
        """
        key: dict[str, Any] = {
            "dtype": self.dtype,
            "max_length": self.max_length,
            "chat_prompts": self.chat_prompts,
            "limit": self.limit,
            "exact_match": self.exact_match,
        }
        if self.exact_match:
            key["max_new_tokens"] = self.max_new_tokens
            key["match"] = _MATCH
        if self.dtype != "float32":
            key["device"] = self.device
        return key
