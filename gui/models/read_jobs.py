"""Jobs that read model folders: which models are there, and what their headers say."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal

from core import CancelToken
from gui.jobs import Job
from gui.models.summary import ModelSummary, read_summary

__all__ = ["FindModelsJob", "FoundModels", "ReadModelsJob", "checkpoints_in", "holds_model"]

_BATCH_S = 0.1


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoint-* folders of a training run, in the order of their numbers."""
    return sorted((path for path in folder.glob("checkpoint-*") if path.is_dir()), key=_number_and_name)


def holds_model(folder: Path) -> bool:
    """Whether `folder` has files of a model itself, rather than folders that have."""
    return any(next(folder.glob(pattern), None) for pattern in ("*.safetensors", "*.safetensors.index.json"))


def _number_and_name(checkpoint: Path) -> tuple[float, str]:
    found = re.fullmatch(r"checkpoint-(\d+)", checkpoint.name)
    return (int(found[1]) if found else float("inf"), checkpoint.name)


@dataclass(frozen=True)
class FoundModels:
    """What was found in some folders.

    Attributes:
        folders: of models, each once, and folders that are neither a model nor a training run.
        runs: the training runs whose checkpoints are among them.
        empty: what was given as a training run and has no checkpoints; not among the folders.
    """

    folders: tuple[Path, ...]
    runs: tuple[Path, ...]
    empty: tuple[Path, ...]


class FindModelsJob(Job):
    """Replaces training runs by their checkpoints.

    Signals:
        found(object): a FoundModels, once.
    """

    found = Signal(object)

    def __init__(self, folders: Sequence[Path], *, runs: bool) -> None:
        """
        Args:
            folders: to look into.
            runs: whether all are training runs, also those that hold a model beside their checkpoints.
        """
        super().__init__()
        self._folders = tuple(folders)
        self._all_runs = runs

    def run(self) -> None:
        models: dict[Path, None] = {}
        runs, empty = [], []
        for folder in self._folders:
            checkpoints = checkpoints_in(folder) if self._all_runs or not holds_model(folder) else []
            models.update(dict.fromkeys(checkpoints))
            if checkpoints:
                runs.append(folder)
            elif self._all_runs:
                empty.append(folder)
            else:
                models[folder] = None
        self.found.emit(FoundModels(tuple(models), tuple(runs), tuple(empty)))


class ReadModelsJob(Job):
    """Reads the headers of model folders.

    Signals:
        read(object): a tuple of ModelSummary, about ten times a second; each folder comes once, in order.
    """

    read = Signal(object)

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__()
        self._folders = tuple(folders)
        self._token = CancelToken()

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        batch: list[ModelSummary] = []
        due = time.monotonic() + _BATCH_S
        for folder in self._folders:
            if self._token.cancelled:
                return
            batch.append(read_summary(folder))
            if time.monotonic() >= due:
                self.read.emit(tuple(batch))
                batch = []
                due = time.monotonic() + _BATCH_S
        if batch:
            self.read.emit(tuple(batch))
