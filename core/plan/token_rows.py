"""Tensors that have a row for each token, and which of their rows are the same token in every input."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.names import embedding_rows
from core.plan.model_view import Offered

__all__ = ["RowMap", "TokenRows", "may_be_of_tokens", "vocabulary_rows", "without_token_rows"]

_BY_NAME = re.compile(
    r"(?:^|[._])(?:embed_tokens(?:_per_layer)?|wte|embed_in|tok_embeddings|word_embeddings|shared|lm_head|"
    r"embed_out|output_embeddings|generator_lm_head|predictions(?:\.decoder)?|vocab_projector)"
    r"\.(?:weight|bias)$"
)
"""Embeddings, heads, and their biases: they are taken for that where they have a row for each token."""


@dataclass(frozen=True, eq=False)
class RowMap:
    """Which rows of which inputs are the rows of a tensor of one input.

    Attributes:
        own: the number of the input.
        inputs: the number of the input that a row is read from. [rows]
        rows: which row of that; -1 where the input lacks it, -2 for zeros. [rows]
    """

    own: int
    inputs: NDArray[np.int64]
    rows: NDArray[np.int64]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Whether the input has the row, of its own or lent. [rows]"""
        present: NDArray[np.bool_] = self.rows != -1
        return present


@dataclass(frozen=True, eq=False)
class TokenRows:
    """How the rows of the inputs become those of the result.

    Attributes:
        rows: of the result.
        sizes: the rows of each input, the sub-models in order and then the base.
        maps: of each input.
    """

    rows: int
    sizes: tuple[int, ...]
    maps: tuple[RowMap, ...]

    def covers(self, name: str, offered: Mapping[int, Offered]) -> bool:
        """Whether the tensor has a row for each token in all inputs that have it; these by their number."""
        sizes = {at: one.shape[0] if one.shape else 0 for at, one in offered.items()}
        if not sizes or any(size != self.sizes[at] for at, size in sizes.items()):
            return False
        differ = len(set(sizes.values())) > 1
        return (differ or may_be_of_tokens(name)) and all(one.dtype.is_float for one in offered.values())


def may_be_of_tokens(name: str) -> bool:
    """Whether the name of a tensor is one that has a row for each token."""
    return _BY_NAME.search(name) is not None


def vocabulary_rows(shapes: Mapping[str, Sequence[int]]) -> int | None:
    """The rows of a model's input embedding, or of all of them; None where none is known or they differ."""
    found = embedding_rows(shapes)
    return found.pop() if len(found) == 1 else None


def without_token_rows(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes with -1 in the place of the rows of the vocabulary, which may differ between models."""
    rows = vocabulary_rows(shapes)
    return {
        name: (-1, *shape[1:]) if shape[:1] == (rows,) and may_be_of_tokens(name) else shape
        for name, shape in shapes.items()
    }
