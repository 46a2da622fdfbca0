"""Check an output folder against its run record: every file, every tensor, every byte."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from core.cancel import CancelToken
from core.checkpoint.files import ReadFile
from core.checkpoint.headers import StoredTensor
from core.checkpoint.model import open_checkpoint
from core.digest import PIECE_BYTES, TensorDigest
from core.errors import VerificationError
from core.progress import Progress, ProgressCallback
from core.run.record import TensorRecord, read_record

__all__ = ["VerificationReport", "verify_output"]

_READ_BYTES = 16 * PIECE_BYTES


@dataclass(frozen=True)
class VerificationReport:
    """What was checked: tensors, and bytes of weights."""

    tensors: int
    bytes_checked: int


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
        progress: called after each tensor.

    Raises:
        VerificationError: the first tensor that differs, or no record.
        CheckpointError: a file is missing or damaged.
    """
    folder = Path(folder)
    stop = CancelToken()  # the caller's own is the caller's: a failure here must not set it
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

    def go_on() -> None:
        stop.raise_if_cancelled()
        if cancel is not None:
            cancel.raise_if_cancelled()

    def check(tensor: TensorRecord) -> int:
        return _check_tensor(tensor, checkpoint.tensors[tensor.name], go_on)

    done = 0
    started = time.perf_counter()
    with ThreadPoolExecutor(max_workers=4) as pool:
        try:
            sizes = pool.map(check, record.tensors)
            for number, (tensor, size) in enumerate(zip(record.tensors, sizes, strict=True), start=1):
                done += size
                if progress is not None:
                    elapsed = time.perf_counter() - started
                    total = checkpoint.size_bytes
                    progress(Progress(done, total, number, len(recorded), elapsed, tensor.name))
        except BaseException:
            stop.cancel()
            raise
    return VerificationReport(len(recorded), done)


def _check_tensor(recorded: TensorRecord, stored: StoredTensor, go_on: Callable[[], None]) -> int:
    if (stored.dtype.name, stored.shape) != (recorded.dtype, tuple(recorded.shape)):
        raise VerificationError(
            f"tensor {stored.name!r} of {stored.path} is {stored.dtype} {list(stored.shape)}, "
            f"and its record says {recorded.dtype} {list(recorded.shape)}",
            path=stored.path,
            tensor=stored.name,
        )
    digest = TensorDigest(stored.size_bytes)
    buffer = memoryview(bytearray(min(_READ_BYTES, stored.size_bytes)))
    with ReadFile(stored.path) as file:
        for offset in range(0, stored.size_bytes, _READ_BYTES):
            go_on()
            part = buffer[: min(_READ_BYTES, stored.size_bytes - offset)]
            file.read_into(part, stored.offset + offset)
            digest.add(part, offset)
    if digest.hexdigest() != recorded.digest:
        raise VerificationError(
            f"tensor {stored.name!r} of {stored.path} is not what was written: its digest differs",
            hint="merge again, or copy the folder again from where it is whole",
            path=stored.path,
            tensor=stored.name,
        )
    return stored.size_bytes
