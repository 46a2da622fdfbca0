"""Slices and the rows of tokens: these stay as they are in the models.

What has a row for each token comes from the first slice and from the last one, each merged of models of its
own. A row that these lack could only come from a model that takes no part there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from core.checkpoint.model import Checkpoint
from core.errors import IncompatibleError, RecipeError
from core.plan.slicing import opened_models
from core.plan.token_rows import vocabulary_rows
from core.plan.vocabularies import plan_vocabulary
from core.recipe.recipe import Recipe

__all__ = ["refuse_changed_rows"]

_HINT = (
    "bring the models to one vocabulary first, in documents of their own (`merge_method: linear` with one "
    "model and tokenizer_source)"
)


def refuse_changed_rows(
    recipe: Recipe, models: Sequence[Checkpoint], base: Checkpoint | None, names: Mapping[Path, str]
) -> None:
    """Refuse slices of which the rows of tokens would not stay as they are; a recipe without slices passes.

    Args:
        recipe: what is asked.
        models, base: its models and its base, opened.
        names: how their folders are called.

    Raises:
        RecipeError: it asks for other rows than the models of the first and the last slice have.
        IncompatibleError: these have differently many.
        CheckpointError: a tokenizer's file cannot be read.
    """
    if not recipe.slices:
        return
    opened = opened_models(recipe, models, base)
    ends = (recipe.parts[0], recipe.parts[-1])
    of_bases = [part.base for part in ends if part.base is not None and recipe.method.reads_base]
    folders = [*(entry.path for part in ends for entry in part.models), *of_bases]
    taking_part = [opened[folder] for folder in dict.fromkeys(folders)]
    if recipe.unites or recipe.tokenizer_source is not None:
        rows_of_tokens = recipe.tokenizer is not None and recipe.tokenizer.tokens
        if rows_of_tokens or plan_vocabulary(recipe, taking_part, None, names) is not None:
            key = recipe.tokens_key
            raise RecipeError(
                f"{key} asks for other rows of tokens than the models have, and where a result is put "
                "together from slices these stay as they are",
                hint=f"leave {key} out where the same rows are the same tokens, or {_HINT}",
                field=key,
            )
        return
    first = None
    for model in taking_part:
        rows = vocabulary_rows({name: tensor.shape for name, tensor in model.tensors.items()}, model.config)
        if rows is None:
            continue
        first = first or (model, rows)
        if rows != first[1]:
            raise IncompatibleError(
                f"{model.name} has {rows:,} rows of tokens and {first[0].name} has {first[1]:,}, and where a "
                "result is put together from slices these stay as they are",
                hint=_HINT,
                path=model.folder,
                field="slices",
            )
