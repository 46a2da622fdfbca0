"""What a training would read, do and take, found out before it begins."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from PySide6.QtCore import Signal

from core.errors import MergeError
from core.train.settings import TrainSettings
from core.units import count_text
from gui.failure import Failure, sentence
from gui.jobs import Job
from gui.words import grouped, plural

__all__ = ["Asked", "DataFacts", "Estimate", "EstimateJob", "KnownData"]

_KINDS = {
    "text": "texts",
    "prompt": "prompts with responses",
    "chat": "conversations",
    "label": "texts with labels",
    "plain": "plain text, cut into windows",
}


@dataclass(frozen=True)
class Asked:
    """What is filled in so far; None for what is not."""

    base: Path | None
    data: Path | None
    validation: Path | None
    out: Path | None
    settings: TrainSettings | None


@dataclass(frozen=True)
class DataFacts:
    """What a data file holds.

    Attributes:
        kind: as core.data says it.
        rows: how many.
        notes: what was left out.
    """

    kind: str
    rows: int
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """ "1 234 rows: prompts with responses"."""
        what = _KINDS.get(self.kind, self.kind)
        counted = what if self.kind == "plain" else f"{plural(self.rows, 'row')}: {what}"
        return " ".join([f"{counted[0].upper()}{counted[1:]}.", *map(sentence, self.notes)])


KnownData = MutableMapping[tuple[Path, int, int], DataFacts]
"""Of files that were read, by their path, size and time of change."""


@dataclass(frozen=True)
class Estimate:
    """What is known of a training before it begins.

    Attributes:
        asked: what it is about.
        texts: what is said below a field, by its name: "base", "data", "validation", "out".
        problems: why it cannot begin, by the name of the field; "" for what is about none of them.
    """

    asked: Asked
    texts: dict[str, str] = field(default_factory=dict)
    problems: dict[str, Failure] = field(default_factory=dict)


class EstimateJob(Job):
    """Reads the data, and the headers of the base.

    Signals:
        found(object): an Estimate, once, unless it was cancelled.
    """

    found = Signal(object)

    def __init__(self, asked: Asked, known: KnownData) -> None:
        """Args:
        asked: what is filled in.
        known: data files that need not be read again; what is read is added.
        """
        super().__init__()
        self._asked, self._known = asked, known
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True  # a file that is being read is read to its end

    def run(self) -> None:
        asked, estimate = self._asked, Estimate(self._asked)
        parts = {
            "": _look_for_accelerate,
            "data": lambda: self._of_data(asked.data),
            "validation": lambda: self._of_data(asked.validation),
            "base": lambda: _of_base(asked.base),
            "out": lambda: self._of_out(),
        }
        for name, find_out in parts.items():
            if self._cancelled:
                return
            try:
                text = find_out()
            except Exception as error:  # also what is no MergeError is the user's to see
                estimate.problems[name] = _failure(error)
            else:
                if text:
                    estimate.texts[name] = text
        if not self._cancelled:
            self.found.emit(estimate)

    def _of_data(self, path: Path | None) -> str:
        return self._facts(path).text if path is not None else ""

    def _facts(self, path: Path) -> DataFacts:
        from core.data.rows import read_data

        try:
            status = os.stat(path)
            key = path, status.st_size, status.st_mtime_ns
        except (OSError, ValueError):
            key = path, -1, -1  # which reading says better
        if key not in self._known:
            data = read_data(path)
            self._known[key] = DataFacts(data.kind, len(data.rows), data.notes)
        return self._known[key]

    def _of_out(self) -> str:
        """The steps, and the room on the disk, as the training itself reckons it."""
        from core.train.disk import disk_need, require_disk

        asked = self._asked
        if asked.base is None or asked.out is None or asked.settings is None:
            return ""
        need = disk_need(_parameters(asked.base), asked.settings)
        texts = [sentence(require_disk(need, asked.out).removeprefix("disk: "))]
        facts = self._facts(asked.data) if asked.data is not None else None
        if facts is not None and facts.kind != "plain":
            steps = asked.settings.steps_of(facts.rows)
            texts.insert(0, f"{grouped(steps)} steps for each of {plural(asked.settings.orders, 'order')}.")
        return " ".join(texts)


def _look_for_accelerate() -> str:
    if importlib.util.find_spec("accelerate") is None:
        raise MergeError(
            "making sub-models needs accelerate, which is not installed",
            hint="install it with: pip install 'paramosaic[train]'",
        )
    return ""


def _of_base(base: Path | None) -> str:
    return f"{count_text(_parameters(base))} parameters." if base is not None else ""


def _parameters(base: Path) -> int:
    from core.checkpoint.model import open_checkpoint

    return sum(prod(tensor.shape) for tensor in open_checkpoint(base).tensors.values())


def _failure(error: Exception) -> Failure:
    failure = Failure.of(error)
    hint = (failure.hint or "").replace(" (--keep last)", "")
    return Failure(failure.message, hint or None, failure.details, path=failure.path)
