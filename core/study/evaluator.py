"""Measures the models of a study one at a time: merges what is a merge, evaluates it, and removes it again.

What was measured once is not measured again: the evaluator keeps the scores of a merge by its recipe and the
digests of its inputs, and where they are known it is not even made.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import yaml

from core.adapter_paths import split_adapters
from core.cancel import CancelToken
from core.data.rows import DataSet
from core.disk import replace_file
from core.errors import MergeError, OutputError, os_error_text
from core.evaluate.evaluation import evaluate_models
from core.evaluate.models.digests import reference_digest
from core.evaluate.models.references import model_folder
from core.evaluate.scores import Scores
from core.evaluate.settings import Settings
from core.evaluate.store.score_store import ScoreStore
from core.progress import ShareCallback
from core.recipe.stages import documents_of
from core.recipe.writing import folders_of, recipe_as_dict
from core.recipe.yaml_values import Dumper
from core.small_files import parse_json, read_if_there
from core.study.command import OwnScores, ScoreCommand
from core.study.family import StudyModel

__all__ = ["StudyEvaluator"]

_RECIPES = "recipes"
_OWN_SCORES = "command-scores.json"
_MOST_BYTES, _MOST_PARTS = 512 * 1024**2, 50_000_000


class StudyEvaluator:
    """Scores of models, by the evaluator and by the user's own command.

    Attributes:
        folder: of the study. The recipes of its merges go into `recipes` in it, and what the command said
            into `command-scores.json`; merges are made beside it.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        store: ScoreStore,
        *,
        command: ScoreCommand | None = None,
        validation_digest: str = "",
        train_limit: int | None = None,
        recompute: bool = False,
        cancel: CancelToken,
        on_note: Callable[[str], None],
    ) -> None:
        """Args:
        folder: of the study; it is there.
        settings: of the evaluation.
        store: where scores are kept.
        command: the user's own.
        validation_digest: of the validation data, which a command of the user's own may read.
        train_limit: of the training data only so many rows.
        recompute: whether to measure again what is known.
        """
        self.folder = folder
        self._settings = replace(settings, work_folder=folder.absolute().parent)
        self._train_limit = train_limit
        self._store, self._recompute, self._command = store, recompute, command
        self._cancel, self._on_note = cancel, on_note
        self._said: set[str] = set()
        self._own = (
            _OwnScores(folder / _OWN_SCORES, command, validation_digest) if command is not None else None
        )

    def scores(self, model: StudyModel, data: DataSet, *, training: bool, progress: ShareCallback) -> Scores:
        """The losses of a model on `data`. Raises MergeError."""
        settings = replace(self._settings, limit=self._train_limit) if training else self._settings
        found = evaluate_models(
            [self._reference(model)],
            data,
            settings=settings,
            store=self._store,
            recompute=self._recompute,
            on_note=self._note,
            progress=progress,
            cancel=self._cancel,
        )
        return replace(found[0], name=model.name)

    def own_scores(self, model: StudyModel) -> OwnScores | None:
        """What the command says of a model; None without one. Raises MergeError."""
        if self._own is None or self._command is None:
            return None
        reference = self._reference(model)
        digest = reference_digest(reference, self._store.digests, cancel=self._cancel)
        known = None if self._recompute else self._own.get(digest)
        if known is not None:
            if not self._own.is_new(digest):
                self._note(
                    f"scores of {self._command.name} of an earlier run are used, as the files that it names "
                    "have not changed since: --recompute runs it again"
                )
            return known
        with model_folder(
            reference,
            work_folder=self._settings.work_folder,
            device=self._settings.device,
            cancel=self._cancel,
        ) as there:
            said = self._command.run(there.folder, self._cancel)
        self._own.put(digest, said)
        return said

    def _note(self, sentence: str) -> None:
        """Each once, however many models it is said of."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._on_note(sentence)

    def _reference(self, model: StudyModel) -> str:
        """What the evaluator knows the model by: its folder, or the file of the recipe that makes it."""
        if model.recipe is None:
            return str(model.folder)
        path = self.folder.absolute() / _RECIPES / f"{model.key}.yaml"
        folders = {folder: _from_folder(folder, path.parent) for folder in folders_of(model.recipe)}
        documents = documents_of(recipe_as_dict(model.recipe, folders))
        text = yaml.dump_all(documents, Dumper=Dumper, sort_keys=False, allow_unicode=True)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {path.parent}: {os_error_text(error)}") from error
        replace_file(path, text.encode())
        return str(path)


def _from_folder(model: Path, folder: Path) -> str:
    """How a recipe in `folder` names a model: by the way from there, as a study is shown to others, and the
    names above are nobody's business. Of what is on another disk of Windows there is no such way."""
    start = os.path.realpath(folder)  # the system goes up from there, whatever links led to it
    try:
        return "+".join(os.path.relpath(part, start) for part in split_adapters(model))
    except ValueError:
        return str(model)


class _OwnScores:
    """What the command said, by model: one file, written anew after each.

    It holds for the same words, the same bytes of every file that they name, the same folder to work in and
    the same validation data.
    """

    def __init__(self, path: Path, command: ScoreCommand, validation_digest: str) -> None:
        """Raises MergeError: `path` is not one of ours, or a file of the command cannot be read."""
        self._path = path
        self._new: set[str] = set()
        asked = [*command.arguments, os.getcwd(), validation_digest, *_digests_of(command)]
        self._asked = blake2b(json.dumps(asked).encode(), digest_size=16).hexdigest()
        content = read_if_there(path, _MOST_BYTES, MergeError)
        try:
            data = {} if content is None else parse_json(content, _MOST_PARTS)
            self._known: dict[str, Any] = dict(data.get("scores", {})) if data else {}
        except (ValueError, TypeError, AttributeError) as error:
            raise MergeError(
                f"{path} is damaged", hint="remove it: the command is run again then", path=path
            ) from error

    def get(self, digest: str) -> OwnScores | None:
        found = self._known.get(f"{self._asked}-{digest}")
        if found is None:
            return None
        return OwnScores(found["mean"], tuple(found["lines"]), tuple(found["scores"]))

    def is_new(self, digest: str) -> bool:
        """Whether the command said it in this run."""
        return digest in self._new

    def put(self, digest: str, scores: OwnScores) -> None:
        self._new.add(digest)
        self._known[f"{self._asked}-{digest}"] = asdict(scores)
        document = {"kind": "paramosaic command scores", "scores": self._known}
        replace_file(self._path, json.dumps(document).encode() + b"\n")


def _digests_of(command: ScoreCommand) -> list[str]:
    """Of each word that is a file, or ends in one after "=", as "--data=rows.txt"; "" of the others."""
    program, *words = command.arguments
    found = []
    for word in (shutil.which(program) or program, *words):
        named = [Path(part) for part in (word, word.partition("=")[2]) if part]
        path = next((path for path in named if os.path.isfile(path)), None)
        if path is None:
            found.append("")
            continue
        try:
            with path.open("rb") as file:
                found.append(file_digest(file, "blake2b").hexdigest())
        except OSError as error:
            raise MergeError(
                f"{path}, which the scoring command names, cannot be read: {os_error_text(error)}",
                hint="name a file that can be read",
                path=path,
                field="score_command",
            ) from error
    return found
