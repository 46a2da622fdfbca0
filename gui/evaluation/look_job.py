"""Looking what is known already of models on a data file, in a job: nothing is computed by a model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PySide6.QtCore import Signal

from core import Cancelled, CancelToken, MergeError
from core.checkpoint.model import model_names
from core.data.rows import DataSet, read_data
from core.evaluate.scores import Scores
from core.evaluate.store.score_store import ScoreStore, score_key
from core.evaluate.verdict.comparing import compare
from core.evaluate.verdict.comparison import Comparison
from gui.evaluation.request import Choices
from gui.failure import Failure
from gui.jobs import Job
from gui.pictures.evaluated import Evaluation

__all__ = ["Known", "LookJob"]


@dataclass(frozen=True, eq=False)
class Known:
    """What there is of an evaluation.

    Attributes:
        data: the rows.
        scores: by the path of the model; of those of which some are kept for these data and settings, and
            whose files are still those that were scored.
        comparisons: with the reference, by the path of the model.
        failure: why models cannot be compared; None where they can, or there are none.
        whole: whether the comparisons are there, which can take a while for many rows.
        texts: of the rows that are scored, where it is whole. [N]
    """

    data: DataSet
    scores: Mapping[Path, Scores] = field(default_factory=dict)
    comparisons: Mapping[Path, Comparison] = field(default_factory=dict)
    failure: Failure | None = None
    whole: bool = True
    texts: tuple[str, ...] = ()

    def evaluation(self, reference: Path, names: Mapping[Path, str]) -> Evaluation:
        """The same for pictures.

        Args:
            reference: with which the others are compared.
            names: of the models that are listed, by their paths, in order.
        """
        paths = [path for path in names if path in self.scores]
        return Evaluation(
            data=self.data.path,
            reference=str(reference),
            scores=tuple(self.scores[path] for path in paths),
            comparisons=tuple(self.comparisons[path] for path in paths if path in self.comparisons),
            names=tuple(names[path] for path in paths),
            texts=self.texts,
        )


class LookJob(Job):
    """Reads the data, looks for the scores that are kept, and compares them.

    Signals:
        found(object): a Known; first without comparisons, where there are any to be made.
        failed(object): a Failure: the data cannot be used.
        ended(): after the others.
    """

    found = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(
        self,
        store: ScoreStore,
        data: Path,
        models: Sequence[Path],
        reference: Path | None,
        choices: Choices,
        compared: Collection[Path] | None = None,
    ) -> None:
        """Args:
        store: where scores are kept.
        data: the file.
        models: of which scores are looked for.
        reference: the one with which the others are compared; None for no comparison.
        choices: how they are evaluated.
        compared: those of `models` that take part in the comparison; None for all.
        """
        super().__init__()
        self._store, self._data = store, data
        self._models, self._reference, self._choices = tuple(models), reference, choices
        self._taking_part = frozenset(models if compared is None else compared)
        self._token = CancelToken()

    def cancel(self) -> None:
        self._token.cancel()

    def run(self) -> None:
        try:
            self._look()
        except Cancelled:
            pass
        except Exception as error:
            self.failed.emit(Failure.of(error))
        self.ended.emit()

    def _look(self) -> None:
        choices = self._choices
        data = read_data(self._data, skip_bad_rows=choices.skip_bad_rows, limit=choices.limit)
        scores: dict[Path, Scores] = {}
        for path in self._models:
            self._token.raise_if_cancelled()
            if (found := self._scores_of(path, data)) is not None:
                scores[path] = found
        names = model_names(list(scores))  # as an evaluation of them together calls them
        for path, name in zip(list(scores), names, strict=True):
            scores[path] = replace(scores[path], name=name, path=str(path))
        if len(scores) > 1 and self._reference in scores:
            self.found.emit(Known(data, scores, whole=False))
        try:
            known = Known(data, scores, self._compared(scores, data))
        except MergeError as error:
            known = Known(data, scores, failure=Failure.of(error))
        self._token.raise_if_cancelled()
        self.found.emit(replace(known, texts=_texts(data, scores)))

    def _scores_of(self, path: Path, data: DataSet) -> Scores | None:
        """Those of the files that are there now, which are not read for it."""
        digest = self._store.digest_of(path)
        if digest is None:
            return None
        return self._store.get(score_key(digest, data.digest, self._choices.settings().key()))

    def _compared(self, scores: Mapping[Path, Scores], data: DataSet) -> dict[Path, Comparison]:
        reference = None if self._reference is None else scores.get(self._reference)
        others = [path for path in scores if path != self._reference and path in self._taking_part]
        if reference is None or not others:
            return {}
        groups = None
        if data.groups is not None:
            by_line = {row.line: row.group for row in data.rows}
            groups = [by_line.get(int(line)) or "" for line in reference.lines]
        compared = compare(reference, [scores[path] for path in others], groups=groups, cancel=self._token)
        return dict(zip(others, compared, strict=True))


def _texts(data: DataSet, scores: Mapping[Path, Scores]) -> tuple[str, ...]:
    """What the rows say that are scored, in the order of the scores."""
    by_line = {row.line: row.shown for row in data.rows} if scores else {}
    first = next(iter(scores.values()), None)
    return () if first is None else tuple(by_line.get(line, "") for line in first.lines.tolist())
