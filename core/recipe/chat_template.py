"""`chat_template` of a recipe, as mergekit has it: "auto", the name of a known one, or Jinja text."""

from __future__ import annotations

from typing import Any

from core.errors import RecipeError, addressed
from core.text import is_text, nearest, shown

__all__ = ["AUTO", "BUILT_IN", "read_chat_template"]

AUTO = "auto"
BUILT_IN = ("alpaca", "chatml", "exaone", "llama3", "mistral")
"""Their texts are in core.checkpoint.chat_templates."""

_LEAST = 20
_MOST = 1_000_000


@addressed(field="chat_template")
def read_chat_template(value: Any) -> str | None:
    """What the recipe says: AUTO, one of BUILT_IN, or the text of a template; None where it says nothing.

    Raises:
        RecipeError: it is none of these.
    """
    if value is None:
        return None
    if value == AUTO or value in BUILT_IN:
        return str(value)
    if isinstance(value, str) and is_text(value) and _LEAST <= len(value) <= _MOST and "{" in value:
        return value
    name = value if isinstance(value, str) and len(value) < _LEAST else None
    listed = f"write {AUTO}, {', '.join(BUILT_IN)}, or the Jinja text itself, of {_LEAST} characters or more"
    raise RecipeError(
        f"chat_template {shown(value)} is no template that is known",
        hint=(nearest(name, (AUTO, *BUILT_IN)) if name else None) or listed,
    )
