"""What tensor names say: which tensor is the input embedding, which one the output head."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["find_embedding", "tied_heads"]

_EMBEDDINGS = (
    "embed_tokens.weight",
    "wte.weight",
    "embed_in.weight",
    "tok_embeddings.weight",
    "word_embeddings.weight",
    "shared.weight",
)
_HEADS = ("lm_head.weight", "embed_out.weight", "predictions.decoder.weight")


def find_embedding(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The name of the input embedding among `shapes`, or None where there is not exactly one."""
    for suffix in _EMBEDDINGS:
        found = [name for name, shape in shapes.items() if _ends_with(name, suffix) and len(shape) == 2]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def tied_heads(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Output heads and the input embedding that each is tied to where a model ties them.

    `shapes` holds every tensor's shape by name; a head has the shape of its embedding.
    """
    embedding = find_embedding(shapes)
    if embedding is None:
        return {}
    return {
        name: embedding
        for name, shape in shapes.items()
        if any(_ends_with(name, suffix) for suffix in _HEADS) and shape == shapes[embedding]
    }


def _ends_with(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith("." + suffix)
