"""Which models are meant by folders and files: themselves, what is in them, and which is the base. No Qt."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import MergeError
from core.checkpoint.finding import find_weights, has_adapter, has_weights, names_in
from core.checkpoint.model import open_checkpoint
from core.checkpoint.unreadable import refuse_file
from core.errors import CheckpointError, os_error_text
from core.text import natural_key
from core.train.runs_folder import TRAINING_NAME
from gui.document.made_models import MadeModels, made_models
from gui.failure import Failure, sentence
from gui.models.bases import base_among

__all__ = ["FoundModels", "checkpoints_in", "find_models", "in_natural_order"]

_DEEPEST = 2
"""Folders of models are looked for in a folder, and in the folders in it."""

_MOST_FOLDERS = 5_000
"""More are not looked into: somebody's whole disk is no folder of models."""


@dataclass(frozen=True)
class FoundModels:
    """What was found in some places.

    Attributes:
        models: folders and files of models, each once, in the order in which people count.
        runs: the training runs whose checkpoints are among them.
        holders: the folders that hold some of them.
        trained: what was made by trainings of this program, of which not every epoch is among them.
        base: the one of them that the others were fine-tuned from, by what they say or how it is called;
            None where none is.
        refused: what is no model, why, and what to do.
    """

    models: tuple[Path, ...] = ()
    runs: tuple[Path, ...] = ()
    holders: tuple[Path, ...] = ()
    base: Path | None = None
    trained: tuple[MadeModels, ...] = ()
    refused: tuple[Failure, ...] = ()


def in_natural_order(paths: Iterable[Path]) -> list[Path]:
    """`paths`, each once, by their names: model-2 before model-10."""
    return sorted(dict.fromkeys(paths), key=_order)


def _order(path: Path) -> Any:
    return natural_key(path.name), natural_key(str(path))


def _order_of_place(place: Path) -> Any:
    return _order(place if os.path.isdir(place) else place.parent)  # False, too, where nobody may look


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoint-* folders of a training run, in the order of their numbers."""
    return in_natural_order(path for path in folder.glob("checkpoint-*") if path.is_dir())


def find_models(places: Sequence[Path], *, runs: bool = False, listed: Sequence[Path] = ()) -> FoundModels:
    """Look into `places`; weights are not read.

    Args:
        places: folders and files. A training run stands for its checkpoints, a folder of models for them, and
            one that this program trained for one epoch of each order.
        runs: whether all are training runs, also those that hold a model beside their checkpoints.
        listed: models that are there already, which may say what they were fine-tuned from.
    """
    looking = _Looking()
    for place in sorted(dict.fromkeys(places), key=_order_of_place):
        try:
            looking.into(place, runs=runs)
        except MergeError as error:
            looking.refused.append(_refusal(error, place))
        except OSError as error:
            looking.refused.append(Failure(f"{place.name} cannot be read: {os_error_text(error)}."))
    models = tuple(looking.models)
    return FoundModels(
        models,
        tuple(looking.runs),
        tuple(looking.holders),
        base_among(models, listed),
        tuple(looking.trained),
        tuple(looking.refused),
    )


def _refusal(error: MergeError, place: Path) -> Failure:
    """As the engine says it of `place`, by its name; "name" is for recipes, and here one drops or chooses."""
    message = error.message.replace(str(place), place.name)
    hint = re.sub(r"^name (?=its|the|one|it\b)", "drop or choose ", error.hint) if error.hint else None
    return Failure(sentence(message), sentence(hint) if hint else None)


# -- where they are


class _Looking:
    """What is found on the way from one place to the next."""

    def __init__(self) -> None:
        self.models: dict[Path, None] = {}
        self.runs: list[Path] = []
        self.holders: list[Path] = []
        self.trained: list[MadeModels] = []
        self.refused: list[Failure] = []
        self._left = _MOST_FOLDERS

    def into(self, place: Path, *, runs: bool) -> None:
        """Add what is in `place`. Raises CheckpointError: nothing is."""
        if place.is_file():
            self.models[_of_file(place)] = None
            return
        names = names_in(place)
        is_whole = has_weights(names) or has_adapter(names)
        checkpoints = checkpoints_in(place) if runs or not is_whole else []
        made = None if is_whole else self._made_in(place, names)
        if made is not None:
            self.holders.append(place)
            self.models.update(dict.fromkeys(made))
        elif checkpoints:
            self.runs.append(place)
            self.models.update(dict.fromkeys(checkpoints))
        elif runs:
            raise CheckpointError(
                f"{place.name} holds no checkpoint-* folders",
                hint="choose the folder that the trainer wrote them to, or add the model itself",
                path=place,
            )
        elif _is_one(names):
            self.models[place] = None
        elif inner := list(self._inside(place, names, _DEEPEST)):
            self.holders.append(place)
            self.models.update(dict.fromkeys(inner))
        else:
            find_weights(place, names)  # raises, and says what is there

    def _made_in(self, folder: Path, names: Sequence[str]) -> tuple[Path, ...] | None:
        """The models that belong together where `folder` is one of trainings; None where it is none, or its
        record cannot be used."""
        if TRAINING_NAME not in names:
            return None
        try:
            made = made_models(folder, least=1)
        except MergeError:
            return None
        self.trained.append(made)
        own_base = [made.base] if made.base.parent == folder and made.base.is_dir() else []
        return (*own_base, *made.models)

    def _inside(self, folder: Path, names: Sequence[str], depth: int) -> Iterator[Path]:
        """The models in the folders in `folder`."""
        for name in sorted(names, key=natural_key):
            path = folder / name
            if self._left <= 0 or name.endswith(".partial") or not path.is_dir():
                continue
            self._left -= 1
            try:
                inner = names_in(path)
            except CheckpointError:  # not for us to see
                continue
            if _is_one(inner):
                yield path
            elif (made := self._made_in(path, inner)) is not None:
                yield from made
            elif checkpoints := checkpoints_in(path):
                yield from checkpoints
            elif depth > 1:
                yield from self._inside(path, inner, depth - 1)


def _is_one(names: Sequence[str]) -> bool:
    """Whether a folder with these names in it is a model, an adapter, or a model's in the Hub's cache."""
    return (
        has_weights(names)
        or has_adapter(names)
        or ("snapshots" in names and ("refs" in names or "blobs" in names))
    )


def _of_file(path: Path) -> Path:
    """The folder of the model that a file of weights is of; the file where its folder has several.

    Raises:
        CheckpointError: it is no such file, or cannot be read.
    """
    if has_adapter([path.name]):
        open_checkpoint(path.parent)
        return path.parent
    if not has_weights([path.name]):
        _refuse(path)
    names = names_in(path.parent)
    try:
        weights = find_weights(path.parent, names)
    except CheckpointError:
        weights = None
    whole = weights is not None and (path.name in weights.files or path == weights.index_path)
    place = path.parent if whole else path
    open_checkpoint(place)  # somebody's data may be called .bin, too
    return place


def _refuse(path: Path) -> None:
    try:
        refuse_file(path)
    except CheckpointError as error:
        if error.message != f"{path} is a file, not a model folder":
            raise
    raise CheckpointError(
        f"{path.name} is neither a model nor a recipe",
        hint="drop the folder of a model, a file of its weights, or a recipe (.yaml)",
        path=path,
    )
