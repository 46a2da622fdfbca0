"""What is known of models: scores, kept by the digests of model and data and by the settings.

One file a score, in numpy's own format without pickles, which is replaced as a whole; and one for an
evaluation that is not finished, with the rows that are. They never leave the machine.
"""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.disk import replace_file
from core.errors import MergeError, OutputError, merge_errors_only, os_error_text
from core.evaluate.digests import FileDigests, known_digest
from core.evaluate.scores import RowLosses, Scores
from core.runs.history import default_history_folder
from core.small_files import parse_json, read_if_there

__all__ = ["Begun", "Known", "ScoreStore", "default_score_folder", "score_key"]

NUMBERS_VERSION = 1
"""Part of each key. One more whenever the same model, data and settings give other numbers than before."""

_KIND, _VERSION = "paramosaic scores", 1
_SUFFIX, _BEGUN_SUFFIX = ".scores", ".begun"
_MOST_BYTES, _MOST_META = 1_000_000_000, 200_000

_ROWS: Mapping[str, Any] = {
    "loss": np.float64,
    "tokens": np.int64,
    "text_bytes": np.int64,
    "correct": np.bool_,
    "lines": np.int64,
}
"""Arrays of scores, one number a row, and their types."""

_log = logging.getLogger(__name__)


def score_key(model_digest: str, data_digest: str, settings: Mapping[str, Any]) -> str:
    """What scores are kept under, as 32 hexadecimal digits.

    Args:
        model_digest: as core.evaluate.digests.reference_digest gives it.
        data_digest: of the data file's bytes.
        settings: what else the numbers depend on (Settings.key()).
    """
    parts = [NUMBERS_VERSION, model_digest, data_digest, settings]
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def default_score_folder() -> Path:
    """Beside the history of runs."""
    return default_history_folder().parent / "scores"


@dataclass(frozen=True)
class Known:
    """Scores, and where they come from.

    Attributes:
        data: the path of the data file when they were made.
        at: when that was, UTC.
        answers: what the model said where answers were generated, [N]; None elsewhere.
    """

    key: str
    scores: Scores
    data: Path
    at: datetime
    answers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Begun:
    """What an evaluation has finished that is not whole.

    Attributes:
        losses: of the rows that have them; None where there are none yet.
        answers: generated so far, by the number of the row.
        seconds: that it took.
    """

    losses: RowLosses | None = None
    answers: Mapping[int, str] | None = None
    seconds: float = 0.0


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
        self._read: dict[str, tuple[tuple[int, int, int], Known | None]] = {}
        """What files held, by their names, and what the system said of them then."""

    # -- whole

    def get(self, key: str) -> Scores | None:
        """The scores under `key`; None where there are none."""
        found = self.known(key)
        return None if found is None else found.scores

    def known(self, key: str) -> Known | None:
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
        known = Known(key, scores, Path(data).absolute(), datetime.now(UTC), answers)
        self._write(f"{key}{_SUFFIX}", _to_bytes(known))
        self.drop_begun(key)
        return key

    def all(self) -> tuple[Known, ...]:
        """Everything that can be read, newest first."""
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(_SUFFIX)]
        except OSError:
            return ()
        found = [known for known in map(self._load, names) if known is not None]
        return tuple(sorted(found, key=lambda known: (known.at, known.key), reverse=True))

    def for_model(self, place: str | Path) -> tuple[Known, ...]:
        """What is known of the model in a folder as its files are now, newest first.

        Reads no weights: of a model that was not evaluated from that folder, or whose files have changed
        since, nothing is known.
        """
        digest = self.digest_of(place)
        return () if digest is None else self.for_digest(digest)

    def digest_of(self, place: str | Path) -> str | None:
        """The digest of the model in a folder, as far as that is known without reading weights; else None."""
        return known_digest(place, self.digests)

    def for_digest(self, model_digest: str) -> tuple[Known, ...]:
        """What is known of the model with that digest, newest first."""
        return tuple(known for known in self.all() if known.scores.model_digest == model_digest)

    @merge_errors_only()
    def remove(self, key: str) -> None:
        """Forget the scores under `key`. Raises OutputError."""
        self._remove(f"{key}{_SUFFIX}")

    # -- begun

    def begun(self, key: str) -> Begun | None:
        """What an evaluation that was cut off had finished; None where there is nothing."""
        content = self._content(f"{key}{_BEGUN_SUFFIX}")
        if content is None:
            return None
        try:
            return _begun(content, key)
        except _DAMAGED as error:
            _log.warning("an unfinished evaluation cannot be gone on with, and begins again: %s", error)
            return None

    @merge_errors_only()
    def put_begun(self, key: str, begun: Begun) -> None:
        """Keep what is finished so far. Raises OutputError."""
        self._write(f"{key}{_BEGUN_SUFFIX}", _begun_bytes(key, begun))

    def drop_begun(self, key: str) -> None:
        """Forget it: it is whole, or not wanted. Where it cannot be removed it stays, which harms nothing."""
        try:
            self._remove(f"{key}{_BEGUN_SUFFIX}")
        except OutputError as error:
            _log.warning("%s", error)

    # -- files

    def _load(self, name: str) -> Known | None:
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
                known = _from_bytes(content, name.removesuffix(_SUFFIX))
            except _DAMAGED as error:
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


# -- one file

_DAMAGED = (
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    EOFError,
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,  # of zipfile, for what no file of ours has
    RuntimeError,
)


def _to_bytes(known: Known) -> bytes:
    scores = known.scores
    meta = {item.name: getattr(scores, item.name) for item in fields(scores) if item.name not in _ROWS}
    meta["settings"] = dict(scores.settings)
    meta |= {"at": known.at.isoformat(), "data": str(known.data)}
    arrays = {name: getattr(scores, name) for name in _ROWS if getattr(scores, name) is not None}
    return _packed("whole", known.key, meta, arrays, known.answers)


def _from_bytes(content: bytes, key: str) -> Known:
    """What a file holds; raises one of _DAMAGED where it is none of ours, or not that of `key`."""
    meta, arrays, answers = _unpacked("whole", key, content)
    at = datetime.fromisoformat(meta.pop("at"))
    if at.tzinfo is None:
        raise ValueError("its date has no zone")
    data = Path(meta.pop("data"))
    names = {item.name for item in fields(Scores)}
    meta = {name: value for name, value in meta.items() if name in names}  # a newer version may say more
    meta["notes"] = tuple(meta.get("notes", ()))
    if not isinstance(meta["settings"], dict):
        raise ValueError("its settings are damaged")
    values: dict[str, Any] = meta | {"correct": None} | arrays
    scores = Scores(**values)
    if key != score_key(scores.model_digest, scores.data_digest, scores.settings):
        raise ValueError("it belongs to another key")
    rows = len(scores.loss)
    if any(len(array) != rows for array in arrays.values()) or (answers and len(answers) != rows):
        raise ValueError("its rows are damaged")
    return Known(key, scores, data, at, None if answers is None else tuple(answers))


def _begun_bytes(key: str, begun: Begun) -> bytes:
    arrays: dict[str, NDArray[Any]] = {}
    if begun.losses is not None:
        arrays["rows"] = begun.losses.rows
        arrays |= {name: array for name in _ROWS if (array := getattr(begun.losses, name, None)) is not None}
    answers = begun.answers or {}
    arrays["answered"] = np.fromiter(answers, np.int64, len(answers))
    return _packed("begun", key, {"seconds": begun.seconds}, arrays, tuple(answers.values()))


def _begun(content: bytes, key: str) -> Begun:
    meta, arrays, answers = _unpacked("begun", key, content)
    answered = arrays.pop("answered")
    losses = None
    if "rows" in arrays:
        values: dict[str, Any] = {"correct": None} | arrays
        losses = RowLosses(**values)
        if any(len(array) != len(losses.rows) for array in arrays.values()):
            raise ValueError("its rows are damaged")
    if len(answered) != len(answers or ()):
        raise ValueError("its answers are damaged")
    return Begun(losses, dict(zip(answered.tolist(), answers or (), strict=True)), float(meta["seconds"]))


def _packed(
    what: str,
    key: str,
    meta: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    answers: tuple[str, ...] | None,
) -> bytes:
    """A file: arrays, and what is said of them as JSON among them."""
    head = {"kind": _KIND, "version": _VERSION, "what": what, "key": key, **meta}
    said: dict[str, Any] = {"head": np.frombuffer(json.dumps(head).encode(), np.uint8)}
    if answers is not None:
        said["answers"] = np.frombuffer(json.dumps(answers).encode(), np.uint8)
    file = io.BytesIO()
    said |= arrays
    np.savez_compressed(file, **said)
    return file.getvalue()


def _unpacked(what: str, key: str, content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]], Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        head = parse_json(file["head"].tobytes(), _MOST_META)
        if [head.pop(name) for name in ("kind", "what", "key")] != [_KIND, what, key]:
            raise ValueError("something else")
        if head.pop("version") > _VERSION:
            raise ValueError("a newer version wrote it")
        answers = json.loads(file["answers"].tobytes()) if "answers" in file else None
        arrays = {}
        for name in file:
            if name in ("head", "answers"):
                continue
            arrays[name] = file[name]
            if arrays[name].dtype != _ROWS.get(name, np.int64) or arrays[name].ndim != 1:
                raise ValueError(f"{name} is of another type")
    if answers is not None and not all(isinstance(answer, str) for answer in answers):
        raise ValueError("its answers are no text")
    return head, arrays, answers
