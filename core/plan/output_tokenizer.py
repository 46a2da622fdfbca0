"""Whose tokenizer goes into a result whose tokens are matched, and what its files and ids become."""

from __future__ import annotations

from pathlib import Path

from core.checkpoint.companions import GivenTokenizer
from core.plan.vocabulary_plan import VocabularyPlan
from core.tokenizer.building import TokenizerFolder, build_tokenizer, check_tokenizer
from core.tokenizer.vocabulary import vocabulary_digest

__all__ = ["given_tokenizer"]


def given_tokenizer(plan: VocabularyPlan | None, *, builds: bool) -> GivenTokenizer | None:
    """The tokenizer of the result; None where tokens are not matched by their text.

    A model's files are taken as they are where they say just these tokens; otherwise the first one's are
    extended.

    Args:
        plan: how the vocabularies were brought together, or None.
        builds: whether new files are made, which imports tokenizers; otherwise only whose they are is found.

    Raises:
        CheckpointError: a file cannot be read.
        IncompatibleError: no tokenizer can have these tokens in these places.
    """
    if plan is None or plan.vocabularies is None:
        return None
    ids = _new_ids(plan) if builds else {}
    if plan.source is not None:
        if builds:
            check_tokenizer(plan.source.name, plan.source)
        return GivenTokenizer(plan.source, ids=ids)
    wanted = {row: key[0] for row, key in plan.table.tokens.items()}
    having = [
        at for at, folder in enumerate(plan.folders) if vocabulary_digest(folder, full=False) is not None
    ]
    for at in having:
        if plan.vocabularies[at].tokens == wanted:
            if builds:
                check_tokenizer(plan.names[at], plan.folders[at])
            return GivenTokenizer(plan.folders[at], is_united=True, ids=ids)
    first = plan.first if plan.first in having else having[0]
    assert first is not None
    if not builds:
        return GivenTokenizer(plan.folders[first], is_united=True)
    every = [TokenizerFolder(plan.names[at], plan.folders[at], plan.vocabularies[at]) for at in having]
    base = every.pop(having.index(first))
    built = build_tokenizer(wanted, base, every)
    return GivenTokenizer(
        base.folder, built.files, built.left_out, is_united=True, ids=ids, notes=built.notes
    )


def _new_ids(plan: VocabularyPlan) -> dict[Path, dict[int, int | None]]:
    """Of each folder the tokens that have another number in the result, or none."""
    place: dict[str, int] = {}
    for row, (text, _) in plan.table.tokens.items():
        place.setdefault(text, row)
    return {
        folder: {
            number: place.get(text) for number, text in vocabulary.tokens.items() if place.get(text) != number
        }
        for folder, vocabulary in zip(plan.folders, plan.vocabularies or (), strict=True)
    }
