"""Check an output folder against its run record: every file, every tensor, every byte."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.cancel import CancelToken
from core.checkpoint.files import ReadFile
from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import open_checkpoint
from core.digest import PIECE_BYTES, TensorDigest, piece_digests
from core.errors import VerificationError, merge_errors_only
from core.progress import Progress, ProgressCallback
from core.run.executors.threads import ThreadExecutor
from core.run.record import TensorRecord, read_record
from core.run.work import Chunk, IteratedWork

__all__ = ["VerificationReport", "verify_output"]

_READ_BYTES = 16 * PIECE_BYTES
_THREADS = 4


@dataclass(frozen=True)
class VerificationReport:
    """What was checked: tensors, and bytes of weights."""

    tensors: int
    bytes_checked: int


@merge_errors_only()
def verify_output(
    folder: str | Path,
    *,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
) -> VerificationReport:
    """Check that the files in `folder` hold exactly what its run record says.

    Args:
        folder: an output folder.
        cancel: looked at between reads.
        progress: called about ten times a second in this thread.

    Raises:
        VerificationError: the first tensor that differs, or no record.
        CheckpointError: a file is missing or damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise VerificationError(f"{folder} {what}", hint="name the output folder of a merge", path=folder)
    record = read_record(folder)
    checkpoint = open_checkpoint(folder)
    recorded = {tensor.name: tensor for tensor in record.tensors}
    for name in checkpoint.tensors:
        if name not in recorded:
            raise VerificationError(
                f"tensor {name!r} of {folder} is not in its run record", path=folder, tensor=name
            )
    for name in recorded:
        if name not in checkpoint.tensors:
            raise VerificationError(
                f"tensor {name!r} of the run record is missing in {folder}", path=folder, tensor=name
            )

    work = _Verifying(record.tensors, [checkpoint.tensors[tensor.name] for tensor in record.tensors])
    ThreadExecutor().run(
        work,
        slots=_THREADS,
        token=cancel or CancelToken(),
        poll=lambda: work.report(progress, checkpoint.size_bytes),
    )
    return VerificationReport(len(recorded), work.bytes_read)


@dataclass(frozen=True)
class _Checked:
    """What came of a chunk: the digests of its pieces."""

    chunk: Chunk
    digests: bytes
    size_bytes: int


class _Verifying(IteratedWork[Chunk, _Checked]):
    """Reads and digests every tensor, and compares it with its record when its last chunk is in."""

    def __init__(self, recorded: Sequence[TensorRecord], stored: Sequence[StoredTensor]) -> None:
        for tensor, found in zip(recorded, stored, strict=True):
            if (found.dtype.name, found.shape) != (tensor.dtype, tuple(tensor.shape)):
                raise VerificationError(
                    f"tensor {found.name!r} of {found.path} is {found.dtype} {list(found.shape)}, "
                    f"and its record says {tensor.dtype} {list(tensor.shape)}",
                    path=found.path,
                    tensor=found.name,
                )
        self._recorded, self._stored = recorded, stored
        self._digests = [TensorDigest(tensor.size_bytes) for tensor in stored]
        self._left = [tensor.size_bytes for tensor in stored]
        self._done, self._last = 0, ""
        self._started = time.perf_counter()
        self.bytes_read = 0
        for number, left in enumerate(self._left):
            if not left:
                self._compare(number)
        super().__init__(self._cut())

    def slot(self) -> _VerifyingSlot:
        return _VerifyingSlot(self._stored)

    def collect(self, done: _Checked) -> None:
        number = done.chunk.tensor
        self._digests[number].add(done.digests, done.chunk.first)
        self._left[number] -= done.size_bytes
        self.bytes_read += done.size_bytes
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
            raise VerificationError(
                f"tensor {stored.name!r} of {stored.path} is not what was written: its digest differs",
                hint="merge again, or copy the folder again from where it is whole",
                path=stored.path,
                tensor=stored.name,
            )
        self._done += 1
        self._last = stored.name


class _VerifyingSlot:
    """A core.run.work.Slot. It reads without numba, so that a check begins at once."""

    def __init__(self, stored: Sequence[StoredTensor]) -> None:
        self._stored = stored
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._file: ReadFile | None = None
        self._digests = b""

    def fill(self, chunk: Chunk) -> None:
        stored = self._stored[chunk.tensor]
        if self._file is None or self._file.path != stored.path:
            self.close()
            self._file = ReadFile(stored.path)
        self._file.read_into(self._buffer[: chunk.elements], stored.offset + chunk.first)

    def compute(self, chunk: Chunk) -> None:
        self._digests = piece_digests(self._buffer[: chunk.elements])

    def finish(self, chunk: Chunk) -> _Checked:
        return _Checked(chunk, self._digests, chunk.elements)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
