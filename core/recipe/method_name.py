"""The merge method that a recipe names, and what to say of a name that is none."""

from __future__ import annotations

import difflib
import re
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

_NAMES = """
adamerging aim arcee atlas average averages averaging bayes bayesian bezier breadcrumbs cabs cart cat clamp
cma cocktail consensus core cosine crossover cts dare dares data dct della difference distill distillation
doge dop drop dropout elect ema emr ensemble entropy euclidean evolution evolutionary evolve expo fallback
fda fisher fourier frankenmerge freq fusion genetic geometric git gradient gradients greedy iso isoc isocts
isotropic karcher knots lawa layershuffle lbfgs lerp lines localize lora lorahub loras lorasoups lrp magmax
mask masks mean median metagpt mix moe multislerp nan nearswap neuromerging nlerp nps nslerp nuslerp opcm
optimal ortho orthogonal ot passthrough pcb permutation permute procrustes prune pruning quotient ram
ramplus ramplusplus ratio rebasin regmean regression remedy rotate rotation sce sigmoid singular smile soup
soups spline star stitch stock subspace sum superpose surgery svd swa tadrop tall tallmask talls ties
transport trim tsv tsvm twin uniform upscaling wavelet wemoe weighted widen wise wiseft wudi zip zipit
"""

_WORDS_OF_THE_FIELD = frozenset(_NAMES.split())
"""Words in the names of merge methods of FusionBench, sd-mecha, MergeLM, LM-Cocktail and papers. A name with
one of them is no slip for a method that is here."""

_LONGEST_NAME = 100
_LEAST_ALIKE = 0.8
"""How alike a name and its misspelling are. `slerp` and `nuslerp` are as well, and so both are listed."""

_MOST_ADDED = 1
"""Characters that a slip adds to a name; with more it is the name of a variant."""


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
    text = name if isinstance(name, str) and len(name) <= _LONGEST_NAME else ""
    words = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    what, hint = "is not supported", listed
    if words in METHODS:
        hint = f"did you mean {words!r}?"
    elif words in _OF_MERGEKIT:
        what = "is a method of mergekit that is not supported yet"
    elif not _WORDS_OF_THE_FIELD.isdisjoint(words.split("_")):
        what = "is a merge method that is not supported yet"
    elif (meant := _misspelt(words)) is not None:
        hint = f"did you mean {meant!r}?"
    raise RecipeError(f"merge_method {shown(name)} {what}", hint=hint, field="merge_method")


def _misspelt(words: str) -> str | None:
    """The method here that `words` is a slip for."""
    found = difflib.get_close_matches(words, [*METHODS, *_OF_MERGEKIT], n=1, cutoff=_LEAST_ALIKE)
    if not found or found[0] not in METHODS:
        return None
    added = len(words) - len(found[0])
    return None if found[0] in words and added > _MOST_ADDED else found[0]
