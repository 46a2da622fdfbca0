"""The small files beside the weights of a planned output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.checkpoint.companions import Companion, Companions, companion_files
from core.checkpoint.layer_config import LayerChoice
from core.plan.belonging import givers_of
from core.plan.merge_plan import MergePlan
from core.plan.output_tokenizer import given_tokenizer

__all__ = ["planned_companions"]


def planned_companions(plan: MergePlan) -> Companions:
    """What goes beside the weights, their indexes included.

    Raises:
        CheckpointError: as `companion_files`.
        IncompatibleError: no tokenizer can have the tokens of the result.
    """
    tokenizer = given_tokenizer(plan.tokens, builds=True)
    found = companion_files(
        givers_of(
            plan.models,
            plan.base,
            plan.recipe.tokenizer_source,
            _names(plan),
            tokenizer,
            has_template=plan.recipe.chat_template is not None,
        ),
        vocabulary=plan.vocabulary,
        unties=plan.unties,
        dtype_name=plan.out_dtype.torch_name if plan.out_dtype else "float32",
        inputs=plan.input_folders,
        layers=[LayerChoice(origin.model.config, origin.layer) for origin in plan.layers],
        chat_template=plan.recipe.chat_template,
    )
    files = dict(found.files)
    files |= {name: Companion.of_bytes(data) for name, data in plan.indexes.items()}
    return replace(found, files=files)


def _names(plan: MergePlan) -> dict[Path, str]:
    """What each folder is called, also one that the recipe's path only leads to."""
    every = [*plan.models, *([plan.base] if plan.base else []), *plan.unders]
    return {**plan.names, **{model.folder: model.name for model in every}}
