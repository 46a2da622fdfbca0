"""What a recipe says that no field of the window asks for, in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.recipe.chat_template import AUTO, BUILT_IN
from core.recipe.stages import Stage
from core.recipe.tokenizer_section import TokenizerSection
from gui.words import plural

__all__ = ["without_field"]

_MISSING = {
    "error": "no tensor may be missing",
    "from_base": "missing tensors from the base",
    "omit": "tensors that not all have left out",
}


def without_field(
    tokenizer_source: Path | None,
    tokenizer: TokenizerSection | None,
    missing: str | None,
    chat_template: str | None = None,
    stages: Sequence[Stage] = (),
) -> str:
    """ "tokenizer of run-1, missing tensors from the base"; "" where there is nothing of the kind."""
    parts = []
    if tokenizer_source is not None:
        parts.append(f"tokenizer of {tokenizer_source.name}")
    if tokenizer is not None:
        if tokenizer_source is None:
            parts.append("tokens of all models")
        if tokenizer.tokens:
            parts.append(f"rows for {plural(len(tokenizer.tokens), 'token')}")
        if tokenizer.pad_to_multiple_of is not None:
            parts.append(f"rows a multiple of {tokenizer.pad_to_multiple_of:,}")
    if missing is not None:
        parts.append(_MISSING[missing])
    if chat_template is not None:
        parts.append(_template_text(chat_template))
    if stages:
        parts.append(_stages_text(stages))
    return ", ".join(parts)


def _template_text(template: str) -> str:
    """ "chat template chatml"."""
    if template == AUTO:
        return "chat template of most models"
    return f"chat template {template}" if template in BUILT_IN else "a chat template of its own"


def _stages_text(stages: Sequence[Stage]) -> str:
    """ "merged before it: a (linear of b and c)"."""
    parts = []
    for stage in stages:
        models = [entry.path.name for entry in stage.recipe.models]
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        parts.append(f"{stage.name} ({stage.recipe.method.title} of {', '.join(models[:3])}{more})")
    return f"merged before it: {'; '.join(parts)}"
