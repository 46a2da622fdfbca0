"""The part of a check that reads the weights: every tensor against its digest, in parallel."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from core.checkpoint.files import ReadFile
from core.checkpoint.headers import StoredTensor
from core.digest import PIECE_BYTES, TensorDigest, piece_digests
from core.errors import CheckpointError
from core.progress import Progress, ProgressCallback
from core.run.record import TensorRecord
from core.run.work import Chunk, IteratedWork

__all__ = ["WeightsCheck"]

_READ_BYTES = 16 * PIECE_BYTES


@dataclass(frozen=True)
class _Checked:
    """What came of a chunk: the digests of its pieces, or why it could not be read."""

    chunk: Chunk
    digests: bytes
    size_bytes: int
    problem: str | None


class WeightsCheck(IteratedWork[Chunk, _Checked]):
    """Reads and digests tensors, and compares each with its record when its last chunk is in.

    Attributes:
        problems: by the number of a tensor, a sentence for each that is not as it was written.
        bytes_read: so far.
    """

    def __init__(self, recorded: Sequence[TensorRecord], stored: Sequence[StoredTensor]) -> None:
        self._recorded, self._stored = recorded, stored
        self._digests = [TensorDigest(tensor.size_bytes) for tensor in stored]
        self._left = [tensor.size_bytes for tensor in stored]
        self._done, self._last = 0, ""
        self._started = time.perf_counter()
        self.problems: dict[int, str] = {}
        self.bytes_read = 0
        for number, left in enumerate(self._left):
            if not left:
                self._compare(number)
        super().__init__(self._cut())

    def slot(self) -> _Slot:
        return _Slot(self._stored)

    def collect(self, done: _Checked) -> None:
        number = done.chunk.tensor
        self._digests[number].add(done.digests, done.chunk.first)
        self._left[number] -= done.size_bytes
        self.bytes_read += done.size_bytes
        if done.problem is not None:
            self.problems.setdefault(number, done.problem)
        if not self._left[number]:
            self._compare(number)

    def report(self, progress: ProgressCallback | None, total: int) -> None:
        """Say how far it is."""
        if progress is not None:
            elapsed = time.perf_counter() - self._started
            tensors = len(self._stored)
            progress(Progress(self.bytes_read, total, self._done, tensors, elapsed, self._last))

    def _cut(self) -> Iterator[Chunk]:
        """Of bytes, as `elements` that are one byte each."""
        for number, stored in enumerate(self._stored):
            for first in range(0, stored.size_bytes, _READ_BYTES):
                yield Chunk(number, first, min(_READ_BYTES, stored.size_bytes - first))

    def _compare(self, number: int) -> None:
        stored = self._stored[number]
        if self._digests[number].hexdigest() != self._recorded[number].digest:
            self.problems.setdefault(
                number, f"tensor {stored.name!r} of {stored.path} is not what was written: its digest differs"
            )
        self._done += 1
        self._last = stored.name


class _Slot:
    """A core.run.work.Slot. It reads without numba, so that a check begins at once."""

    def __init__(self, stored: Sequence[StoredTensor]) -> None:
        self._stored = stored
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._file: ReadFile | None = None
        self._digests = b""
        self._problem: str | None = None

    def fill(self, chunk: Chunk) -> None:
        stored = self._stored[chunk.tensor]
        self._problem = None
        try:
            if self._file is None or self._file.path != stored.path:
                self.close()
                self._file = ReadFile(stored.path)
            self._file.read_into(self._buffer[: chunk.elements], stored.offset + chunk.first)
        except CheckpointError as error:  # a bad sector is one more thing to report
            self._problem = error.message

    def compute(self, chunk: Chunk) -> None:
        self._digests = b"" if self._problem else piece_digests(self._buffer[: chunk.elements])

    def finish(self, chunk: Chunk) -> _Checked:
        return _Checked(chunk, self._digests, chunk.elements, self._problem)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
