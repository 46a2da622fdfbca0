"""Whether the models that are asked for can be compared at all: classifiers, or language models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.adapter_paths import split_adapters
from core.checkpoint.finding import resolve_folder
from core.checkpoint.model import model_names, read_config
from core.errors import IncompatibleError, MergeError
from core.evaluate.models.digests import is_recipe
from core.pretrained.models import is_classifier
from core.recipe.file import load_recipe
from core.recipe.writing import folders_of

__all__ = ["check_one_task"]


def check_one_task(references: Sequence[str]) -> None:
    """Refuse classifiers beside language models, as far as their configs say what they are.

    Raises:
        IncompatibleError: there are both.
    """
    found: dict[bool, str] = {}
    for reference, name in zip(references, model_names([Path(one) for one in references]), strict=True):
        classifies = _is_classifier(reference)
        if classifies is not None:
            found.setdefault(classifies, name)
    if len(found) == 2:
        raise IncompatibleError(
            f"{found[True]} is a classifier and {found[False]} is a language model: what they make of a text "
            "cannot be compared",
            hint="evaluate them one after the other, each kind with data of its own",
            field="models",
        )


def _is_classifier(reference: str) -> bool | None:
    """None where that is not known before it is loaded. A recipe's result has a config like its models'."""
    place = Path(reference)
    try:
        folders = folders_of(load_recipe(place)) if is_recipe(place) else (place,)
        for folder in folders:
            found = is_classifier(read_config(resolve_folder(split_adapters(folder)[0])))
            if found is not None:
                return found
    except MergeError:  # said where it is digested or loaded
        return None
    return None
