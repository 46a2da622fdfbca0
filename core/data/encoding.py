"""Rows as tokens: what a model reads, and which of it counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.data.rows import DataSet, Row
from core.errors import DataError

__all__ = ["Encoded", "Sample", "encode"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One sequence that a model reads.

    Attributes:
        row: its number in `DataSet.rows`. Several samples of one row are its windows, in order.
        ids: tokens. [T]
        scored: whether a token counts, predicted from those before it; the first never does. [T]
        label: the number of its class; None for language models.
        text_bytes: UTF-8 bytes of the text that counts.
    """

    row: int
    ids: NDArray[np.int32]
    scored: NDArray[np.bool_]
    label: int | None
    text_bytes: int


@dataclass(frozen=True)
class Encoded:
    """A data set as tokens.

    Attributes:
        notes: sentences on what was cut or left out.
        max_length: the most tokens of a sample.
    """

    samples: tuple[Sample, ...]
    notes: tuple[str, ...]
    max_length: int


def encode(
    data: DataSet, tokenizer: Any, *, max_length: int, task: str, labels: Sequence[str] | None = None
) -> Encoded:
    """The rows of `data` as tokens of `tokenizer`.

    Args:
        data: of any kind that fits the task.
        tokenizer: of transformers.
        max_length: the most tokens that the model takes.
        task: "causal" or "classifier".
        labels: a classifier's names of its classes, in their order.

    Raises:
        DataError: the data do not fit the task or the tokenizer.
    """
    samples: list[Sample] = []
    for number, row in enumerate(data.rows):
        if task == "classifier":
            samples.append(_classified(number, row, tokenizer, max_length, labels or ()))
        else:
            samples += _causal(number, row, tokenizer, max_length)
    return Encoded(tuple(samples), (), max_length)


def _classified(number: int, row: Row, tokenizer: Any, max_length: int, labels: Sequence[str]) -> Sample:
    if row.label not in labels:
        raise DataError(f"line {row.line} has the label {row.label!r}, which the model does not know")
    ids = np.asarray(tokenizer(row.text, truncation=True, max_length=max_length)["input_ids"], np.int32)
    return Sample(
        number, ids, np.zeros(len(ids), bool), list(labels).index(row.label), len(row.text.encode())
    )


def _causal(number: int, row: Row, tokenizer: Any, max_length: int) -> list[Sample]:
    if row.messages:
        rendered = tokenizer.apply_chat_template(list(row.messages), tokenize=False)
        head = tokenizer.apply_chat_template(
            list(row.messages[:-1]), tokenize=False, add_generation_prompt=True
        )
        first, second = head, rendered[len(head) :]
        special = False
    else:
        first, second, special = row.prompt, row.response or row.text, True
    before = tokenizer(first, add_special_tokens=special)["input_ids"] if first else []
    if special and not first and tokenizer.bos_token_id is not None:
        before = [tokenizer.bos_token_id]
    after = tokenizer(second, add_special_tokens=False)["input_ids"]
    ids = np.asarray([*before, *after], np.int32)[:max_length]
    scored = np.arange(len(ids)) >= max(1, len(before))
    return [Sample(number, ids, scored, None, len(second.encode()))]
