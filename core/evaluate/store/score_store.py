"""What is known of models: scores, kept by the digests of model and data and by the settings.

One file a score, which is replaced as a whole, and one for an evaluation that is not finished, with the rows
that are. They never leave the machine.
"""

from __future__ import annotations

import logging
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from core.data.rows import DataSet
from core.data_home import data_home
from core.disk import replace_file
from core.errors import MergeError, OutputError, merge_errors_only, os_error_text
from core.evaluate.models.digests import FileDigests, known_digest
from core.evaluate.scores import Scores
from core.evaluate.store.score_files import (
    DAMAGED,
    PartialScores,
    StoredScores,
    partial_bytes,
    read_partial,
    read_scores,
    score_bytes,
    score_key,
)
from core.evaluate.store.task_answers import KeptAnswers, answer_bytes, read_answers
from core.small_files import read_if_there

__all__ = ["PartialScores", "ScoreStore", "StoredScores", "default_score_folder", "is_of", "score_key"]


_SUFFIX, _PARTIAL_SUFFIX, _TASK_SUFFIX = ".scores", ".begun", ".answers"
_MOST_BYTES = 1_000_000_000

_log = logging.getLogger(__name__)


def default_score_folder() -> Path:
    """Beside the history of runs."""
    return data_home() / "scores"


def is_of(known: StoredScores, data: DataSet) -> bool:
    """Whether scores of a file with these bytes are of these rows: a file's name says how it is read."""
    lines = [row.line for row in data.rows]
    return known.data.suffix.lower() == data.path.suffix.lower() and known.scores.lines.tolist() == lines


class ScoreStore:
    """The scores in a folder.

    Any number of processes and threads may read and write it at once: every score has a file of its own,
    which is replaced as a whole. A file that is damaged counts as not there: what it had is computed again.

    Attributes:
        folder: made when something is kept.
        digests: of the files of models, kept beside the scores.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        """Args: folder: None for that of this user."""
        self.folder = default_score_folder() if folder is None else Path(folder)
        self.digests = FileDigests(self.folder / "digests.json")
        self._turn = threading.Lock()
        self._read: dict[str, tuple[tuple[int, int, int], StoredScores | None]] = {}
        """What files held, by their names, and what the system said of them then."""

    # -- whole

    def get(self, key: str) -> Scores | None:
        """The scores under `key`; None where there are none."""
        found = self.stored(key)
        return None if found is None else found.scores

    def stored(self, key: str) -> StoredScores | None:
        """The same, with where they come from."""
        return self._load(f"{key}{_SUFFIX}")

    @merge_errors_only()
    def put(self, scores: Scores, *, data: str | Path = "", answers: tuple[str, ...] | None = None) -> str:
        """Keep `scores`, in the place of earlier ones with the same key, which is returned.

        Args:
            scores: with the digests of model and data.
            data: the path of the data.
            answers: what the model said. [N]

        Raises:
            OutputError: they cannot be written; what was there still is.
        """
        key = score_key(scores.model_digest, scores.data_digest, scores.settings)
        known = StoredScores(key, scores, Path(data).absolute(), datetime.now(UTC), answers)
        self._write(f"{key}{_SUFFIX}", score_bytes(known))
        self.drop_partial(key)
        return key

    def all(self) -> tuple[StoredScores, ...]:
        """Everything that can be read, newest first."""
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(_SUFFIX)]
        except OSError:
            return ()
        found = [known for known in map(self._load, names) if known is not None]
        return tuple(sorted(found, key=lambda known: (known.at, known.key), reverse=True))

    def digest_of(self, place: str | Path) -> str | None:
        """The digest of the model in a folder as its files are now, as far as that is known without reading
        weights: of one that was not evaluated from there, or whose files have changed since, it is None."""
        return known_digest(place, self.digests)

    def for_digest(self, model_digest: str) -> tuple[StoredScores, ...]:
        """What is known of the model with that digest, newest first."""
        return tuple(known for known in self.all() if known.scores.model_digest == model_digest)

    @merge_errors_only()
    def remove(self, key: str) -> None:
        """Forget the scores under `key`. Raises OutputError."""
        self._remove(f"{key}{_SUFFIX}")

    # -- begun

    def partial(self, key: str) -> PartialScores | None:
        """What an evaluation that was cut off had finished; None where there is nothing."""
        content = self._content(f"{key}{_PARTIAL_SUFFIX}")
        if content is None:
            return None
        try:
            return read_partial(content, key)
        except DAMAGED as error:
            _log.warning("an unfinished evaluation cannot be gone on with, and begins again: %s", error)
            return None

    @merge_errors_only()
    def put_partial(self, key: str, begun: PartialScores) -> None:
        """Keep what is finished so far. Raises OutputError."""
        self._write(f"{key}{_PARTIAL_SUFFIX}", partial_bytes(key, begun))

    def drop_partial(self, key: str) -> None:
        """Forget it: it is whole, or not wanted. Where it cannot be removed it stays, which harms nothing."""
        try:
            self._remove(f"{key}{_PARTIAL_SUFFIX}")
        except OutputError as error:
            _log.warning("%s", error)

    # -- tasks of lm-evaluation-harness

    def task_answers(self, key: str) -> KeptAnswers | None:
        """What a model answered in a task; None where that is not known."""
        content = self._content(f"{key}{_TASK_SUFFIX}")
        if content is None:
            return None
        try:
            return read_answers(content, key)
        except DAMAGED as error:
            _log.warning("answers to a task cannot be read, and are asked for again: %s", error)
            return None

    @merge_errors_only()
    def put_task_answers(self, key: str, kept: KeptAnswers) -> None:
        """Keep them, in the place of earlier ones with the same key. Raises OutputError."""
        self._write(f"{key}{_TASK_SUFFIX}", answer_bytes(key, kept))

    # -- files

    def _load(self, name: str) -> StoredScores | None:
        path = self.folder / name
        try:
            status = os.stat(path)
        except OSError:
            return None
        state = status.st_mtime_ns, status.st_ino, status.st_size
        with self._turn:
            before = self._read.get(name)
        if before is not None and before[0] == state:
            return before[1]
        known = None
        content = self._content(name)
        if content is not None:
            try:
                known = read_scores(content, name.removesuffix(_SUFFIX))
            except DAMAGED as error:
                _log.warning("%s is no score and is left alone: %s", path, error)
        with self._turn:
            self._read[name] = state, known
        return known

    def _content(self, name: str) -> bytes | None:
        try:
            return read_if_there(self.folder / name, _MOST_BYTES, MergeError)
        except MergeError as error:
            _log.warning("%s", error)
            return None

    def _write(self, name: str, content: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot keep scores in {self.folder}: {os_error_text(error)}", path=self.folder
            ) from error
        replace_file(self.folder / name, content)

    def _remove(self, name: str) -> None:
        path = self.folder / name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {os_error_text(error)}", path=path) from error
