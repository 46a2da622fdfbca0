"""Greedy decoding, the same wherever a model answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["end_tokens", "greedy"]


@contextlib.contextmanager
def greedy(model: Any, tokenizer: Any, most: int) -> Iterator[Any]:
    """Meanwhile `model.generate` takes of the next tokens the likeliest each time.

    Of the model's own generation config only the tokens that end an answer hold: neither what it says of
    sampling or beams, nor penalties and suppressed tokens. A merge may have another such file than the models
    that it is compared with, or none, and what differs then is to be what their weights say. Deviation from
    `model.generate(do_sample=False)`, where penalties stay.

    Args:
        model: of transformers, whose generation config is another one meanwhile: one that is handed to
            `generate` is filled up from the model's.
        tokenizer: its own.
        most: tokens of an answer.

    Yields:
        The config, with the tokens that end an answer (None for none) and the one that is padded with.
    """
    import transformers

    ends = end_tokens(model, tokenizer)
    own, model.generation_config = (
        model.generation_config,
        transformers.GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=most,
            eos_token_id=ends or None,
            pad_token_id=ends[0] if ends else 0,
            bos_token_id=tokenizer.bos_token_id,
        ),
    )
    try:
        yield model.generation_config
    finally:
        model.generation_config = own


def end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: those of the model's generation config, and the tokenizer's."""
    config = getattr(model, "generation_config", None)
    found: list[Any] = []
    for value in (getattr(config, "eos_token_id", None), tokenizer.eos_token_id):
        found += value if isinstance(value, list | tuple) else [value]
    return list(dict.fromkeys(int(value) for value in found if value is not None))
