"""The merge method that a recipe names, and what to say of a name that is none."""

from __future__ import annotations

import difflib
from typing import Any

from core.errors import RecipeError
from core.methods import METHODS, MethodSpec
from core.text import shown

__all__ = ["read_method"]

_OF_MERGEKIT = frozenset(
    {
        "arcee_fusion",
        "breadcrumbs",
        "breadcrumbs_ties",
        "cabs",
        "core_space",
        "dare_linear",
        "dare_ties",
        "della",
        "della_linear",
        "karcher",
        "lrp",
        "model_breadcrumbs",
        "model_stock",
        "multislerp",
        "nearswap",
        "nuslerp",
        "passthrough",
        "ram",
        "ramplus_tl",
        "rectify_embed",
        "sce",
        "ties",
    }
)
"""Methods that mergekit has or had. Those of them that are built here are in METHODS as well."""

_LONGEST_NAME = 100
_LEAST_ALIKE = 0.8
"""How alike a name and its misspelling are. `slerp` and `nuslerp` are as well, and so both are listed."""


def read_method(name: Any) -> MethodSpec:
    """The method of that name.

    Raises:
        RecipeError: there is none. The hint asks whether one was meant only where the name is a misspelling:
            one method in the place of another would give other weights and no error.
    """
    listed = f"one of: {', '.join(METHODS)}"
    if name is None:
        raise RecipeError("merge_method is missing", hint=listed, field="merge_method")
    if isinstance(name, str) and name in METHODS:
        return METHODS[name]
    if isinstance(name, str) and name in _OF_MERGEKIT:
        raise RecipeError(
            f"merge_method {shown(name)} is a method of mergekit that is not supported yet",
            hint=listed,
            field="merge_method",
        )
    alike: list[str] = []
    if isinstance(name, str) and len(name) <= _LONGEST_NAME:
        alike = difflib.get_close_matches(name, [*METHODS, *_OF_MERGEKIT], n=1, cutoff=_LEAST_ALIKE)
    raise RecipeError(
        f"merge_method {shown(name)} is not supported",
        hint=f"did you mean {alike[0]!r}?" if alike and alike[0] in METHODS else listed,
        field="merge_method",
    )
