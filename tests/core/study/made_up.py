"""A family of three sub-models that are not there, with losses that tests make up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from made_scores import made_scores
from numpy.typing import NDArray

from core.data.rows import DataSet, Row
from core.evaluate.scores import Scores
from core.progress import Share, ShareCallback
from core.recipe.parsing import parse_recipe
from core.recipe.recipe import Recipe
from core.study.command import OwnScores
from core.study.family import StudyModel

__all__ = ["COUNT", "DIGEST", "MadeUp", "data_set", "recipe_of", "scores_of"]

COUNT = 40
DIGEST = "00112233445566778899aabbccddeeff"

Losses = Mapping[str, NDArray[np.float64] | Exception]


def recipe_of(count: int = 3, /, **more: Any) -> Recipe:
    """A selection of n = 1 and seed 7; `more` are keys of the recipe."""
    data = {
        "merge_method": "parameter_selection",
        "base_model": "base",
        "models": [{"model": f"model-{number}"} for number in range(1, count + 1)],
        "parameters": {"resamples": 1},
        "seed": 7,
    }
    return parse_recipe(data | more, Path("/nowhere"))


def data_set(count: int = COUNT, groups: Callable[[int], str] | None = None) -> DataSet:
    rows = tuple(
        Row(line=2 * row + 1, text=f"text {row}", group=None if groups is None else groups(row))
        for row in range(count)
    )
    return DataSet(Path("made-up.jsonl"), "text", rows, DIGEST)


def scores_of(loss: NDArray[np.float64], **more: Any) -> Scores:
    """On the lines of `data_set`."""
    given: dict[str, Any] = {"name": "", "data_digest": DIGEST, "lines": 2 * np.arange(len(loss)) + 1}
    values = given | more
    return made_scores(values.pop("name"), loss, **values)


class MadeUp:
    """core.study.measuring.Evaluator of losses by the model's key; a key without any has those of "else".

    Attributes:
        asked: the keys, in the order in which they were measured.
    """

    def __init__(
        self,
        losses: Losses,
        *,
        own: Callable[[StudyModel], OwnScores | None] = lambda model: None,
        more: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._losses, self._own, self._more = losses, own, more or {}
        self.asked: list[str] = []

    def scores(self, model: StudyModel, data: DataSet, *, training: bool, progress: ShareCallback) -> Scores:
        self.asked.append(model.key)
        progress(Share(0.5, model.name))
        found = self._losses[model.key] if model.key in self._losses else self._losses["else"]
        if isinstance(found, Exception):
            raise found
        return scores_of(found, name=model.name, **self._more.get(model.key, {}))

    def own_scores(self, model: StudyModel) -> OwnScores | None:
        return self._own(model)
