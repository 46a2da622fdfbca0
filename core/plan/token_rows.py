"""Tensors that have a row for each token, and which of their rows are the same token in every input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.checkpoint.names import embedding_rows, layer_of
from core.plan.model_view import Offered

__all__ = ["RowMap", "TokenRows", "are_telling", "may_be_of_tokens", "vocabulary_rows", "without_token_rows"]

_BY_NAME = re.compile(
    r"(?:^|[._])(?:embed_tokens(?:_per_layer)?|wte|embed_in|tok_embeddings|(?:word|token)_embeddings?|shared|"
    r"lm_head(?:\.(?:decoder|linear|out_proj))?|embed_out|output_embeddings|generator_lm_head|"
    r"predictions(?:\.decoder)?|vocab_projector|lm_loss|pred_layer\.proj|output_projection|"
    r"shared_head\.head)\.(?:weight|bias)$"
)
"""Embeddings, heads, and their biases: they are taken for that where they have a row for each token."""

_EMBEDDING = re.compile(r"(?:emb|wte|tok)[^.]*\.weight$")
_OF_PLACES = re.compile(r"pos(?:ition)?s?_?emb|positions?\b|wpe|type|segment", re.IGNORECASE)
"""What is as long as a text, or has a row a kind of segment, and not a row a token."""

_OF_THE_FIRST = re.compile(r"(?:^|\.)embed_tokens_per_layer\.weight$")
"""What may have a row for the first tokens alone."""


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
        is_telling: whether nothing but tokens is as many as these rows, so that their number alone says what
            a tensor outside of the layers is.
    """

    rows: int
    sizes: tuple[int, ...]
    maps: tuple[RowMap, ...]
    is_telling: bool = False

    def covers(self, name: str, offered: Mapping[int, Offered]) -> bool:
        """Whether the tensor has a row for each token in all inputs that have it; these by their number."""
        sizes = {at: one.shape[0] if one.shape else 0 for at, one in offered.items()}
        if not sizes or any(size != self.sizes[at] for at, size in sizes.items()):
            return False
        differ = len(set(sizes.values())) > 1
        told = self.is_telling and layer_of(name) is None and not _OF_PLACES.search(name)
        return (differ or told or may_be_of_tokens(name)) and all(
            one.dtype.is_float for one in offered.values()
        )

    def misplaces(self, name: str, offered: Mapping[int, Offered]) -> bool:
        """Whether it says something of tokens otherwise than in a row for each, and these move.

        The biases of BART's heads lie in one row, and Gemma 3n has a second embedding of the first tokens
        alone.
        """
        shapes = {at: one.shape for at, one in offered.items()}
        if all(len(shape) == 2 and shape[0] == 1 for shape in shapes.values()):
            if any(shape[1] != self.sizes[at] for at, shape in shapes.items()):
                return False
            first = self.rows
        elif _OF_THE_FIRST.search(name) and len(set(shapes.values())) == 1:
            first = next(iter(shapes.values()))[0]
        else:
            return False
        numbers = np.arange(first)
        return any(
            len(self.maps[at].rows) < first
            or not np.array_equal(self.maps[at].rows[:first], numbers)
            or (self.maps[at].inputs[:first] != at).any()
            for at in shapes
        )


def may_be_of_tokens(name: str) -> bool:
    """Whether the name of a tensor is one that has a row for each token."""
    return _BY_NAME.search(name) is not None


def vocabulary_rows(shapes: Mapping[str, Sequence[int]], config: Mapping[str, Any] | None) -> int | None:
    """The rows of a model's input embedding; None where none is known.

    Of several that differ, as models with a vocabulary of sounds have, it is that of which the config speaks,
    or the largest. One with a name that is not known has the config's number of rows.
    """
    found = embedding_rows(shapes)
    if len(found) == 1:
        return found.pop()
    said = set(_sizes(config or {}))
    if not found:
        named = ((name, shape) for name, shape in shapes.items() if len(shape) == 2 and shape[0] in said)
        found = {shape[0] for name, shape in named if _EMBEDDING.search(name) and not _OF_PLACES.search(name)}
    return max(found & said or found, default=None)


def are_telling(shapes: Mapping[str, Sequence[int]], rows: int) -> bool:
    """Whether a model has nothing else of that size: its width, or that of a layer."""
    return not any(rows in shape[1:] for shape in shapes.values() if shape[:1] != (1,))


def without_token_rows(
    shapes: dict[str, tuple[int, ...]], config: Mapping[str, Any] | None
) -> dict[str, tuple[int, ...]]:
    """The shapes with -1 in the place of the rows of the vocabulary, which may differ between models."""
    rows = vocabulary_rows(shapes, config)
    return {
        name: (-1, *shape[1:]) if shape[:1] == (rows,) and may_be_of_tokens(name) else shape
        for name, shape in shapes.items()
    }


def _sizes(config: Mapping[str, Any]) -> Iterator[int]:
    """Every `vocab_size` of a config and of those within it."""
    for key, value in config.items():
        if key == "vocab_size" and type(value) is int:
            yield value
        elif isinstance(value, dict):
            yield from _sizes(value)
