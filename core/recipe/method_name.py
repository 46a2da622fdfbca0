"""The merge method that a recipe names, and what to say of a name that is none."""

from __future__ import annotations

import re
from typing import Any

from core.errors import RecipeError
from core.methods import METHODS, MethodSpec
from core.text import shown

__all__ = ["read_method"]

_LONGEST_NAME = 100


def read_method(name: Any) -> MethodSpec:
    """The method of that name.

    Raises:
        RecipeError: there is none. The hint is the list of all, and one method's name only where the two
            differ in nothing but case, hyphens, underscores and spaces: one method in the place of another
            would give other weights and no error.
    """
    listed = f"one of: {', '.join(METHODS)}"
    if name is None:
        raise RecipeError("merge_method is missing", hint=listed, field="merge_method")
    if isinstance(name, str) and name in METHODS:
        return METHODS[name]
    letters = _letters(name) if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""
    meant = next((one for one in METHODS if _letters(one) == letters), None)
    raise RecipeError(
        f"merge_method {shown(name)} is not supported",
        hint=f"did you mean {meant!r}?" if meant else listed,
        field="merge_method",
    )


def _letters(name: str) -> str:
    """What stays of a name however it is spelt."""
    return re.sub(r"[-_\s]+", "", name.lower())
