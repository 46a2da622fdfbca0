"""What a recipe says that no field of the window asks for, in a few words."""

from __future__ import annotations

from pathlib import Path

from core.recipe.tokenizer_section import TokenizerSection
from gui.words import plural

__all__ = ["without_field"]

_MISSING = {
    "error": "no tensor may be missing",
    "from_base": "missing tensors from the base",
    "omit": "tensors that not all have left out",
}
_VOCABULARY = {"union": "tokens of all models", "base": "vocabulary of the base"}


def without_field(
    vocab: str | None, tokenizer_source: Path | None, tokenizer: TokenizerSection | None, missing: str | None
) -> str:
    """ "tokens of all models, missing tensors from the base"; "" where there is nothing of the kind."""
    parts = []
    if vocab is not None:
        parts.append(_VOCABULARY[vocab])
    if tokenizer_source is not None:
        parts.append(f"tokenizer of {tokenizer_source.name}")
    if tokenizer is not None:
        if vocab is None and tokenizer_source is None:
            parts.append(_VOCABULARY["union"])
        if tokenizer.tokens:
            parts.append(f"rows for {plural(len(tokenizer.tokens), 'token')}")
        if tokenizer.pad_to_multiple_of is not None:
            parts.append(f"rows a multiple of {tokenizer.pad_to_multiple_of:,}")
    if missing is not None:
        parts.append(_MISSING[missing])
    return ", ".join(parts)
