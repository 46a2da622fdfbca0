"""The files that scores are kept in: numpy's own format without pickles, and JSON in it for what is no
array."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluate.scores import RowLosses, Scores
from core.small_files import parse_json

__all__ = [
    "DAMAGED",
    "PartialScores",
    "StoredScores",
    "partial_bytes",
    "read_partial",
    "read_scores",
    "score_bytes",
    "score_key",
]

NUMBERS_VERSION = 2
"""Part of each key. One more whenever the same model, data and settings give other numbers than before."""

_KIND, _VERSION = "paramosaic scores", 1
_MOST_META = 200_000

_ROWS: Mapping[str, Any] = {
    "loss": np.float64,
    "tokens": np.int64,
    "text_bytes": np.int64,
    "correct": np.bool_,
    "lines": np.int64,
    "given_bytes": np.int64,
}
"""Arrays of scores, one number a row, and their types."""


def score_key(model_digest: str, data_digest: str, settings: Mapping[str, Any]) -> str:
    """What scores are kept under, as 32 hexadecimal digits.

    Args:
        model_digest: as core.evaluate.models.digests.reference_digest gives it.
        data_digest: of the data file's bytes.
        settings: what else the numbers depend on (Settings.key()).
    """
    parts = [NUMBERS_VERSION, model_digest, data_digest, settings]
    return blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class StoredScores:
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
class PartialScores:
    """What an evaluation has finished that is not whole.

    Attributes:
        losses: of the rows that have them; None where there are none yet.
        answers: generated so far, by the number of the row.
        seconds: that it took.
    """

    losses: RowLosses | None = None
    answers: Mapping[int, str] | None = None
    seconds: float = 0.0

    def fits(self, rows: int) -> bool:
        """Whether it can be of so many rows."""
        numbers = [*(() if self.losses is None else self.losses.rows.tolist()), *(self.answers or ())]
        return all(0 <= number < rows for number in numbers)


DAMAGED = (
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
"""What is raised for a file that is none of ours, or was cut short."""


def score_bytes(known: StoredScores) -> bytes:
    """A file of scores."""
    scores = known.scores
    meta = {item.name: getattr(scores, item.name) for item in fields(scores) if item.name not in _ROWS}
    meta["settings"] = dict(scores.settings)
    meta |= {"at": known.at.isoformat(), "data": str(known.data)}
    arrays = {name: getattr(scores, name) for name in _ROWS if getattr(scores, name) is not None}
    return _packed("whole", known.key, meta, arrays, known.answers)


def read_scores(content: bytes, key: str) -> StoredScores:
    """What a file holds; raises one of DAMAGED where it is none of ours, or not that of `key`."""
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
    values: dict[str, Any] = meta | {"correct": None, "given_bytes": None} | arrays
    scores = Scores(**values)
    if key != score_key(scores.model_digest, scores.data_digest, scores.settings):
        raise ValueError("it belongs to another key")
    rows = len(scores.loss)
    if any(len(array) != rows for array in arrays.values()) or (answers and len(answers) != rows):
        raise ValueError("its rows are damaged")
    return StoredScores(key, scores, data, at, None if answers is None else tuple(answers))


def partial_bytes(key: str, begun: PartialScores) -> bytes:
    """A file of what is finished."""
    arrays: dict[str, NDArray[Any]] = {}
    if begun.losses is not None:
        arrays["rows"] = begun.losses.rows
        arrays |= {name: array for name in _ROWS if (array := getattr(begun.losses, name, None)) is not None}
    answers = begun.answers or {}
    arrays["answered"] = np.fromiter(answers, np.int64, len(answers))
    return _packed("begun", key, {"seconds": begun.seconds}, arrays, tuple(answers.values()))


def read_partial(content: bytes, key: str) -> PartialScores:
    """The same for what is finished."""
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
    return PartialScores(
        losses, dict(zip(answered.tolist(), answers or (), strict=True)), float(meta["seconds"])
    )


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
