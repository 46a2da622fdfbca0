"""What one model makes of one data set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowLosses", "Scores"]


@dataclass(frozen=True)
class RowLosses:
    """Rows that are finished, of a data set of more.

    Attributes:
        rows: [M] their numbers, from 0.
        loss, tokens, text_bytes, correct: [M] as in Scores.
    """

    rows: NDArray[np.int64]
    loss: NDArray[np.float64]
    tokens: NDArray[np.int64]
    text_bytes: NDArray[np.int64]
    correct: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Scores:
    """One model on one data set, by row in the data's order; arrays are [N].

    Attributes:
        name: what to call the model, short.
        path: the model as it was given: a folder, BASE+ADAPTER, a recipe.
        model_digest, data_digest: of their files; "" where nobody made one.
        tokenizer_digest: of the tokens that are scored; "" for classifiers. The losses a token of two models
            for which they are others are not comparable, bits a byte are.
        settings: what the numbers depend on; see Settings.key.
        task: "causal" or "classifier".
        loss: mean over the row's scored tokens, in nats a token; the cross-entropy for classifiers. NaN in
            a row of which nothing is scored.
        tokens: how many that are, 0 where there is nothing to score; 1 for classifiers.
        text_bytes: bytes of the scored text in UTF-8, as the user wrote it.
        correct: whether the class, or the generated answer, is right; None where neither was asked for.
        lines: where the row stands in the file, from 1.
        seconds: what it took.
        max_length: the most tokens of a sample that the model was given at once.
        notes: what was cut or left out, and how exact the numbers are.
        given_bytes: bytes of the text that the model was given, those of a first token that does not count
            among them: two models were given the same where they are equal. None for `text_bytes`.
    """

    name: str
    path: str
    model_digest: str
    data_digest: str
    settings: Mapping[str, Any]
    task: str
    loss: NDArray[np.float64]
    tokens: NDArray[np.int64]
    text_bytes: NDArray[np.int64]
    correct: NDArray[np.bool_] | None
    lines: NDArray[np.int64]
    tokenizer_digest: str
    seconds: float
    max_length: int = 0
    notes: tuple[str, ...] = ()
    given_bytes: NDArray[np.int64] | None = None

    @property
    def loss_unit(self) -> str:
        return "nats a sample" if self.task == "classifier" else "nats a token"

    @property
    def bits_per_byte(self) -> NDArray[np.float64]:
        """[N]: how many bits the row's scored text costs, by its bytes; NaN where nothing is scored.

        The one measure in which models with different tokenizers can be compared: Gao et al., The Pile,
        arXiv:2101.00027, section 3.1. Deviation: by row instead of by document, so that a row's mean counts
        as much as another's. A turn's closing token counts among the bits and has no bytes.
        """
        scored = (self.tokens > 0) & (self.text_bytes > 0)
        bits = np.full(len(self.loss), np.nan)
        np.divide(self.loss * self.tokens, math.log(2) * self.text_bytes, out=bits, where=scored)
        return bits

    @property
    def mean_loss(self) -> float:
        """Over the rows of which something is scored; every row counts as much. NaN where there is none."""
        scored = self.loss[self.tokens > 0]
        return float(scored.mean()) if len(scored) else math.nan

    @property
    def mean_bits_per_byte(self) -> float:
        bits = self.bits_per_byte[(self.tokens > 0) & (self.text_bytes > 0)]
        return float(bits.mean()) if len(bits) else math.nan

    @property
    def accuracy(self) -> float | None:
        """The share of rows that are right."""
        return None if self.correct is None or not len(self.correct) else float(self.correct.mean())
