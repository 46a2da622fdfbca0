"""Small models whose tokenizers differ, and their merges in plain numpy, token by token.

Nothing here uses the engine: rows are found by the text of their tokens in dictionaries, and draws are those
of the design, a second time.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from math import ceil, floor, fsum, log2
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle import key_for
from stored_models import store

__all__ = [
    "BODY",
    "EMBEDDING",
    "HEAD",
    "HEAD_BIAS",
    "HIDDEN",
    "Model",
    "average",
    "select",
    "tokenizer_json",
    "words",
]

HIDDEN = 24
"""So that rows begin anywhere in the blocks of draws."""

EMBEDDING, HEAD, HEAD_BIAS = "model.embed_tokens.weight", "lm_head.weight", "lm_head.bias"
BODY = "model.layers.0.mlp.up_proj.weight"
CONFIG = {"model_type": "llama", "tie_word_embeddings": False, "torch_dtype": "float32"}

Floats = NDArray[np.float32]


@dataclass
class Model:
    """A model on disk, and what is in it.

    Attributes:
        folder: where.
        tokens: the text of each row that is a token's; None for padding.
        tensors: by name, float32.
    """

    folder: Path
    tokens: Sequence[str | None]
    tensors: dict[str, Floats] = field(default_factory=dict)
    _said: tuple[Any, Any] = ({}, {})

    @classmethod
    def make(
        cls,
        folder: Path,
        tokens: Sequence[str | None],
        rows: int | None = None,
        *,
        seed: int,
        near: Model | None = None,
        config: Mapping[str, Any] | None = None,
        names: Sequence[str] = (EMBEDDING, HEAD, HEAD_BIAS),
        special: Sequence[str] = (),
    ) -> Model:
        """A model of so many rows; of the tokens that `near` has too a third of the values are as there."""
        every = [*tokens, *([None] * ((rows or len(tokens)) - len(tokens)))][: rows or len(tokens)]
        random = np.random.default_rng(seed)
        shapes = {name: (len(every),) if name == HEAD_BIAS else (len(every), HIDDEN) for name in names}
        made = cls(folder, every)
        for name, shape in (shapes | {BODY: (40, HIDDEN)}).items():
            values = random.normal(size=shape).astype(np.float32)
            if near is not None:
                kept = random.random(size=shape) < 1 / 3
                for row in range(len(values)):
                    origin = near.row(name, every[row] if name in shapes else None, row)
                    if origin is not None:
                        values[row] = np.where(kept[row], origin, values[row])
            made.tensors[name] = values
        made._said = (
            {**CONFIG, "vocab_size": len(every)} | dict(config or {}),
            tokenizer_json(tokens, special),
        )
        made.save()
        return made

    @cached_property
    def places(self) -> dict[str | None, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    def save(self) -> None:
        """Write it; again, where something was changed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        config, tokenizer = self._said
        tensors = {name: ("F32", values.shape, values.tobytes()) for name, values in self.tensors.items()}
        store(self.folder, tensors, config, tokenizer=tokenizer)

    def row(self, name: str, token: str | None, number: int) -> Any:
        """The values of a token's row, or of a row by its number; None where it has none."""
        if name not in self.tensors:
            return None
        values = self.tensors[name]
        if token is not None:
            number = self.places.get(token, len(values))
        elif name != BODY and (number >= len(self.tokens) or self.tokens[number] is not None):
            return None
        return values[number] if number < len(values) else None


def tokenizer_json(tokens: Sequence[str | None], special: Sequence[str] = ()) -> dict[str, Any]:
    """A tokenizer of whole words; those in angle brackets were added to it."""
    numbered = {token: number for number, token in enumerate(tokens) if token is not None}
    added = [
        {
            **{"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False},
            **{"normalized": False, "special": token in special},
        }
        for token, number in numbered.items()
        if token.startswith("<")
    ]
    trained = {token: number for token, number in numbered.items() if not token.startswith("<")}
    return {
        **{"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None},
        **{"pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None},
        "model": {"type": "WordLevel", "vocab": trained, "unk_token": next(iter(trained))},
    }


def average(rows: Sequence[Any], weights: Sequence[float]) -> Any:
    """The average of the contract in float32 results from float64 sums: ordered, each step rounded."""
    pairs = [(row, weight) for row, weight in zip(rows, weights, strict=True) if weight]
    rows, weights = [row for row, _ in pairs], [weight for _, weight in pairs]
    if len(set(weights)) == 1:
        total = np.zeros_like(rows[0], dtype=np.float64)
        for row in rows:
            total = total + row.astype(np.float64)
        return (total / np.float64(len(rows))).astype(np.float32)
    scale = 2.0 ** -floor(log2(max(abs(weight) for weight in weights)))
    total = np.zeros_like(rows[0], dtype=np.float64)
    for row, weight in zip(rows, weights, strict=True):
        total = total + np.float64(weight * scale) * row.astype(np.float64)
    return (total / np.float64(fsum(weight * scale for weight in weights))).astype(np.float32)


def select(
    rows: Sequence[Any],
    base: Any,
    first: int,
    name: str,
    seed: int,
    resamples: int,
    weights: Sequence[float] | None = None,
) -> tuple[Any, NDArray[np.int64], list[int]]:
    """The draws of the contract among rows that are there; who was drawn, and how many stay after each draw.

    Args:
        rows: of those that have the row. base: the base's, or None where it has none.
        first: the row's first element in the tensor of the result.
        name: under which the tensor draws.
        weights: of those that have the row; equal where all are 0.
    """
    elements = first + np.arange(rows[0].size)
    stacked = np.stack([np.atleast_1d(row) for row in rows])
    changed = np.ones(stacked.shape, bool) if base is None else stacked != np.atleast_1d(base)
    shares = [Fraction(weight) for weight in weights or ()]
    shares = shares if any(shares) else [Fraction(1)] * len(rows)
    limits = [ceil(2**32 * sum(shares[: at + 1]) / sum(shares)) for at in range(len(rows) - 1)]
    chosen = np.zeros(len(elements), np.int64)
    undecided, left = np.ones(len(elements), bool), []
    for draw in range(resamples + 1):
        word = _words_before(1 << int(elements[-1]).bit_length(), draw, key_for(seed, name))[elements]
        drawn = sum((word >= np.uint64(limit) for limit in limits), np.zeros(len(elements), np.int64))
        chosen = np.where(undecided, drawn, chosen)
        undecided = ~changed[chosen, np.arange(len(elements))]
        left.append(int(np.count_nonzero(undecided)))
    return stacked[chosen, np.arange(len(elements))].reshape(np.shape(rows[0])), chosen, left


@lru_cache(maxsize=64)
def _words_before(count: int, draw: int, key: tuple[int, int]) -> NDArray[np.uint64]:
    """Of the elements before `count`: of a whole tensor at once, as rows are many."""
    return words(np.arange(count), draw, key)


def words(elements: NDArray[np.int64], draw: int, key: tuple[int, int]) -> NDArray[np.uint64]:
    """The words of Philox 4x32-10 for elements, as uint64 below 2**32."""
    low = np.uint64(0xFFFFFFFF)
    quad = ((elements >> 12) << 10 | (elements & 1023)).astype(np.uint64)
    lane = (elements >> 10) & 3
    counter = [quad & low, quad >> np.uint64(32), np.full_like(quad, draw), np.zeros_like(quad)]
    keys = [np.uint64(key[0]), np.uint64(key[1])]
    for _ in range(10):
        one, two = np.uint64(0xD2511F53) * counter[0], np.uint64(0xCD9E8D57) * counter[2]
        counter = [
            (two >> np.uint64(32)) ^ counter[1] ^ keys[0],
            two & low,
            (one >> np.uint64(32)) ^ counter[3] ^ keys[1],
            one & low,
        ]
        keys = [(keys[0] + np.uint64(0x9E3779B9)) & low, (keys[1] + np.uint64(0xBB67AE85)) & low]
    return np.choose(lane, counter)


def units_between(one: Any, other: Any) -> Any:
    """How many values of their type lie between two tensors of torch, element by element."""
    import torch

    bits, lowest = (torch.int16, -(2**15)) if one.itemsize == 2 else (torch.int32, -(2**31))
    found = []
    for values in (one, other):
        whole = values.contiguous().view(bits).to(torch.int64)
        found.append(torch.where(whole < 0, lowest - whole, whole))
    return (found[0] - found[1]).abs()
