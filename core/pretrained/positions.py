"""How much a model reads at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["positions_of"]

_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
)

_COUNT_FROM_PADDING = ("camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "xmod")
"""Beside RoBERTa's kin, which have it in their names."""

_PADDING = 1
"""Of those, where the config does not say."""


def positions_of(config: Any, tokenizer: Any) -> int | None:
    """The most tokens that a model takes at once; None where neither its config nor its tokenizer says.

    RoBERTa and its kin count positions from behind the padding's number, so that of 514 rows they have
    places for 512 tokens.

    Args:
        config: of transformers, or what config.json holds.
        tokenizer: of transformers.
    """
    text = _of_text(config)
    known = []
    for key in _KEYS:
        value = _value(text, key)
        if type(value) is int and value > 1:
            known.append(value - _before_first(config))
            break
    of_tokenizer = getattr(tokenizer, "model_max_length", None)
    if type(of_tokenizer) is int and 1 < of_tokenizer < 2**24:  # more is transformers' word for "not known"
        known.append(of_tokenizer)
    return min(known, default=None)


def _before_first(config: Any) -> int:
    """Rows of its positions that no token of a text has."""
    kind = str(_value(config, "model_type") or "")
    if "roberta" not in kind and kind not in _COUNT_FROM_PADDING:
        return 0
    padding = _value(config, "pad_token_id")
    return (padding if type(padding) is int else _PADDING) + 1


def _of_text(config: Any) -> Any:
    if not isinstance(config, Mapping):
        return config.get_text_config()
    text = config.get("text_config")
    return text if isinstance(text, Mapping) else config


def _value(config: Any, key: str) -> Any:
    return config.get(key) if isinstance(config, Mapping) else getattr(config, key, None)
