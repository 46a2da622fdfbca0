"""The named methods of the task-vector family, and `task_vectors`, which has their choices as parameters.

Names, parameters and defaults are mergekit's, but that `weight` has a default; see core.methods.task_vectors
and core.methods.sparsify for the arithmetic and what it does differently. `rescale` matches the sum of
magnitudes, as mergekit does; `rescale_by: density` gives the factors of the papers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from core.methods.parameter_selection import MAX_RESAMPLES
from core.methods.sparsify import SPARSIFIERS
from core.methods.spec import Draws, MethodSpec, ParameterSpec, Preset
from core.methods.task_vectors import (
    COMBINATIONS,
    ELECTIONS,
    Choices,
    check_values,
    counts_of,
    folds_of,
    load_map,
)

__all__ = ["CHOICES", "PRESETS", "TASK_VECTORS"]

_WEIGHT = ParameterSpec(
    "weight",
    "float",
    "model",
    1.0,
    "Weight",
    "Factor of this sub-model's task vector; a negative one takes away what it learned.",
)
_DENSITY = ParameterSpec(
    "density",
    "float",
    "model",
    1.0,
    "Density",
    "Share of the task vector's elements that are kept; 1 keeps all.",
    minimum=0.0,
)
_GAMMA = ParameterSpec(
    "gamma",
    "float",
    "model",
    0.01,
    "γ, outliers",
    "Share of the elements that are dropped for being the largest.",
    symbol="γ",
    minimum=0.0,
    maximum=1.0,
)
_EPSILON = ParameterSpec(
    "epsilon",
    "float",
    "model",
    0.15,
    "ε, spread",
    "How far the chance of being kept lies below the density for the smallest elements of a row, and above "
    "it for the largest.",
    symbol="ε",
    minimum=0.0,
    maximum=1.0,
)
_LAMBDA = ParameterSpec(
    "lambda", "float", "merge", 1.0, "λ, scale", "Factor of the sum of all task vectors.", symbol="λ"
)
_NORMALIZE = ParameterSpec(
    "normalize",
    "flag",
    "merge",
    False,
    "Normalise",
    "Divide the sum of the task vectors by the sum of their weights.",
)
_RESCALE = ParameterSpec(
    "rescale",
    "flag",
    "merge",
    False,
    "Rescale",
    "Multiply what is kept, to make up for what was dropped.",
)
_RESCALE_BY = ParameterSpec(
    "rescale_by",
    "choice",
    "merge",
    "norm",
    "Rescale by",
    "norm: so that the magnitudes of a tensor come to the same sum as before. density: by the chance of "
    "being kept, as the papers on DARE and DELLA do.",
    choices=("norm", "density"),
    matters=lambda values: values["rescale"],
)


def _preset(
    name: str,
    title: str,
    help: str,
    source: str,
    sparsify: str = "none",
    elect: str = "none",
    *,
    normalize: bool = False,
    rescale: bool = False,
) -> MethodSpec:
    def choices_of(values: Mapping[str, Any]) -> Choices:
        return Choices(sparsify, elect, "mean" if values["normalize"] else "sum")

    own = {"outliers": (_GAMMA,), "ranked": (_EPSILON,)}.get(sparsify, ())
    sparse = (_DENSITY, *own) if sparsify != "none" else ()
    rescales = (replace(_RESCALE, default=rescale), _RESCALE_BY) if sparsify != "none" else ()
    CHOICES[name] = choices_of
    return MethodSpec(
        name=name,
        title=title,
        help=help,
        source=source,
        parameters=(_WEIGHT, *sparse, _LAMBDA, replace(_NORMALIZE, default=normalize), *rescales),
        base="needed",
        weight="coefficient",
        draws=Draws() if sparsify in ("random", "ranked") else None,
        counts=partial(counts_of, choices_of),
        by_rows=sparsify == "ranked",
        folds=partial(folds_of, choices_of),
        check=partial(check_values, choices_of),
        load_arithmetic=partial(load_map, choices_of),
        group="task_vectors",
        preset=Preset("task_vectors", lambda values: asdict(choices_of(values)), own=("normalize",)),
    )


CHOICES: dict[str, Any] = {}
"""From the values of each method of the family to its Choices, by the method's name."""

PRESETS = (
    _preset(
        "task_arithmetic",
        "Task arithmetic",
        "Adds what each sub-model learned to the base, each with its weight.",
        "arXiv:2212.04089",
    ),
    _preset(
        "ties",
        "TIES",
        "Keeps the largest changes of each sub-model, elects a sign for every parameter, and averages the "
        "changes that have it.",
        "arXiv:2306.01708",
        "magnitude",
        "mass",
        normalize=True,
    ),
    _preset(
        "dare_linear",
        "DARE, linear",
        "Drops changes at random, makes up for them with the rest, and adds what is left.",
        "arXiv:2311.03099",
        "random",
        rescale=True,
    ),
    _preset(
        "dare_ties",
        "DARE with TIES",
        "Drops changes at random, makes up for them with the rest, and adds those of the elected sign.",
        "arXiv:2311.03099",
        "random",
        "mass",
        rescale=True,
    ),
    _preset(
        "breadcrumbs",
        "Breadcrumbs",
        "Drops the largest changes of each sub-model and the smallest, and adds the rest.",
        "arXiv:2312.06795",
        "outliers",
    ),
    _preset(
        "breadcrumbs_ties",
        "Breadcrumbs with TIES",
        "Drops the largest changes of each sub-model and the smallest, and adds those of the elected sign.",
        "arXiv:2312.06795",
        "outliers",
        "mass",
    ),
    _preset(
        "della",
        "DELLA",
        "Drops changes at random, small ones of a row more often, and averages those of the elected sign.",
        "arXiv:2406.11617",
        "ranked",
        "mass",
        normalize=True,
        rescale=True,
    ),
    _preset(
        "della_linear",
        "DELLA, linear",
        "Drops changes at random, small ones of a row more often, and adds what is left.",
        "arXiv:2406.11617",
        "ranked",
        rescale=True,
    ),
)


def _chosen(values: Mapping[str, Any]) -> Choices:
    return Choices(values["sparsify"], values["elect"], values["combine"])


def _sparsifies(values: Mapping[str, Any]) -> bool:
    return bool(values["sparsify"] != "none")


def _selects(values: Mapping[str, Any]) -> bool:
    return bool(values["combine"] == "selection")


def _draws(values: Mapping[str, Any]) -> int:
    if _selects(values):
        return 1 + int(values["resamples"])
    return int(_chosen(values).sparsify in ("random", "ranked"))


CHOICES["task_vectors"] = _chosen


def _copies(values: Mapping[str, Any]) -> bool:
    """Whether it is parameter selection: nothing is sparsified or elected, and nothing scaled."""
    sparsifies = _sparsifies(values) and any(density < 1 for density in values["density"])
    elects = values["elect"] != "none"
    return _selects(values) and not sparsifies and not elects and bool(values["lambda"] == 1)


TASK_VECTORS = MethodSpec(
    name="task_vectors",
    title="Task vectors, free choice",
    help="Puts a method together: what is kept of each sub-model's changes, whether a sign is elected, and "
    "how the rest becomes one.",
    source="arXiv:2410.03743, arXiv:2306.01708",
    parameters=(
        ParameterSpec(
            "sparsify",
            "choice",
            "merge",
            "none",
            "Sparsify",
            "none; magnitude: keep the largest changes; random: drop some at random; ranked: the same, small "
            "ones of a row more often; outliers: drop the largest and the smallest.",
            choices=SPARSIFIERS,
            words=(
                "keeps all",
                "keeps the largest",
                "drops at random",
                "drops small ones more often",
                "drops the largest and smallest",
            ),
        ),
        ParameterSpec(
            "elect",
            "choice",
            "merge",
            "none",
            "Elect a sign",
            "none; mass: the sign of the weighted sum; count: the sign of most sub-models.",
            choices=ELECTIONS,
            words=("elects no sign", "elects a sign by mass", "elects a sign by count"),
        ),
        ParameterSpec(
            "combine",
            "choice",
            "merge",
            "sum",
            "Combine",
            "sum of the weighted changes; their mean; selection: the change of one sub-model, drawn at "
            "random and again while it is zero.",
            choices=COMBINATIONS,
            words=("sum of what is left", "mean of what is left", "one of them, drawn"),
        ),
        ParameterSpec(
            "resamples",
            "int",
            "merge",
            1,
            "n, resamples",
            "With selection: how often a parameter is drawn again while its change is zero.",
            symbol="n",
            minimum=0,
            maximum=MAX_RESAMPLES,
            matters=_selects,
        ),
        replace(_WEIGHT, help=_WEIGHT.help[:-1] + ". With selection: how likely it is drawn."),
        replace(_DENSITY, matters=_sparsifies),
        replace(_GAMMA, matters=lambda values: values["sparsify"] == "outliers"),
        replace(_EPSILON, matters=lambda values: values["sparsify"] == "ranked"),
        _LAMBDA,
        replace(_RESCALE, matters=_sparsifies),
        replace(_RESCALE_BY, matters=lambda values: _sparsifies(values) and values["rescale"]),
    ),
    base="needed",
    weight="coefficient",
    draws=Draws(resamples="resamples", most=_draws),
    counts=partial(counts_of, _chosen),
    by_rows=lambda values: values["sparsify"] == "ranked",
    folds=partial(folds_of, _chosen),
    check=partial(check_values, _chosen),
    selects=_copies,
    load_arithmetic=partial(load_map, _chosen),
    group="task_vectors",
)
