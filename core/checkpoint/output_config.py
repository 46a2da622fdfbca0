"""The config of an output: that of a model, with what was written instead of what was read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["describe_output", "renumber"]

_IDS = re.compile(r"(?:.*_)?(?:token_ids?|token_index)|(?:begin_)?suppress_tokens|bad_words_ids")
"""Keys whose values are tokens, by their numbers."""

_PACKING = ("quantization_config", "compression_config")


def describe_output(config: dict[str, Any], vocabulary: int | None, dtype_name: str, unties: bool) -> None:
    """Change `config` so that it says what the output holds.

    Args:
        config: of the model that it is taken from.
        vocabulary: rows of the input embedding that is written; None where it is not known.
        dtype_name: the type that is written, as torch spells it.
        unties: whether a head is written that is not the input embedding, although the config may tie them.
    """
    _unpack(config)
    text = config.get("text_config")
    holders = [config, text] if isinstance(text, dict) else [config]
    if vocabulary is not None:
        _resize(config, "text_config" if len(holders) > 1 else None, vocabulary)
    if unties:
        for holder in holders:
            if holder is config or "tie_word_embeddings" in holder:
                holder["tie_word_embeddings"] = False
    for holder in holders:
        for key in ("dtype", "torch_dtype"):
            if key in holder:
                holder[key] = dtype_name
    if "dtype" not in config and "torch_dtype" not in config:
        config["torch_dtype"] = dtype_name  # the older key, which every version of transformers reads


def _resize(config: dict[str, Any], text: str | None, rows: int) -> None:
    """Say how many tokens there are, wherever `config` says it of the same vocabulary."""
    every = list(_holders(config))
    own = config if "vocab_size" in config or text is None else config[text]
    first = own if "vocab_size" in own or not every else every[0]
    before = first.get("vocab_size")
    first["vocab_size"] = rows
    for holder in every:
        if holder["vocab_size"] == before:
            holder["vocab_size"] = rows


def _holders(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What says a number of tokens: a config, or those within it."""
    if "vocab_size" in config:
        yield config
    for value in config.values():
        if isinstance(value, dict):
            yield from _holders(value)


def _unpack(config: dict[str, Any]) -> None:
    """Outputs are never quantised, whatever an input was or said it was."""
    for key in _PACKING:
        config.pop(key, None)
    for value in config.values():
        if isinstance(value, dict):
            _unpack(value)


def renumber(config: dict[str, Any], ids: Mapping[int, int | None]) -> list[str]:
    """Give tokens that `config` names the numbers that they have in the output.

    Args:
        config: of a model or of generation; what is in it is changed.
        ids: the new number of each token that has another; None for one that the output lacks.

    Returns the keys whose token is lost, which are null then, or shorter lists.
    """
    lost: list[str] = []

    def new(key: str, value: Any) -> Any:
        if type(value) is int and value in ids:
            found = ids[value]
            if found is None:
                lost.append(key)
            return found
        if isinstance(value, list):
            return [one for one in (new(key, part) for part in value) if one is not None]
        return value

    for key, value in config.items():
        if isinstance(value, dict):
            lost += renumber(value, ids)
        elif _IDS.fullmatch(key):
            config[key] = new(key, value)
    return lost
