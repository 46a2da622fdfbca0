"""Which models do not fit together, each tried alone. No Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from core import CancelToken, CheckpointError, MergeError, Recipe, RecipeError, plan_merge
from core.checkpoint.model import open_checkpoint
from core.methods import METHODS
from core.recipe.recipe import ModelEntry
from gui.document.merge_setup import MergeSetup, ModelChoice
from gui.preflight.addresses import folders_of, problem_of
from gui.preflight.report import Problem

__all__ = ["misfits", "states_of"]


def misfits(
    setup: MergeSetup, recipe: Recipe, error: MergeError, token: CancelToken
) -> tuple[list[Problem], Mapping[Path, str | None]]:
    """Why there is no plan: every sub-model that does not fit, each tried alone, or else `error` itself."""
    if recipe.slices or recipe.stages:
        return [problem_of(error, setup, recipe)], {}
    if recipe.base is not None:
        is_its = isinstance(error, CheckpointError) and error.path == recipe.base
        of_base = error if is_its else None
        try:
            open_checkpoint(recipe.base)
        except MergeError as broken:
            of_base = broken
        if of_base is not None:  # then it says nothing about the sub-models
            return [replace(problem_of(of_base, setup, recipe), target="base", path=setup.base)], {}
    folders = folders_of(setup)
    problems: list[Problem] = []
    states: dict[Path, str | None] = {}
    reference: tuple[ModelEntry, ...] = ()
    for entry in recipe.models:
        token.raise_if_cancelled()
        folder = folders[entry.path]
        model = ModelEntry(entry.path)  # what its parameters are says nothing of whether it fits
        try:
            plan_merge(_to_compare(recipe, (*reference, model)))
        except MergeError as misfit:
            problem = replace(problem_of(misfit, setup, recipe), target="models", path=folder)
            problems.append(problem)
            states[folder] = problem.message
        else:
            states[folder] = None
            if recipe.base is None and not reference:
                reference = (model,)
    return problems or [problem_of(error, setup, recipe)], states


def _to_compare(recipe: Recipe, models: tuple[ModelEntry, ...]) -> Recipe:
    """A recipe whose plan says whether `models` fit the base, or else one another, and nothing more."""
    unites = recipe.unites or recipe.tokenizer_source is not None
    vocab = "union" if unites else None
    return replace(recipe, models=models, parameters={}, tokenizer_source=None, tokenizer=None, vocab=vocab)


def states_of(
    setup: MergeSetup, known: Mapping[Path, str | None], token: CancelToken
) -> Mapping[Path, str | None]:
    """`known`, and of every other sub-model whether it fits: the same base, or else one that takes part."""
    others = tuple(choice for choice in setup.models if choice.folder not in known)
    first = next((choice for choice in setup.taking_part if known.get(choice.folder, "") is None), None)
    states = dict(known)
    if setup.slices or setup.stages:
        return states
    if setup.base is None and METHODS[setup.method].base == "needed":
        return states
    for choice in others:
        token.raise_if_cancelled()
        among_themselves = first is not None and setup.base is None and first.folder != choice.folder
        pair = (first, choice) if first is not None and among_themselves else (choice,)
        alone = replace(
            setup,
            models=tuple(replace(one, weight=1.0, enabled=True) for one in pair),
            k=len(pair),
            parameters={},
            rules=(),
            seed=0,
        )
        try:
            recipe = _enough(alone, setup.models).recipe()
        except RecipeError:  # it is the base, or all that there is
            continue
        folders = folders_of(alone)
        compared = tuple(entry for entry in recipe.models if entry.path in folders)
        if not compared:  # it is the base
            continue
        try:
            plan_merge(_to_compare(recipe, compared))
            states[choice.folder] = None
        except MergeError as misfit:
            problem = problem_of(misfit, setup)
            if problem.target == "base":  # then it says nothing about the sub-models
                return dict(known)
            states[choice.folder] = problem.message
    return states


def _enough(setup: MergeSetup, listed: Sequence[ModelChoice]) -> MergeSetup:
    """`setup` with others of the models that are `listed`, as many as the method asks for besides."""
    more = METHODS[setup.method].least_models - len(setup.models)
    folders = {choice.folder for choice in setup.models}
    others = [replace(one, weight=1.0, enabled=True) for one in listed if one.folder not in folders]
    models = (*setup.models, *others[: max(more, 0)])
    return replace(setup, models=models, k=len(models))
