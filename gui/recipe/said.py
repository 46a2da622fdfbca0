"""What a recipe says that has no field of its own, in a few words. No Qt."""

from __future__ import annotations

from collections.abc import Sequence

from core.recipe.chat_template import AUTO, BUILT_IN
from core.recipe.stages import Stage

__all__ = ["stages_text", "template_text"]


def template_text(template: str) -> str:
    """ "chat template chatml"."""
    if template == AUTO:
        return "chat template of most models"
    return f"chat template {template}" if template in BUILT_IN else "a chat template of its own"


def stages_text(stages: Sequence[Stage]) -> str:
    """ "first merge a (linear of b and c)"."""
    parts = []
    for stage in stages:
        models = [entry.path.name for entry in stage.recipe.models]
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        parts.append(f"{stage.name} ({stage.recipe.method.title} of {', '.join(models[:3])}{more})")
    return f"merged before it: {'; '.join(parts)}"
