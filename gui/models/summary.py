"""What the headers of a model say, for the list of models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gui.failure import Failure

__all__ = [
    "ModelSummary",
]


@dataclass(frozen=True)
class ModelSummary:
    """What the headers of a model say.

    Attributes:
        folder: where it is.
        name: how it is called.
        parameters: elements of all tensors.
        dtypes: its floating-point types, the one with the most bytes first.
        size_bytes: of its weights.
        problem: why it is no model; the numbers are zero then.
    """

    folder: Path
    name: str
    parameters: int = 0
    dtypes: tuple[str, ...] = ()
    size_bytes: int = 0
    problem: Failure | None = None
