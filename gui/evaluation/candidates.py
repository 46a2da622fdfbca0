"""Which models are there to be compared. No Qt."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.adapter_paths import join_adapters, split_adapters
from core.runs.history import HistoryEntry
from gui.document.merge_setup import MergeSetup

__all__ = ["Candidate", "candidates", "default_reference"]


@dataclass(frozen=True)
class Candidate:
    """A model that may be evaluated.

    Attributes:
        path: what the command line is given: a folder, or "base+adapter"; absolute.
        role: "base", "sub-model", "merge" of a run in the history, or "folder" of any other.
        number: of a sub-model, from 0, which has its colour; None for others.
    """

    path: Path
    role: str
    number: int | None = None


def candidates(
    setup: MergeSetup,
    runs: Sequence[HistoryEntry],
    others: Collection[Path] = (),
    adapters: Collection[Path] = (),
) -> tuple[Candidate, ...]:
    """The base and the sub-models that take part, the last merge of any of them, and what else was added.

    Each is there once.

    Args:
        setup: of the document.
        runs: that are done and whose outputs are there, newest first.
        others: folders that the user added, among them those of earlier runs.
        adapters: those of the sub-models that are adapters and stand without the model that they are put on:
            they are evaluated on the base.
    """
    found: dict[Path, Candidate] = {}

    def add(path: Path, role: str, number: int | None = None) -> None:
        path = path.absolute()
        found.setdefault(path, Candidate(path, role, number))

    base = setup.base
    if base is not None:
        add(base, "base")
    made_first = {stage.folder for stage in setup.stages}
    for number, choice in enumerate(setup.taking_part):
        folder = choice.folder
        if folder in adapters and base is not None and len(split_adapters(folder)) == 1:
            folder = join_adapters(base, [folder])
        if made_first.isdisjoint(split_adapters(folder)):  # of those there is nothing before the merge
            add(folder, "sub-model", number)
    for entry in [entry for entry in runs if _is_of(entry, setup)][:1]:
        add(entry.out, "merge")
    merged = {entry.out for entry in runs}
    for folder in others:
        add(folder, "merge" if folder in merged else "folder")
    return tuple(found.values())


def _is_of(entry: HistoryEntry, setup: MergeSetup) -> bool:
    """Whether a run merged any of the models of the document; of none, any run is."""
    ours = {str(choice.folder.absolute()) for choice in setup.taking_part}
    if setup.base is not None:
        ours.add(str(setup.base.absolute()))
    models = entry.recipe_data.get("models")
    listed = models if isinstance(models, list | tuple) else ()
    theirs = [one.get("model") for one in listed if isinstance(one, Mapping)]
    return not ours or not ours.isdisjoint(map(str, [entry.recipe_data.get("base_model"), *theirs]))


def default_reference(listed: Sequence[Candidate]) -> Path | None:
    """What the others are compared with until the user says otherwise: the first sub-model.

    A merge is wanted that is better than what it is made of. Almost any fine-tuned model is better than the
    base on data of its task, which says nothing about the merge.
    """
    order = ("sub-model", "base", "merge", "folder")
    return min(listed, key=lambda one: order.index(one.role)).path if listed else None
