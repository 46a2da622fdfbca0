"""The rows of a data file as what a run trains on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core.cancel import CancelToken
from core.checkpoint.model import Checkpoint
from core.data.encoding import Encoded, encode
from core.data.rows import DataSet
from core.errors import DataError, TrainingError
from core.pretrained.positions import positions_of
from core.train.request import Inputs
from core.train.settings import TrainSettings

__all__ = ["padding_token", "training_samples"]

_EVALUATED_LENGTH = 2048
"""Tokens that `paramosaic evaluate` reads at once of its own accord: MOST_POSITIONS of core.evaluate."""


def training_samples(
    data: DataSet,
    tokenizer: Any,
    inputs: Inputs,
    settings: TrainSettings,
    note: Callable[[str], None],
    cancel: CancelToken,
) -> Encoded:
    """The samples of `data` that have something to learn from: a token that counts, or a label.

    Of training data, responses and texts end with the token that ends a text, which counts, so that a model
    learns to stop. Validation data are encoded as `paramosaic evaluate` does, without it, so that both give
    the same losses of rows that fit into `settings.max_length` tokens. Longer rows are read with fewer tokens
    before those that count than `evaluate` reads of its own accord, which a note says.

    Args:
        data: training or validation data.
        tokenizer: of the base.
        inputs: what was asked for.
        settings: how it is trained; samples are no longer than the base takes.
        note: told what is cut or left out.
        cancel: looked at before each row.

    Raises:
        DataError: the data do not fit the task, or none is left.
        TrainingError: the tokenizer does not fit the base.
        Cancelled: after `cancel`.
    """
    most = _most_tokens(inputs.checkpoint, tokenizer, settings.max_length)
    if most < settings.max_length and data is inputs.data:
        note(
            f"{inputs.checkpoint.name} takes {most:,} tokens at the most, and samples are no longer than that"
        )
    encoded = encode(
        data,
        tokenizer,
        max_length=most,
        task=inputs.task,
        labels=inputs.labels,
        end=data is inputs.data,
        job="training",
        cancel=cancel,
    )
    for sentence in (*data.notes, *encoded.notes):
        note(sentence)
    if (
        data is not inputs.data
        and most != _most_tokens(inputs.checkpoint, tokenizer, _EVALUATED_LENGTH)
        and any(len(sample.ids) >= most for sample in encoded.samples)
    ):
        note(
            f"rows of {data.path.name} that are longer than {most:,} tokens are cut, or read in parts: "
            f"`paramosaic evaluate` gives the same losses with --max-length {most}"
        )
    kept = encoded.samples
    if inputs.task == "causal":
        kept = tuple(sample for sample in kept if bool(sample.scored[1:].any()))
    if not kept:
        raise DataError(
            f"{data.path} has no token that counts within {most:,} tokens",
            hint="take longer samples (--max-length)",
            path=data.path,
            field="data",
        )
    if len(kept) < len(encoded.samples):
        note(
            f"{len(encoded.samples) - len(kept):,} samples of {data.path.name} have no token that counts "
            f"within {most:,} tokens, and are left out"
        )
    rows = _text_config(inputs.checkpoint).get("vocab_size")
    largest = max(int(sample.ids.max()) for sample in kept)
    if isinstance(rows, int) and largest >= rows:
        raise TrainingError(
            f"the tokenizer of {inputs.checkpoint.name} has the token {largest:,}, and its embedding has "
            f"{rows:,} rows",
            hint="put the tokenizer that the model was made with beside it",
            path=inputs.checkpoint.folder,
            field="base",
        )
    return replace(encoded, samples=kept)


def padding_token(tokenizer: Any, checkpoint: Checkpoint) -> int:
    """What is padded with. The mask says where; a decoder that classifies looks for it by its number too."""
    for found in (
        _text_config(checkpoint).get("pad_token_id"),
        tokenizer.pad_token_id,
        tokenizer.eos_token_id,
    ):
        if isinstance(found, int):
            return found
    return 0


def _most_tokens(checkpoint: Checkpoint, tokenizer: Any, wanted: int) -> int:
    """What is wanted, or what the model and its tokenizer take."""
    found = positions_of(checkpoint.config or {}, tokenizer)
    return wanted if found is None else min(wanted, found)


def _text_config(checkpoint: Checkpoint) -> Mapping[str, Any]:
    config = checkpoint.config or {}
    text = config.get("text_config")
    return text if isinstance(text, dict) else config
