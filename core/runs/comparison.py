"""How two runs differ: the elements of their outputs that are not the same, tensor by tensor."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.checkpoint.headers import ShardHeader, StoredTensor
from core.checkpoint.model import model_names, open_checkpoint
from core.dtypes import DType
from core.errors import VerificationError, merge_errors_only, os_error_text
from core.plan.chunking import MEMORY_BUDGET_BYTES, default_threads
from core.progress import Progress, ProgressCallback
from core.run.executors.threads import ThreadExecutor, allow_open_files
from core.run.record import RunRecord, TensorRecord, read_record
from core.run.work import Chunk, IteratedWork
from core.sources.ahead import ReadAhead
from core.sources.files import OpenInputs
from core.sources.source import FileRange

__all__ = ["RunComparison", "TensorDifference", "compare_runs"]

_CHUNK_ELEMENTS = 512 * 1024
_WORKING_BYTES = 32
"""An element that a worker holds, at most: both copies, their conversions and masks."""

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorDifference:
    """How one tensor of two outputs differs.

    Attributes:
        name: of the tensor.
        elements: their number; of the left one where both have it.
        differ: elements whose stored values differ; None where they cannot be compared one by one.
        why: a short phrase for the reason of a None; "" otherwise.
    """

    name: str
    elements: int
    differ: int | None
    why: str = ""


@dataclass(frozen=True, eq=False)
class RunComparison:
    """How the outputs of two runs differ.

    Attributes:
        left, right: the run records.
        tensors: in the order of the left record, then those that only the right one has.
    """

    left: RunRecord
    right: RunRecord
    tensors: tuple[TensorDifference, ...]

    @property
    def elements(self) -> int:
        """Of the tensors that could be compared."""
        return sum(tensor.elements for tensor in self.tensors if tensor.differ is not None)

    @property
    def differ(self) -> int:
        """Of `elements`, those whose stored values differ."""
        return sum(tensor.differ for tensor in self.tensors if tensor.differ is not None)


@merge_errors_only()
def compare_runs(
    left: str | Path,
    right: str | Path,
    *,
    threads: int | None = None,
    cancel: CancelToken | None = None,
    progress: ProgressCallback | None = None,
) -> RunComparison:
    """Count the elements in which the outputs of two runs differ.

    Of one dtype, elements differ whose bits do: −0 from +0, and a NaN from one of another payload. Of two
    floating-point dtypes, both are widened to one that holds either, and those differ that are not the
    same number; NaN is the same as NaN. Other dtypes that differ are not compared.

    A tensor of the same dtype, shape and recorded digest in both is not read: `verify_output` checks
    that a folder holds what its record says. No folder is written to.

    Args:
        left, right: output folders of merges.
        threads: workers; None for as many as get the most done, up to one a core.
        cancel: looked at between chunks.
        progress: called about ten times a second in this thread; its bytes are those that are read.

    Raises:
        VerificationError: a folder has no record, or does not hold the tensors that its record lists.
        CheckpointError: a file is missing, damaged or unreadable, or changes meanwhile.
        Cancelled: after `cancel.cancel()`.
    """
    token = cancel or CancelToken()
    token.raise_if_cancelled()
    workers = threads or default_threads()
    chunk = max(1, min(_CHUNK_ELEMENTS, MEMORY_BUDGET_BYTES // (workers * _WORKING_BYTES)))
    counting = _Counting(_open_output(Path(left)), _open_output(Path(right)), chunk)
    allow_open_files(2 * workers + 256)
    ThreadExecutor().run(counting, slots=workers, token=token, poll=lambda: counting.report(progress))
    return counting.result()


@dataclass(frozen=True)
class _Output:
    """An output folder whose record and headers agree; its tensors by name, in the order of the record."""

    folder: Path
    record: RunRecord
    headers: Mapping[Path, ShardHeader]
    recorded: Mapping[str, TensorRecord]
    stored: Mapping[str, StoredTensor]


def _open_output(folder: Path) -> _Output:
    """Read the record and the headers of `folder`, and check that they agree. No weights are read."""
    try:
        if not folder.is_dir():
            what = "is not a folder" if folder.exists() else "does not exist"
            raise VerificationError(f"{folder} {what}", hint="name the output folder of a merge", path=folder)
    except OSError as error:
        raise VerificationError(f"cannot read {folder}: {os_error_text(error)}", path=folder) from error
    record = read_record(folder)
    checkpoint = open_checkpoint(folder)
    recorded = {tensor.name: tensor for tensor in record.tensors}
    for name in checkpoint.tensors:
        if name not in recorded:
            raise _changed(f"tensor {name!r} of {folder} is not in its run record", folder, name)
    for name, tensor in recorded.items():
        stored = checkpoint.tensors.get(name)
        if stored is None:
            raise _changed(f"tensor {name!r} of the run record is missing in {folder}", folder, name)
        if (stored.dtype.name, stored.shape) != (tensor.dtype, tensor.shape):
            raise _changed(
                f"tensor {name!r} of {stored.path} is {stored.dtype} {list(stored.shape)}, "
                f"and its record says {tensor.dtype} {list(tensor.shape)}",
                stored.path,
                name,
            )
    headers = {shard.path: shard for shard in checkpoint.shards}
    return _Output(folder, record, headers, recorded, {name: checkpoint.tensors[name] for name in recorded})


def _changed(message: str, path: Path, tensor: str) -> VerificationError:
    hint = "merge again, or copy the folder again from where it is whole"
    return VerificationError(message, hint=hint, path=path, tensor=tensor)


@dataclass(frozen=True)
class _Differing:
    """What came of a chunk: how many of its elements differ."""

    chunk: Chunk
    differ: int


class _Counting(IteratedWork[Chunk, _Differing]):
    """Counts the elements that differ, and what is known of every tensor so far."""

    def __init__(self, left: _Output, right: _Output, chunk_elements: int) -> None:
        self._left, self._right = left, right
        self._headers, self._ahead = {**left.headers, **right.headers}, ReadAhead()
        self._chunk_elements = chunk_elements
        self._names = model_names([left.folder, right.folder])
        self._known: dict[str, TensorDifference] = {}
        self._to_read: dict[str, tuple[StoredTensor, StoredTensor]] = {}
        for name in {**left.stored, **right.stored}:
            self._known[name] = self._compared_unread(name)
        self._differ = dict.fromkeys(self._to_read, 0)
        self._unread = {name: self._known[name].elements for name in self._to_read}
        self._bytes_total = sum(stored.size_bytes for both in self._to_read.values() for stored in both)
        self._bytes_done = 0
        self._in_hand = ""
        self._started = time.perf_counter()
        self._numbered = list(self._to_read)
        super().__init__(self._cut())

    def slot(self) -> _CountingSlot:
        sources = [tuple(map(FileRange, self._to_read[name])) for name in self._numbered]
        return _CountingSlot(sources, OpenInputs(self._headers, ahead=self._ahead), self._chunk_elements)

    def collect(self, done: _Differing) -> None:
        name = self._numbered[done.chunk.tensor]
        self._differ[name] += done.differ
        self._unread[name] -= done.chunk.elements
        self._bytes_done += done.chunk.elements * sum(s.dtype.itemsize for s in self._to_read[name])
        self._in_hand = name

    def report(self, progress: ProgressCallback | None) -> None:
        """Tell how far it is; tensors that are not read are done from the beginning."""
        if progress is None:
            return
        total = len(self._known)
        done = total - sum(1 for elements in self._unread.values() if elements)
        elapsed = time.perf_counter() - self._started
        progress(Progress(self._bytes_done, self._bytes_total, done, total, elapsed, self._in_hand))

    def _cut(self) -> Iterator[Chunk]:
        """Everything that has to be read, in the order of the left record."""
        for number, name in enumerate(self._numbered):
            elements = self._known[name].elements
            for first in range(0, elements, self._chunk_elements):
                yield Chunk(number, first, min(self._chunk_elements, elements - first))

    def result(self) -> RunComparison:
        """When every chunk was added."""
        for name, differ in self._differ.items():
            left, right = self._to_read[name]
            if not differ and left.dtype == right.dtype:  # and their digests are not the same
                raise VerificationError(
                    f"tensor {name!r} is the same in {self._left.folder} and {self._right.folder}, "
                    "and their records say that it is not",
                    hint="run `paramosaic verify` on both folders to see which was changed",
                    path=self._left.folder,
                    tensor=name,
                )
            self._known[name] = replace(self._known[name], differ=differ)
        return RunComparison(self._left.record, self._right.record, tuple(self._known.values()))

    def _compared_unread(self, name: str) -> TensorDifference:
        """What can be said of a tensor unread; one that has to be read is noted, with 0 for now."""
        left, right = self._left.stored.get(name), self._right.stored.get(name)
        if left is None or right is None:
            output, where = (self._right, self._names[1]) if left is None else (self._left, self._names[0])
            return TensorDifference(name, prod(output.stored[name].shape), None, f"only in {where}")
        elements = prod(left.shape)
        if left.shape != right.shape:
            why = f"of shape {list(left.shape)} and {list(right.shape)}"
            return TensorDifference(name, elements, None, why)
        if left.dtype != right.dtype and not (left.dtype.is_float and right.dtype.is_float):
            return TensorDifference(name, elements, None, f"stored as {left.dtype} and {right.dtype}")
        digests = self._left.recorded[name].digest, self._right.recorded[name].digest
        if left.dtype != right.dtype or digests[0] != digests[1]:
            self._to_read[name] = left, right
        return TensorDifference(name, elements, 0)


class _CountingSlot:
    """A core.run.work.Slot: both copies of a chunk."""

    def __init__(
        self, sources: Sequence[tuple[FileRange, ...]], inputs: OpenInputs, chunk_elements: int
    ) -> None:
        self._sources, self._inputs = sources, inputs
        self._buffers = np.empty((2, chunk_elements * 8), np.uint8)
        self._differ = 0

    def fill(self, chunk: Chunk) -> None:
        self._inputs.read(
            self._sources[chunk.tensor], chunk.first, [part.data for part in self._parts(chunk)]
        )

    def compute(self, chunk: Chunk) -> None:
        left, right = self._parts(chunk)
        left_source, right_source = self._sources[chunk.tensor]
        self._differ = _count(left, right, left_source.dtype, right_source.dtype)

    def finish(self, chunk: Chunk) -> _Differing:
        return _Differing(chunk, self._differ)

    def close(self) -> None:
        self._inputs.close()

    def _parts(self, chunk: Chunk) -> list[Array]:
        return [
            buffer[: chunk.elements * source.dtype.itemsize]
            for buffer, source in zip(self._buffers, self._sources[chunk.tensor], strict=True)
        ]


def _count(left: Array, right: Array, left_dtype: DType, right_dtype: DType) -> int:
    """How many elements of two runs of bytes differ, as compare_runs has it."""
    words = left.view(f"u{left_dtype.itemsize}"), right.view(f"u{right_dtype.itemsize}")
    if left_dtype == right_dtype:
        return int(np.count_nonzero(words[0] != words[1]))
    from core.kernels.cpu.convert import to_computing  # imports numba

    with np.errstate(invalid="ignore"):  # a signalling NaN
        one, other = to_computing(words[0], left_dtype), to_computing(words[1], right_dtype)
        both_nan = np.count_nonzero(np.isnan(one) & np.isnan(other))
        return int(np.count_nonzero(one != other) - both_nan)
