"""Whether classifiers give their rows to the same labels, in the same order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core.checkpoint.model import CONFIG_NAME, Checkpoint
from core.errors import IncompatibleError
from core.text import one_line, shown

__all__ = ["compare_labels"]

_HEAD = re.compile(
    r"(?:^|\.)(?:classifier|classification_head|score|cls_classifier|class_labels_classifier|class_embed"
    r"|classifiers|logits_proj|id_classifier|sequence_summary)\."
)
_GENERIC = re.compile(r"label_?[0-9]+|[0-9]+", re.IGNORECASE)


def compare_labels(models: Sequence[Checkpoint], base: Checkpoint | None) -> list[str]:
    """Warnings where classifiers that are merged name their classes differently.

    What has no such head says nothing: every config of transformers has labels.

    Raises:
        IncompatibleError: the same label is another class.
    """
    warnings: list[str] = []
    first: tuple[str, dict[int, str]] | None = None
    everyone: list[tuple[int | None, Checkpoint]] = [*([(None, base)] if base else []), *enumerate(models)]
    for entry, model in everyone:
        labels = _labels(model)
        if labels is None:
            continue
        if first is None:
            first = model.name, labels
            continue
        if labels == first[1] or len(labels) != len(first[1]):
            continue  # different numbers of classes have different shapes
        name, known = first
        places = {label.casefold(): number for number, label in known.items()}
        for number, label in labels.items():
            place = places.get(label.casefold(), number)
            if place != number:
                raise IncompatibleError(
                    f"the label {shown(label)} is class {place:,} in {name} and class {number:,} in "
                    f"{model.name}, so that the rows of their classifiers mean different labels",
                    hint="train one of them again with the labels in the other's order, or leave it out; if "
                    f"only its {CONFIG_NAME} is wrong, put id2label right in it",
                    path=model.folder / CONFIG_NAME,
                    field="base_model" if entry is None else "models",
                    entry=entry,
                )
        other = next((n for n in known if known[n].casefold() != labels.get(n, "").casefold()), None)
        if other is not None:
            warnings.append(
                f"class {other:,} is {one_line(shown(known[other]))} in {name} and "
                f"{one_line(shown(labels.get(other)))} in {model.name}: they learned different labels"
            )
    named = next((model for model in models[1:] if _labels(model) is not None), None)
    if named is not None and _labels(models[0]) is None and _has_head(models[0]):
        warnings.append(
            f"the result names its classes as {models[0].name} does, which has no labels for them, and "
            f"{named.name} has: list {named.name} first to keep its labels"
        )
    return warnings[:5]


def _has_head(model: Checkpoint) -> bool:
    return any(_HEAD.search(name) for name in model.tensors)


def _labels(model: Checkpoint) -> dict[int, str] | None:
    """The label of each class; None where the model has no classifier, or names none of its classes."""
    config = model.config or {}
    found = config.get("id2label")
    if not isinstance(found, Mapping):
        names = config.get("label2id")
        found = {number: name for name, number in names.items()} if isinstance(names, Mapping) else {}
    try:
        labels = {int(number): label for number, label in found.items() if isinstance(label, str)}
    except (TypeError, ValueError, OverflowError):
        return None
    if not labels or all(_GENERIC.fullmatch(label) for label in labels.values()):
        return None
    return labels if _has_head(model) else None
