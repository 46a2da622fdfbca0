"""The config of an output: that of a model, with what was written instead of what was read."""

from __future__ import annotations

from typing import Any

__all__ = ["describe_output"]

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
        holder = config if "vocab_size" in config or len(holders) == 1 else holders[-1]
        holder["vocab_size"] = vocabulary
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


def _unpack(config: dict[str, Any]) -> None:
    """Outputs are never quantised, whatever an input was or said it was."""
    for key in _PACKING:
        config.pop(key, None)
    for value in config.values():
        if isinstance(value, dict):
            _unpack(value)
